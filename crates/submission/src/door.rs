//! The door: one connection from greeting to end.

use crate::config::{Config, InsecureAuth};
use crate::visit::{Visit, mechanisms};
use auth::Authenticate;
use net::Conn;
use smtp_door::{Ledger, counted};
use smtp_proto::Extension;
use smtp_proto::server::{AuthOptions, ClearAuth, HoldLimits, Options, Senders, StartTls};
use std::sync::{Arc, PoisonError, RwLock};
use world::meter::{Reason, Refused};

/// What the door needs of the house.
#[derive(Clone)]
pub struct Deps {
    pub door: smtp_door::Deps,
    /// Who decides about logins, for all doors together.
    pub authenticate: Arc<dyn Authenticate>,
}

/// Takes mail from our own senders, once they are logged in.
pub struct Door {
    config: RwLock<Arc<Config>>,
    deps: Deps,
    ledger: Ledger,
}

impl Door {
    pub fn new(config: Config, deps: Deps) -> Self {
        let ledger = Ledger::new(&config.door, &deps.door.world);
        Self { config: RwLock::new(Arc::new(config)), deps, ledger }
    }

    /// New options, for connections from now on.
    pub fn reconfigure(&self, config: Config) {
        self.ledger.set(&config.door);
        *self.config.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(config);
    }

    /// Serves one connection to its end.
    pub async fn serve(&self, conn: Conn) {
        let config = self.config.read().unwrap_or_else(PoisonError::into_inner).clone();
        let options = self.options(&config, &conn);
        if let Err(reply) = self.ledger.admit(&conn, &options) {
            let meter = &self.deps.door.world.meter;
            let reply = counted::refused_because(meter, Refused::Client, Reason::TooMuch, reply);
            return smtp_door::turn_away(conn, options, reply).await;
        }
        let visit = Visit::new(&self.deps, &self.ledger, &conn, &config);
        smtp_door::converse(conn, options, config.door.idle_timeout, visit).await;
    }

    fn options(&self, config: &Config, conn: &Conn) -> Options {
        let mut options = smtp_door::options(&config.door, &self.deps.door, conn);
        // Where logins in clear are allowed, nobody is made to begin TLS.
        options.starttls = match (conn.offers_tls(), config.insecure_auth) {
            (false, _) => StartTls::Absent,
            (true, InsecureAuth::Refused) => StartTls::Required,
            (true, InsecureAuth::Allowed) => options.starttls,
        };
        options.extensions = options.extensions.with(Extension::MtPriority).with(Extension::DeliverBy);
        // Few servers take a binary message, and where none does it would come back: who is not offered that encodes it, which
        // nobody but the author can do without breaking signatures (RFC 3030 §3).
        options.extensions = options.extensions.without(Extension::BinaryMime);
        let interval = u32::try_from(config.max_hold.as_secs()).unwrap_or(u32::MAX);
        if interval > 0 {
            let until = self.deps.door.world.clock.unix().saturating_add(i64::from(interval));
            options.extensions = options.extensions.with(Extension::FutureRelease);
            options.hold = Some(HoldLimits { interval, until });
        }
        options.senders = Senders::Authenticated;
        options.auth = AuthOptions {
            mechanisms: mechanisms(self.deps.authenticate.as_ref(), conn),
            clear: match config.insecure_auth {
                InsecureAuth::Refused => ClearAuth::Refused,
                InsecureAuth::Allowed => ClearAuth::Allowed,
            },
        };
        options
    }
}
