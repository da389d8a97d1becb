//! DMARC aggregate reports that we owe to domains whose mail came here: counted, and told once a day (RFC 9990).
//!
//! Messages that are reports themselves are not counted, and reports go out with the null sender: nobody reports about
//! reports for ever, and nothing bounces. Failure reports (`failures`) are another matter, and off by default.

mod send;

pub use send::{PERIOD, ReportSender};

use crate::failures::Failures;
use crate::reports::may_hold_report;
use crate::tls_seen::TlsCounters;
use mail::{Domain, Message};
use policy::dkim::DkimResult;
use policy::dmarc::{Applied, Policy};
use policy::report::compose::to_text;
use policy::report::{FailedMessage, Known, PublishedPolicy, Seen};
use policy::{Disposition, Facts, Finding, Identity, Verdict};
use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use storage::DmarcSeen;

/// Kinds of mail that are counted in memory until then; more are not counted.
const KINDS_MAX: usize = 10_000;
/// Signatures of one message that are told (RFC 9990 has 100 for a row).
const SIGNATURES_MAX: usize = 10;
/// Longest comment on why another thing was done than the policy asks for, in characters.
const COMMENT_MAX: usize = 300;
const DAY: i64 = 24 * 3600;
/// How much of a message is read to see whether it is a report itself.
const HEADER_MAX: usize = 64 * 1024;

/// What a door knows when a message was judged.
#[derive(Clone, Copy)]
pub struct Observed<'a> {
    pub facts: &'a Facts,
    pub findings: &'a [Finding],
    pub verdict: &'a Verdict,
    /// What was done about a policy, and why if it was something else than it asks for.
    pub disposition: Option<&'a Disposition>,
    pub message: &'a Message,
    /// Our name.
    pub hostname: &'a Domain,
}

/// Counts. Cloning is cheap.
#[derive(Clone, Default)]
pub struct Counters {
    inner: Arc<Counting>,
    tls: TlsCounters,
    failures: Failures,
}

#[derive(Default)]
struct Counting {
    on: AtomicBool,
    kinds: Mutex<HashMap<Kind, (PublishedPolicy, u64)>>,
}

#[derive(PartialEq, Eq, Hash)]
struct Kind {
    day: i64,
    domain: String,
    seen: Seen,
}

/// Whether mail is counted, and reports are sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sending {
    On,
    Off,
}

impl Counters {
    /// Counts for TLS reports.
    pub fn tls(&self) -> &TlsCounters {
        &self.tls
    }

    /// Messages to tell their authors' domains of.
    pub(crate) fn failures(&self) -> &Failures {
        &self.failures
    }

    pub fn set(&self, sending: Sending) {
        self.inner.on.store(sending == Sending::On, Ordering::Relaxed);
    }

    /// Whether each failure is told to domains that ask for it.
    pub fn set_failures(&self, sending: Sending) {
        self.failures.set(sending);
    }

    /// Counts a message that was judged, if its author's domain wants to hear of it. Messages that were put off are counted
    /// when they come again.
    pub fn observe(&self, observed: Observed<'_>, now: i64) {
        let counts = self.inner.on.load(Ordering::Relaxed);
        if !(counts || self.failures.is_on()) || matches!(observed.verdict, Verdict::Defer(_)) {
            return;
        }
        let Some(head) = head_of_counted(observed) else { return };
        if self.failures.is_on() {
            let Observed { facts, findings, verdict, disposition, hostname, .. } = observed;
            let known = Known { facts, findings, verdict, disposition, head: &head, hostname, now };
            FailedMessage::of(known).into_iter().for_each(|failed| self.failures.add(failed, now));
        }
        let Some((domain, policy, seen)) = read(observed).filter(|_| counts) else { return };
        let mut kinds = self.inner.kinds.lock().unwrap_or_else(PoisonError::into_inner);
        let kind = Kind { day: now.div_euclid(DAY), domain, seen };
        if kinds.len() >= KINDS_MAX && !kinds.contains_key(&kind) {
            return;
        }
        let counted = kinds.entry(kind).or_insert_with(|| (policy.clone(), 0));
        *counted = (policy, counted.1.saturating_add(1));
    }

    fn take(&self) -> Vec<DmarcSeen> {
        let kinds = std::mem::take(&mut *self.inner.kinds.lock().unwrap_or_else(PoisonError::into_inner));
        let row = |(kind, (policy, count)): (Kind, (PublishedPolicy, u64))| DmarcSeen {
            day: kind.day,
            domain: kind.domain,
            policy: to_text(&policy),
            detail: to_text(&kind.seen),
            count,
        };
        kinds.into_iter().map(row).collect()
    }
}

/// The header of a message whose author's domain wants to hear of it. `None` where none does, or for a report itself.
fn head_of_counted(observed: Observed<'_>) -> Option<Vec<u8>> {
    let applied = observed.findings.iter().find_map(|finding| match finding {
        Finding::Dmarc(one) => one.applied.as_ref(),
        _ => None,
    })?;
    if applied.record.rua.is_empty() && applied.record.ruf.is_empty() {
        return None;
    }
    let head = observed.message.received.read_at(0, HEADER_MAX).ok()?;
    (!may_hold_report(&head)).then_some(head)
}

/// Where the record stands, what it says, and what is told of the message. `None` where nobody wants to know.
fn read(observed: Observed<'_>) -> Option<(String, PublishedPolicy, Seen)> {
    let dmarc = observed.findings.iter().find_map(|finding| match finding {
        Finding::Dmarc(one) => Some(one),
        _ => None,
    })?;
    let (applied, author, at) = (dmarc.applied.as_ref()?, dmarc.author.as_ref()?, dmarc.record_at.as_ref()?);
    if applied.record.rua.is_empty() {
        return None;
    }
    let vouched = |yes: bool| if yes { "pass" } else { "fail" }.to_owned();
    let published = dmarc.published.unwrap_or(Policy::None);
    let (disposition, reason) = done(applied, published, dmarc.wanted, observed.verdict);
    let changed = observed.disposition.and_then(|one| one.changed.as_ref());
    let comment = changed.filter(|_| reason == "local_policy").map(|one| one.comment.as_str());
    let comment: String = comment.unwrap_or_default().chars().take(COMMENT_MAX).collect();
    let mail_from = observed.facts.mail_from.address().map(|address| address.domain().to_string());
    let seen = Seen {
        source: observed.facts.peer.to_canonical(),
        disposition: disposition.to_owned(),
        dkim: vouched(applied.dkim),
        spf: vouched(applied.spf),
        reason: reason.to_owned(),
        comment,
        header_from: author.to_string(),
        envelope_from: mail_from.clone().unwrap_or_default(),
        signatures: signatures(observed.findings, author),
        spf_result: spf(observed.findings, mail_from),
    };
    Some((at.to_string(), PublishedPolicy::of(&applied.record), seen))
}

/// What was done about the policy, and the kind of reason where that is not what was published (RFC 9990, "Policy Override
/// Reason").
fn done(
    applied: &Applied,
    published: Policy,
    wanted: Policy,
    verdict: &Verdict,
) -> (&'static str, &'static str) {
    if applied.dkim || applied.spf {
        return (if published == Policy::None { "none" } else { "pass" }, "");
    }
    // What other checks did to the message beyond the policy is none of the domain's business.
    let done = match verdict {
        Verdict::Reject(_) => wanted,
        Verdict::Quarantine(_) => wanted.min(Policy::Quarantine),
        Verdict::Accept | Verdict::Mark(_) | Verdict::Defer(_) => Policy::None,
    };
    let reason = match () {
        () if done < wanted => "local_policy",
        () if done < published => "policy_test_mode",
        () => "",
    };
    (done.word(), reason)
}

/// The signatures that tell the domain most first (RFC 9990, "DKIM Signatures in Aggregate Reports").
fn signatures(findings: &[Finding], author: &Domain) -> Vec<(String, String, String)> {
    let all = findings.iter().filter_map(|finding| match finding {
        Finding::Dkim(all) => Some(all),
        _ => None,
    });
    let mut all: Vec<_> = all.flatten().collect();
    all.sort_by_key(|one| {
        let is_good = one.result == DkimResult::Pass;
        let is_near = |domain: &Domain| domain.is_within(author) || author.is_within(domain);
        match &one.domain {
            Some(domain) if is_good && domain == author => 0,
            Some(domain) if is_good && is_near(domain) => 1,
            _ if is_good => 2,
            _ => 3,
        }
    });
    all.into_iter()
        .filter_map(|one| {
            let domain = one.domain.as_ref()?.to_string();
            Some((domain, one.selector.clone().unwrap_or_default(), one.result.word().to_owned()))
        })
        .take(SIGNATURES_MAX)
        .collect()
}

fn spf(findings: &[Finding], mail_from: Option<String>) -> Option<(String, String)> {
    findings.iter().find_map(|finding| match finding {
        Finding::Spf(one) if one.identity != Identity::Helo => {
            let domain = mail_from.clone().unwrap_or_else(|| one.who.clone());
            Some((domain, one.outcome.result.word().to_owned()))
        }
        _ => None,
    })
}
