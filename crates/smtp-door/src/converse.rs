//! One connection from greeting to end.

use crate::budget::Budget;
use crate::config::Config;
use crate::inbound::Inbound;
use crate::rates::Rates;
use crate::speaker::Speaker;
use ::config::Network;
use delivery::Intake;
use mail::{Reply, Status};
use net::{Closed, Conn, Driven, Offence};
use smtp_proto::Extension;
use smtp_proto::server::{Answer, Channel, Limits, Options, Question, Session, StartTls};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;
use tokio::time::{Instant, timeout_at};
use tracing::{debug, info};
use world::World;

/// What a listener says to those for whom there is no room.
pub const BUSY: &[u8] = b"421 4.3.2 Too many connections; try again later\r\n";

/// What a door needs of the house.
#[derive(Clone)]
pub struct Deps {
    pub intake: Intake,
    pub world: World,
    /// For messages on their way in that are too large for memory: `Store::spool_dir`.
    pub spool_dir: PathBuf,
}

/// What all connections of a door share and are held against.
#[derive(Clone)]
pub struct Ledger {
    pub rates: Rates,
    pub budget: Budget,
}

impl Ledger {
    pub fn new(config: &Config, world: &World) -> Self {
        let rates = Rates::new(config.rates.clone(), world.clock.clone());
        Self { rates, budget: Budget::new(config.max_in_transit) }
    }

    /// Counts a new connection: 421 if there have been too many. That of a peer that names its clients counts once it
    /// names one.
    pub fn admit(&self, conn: &Conn, options: &Options) -> Result<(), Reply> {
        if options.extensions.has(Extension::Xclient) {
            return Ok(());
        }
        self.rates.connection(conn.peer().ip())
    }

    /// Other limits from now on; what was counted stays.
    pub fn set(&self, config: &Config) {
        self.rates.set(config.rates.clone());
        self.budget.set(config.max_in_transit);
    }
}

/// What a door knows and decides about one connection.
pub trait Visit {
    /// Answers a question of the session.
    fn answer(&mut self, question: Question) -> impl Future<Output = Answer> + Send;

    /// Who speaks, which XCLIENT changes.
    fn speaker(&self) -> &Speaker;

    /// The message on its way in.
    fn inbound(&mut self) -> &mut Inbound;

    /// Who has logged in.
    fn account(&self) -> Option<String> {
        None
    }

    /// TLS has begun: what was said before it counts no more (RFC 3207 §4.2). [`Inbound`] knows already.
    fn tls_started(&mut self, conn: &Conn);

    /// The mechanisms of AUTH that are offered from now on, if they are others than before.
    fn mechanisms(&mut self) -> Option<Vec<String>> {
        None
    }

    /// Returns with a farewell when the connection is to end now. Cancel-safe.
    fn interrupted(&mut self) -> impl Future<Output = Reply> + Send {
        std::future::pending()
    }

    /// Said after an answer if the connection shall end with it.
    fn farewell(&self) -> Option<Reply>;
}

/// What the session is told of a listener, before a door adds its own.
pub fn options(config: &Config, deps: &Deps, conn: &Conn) -> Options {
    let router = deps.intake.router();
    let mut options = Options::new(router.hostname().clone());
    if let Some(postmaster) = router.bare_postmaster() {
        options.home = postmaster.domain().clone();
    }
    options.banner.clone_from(&config.banner);
    // Said over TLS only (RFC 8689 §2).
    options.extensions = options.extensions.with(Extension::RequireTls);
    let peer = conn.peer().ip();
    let is_one_of = |networks: &[Network]| networks.iter().any(|network| network.contains(peer));
    if is_one_of(&config.xclient_from) {
        options.extensions = options.extensions.with(Extension::Xclient);
    }
    if is_one_of(&config.xforward_from) {
        options.extensions = options.extensions.with(Extension::Xforward);
    }
    options.starttls = match (conn.offers_tls(), config.demands_tls_at(conn.local())) {
        (false, _) => StartTls::Absent,
        (true, true) => StartTls::Required,
        (true, false) => StartTls::Offered,
    };
    options.limits = Limits {
        message_size: config.max_message_size,
        recipients: config.max_recipients,
        mails: config.max_messages,
        errors: config.max_errors,
        refusals: config.max_refusals,
        idle_commands: config.max_idle_commands,
        command_patience: config.command_timeout,
        data_patience: config.data_timeout,
        message_patience: config.message_timeout,
    };
    options
}

/// Greets a client with a refusal (RFC 5321 §3.1), and ends the connection.
pub async fn turn_away(mut conn: Conn, options: Options, reply: Reply) {
    info!(%reply, "turned away");
    let mut session = Session::new(options, Channel::Clear);
    session.farewell(reply);
    // There is nothing but the refusal to be written.
    let _ = conn.drive(&mut session).await;
}

/// Serves a connection to its end. One that brings no message for as long as `idle_timeout` is ended.
pub async fn converse(mut conn: Conn, options: Options, idle_timeout: Duration, mut visit: impl Visit) {
    let channel = if conn.tls().is_some() { Channel::Tls } else { Channel::Clear };
    let message_timeout = options.limits.message_patience;
    let mut session = Session::new(options, channel);
    let mut is_stopping = false;
    let mut is_told_to_go = false;
    let mut busy_at = Instant::now();
    let mut known = None;
    loop {
        if let Some(mechanisms) = visit.mechanisms() {
            session.set_mechanisms(mechanisms);
        }
        let deadline = visit.inbound().deadline(message_timeout);
        if deadline.is_some() {
            busy_at = Instant::now();
        }
        let idle_until = busy_at.checked_add(idle_timeout);
        // Who was told to go only has to hear it.
        let deadline = if is_told_to_go { None } else { deadline.or(idle_until) };
        let driven = tokio::select! {
            biased;
            reply = visit.interrupted() => {
                session.farewell(reply);
                visit.inbound().forget();
                is_told_to_go = true;
                continue;
            }
            driven = next(&mut conn, &mut session, deadline) => driven,
        };
        log_refusals(&mut session, visit.inbound());
        match driven {
            Driven::Ask(question) => {
                session.answer(visit.answer(question).await);
                conn_account(&conn, &visit, &mut known);
                withdraw(&mut session, visit.speaker());
                if let Err(reply) = follow(&mut conn, visit.speaker().connected()) {
                    session.farewell(reply);
                }
                if let Some(reply) = visit.farewell() {
                    session.farewell(reply);
                }
                if is_stopping && !visit.inbound().is_receiving() {
                    session.farewell(stopping());
                }
            }
            Driven::Body(octets) => visit.inbound().receive(&octets).await,
            Driven::StartTls => match conn.start_tls().await {
                Ok(()) => {
                    session.tls_started();
                    visit.inbound().tls_started(&conn);
                    visit.tls_started(&conn);
                }
                Err(error) => return info!(%error, "TLS failed"),
            },
            Driven::TimedOut => {
                info!(mail = visit.inbound().mail_id(), "silent or slow for too long");
                session.farewell(timed_out());
                visit.inbound().forget();
                is_told_to_go = true;
            }
            // A message that is half here may come to its end: it would only have to come again.
            Driven::Stopping if visit.inbound().is_receiving() => is_stopping = true,
            Driven::Stopping => {
                session.farewell(stopping());
                visit.inbound().forget();
            }
            Driven::Closed(how) => return over(&conn, &session, &how),
        }
    }
}

/// Takes back what the peer may say no more.
fn withdraw(session: &mut Session, speaker: &Speaker) {
    for extension in [Extension::Xclient, Extension::Xforward] {
        if !speaker.may_say(extension) {
            session.withdraw(extension);
        }
    }
}

/// Has it known who has logged in, once it changes.
fn conn_account(conn: &Conn, visit: &impl Visit, known: &mut Option<String>) {
    let account = visit.account();
    if account != *known {
        conn.belongs_to(account.as_deref());
        *known = account;
    }
}

fn over(conn: &Conn, session: &Session, how: &Closed) {
    if session.was_abused() {
        conn.blame(Offence::Abuse);
    }
    debug!(%how, "connection over");
}

/// Counts the connection as one of the client for which it speaks.
fn follow(conn: &mut Conn, client: SocketAddr) -> Result<(), Reply> {
    if client.ip() == conn.peer().ip() {
        return Ok(());
    }
    info!(client = %client.ip(), "the connection speaks for another client");
    conn.stands_for(client).map_err(|refusal| {
        info!(client = %client.ip(), reason = refusal.as_str(), "connection refused");
        Reply::new(421, Status::transient(3, 2), "Too many connections; try again later")
    })
}

fn log_refusals(session: &mut Session, inbound: &Inbound) {
    for reply in session.take_refusals() {
        info!(mail = inbound.mail_id(), %reply, "refused");
    }
}

/// Drives the session; a message that is not there by its deadline has timed out.
async fn next(conn: &mut Conn, session: &mut Session, deadline: Option<Instant>) -> Driven<Question> {
    match deadline {
        None => conn.drive(session).await,
        Some(deadline) => timeout_at(deadline, conn.drive(session)).await.unwrap_or(Driven::TimedOut),
    }
}

fn timed_out() -> Reply {
    Reply::new(421, Status::transient(4, 2), "Silent or too slow for too long; closing")
}

fn stopping() -> Reply {
    Reply::new(421, Status::transient(3, 2), "This server is stopping; try again in a moment")
}
