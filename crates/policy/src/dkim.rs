//! DKIM: signatures over mail, verified and made (RFC 6376, RFC 8301, RFC 8463).
//!
//! mail-auth brings the canonical form of headers and the public-key arithmetic. The rest is ours, because
//! mail-auth 0.13 reads signatures more liberally than RFC 6376 §6.1.1 allows (no `v=`, a tag twice, From not
//! signed), asks the system for the time and the DNS, wants the whole message in one piece, and does not drop
//! trailing lines of blanks in a relaxed body (RFC 6376 §3.4.4).

pub(crate) mod canon;
mod change;
pub(crate) mod key_record;
pub mod keyring;
#[cfg(test)]
mod keyring_tests;
pub mod keys;
mod look;
mod published;
mod ring;
pub(crate) mod sign;
pub(crate) mod signature;
#[cfg(test)]
mod tests;
pub(crate) mod verify;

pub use change::{KeyChange, What};
pub use keyring::{Haste, KeyInfo, Keyring, Rotation, records};
pub use keys::{DnsRecord, KeyError, KeyKind};
pub use published::{Published, published};
pub use ring::{KEYS_MAX, Stage};
pub use sign::{Selectors, Signer};
pub use verify::verify;

use mail::Domain;
use std::fmt;
use std::time::Duration;

/// Most signatures of one message that are verified. Those in the name of the author come first.
pub const SIGNATURES_MAX: usize = 8;
/// Smallest RSA key whose signatures count, in bits (RFC 8301 §3.2).
pub const RSA_BITS_MIN: usize = 1024;
/// How far the clock of a signer may be ahead of ours.
pub const CLOCK_SKEW_MAX: Duration = Duration::from_secs(300);
/// Longest that one key may take to come from the DNS; then the result is a temporary error.
pub const KEY_TIME_MAX: Duration = Duration::from_secs(10);

/// What a signature comes to (RFC 8601 §2.7.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum DkimResult {
    Pass,
    /// Header or body are not what was signed, or the time of the signature is over.
    Fail,
    /// In order, but not to our standards: SHA-1, a weak key, a body that was signed in part.
    Policy,
    /// The field cannot be understood.
    Neutral,
    /// The DNS gave no answer: another try may come out otherwise.
    TempError,
    /// There is no usable key, or the signature breaks a rule.
    PermError,
}

impl DkimResult {
    /// The word of Authentication-Results.
    pub fn word(self) -> &'static str {
        match self {
            Self::Pass => "pass",
            Self::Fail => "fail",
            Self::Policy => "policy",
            Self::Neutral => "neutral",
            Self::TempError => "temperror",
            Self::PermError => "permerror",
        }
    }
}

impl fmt::Display for DkimResult {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

/// What one signature comes to, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outcome {
    pub result: DkimResult,
    /// Why, in a few words for the log and the header.
    pub reason: String,
    /// Who signed (`d=`); `None` if the field cannot be read that far.
    pub domain: Option<Domain>,
    /// Which key (`s=`).
    pub selector: Option<String>,
    /// On whose behalf (`i=`), if it says so.
    pub identity: Option<String>,
    /// `rsa-sha256` and so on.
    pub algorithm: Option<&'static str>,
    /// The first octets of the signature, which tell it from others in the same message (RFC 6008).
    pub mark: Option<String>,
    /// The domain says that it is only trying (`t=y` of the key).
    pub testing: bool,
}
