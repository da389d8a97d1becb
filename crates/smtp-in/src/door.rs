//! The door: one connection from greeting to end.

use crate::config::Config;
use crate::early::{self, Manners};
use crate::filters::Desk;
use crate::visit::Visit;
use net::Conn;
use policy::Pipeline;
use policy::filter::Filters;
use smtp_door::{Ledger, counted};
use smtp_proto::Extension;
use std::sync::{Arc, PoisonError, RwLock};
use storage::Store;
use tracing::warn;
use world::meter::{Reason, Refused};

/// What the door needs of the house.
#[derive(Clone)]
pub struct Deps {
    pub door: smtp_door::Deps,
    /// Remembers who came again.
    pub store: Store,
}

/// Takes mail from strangers.
pub struct Door {
    config: RwLock<Arc<Config>>,
    pipeline: RwLock<Pipeline>,
    desk: RwLock<Desk>,
    deps: Deps,
    ledger: Ledger,
}

impl Door {
    /// The pipeline judges each message before it is taken, and then the filters do.
    pub fn new(config: Config, pipeline: Pipeline, desk: Desk, deps: Deps) -> Self {
        let ledger = Ledger::new(&config.door, &deps.door.world);
        warn_of(&config);
        let (config, pipeline) = (RwLock::new(Arc::new(config)), RwLock::new(pipeline));
        Self { config, pipeline, desk: RwLock::new(desk), deps, ledger }
    }

    /// New options, for connections from now on.
    pub fn reconfigure(&self, config: Config) {
        self.ledger.set(&config.door);
        warn_of(&config);
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

    /// Other filters, for connections from now on.
    pub fn filter_by(&self, filters: Filters) {
        let mut desk = self.desk.write().unwrap_or_else(PoisonError::into_inner);
        *desk = desk.clone().with(filters);
    }

    /// Serves one connection to its end.
    pub async fn serve(&self, conn: Conn) {
        let config = self.config.read().unwrap_or_else(PoisonError::into_inner).clone();
        let mut options = smtp_door::options(&config.door, &self.deps.door, &conn);
        options.extensions = options.extensions.with(Extension::MtPriority).with(Extension::DeliverBy);
        // What goes on from here would come back where a server takes no binary message (RFC 3030 §3).
        if config.relay_from.iter().any(|network| network.contains(conn.peer().ip())) {
            options.extensions = options.extensions.without(Extension::BinaryMime);
        }
        let meter = &self.deps.door.world.meter;
        if let Err(reply) = self.ledger.admit(&conn, &options) {
            let reply = counted::refused_because(meter, Refused::Client, Reason::TooMuch, reply);
            return smtp_door::turn_away(conn, options, reply).await;
        }
        let blot = match early::listen(&config.early_talkers, &conn).await {
            Manners::Good => None,
            Manners::Bad(blot) => Some(blot),
            Manners::Refused(reply) => {
                let reply = counted::refused_because(meter, Refused::Client, Reason::EarlyTalker, reply);
                return smtp_door::turn_away(conn, options, reply).await;
            }
            Manners::Gone => return,
        };
        let idle_timeout = config.door.idle_timeout;
        let desk = self.desk.read().unwrap_or_else(PoisonError::into_inner).clone();
        let judges = (self.pipeline(), desk);
        let visit = Visit::new(&self.deps, &self.ledger, config, judges, &conn).blotted(blot);
        smtp_door::converse(conn, options, idle_timeout, visit).await;
    }
}

/// Says what is dangerous.
fn warn_of(config: &Config) {
    if let Some(network) = config.relay_from.iter().find(|network| network.is_everything()) {
        warn!(
            %network,
            "smtp relay-from names every address: this server is an open relay, which will be found and abused within \
             hours; name the networks of your own machines"
        );
    }
}
