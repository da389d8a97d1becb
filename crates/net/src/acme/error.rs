//! Why there is no new certificate.

use crate::fetch::FetchError;
use crate::tls::TlsError;
use std::fmt;
use std::time::Duration;

/// Most characters of what a server says that are kept.
const TEXT_MAX: usize = 600;

/// Why an authority gave no certificate.
#[derive(Debug)]
pub enum AcmeError {
    /// The authority cannot be asked.
    Fetch(FetchError),
    /// It says no: the last part of its error's name (RFC 8555 §6.7), its words, and when it wants to be asked again.
    Refused {
        kind: String,
        text: String,
        retry_after: Option<Duration>,
    },
    /// It does not keep to the protocol.
    Nonsense(String),
    /// It did not come to an end in time.
    TimedOut(&'static str),
    /// The challenge cannot be answered by us.
    Hook(String),
    /// The name server of the zone does not make the record.
    Zone(String),
    /// No address in the DNS leads to the name, so that nobody can look.
    NotInDns,
    /// What is configured cannot do.
    Options(String),
    /// The account's key cannot sign.
    Key,
    Files(TlsError),
}

impl AcmeError {
    /// How long the authority wants to be left alone.
    pub(crate) fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Refused { retry_after, .. } => *retry_after,
            _ => None,
        }
    }
}

impl fmt::Display for AcmeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Fetch(error) => write!(f, "the authority cannot be asked: {error}"),
            Self::Refused { kind, text, .. } => write!(f, "the authority says no: {text} ({kind})"),
            Self::Nonsense(why) => write!(f, "the authority does not keep to the protocol: {why}"),
            Self::TimedOut(what) => write!(f, "{what} took too long"),
            Self::Hook(why) => write!(f, "the hook for the DNS: {why}"),
            Self::Zone(why) => write!(f, "the record of the proof: {why}"),
            Self::NotInDns => {
                f.write_str("the name has no address in the DNS, so the authority cannot reach us under it")
            }
            Self::Options(why) => f.write_str(why),
            Self::Key => {
                f.write_str("the key of the account cannot sign; remove the account's file to make a new one")
            }
            Self::Files(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for AcmeError {}

impl From<FetchError> for AcmeError {
    fn from(error: FetchError) -> Self {
        Self::Fetch(error)
    }
}

impl From<TlsError> for AcmeError {
    fn from(error: TlsError) -> Self {
        Self::Files(error)
    }
}

/// What somebody else has written, short and without anything that could steer a terminal.
pub(crate) fn shorten(text: &str) -> String {
    text.chars().take(TEXT_MAX).map(|c| if c.is_control() { ' ' } else { c }).collect()
}
