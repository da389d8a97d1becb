//! The envelope: who sends, who receives, and what the sender asked for (RFC 5321 §3.3, RFC 3461).

use crate::address::Address;
use crate::timing::{DeliverBy, Priority, Release};
use std::fmt;

/// The reverse path of MAIL FROM: an address, or `<>` for notices that may not be answered by notices
/// (RFC 5321 §4.5.5).
#[derive(Clone, PartialEq, Eq, Hash)]
pub enum ReversePath {
    Null,
    Address(Address),
}

impl ReversePath {
    pub fn address(&self) -> Option<&Address> {
        match self {
            Self::Null => None,
            Self::Address(address) => Some(address),
        }
    }

    pub fn is_null(&self) -> bool {
        matches!(self, Self::Null)
    }
}

/// Without the angle brackets; empty for the null path.
impl fmt::Display for ReversePath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Null => Ok(()),
            Self::Address(address) => address.fmt(f),
        }
    }
}

impl fmt::Debug for ReversePath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "<{self}>")
    }
}

/// BODY= of MAIL FROM (RFC 6152, RFC 3030).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Body {
    #[default]
    SevenBit,
    EightBitMime,
    BinaryMime,
}

/// RET= of MAIL FROM: how much of the message a failure notice carries (RFC 3461 §4.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ret {
    Full,
    Headers,
}

/// The parameters of MAIL FROM that travel with the message.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MailParams {
    pub body: Body,
    /// SMTPUTF8 was given (RFC 6531 §3.4).
    pub utf8: bool,
    pub ret: Option<Ret>,
    /// ENVID=, decoded from xtext (RFC 3461 §4.4).
    pub envid: Option<String>,
    /// REQUIRETLS was given (RFC 8689).
    pub require_tls: bool,
    /// MT-PRIORITY= (RFC 6710).
    pub priority: Priority,
    /// HOLDFOR= or HOLDUNTIL= (RFC 4865); not kept behind the door where it came in.
    pub release: Option<Release>,
    /// BY= (RFC 2852).
    pub by: Option<DeliverBy>,
}

/// NOTIFY= of RCPT TO (RFC 3461 §4.1). The default is what a sender gets who says nothing:
/// failures and delays.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Notify {
    /// NOTIFY was not given.
    Default,
    Never,
    On {
        success: bool,
        failure: bool,
        delay: bool,
    },
}

impl Notify {
    pub fn on_failure(self) -> bool {
        matches!(self, Self::Default | Self::On { failure: true, .. })
    }

    pub fn on_delay(self) -> bool {
        matches!(self, Self::Default | Self::On { delay: true, .. })
    }

    pub fn on_success(self) -> bool {
        matches!(self, Self::On { success: true, .. })
    }

    /// The same and notices of delay: where nobody further on would tell that it is late (RFC 2852 §4.1.4.2).
    #[must_use]
    pub fn with_delay(self) -> Self {
        match self {
            Self::Default => Self::On { success: false, failure: true, delay: true },
            Self::Never => Self::Never,
            Self::On { success, failure, .. } => Self::On { success, failure, delay: true },
        }
    }

    /// The same but for notices of success: to several addresses it goes on so (RFC 3461 §5.2.7.3, way c).
    #[must_use]
    pub fn without_success(self) -> Self {
        match self {
            Self::On { failure: false, delay: false, .. } => Self::Never,
            Self::On { failure, delay, .. } => Self::On { success: false, failure, delay },
            other => other,
        }
    }
}

/// ORCPT= of RCPT TO (RFC 3461 §4.2): the recipient as the first sender wrote it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OriginalRecipient {
    /// `rfc822` or `utf-8` as a rule, kept as written.
    pub kind: String,
    /// Decoded from xtext.
    pub address: String,
}

/// One recipient with what was asked for it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Recipient {
    pub address: Address,
    pub notify: Notify,
    pub original: Option<OriginalRecipient>,
}

impl Recipient {
    /// A recipient for whom nothing special was asked.
    pub fn plain(address: Address) -> Self {
        Self { address, notify: Notify::Default, original: None }
    }
}

/// Sender, parameters and recipients of one transaction.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Envelope {
    pub from: ReversePath,
    pub params: MailParams,
    pub recipients: Vec<Recipient>,
}
