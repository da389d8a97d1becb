//! SCRAM for the judge: what an account is asked with, what is announced, and verifiers that are made when a password is
//! seen.

use super::{Denied, Judge, Login, Verdict, lock};
use auth::{
    Identity, Proof, SCRAM_ITERATIONS, SCRAM_KEYS_MAX, Scope, ScramFacts, ScramHash, ScramKeys, Secret,
    source_of,
};
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use storage::{PasswordHash, ScramSalt, ScramVerifier, Store};
use tokio::sync::Semaphore;
use tracing::{info, warn};

/// Letters of the server's part of the nonce: some 120 bits.
const NONCE_LETTERS: usize = 24;

impl Judge {
    pub(super) async fn scram_facts(
        &self,
        user: &str,
        hash: ScramHash,
        from: IpAddr,
    ) -> Result<ScramFacts, Denied> {
        self.admit(user, from).await?;
        let unavailable = |error: storage::Error| {
            warn!(user = self.mask.of(user), %error, "a login cannot be checked");
            Denied::Unavailable(error.to_string())
        };
        let ScramSalt { salt, asked_with, .. } = self.store.scram_salt(user).await.map_err(unavailable)?;
        let credential = self.store.credential(user).await.map_err(unavailable)?;
        let mut keys = Vec::new();
        if let Some(password) = credential.map(|credential| credential.password)
            && let Some(found) = password.scram().and_then(|scram| keys_of(scram, hash))
        {
            keys.push((super::by_password(String::new(), &password).proof().clone(), found));
        }
        for one in self.live_app_passwords(user).await? {
            let octets = match hash {
                ScramHash::Sha1 => &one.scram_sha_1,
                ScramHash::Sha256 => &one.scram_sha_256,
            };
            keys.extend(ScramKeys::from_octets(octets, hash).map(|keys| (Proof::AppPassword(one.id), keys)));
        }
        keys.truncate(SCRAM_KEYS_MAX);
        let nonce = self.random.word(NONCE_LETTERS);
        Ok(ScramFacts { salt, iterations: asked_with.unwrap_or(SCRAM_ITERATIONS), keys, nonce })
    }

    /// The end of an exchange. Asks once more whether a guess is free: many exchanges may have begun at once.
    pub(super) async fn settle_scram(&self, user: String, proof: Option<Proof>, from: IpAddr) -> Verdict {
        let identity = match proof {
            Some(Proof::AppPassword(id)) => Some(self.app_password(&user, id).await?),
            Some(proof) => Some(Identity::new(user.clone(), Scope::ALL, proof)),
            None => None,
        };
        self.admit(&user, from).await?;
        let now = self.now();
        let Some(identity) = identity else {
            let user_shown = self.shown(&user).await;
            let mut memory = lock(&self.memory);
            if !memory.options.is_exempt(from) {
                memory.guesses.wrong(&user, from, now);
            }
            // What the password was nobody knows: who comes with a wrong one again may have an old one.
            let (login, against) =
                (Login { user, password: Secret::new(String::new()) }, source_of(from).to_string());
            let is_new = !memory.wrong.knows(&login, &against, now);
            if is_new {
                memory.wrong.remember(&login, &against, now);
            }
            drop(memory);
            if is_new {
                self.note_guess(from);
            }
            info!(user = user_shown, peer = %from, "login refused");
            return Err(Denied::WrongCredentials);
        };
        lock(&self.memory).guesses.right(&user, from, now);
        Ok(identity)
    }
}

fn keys_of(scram: &ScramVerifier, hash: ScramHash) -> Option<ScramKeys> {
    let octets = match hash {
        ScramHash::Sha1 => &scram.sha_1,
        ScramHash::Sha256 => &scram.sha_256,
    };
    ScramKeys::from_octets(octets, hash)
}

/// Makes what SCRAM needs of a secret. Costs some milliseconds.
pub(crate) fn verifier(secret: &Secret, salt: ScramSalt) -> ScramVerifier {
    let ScramSalt { salt, iterations, .. } = salt;
    let iterations = iterations.unwrap_or(SCRAM_ITERATIONS);
    let keys = |hash| ScramKeys::derive(secret, &salt, iterations, hash).to_octets();
    let (sha_1, sha_256) = (keys(ScramHash::Sha1), keys(ScramHash::Sha256));
    ScramVerifier { salt, iterations, sha_1, sha_256 }
}

/// Whether SCRAM works for every account that can log in with a password, kept up to date.
pub(super) struct Readiness(Arc<AtomicBool>);

impl Readiness {
    /// Looks now, and again after each change, as long as the store is open.
    pub(super) async fn watch(store: &Store) -> Self {
        let mut bell = store.watch_credentials();
        let complete = Arc::new(AtomicBool::new(look(store, false).await));
        let (store, seen) = (store.clone(), Arc::downgrade(&complete));
        tokio::spawn(async move {
            while bell.changed().await.is_ok() {
                let Some(complete) = seen.upgrade() else { return };
                let was = complete.load(Ordering::Relaxed);
                complete.store(look(&store, was).await, Ordering::Relaxed);
            }
        });
        Self(complete)
    }

    pub(super) fn is_complete(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

/// Whether no credential lacks what SCRAM needs; as it `was` while that cannot be found out.
async fn look(store: &Store, was: bool) -> bool {
    match store.lacks_scram().await {
        Ok(lacks) => !lacks,
        Err(error) => {
            warn!(%error, "whether SCRAM can be offered cannot be found out");
            was
        }
    }
}

/// Makes what SCRAM needs of passwords that came in clear, one after the other.
#[derive(Clone)]
pub(super) struct Upgrades {
    store: Store,
    turn: Arc<Semaphore>,
}

impl Upgrades {
    pub(super) fn new(store: Store) -> Self {
        Self { store, turn: Arc::new(Semaphore::new(1)) }
    }

    /// A password that was right, from a thread that may wait. If another one is being worked on, this one's turn comes
    /// with another login.
    pub(super) fn offer(&self, login: &Login, stored: &PasswordHash) {
        if stored.scram().is_some() {
            return;
        }
        let Ok(turn) = self.turn.clone().try_acquire_owned() else { return };
        let (store, user) = (self.store.clone(), login.user.clone());
        let (password, stored) = (login.password.clone(), stored.clone());
        tokio::spawn(async move {
            if let Err(why) = upgrade(&store, &user, password, stored).await {
                warn!(user, why, "a password could not be prepared for SCRAM");
            }
            drop(turn);
        });
    }
}

async fn upgrade(store: &Store, user: &str, password: Secret, stored: PasswordHash) -> Result<(), String> {
    let salt = store.scram_salt(user).await.map_err(|error| error.to_string())?;
    let make = move || verifier(&password, salt);
    let scram = tokio::task::spawn_blocking(make).await.map_err(|error| error.to_string())?;
    store.add_scram(user, &stored.with_scram(scram)).await.map_err(|error| error.to_string())
}
