//! The door: takes connections, and holds what they share.

use crate::client::Client;
use crate::config::Config;
use crate::gallery::Pictures;
use crate::roster::Rosters;
use crate::transit::Transit;
use auth::Authenticate;
use mail::Domain;
use net::Conn;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};
use storage::{AccountId, Store};
use world::World;

/// Said in clear to whom the limits of `net` refuse.
pub const BUSY: &[u8] = b"* BYE [UNAVAILABLE] Too many connections; try again later.\r\n";

/// Serves IMAP. One for all listeners of the daemon.
pub struct Door {
    house: Arc<House>,
}

/// What all sessions share.
pub(crate) struct House {
    pub(crate) hostname: Domain,
    pub(crate) store: Store,
    pub(crate) authenticate: Arc<dyn Authenticate>,
    pub(crate) world: World,
    pub(crate) pictures: Pictures,
    pub(crate) rosters: Rosters,
    pub(crate) transit: Transit,
    config: RwLock<Arc<Config>>,
    seats: Mutex<HashMap<AccountId, usize>>,
}

impl Door {
    pub fn new(
        config: Config,
        hostname: Domain,
        store: Store,
        authenticate: Arc<dyn Authenticate>,
        world: World,
    ) -> Self {
        let house = House {
            hostname,
            store,
            authenticate,
            world,
            pictures: Pictures::default(),
            rosters: Rosters::default(),
            transit: Transit::default(),
            config: RwLock::new(Arc::new(config)),
            seats: Mutex::new(HashMap::new()),
        };
        Self { house: Arc::new(house) }
    }

    /// Serves one connection to its end.
    pub async fn serve(&self, conn: Conn) {
        Client::new(Arc::clone(&self.house), conn).run().await;
    }

    /// New connections use `config`; those that are open keep theirs.
    pub fn reconfigure(&self, config: Config) {
        *self.house.config.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(config);
    }
}

impl House {
    pub(crate) fn config(&self) -> Arc<Config> {
        Arc::clone(&self.config.read().unwrap_or_else(PoisonError::into_inner))
    }

    fn seats(&self) -> MutexGuard<'_, HashMap<AccountId, usize>> {
        self.seats.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A place among the account's connections; `None` if all `most` are taken.
    pub(crate) fn seat(self: &Arc<Self>, account: AccountId, most: usize) -> Option<Seat> {
        let mut seats = self.seats();
        let taken = seats.entry(account).or_insert(0);
        if *taken >= most {
            return None;
        }
        *taken += 1;
        Some(Seat { house: Arc::clone(self), account })
    }
}

/// A place among an account's connections, given back on drop.
pub(crate) struct Seat {
    house: Arc<House>,
    account: AccountId,
}

impl Drop for Seat {
    fn drop(&mut self) {
        let mut seats = self.house.seats();
        if let Some(taken) = seats.get_mut(&self.account) {
            *taken -= 1;
            if *taken == 0 {
                seats.remove(&self.account);
            }
        }
    }
}
