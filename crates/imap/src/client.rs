//! One connection from its greeting to its end.

use crate::command;
use crate::command::append::Incoming;
use crate::config::{Config, InsecureAuth};
use crate::door::{House, Seat};
use crate::hearing::Hearing;
use crate::notify::{self, Watch};
use crate::scope;
use crate::selected::{Selected, Standing, rung};
use crate::telling::{Doing, doing};
use auth::{Bindings, Circumstances, Conversation, Ending, Mechanism, Scope, Service, Visitor};
use imap_proto::response::Response;
use imap_proto::server::{ClearLogin, Privacy};
use imap_proto::{Answer, Code, Command, Options, Question, Session, Untagged};
use net::{ChannelBindings, Closed, Conn, Driven, Offence};
use std::sync::Arc;
use std::time::Duration;
use storage::{AccountId, ModSeq};
use tokio::sync::watch;
use tokio::time::{Instant, timeout_at};
use tracing::{debug, info, warn};
use world::meter::ImapVerb;

/// How often a client in IDLE hears something, so that no router between forgets the connection.
pub(crate) const STILL_HERE: Duration = Duration::from_secs(2 * 60);

/// How long a connection may take to log in, however busily it talks.
pub(crate) const LOGIN_DEADLINE: Duration = Duration::from_secs(5 * 60);

/// The connection is over; nothing more can be said.
#[derive(Debug)]
pub(crate) struct Gone;

/// What a command comes to.
pub(crate) type Outcome = Result<Response, Gone>;

/// One connection and all it knows.
pub(crate) struct Client {
    pub(crate) house: Arc<House>,
    pub(crate) config: Arc<Config>,
    pub(crate) conn: Conn,
    pub(crate) session: Session,
    pub(crate) conversation: Option<Conversation>,
    pub(crate) failures: u32,
    pub(crate) account: Option<Account>,
    pub(crate) selected: Option<Selected>,
    pub(crate) incoming: Option<Incoming>,
    /// Most messages that one command works on, if that is told (RFC 9738).
    pub(crate) message_limit: Option<u32>,
    pub(crate) hearing: Hearing,
    /// What NOTIFY asked for; `None`: it was not said.
    pub(crate) watch: Option<Watch>,
    pub(crate) doing: Doing,
    /// Whether HIGHESTMODSEQ was told when the client first asked for mod-sequences (RFC 7162 §3.1).
    told_modseq: bool,
    login_until: Instant,
    end: End,
}

/// Whether the session is to end with the command that is under way.
#[derive(Clone, Copy, PartialEq, Eq)]
enum End {
    NotYet,
    AfterAppend,
}

/// Who is logged in.
pub(crate) struct Account {
    pub(crate) id: AccountId,
    pub(crate) name: String,
    /// What the login is good for.
    pub(crate) scope: Scope,
    pub(crate) bell: watch::Receiver<ModSeq>,
    /// Largest message for this account, in octets.
    pub(crate) append_limit: u64,
    pub(crate) _seat: Seat,
    /// Is over when what the login was proven by does not stand any more.
    pub(crate) ending: Ending,
}

impl Client {
    pub(crate) fn new(house: Arc<House>, conn: Conn) -> Self {
        let config = house.config();
        let privacy = match (conn.tls().is_some(), conn.offers_tls()) {
            (true, _) => Privacy::Tls,
            (false, true) => Privacy::StartTls,
            (false, false) => Privacy::Clear,
        };
        let session = Session::new(Options {
            privacy,
            clear_login: match config.insecure_auth {
                InsecureAuth::Allowed => ClearLogin::Allowed,
                InsecureAuth::Refused => ClearLogin::Refused,
            },
            mechanisms: offers(&house, &conn),
            append_limit: config.append_limit,
            message_limit: config.message_limit,
            greeting: format!("{} is ready.", house.hostname),
            hidden: config.hidden_at(conn.local()),
        });
        let message_limit = session.offers("MESSAGELIMIT").then_some(config.message_limit);
        Self {
            house,
            config,
            conn,
            session,
            conversation: None,
            failures: 0,
            account: None,
            selected: None,
            incoming: None,
            message_limit,
            hearing: Hearing::default(),
            watch: None,
            doing: Doing::Other,
            told_modseq: false,
            login_until: Instant::now() + LOGIN_DEADLINE,
            end: End::NotYet,
        }
    }

    pub(crate) async fn run(mut self) {
        loop {
            let Ok(driven) = self.next().await else { return };
            let step = match driven {
                Driven::Ask(question) => self.on_question(question).await,
                Driven::Body(octets) => {
                    command::append::push(&mut self, &octets).await;
                    Ok(())
                }
                Driven::StartTls => self.start_tls().await,
                Driven::Closed(closed) => {
                    self.log_end(&closed);
                    return;
                }
                Driven::TimedOut => {
                    self.session.bye(None, "That took too long.");
                    Ok(())
                }
                // Messages that are on their way may come in.
                Driven::Stopping if self.session.is_appending() => {
                    self.end = End::AfterAppend;
                    Ok(())
                }
                Driven::Stopping => {
                    self.go_down();
                    Ok(())
                }
            };
            if step.is_err() {
                return;
            }
        }
    }

    /// UNAUTHENTICATE (RFC 8437): nothing of the login is left. Its failed logins stay counted.
    pub(crate) fn forget_login(&mut self) {
        self.account = None;
        self.conn.belongs_to(None);
        self.selected = None;
        self.incoming = None;
        self.conversation = None;
        self.hearing = Hearing::default();
        self.watch = None;
        self.told_modseq = false;
        self.login_until = Instant::now() + LOGIN_DEADLINE;
    }

    fn go_down(&mut self) {
        self.session.bye(Some("UNAVAILABLE"), "The server is going down; come back later.");
    }

    fn log_end(&self, closed: &Closed) {
        if self.session.was_abused() {
            self.conn.blame(Offence::Abuse);
        }
        let account = self.account.as_ref().map(|account| account.name.as_str());
        debug!(account, %closed, "session ended");
    }

    async fn start_tls(&mut self) -> Result<(), Gone> {
        if let Err(error) = self.conn.start_tls().await {
            info!(%error, "TLS could not begin");
            return Err(Gone);
        }
        self.session.tls_started();
        self.session.set_mechanisms(offers(&self.house, &self.conn));
        Ok(())
    }

    /// Drives the connection; in IDLE news of the mailbox are told meanwhile (RFC 9051 §6.3.13), and after NOTIFY whatever it
    /// asked for at any time (RFC 5465 §3).
    async fn next(&mut self) -> Result<Driven<Question>, Gone> {
        loop {
            let Some(account) = &mut self.account else {
                let driven = timeout_at(self.login_until, self.conn.drive(&mut self.session)).await;
                return Ok(driven.unwrap_or_else(|_| {
                    // The farewell needs time as well.
                    self.login_until += LOGIN_DEADLINE;
                    Driven::TimedOut
                }));
            };
            let idling = self.session.is_idling();
            let listens = idling || self.watch.is_some() && self.session.is_ready();
            tokio::select! {
                biased;
                () = account.ending.wait() => {
                    self.session.bye(None, "The login was taken back; log in again.");
                }
                driven = self.conn.drive(&mut self.session) => return Ok(driven),
                Ok(()) = account.bell.changed(), if listens => self.tell_unasked().await?,
                () = rung(self.selected.as_mut()), if listens => self.tell_unasked().await?,
                () = notify::rung(self.watch.as_ref()), if listens => self.tell_unasked().await?,
                () = tokio::time::sleep(STILL_HERE), if idling => {
                    let _ = self.session.tell(&Untagged::Status(Response::ok("Still here.")));
                }
            }
        }
    }

    async fn on_question(&mut self, question: Question) -> Result<(), Gone> {
        self.meet_condstore(&question);
        if !self.session.is_appending() {
            // A command that went wrong in its last line.
            self.incoming = None;
        }
        match question {
            // What IDLE is told at once is what the client could have learned just before.
            Question::Command(Command::Idle) => {
                self.session.answer(Answer::Go);
                return self.tell_unasked().await;
            }
            // Commands obey the rights as they are when they begin.
            Question::Command(_) | Question::AppendEnd if self.review().await == Standing::Lost => {}
            Question::Command(command) => {
                self.doing = doing(&command);
                let (begun, verb) = (Instant::now(), command::verb(&command));
                let response = command::run(self, command).await?;
                self.measure(verb, begun);
                self.finish(response).await?;
            }
            Question::Authenticate { mechanism, initial } => {
                command::login::begin(self, &mechanism, initial).await;
            }
            Question::Exchange(line) => command::login::go_on(self, line).await,
            Question::Append(_) if !scope::may_change(self) => {
                self.session.answer(Answer::Done(scope::refused()));
            }
            Question::Append(head) => command::append::begin(self, head).await,
            Question::AppendMore(message) => command::append::more(self, message).await,
            Question::AppendPieces(pieces) => command::append::go_on(self, pieces).await,
            Question::AppendEnd => {
                let takes = self.incoming.as_ref().is_some_and(Incoming::takes);
                self.doing = if takes { Doing::Takes } else { Doing::Other };
                let begun = Instant::now();
                let response = command::append::end(self).await?;
                self.measure(ImapVerb::Append, begun);
                self.finish(response).await?;
                if self.end == End::AfterAppend {
                    self.go_down();
                }
            }
            Question::IdleEnd => self.finish(Response::ok("IDLE is over.")).await?,
            Question::Compress => self.conn.start_compression(),
            Question::Continue => {}
        }
        if self.account.is_none() && self.failures >= self.config.login_failures {
            self.session.bye(None, "Too many failed logins.");
        }
        Ok(())
    }

    /// The first command that asks for mod-sequences in a selected mailbox is told where it stands (RFC 7162 §3.1).
    fn meet_condstore(&mut self, question: &Question) {
        if self.told_modseq || !self.session.is_condstore() {
            return;
        }
        self.told_modseq = true;
        match &self.selected {
            // SELECT tells it anyway.
            Some(selected) if !matches!(question, Question::Command(Command::Select(_))) => {
                let modseq = selected.view.complete();
                self.tell_modseq(modseq);
            }
            _ => {}
        }
    }

    /// Ends a command: what others did meanwhile is told first.
    async fn finish(&mut self, mut response: Response) -> Result<(), Gone> {
        self.sync().await?;
        self.doing = Doing::Other;
        if let (Some(Code::HighestModSeq(modseq)), Some(selected)) = (&mut response.code, &self.selected) {
            *modseq = selected.view.complete();
        }
        self.session.answer(Answer::Done(response));
        Ok(())
    }

    fn measure(&self, verb: ImapVerb, begun: Instant) {
        self.house.world.meter.imap_commands.took(verb, begun.elapsed());
    }

    /// Lets output go when much of it waits, so that a large answer is never whole in memory.
    pub(crate) async fn relieve(&mut self) -> Result<(), Gone> {
        if self.session.is_full() { self.flush().await } else { Ok(()) }
    }

    /// Lets all output go, in the middle of a command.
    pub(crate) async fn flush(&mut self) -> Result<(), Gone> {
        match self.conn.drive(&mut self.session).await {
            Driven::Ask(Question::Continue) => Ok(()),
            Driven::Closed(closed) => {
                self.log_end(&closed);
                Err(Gone)
            }
            other => {
                warn!(?other, "the session asked out of turn");
                Err(Gone)
            }
        }
    }

    /// What matters of the connection to whoever judges a login.
    pub(crate) fn circumstances(&self) -> Circumstances {
        circumstances(&self.conn)
    }

    /// The account; a session asks for nothing that needs one before login.
    pub(crate) fn account_id(&self) -> Option<AccountId> {
        self.account.as_ref().map(|account| account.id)
    }
}

fn circumstances(conn: &Conn) -> Circumstances {
    let ChannelBindings { exporter, server_end_point } = conn.channel_bindings();
    Circumstances {
        visitor: Visitor { from: conn.peer().ip(), service: Service::Imap },
        bindings: Bindings {
            exporter: exporter.map(Vec::from),
            end_point: server_end_point.map(|digest| digest.to_vec()),
        },
        certificate: conn.client_key(),
    }
}

/// The mechanisms that are announced on a connection.
fn offers(house: &House, conn: &Conn) -> Vec<&'static str> {
    let offers = circumstances(conn).offers(house.authenticate.as_ref());
    offers.into_iter().map(Mechanism::name).collect()
}
