//! The questions that every door asks about a login.

use crate::exchange::Mechanism;
use crate::guess::TooMany;
use crate::identity::{Identity, Proof, Visitor};
use crate::login::Login;
use crate::oauth::{Discovery, TokenClaim};
use crate::scram::{ScramFacts, ScramHash};
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};

/// What becomes of a login.
pub type Verdict = Result<Identity, Denied>;

/// An answer that may take its time.
pub type Answer<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// The end of a login, which may come while the session goes on.
pub struct Ending(Mutex<Answer<'static, ()>>);

impl Ending {
    /// Comes when the future is over.
    pub fn when(future: impl Future<Output = ()> + Send + 'static) -> Self {
        Self(Mutex::new(Box::pin(future)))
    }

    /// Never comes.
    pub fn never() -> Self {
        Self::when(std::future::pending())
    }

    /// Returns when it comes, and only once. Cancel-safe.
    pub async fn wait(&mut self) {
        self.0.get_mut().unwrap_or_else(PoisonError::into_inner).await;
        *self = Self::never();
    }
}

impl fmt::Debug for Ending {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Ending")
    }
}

/// What somebody puts forward to be believed.
#[derive(Clone, Debug)]
pub enum Claim {
    /// A password.
    Password(Login),
    /// The end of a SCRAM exchange: what the proof was made with, `None` if it was wrong.
    Scram { user: String, proof: Option<Proof> },
    /// A TLS client certificate, by the SHA-256 of its key, and the account that is asked for, if one is.
    Certificate { authorize: Option<String>, key: Option<[u8; 32]> },
    /// A token of an authorization server.
    Token(TokenClaim),
}

impl Claim {
    /// The account that is claimed; empty where the claim itself shall tell.
    pub fn user(&self) -> &str {
        match self {
            Self::Password(login) => &login.user,
            Self::Scram { user, .. } => user,
            Self::Certificate { authorize, .. } => authorize.as_deref().unwrap_or_default(),
            Self::Token(claim) => claim.user.as_deref().unwrap_or_default(),
        }
    }
}

/// Somebody who decides about logins. One value serves all doors, so that its limits hold for all of them together.
pub trait Authenticate: Send + Sync {
    /// The mechanisms that can succeed, best first, as far as it does not depend on the connection.
    fn mechanisms(&self) -> Vec<Mechanism>;

    /// Judges a login. Takes the same time for an unknown user as for a wrong password.
    fn authenticate<'a>(&'a self, claim: Claim, visitor: Visitor) -> Answer<'a, Verdict>;

    /// What SCRAM asks a user with. An unknown user is asked in the same way, always with the same salt.
    fn scram<'a>(
        &'a self,
        user: &'a str,
        hash: ScramHash,
        visitor: Visitor,
    ) -> Answer<'a, Result<ScramFacts, Denied>>;

    /// What clients are told whose token is not good.
    fn discovery(&self) -> Discovery {
        Discovery::default()
    }

    /// Comes when what an identity was proven by does not stand any more: a password was changed, or taken back.
    fn ending(self: Arc<Self>, identity: Identity) -> Ending;
}

/// Why somebody may not come in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Denied {
    /// The user is unknown or the password wrong; which of them is not told (535 5.7.8, NO [AUTHENTICATIONFAILED]).
    WrongCredentials,
    /// They are right, but not for this service (535 5.7.8, NO [AUTHORIZATIONFAILED]).
    OutOfScope,
    /// There were too many wrong ones; the password was not looked at (454 4.7.0, NO [UNAVAILABLE]).
    TooManyGuesses(TooMany),
    /// It cannot be found out now, for a reason that is ours (454 4.7.0, NO [UNAVAILABLE]).
    Unavailable(String),
}

impl fmt::Display for Denied {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::WrongCredentials => f.write_str("User name or password is wrong"),
            Self::OutOfScope => f.write_str("This login is not for this service"),
            Self::TooManyGuesses(TooMany { wait, .. }) => {
                // Up to the next second, so that who obeys is not early.
                let seconds = wait.as_secs() + u64::from(wait.subsec_nanos() > 0);
                write!(f, "Too many failed logins; try again in {seconds} seconds")
            }
            Self::Unavailable(_) => f.write_str("Logins cannot be checked now; try again later"),
        }
    }
}

impl std::error::Error for Denied {}
