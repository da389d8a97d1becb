//! Who may log in: credentials from the store, checked away from the threads that serve connections, and not more often
//! than guessing should be.

mod app;
mod certificate;
mod config;
mod counts;
mod oauth;
mod scram;
mod standing;
mod turns;

pub(crate) use app::Use;
use auth::{
    Answer, Authenticate, Claim, Denied, Ending, Guesses, Identity, Login, Mechanism, NameMask, Proof,
    Recent, Scope, ScramFacts, ScramHash, Service, TooMany, Trace, Verdict, Visitor, source_of,
};
pub(crate) use config::Logins;
pub(crate) use counts::{GuessInfo, GuessLift};
use net::{Bans, Offence};
pub(crate) use scram::verifier;
use scram::{Readiness, Upgrades};
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use storage::{PasswordHash, Store};
use tracing::{info, warn};
use turns::{Turn, Turns};
use world::meter::{self, Door};
use world::{Clock, Meter, Random, World};

/// The one judge of logins, for all doors together.
pub(crate) struct Judge {
    store: Store,
    turns: Turns,
    memory: Arc<Mutex<Memory>>,
    clock: Arc<dyn Clock>,
    meter: Meter,
    random: Arc<dyn Random>,
    mask: Arc<NameMask>,
    introspection: oauth::Introspection,
    readiness: Readiness,
    upgrades: Upgrades,
    /// Who hears of wrong passwords, and of right ones.
    bans: OnceLock<Bans>,
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
    stored: Option<PasswordHash>,
    /// The stored hash with where the login comes from: what others sent from elsewhere is nobody's business.
    against: String,
}

impl Judge {
    pub(crate) async fn new(store: Store, options: Logins, world: &World) -> Self {
        let mut key = [0; 32];
        world.random.fill(&mut key);
        let memory = Memory {
            guesses: Guesses::new(options.limits, &key),
            options,
            right: Recent::new(auth::RIGHT_TIME, &key),
            wrong: Recent::new(auth::WRONG_TIME, &key),
        };
        let readiness = Readiness::watch(&store).await;
        Self {
            upgrades: Upgrades::new(store.clone()),
            store,
            turns: Turns::new(),
            memory: Arc::new(Mutex::new(memory)),
            clock: world.clock.clone(),
            meter: world.meter.clone(),
            random: world.random.clone(),
            mask: Arc::new(NameMask::new(&key)),
            introspection: oauth::Introspection::new(world, key),
            readiness,
            bans: OnceLock::new(),
        }
    }

    /// Who is told of guesses from now on; once.
    pub(crate) fn tell(&self, bans: Bans) {
        let _ = self.bans.set(bans);
    }

    /// A wrong password came from there that was not known to be wrong.
    fn note_guess(&self, from: IpAddr) {
        note_guess(self.bans.get(), &self.memory, from);
    }

    fn note(&self, verdict: &Verdict, from: IpAddr) {
        if let (Ok(_), Some(bans)) = (verdict, self.bans.get()) {
            bans.vouch(from);
        }
    }

    /// Other options from now on; what was counted stays.
    pub(crate) fn reconfigure(&self, options: Logins) {
        let mut memory = lock(&self.memory);
        memory.guesses.set(options.limits);
        memory.options = options;
    }

    async fn judge(&self, login: Login, from: IpAddr) -> Verdict {
        self.admit(&login.user, from).await?;
        if let Some(identity) = self.by_app_password(&login).await? {
            lock(&self.memory).guesses.right(&login.user, from, self.now());
            return Ok(identity);
        }
        let stored = self.store.credential(&login.user).await.map_err(|error| {
            warn!(user = self.mask.of(&login.user), %error, "a login cannot be checked");
            Denied::Unavailable(error.to_string())
        })?;
        let stored = stored.map(|credential| credential.password);
        let phc = stored.as_ref().map(PasswordHash::as_str).unwrap_or_default();
        let against = format!("{} {phc}", source_of(from));
        let case = Case { login, from, stored, against };
        if let Some(verdict) = self.known(&case) {
            return verdict;
        }
        let turn = self.turn(from).await?;
        // Others of the same address had their turn meanwhile.
        self.admit(&case.login.user, from).await?;
        match self.known(&case) {
            Some(verdict) => verdict,
            None => self.hash(case, turn).await,
        }
    }

    /// Whether a password for this account may be tried from there now.
    async fn admit(&self, user: &str, from: IpAddr) -> Result<(), Denied> {
        let asked = lock(&self.memory).ask(user, from, self.now());
        let Err(too_many) = asked else { return Ok(()) };
        let (user, wait) = (self.shown(user).await, too_many.wait.as_secs());
        info!(user, peer = %from, why = %too_many.of, wait, "login refused unseen");
        Err(Denied::TooManyGuesses(too_many))
    }

    /// A name as the log may show it: that of an account, or the mark of what else somebody has typed.
    async fn shown(&self, user: &str) -> String {
        match self.store.credential(user).await {
            Ok(Some(_)) => user.to_owned(),
            Ok(None) | Err(_) => self.mask.of(user),
        }
    }

    /// The verdict on a login that was judged a moment ago. A wrong one that comes again is no new guess.
    fn known(&self, case: &Case) -> Option<Verdict> {
        let memory = lock(&self.memory);
        let now = self.now();
        if let Some(stored) = &case.stored
            && memory.right.knows(&case.login, stored.as_str(), now)
        {
            return Some(Ok(by_password(case.login.user.clone(), stored)));
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
        let (upgrades, mask, bans) = (self.upgrades.clone(), self.mask.clone(), self.bans.get().cloned());
        let from = case.from;
        let work = move || {
            let phc = case.stored.as_ref().map(PasswordHash::as_str);
            let is_right = auth::verify(&case.login.password, phc);
            if is_right && let Some(stored) = &case.stored {
                upgrades.offer(&case.login, stored);
            }
            let verdict = lock(&memory).settle(case, is_right, unix(clock.as_ref()), &mask);
            if verdict == Err(Denied::WrongCredentials) {
                note_guess(bans.as_ref(), &memory, from);
            }
            drop(turn);
            verdict
        };
        let done = tokio::task::spawn_blocking(work).await;
        done.map_err(|error| Denied::Unavailable(error.to_string())).flatten()
    }

    async fn judge_claim(&self, claim: Claim, visitor: Visitor) -> Verdict {
        let identity = match claim {
            Claim::Password(login) => self.judge(login, visitor.from).await?,
            Claim::Scram { user, proof } => self.settle_scram(user, proof, visitor.from).await?,
            Claim::Token(claim) => self.judge_token(claim, visitor.from).await?,
            Claim::Certificate { authorize, key } => {
                self.judge_certificate(authorize, key, visitor.from).await?
            }
        };
        if identity.scope().covers(visitor.service) {
            return Ok(identity);
        }
        info!(account = %identity, peer = %visitor.from, service = ?visitor.service, "login out of scope");
        Err(Denied::OutOfScope)
    }

    fn count(&self, visitor: Visitor, denied: Option<&Denied>) {
        let door = match visitor.service {
            Service::Submission => Door::Submission,
            Service::Imap => Door::Imap,
        };
        let result = match denied {
            None => meter::Login::Good,
            Some(Denied::WrongCredentials | Denied::OutOfScope) => meter::Login::Failed,
            Some(Denied::TooManyGuesses(_)) => meter::Login::Blocked,
            Some(Denied::Unavailable(_)) => meter::Login::Unavailable,
        };
        self.meter.logins.add(door, result);
    }

    fn now(&self) -> u64 {
        unix(self.clock.as_ref())
    }
}

impl Memory {
    fn ask(&self, user: &str, from: IpAddr, now: u64) -> Result<(), TooMany> {
        if self.options.is_exempt(from) { Ok(()) } else { self.guesses.ask(user, from, now) }
    }

    fn settle(&mut self, case: Case, is_right: bool, now: u64, mask: &NameMask) -> Verdict {
        let Case { login, from, stored, against } = case;
        match stored {
            Some(stored) if is_right => {
                self.guesses.right(&login.user, from, now);
                self.right.remember(&login, stored.as_str(), now);
                Ok(by_password(login.user, &stored))
            }
            stored => {
                if !self.options.is_exempt(from) {
                    self.guesses.wrong(&login.user, from, now);
                }
                self.wrong.remember(&login, &against, now);
                let user = if stored.is_some() { login.user } else { mask.of(&login.user) };
                info!(user, peer = %from, known = stored.is_some(), "login refused");
                Err(Denied::WrongCredentials)
            }
        }
    }
}

fn note_guess(bans: Option<&Bans>, memory: &Mutex<Memory>, from: IpAddr) {
    if let Some(bans) = bans
        && !lock(memory).options.is_exempt(from)
    {
        bans.report(from, Offence::Guess);
    }
}

fn unix(clock: &dyn Clock) -> u64 {
    u64::try_from(clock.unix()).unwrap_or_default()
}

fn lock(memory: &Mutex<Memory>) -> MutexGuard<'_, Memory> {
    memory.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Somebody who knows the account's password.
fn by_password(account: String, stored: &PasswordHash) -> Identity {
    Identity::new(account, Scope::ALL, Proof::Password(Trace::of(stored.as_str())))
}

impl Authenticate for Judge {
    fn mechanisms(&self) -> Vec<Mechanism> {
        let memory = lock(&self.memory);
        let scram = memory.options.scram.is_announced(self.readiness.is_complete());
        let tokens = memory.options.oauth.is_some();
        let can =
            |mechanism: &Mechanism| (scram || !mechanism.is_scram()) && (tokens || !mechanism.takes_tokens());
        Mechanism::ALL.iter().copied().filter(can).collect()
    }

    fn authenticate<'a>(&'a self, claim: Claim, visitor: Visitor) -> Answer<'a, Verdict> {
        Box::pin(async move {
            let verdict = self.judge_claim(claim, visitor).await;
            self.count(visitor, verdict.as_ref().err());
            self.note(&verdict, visitor.from);
            verdict
        })
    }

    fn scram<'a>(
        &'a self,
        user: &'a str,
        hash: ScramHash,
        visitor: Visitor,
    ) -> Answer<'a, Result<ScramFacts, Denied>> {
        Box::pin(async move {
            let facts = self.scram_facts(user, hash, visitor.from).await;
            if let Err(denied) = &facts {
                self.count(visitor, Some(denied));
            }
            facts
        })
    }

    fn discovery(&self) -> auth::Discovery {
        let oauth = lock(&self.memory).options.oauth.clone();
        oauth.map(|oauth| oauth.discovery()).unwrap_or_default()
    }

    fn ending(self: Arc<Self>, identity: Identity) -> Ending {
        Ending::when(standing::Watching::begin(self.store.clone(), self.clock.clone(), identity))
    }
}

#[cfg(test)]
mod scram_tests;
#[cfg(test)]
mod tests;
