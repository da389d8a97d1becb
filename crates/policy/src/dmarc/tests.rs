//! Runs the tables in `testdata/dmarc`: zones, messages in short, wanted results.
//!
//! ```text
//! zone … end                                    as in a zone file
//! From: a@b.example | dkim d.example, e.example | spf f.example -> fail reject at b.example
//! From: a@b.example | unanswered c.example -> temperror
//! ```
//!
//! The result is followed by what the domain wants now, where the record stands, and `testing` where what it
//! published is more.

use super::{Evidence, FailureOptions, Identifiers, Outcome, Policy, Record, Unanswered, judge};
use crate::author::Author;
use mail::Domain;
use world::fake;

fn domains(list: &str) -> Vec<Domain> {
    list.split(',').map(|one| Domain::parse(one.trim()).unwrap()).collect()
}

fn shown(outcome: &Outcome) -> String {
    let mut out = outcome.result.to_string();
    if let (Some(published), Some(at)) = (outcome.published, &outcome.record_at) {
        out.push_str(&format!(" {} at {at}", outcome.wanted));
        if published != outcome.wanted {
            out.push_str(" testing");
        }
    }
    out
}

async fn run(name: &str, text: &str) -> usize {
    let (mut zone, mut in_zone, mut asked) = (String::new(), false, 0);
    for (at, line) in text.lines().enumerate() {
        let line = line.trim();
        match line {
            "zone" => {
                zone.clear();
                in_zone = true;
            }
            "end" => in_zone = false,
            _ if in_zone => zone.push_str(&format!("{line}\n")),
            line if line.is_empty() || line.starts_with('#') => {}
            line => {
                let (message, want) = line.split_once("->").unwrap();
                let mut parts = message.split('|').map(str::trim);
                let header = parts.next().unwrap().replace("\\n", "\r\n") + "\r\n\r\n";
                let mut identifiers = Identifiers::default();
                for part in parts {
                    match part.split_once(' ') {
                        Some(("dkim", list)) => identifiers.dkim = domains(list),
                        Some(("spf", list)) => identifiers.spf = domains(list),
                        Some(("unanswered", list)) => {
                            let one = |domain| Unanswered { domain, reason: "no answer".to_owned() };
                            identifiers.unanswered = domains(list).into_iter().map(one).collect();
                        }
                        _ => panic!("{name}:{}: {line}", at + 1),
                    }
                }
                let world = fake::world_with(1, &zone).unwrap();
                let author = Author::of(header.as_bytes());
                let evidence = Evidence::gather(author, &identifiers, world.dns.as_ref()).await;
                let outcome = judge(&evidence, &identifiers);
                assert_eq!(shown(&outcome), want.trim(), "{name}:{}: {line}\n{outcome:#?}", at + 1);
                asked += 1;
            }
        }
    }
    asked
}

#[tokio::test]
async fn every_table_comes_out_as_written() {
    let dir = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("testdata/dmarc");
    let mut asked = 0;
    for entry in std::fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        let text = std::fs::read_to_string(&path).unwrap();
        asked += run(&path.file_name().unwrap().to_string_lossy(), &text).await;
    }
    assert!(asked > 50, "only {asked} questions were found");
}

#[tokio::test]
async fn a_walk_asks_at_most_eight_times_and_nothing_twice() {
    use std::sync::Arc;
    let dns = fake::FakeResolver::zone("_dmarc.example TXT \"v=DMARC1; p=reject\"\n").unwrap();
    let world = world::World { dns: Arc::new(dns.clone()), ..fake::world(1) };
    let author = Author::of(b"From: x@a.b.c.d.e.f.g.h.i.j.mail.example\r\n\r\n");
    let identifiers = Identifiers { dkim: domains("other.j.mail.example"), ..Identifiers::default() };
    let evidence = Evidence::gather(author, &identifiers, world.dns.as_ref()).await;
    assert_eq!(
        dns.asked(),
        [
            "_dmarc.a.b.c.d.e.f.g.h.i.j.mail.example TXT",
            "_dmarc.f.g.h.i.j.mail.example TXT",
            "_dmarc.g.h.i.j.mail.example TXT",
            "_dmarc.h.i.j.mail.example TXT",
            "_dmarc.i.j.mail.example TXT",
            "_dmarc.j.mail.example TXT",
            "_dmarc.mail.example TXT",
            "_dmarc.example TXT",
            "_dmarc.other.j.mail.example TXT",
        ]
    );
    assert_eq!(judge(&evidence, &identifiers).result, super::DmarcResult::Pass);
}

#[test]
fn records_are_read_as_far_as_they_go() {
    let policies = |text| Record::parse(text).map(|record| (record.p, record.sp, record.np));
    for (text, want) in [
        ("v=DMARC1; p=reject", Some((Policy::Reject, None, None))),
        (
            "v=DMARC1;p=REJECT;sp=none;np=quarantine;",
            Some((Policy::Reject, Some(Policy::None), Some(Policy::Quarantine))),
        ),
        (" v = DMARC1 ; p = none ", Some((Policy::None, None, None))),
        ("v=DMARC1", Some((Policy::None, None, None))),
        ("v=DMARC1; adkim=s; p=quarantine; pct=5; ri=3600; new=x", Some((Policy::Quarantine, None, None))),
        ("v=DMARC1; p=reject; p=none", Some((Policy::Reject, None, None))),
        ("v=DMARC1; junk; ;; p=reject", Some((Policy::Reject, None, None))),
        ("v=DMARC1; p=ban", None),
        ("v=DMARC1; p=reject; sp=ban", None),
        ("v=DMARC1; p=ban; rua=nobody", None),
        ("v=DMARC1; p=ban; rua=mailto:a@b.example", Some((Policy::None, None, None))),
        ("v=DMARC1; p=reject; np=ban; rua=mailto:a@b.example!10m", Some((Policy::None, None, None))),
        ("v=dmarc1; p=reject", None),
        ("v=DMARC2; p=reject", None),
        ("p=reject; v=DMARC1", None),
        ("V=DMARC1; p=reject", None),
        ("", None),
    ] {
        assert_eq!(policies(text), want, "{text:?}");
    }
    let record =
        Record::parse("v=DMARC1; p=none; rua=mailto:a@b.example , https://c.example/x,bad,; ruf=mailto:d@e")
            .unwrap();
    assert_eq!(record.rua, ["mailto:a@b.example", "https://c.example/x"]);
    assert_eq!(record.ruf, ["mailto:d@e"]);
    for (list, want) in [
        ("", FailureOptions::All),
        ("fo=0", FailureOptions::All),
        ("fo=1", FailureOptions::Any),
        ("fo= 0 : 1 ", FailureOptions::Any),
        ("fo=d:s", FailureOptions::Never),
        ("fo=D", FailureOptions::Never),
        ("fo=0:d", FailureOptions::All),
        ("fo=x", FailureOptions::All),
    ] {
        assert_eq!(Record::parse(&format!("v=DMARC1; p=none; {list}")).unwrap().fo, want, "{list}");
    }
}
