//! Names for the log: people type passwords where a name belongs, so what is no account's name is not written down.

use aws_lc_rs::hmac::{self, HMAC_SHA256, Key};
use std::fmt;

/// Octets of the digest that are shown.
const SHOWN: usize = 4;

/// Gives each name a mark under which it can be known again until the server starts anew, and out of which nobody can
/// guess it: the key is in no file.
pub struct NameMask(Key);

impl NameMask {
    pub fn new(key: &[u8; 32]) -> Self {
        Self(Key::new(HMAC_SHA256, key))
    }

    /// `unknown-1a2b3c4d`
    pub fn of(&self, name: &str) -> String {
        let tag = hmac::sign(&self.0, name.as_bytes());
        let digits: String = tag.as_ref().iter().take(SHOWN).map(|octet| format!("{octet:02x}")).collect();
        format!("unknown-{digits}")
    }
}

impl fmt::Debug for NameMask {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("NameMask(***)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_known_again_and_not_seen() {
        let (one, other) = (NameMask::new(&[1; 32]), NameMask::new(&[2; 32]));
        let shown = one.of("hunter2");
        assert_eq!(shown.len(), "unknown-12345678".len());
        assert!(!shown.contains("hunter"));
        assert_eq!(shown, one.of("hunter2"));
        assert_ne!(shown, one.of("hunter3"));
        assert_ne!(shown, other.of("hunter2"));
    }
}
