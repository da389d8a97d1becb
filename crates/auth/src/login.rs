//! A claim to be somebody, with the secret that shall prove it.

use crate::exchange::Refusal;
use crate::password;
use std::fmt;
use zeroize::Zeroizing;

/// Longest user name in octets: an address of full length (RFC 5321 §4.5.3.1).
const USER_MAX: usize = 320;

/// A text that must not be seen: wiped when dropped, a mask in `Debug`.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(Zeroizing<String>);

impl Secret {
    pub fn new(text: String) -> Self {
        Self(Zeroizing::new(text))
    }

    /// The text itself. Never put it into a message, a log line or an error.
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

/// A user name and a password, not yet believed.
#[derive(Clone, Debug)]
pub struct Login {
    /// The account name: the address key where the name is an address, otherwise the name in lower case.
    pub user: String,
    pub password: Secret,
}

impl Login {
    /// Refuses what can be no user name or password: empty, too long, control characters.
    pub fn new(user: &str, password: Secret) -> Result<Self, Refusal> {
        check_user(user)?;
        password::check(password.reveal()).map_err(|_| Refusal::BadText)?;
        Ok(Self { user: account_name(user), password })
    }
}

/// Refuses what can be no user name: empty, too long, control characters.
pub(crate) fn check_user(user: &str) -> Result<(), Refusal> {
    if user.is_empty() || user.len() > USER_MAX || user.chars().any(char::is_control) {
        return Err(Refusal::BadText);
    }
    Ok(())
}

/// The form under which accounts are kept, for a name as a person writes it.
pub(crate) fn account_name(user: &str) -> String {
    let user = user.trim_matches(' ');
    mail::Address::parse(user).map_or_else(|_| user.to_lowercase(), |address| address.key())
}

/// The account that somebody else names (RFC 4314 §3): prepared by SASLprep, and in the form under which accounts are kept.
/// `None`: that cannot be a name.
pub fn named_account(text: &str) -> Option<String> {
    let prepared = stringprep::saslprep(text).ok()?;
    check_user(&prepared).ok().map(|()| account_name(&prepared))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_account_names() {
        for (written, name) in [
            ("Alice@Example.ORG", "alice@example.org"),
            ("ü@Bücher.example", "ü@xn--bcher-kva.example"),
            ("Alice", "alice"),
            (" bob@example.org ", "bob@example.org"),
        ] {
            assert_eq!(Login::new(written, Secret::new("x".to_owned())).unwrap().user, name);
        }
    }

    #[test]
    fn named_accounts_are_prepared() {
        for (written, name) in [
            ("Alice@Example.ORG", Some("alice@example.org")),
            ("a\u{ad}lice", Some("alice")),
            ("\u{2160}x", Some("ix")),
            ("\u{ad}", None),
            ("\u{e000}", None),
            ("a\u{7}", None),
        ] {
            assert_eq!(named_account(written).as_deref(), name, "{written:?}");
        }
    }

    #[test]
    fn secrets_are_masked() {
        let login = Login::new("a@b.c", Secret::new("hunter2".to_owned())).unwrap();
        assert_eq!(format!("{login:?}"), "Login { user: \"a@b.c\", password: *** }");
    }
}
