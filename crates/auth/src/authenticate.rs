//! The one question that every door asks about a login.

use crate::guess::TooMany;
use crate::login::Login;
use std::fmt;
use std::future::Future;
use std::net::IpAddr;
use std::pin::Pin;

/// What becomes of a login.
pub type Verdict = Result<Identity, Denied>;

/// Somebody who decides about logins. One value serves all doors, so that its limits hold for all of them together.
pub trait Authenticate: Send + Sync {
    /// Judges a login that came from an address. Takes the same time for an unknown user as for a wrong password.
    fn authenticate<'a>(
        &'a self,
        login: Login,
        from: IpAddr,
    ) -> Pin<Box<dyn Future<Output = Verdict> + Send + 'a>>;
}

/// An account whose owner has proved who they are.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Identity(String);

impl Identity {
    /// For implementations of [`Authenticate`], once the proof is good.
    pub fn proven(account: impl Into<String>) -> Self {
        Self(account.into())
    }

    /// The account's name.
    pub fn account(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Why somebody may not come in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Denied {
    /// The user is unknown or the password wrong; which of them is not told (535 5.7.8, NO [AUTHENTICATIONFAILED]).
    WrongCredentials,
    /// There were too many wrong ones; the password was not looked at (454 4.7.0, NO [UNAVAILABLE]).
    TooManyGuesses(TooMany),
    /// It cannot be found out now, for a reason that is ours (454 4.7.0, NO [UNAVAILABLE]).
    Unavailable(String),
}

impl fmt::Display for Denied {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::WrongCredentials => f.write_str("User name or password is wrong"),
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
