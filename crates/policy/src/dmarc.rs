//! DMARC: what the domain in From wants done with mail that nobody vouches for (RFC 9989; records of RFC 7489 are
//! read the same way).
//!
//! Ours, like SPF, because the record must come through [`world::Resolver`] and the walk up the tree is shared by
//! all identifiers of a message. Evidence first: [`Evidence::gather`] asks the DNS; [`judge`] is arithmetic.

mod align;
mod external;
mod record;
#[cfg(test)]
mod tests;
mod walk;

pub use align::{Identifiers, Unanswered, judge};
pub use external::{Consent, ReportKind, consent};
pub use record::{Alignment, FailureOptions, Policy, Psd, Record};
pub use walk::{Applicable, Evidence};

use mail::Domain;
use std::fmt;
use std::time::Duration;

/// Most questions of one walk up the tree (RFC 9989, "DNS Tree Walk").
pub const QUERIES_MAX: usize = 8;
/// Longest that one question may take; then there is trouble instead of an answer.
pub const QUERY_TIME_MAX: Duration = Duration::from_secs(10);

/// Longest that all questions about one message may take together.
pub const TIME_MAX: Duration = Duration::from_secs(30);

/// What DMARC comes to (RFC 7489 §11.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum DmarcResult {
    /// The domain says nothing.
    None,
    Pass,
    Fail,
    /// The DNS gave no answer that was needed: another try may come out otherwise.
    TempError,
    /// There is no one domain in From to ask about.
    PermError,
}

impl DmarcResult {
    /// The word of Authentication-Results.
    pub fn word(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Pass => "pass",
            Self::Fail => "fail",
            Self::TempError => "temperror",
            Self::PermError => "permerror",
        }
    }
}

impl fmt::Display for DmarcResult {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

/// What DMARC comes to for one message, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outcome {
    pub result: DmarcResult,
    /// Why, in a few words for the log and the header.
    pub reason: String,
    /// The domain in From.
    pub author: Option<Domain>,
    /// What the domain has published for mail like this (`p`, `sp` or `np`).
    pub published: Option<Policy>,
    /// What it asks for now: one step milder while it is testing (`t=y`). `None` means nothing.
    pub wanted: Policy,
    /// Where the record stands.
    pub record_at: Option<Domain>,
    /// What reports tell the domain; `None` where it has no record.
    pub applied: Option<Box<Applied>>,
}

/// The record that counted, and who vouched for the author.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Applied {
    pub record: Record,
    /// A good signature is aligned.
    pub dkim: bool,
    /// SPF passed, and is aligned.
    pub spf: bool,
}
