//! Passwords and what is kept of them: argon2id in PHC strings.
//!
//! Hashing costs some 10 ms and 19 MiB on purpose; callers do it away from the threads that serve connections, and
//! only so many at once.

use crate::login::Secret;
use crate::same::is_same_secret;
use argon2::password_hash::PasswordHasher;
use argon2::password_hash::phc::PasswordHash;
use argon2::{Algorithm, Argon2, Block, Params, Version};
use std::fmt;

/// Longest password in octets, so that nobody can make us hash megabytes.
pub const PASSWORD_MAX: usize = 1024;

/// Memory in KiB, passes, lanes: OWASP's first recommendation for argon2id.
const MEMORY_KIB: u32 = 19 * 1024;
const PASSES: u32 = 2;
const LANES: u32 = 1;

/// Most memory in KiB and most passes that a stored hash may ask for, so that a foreign hash cannot stop the server.
const STORED_MEMORY_KIB_MAX: u32 = 1024 * 1024;
const STORED_PASSES_MAX: u32 = 64;

/// Octets of which the C library asks the system anew each time, and which it gives back at once (glibc does so above 32 MiB;
/// below, each thread that ever hashed may keep a block for ever). What is not touched of them costs nothing.
const GIVEN_BACK: usize = 33 * 1024 * 1024;

/// Hash of nothing in particular, with the parameters of [`hash`], checked against when a user is unknown.
const NOBODY: &str =
    "$argon2id$v=19$m=19456,t=2,p=1$bm9ib2R5bm9ib2R5bm9ib2R5$6wGbp9+N8Cp4ZWVLKEVpKrmBwOHVLCdmiT6H3RWL1ow";

/// Why a password cannot be used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PasswordError {
    Empty,
    /// Over [`PASSWORD_MAX`].
    TooLong,
    /// A control character, which no client could send.
    BadCharacter,
    /// The system gave no random salt or no memory.
    Failed(String),
}

impl fmt::Display for PasswordError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Empty => f.write_str("the password is empty"),
            Self::TooLong => write!(f, "the password is longer than {PASSWORD_MAX} octets"),
            Self::BadCharacter => f.write_str("the password has a control character"),
            Self::Failed(why) => write!(f, "the password could not be hashed: {why}"),
        }
    }
}

impl std::error::Error for PasswordError {}

/// Takes a password as it was typed: a sensible minimum of RFC 8265 §4.2 (not empty, no control characters).
pub fn prepare(password: &str) -> Result<Secret, PasswordError> {
    check(password)?;
    Ok(Secret::new(password.to_owned()))
}

pub(crate) fn check(password: &str) -> Result<(), PasswordError> {
    match password {
        "" => Err(PasswordError::Empty),
        long if long.len() > PASSWORD_MAX => Err(PasswordError::TooLong),
        text if text.chars().any(char::is_control) => Err(PasswordError::BadCharacter),
        _ => Ok(()),
    }
}

/// Makes the PHC string that is stored, with a salt of its own.
pub fn hash(password: &Secret) -> Result<String, PasswordError> {
    check(password.reveal())?;
    let failed = |error: &dyn fmt::Display| PasswordError::Failed(error.to_string());
    let params = Params::new(MEMORY_KIB, PASSES, LANES, None).map_err(|error| failed(&error))?;
    Argon2::new(Algorithm::Argon2id, Version::V0x13, params)
        .hash_password(password.reveal().as_bytes())
        .map(|hash| hash.to_string())
        .map_err(|error| failed(&error))
}

/// Whether a password is the one that was stored. `None` stands for an unknown user: costs the same and is never right.
pub fn verify(password: &Secret, stored: Option<&str>) -> bool {
    if check(password.reveal()).is_err() {
        return false;
    }
    let parsed = PasswordHash::new(stored.unwrap_or(NOBODY));
    let right = parsed.is_ok_and(|parsed| is_of(password, &parsed) == Some(true));
    right && stored.is_some()
}

/// Whether it is the hash of this password; `None` where it is no hash that we can or will compute.
fn is_of(password: &Secret, stored: &PasswordHash) -> Option<bool> {
    let params = Params::try_from(stored).ok()?;
    if params.m_cost() > STORED_MEMORY_KIB_MAX || params.t_cost() > STORED_PASSES_MAX {
        return None;
    }
    let algorithm = Algorithm::try_from(stored.algorithm.as_str()).ok()?;
    let version = stored.version.map_or(Ok(Version::V0x13), Version::try_from).ok()?;
    let (salt, wanted) = (stored.salt.as_ref()?, stored.hash.as_ref()?);
    let count = params.block_count();
    let mut blocks = Vec::with_capacity(count.max(GIVEN_BACK / Block::SIZE));
    blocks.resize(count, Block::new());
    let mut found = vec![0; wanted.len()];
    Argon2::new(algorithm, version, params)
        .hash_password_into_with_memory(password.reveal().as_bytes(), salt, &mut found, &mut blocks)
        .ok()?;
    Some(is_same_secret(&found, wanted.as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn secret(text: &str) -> Secret {
        Secret::new(text.to_owned())
    }

    #[test]
    fn hashes_and_verifies() {
        let stored = hash(&secret("correct horse")).unwrap();
        assert!(stored.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{stored}");
        assert!(verify(&secret("correct horse"), Some(&stored)));
        assert!(!verify(&secret("correct horsf"), Some(&stored)));
        assert!(!verify(&secret(""), Some(&stored)));
        assert_ne!(stored, hash(&secret("correct horse")).unwrap());
    }

    /// Made with the reference implementation: echo -n password | argon2 somesalt -id -t 2 -k 65536 -p 1 -e.
    #[test]
    fn reads_hashes_of_others() {
        let stored = "$argon2id$v=19$m=65536,t=2,p=1$c29tZXNhbHQ$CTFhFdXPJO1aFaMaO6Mm5c8y7cJHAph8ArZWb2GRPPc";
        assert!(verify(&secret("password"), Some(stored)));
        assert!(!verify(&secret("passwort"), Some(stored)));
    }

    #[test]
    fn refuses_what_is_no_hash() {
        for stored in [
            "",
            "password",
            "$2b$12$abc",
            "$argon2id$v=19$m=4294967295,t=2,p=1$c29tZXNhbHQ$AAAAAAAAAAAAAAAAAAAAAA",
        ] {
            assert!(!verify(&secret("password"), Some(stored)), "{stored}");
        }
    }

    #[test]
    fn unknown_users_cost_the_same() {
        let parsed = PasswordHash::new(NOBODY).unwrap();
        let params = Params::try_from(&parsed).unwrap();
        assert_eq!((params.m_cost(), params.t_cost(), params.p_cost()), (MEMORY_KIB, PASSES, LANES));
        assert!(parsed.hash.is_some_and(|hash| hash.len() == 32) && parsed.salt.is_some());
        assert!(!verify(&secret("nobody"), None));
    }

    #[test]
    fn prepares() {
        assert_eq!(prepare(""), Err(PasswordError::Empty));
        assert_eq!(prepare("a\0b"), Err(PasswordError::BadCharacter));
        assert_eq!(prepare(&"x".repeat(1025)), Err(PasswordError::TooLong));
        assert_eq!(prepare("pä ss").unwrap().reveal(), "pä ss");
    }
}
