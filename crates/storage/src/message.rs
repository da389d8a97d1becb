//! Values of messages as mailboxes have them.

use crate::flags::{Flags, Keywords};
use crate::ids::{EmailId, ModSeq, Uid, Unix};
use crate::mailbox::Mailbox;
use crate::rights::Rights;
use crate::uidset::UidSet;
use std::ops::{BitOr, Sub};
use std::sync::Arc;

/// What was made of the octets as received, once, at delivery. Opaque here; shared by all who share the body.
///
/// All offsets in it count from the first received octet: the fields in front (the prefix) are not part of it,
/// so a reader adds the prefix length.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Shape {
    /// ENVELOPE as it is sent.
    pub envelope: Arc<[u8]>,
    /// BODYSTRUCTURE as it is sent.
    pub bodystructure: Arc<[u8]>,
    /// Where the parts begin and end.
    pub parts: Arc<[u8]>,
    /// The header fields that search and sort ask for. Empty: they were not looked for.
    pub key_fields: Arc<[u8]>,
}

impl Shape {
    /// Of the octets as received, without the fields in front.
    pub fn of(analysis: &mail::mime::Analysis) -> Self {
        Self {
            envelope: analysis.envelope.as_slice().into(),
            bodystructure: analysis.bodystructure.as_slice().into(),
            parts: analysis.parts.encode().into(),
            key_fields: analysis.key_fields.encode().into(),
        }
    }

    /// Octets that it takes in memory, about.
    pub fn octets(&self) -> u64 {
        (self.envelope.len() + self.bodystructure.len() + self.parts.len() + self.key_fields.len()) as u64
    }
}

/// A message to append.
#[derive(Clone, Debug)]
pub struct NewMessage {
    pub message: mail::Message,
    pub shape: Shape,
    pub flags: Flags,
    pub keywords: Vec<String>,
    /// INTERNALDATE
    pub received: Unix,
}

/// What APPEND tells (RFC 4315 §3).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Appended {
    pub uidvalidity: u32,
    /// As the messages, ascending.
    pub uids: Vec<Uid>,
    pub modseq: ModSeq,
}

/// What COPY and MOVE tell (RFC 4315 §3).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Copied {
    pub uidvalidity: u32,
    /// UIDs there were and UIDs there are now, ascending.
    pub pairs: Vec<(Uid, Uid)>,
    pub modseq: ModSeq,
}

/// Which messages to expunge.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Which {
    /// Those that have \Deleted (RFC 9051 §6.4.3, RFC 9051 §6.4.9).
    Deleted,
    Any,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Expunged {
    pub uids: UidSet,
    pub modseq: ModSeq,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FlagMode {
    /// All others go.
    Set,
    /// All others go that these rights allow to be changed (RFC 4314 §4).
    SetAllowed(Rights),
    Add,
    Remove,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FlagChange {
    pub mode: FlagMode,
    pub flags: Flags,
    pub keywords: Vec<String>,
}

/// What a message in a mailbox is known by, without its octets: 24 octets in memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mark {
    pub modseq: ModSeq,
    pub keywords: Keywords,
    pub uid: Uid,
    pub flags: Flags,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stored {
    /// Of the mailbox before the change: who knew all up to there knows all with `changed`.
    pub before: ModSeq,
    pub modseq: ModSeq,
    /// The new state of those that truly changed, by UID.
    pub changed: Vec<Mark>,
    /// Those that were changed by others after `unchanged_since` (RFC 7162 §3.1.3).
    pub modified: UidSet,
    /// The keywords of the mailbox, for the bits in `changed`.
    pub keywords: Vec<String>,
}

/// A mailbox at one moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Snapshot {
    pub mailbox: Mailbox,
    /// Bit `n` of a mark stands for `keywords[n]`.
    pub keywords: Vec<String>,
    /// Ascending by UID.
    pub marks: Vec<Mark>,
}

/// What became of a mailbox after a mod-sequence (RFC 7162 §3.2).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Changes {
    /// Its `modseq` is where to go on from.
    pub mailbox: Mailbox,
    pub keywords: Vec<String>,
    /// New and changed messages, ascending by UID.
    pub changed: Vec<Mark>,
    pub vanished: UidSet,
}

/// What a row is to carry besides the small things.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Columns(u8);

impl Columns {
    pub const NONE: Self = Self(0);
    pub const ENVELOPE: Self = Self(1);
    pub const BODYSTRUCTURE: Self = Self(2);
    pub const PARTS: Self = Self(4);
    /// The fields in front.
    pub const PREFIX: Self = Self(8);
    /// The whole message; the prefix is in it.
    pub const MESSAGE: Self = Self(16);
    pub const KEY_FIELDS: Self = Self(32);
    /// The header of the octets as received.
    pub const HEADER: Self = Self(64);
    /// Nothing of the row but the UID and what else is named: its numbers stay 0.
    pub const BARE: Self = Self(128);

    pub fn contains(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }
}

/// Those of the left that are not in the right.
impl Sub for Columns {
    type Output = Self;

    fn sub(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }
}

impl BitOr for Columns {
    type Output = Self;

    fn bitor(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}

/// A message as FETCH needs it.
#[derive(Clone, Debug)]
pub struct Row {
    pub uid: Uid,
    pub flags: Flags,
    pub keywords: Keywords,
    pub modseq: ModSeq,
    /// INTERNALDATE
    pub received: Unix,
    /// SAVEDATE (RFC 8514)
    pub saved: Unix,
    /// RFC822.SIZE: prefix and body.
    pub size: u64,
    pub email: EmailId,
    /// Octets of the fields in front: what is added to every offset of the shape.
    pub prefix_len: u64,
    pub envelope: Option<Vec<u8>>,
    pub bodystructure: Option<Vec<u8>>,
    pub parts: Option<Vec<u8>>,
    pub prefix: Option<Vec<u8>>,
    /// Of the octets as received, for `mail::mime::KeyFields::decode`. `None` also for what was filed without them:
    /// see [`crate::Store::add_key_fields`].
    pub key_fields: Option<Vec<u8>>,
    /// The header of the octets as received, the empty line included. `None` also for what was filed without it, or with a larger
    /// one: the message has to be read.
    pub header: Option<Vec<u8>>,
    /// `added` is the prefix; `received` is in memory, or an open file that survives an expunge.
    pub message: Option<mail::Message>,
}
