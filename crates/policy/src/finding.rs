//! Evidence: what the checks found. The verdict, Authentication-Results and the log are all made of it.

use crate::{arc, dkim, dmarc, dnslist, helo, iprev, sender, spf};
use mail::Domain;
use std::fmt;

/// What one check found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Finding {
    Iprev(iprev::Outcome),
    Helo(helo::Outcome),
    /// Not for the null path.
    Sender(sender::Outcome),
    Lists(dnslist::Outcome),
    Spf(SpfFinding),
    /// One outcome for each signature; empty if there is none.
    Dkim(Vec<dkim::Outcome>),
    /// Only where there is a chain.
    Arc(arc::Outcome),
    Dmarc(dmarc::Outcome),
}

/// What SPF says, and about whom.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SpfFinding {
    pub identity: Identity,
    /// The address or name that was asked about, as the client gave it.
    pub who: String,
    pub outcome: spf::Outcome,
}

/// Whom SPF was asked about (RFC 7208 §2.3, §2.4).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Identity {
    MailFrom,
    /// HELO, because MAIL FROM is the null path: counts as MAIL FROM.
    HeloForNullPath,
    Helo,
}

impl Identity {
    /// What the log calls the check: HELO counts as `spf` where it stands in for MAIL FROM.
    fn check(self) -> &'static str {
        match self {
            Self::MailFrom | Self::HeloForNullPath => "spf",
            Self::Helo => "spf-helo",
        }
    }
}

/// The name of the client that leads back to it, if iprev found one: for the Received field.
pub fn verified_name(findings: &[Finding]) -> Option<&Domain> {
    findings.iter().find_map(|finding| match finding {
        Finding::Iprev(one) => one.name.as_ref(),
        _ => None,
    })
}

/// The bare results of all findings, for the line of the log that tells what became of a message:
/// `iprev=pass spf=fail spf-helo=none dkim=none dmarc=fail`; `none` where nothing was checked.
pub fn brief(findings: &[Finding]) -> String {
    let mut words = Vec::new();
    for finding in findings {
        match finding {
            Finding::Iprev(one) => words.push(format!("iprev={}", one.result)),
            Finding::Helo(one) => words.push(format!("helo={}", one.result)),
            Finding::Sender(one) => words.push(format!("sender={}", one.result)),
            Finding::Lists(one) => words.push(format!("dnsbl={}", one.score())),
            Finding::Spf(one) => words.push(format!("{}={}", one.identity.check(), one.outcome.result)),
            Finding::Dkim(all) if all.is_empty() => words.push("dkim=none".to_owned()),
            Finding::Dkim(all) => words.extend(all.iter().map(|one| format!("dkim={}", one.result))),
            Finding::Arc(one) => words.push(format!("arc={}", one.result)),
            Finding::Dmarc(one) => words.push(format!("dmarc={}", one.result)),
        }
    }
    if words.is_empty() { "none".to_owned() } else { words.join(" ") }
}

/// One line for the log: `spf=fail (a@b.example: -all matched in the record of b.example)`.
impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Iprev(one) => write!(f, "iprev={} ({}: {})", one.result, one.ip, one.reason),
            Self::Helo(one) => write!(f, "helo={} ({}: {})", one.result, shown(&one.helo), one.reason),
            Self::Sender(one) => write!(f, "sender={} ({}: {})", one.result, shown(&one.sender), one.reason),
            Self::Lists(one) => {
                write!(f, "dnsbl={}", one.score())?;
                let listings = one.listings.iter().map(ToString::to_string);
                let all: Vec<String> = listings.chain(one.troubles.iter().cloned()).collect();
                if all.is_empty() { Ok(()) } else { write!(f, " ({})", all.join("; ")) }
            }
            Self::Arc(one) => write!(f, "arc={} ({})", one.result, one.reason),
            Self::Spf(one) => {
                let outcome = &one.outcome;
                let check = one.identity.check();
                write!(f, "{check}={} ({}: {})", outcome.result, shown(&one.who), outcome.reason)
            }
            Self::Dkim(all) if all.is_empty() => f.write_str("dkim=none"),
            Self::Dkim(all) => {
                for (at, one) in all.iter().enumerate() {
                    let domain = one.domain.as_ref().map_or("?", |domain| domain.as_str());
                    let gap = if at > 0 { " " } else { "" };
                    write!(f, "{gap}dkim={} ({domain}: {})", one.result, one.reason)?;
                }
                Ok(())
            }
            Self::Dmarc(one) => {
                let author = one.author.as_ref().map_or("?", |domain| domain.as_str());
                write!(f, "dmarc={} ({author}: {})", one.result, one.reason)
            }
        }
    }
}

/// Longest text of a client's making that is logged, in characters.
const SHOWN_MAX: usize = 200;

/// Text of a client's making, safe to print.
fn shown(text: &str) -> String {
    text.chars().take(SHOWN_MAX).map(|c| if c.is_control() { '?' } else { c }).collect()
}
