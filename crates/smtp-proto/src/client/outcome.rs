//! What became of a message, recipient by recipient.

use crate::ext::{Extension, Offers};
use crate::reply::Breach;
use crate::scan::ContentKind;
use mail::{Body, ByMode, Reply, Status};
use std::fmt;

use super::{Protocol, Transaction};

/// Where in the conversation something happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    Greeting,
    Hello,
    StartTls,
    Xclient,
    Auth,
    Mail,
    Rcpt,
    Data,
    /// The message itself, up to the reply to its end.
    Content,
}

impl fmt::Display for Stage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Greeting => "the greeting",
            Self::Hello => "EHLO",
            Self::StartTls => "STARTTLS",
            Self::Xclient => "XCLIENT",
            Self::Auth => "AUTH",
            Self::Mail => "MAIL",
            Self::Rcpt => "RCPT",
            Self::Data => "DATA",
            Self::Content => "the message",
        })
    }
}

/// What became of one recipient.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The peer has taken the message for it.
    Accepted(Reply),
    /// The peer's 4xx or 5xx.
    Refused { at: Stage, reply: Reply },
    /// The peer lacks what the message needs; nothing was sent.
    Unsupported(Need),
    /// The connection ended before the answer. At [`Stage::Content`] the peer may have taken it all the same.
    Lost { at: Stage, why: Loss },
    /// The peer takes no more recipients in one transaction; another transaction may have it.
    NotTried,
}

/// Why there is no answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Loss {
    /// The connection broke, or time ran out: the owner knows.
    Connection,
    Breach(Breach),
    /// The message could not be read, or is not what [`crate::Scan`] had said of it.
    Content,
}

impl fmt::Display for Loss {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Connection => f.write_str("the connection was lost"),
            Self::Breach(breach) => breach.fmt(f),
            Self::Content => f.write_str("the message could not be read"),
        }
    }
}

/// What a message needs and a peer does not have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Need {
    EightBitMime,
    BinaryMime,
    SmtpUtf8,
    RequireTls,
    /// To be delivered in time or sent back (RFC 2852 §4.1).
    DeliverBy,
    /// The peer takes messages up to so many octets.
    Size {
        limit: u64,
    },
}

impl Need {
    /// What `transaction` needs and `offers` lacks.
    pub fn missing(transaction: &Transaction, offers: &Offers, protocol: Protocol) -> Option<Self> {
        let Transaction { envelope, content } = transaction;
        let has = |extension| offers.has(extension);
        if needs_utf8(transaction) && !has(Extension::SmtpUtf8) {
            return Some(Self::SmtpUtf8);
        }
        if envelope.params.require_tls && !envelope.from.is_null() && !has(Extension::RequireTls) {
            return Some(Self::RequireTls);
        }
        // What is filed by LMTP is delivered.
        let by = envelope.params.by.filter(|by| by.mode == ByMode::Return && protocol == Protocol::Smtp);
        if by.is_some_and(|by| {
            !has(Extension::DeliverBy) || offers.by_min.is_some_and(|min| by.seconds < min) || by.seconds <= 0
        }) {
            return Some(Self::DeliverBy);
        }
        // A message that was announced as binary may be plain text all the same: then nothing is needed.
        let missing = match content.kind {
            ContentKind::Binary => !has(Extension::BinaryMime) || !has(Extension::Chunking),
            ContentKind::EightBit => !has(Extension::EightBitMime),
            ContentKind::SevenBit => false,
        };
        if missing && content.kind == ContentKind::Binary {
            return Some(Self::BinaryMime);
        }
        if missing {
            return Some(Self::EightBitMime);
        }
        let limit = offers.size.filter(|limit| content.size > *limit)?;
        Some(Self::Size { limit })
    }

    /// The reply that a notice quotes, as if the peer had said it.
    pub fn reply(self) -> Reply {
        let (code, status, text) = match self {
            Self::EightBitMime => {
                (554, Status::permanent(6, 3), "The next server does not take 8-bit messages".to_owned())
            }
            Self::BinaryMime => {
                (554, Status::permanent(6, 3), "The next server does not take binary messages".to_owned())
            }
            Self::SmtpUtf8 => (
                553,
                Status::permanent(6, 7),
                "The next server does not take addresses or headers beyond ASCII".to_owned(),
            ),
            Self::RequireTls => {
                (550, Status::permanent(7, 30), "The next server does not promise REQUIRETLS".to_owned())
            }
            Self::DeliverBy => (
                554,
                Status::permanent(3, 3),
                "The next server does not promise to deliver it in the time that its sender demands"
                    .to_owned(),
            ),
            Self::Size { limit } => {
                (552, Status::permanent(3, 4), format!("The next server takes no more than {limit} octets"))
            }
        };
        Reply::new(code, status, text)
    }
}

/// Whether SMTPUTF8 is needed (RFC 6531 §3.4): for an address always, for the header only if its sender said
/// SMTPUTF8. Headers with raw 8-bit text from elsewhere are older than RFC 6532, and are sent as 8BITMIME.
pub(super) fn needs_utf8(transaction: &Transaction) -> bool {
    let Transaction { envelope, content } = transaction;
    (content.utf8_header && envelope.params.utf8)
        || envelope.from.address().is_some_and(mail::Address::needs_utf8)
        || envelope.recipients.iter().any(|recipient| recipient.address.needs_utf8())
}

/// BODY= for a message (RFC 6152 §3, RFC 3030 §3).
pub(super) fn body_of(kind: ContentKind) -> Body {
    match kind {
        ContentKind::SevenBit => Body::SevenBit,
        ContentKind::EightBit => Body::EightBitMime,
        ContentKind::Binary => Body::BinaryMime,
    }
}

/// A transaction, looked back at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    /// One for each recipient, in their order.
    pub outcomes: Vec<Outcome>,
    /// Whether the connection can take another transaction.
    pub connection: Connection,
}

/// What a connection is good for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Connection {
    Usable,
    Over,
}
