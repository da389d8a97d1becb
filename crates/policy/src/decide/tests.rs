//! Findings in, verdict out.

use super::*;
use crate::arc::{ArcResult, Claim, Set};
use crate::dnslist::{Listing, Subject, Thresholds};
use crate::spf;
use std::net::IpAddr;

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
        (vec![spf(MailFrom, SpfResult::TempError)], "451 4.4.3"),
        (vec![spf(Helo, SpfResult::TempError)], "accept"),
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

fn helo(result: HeloResult) -> Finding {
    Finding::Helo(helo::Outcome { result, reason: "so it is".to_owned(), helo: "x".to_owned() })
}

fn sender(result: SenderResult) -> Finding {
    Finding::Sender(sender::Outcome {
        result,
        reason: "so it is".to_owned(),
        sender: "a@b.example".to_owned(),
    })
}

fn lists(scores: &[i32]) -> Finding {
    let listing = |score: &i32| Listing {
        list: "l.example".to_owned(),
        subject: Subject::Client,
        what: "192.0.2.1".to_owned(),
        codes: vec![[127, 0, 0, 2].into()],
        score: *score,
        text: None,
    };
    let troubles = vec!["dead.example: no answer in time".to_owned()];
    Finding::Lists(dnslist::Outcome { listings: scores.iter().map(listing).collect(), troubles })
}

/// A chain of one, sealed by `sealer`, who saw the author pass.
fn sealed(result: ArcResult, sealer: &str) -> Finding {
    let domain = |text| Domain::parse(text).unwrap();
    let set = Set {
        instance: 1,
        sealer: domain(sealer),
        selector: "s".to_owned(),
        claims: vec![Claim::Dmarc(domain("b.example"))],
        remote_ip: Some([198, 51, 100, 7].into()),
    };
    Finding::Arc(arc::Outcome {
        result,
        reason: "so it is".to_owned(),
        is_unanswered: false,
        oldest_pass: Some(0),
        sets: vec![set],
        peer: IpAddr::from([192, 0, 2, 1]),
    })
}

fn unanswered(finding: Finding) -> Finding {
    match finding {
        Finding::Arc(one) => Finding::Arc(arc::Outcome { is_unanswered: true, ..one }),
        other => other,
    }
}

#[test]
fn the_other_defaults_of_a_personal_domain() {
    use HeloResult::*;
    for (findings, want) in [
        (vec![helo(Pass), sender(SenderResult::Pass), lists(&[])], "accept"),
        (vec![helo(BadSyntax)], "mark 1"),
        (vec![helo(BareAddress)], "mark 1"),
        (vec![helo(WrongAddress)], "mark 1"),
        (vec![helo(OwnName)], "quarantine 1"),
        (vec![helo(OwnAddress)], "quarantine 1"),
        (vec![helo(ShortName), helo(Unresolvable), helo(TempError)], "accept"),
        (vec![sender(SenderResult::NullMx)], "quarantine 1"),
        (vec![sender(SenderResult::Nonexistent)], "mark 1"),
        (vec![sender(SenderResult::NoMailHost)], "mark 1"),
        (vec![sender(SenderResult::TempError)], "accept"),
        (vec![sender(SenderResult::OwnDomain)], "quarantine 1"),
        (vec![sender(SenderResult::OwnDomain), spf(Identity::MailFrom, SpfResult::Pass)], "accept"),
        (vec![sender(SenderResult::OwnDomain), spf(Identity::Helo, SpfResult::Pass)], "quarantine 1"),
        (
            vec![
                sender(SenderResult::OwnDomain),
                spf(Identity::MailFrom, SpfResult::Fail),
                dmarc(DmarcResult::Pass, Some(Policy::Reject)),
            ],
            "accept",
        ),
        (vec![lists(&[1])], "quarantine 1"),
        (vec![lists(&[2, -2])], "accept"),
        (vec![lists(&[-5])], "accept"),
        (vec![dkim(DkimResult::Fail, "b.example")], "accept"),
        (vec![Finding::Dkim(Vec::new())], "accept"),
        (vec![sealed(ArcResult::Fail, "l.example")], "accept"),
    ] {
        assert_eq!(shown(decide(&findings, &Rules::default())), want, "{findings:#?}");
    }
}

/// Rules that do nothing.
fn nothing() -> Rules {
    let mut nothing = Rules::default();
    for row in crate::rules::IPREV {
        nothing.iprev.set(row.result, Action::Nothing);
    }
    for row in crate::rules::HELO {
        nothing.helo.set(row.result, Action::Nothing);
    }
    for row in crate::rules::SENDER {
        nothing.sender.set(row.result, Action::Nothing);
    }
    for row in crate::rules::SPF {
        nothing.spf.set(row.result, Action::Nothing);
    }
    for row in crate::rules::DMARC {
        nothing.dmarc.set(row.result, Action::Nothing);
    }
    nothing.lists = Thresholds { mark: None, quarantine: None, reject: None, defer: None };
    nothing
}

/// Puts an action into its place in the rules.
type Put = fn(&mut Rules, Action);

fn refusals_of_clients() -> Vec<(Finding, Put, &'static str)> {
    let who = Identity::MailFrom;
    vec![
        (spf(who, SpfResult::Fail), |rules, to| rules.spf.set(SpfResult::Fail, to), "550 5.7.23"),
        (spf(who, SpfResult::SoftFail), |rules, to| rules.spf.set(SpfResult::SoftFail, to), "550 5.7.23"),
        (spf(who, SpfResult::Neutral), |rules, to| rules.spf.set(SpfResult::Neutral, to), "550 5.7.23"),
        (spf(who, SpfResult::None), |rules, to| rules.spf.set(SpfResult::None, to), "550 5.7.23"),
        (spf(who, SpfResult::PermError), |rules, to| rules.spf.set(SpfResult::PermError, to), "550 5.7.24"),
        (
            spf(Identity::Helo, SpfResult::Fail),
            |rules, to| rules.spf_helo.set(SpfResult::Fail, to),
            "550 5.7.23",
        ),
        (
            spf(Identity::Helo, SpfResult::Neutral),
            |rules, to| rules.spf_helo.set(SpfResult::Neutral, to),
            "550 5.7.23",
        ),
        (
            spf(Identity::Helo, SpfResult::None),
            |rules, to| rules.spf_helo.set(SpfResult::None, to),
            "550 5.7.23",
        ),
        (iprev(IprevResult::Fail), |rules, to| rules.iprev.set(IprevResult::Fail, to), "550 5.7.25"),
        (
            iprev(IprevResult::PermError),
            |rules, to| rules.iprev.set(IprevResult::PermError, to),
            "550 5.7.25",
        ),
        (helo(HeloResult::BadSyntax), |rules, to| rules.helo.set(HeloResult::BadSyntax, to), "550 5.7.1"),
        (sender(SenderResult::NullMx), |rules, to| rules.sender.set(SenderResult::NullMx, to), "550 5.7.27"),
        (
            sender(SenderResult::Nonexistent),
            |rules, to| rules.sender.set(SenderResult::Nonexistent, to),
            "550 5.1.8",
        ),
        (
            sender(SenderResult::OwnDomain),
            |rules, to| rules.sender.set(SenderResult::OwnDomain, to),
            "550 5.7.1",
        ),
    ]
}

fn refusals_of_messages() -> Vec<(Finding, Put, &'static str)> {
    let (reject, quarantine) = (Some(Policy::Reject), Some(Policy::Quarantine));
    vec![
        (Finding::Dkim(Vec::new()), |rules, to| rules.dkim.set(None, to), "550 5.7.20"),
        (
            dkim(DkimResult::Fail, "b.example"),
            |rules, to| rules.dkim.set(Some(DkimResult::Fail), to),
            "550 5.7.20",
        ),
        (
            dkim(DkimResult::Policy, "b.example"),
            |rules, to| rules.dkim.set(Some(DkimResult::Policy), to),
            "550 5.7.21",
        ),
        (sealed(ArcResult::Fail, "l.example"), |rules, to| rules.arc.set(ArcResult::Fail, to), "550 5.7.29"),
        (
            dmarc(DmarcResult::Fail, quarantine),
            |rules, to| rules.dmarc.set(DmarcCase::Quarantine, to),
            "550 5.7.26",
        ),
        (dmarc(DmarcResult::Fail, reject), |rules, to| rules.dmarc.set(DmarcCase::Reject, to), "550 5.7.26"),
        (
            dmarc(DmarcResult::Fail, Some(Policy::None)),
            |rules, to| rules.dmarc.set(DmarcCase::Monitor, to),
            "550 5.7.26",
        ),
        (dmarc(DmarcResult::None, None), |rules, to| rules.dmarc.set(DmarcCase::NoRecord, to), "550 5.7.26"),
        (
            dmarc(DmarcResult::PermError, None),
            |rules, to| rules.dmarc.set(DmarcCase::UnclearAuthor, to),
            "550 5.7.26",
        ),
        (lists(&[3]), |rules, _| rules.lists.reject = Some(3), "550 5.7.1"),
    ]
}

/// Each rule by itself, with `reject`; nothing else in the rules does anything.
#[test]
fn every_rule_has_its_effect() {
    let nothing = nothing();
    for (finding, set, want) in [refusals_of_clients(), refusals_of_messages()].concat() {
        let findings = [finding];
        let mut rules = nothing.clone();
        set(&mut rules, Action::Reject);
        assert_eq!(shown(decide(&findings, &rules)), want, "{findings:?}");
        assert_eq!(decide(&findings, &nothing), Verdict::Accept, "{findings:?}");
    }
}

#[test]
fn what_has_no_answer_is_put_off_and_then_let_in() {
    let (nothing, who) = (nothing(), Identity::MailFrom);
    let unanswered: Vec<(Finding, Put)> = vec![
        (spf(who, SpfResult::TempError), |rules, to| rules.spf.set(SpfResult::TempError, to)),
        (spf(Identity::Helo, SpfResult::TempError), |rules, to| rules.spf_helo.set(SpfResult::TempError, to)),
        (iprev(IprevResult::TempError), |rules, to| rules.iprev.set(IprevResult::TempError, to)),
        (helo(HeloResult::TempError), |rules, to| rules.helo.set(HeloResult::TempError, to)),
        (sender(SenderResult::TempError), |rules, to| rules.sender.set(SenderResult::TempError, to)),
        (dkim(DkimResult::TempError, "b.example"), |rules, to| {
            rules.dkim.set(Some(DkimResult::TempError), to)
        }),
        (dmarc(DmarcResult::TempError, None), |rules, to| rules.dmarc.set(DmarcCase::TempError, to)),
    ];
    for (finding, set) in unanswered {
        let findings = [finding];
        let mut rules = nothing.clone();
        set(&mut rules, Action::Defer);
        assert_eq!(shown(decide(&findings, &rules)), "451 4.4.3", "{findings:?}");
        assert_eq!(shown(decide_with(&findings, &rules, Delay::Over)), "quarantine 1", "{findings:?}");
    }
}

#[test]
fn the_best_signature_counts() {
    let mut rules = Rules::default();
    rules.dkim.set(Some(DkimResult::Fail), Action::Mark);
    rules.dkim.set(Some(DkimResult::Neutral), Action::Quarantine);
    let both = |one, other| {
        let [Finding::Dkim(mut all), Finding::Dkim(more)] =
            [dkim(one, "b.example"), dkim(other, "b.example")]
        else {
            panic!("not DKIM")
        };
        all.extend(more);
        shown(decide(&[Finding::Dkim(all)], &rules))
    };
    assert_eq!(both(DkimResult::Neutral, DkimResult::Fail), "mark 1");
    assert_eq!(both(DkimResult::Neutral, DkimResult::Neutral), "quarantine 1");
    assert_eq!(both(DkimResult::Neutral, DkimResult::Pass), "accept");
}

#[test]
fn scores_have_thresholds() {
    let rules = Rules {
        lists: Thresholds { mark: Some(1), quarantine: Some(5), reject: Some(10), defer: Some(20) },
        ..Rules::default()
    };
    for (scores, want) in [
        (&[0][..], "accept"),
        (&[1], "mark 1"),
        (&[2, 2], "mark 1"),
        (&[2, 3], "quarantine 1"),
        (&[9], "quarantine 1"),
        (&[9, 1], "550 5.7.1"),
        (&[19], "550 5.7.1"),
        (&[20], "451 4.7.1"),
        (&[20, -20], "accept"),
        (&[i32::MAX, i32::MAX], "451 4.7.1"),
    ] {
        assert_eq!(shown(decide(&[lists(scores)], &rules)), want, "{scores:?}");
    }
}

#[test]
fn a_trusted_sealer_vouches_for_the_author() {
    let trusting =
        Rules { trusted_sealers: vec![Domain::parse("list.example").unwrap()], ..Rules::default() };
    let broken =
        |policy| vec![spf(Identity::MailFrom, SpfResult::Fail), dmarc(DmarcResult::Fail, Some(policy))];
    let with = |finding: Finding, policy| {
        let mut all = broken(policy);
        all.insert(1, finding);
        all
    };
    let passed = || sealed(ArcResult::Pass, "list.example");
    for (findings, rules, want) in [
        (with(passed(), Policy::Reject), &trusting, "accept"),
        (with(passed(), Policy::Quarantine), &trusting, "accept"),
        (with(passed(), Policy::Reject), &Rules::default(), "550 5.7.26"),
        (with(sealed(ArcResult::Pass, "evil.example"), Policy::Reject), &trusting, "550 5.7.26"),
        (with(sealed(ArcResult::Fail, "list.example"), Policy::Reject), &trusting, "550 5.7.26"),
        // The key of a trusted sealer did not come: nothing is refused for good
        (with(unanswered(sealed(ArcResult::Fail, "list.example")), Policy::Reject), &trusting, "451 4.4.3"),
        (with(unanswered(sealed(ArcResult::Fail, "evil.example")), Policy::Reject), &trusting, "550 5.7.26"),
        // An author that cannot be told has nobody
        (vec![passed(), dmarc(DmarcResult::PermError, None)], &trusting, "quarantine 1"),
    ] {
        assert_eq!(shown(decide(&findings, rules)), want, "{findings:#?}");
    }
    let overridden = disposition(&with(passed(), Policy::Reject), &trusting).unwrap();
    assert_eq!(overridden.policy, Policy::None);
    assert_eq!(
        overridden.changed.unwrap().comment,
        "arc=pass as[1].d=list.example as[1].s=s remote-ip[1]=198.51.100.7: list.example, who is trusted, saw dmarc=pass header.from=b.example"
    );
    let obeyed = disposition(&broken(Policy::Reject), &trusting).unwrap();
    assert_eq!((obeyed.policy, obeyed.changed), (Policy::Reject, None));
}

/// A refusal that no answer can undo is not put off because something else has no answer.
#[test]
fn a_broken_name_server_does_not_help_its_owner() {
    let mut rules = Rules::default();
    rules.spf.set(SpfResult::Fail, Action::Reject);
    rules.helo.set(HeloResult::TempError, Action::Defer);
    let from = |result| spf(Identity::MailFrom, result);
    for (findings, want) in [
        (vec![from(SpfResult::TempError), dmarc(DmarcResult::Fail, Some(Policy::Reject))], "550 5.7.26"),
        (
            vec![from(SpfResult::TempError), dmarc(DmarcResult::Fail, Some(Policy::Quarantine))],
            "quarantine 1",
        ),
        (vec![from(SpfResult::TempError), dmarc(DmarcResult::None, None)], "451 4.4.3"),
        (vec![from(SpfResult::TempError), dmarc(DmarcResult::Pass, Some(Policy::Reject))], "accept"),
        (vec![helo(HeloResult::TempError), from(SpfResult::Fail)], "451 4.4.3"),
        (vec![from(SpfResult::Fail), dmarc(DmarcResult::TempError, None)], "451 4.4.3"),
    ] {
        assert_eq!(shown(decide(&findings, &rules)), want, "{findings:#?}");
    }
}

#[test]
fn local_policy_is_told() {
    let mut rules = Rules::default();
    rules.dmarc.set(DmarcCase::Reject, Action::Quarantine);
    let told = disposition(&[dmarc(DmarcResult::Fail, Some(Policy::Reject))], &rules).unwrap();
    assert_eq!(told.policy, Policy::Quarantine);
    assert_eq!(told.changed.unwrap().comment, "here reject means quarantine");
    let told = disposition(&[dmarc(DmarcResult::Fail, Some(Policy::None))], &rules).unwrap();
    assert_eq!((told.policy, told.changed), (Policy::None, None));
    let told = disposition(&[dmarc(DmarcResult::Pass, Some(Policy::Reject))], &rules).unwrap();
    assert_eq!((told.policy, told.changed), (Policy::None, None));
    assert_eq!(disposition(&[dmarc(DmarcResult::None, None)], &rules), None);
}

#[test]
fn what_strangers_explain_is_marked_as_theirs() {
    let mut rules = Rules::default();
    rules.spf.set(SpfResult::Fail, Action::Reject);
    let Verdict::Reject(reply) = decide(&[spf(Identity::MailFrom, SpfResult::Fail)], &rules) else {
        panic!("not rejected");
    };
    assert_eq!(
        reply.text,
        "SPF fail for the MAIL FROM domain b.example: so says the record\nThe domain b.example explains: go away"
    );
}
