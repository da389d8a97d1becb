//! The verdict: findings and rules in, what to do with the message out. Pure.

#[cfg(test)]
mod tests;

use crate::arc::{self, Standing, Vouching, vouching};
use crate::dkim::DkimResult;
use crate::dmarc::{DmarcResult, Policy};
use crate::finding::{Finding, Identity, SpfFinding};
use crate::helo::HeloResult;
use crate::iprev::IprevResult;
use crate::rules::{Action, DmarcCase, Rules};
use crate::sender::SenderResult;
use crate::spf::SpfResult;
use crate::{dkim, dmarc, dnslist, helo, iprev, sender};
use mail::{Domain, Reply, Status};

/// What becomes of a message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    Accept,
    /// Deliver, with the reasons in a header field.
    Mark(Vec<String>),
    /// Deliver to Junk, with the reasons in a header field.
    Quarantine(Vec<String>),
    Reject(Reply),
    Defer(Reply),
}

impl Verdict {
    /// One word for the log.
    pub fn word(&self) -> &'static str {
        match self {
            Self::Accept => "accept",
            Self::Mark(_) => "mark",
            Self::Quarantine(_) => "quarantine",
            Self::Reject(_) => "reject",
            Self::Defer(_) => "defer",
        }
    }
}

/// How long a client may still be put off.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Delay {
    Allowed,
    /// It was put off for long enough: what would be put off goes to Junk.
    Over,
}

/// One rule that applied.
struct Applied {
    action: Action,
    reason: String,
    /// Subject and detail of the enhanced status (RFC 3463 §3, RFC 7372 §3).
    code: (u16, u16),
    /// More text for a rejected client.
    more: Option<String>,
    firmness: Firmness,
}

/// Whether an answer that is yet to come could undo a rule.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Firmness {
    Firm,
    /// Nobody vouches for the author, as far as is known.
    UntilVouchedFor,
}

impl Applied {
    fn new(action: Action, code: (u16, u16), reason: String) -> Self {
        Self { action, reason, code, more: None, firmness: Firmness::Firm }
    }

    fn unanswered(action: Action, reason: String) -> Self {
        // RFC 7208 §8.6 names this status for it.
        Self::new(action, (4, 3), reason)
    }
}

/// Says what becomes of a message.
pub fn decide(findings: &[Finding], rules: &Rules) -> Verdict {
    decide_with(findings, rules, Delay::Allowed)
}

pub(crate) fn decide_with(findings: &[Finding], rules: &Rules, delay: Delay) -> Verdict {
    let mut applied = apply(findings, rules);
    for one in applied.iter_mut().filter(|one| one.action == Action::Defer && delay == Delay::Over) {
        one.action = Action::Quarantine;
    }
    // While it is unknown whether somebody vouches for the author, he is put off; what nobody can undo is said at once,
    // so that a stranger who breaks his own name server does not turn a refusal into a delay.
    let is_firm = |one: &Applied| one.action == Action::Reject && one.firmness == Firmness::Firm;
    if applied.iter().any(is_firm) {
        applied.retain(|one| one.action != Action::Defer);
    }
    // The strongest first; DMARC, which stands last among the findings, gives the reply before others as strong.
    applied.reverse();
    applied.sort_by_key(|one| std::cmp::Reverse(one.action));
    let Some(first) = applied.first() else { return Verdict::Accept };
    let reasons = || applied.iter().map(|one| one.reason.clone()).collect();
    let (subject, detail) = first.code;
    match first.action {
        Action::Nothing => Verdict::Accept,
        Action::Mark => Verdict::Mark(reasons()),
        Action::Quarantine => Verdict::Quarantine(reasons()),
        Action::Reject => {
            let more = first.more.as_deref().map_or(String::new(), |more| format!("\n{more}"));
            let text = format!("{}{more}", first.reason);
            Verdict::Reject(Reply::new(550, Status::permanent(subject, detail), text))
        }
        Action::Defer => {
            let text = format!("{}; try again later", first.reason);
            Verdict::Defer(Reply::new(451, Status::transient(subject, detail), text))
        }
    }
}

/// The rules that apply, in the order of the findings.
fn apply(findings: &[Finding], rules: &Rules) -> Vec<Applied> {
    let support = Support::of(findings, rules);
    findings
        .iter()
        .filter_map(|finding| match finding {
            Finding::Iprev(one) => about_iprev(one, rules),
            Finding::Helo(one) => about_helo(one, rules),
            Finding::Sender(one) => about_sender(one, &support, findings, rules),
            Finding::Lists(one) => about_lists(one, rules),
            Finding::Spf(one) if one.identity == Identity::Helo => about_spf_helo(one, rules),
            Finding::Spf(_) if support.is_vouched => None,
            // Where the domain has a policy, that says whether to wait.
            Finding::Spf(one) if one.outcome.result == SpfResult::TempError && support.has_policy => None,
            Finding::Spf(one) => about_spf(one, rules),
            Finding::Dkim(all) => about_dkim(all, rules),
            Finding::Arc(one) => about_arc(one, rules),
            Finding::Dmarc(_) if support.is_vouched => None,
            Finding::Dmarc(one) => about_dmarc(one, &support, rules),
        })
        .filter(|one| one.action > Action::Nothing)
        .collect()
}

/// What was done about a message that DMARC has a record for, for the header and for reports to the domain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Disposition {
    /// What was done: nothing, Junk or refusal. A message that is put off counts as not yet refused.
    pub policy: Policy,
    /// Why it is not what the domain asks for.
    pub changed: Option<Override>,
}

/// Why something else was done than the domain asks for: `local_policy` in reports (RFC 7489 §7.2, RFC 8617 §7.2.2).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Override {
    pub comment: String,
}

/// What DMARC alone comes to; `None` where no record was found. Other checks may have refused the message all the same.
pub fn disposition(findings: &[Finding], rules: &Rules) -> Option<Disposition> {
    let dmarc = dmarc_of(findings).filter(|one| one.published.is_some())?;
    let done = |policy| Disposition { policy, changed: None };
    if dmarc.result != DmarcResult::Fail {
        return Some(done(Policy::None));
    }
    let support = Support::of(findings, rules);
    if let Some(vouching) = support.sealed.as_ref().filter(|one| one.standing == Standing::Verified) {
        let chain = findings.iter().find_map(|finding| match finding {
            Finding::Arc(one) => Some(one.summary()),
            _ => None,
        });
        let Vouching { sealer, claim, .. } = vouching;
        let comment = format!("{}: {sealer}, who is trusted, saw {claim}", chain.unwrap_or_default());
        return Some(Disposition { policy: Policy::None, changed: Some(Override { comment }) });
    }
    let action = rules.dmarc.of(case_of(dmarc.wanted));
    let policy = match action {
        Action::Nothing | Action::Mark => Policy::None,
        Action::Quarantine => Policy::Quarantine,
        Action::Reject | Action::Defer => Policy::Reject,
    };
    let comment = format!("here {} means {}", dmarc.wanted, action.word());
    let changed = (policy != dmarc.wanted).then_some(Override { comment });
    Some(Disposition { policy, changed })
}

fn dmarc_of(findings: &[Finding]) -> Option<&dmarc::Outcome> {
    findings.iter().find_map(|finding| match finding {
        Finding::Dmarc(one) => Some(one),
        _ => None,
    })
}

/// Who stands up for the author.
struct Support {
    is_vouched: bool,
    /// The author's domain has a DMARC record.
    has_policy: bool,
    /// A trusted sealer of the chain saw the author's domain pass.
    sealed: Option<Vouching>,
}

impl Support {
    fn of(findings: &[Finding], rules: &Rules) -> Self {
        let author = dmarc_of(findings).and_then(|one| one.author.as_ref());
        let sealed = author.and_then(|author| {
            findings.iter().find_map(|finding| match finding {
                Finding::Arc(one) => vouching(one, author, &rules.trusted_sealers),
                _ => None,
            })
        });
        let is_sealed = sealed.as_ref().is_some_and(|one| one.standing == Standing::Verified);
        let has_policy = dmarc_of(findings).is_some_and(|one| one.published.is_some());
        Self { is_vouched: is_sealed || is_author_vouched_for(findings), has_policy, sealed }
    }
}

/// Whether DMARC passed. Where there is no policy, a good signature of the author's domain or one above it says as
/// much; where the DNS does not tell the policy, one of the very domain, which is enough for any policy.
fn is_author_vouched_for(findings: &[Finding]) -> bool {
    let Some(dmarc) = dmarc_of(findings) else { return false };
    let Some(author) = &dmarc.author else { return false };
    let signed = |is_right: &dyn Fn(&Domain) -> bool| {
        findings.iter().any(|finding| match finding {
            Finding::Dkim(all) => all
                .iter()
                .any(|one| one.result == DkimResult::Pass && one.domain.as_ref().is_some_and(is_right)),
            _ => false,
        })
    };
    let sent = || {
        findings.iter().any(|finding| match finding {
            Finding::Spf(one) if one.identity != Identity::Helo => {
                one.outcome.result == SpfResult::Pass && Domain::parse(domain_of(one)).as_ref() == Ok(author)
            }
            _ => false,
        })
    };
    match dmarc.result {
        DmarcResult::Pass => true,
        DmarcResult::None => signed(&|domain| author.is_within(domain)),
        DmarcResult::TempError => signed(&|domain| author == domain) || sent(),
        DmarcResult::Fail | DmarcResult::PermError => false,
    }
}

/// The domain that SPF was asked about.
fn domain_of(one: &SpfFinding) -> &str {
    one.who.rsplit_once('@').map_or(one.who.as_str(), |(_, domain)| domain)
}

fn about_iprev(one: &iprev::Outcome, rules: &Rules) -> Option<Applied> {
    let action = rules.iprev.of(one.result);
    let reason = format!("the reverse name of {} is not in order: {}", one.ip, one.reason);
    match one.result {
        IprevResult::Pass => None,
        IprevResult::TempError => Some(Applied::unanswered(action, reason)),
        IprevResult::Fail | IprevResult::PermError => Some(Applied::new(action, (7, 25), reason)),
    }
}

fn about_helo(one: &helo::Outcome, rules: &Rules) -> Option<Applied> {
    let action = rules.helo.of(one.result);
    let reason = format!("the client calls itself {:?}: {}", one.helo, one.reason);
    match one.result {
        HeloResult::Pass => None,
        HeloResult::TempError => Some(Applied::unanswered(action, reason)),
        _ => Some(Applied::new(action, (7, 1), reason)),
    }
}

fn about_sender(
    one: &sender::Outcome,
    support: &Support,
    findings: &[Finding],
    rules: &Rules,
) -> Option<Applied> {
    let action = rules.sender.of(one.result);
    let reason = format!("the sender {} cannot be answered: {}", one.sender, one.reason);
    match one.result {
        SenderResult::Pass => None,
        SenderResult::TempError => Some(Applied::unanswered(action, reason)),
        // RFC 7505 §4.2
        SenderResult::NullMx => Some(Applied::new(action, (7, 27), reason)),
        SenderResult::Nonexistent | SenderResult::NoMailHost => Some(Applied::new(action, (1, 8), reason)),
        // One of ours may write through a server elsewhere, if our own records say so or a signature does.
        SenderResult::OwnDomain if support.is_vouched || is_sent_by_right(findings) => None,
        SenderResult::OwnDomain => {
            let reason = format!("{}, and the client is a stranger", one.reason);
            Some(Applied { firmness: Firmness::UntilVouchedFor, ..Applied::new(action, (7, 1), reason) })
        }
    }
}

fn is_sent_by_right(findings: &[Finding]) -> bool {
    findings.iter().any(|finding| {
        matches!(finding, Finding::Spf(one) if one.identity == Identity::MailFrom && one.outcome.result == SpfResult::Pass)
    })
}

fn about_lists(one: &dnslist::Outcome, rules: &Rules) -> Option<Applied> {
    let worst = one.against();
    let first = worst.first()?;
    let others = worst.len() - 1;
    let others = if others > 0 { format!(", and {others} more") } else { String::new() };
    let reason = format!("{first}{others}");
    Some(Applied::new(rules.lists.action(one.score()), (7, 1), reason))
}

fn about_spf_helo(one: &SpfFinding, rules: &Rules) -> Option<Applied> {
    spf_applied(one, rules.spf_helo.of(one.outcome.result), "HELO")
}

fn about_spf(one: &SpfFinding, rules: &Rules) -> Option<Applied> {
    let name = if one.identity == Identity::MailFrom { "MAIL FROM" } else { "HELO" };
    spf_applied(one, rules.spf.of(one.outcome.result), name)
}

fn spf_applied(one: &SpfFinding, action: Action, name: &str) -> Option<Applied> {
    let domain = domain_of(one);
    // RFC 7208 §8.4: what strangers explain is marked as theirs.
    let explained = one.outcome.explanation.as_deref();
    let reason = format!("SPF {} for the {name} domain {domain}: {}", one.outcome.result, one.outcome.reason);
    let applied = match one.outcome.result {
        SpfResult::Pass => return None,
        SpfResult::TempError => Applied::unanswered(action, reason),
        SpfResult::PermError => Applied::new(action, (7, 24), reason),
        _ => Applied::new(action, (7, 23), reason),
    };
    let more = explained.map(|text| format!("The domain {domain} explains: {text}"));
    Some(Applied { more, firmness: Firmness::UntilVouchedFor, ..applied })
}

/// The best of all signatures counts.
fn about_dkim(all: &[dkim::Outcome], rules: &Rules) -> Option<Applied> {
    let best = [
        DkimResult::Pass,
        DkimResult::TempError,
        DkimResult::Policy,
        DkimResult::Fail,
        DkimResult::PermError,
        DkimResult::Neutral,
    ];
    let best = best.into_iter().find_map(|result| all.iter().find(|one| one.result == result));
    let Some(best) = best else {
        let reason = "the message is not signed".to_owned();
        return Some(Applied::new(rules.dkim.of(None), (7, 20), reason));
    };
    let action = rules.dkim.of(Some(best.result));
    let reason = format!("no DKIM signature is good: {}", best.reason);
    match best.result {
        DkimResult::Pass => None,
        DkimResult::TempError => Some(Applied::unanswered(action, reason)),
        DkimResult::Policy => Some(Applied::new(action, (7, 21), reason)),
        _ => Some(Applied::new(action, (7, 20), reason)),
    }
}

fn about_arc(one: &arc::Outcome, rules: &Rules) -> Option<Applied> {
    // RFC 8617 §5.2.2
    let applied =
        Applied::new(rules.arc.of(one.result), (7, 29), format!("the ARC chain is broken: {}", one.reason));
    match (one.result, applied.action) {
        (arc::ArcResult::Pass, _) => None,
        // Nothing is refused for good because the DNS gave no answer.
        (_, Action::Reject) if one.is_unanswered => Some(Applied::unanswered(Action::Defer, applied.reason)),
        _ => Some(applied),
    }
}

fn case_of(wanted: Policy) -> DmarcCase {
    match wanted {
        Policy::Reject => DmarcCase::Reject,
        Policy::Quarantine => DmarcCase::Quarantine,
        Policy::None => DmarcCase::Monitor,
    }
}

fn about_dmarc(one: &dmarc::Outcome, support: &Support, rules: &Rules) -> Option<Applied> {
    let author = one.author.as_ref().map_or("", |domain| domain.as_str());
    let record = match &one.record_at {
        Some(at) if at.as_str() != author => format!(", published by {at}"),
        _ => String::new(),
    };
    let published = one.published.unwrap_or(one.wanted);
    let cannot_tell = |what: &str| {
        let reason = format!("DMARC cannot be told for {author}: {what}");
        Some(Applied::unanswered(rules.dmarc.of(DmarcCase::TempError), reason))
    };
    match (one.result, one.wanted) {
        (DmarcResult::Pass, _) => None,
        (DmarcResult::Fail, wanted) => {
            if let Some(vouching) = support.sealed.as_ref().filter(|_| wanted != Policy::None) {
                return cannot_tell(&format!("a key of the ARC chain of {} is missing", vouching.sealer));
            }
            let asks = match wanted {
                Policy::None => format!("{author} only watches mail like this"),
                _ => format!("{author} asks to {wanted} mail like this"),
            };
            let reason = format!("{asks} (DMARC p={published}{record}): {}", one.reason);
            // Both SPF and DKIM have failed, which is what this status says (RFC 7372 §3.4).
            Some(Applied::new(rules.dmarc.of(case_of(wanted)), (7, 26), reason))
        }
        // The published policy might be a mild one, but what cannot be asked cannot be known.
        (DmarcResult::TempError, Policy::None) if one.published.is_some() => None,
        (DmarcResult::TempError, _) => cannot_tell(&one.reason),
        (DmarcResult::PermError, _) => {
            Some(Applied::new(rules.dmarc.of(DmarcCase::UnclearAuthor), (7, 26), one.reason.clone()))
        }
        (DmarcResult::None, _) => {
            Some(Applied::new(rules.dmarc.of(DmarcCase::NoRecord), (7, 26), one.reason.clone()))
        }
    }
}
