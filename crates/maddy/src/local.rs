//! Mail of local programs: the socket for `sendmail`, and who calls there.

use crate::config::Config;
use crate::reload::Running;
use mail::{Notify, Reply, Ret, Status};
use net::{LocalListener, Stop};
use nix::unistd::{Uid, User, geteuid};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::pin::Pin;
use std::sync::Arc;
use submission::local::{LocalDesk, LocalUser, Order, Pace, Rank, Recipients};
use tracing::{error, warn};
use web::{Answer, Failure, Kind, LocalService};

/// An order as it travels.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct LocalOrder {
    from: Option<String>,
    full_name: Option<String>,
    recipients: Vec<String>,
    of_header: bool,
    /// `never`, or some of success, failure and delay; `None` as usual.
    notify: Option<Vec<String>>,
    /// `full` or `hdrs`
    ret: Option<String>,
    envid: Option<String>,
}

/// The answer.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Said {
    Accepted { id: String },
    Refused { code: u16, status: String, text: String },
}

impl From<Order> for LocalOrder {
    fn from(order: Order) -> Self {
        let notify = match order.notify {
            Notify::Default => None,
            Notify::Never => Some(vec!["never".to_owned()]),
            Notify::On { success, failure, delay } => {
                let words = [(success, "success"), (failure, "failure"), (delay, "delay")];
                Some(words.iter().filter(|(on, _)| *on).map(|(_, word)| (*word).to_owned()).collect())
            }
        };
        let ret = order.ret.map(|ret| match ret {
            Ret::Full => "full".to_owned(),
            Ret::Headers => "hdrs".to_owned(),
        });
        Self {
            from: order.from,
            full_name: order.full_name,
            recipients: order.recipients,
            of_header: order.take == Recipients::AndOfHeader,
            notify,
            ret,
            envid: order.envid,
        }
    }
}

/// Longest envelope id (RFC 3461 §4.4).
const ENVID_MAX: usize = 100;

impl LocalOrder {
    /// The order, or what of it makes no sense.
    fn read(self) -> Result<Order, String> {
        let notify = match self.notify.as_deref() {
            None => Notify::Default,
            Some([never]) if never == "never" => Notify::Never,
            Some(words)
                if words.iter().all(|word| ["success", "failure", "delay"].contains(&word.as_str())) =>
            {
                let has = |what: &str| words.iter().any(|word| word == what);
                Notify::On { success: has("success"), failure: has("failure"), delay: has("delay") }
            }
            Some(_) => return Err("notify is never, or some of success, failure and delay".to_owned()),
        };
        let ret = match self.ret.as_deref() {
            None => None,
            Some("full") => Some(Ret::Full),
            Some("hdrs") => Some(Ret::Headers),
            Some(_) => return Err("ret is full or hdrs".to_owned()),
        };
        if self
            .envid
            .as_ref()
            .is_some_and(|id| id.len() > ENVID_MAX || !id.chars().all(|c| (' '..='~').contains(&c)))
        {
            return Err(format!("an envelope id has up to {ENVID_MAX} printable characters"));
        }
        Ok(Order {
            from: self.from,
            full_name: self.full_name,
            recipients: self.recipients,
            take: if self.of_header { Recipients::AndOfHeader } else { Recipients::Given },
            notify,
            ret,
            envid: self.envid,
        })
    }
}

/// Takes messages as the configuration of the moment says.
struct Taker {
    running: Arc<Running>,
    pace: Pace,
}

impl LocalService for Taker {
    fn size_max(&self) -> usize {
        usize::try_from(self.running.config().submission.door.max_message_size).unwrap_or(usize::MAX)
    }

    fn take(
        &self,
        uid: u32,
        order: Value,
        message: Vec<u8>,
    ) -> Pin<Box<dyn Future<Output = Answer> + Send + '_>> {
        Box::pin(async move {
            let bad = |why: String| Failure::new(Kind::BadRequest, why);
            let order: LocalOrder = serde_json::from_value(order).map_err(|error| bad(error.to_string()))?;
            let order = order.read().map_err(bad)?;
            let user = who(uid).await;
            let said = match desk(&self.running, self.size_max(), &self.pace) {
                Some(desk) => desk.take(&user, order, message).await,
                None => Err(switched_off()),
            };
            let said = match said {
                Ok(id) => Said::Accepted { id },
                Err(reply) => Said::Refused {
                    code: reply.code,
                    status: reply.status_or_general().to_string(),
                    text: reply.text,
                },
            };
            serde_json::to_value(said).map_err(|error| Failure::new(Kind::Broken, error.to_string()))
        })
    }
}

fn switched_off() -> Reply {
    Reply::new(
        550,
        Status::permanent(7, 1),
        "Programs of this machine may not send: sendmail { enabled #false }",
    )
}

fn desk(running: &Running, size_max: usize, pace: &Pace) -> Option<LocalDesk> {
    let config = running.config().sendmail;
    config.is_offered().then(|| LocalDesk {
        config,
        intake: running.intake().clone(),
        world: running.world().clone(),
        spool_dir: running.store().spool_dir().to_owned(),
        size_max: size_max as u64,
        pace: pace.clone(),
    })
}

/// The user behind a number, asked of the system's list of users, which may be on another machine.
async fn who(uid: u32) -> LocalUser {
    let rank = if uid == 0 || uid == geteuid().as_raw() { Rank::Trusted } else { Rank::Usual };
    let found = tokio::task::spawn_blocking(move || User::from_uid(Uid::from_raw(uid))).await;
    let name = match found {
        Ok(Ok(Some(user))) => user.name,
        Ok(Ok(None)) => format!("uid{uid}"),
        Ok(Err(error)) => {
            warn!(uid, %error, "the system does not say who this user is");
            format!("uid{uid}")
        }
        Err(error) => {
            error!(uid, %error, "the system could not be asked who this user is");
            format!("uid{uid}")
        }
    };
    LocalUser { uid, name, rank }
}

/// The socket, if the configuration wants one. That it cannot be had keeps no server from serving.
pub(crate) fn bind(config: &Config) -> Option<LocalListener> {
    if !config.sendmail.is_offered() {
        return None;
    }
    let path = config.sendmail_socket();
    match LocalListener::bind_for_all(&path) {
        Ok(listener) => Some(listener),
        Err(error) => {
            warn!(path = %path.display(), %error, "the socket for sendmail cannot be made: programs of this machine cannot send");
            None
        }
    }
}

/// Serves the socket until the server stops.
pub(crate) async fn serve(listener: LocalListener, running: Arc<Running>, stop: Stop) {
    if let Err(error) =
        web::serve_local(listener, Arc::new(Taker { running, pace: Pace::default() }), stop).await
    {
        error!(%error, "the socket for sendmail ended");
    }
}
