//! ARC: what those who handed a message on say they found, sealed in a chain (RFC 8617).
//!
//! The reading of fields and the order of the checks are ours; mail-auth, whose ARC is marked as
//! historic and takes the whole message in memory, brings the same public-key arithmetic as for DKIM. A chain says
//! nothing by itself: it only counts where the operator trusts who sealed it ([`vouching`]).

mod chain;
pub(crate) mod seal;
#[cfg(test)]
mod seal_tests;
#[cfg(test)]
mod tests;
mod trust;
mod verify;

pub use trust::{Standing, Vouching, vouching};
pub use verify::verify;

use mail::Domain;
use std::fmt;
use std::net::IpAddr;

/// Highest instance that a chain may have (RFC 8617 §4.2.1).
pub const INSTANCES_MAX: u8 = 50;
/// Most sets of a chain that we look at: each costs up to two keys from the DNS and two signatures. Longer chains
/// fail; mail that was handed on so often has gone astray.
pub const SETS_MAX: usize = 20;

/// The Chain Validation Status (RFC 8617 §4.4). A message without a chain has no outcome.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ArcResult {
    Pass,
    Fail,
}

impl ArcResult {
    /// The word of Authentication-Results (RFC 8617 §10.1).
    pub fn word(self) -> &'static str {
        match self {
            Self::Pass => "pass",
            Self::Fail => "fail",
        }
    }
}

impl fmt::Display for ArcResult {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

/// What a chain comes to, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outcome {
    pub result: ArcResult,
    /// Why, in a few words for the log and the header.
    pub reason: String,
    /// The DNS gave no answer to what was needed. RFC 8617 §5.2.1 makes that a failure of the chain; but nobody is
    /// refused for it ([`Standing::Unanswered`]).
    pub is_unanswered: bool,
    /// The oldest message signature that is still good: its instance, or 0 if all are (RFC 8617 §5.2). `None` if the
    /// newest is not.
    pub oldest_pass: Option<u8>,
    /// The sets, oldest first; empty if they cannot be told apart.
    pub sets: Vec<Set>,
    /// Who brought the message: `smtp.remote-ip`.
    pub peer: IpAddr,
}

/// One link of a chain: what one of those who handed the message on says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Set {
    /// 1 is the oldest.
    pub instance: u8,
    /// Who sealed it: `d=` of ARC-Seal.
    pub sealer: Domain,
    /// `s=` of ARC-Seal.
    pub selector: String,
    /// Good results that its ARC-Authentication-Results names.
    pub claims: Vec<Claim>,
    /// From whom the sealer says to have got the message: `smtp.remote-ip`.
    pub remote_ip: Option<IpAddr>,
}

/// A good result, as a sealer tells it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Claim {
    /// `dmarc=pass header.from=…`
    Dmarc(Domain),
    /// `dkim=pass header.d=…`, or the domain of `header.i=`.
    Dkim(Domain),
}

impl fmt::Display for Claim {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Dmarc(domain) => write!(f, "dmarc=pass header.from={domain}"),
            Self::Dkim(domain) => write!(f, "dkim=pass header.d={domain}"),
        }
    }
}

impl Outcome {
    /// Who handed the message on, newest first, as a report to the author's domain names them (RFC 8617 §7.2.2).
    pub fn summary(&self) -> String {
        let mut text = format!("arc={}", self.result);
        for set in self.sets.iter().rev() {
            let (n, sealer, selector) = (set.instance, &set.sealer, &set.selector);
            text.push_str(&format!(" as[{n}].d={sealer} as[{n}].s={selector}"));
        }
        if let Some(ip) = self.sets.first().and_then(|set| set.remote_ip) {
            text.push_str(&format!(" remote-ip[1]={ip}"));
        }
        text
    }
}
