//! FETCH as a value (RFC 9051 §6.4.5).

use super::{By, PartialRange};
use crate::sequence::Set;

/// FETCH and UID FETCH.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fetch {
    pub set: Set,
    pub by: By,
    pub items: Vec<FetchItem>,
    /// CHANGEDSINCE (RFC 7162 §3.1.4.1).
    pub changed_since: Option<u64>,
    /// VANISHED: what is gone since then is told too (RFC 7162 §3.2.6).
    pub vanished: bool,
    /// PARTIAL: only some of the set (RFC 9394 §3.3).
    pub slice: Option<PartialRange>,
}

/// Whether FETCH of a body sets `\Seen`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Peek {
    Peek,
    MarkSeen,
}

/// `<origin.length>`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Partial {
    pub origin: u64,
    /// Never 0.
    pub length: u64,
}

/// RFC 9051 §6.4.5.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FetchItem {
    Uid,
    Flags,
    /// RFC 7162 §3.1.4.2.
    ModSeq,
    /// RFC 8474 §5.
    EmailId,
    ThreadId,
    InternalDate,
    /// RFC 8514 §4.2.
    SaveDate,
    /// RFC 8970 §3.
    Preview(PreviewWhen),
    Size,
    Envelope,
    /// `BODY` without section: the structure without extension data.
    Body,
    BodyStructure,
    Section {
        section: Section,
        partial: Option<Partial>,
        peek: Peek,
    },
    /// `RFC822`, `RFC822.HEADER` and `RFC822.TEXT`: sections under their old names.
    Rfc822(Rfc822),
    Binary {
        part: Vec<u32>,
        partial: Option<Partial>,
        peek: Peek,
    },
    BinarySize {
        part: Vec<u32>,
    },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rfc822 {
    Whole,
    Header,
    Text,
}

/// What stands in the brackets of `BODY[…]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Section {
    /// Part numbers; empty for the message itself.
    pub part: Vec<u32>,
    pub what: SectionText,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SectionText {
    Whole,
    Header,
    /// Names as asked, in order.
    HeaderFields(Vec<String>),
    HeaderFieldsNot(Vec<String>),
    Text,
    Mime,
}

/// How long the client will wait for a preview.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PreviewWhen {
    Always,
    /// Only if it costs nothing.
    Lazy,
}
