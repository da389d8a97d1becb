//! One connection from greeting to end.

use crate::config::Config;
use crate::inbound::Inbound;
use delivery::Intake;
use mail::{Reply, Status};
use net::{Conn, Driven};
use smtp_proto::server::{Answer, Channel, Limits, Options, Question, Session, StartTls};
use std::path::PathBuf;
use tokio::time::{Instant, timeout_at};
use tracing::{debug, info};
use world::World;

/// What a listener says to those for whom there is no room.
pub const BUSY: &[u8] = b"421 4.3.2 Too many connections; try again later\r\n";

/// Commands without a message after which a connection ends: a client that only keeps the line busy.
const IDLE_COMMANDS_MAX: usize = 100;

/// What a door needs of the house.
#[derive(Clone)]
pub struct Deps {
    pub intake: Intake,
    pub world: World,
    /// For messages on their way in that are too large for memory: `Store::spool_dir`.
    pub spool_dir: PathBuf,
}

/// What a door knows and decides about one connection.
pub trait Visit {
    /// Answers a question of the session.
    fn answer(&mut self, question: Question) -> impl Future<Output = Answer> + Send;

    /// The message on its way in.
    fn inbound(&mut self) -> &mut Inbound;

    /// TLS has begun: what was said before it counts no more (RFC 3207 §4.2). [`Inbound`] knows already.
    fn tls_started(&mut self);

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
    options.starttls = if conn.offers_tls() { StartTls::Offered } else { StartTls::Absent };
    options.limits = Limits {
        message_size: config.max_message_size,
        recipients: config.max_recipients,
        mails: config.max_messages,
        errors: config.max_errors,
        refusals: config.max_refusals,
        idle_commands: IDLE_COMMANDS_MAX,
        command_patience: config.command_timeout,
        data_patience: config.data_timeout,
        message_patience: config.message_timeout,
    };
    options
}

/// Serves a connection to its end.
pub async fn converse(mut conn: Conn, options: Options, mut visit: impl Visit) {
    let channel = if conn.tls().is_some() { Channel::Tls } else { Channel::Clear };
    let message_timeout = options.limits.message_patience;
    let mut session = Session::new(options, channel);
    let mut is_stopping = false;
    loop {
        let deadline = visit.inbound().deadline(message_timeout);
        let driven = next(&mut conn, &mut session, deadline).await;
        log_refusals(&mut session, visit.inbound());
        match driven {
            Driven::Ask(question) => {
                session.answer(visit.answer(question).await);
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
                    visit.tls_started();
                }
                Err(error) => return info!(%error, "TLS failed"),
            },
            Driven::TimedOut => {
                info!(mail = visit.inbound().mail_id(), "silent or slow for too long");
                session.farewell(timed_out());
                visit.inbound().forget();
            }
            // A message that is half here may come to its end: it would only have to come again.
            Driven::Stopping if visit.inbound().is_receiving() => is_stopping = true,
            Driven::Stopping => {
                session.farewell(stopping());
                visit.inbound().forget();
            }
            Driven::Closed(how) => return debug!(%how, "connection over"),
        }
    }
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
