//! Who may log in: credentials from the store, checked away from the threads that serve connections.

use auth::{Authenticate, Denied, Identity, Login, Recent, Verdict};
use std::net::IpAddr;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use storage::Store;
use tokio::sync::Semaphore;
use tracing::{info, warn};
use world::{Clock, World};

/// Hashes at the same time, for each processor: each costs 19 MiB and some 10 ms.
const HASHES_PER_CORE: usize = 2;
/// Longest wait for one's turn to be hashed.
const TURN_TIMEOUT: Duration = Duration::from_secs(10);

/// The one judge of logins, for all doors together.
pub(crate) struct Judge {
    store: Store,
    turns: Arc<Semaphore>,
    recent: Mutex<Recent>,
    clock: Arc<dyn Clock>,
}

impl Judge {
    pub(crate) fn new(store: Store, world: &World) -> Self {
        let mut key = [0; 32];
        world.random.fill(&mut key);
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        Self {
            store,
            turns: Arc::new(Semaphore::new(cores * HASHES_PER_CORE)),
            recent: Mutex::new(Recent::new(&key)),
            clock: world.clock.clone(),
        }
    }

    async fn judge(&self, login: Login, from: IpAddr) -> Verdict {
        let stored = self.store.credential(&login.user).await.map_err(|error| {
            warn!(user = login.user, %error, "a login cannot be checked");
            Denied::Unavailable(error.to_string())
        })?;
        let stored = stored.map(|credential| credential.password.as_str().to_owned());
        let now = u64::try_from(self.clock.unix()).unwrap_or_default();
        if stored.as_ref().is_some_and(|stored| self.recent().knows(&login, stored, now)) {
            return Ok(Identity::proven(login.user));
        }
        if !self.hash(&login, stored.clone()).await? {
            info!(user = login.user, peer = %from, known = stored.is_some(), "login refused");
            return Err(Denied::WrongCredentials);
        }
        if let Some(stored) = stored {
            self.recent().remember(&login, &stored, now);
        }
        Ok(Identity::proven(login.user))
    }

    /// Waits for a turn and compares. The turn is kept until the hash is done, even if the client is gone by then.
    async fn hash(&self, login: &Login, stored: Option<String>) -> Result<bool, Denied> {
        let busy = || Denied::Unavailable("too many logins at once".to_owned());
        let turn = tokio::time::timeout(TURN_TIMEOUT, self.turns.clone().acquire_owned())
            .await
            .map_err(|_| busy())?
            .map_err(|_| busy())?;
        let password = login.password.clone();
        let work = move || {
            let _turn = turn;
            auth::verify(&password, stored.as_deref())
        };
        tokio::task::spawn_blocking(work).await.map_err(|error| Denied::Unavailable(error.to_string()))
    }

    fn recent(&self) -> MutexGuard<'_, Recent> {
        self.recent.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Authenticate for Judge {
    fn authenticate<'a>(
        &'a self,
        login: Login,
        from: IpAddr,
    ) -> Pin<Box<dyn Future<Output = Verdict> + Send + 'a>> {
        Box::pin(self.judge(login, from))
    }
}
