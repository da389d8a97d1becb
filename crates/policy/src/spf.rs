//! SPF: whether a host may send mail in the name of a domain (RFC 7208).
//!
//! Our own evaluator. The one of mail-auth 0.13 takes the first of two records, steps over terms it does not
//! know or cannot read, and has no limit for void look-ups; RFC 7208 §4.5, §4.6 and §4.6.4 want a permanent
//! error for each. It also keeps no list of the questions it asked, which the log and `check spf` print.
//!
//! A local part that is not ASCII matches nothing where a term names it (RFC 8616 §4).
//!
//! Names may hold whatever macros put into them, and only records of the client's family are asked for, as RFC 7208
//! §5 says.

mod evaluate;
mod macros;
mod names;
mod record;
#[cfg(test)]
mod tests;

use mail::{Address, Domain};
use std::fmt;
use std::net::IpAddr;
use std::time::Duration;
use world::World;

/// Most terms of one evaluation that ask the DNS (RFC 7208 §4.6.4).
pub const LOOKUPS_MAX: usize = 10;
/// Most terms of one evaluation whose questions have no answer (RFC 7208 §4.6.4).
pub const VOID_LOOKUPS_MAX: usize = 2;
/// Most MX hosts of one `mx`, and most names of one `ptr`, that are looked at (RFC 7208 §4.6.4).
pub const NAMES_MAX: usize = 10;
/// Longest that one evaluation takes; then the result is a temporary error (RFC 7208 §4.6.4 asks for at least this).
pub const TIME_MAX: Duration = Duration::from_secs(20);
/// Longest explanation that is passed on, in octets.
pub const EXPLANATION_MAX: usize = 400;

/// What an evaluation comes to (RFC 7208 §2.6).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum SpfResult {
    /// No record, or no name that could have one.
    None,
    /// The domain says nothing about this host.
    Neutral,
    /// The host may.
    Pass,
    /// The host may not.
    Fail,
    /// The host probably may not.
    SoftFail,
    /// The DNS gave no answer: another try may come out otherwise.
    TempError,
    /// The record cannot be understood.
    PermError,
}

impl SpfResult {
    /// The word of Authentication-Results (RFC 8601 §2.7.2).
    pub fn word(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Neutral => "neutral",
            Self::Pass => "pass",
            Self::Fail => "fail",
            Self::SoftFail => "softfail",
            Self::TempError => "temperror",
            Self::PermError => "permerror",
        }
    }
}

impl fmt::Display for SpfResult {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

/// One question that was put to the DNS, and what came of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lookup {
    /// The name asked for, or the address for PTR.
    pub name: String,
    /// `TXT`, `MX`, `A`, `AAAA` or `PTR`.
    pub kind: &'static str,
    /// The answer in short, or why there is none.
    pub answer: String,
}

impl fmt::Display for Lookup {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}: {}", self.name, self.kind, self.answer)
    }
}

/// The arguments of `check_host()` (RFC 7208 §4.1), with what macros may name.
#[derive(Clone, Debug)]
pub struct Question<'a> {
    pub ip: IpAddr,
    /// Where to look first: the domain of MAIL FROM or the name of HELO.
    pub domain: &'a str,
    /// The local part of the sender; `postmaster` where there is none (RFC 7208 §4.3).
    pub local: &'a str,
    /// What the client called itself.
    pub helo: &'a str,
    /// Our own name.
    pub receiver: &'a str,
}

impl<'a> Question<'a> {
    /// May this host send for this MAIL FROM?
    pub fn mail_from(ip: IpAddr, from: &'a Address, helo: &'a str, receiver: &'a Domain) -> Self {
        Self { ip, domain: from.domain().as_str(), local: from.local(), helo, receiver: receiver.as_str() }
    }

    /// May this host call itself so? Also the question for a null reverse path (RFC 7208 §2.4).
    pub fn helo(ip: IpAddr, helo: &'a str, receiver: &'a Domain) -> Self {
        Self { ip, domain: helo, local: "postmaster", helo, receiver: receiver.as_str() }
    }
}

/// The result, and how it came about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outcome {
    pub result: SpfResult,
    /// Why, in a few words for the log and the header.
    pub reason: String,
    /// What the domain says to those it refuses (RFC 7208 §6.2). Printable ASCII, of a stranger's making.
    pub explanation: Option<String>,
    /// Every question asked, in order.
    pub lookups: Vec<Lookup>,
}

impl Outcome {
    /// Where nobody knows the client: what the domain would say of it might yet come to light, as after a DNS failure.
    pub(crate) fn of_nobody() -> Self {
        let reason = "the proxy does not say who the client is".to_owned();
        Self { result: SpfResult::TempError, reason, explanation: None, lookups: Vec::new() }
    }
}

/// Evaluates `check_host()` (RFC 7208 §4). Ends within [`TIME_MAX`].
pub async fn check_host(question: &Question<'_>, world: &World) -> Outcome {
    evaluate::run(question, world).await
}
