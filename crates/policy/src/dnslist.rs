//! Lists of addresses and domains in the DNS, against or for a client, each answer with its score (RFC 5782).
//!
//! A list can only add to or take from a score; a list that gives no answer, or whose answers make no sense, counts
//! nothing. So a list that dies never costs a message.

mod config;
mod look_up;
#[cfg(test)]
mod tests;

pub use config::decode;
pub use look_up::{Known, check};

use crate::rules::Action;
use ::config::Network;
use mail::Domain;
use std::fmt;
use std::net::Ipv4Addr;

/// Most lists that can be configured.
pub const LISTS_MAX: usize = 32;
/// Greatest score of one answer, and smallest with a minus sign.
pub const SCORE_MAX: i32 = 1000;
/// Longest text of a list that is passed on, in characters.
pub const TEXT_MAX: usize = 200;

/// One list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct List {
    /// Where it is asked. May hold a key, and is therefore not shown.
    pub zone: Domain,
    /// What it is called in the log, in header fields and in replies.
    pub name: String,
    pub asked_for: Subjects,
    /// What an answer counts that no code names; with codes, an answer that is not among them counts nothing.
    pub score: i32,
    pub codes: Vec<Code>,
}

/// What a list is asked about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Subjects {
    pub client: bool,
    pub helo: bool,
    pub sender: bool,
}

/// What one answer of a list counts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Code {
    /// The answer, or a network of them.
    pub answer: Network,
    pub score: i32,
    /// Said instead of what the list says.
    pub text: Option<String>,
}

/// Sums of scores from which on something is done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Thresholds {
    pub mark: Option<i32>,
    pub quarantine: Option<i32>,
    pub reject: Option<i32>,
    pub defer: Option<i32>,
}

impl Default for Thresholds {
    fn default() -> Self {
        Self { mark: None, quarantine: Some(1), reject: None, defer: None }
    }
}

impl Thresholds {
    /// The strongest action whose threshold is reached.
    pub fn action(&self, score: i32) -> Action {
        let reached = |threshold: Option<i32>| threshold.is_some_and(|threshold| score >= threshold);
        let all = [
            (self.defer, Action::Defer),
            (self.reject, Action::Reject),
            (self.quarantine, Action::Quarantine),
            (self.mark, Action::Mark),
        ];
        all.into_iter()
            .find(|(threshold, _)| reached(*threshold))
            .map_or(Action::Nothing, |(_, action)| action)
    }
}

/// What a list was asked about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Subject {
    Client,
    Helo,
    Sender,
}

impl fmt::Display for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Client => "client",
            Self::Helo => "HELO",
            Self::Sender => "MAIL FROM",
        })
    }
}

/// What stands in a list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listing {
    /// Name of the list.
    pub list: String,
    pub subject: Subject,
    /// The address or domain that stands there.
    pub what: String,
    pub codes: Vec<Ipv4Addr>,
    pub score: i32,
    /// Why, in the words of the list or of the configuration.
    pub text: Option<String>,
}

/// What the lists say.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Outcome {
    pub listings: Vec<Listing>,
    /// Lists that gave no answer, or one that makes no sense: `name: what is wrong`.
    pub troubles: Vec<String>,
}

impl Outcome {
    /// The sum over all listings.
    pub fn score(&self) -> i32 {
        self.listings.iter().map(|one| one.score).fold(0, i32::saturating_add)
    }

    /// The listings that speak against the client, the worst first.
    pub fn against(&self) -> Vec<&Listing> {
        let mut all: Vec<&Listing> = self.listings.iter().filter(|one| one.score > 0).collect();
        all.sort_by_key(|one| std::cmp::Reverse(one.score));
        all
    }
}

impl fmt::Display for Listing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let codes: Vec<String> = self.codes.iter().map(Ipv4Addr::to_string).collect();
        write!(f, "{} is listed by {} ({})", self.what, self.list, codes.join(", "))?;
        match &self.text {
            Some(text) => write!(f, ": {text}"),
            None => Ok(()),
        }
    }
}
