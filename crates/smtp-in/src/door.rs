//! The door: one connection from greeting to end.

use crate::config::Config;
use crate::visit::Visit;
use delivery::Intake;
use mail::{Reply, Status};
use net::{Conn, Driven};
use policy::Pipeline;
use smtp_proto::server::{Channel, Limits, Options, Session, StartTls};
use std::path::PathBuf;
use std::sync::{Arc, PoisonError, RwLock};
use tokio::time::{Instant, timeout_at};
use tracing::{debug, info};
use world::World;

/// What a listener says to those for whom there is no room.
pub const BUSY: &[u8] = b"421 4.3.2 Too many connections; try again later\r\n";

/// Commands without a message after which a connection ends: a client that only keeps the line busy.
const IDLE_COMMANDS_MAX: usize = 100;

/// What the door needs of the house.
#[derive(Clone)]
pub struct Deps {
    pub intake: Intake,
    pub world: World,
    /// For messages on their way in that are too large for memory: [`storage::Store::spool_dir`].
    pub spool_dir: PathBuf,
}

/// Takes mail from strangers.
pub struct Door {
    config: RwLock<Arc<Config>>,
    pipeline: RwLock<Pipeline>,
    deps: Deps,
}

impl Door {
    /// The pipeline judges each message before it is taken.
    pub fn new(config: Config, pipeline: Pipeline, deps: Deps) -> Self {
        Self { config: RwLock::new(Arc::new(config)), pipeline: RwLock::new(pipeline), deps }
    }

    /// New options, for connections from now on.
    pub fn reconfigure(&self, config: Config) {
        *self.config.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(config);
    }

    /// The checks of arriving mail.
    pub fn pipeline(&self) -> Pipeline {
        self.pipeline.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Other checks, for connections from now on.
    pub fn judge_by(&self, pipeline: Pipeline) {
        *self.pipeline.write().unwrap_or_else(PoisonError::into_inner) = pipeline;
    }

    /// Serves one connection to its end.
    pub async fn serve(&self, mut conn: Conn) {
        let config = self.config.read().unwrap_or_else(PoisonError::into_inner).clone();
        let channel = if conn.tls().is_some() { Channel::Tls } else { Channel::Clear };
        let mut session = Session::new(self.options(&config, &conn), channel);
        let mut visit = Visit::new(&self.deps, self.pipeline(), &conn);
        let mut is_stopping = false;
        loop {
            let driven = next(&mut conn, &mut session, visit.deadline(config.message_timeout)).await;
            for reply in session.take_refusals() {
                info!(mail = visit.mail_id(), %reply, "refused");
            }
            match driven {
                Driven::Ask(question) => {
                    session.answer(visit.answer(question).await);
                    if is_stopping && !visit.is_receiving() {
                        session.farewell(stopping());
                    }
                }
                Driven::Body(octets) => visit.receive(&octets).await,
                Driven::StartTls => match conn.start_tls().await {
                    Ok(()) => {
                        session.tls_started();
                        visit.tls_started(&conn);
                    }
                    Err(error) => return info!(%error, "TLS failed"),
                },
                Driven::TimedOut => {
                    info!(mail = visit.mail_id(), "silent or slow for too long");
                    session.farewell(timed_out());
                    visit.forget();
                }
                // A message that is half here may come to its end: it would only have to come again.
                Driven::Stopping if visit.is_receiving() => is_stopping = true,
                Driven::Stopping => {
                    session.farewell(stopping());
                    visit.forget();
                }
                Driven::Closed(how) => return debug!(%how, "connection over"),
            }
        }
    }

    fn options(&self, config: &Config, conn: &Conn) -> Options {
        let router = self.deps.intake.router();
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
}

/// Drives the session; a message that is not there by its deadline has timed out.
async fn next(
    conn: &mut Conn,
    session: &mut Session,
    deadline: Option<Instant>,
) -> Driven<smtp_proto::server::Question> {
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
