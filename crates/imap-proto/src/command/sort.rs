//! SORT and THREAD as values (RFC 5256).

use super::Search;

/// SORT and UID SORT (RFC 5256 §3, RFC 5267 §3).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sort {
    pub search: Search,
    /// Never empty, and no key twice. What they leave undecided is in the order of the mailbox.
    pub order: Vec<SortBy>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SortBy {
    pub key: SortKey,
    pub direction: Direction,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SortKey {
    Arrival,
    Cc,
    Date,
    /// RFC 5957 §4.
    DisplayFrom,
    DisplayTo,
    From,
    /// The best first (RFC 6203 §6).
    Relevancy,
    Size,
    Subject,
    To,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    Ascending,
    /// REVERSE.
    Descending,
}

/// THREAD and UID THREAD (RFC 5256 §3).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Thread {
    /// Without RETURN.
    pub search: Search,
    pub algorithm: Algorithm,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Algorithm {
    OrderedSubject,
    References,
    /// As REFERENCES, but subjects do not matter, and threads stand in the order of their last arrivals
    /// (draft-ietf-morg-inthread §4).
    Refs,
}
