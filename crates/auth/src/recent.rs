//! Logins that were judged a moment ago: right ones, so that a mail program that opens ten connections at once costs
//! one hash, and wrong ones, so that a program that repeats an old password is told from somebody who guesses.

use crate::login::Login;
use aws_lc_rs::hmac::{self, HMAC_SHA256, Key};
use std::collections::HashMap;
use std::time::Duration;

/// How long a right login is remembered.
pub const RIGHT_TIME: Duration = Duration::from_secs(60);
/// How long a wrong login is remembered.
pub const WRONG_TIME: Duration = Duration::from_secs(60 * 60);
/// Most logins that are remembered.
pub const RECENT_MAX: usize = 10_000;

/// Remembers logins by a keyed digest; neither passwords nor anything to guess them by stays in memory without
/// the key. A new password in the store makes what was remembered before forgotten
/// at once.
pub struct Recent {
    key: Key,
    time: Duration,
    logins: HashMap<Vec<u8>, u64>,
}

impl Recent {
    /// Remembers for `time`. The key must be random, and should be new for each process.
    pub fn new(time: Duration, key: &[u8; 32]) -> Self {
        Self { key: Key::new(HMAC_SHA256, key), time, logins: HashMap::new() }
    }

    /// Whether this login was judged not long ago, against this same stored hash. `now` is in seconds.
    pub fn knows(&self, login: &Login, stored: &str, now: u64) -> bool {
        let until = self.logins.get(&self.digest(login, stored));
        until.is_some_and(|until| now < *until)
    }

    /// Remembers a login that was judged.
    pub fn remember(&mut self, login: &Login, stored: &str, now: u64) {
        if self.logins.len() >= RECENT_MAX {
            self.logins.retain(|_, until| now < *until);
        }
        if self.logins.len() < RECENT_MAX {
            let digest = self.digest(login, stored);
            self.logins.insert(digest, now + self.time.as_secs());
        }
    }

    fn digest(&self, login: &Login, stored: &str) -> Vec<u8> {
        let mut context = hmac::Context::with_key(&self.key);
        // Lengths keep apart what stands beside each other.
        for part in [login.user.as_str(), login.password.reveal(), stored] {
            context.update(&(part.len() as u64).to_be_bytes());
            context.update(part.as_bytes());
        }
        context.sign().as_ref().to_vec()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::login::Secret;

    fn login(user: &str, password: &str) -> Login {
        Login::new(user, Secret::new(password.to_owned())).unwrap()
    }

    #[test]
    fn remembers_for_a_while_and_only_the_same() {
        let mut recent = Recent::new(RIGHT_TIME, &[7; 32]);
        let alice = login("a@b.c", "secret");
        assert!(!recent.knows(&alice, "hash", 100));
        recent.remember(&alice, "hash", 100);
        assert!(recent.knows(&alice, "hash", 159));
        assert!(!recent.knows(&alice, "hash", 160));
        assert!(!recent.knows(&alice, "other hash", 101));
        assert!(!recent.knows(&login("a@b.c", "secre"), "thash", 101));
        assert!(!recent.knows(&login("a@b.d", "secret"), "hash", 101));
    }

    #[test]
    fn is_bounded() {
        let mut recent = Recent::new(RIGHT_TIME, &[7; 32]);
        for n in 0..=RECENT_MAX {
            recent.remember(&login(&format!("u{n}@b.c"), "x"), "hash", 0);
        }
        assert_eq!(recent.logins.len(), RECENT_MAX);
        recent.remember(&login("late@b.c", "x"), "hash", 61);
        assert_eq!(recent.logins.len(), 1);
    }
}
