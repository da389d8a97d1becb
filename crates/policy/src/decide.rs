//! The verdict: findings and rules in, what to do with the message out. Pure.

use crate::dkim::DkimResult;
use crate::dmarc::{DmarcResult, Policy};
use crate::finding::{Finding, Identity, SpfFinding};
use crate::iprev::IprevResult;
use crate::spf::SpfResult;
use crate::{dkim, dmarc};
use mail::{Domain, Reply, Status};

/// What a rule asks for. Of several the greatest counts: while it is unknown whether somebody vouches for the
/// message, nothing final is said.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Action {
    Nothing,
    /// Deliver, with the reason in a header field.
    Mark,
    /// Deliver to Junk, with the reason in a header field.
    Quarantine,
    Reject,
    /// Ask the client to come again.
    Defer,
}

impl Action {
    pub fn word(self) -> &'static str {
        match self {
            Self::Nothing => "nothing",
            Self::Mark => "mark",
            Self::Quarantine => "quarantine",
            Self::Reject => "reject",
            Self::Defer => "defer",
        }
    }
}

/// What to do about which finding.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rules {
    /// The three about SPF of MAIL FROM count only where nobody vouches for the author: a forwarded message fails
    /// SPF and still carries its signature.
    pub spf_fail: Action,
    pub spf_softfail: Action,
    pub spf_permerror: Action,
    pub helo_fail: Action,
    /// The reverse name does not lead back, or there is none.
    pub iprev_fail: Action,
    /// There are signatures, and none is good. RFC 6376 §6.3 advises against more than a mark.
    pub dkim_fail: Action,
    /// DMARC failed and the domain asks for quarantine.
    pub dmarc_quarantine: Action,
    /// DMARC failed and the domain asks for rejection.
    pub dmarc_reject: Action,
    /// The DNS did not say what DMARC needs to know.
    pub dmarc_temperror: Action,
    /// No From, several, or one that cannot be read.
    pub unclear_author: Action,
}

impl Default for Rules {
    /// For a personal domain: do what the domains ask for, put to Junk what cannot be told, lose nothing.
    fn default() -> Self {
        Self {
            spf_fail: Action::Quarantine,
            spf_softfail: Action::Nothing,
            spf_permerror: Action::Nothing,
            helo_fail: Action::Nothing,
            iprev_fail: Action::Nothing,
            dkim_fail: Action::Nothing,
            dmarc_quarantine: Action::Quarantine,
            dmarc_reject: Action::Reject,
            dmarc_temperror: Action::Defer,
            unclear_author: Action::Quarantine,
        }
    }
}

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

/// One rule that applied.
struct Applied {
    action: Action,
    reason: String,
    /// Said if the action is to reject.
    status: Status,
    /// More text for a rejected client.
    more: Option<String>,
}

/// Says what becomes of a message.
pub fn decide(findings: &[Finding], rules: &Rules) -> Verdict {
    let is_vouched = is_author_vouched_for(findings);
    let mut applied: Vec<Applied> = findings
        .iter()
        .filter_map(|finding| match finding {
            Finding::Iprev(one) => about_iprev(one, rules),
            Finding::Spf(one) if one.identity == Identity::Helo => about_helo(one, rules),
            Finding::Spf(_) if is_vouched => None,
            Finding::Spf(one) => about_spf(one, rules),
            Finding::Dkim(all) => about_dkim(all, rules),
            Finding::Dmarc(_) if is_vouched => None,
            Finding::Dmarc(one) => about_dmarc(one, rules),
        })
        .filter(|one| one.action > Action::Nothing)
        .collect();
    // The strongest first; DMARC, which stands last among the findings, gives the reply before others as strong.
    applied.reverse();
    applied.sort_by_key(|one| std::cmp::Reverse(one.action));
    let Some(first) = applied.first() else { return Verdict::Accept };
    let reasons = || applied.iter().map(|one| one.reason.clone()).collect();
    match first.action {
        Action::Nothing => Verdict::Accept,
        Action::Mark => Verdict::Mark(reasons()),
        Action::Quarantine => Verdict::Quarantine(reasons()),
        Action::Reject => {
            let more = first.more.as_deref().map_or(String::new(), |more| format!("\n{more}"));
            Verdict::Reject(Reply::new(550, first.status, format!("{}{more}", first.reason)))
        }
        Action::Defer => {
            let text = format!("{}; try again later", first.reason);
            Verdict::Defer(Reply::new(451, Status::transient(4, 3), text))
        }
    }
}

/// Whether DMARC passed. Where there is no policy, a good signature of the author's domain or one above it says as
/// much; where the DNS does not tell the policy, one of the very domain, which is enough for any policy.
fn is_author_vouched_for(findings: &[Finding]) -> bool {
    let dmarc = findings.iter().find_map(|finding| match finding {
        Finding::Dmarc(one) => Some(one),
        _ => None,
    });
    let Some(dmarc) = dmarc else { return false };
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

fn about_iprev(one: &crate::iprev::Outcome, rules: &Rules) -> Option<Applied> {
    if !matches!(one.result, IprevResult::Fail | IprevResult::PermError) {
        return None;
    }
    Some(Applied {
        action: rules.iprev_fail,
        reason: format!("the reverse name of {} is not in order: {}", one.ip, one.reason),
        status: Status::permanent(7, 25),
        more: None,
    })
}

fn about_helo(one: &SpfFinding, rules: &Rules) -> Option<Applied> {
    if one.outcome.result != SpfResult::Fail {
        return None;
    }
    Some(spf_applied(one, rules.helo_fail, "HELO"))
}

fn about_spf(one: &SpfFinding, rules: &Rules) -> Option<Applied> {
    let action = match one.outcome.result {
        SpfResult::Fail => rules.spf_fail,
        SpfResult::SoftFail => rules.spf_softfail,
        SpfResult::PermError => rules.spf_permerror,
        SpfResult::None | SpfResult::Neutral | SpfResult::Pass | SpfResult::TempError => return None,
    };
    let name = if one.identity == Identity::MailFrom { "MAIL FROM" } else { "HELO" };
    Some(spf_applied(one, action, name))
}

fn spf_applied(one: &SpfFinding, action: Action, name: &str) -> Applied {
    let domain = domain_of(one);
    // RFC 7208 §8.4: what strangers explain is marked as theirs.
    let explained = one.outcome.explanation.as_deref();
    let detail = match one.outcome.result {
        SpfResult::PermError => 24,
        _ => 23,
    };
    Applied {
        action,
        reason: format!("SPF {} for the {name} domain {domain}: {}", one.outcome.result, one.outcome.reason),
        status: Status::permanent(7, detail),
        more: explained.map(|text| format!("The domain {domain} explains: {text}")),
    }
}

fn about_dkim(all: &[dkim::Outcome], rules: &Rules) -> Option<Applied> {
    let usable = |one: &dkim::Outcome| matches!(one.result, DkimResult::Pass | DkimResult::TempError);
    let first = all.first().filter(|_| !all.iter().any(usable))?;
    Some(Applied {
        action: rules.dkim_fail,
        reason: format!("no DKIM signature is good: {}", first.reason),
        status: Status::permanent(7, 20),
        more: None,
    })
}

fn about_dmarc(one: &dmarc::Outcome, rules: &Rules) -> Option<Applied> {
    let author = one.author.as_ref().map_or("", |domain| domain.as_str());
    let record = match &one.record_at {
        Some(at) if at.as_str() != author => format!(", published by {at}"),
        _ => String::new(),
    };
    let published = one.published.unwrap_or(one.wanted);
    let asks = |what| {
        format!("{author} asks to {what} mail like this (DMARC p={published}{record}): {}", one.reason)
    };
    let (action, reason) = match (one.result, one.wanted) {
        (DmarcResult::Fail, Policy::Reject) => (rules.dmarc_reject, asks("reject")),
        (DmarcResult::Fail, Policy::Quarantine) => (rules.dmarc_quarantine, asks("quarantine")),
        // The published policy might be a mild one, but what cannot be asked cannot be known.
        (DmarcResult::TempError, Policy::None) if one.published.is_some() => return None,
        (DmarcResult::TempError, _) => {
            (rules.dmarc_temperror, format!("DMARC cannot be told for {author}: {}", one.reason))
        }
        (DmarcResult::PermError, _) => (rules.unclear_author, one.reason.clone()),
        (DmarcResult::Fail | DmarcResult::None | DmarcResult::Pass, _) => return None,
    };
    Some(Applied { action, reason, status: Status::permanent(7, 26), more: None })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{iprev, spf};

    fn spf(identity: Identity, result: SpfResult) -> Finding {
        let outcome = spf::Outcome {
            result,
            reason: "so says the record".to_owned(),
            explanation: Some("go away".to_owned()).filter(|_| result == SpfResult::Fail),
            lookups: Vec::new(),
        };
        let who = if identity == Identity::MailFrom { "a@b.example" } else { "b.example" };
        Finding::Spf(SpfFinding { identity, who: who.to_owned(), outcome })
    }

    fn dkim(result: DkimResult, domain: &str) -> Finding {
        Finding::Dkim(vec![dkim::Outcome {
            result,
            reason: "so it is".to_owned(),
            domain: Domain::parse(domain).ok(),
            selector: None,
            identity: None,
            algorithm: None,
            mark: None,
            testing: false,
        }])
    }

    fn dmarc(result: DmarcResult, wanted: Option<Policy>) -> Finding {
        let author = Domain::parse("b.example").ok();
        Finding::Dmarc(dmarc::Outcome {
            result,
            reason: "nobody vouches".to_owned(),
            author: author.clone().filter(|_| result != DmarcResult::PermError),
            published: wanted,
            wanted: wanted.unwrap_or(Policy::None),
            record_at: author.filter(|_| wanted.is_some()),
            applied: None,
        })
    }

    fn iprev(result: IprevResult) -> Finding {
        let ip = [192, 0, 2, 1].into();
        Finding::Iprev(iprev::Outcome { result, reason: "no name".to_owned(), ip, name: None })
    }

    fn shown(verdict: Verdict) -> String {
        match verdict {
            Verdict::Accept => "accept".to_owned(),
            Verdict::Mark(reasons) => format!("mark {}", reasons.len()),
            Verdict::Quarantine(reasons) => format!("quarantine {}", reasons.len()),
            Verdict::Reject(reply) | Verdict::Defer(reply) => {
                format!("{} {}", reply.code, reply.status_or_general())
            }
        }
    }

    #[test]
    fn the_defaults_of_a_personal_domain() {
        use Identity::{Helo, HeloForNullPath, MailFrom};
        let rules = Rules::default();
        let (reject, quarantine) = (Some(Policy::Reject), Some(Policy::Quarantine));
        for (findings, want) in [
            (vec![], "accept"),
            (vec![spf(MailFrom, SpfResult::Fail)], "quarantine 1"),
            (vec![spf(HeloForNullPath, SpfResult::Fail)], "quarantine 1"),
            (vec![spf(Helo, SpfResult::Fail)], "accept"),
            (vec![spf(MailFrom, SpfResult::SoftFail)], "accept"),
            (vec![spf(MailFrom, SpfResult::TempError)], "accept"),
            (vec![iprev(IprevResult::Fail)], "accept"),
            (vec![dmarc(DmarcResult::Fail, reject)], "550 5.7.26"),
            (vec![dmarc(DmarcResult::Fail, quarantine)], "quarantine 1"),
            (vec![dmarc(DmarcResult::Fail, Some(Policy::None))], "accept"),
            (vec![dmarc(DmarcResult::Pass, reject)], "accept"),
            (vec![dmarc(DmarcResult::TempError, reject)], "451 4.4.3"),
            (vec![dmarc(DmarcResult::TempError, None)], "451 4.4.3"),
            (vec![dmarc(DmarcResult::TempError, Some(Policy::None))], "accept"),
            (vec![dmarc(DmarcResult::PermError, None)], "quarantine 1"),
            (vec![spf(MailFrom, SpfResult::Fail), dmarc(DmarcResult::Fail, reject)], "550 5.7.26"),
            (vec![spf(MailFrom, SpfResult::Fail), dmarc(DmarcResult::Fail, quarantine)], "quarantine 2"),
            // A forwarded message fails SPF and carries its signature
            (vec![spf(MailFrom, SpfResult::Fail), dmarc(DmarcResult::Pass, reject)], "accept"),
            (
                vec![
                    spf(MailFrom, SpfResult::Fail),
                    dkim(DkimResult::Pass, "b.example"),
                    dmarc(DmarcResult::None, None),
                ],
                "accept",
            ),
            (
                vec![
                    spf(MailFrom, SpfResult::Fail),
                    dkim(DkimResult::Pass, "c.example"),
                    dmarc(DmarcResult::None, None),
                ],
                "quarantine 1",
            ),
            (
                vec![
                    spf(MailFrom, SpfResult::Fail),
                    dkim(DkimResult::Fail, "b.example"),
                    dmarc(DmarcResult::None, None),
                ],
                "quarantine 1",
            ),
            // The very domain vouches, so its policy need not be known
            (vec![dkim(DkimResult::Pass, "b.example"), dmarc(DmarcResult::TempError, None)], "accept"),
            (vec![dkim(DkimResult::Pass, "example"), dmarc(DmarcResult::TempError, None)], "451 4.4.3"),
            (vec![spf(MailFrom, SpfResult::Pass), dmarc(DmarcResult::TempError, None)], "accept"),
            (vec![spf(Helo, SpfResult::Pass), dmarc(DmarcResult::TempError, None)], "451 4.4.3"),
        ] {
            assert_eq!(shown(decide(&findings, &rules)), want, "{findings:#?}");
        }
    }

    #[test]
    fn every_rule_has_its_effect() {
        let nothing = Rules {
            spf_fail: Action::Nothing,
            spf_softfail: Action::Nothing,
            spf_permerror: Action::Nothing,
            helo_fail: Action::Nothing,
            iprev_fail: Action::Nothing,
            dkim_fail: Action::Nothing,
            dmarc_quarantine: Action::Nothing,
            dmarc_reject: Action::Nothing,
            dmarc_temperror: Action::Nothing,
            unclear_author: Action::Nothing,
        };
        let usual = || nothing.clone();
        let (reject, mark) = (Action::Reject, Action::Mark);
        for (finding, rules, want) in [
            (spf(Identity::MailFrom, SpfResult::Fail), Rules { spf_fail: reject, ..usual() }, "550 5.7.23"),
            (spf(Identity::MailFrom, SpfResult::SoftFail), Rules { spf_softfail: mark, ..usual() }, "mark 1"),
            (
                spf(Identity::MailFrom, SpfResult::PermError),
                Rules { spf_permerror: reject, ..usual() },
                "550 5.7.24",
            ),
            (spf(Identity::Helo, SpfResult::Fail), Rules { helo_fail: reject, ..usual() }, "550 5.7.23"),
            (iprev(IprevResult::PermError), Rules { iprev_fail: reject, ..usual() }, "550 5.7.25"),
            (dkim(DkimResult::Fail, "b.example"), Rules { dkim_fail: mark, ..usual() }, "mark 1"),
            (
                dmarc(DmarcResult::Fail, Some(Policy::Quarantine)),
                Rules { dmarc_quarantine: mark, ..usual() },
                "mark 1",
            ),
            (
                dmarc(DmarcResult::Fail, Some(Policy::Reject)),
                Rules { dmarc_reject: mark, ..usual() },
                "mark 1",
            ),
            (dmarc(DmarcResult::TempError, None), Rules { dmarc_temperror: mark, ..usual() }, "mark 1"),
            (dmarc(DmarcResult::PermError, None), Rules { unclear_author: reject, ..usual() }, "550 5.7.26"),
        ] {
            let findings = [finding];
            assert_eq!(shown(decide(&findings, &rules)), want, "{findings:?}");
            assert_eq!(decide(&findings, &nothing), Verdict::Accept, "{findings:?}");
        }
    }

    #[test]
    fn what_strangers_explain_is_marked_as_theirs() {
        let rules = Rules { spf_fail: Action::Reject, ..Rules::default() };
        let Verdict::Reject(reply) = decide(&[spf(Identity::MailFrom, SpfResult::Fail)], &rules) else {
            panic!("not rejected");
        };
        assert_eq!(
            reply.text,
            "SPF fail for the MAIL FROM domain b.example: so says the record\nThe domain b.example explains: go away"
        );
    }
}
