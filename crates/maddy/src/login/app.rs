//! App passwords for the judge: what they are good for, and when they were last used.

use super::{Denied, Judge, Login};
use auth::{Identity, Mailboxes, Proof, Scope, Sending, app_password_digest, find_digest};
use std::fmt;
use storage::{AppPassword, LoginKey};
use tracing::warn;

/// A use is noted again after so many seconds: a commit for each login would be too much.
const USE_NOTED: i64 = 3600;

/// What an app password can be good for, as a person says it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, clap::ValueEnum)]
pub(crate) enum Use {
    /// Read and change mailboxes
    Imap,
    /// Read mailboxes, and change nothing
    ReadOnly,
    /// Send mail
    Submission,
}

impl Use {
    const ALL: [Self; 3] = [Self::Imap, Self::ReadOnly, Self::Submission];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Imap => "imap",
            Self::ReadOnly => "read-only",
            Self::Submission => "submission",
        }
    }

    pub(crate) fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|one| one.name() == name)
    }
}

impl fmt::Display for Use {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// What stored words allow; a word that is not known allows nothing.
pub(super) fn scope_of(words: &str) -> Scope {
    let has = |one: Use| words.split(' ').any(|word| word == one.name());
    let mailboxes = match (has(Use::ReadOnly), has(Use::Imap)) {
        (true, _) => Mailboxes::ReadOnly,
        (false, true) => Mailboxes::Open,
        (false, false) => Mailboxes::Closed,
    };
    let sending = if has(Use::Submission) { Sending::Allowed } else { Sending::Refused };
    Scope { mailboxes, sending }
}

impl Judge {
    /// Whom a password names as an app password; `None` if it is none.
    pub(super) async fn by_app_password(&self, login: &Login) -> Result<Option<Identity>, Denied> {
        let Some(digest) = app_password_digest(&login.password) else { return Ok(None) };
        let live = self.live_app_passwords(&login.user).await?;
        let found = find_digest(&digest, live.iter().map(|one| (one, one.digest.as_slice())));
        Ok(found.map(|found| self.used(&login.user, found)))
    }

    /// The app password of a number that was proven a moment ago.
    pub(super) async fn app_password(&self, user: &str, id: i64) -> Result<Identity, Denied> {
        let live = self.live_app_passwords(user).await?;
        let found = live.iter().find(|one| one.id == id).ok_or(Denied::WrongCredentials)?;
        Ok(self.used(user, found))
    }

    /// Those that have not expired.
    pub(super) async fn live_app_passwords(&self, user: &str) -> Result<Vec<AppPassword>, Denied> {
        let mut all = self.store.app_passwords(user).await.map_err(|error| {
            warn!(user = self.mask.of(user), %error, "a login cannot be checked");
            Denied::Unavailable(error.to_string())
        })?;
        all.retain(|one| !one.is_expired(self.clock.unix()));
        Ok(all)
    }

    fn used(&self, user: &str, one: &AppPassword) -> Identity {
        self.note_use(LoginKey::AppPassword(one.id), one.used);
        Identity::new(user, scope_of(&one.scope), Proof::AppPassword(one.id))
    }

    /// Notes a use beside the login, which does not wait for it.
    pub(super) fn note_use(&self, key: LoginKey, last: Option<i64>) {
        let now = self.clock.unix();
        if last.is_some_and(|last| (0..USE_NOTED).contains(&(now - last))) {
            return;
        }
        let store = self.store.clone();
        tokio::spawn(async move {
            if let Err(error) = store.note_use(key).await {
                warn!(%error, "when a login was last used could not be noted");
            }
        });
    }
}
