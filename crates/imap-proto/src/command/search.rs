//! SEARCH as a value (RFC 9051 §6.4.4).

use super::{By, FetchItem};
use crate::sequence::{Bound, Set};
use std::fmt;
use std::ops::Range;

/// SEARCH and UID SEARCH (RFC 9051 §6.4.4).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Search {
    pub by: By,
    pub charset: Charset,
    /// `None`: no RETURN was written. An empty `RETURN ()` is `[All]`.
    pub give: Option<Vec<SearchReturn>>,
    pub key: Key,
}

impl Search {
    /// What is to be told of new messages in the result, where its changes are to be told.
    pub fn updates(&self) -> Option<&[FetchItem]> {
        self.give.iter().flatten().find_map(|give| match give {
            SearchReturn::Update(items) => Some(items.as_slice()),
            _ => None,
        })
    }
}

/// The charset of the texts in a search.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Charset {
    /// UTF-8 or US-ASCII.
    Known,
    /// Another of [`crate::CHARSETS`]: the texts were turned into Unicode.
    Other,
    /// One that is not known: the criteria were not read, and the answer is `NO [BADCHARSET (…)]` (RFC 9051 §7.1).
    Unknown,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SearchReturn {
    Min,
    Max,
    All,
    Count,
    Save,
    Partial(PartialRange),
    /// The same search is likely to come again (RFC 5267 §4.2).
    Context,
    /// Changes of the result are to be told (RFC 5267 §4.3), and these items of new messages in it (RFC 5465 §7).
    Update(Vec<FetchItem>),
    /// How well each message fits; the key has FUZZY in it (RFC 6203 §4).
    Relevancy,
}

/// A slice of the results by their places, counted from 1, or from -1 backwards (RFC 5267 §4.4, RFC 9394 §3.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PartialRange {
    /// As written: the ends in any order, both of one sign, neither 0.
    pub from: i64,
    pub to: i64,
}

impl PartialRange {
    /// How many results it has room for.
    pub fn room(self) -> u64 {
        self.from.abs_diff(self.to) + 1
    }

    /// Which of `count` results it means.
    pub fn of(self, count: usize) -> Range<usize> {
        let place = |n: i64| usize::try_from(n.unsigned_abs()).unwrap_or(usize::MAX);
        let (low, high) = (place(self.from).min(place(self.to)), place(self.from).max(place(self.to)));
        let (start, end) = (low.saturating_sub(1).min(count), high.min(count));
        if self.from < 0 { count - end..count - start } else { start..end }
    }
}

impl fmt::Display for PartialRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.from, self.to)
    }
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
    /// Near is near enough (RFC 6203 §3).
    Fuzzy(Box<Key>),
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
                Self::Not(key) | Self::Fuzzy(key) => key.any(wanted),
                _ => false,
            }
    }

    /// Whether a mod-sequence is asked for: then the answer has one as well (RFC 7162 §3.1.6).
    pub fn has_modseq(&self) -> bool {
        self.any(&|key| matches!(key, Self::ModSeq(_)))
    }

    /// Whether something need only fit nearly, so that messages can be told by how well they do.
    pub fn has_fuzzy(&self) -> bool {
        self.any(&|key| matches!(key, Self::Fuzzy(_)))
    }

    /// Whether message numbers are used.
    pub fn has_numbers(&self) -> bool {
        self.any(&|key| matches!(key, Self::Sequence(Set::Ranges(_))))
    }

    /// Whether the verdict on a message can only change when that message changes: so it cannot where numbers, `$`, `*`
    /// or the time of day are used.
    pub fn is_lasting(&self) -> bool {
        !self.any(&|key| match key {
            Self::Sequence(_) | Self::Uid(Set::Saved) | Self::Older(_) | Self::Younger(_) => true,
            Self::Uid(Set::Ranges(ranges)) => {
                ranges.iter().any(|(from, to)| *from == Bound::Last || *to == Bound::Last)
            }
            _ => false,
        })
    }
}
