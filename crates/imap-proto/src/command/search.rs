//! SEARCH as a value (RFC 9051 §6.4.4).

use super::By;
use crate::sequence::Set;

/// SEARCH and UID SEARCH (RFC 9051 §6.4.4).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Search {
    pub by: By,
    pub charset: Charset,
    /// `None`: no RETURN was written. An empty `RETURN ()` is `[All]`.
    pub give: Option<Vec<SearchReturn>>,
    pub key: Key,
}

/// The charset of the texts in a search.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Charset {
    /// UTF-8 or US-ASCII.
    Known,
    /// Another: the criteria were not read, and the answer is `NO [BADCHARSET (…)]` (RFC 9051 §7.1).
    Unknown,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SearchReturn {
    Min,
    Max,
    All,
    Count,
    Save,
}

/// A day without a zone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Day {
    pub year: i32,
    pub month: u8,
    pub day: u8,
}

/// A search criterion.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Key {
    All,
    /// All of them; two at least.
    And(Vec<Key>),
    /// One of them; two at least.
    Or(Vec<Key>),
    Not(Box<Key>),
    Sequence(Set),
    Uid(Set),
    /// `\Seen`, … or a keyword.
    Flag(String),
    Before(Day),
    On(Day),
    Since(Day),
    SentBefore(Day),
    SentOn(Day),
    SentSince(Day),
    /// RFC 8514 §4.3.
    SavedBefore(Day),
    SavedOn(Day),
    SavedSince(Day),
    /// So many seconds before now, or earlier (RFC 5032 §2).
    Older(u32),
    Younger(u32),
    Larger(u64),
    Smaller(u64),
    /// Changed with this mod-sequence or a later one (RFC 7162 §3.1.5).
    ModSeq(u64),
    /// RFC 8474 §6.
    EmailId(String),
    ThreadId(String),
    /// A header field and a text; an empty text finds every message that has the field.
    Header(String, String),
    Body(String),
    /// Header or body.
    Text(String),
}

impl Key {
    /// Whether one of the criteria in it is such.
    pub fn any(&self, wanted: &impl Fn(&Self) -> bool) -> bool {
        wanted(self)
            || match self {
                Self::And(keys) | Self::Or(keys) => keys.iter().any(|key| key.any(wanted)),
                Self::Not(key) => key.any(wanted),
                _ => false,
            }
    }

    /// Whether a mod-sequence is asked for: then the answer has one as well (RFC 7162 §3.1.6).
    pub fn has_modseq(&self) -> bool {
        self.any(&|key| matches!(key, Self::ModSeq(_)))
    }

    /// Whether message numbers are used.
    pub fn has_numbers(&self) -> bool {
        self.any(&|key| matches!(key, Self::Sequence(Set::Ranges(_))))
    }
}
