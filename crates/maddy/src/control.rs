//! The control socket's operations: those of `admin`, and those that only a daemon can do.

use crate::admin::{self, Context, DkimCall, Effect};
use crate::bans;
use crate::cli::{answer_list, answer_renew, answer_rollover};
use crate::config::{Config, Source};
use crate::confine;
use crate::logging::Logging;
use crate::login::GuessLift;
use crate::metrics::View;
use crate::operations::{DaemonOperation, Status};
use crate::reload::Running;
use crate::selfcheck;
use ::config::Problems;
use net::LocalListener;
use nix::unistd::{Group, getegid};
use serde_json::{Value, json};
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use tracing::{debug, error, info};
use web::{Answer, Caller, Failure, Kind, Operations};

/// Where a reload finds the new configuration.
pub(crate) struct Reloading {
    pub(crate) source: Source,
    pub(crate) logging: Logging,
    /// How this process is held.
    pub(crate) report: guard::Report,
}

/// Why the old configuration stays.
#[derive(Debug)]
pub(crate) enum Kept {
    Problems(Problems),
    Because(String),
}

impl Kept {
    /// One event for each reason, so that each has a line.
    pub(crate) fn log(&self) {
        match self {
            Self::Problems(problems) => {
                for problem in &problems.0 {
                    error!("{problem}");
                }
                error!(problems = problems.0.len(), "the old configuration stays{}", confine::hint(problems));
            }
            Self::Because(why) => error!("{why}; the old configuration stays"),
        }
    }
}

impl From<Kept> for Failure {
    fn from(kept: Kept) -> Self {
        let message = match kept {
            Kept::Problems(problems) => {
                let hint = confine::hint(&problems);
                format!("the configuration has problems, so the old one stays{hint}\n{problems}")
            }
            Kept::Because(why) => format!("{why}; the old configuration stays"),
        };
        Self::new(Kind::Refused, message)
    }
}

/// The group whose members may use the control socket of a service; `maddy install` makes it.
pub(crate) const GROUP: &str = "maddy";

/// Binds the control socket. It is open to the group only where that is the daemon's own, as in a service: a group of
/// another name may have members who were never meant to read everybody's mail.
pub(crate) fn bind(config: &Config) -> io::Result<LocalListener> {
    match Group::from_name(GROUP) {
        Ok(Some(group)) if group.gid == getegid() => {
            LocalListener::bind_for_group(config.socket(), group.gid.as_raw())
        }
        _ => LocalListener::bind(config.socket()),
    }
}

/// Answers the control socket.
pub(crate) struct Control {
    context: Context,
    running: Arc<Running>,
    /// None for a daemon that does not run by a file.
    reloading: Option<Reloading>,
    view: Arc<View>,
}

impl Control {
    pub(crate) fn new(
        context: Context,
        running: Arc<Running>,
        reloading: Option<Reloading>,
        view: Arc<View>,
    ) -> Self {
        Self { context, running, reloading, view }
    }

    /// Reads the configuration again.
    pub(crate) async fn reload(&self) -> Result<(), Kept> {
        let Some(reloading) = &self.reloading else {
            return Err(Kept::Because("this server runs without a configuration file".to_owned()));
        };
        let source = reloading.source.clone();
        let read = tokio::task::spawn_blocking(move || source.read()).await;
        let config = read.map_err(|error| Kept::Because(error.to_string()))?.map_err(Kept::Problems)?;
        let done = self.running.reload(config, Some(&reloading.logging)).await;
        done.map_err(|why| Kept::Because(why.to_string()))
    }

    /// Looks anew at what others find of us; what waits for that is tried again.
    async fn self_check(&self) -> Answer {
        let report = selfcheck::look(&self.running).await;
        let report = report.ok_or_else(|| Failure::new(Kind::Unavailable, "the DNS takes too long"))?;
        let was_burning = !self.running.intake().self_check().burning.is_empty();
        self.running.intake().set_self_check(Arc::new(report.clone()));
        if was_burning && report.burning.is_empty() {
            let now = self.context.now();
            self.context.store.retry_now(None, now).await.map_err(admin::failure)?;
        }
        answered(report)
    }

    async fn dkim(&self, arguments: Value) -> Answer {
        let call: DkimCall = serde_json::from_value(arguments)
            .map_err(|error| Failure::new(Kind::BadRequest, error.to_string()))?;
        answered(self.running.change_keys(call).await?)
    }

    /// What only a daemon can do.
    async fn own(&self, operation: DaemonOperation, arguments: Value) -> Answer {
        match operation {
            DaemonOperation::Status => answered(self.status()),
            DaemonOperation::Reload => {
                self.reload().await?;
                Ok(json!("the configuration was read again"))
            }
            DaemonOperation::Overview => {
                let hostname = self.running.config().hostname.to_string();
                answered(self.view.overview(hostname).await.map_err(admin::failure)?)
            }
            DaemonOperation::Dkim => self.dkim(arguments).await,
            DaemonOperation::SelfCheck => self.self_check().await,
            DaemonOperation::TlsList => answer_list(self.running.keeper()),
            DaemonOperation::TlsRenew => answer_renew(self.running.keeper(), arguments),
            DaemonOperation::TlsRollover => answer_rollover(self.running.keeper().clone(), arguments).await,
            DaemonOperation::GuessesList => answered(self.running.judge().guesses().await?),
            DaemonOperation::GuessesLift => {
                let lift: GuessLift = serde_json::from_value(arguments)
                    .map_err(|error| Failure::new(Kind::BadRequest, error.to_string()))?;
                self.running.judge().lift(&lift).await?;
                Ok(Value::Null)
            }
            DaemonOperation::BansList => answered(bans::list(self.running.bans())),
            DaemonOperation::BansAdd => bans::add(self.running.bans(), arguments),
            DaemonOperation::BansLift => bans::lift(self.running.bans(), arguments),
        }
    }

    fn status(&self) -> Status {
        let config = self.running.config();
        Status {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            hostname: config.hostname.to_string(),
            connections: self.running.live(),
            sandbox: json!(self.reloading.as_ref().map(|reloading| &reloading.report)),
        }
    }
}

impl Operations for Control {
    fn call(
        &self,
        caller: Caller,
        operation: String,
        arguments: Value,
    ) -> Pin<Box<dyn Future<Output = Answer> + Send + '_>> {
        Box::pin(async move {
            let (name, about) = (operation.as_str(), about(&arguments));
            let done = match DaemonOperation::named(name) {
                Some(own) => Some((own.effect(), self.own(own, arguments).await)),
                None => admin::dispatch(name, arguments, &self.context).await,
            };
            let Some((effect, answer)) = done else {
                return Err(Failure::new(Kind::NotFound, format!("there is no operation {name}")));
            };
            let (about, done) = (about.as_deref(), answer.is_ok());
            match effect {
                Effect::Changes => info!(operation = name, about, by = %caller, done, "control"),
                Effect::Reads => debug!(operation = name, about, by = %caller, done, "control"),
            }
            answer
        })
    }
}

/// Members of arguments that say what an operation is about, and hold no secret; the first that is there counts.
const ABOUT: [&str; 7] = ["account", "name", "address", "domain", "network", "of", "id"];
/// Longest of them that is logged, in characters.
const ABOUT_MAX: usize = 200;

/// What an operation is about, for the log.
fn about(arguments: &Value) -> Option<String> {
    ABOUT.iter().find_map(|member| match arguments.get(member)? {
        Value::String(text) => Some(text.chars().take(ABOUT_MAX).collect()),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    })
}

fn answered(answer: impl serde::Serialize) -> Answer {
    serde_json::to_value(answer).map_err(|error| Failure::new(Kind::Broken, error.to_string()))
}
