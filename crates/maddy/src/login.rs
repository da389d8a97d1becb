//! Who may log in: credentials from the store, checked away from the threads that serve connections, and not more often
//! than guessing should be.

mod config;
mod turns;

use auth::{Authenticate, Denied, Guesses, Identity, Login, Recent, TooMany, Verdict, source_of};
pub(crate) use config::Logins;
use std::net::IpAddr;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use storage::Store;
use tracing::{info, warn};
use turns::{Turn, Turns};
use world::{Clock, World};

/// The one judge of logins, for all doors together.
pub(crate) struct Judge {
    store: Store,
    turns: Turns,
    memory: Arc<Mutex<Memory>>,
    clock: Arc<dyn Clock>,
}

/// What is remembered of logins.
struct Memory {
    options: Logins,
    guesses: Guesses,
    right: Recent,
    wrong: Recent,
}

/// A login on its way, with what it is held against.
struct Case {
    login: Login,
    from: IpAddr,
    stored: Option<String>,
    /// The stored hash with where the login comes from: what others sent from elsewhere is nobody's business.
    against: String,
}

impl Judge {
    pub(crate) fn new(store: Store, options: Logins, world: &World) -> Self {
        let mut key = [0; 32];
        world.random.fill(&mut key);
        let memory = Memory {
            guesses: Guesses::new(options.limits, &key),
            options,
            right: Recent::new(auth::RIGHT_TIME, &key),
            wrong: Recent::new(auth::WRONG_TIME, &key),
        };
        Self { store, turns: Turns::new(), memory: Arc::new(Mutex::new(memory)), clock: world.clock.clone() }
    }

    /// Other options from now on; what was counted stays.
    pub(crate) fn reconfigure(&self, options: Logins) {
        let mut memory = lock(&self.memory);
        memory.guesses.set(options.limits);
        memory.options = options;
    }

    async fn judge(&self, login: Login, from: IpAddr) -> Verdict {
        self.admit(&login, from)?;
        let stored = self.store.credential(&login.user).await.map_err(|error| {
            warn!(user = login.user, %error, "a login cannot be checked");
            Denied::Unavailable(error.to_string())
        })?;
        let stored = stored.map(|credential| credential.password.as_str().to_owned());
        let against = format!("{} {}", source_of(from), stored.as_deref().unwrap_or_default());
        let case = Case { login, from, stored, against };
        if let Some(verdict) = self.known(&case) {
            return verdict;
        }
        let turn = self.turn(from).await?;
        // Others of the same address had their turn meanwhile.
        self.admit(&case.login, from)?;
        match self.known(&case) {
            Some(verdict) => verdict,
            None => self.hash(case, turn).await,
        }
    }

    /// Whether a password for this account may be tried from there now.
    fn admit(&self, login: &Login, from: IpAddr) -> Result<(), Denied> {
        lock(&self.memory).ask(&login.user, from, self.now()).map_err(|too_many| {
            let wait = too_many.wait.as_secs();
            info!(user = login.user, peer = %from, why = %too_many.of, wait, "login refused unseen");
            Denied::TooManyGuesses(too_many)
        })
    }

    /// The verdict on a login that was judged a moment ago. A wrong one that comes again is no new guess.
    fn known(&self, case: &Case) -> Option<Verdict> {
        let memory = lock(&self.memory);
        let now = self.now();
        if let Some(stored) = &case.stored
            && memory.right.knows(&case.login, stored, now)
        {
            return Some(Ok(Identity::proven(case.login.user.clone())));
        }
        memory.wrong.knows(&case.login, &case.against, now).then_some(Err(Denied::WrongCredentials))
    }

    async fn turn(&self, from: IpAddr) -> Result<Turn, Denied> {
        // What comes from an exempt address is the traffic of many.
        let source = (!lock(&self.memory).options.is_exempt(from)).then(|| source_of(from));
        let turn = self.turns.take(source).await;
        turn.ok_or_else(|| Denied::Unavailable("too many logins at once".to_owned()))
    }

    /// Compares, and remembers what came out. That is done, and the turn kept, even if the client is gone by then.
    async fn hash(&self, case: Case, turn: Turn) -> Verdict {
        let (memory, clock) = (self.memory.clone(), self.clock.clone());
        let work = move || {
            let is_right = auth::verify(&case.login.password, case.stored.as_deref());
            let verdict = lock(&memory).settle(case, is_right, unix(clock.as_ref()));
            drop(turn);
            verdict
        };
        let done = tokio::task::spawn_blocking(work).await;
        done.map_err(|error| Denied::Unavailable(error.to_string())).flatten()
    }

    fn now(&self) -> u64 {
        unix(self.clock.as_ref())
    }
}

impl Memory {
    fn ask(&self, user: &str, from: IpAddr, now: u64) -> Result<(), TooMany> {
        if self.options.is_exempt(from) { Ok(()) } else { self.guesses.ask(user, from, now) }
    }

    fn settle(&mut self, case: Case, is_right: bool, now: u64) -> Verdict {
        let Case { login, from, stored, against } = case;
        match stored {
            Some(stored) if is_right => {
                self.guesses.right(&login.user, from, now);
                self.right.remember(&login, &stored, now);
                Ok(Identity::proven(login.user))
            }
            stored => {
                if !self.options.is_exempt(from) {
                    self.guesses.wrong(&login.user, from, now);
                }
                self.wrong.remember(&login, &against, now);
                info!(user = login.user, peer = %from, known = stored.is_some(), "login refused");
                Err(Denied::WrongCredentials)
            }
        }
    }
}

fn unix(clock: &dyn Clock) -> u64 {
    u64::try_from(clock.unix()).unwrap_or_default()
}

fn lock(memory: &Mutex<Memory>) -> MutexGuard<'_, Memory> {
    memory.lock().unwrap_or_else(PoisonError::into_inner)
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

#[cfg(test)]
mod tests;
