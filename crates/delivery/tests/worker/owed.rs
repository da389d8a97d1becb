//! Mail comes in, a day passes, and the domain that wants to hear of it gets its report.

use crate::fake_mx::FakeMx;
use crate::house::{House, ZONE, address, config, domain};
use delivery::owed::{Observed, ReportSender, Sending};
use mail::mime::decode;
use mail::{Blob, Message, ReversePath};
use policy::report::{Aggregate, Report};
use policy::{Facts, Pipeline};
use std::sync::Arc;
use std::time::Duration;
use world::Clock;
use world::fake::FakeResolver;

const RECORDS: &str = "
    s.ex MX 10 mx1.e.ex
    _dmarc.s.ex TXT \"v=DMARC1; p=reject; adkim=s; rua=mailto:dmarc@s.ex,mailto:x@e.ex!1m,mailto:y@f.ex,mailto:z@e.ex!9\"
    s.ex._report._dmarc.e.ex TXT \"v=DMARC1;\"
    quiet.ex A 192.0.2.9
    _dmarc.quiet.ex TXT \"v=DMARC1; p=reject\"
";

/// A message that is judged and counted.
async fn arrives(house: &House, pipeline: &Pipeline, from: &str, subject: &str) {
    let text = format!("From: <{from}>\r\nSubject: {subject}\r\n\r\nhello\r\n");
    let message = Message::new(Blob::from_bytes(text.into_bytes()));
    let facts = Facts {
        whose: policy::Whose::Client,
        peer: "192.0.2.1".parse().unwrap(),
        local: None,
        helo: "client.ex".to_owned(),
        mail_from: ReversePath::Address(address(from)),
    };
    let policy::Judgement { findings, verdict, disposition } =
        pipeline.judge(&facts, &message).await.unwrap();
    let router = house.intake.router();
    let observed = Observed {
        facts: &facts,
        findings: &findings,
        verdict: &verdict,
        disposition: disposition.as_ref(),
        message: &message,
        hostname: router.hostname(),
    };
    house.intake.counters().observe(observed, house.clock.unix());
}

fn sender(house: &House) -> ReportSender {
    let (intake, store, world) = (house.intake.clone(), house.store.clone(), house.world.clone());
    ReportSender { intake, store, world, domain: domain("o.ex") }
}

async fn waiting(house: &House) -> Vec<String> {
    let mut waiting = house.queue().await;
    waiting.sort();
    waiting
}

/// The report in a message.
fn read(text: &str) -> Aggregate {
    let (_, file) = text.split_once(".xml.gz\"\r\n\r\n").unwrap();
    let (file, _) = file.split_once("\r\n--").unwrap();
    match policy::report::read(&decode::base64(file.as_bytes())).unwrap() {
        Report::Aggregate(report) => report,
        Report::Tls(_) => panic!("a TLS report"),
    }
}

#[tokio::test]
async fn a_domain_hears_once_a_day_of_mail_in_its_name() {
    let mx = FakeMx::usual("127.0.0.2:0").await;
    let mut house = House::build().await;
    house.world.dns = Arc::new(FakeResolver::zone(&format!("{ZONE}{RECORDS}")).unwrap());
    house.intake.counters().set(Sending::On);
    let pipeline = Pipeline::new(policy::Config::default(), domain("mx.o.ex"), house.world.clone());
    let sender = sender(&house);
    arrives(&house, &pipeline, "a@s.ex", "one").await;
    arrives(&house, &pipeline, "b@s.ex", "two").await;
    arrives(&house, &pipeline, "c@sub.s.ex", "below").await;
    // None of these is counted: a report, a domain without addresses for reports, and one without a record.
    arrives(&house, &pipeline, "d@s.ex", "Report Domain: o.ex Submitter: s.ex").await;
    arrives(&house, &pipeline, "a@quiet.ex", "three").await;
    arrives(&house, &pipeline, "a@none.ex", "four").await;
    sender.turn().await;
    assert!(house.queue().await.is_empty(), "the day is not over");

    house.clock.advance(Duration::from_secs(24 * 3600));
    sender.turn().await;
    sender.turn().await;
    let mut waiting = house.queue().await;
    waiting.sort();
    // The reader at f.ex has not agreed, and the other at e.ex takes nine octets.
    assert_eq!(waiting, ["<> dmarc@s.ex 0 -", "<> x@e.ex 0 -"]);
    house.work(config(mx.address.port()));
    house.queue_is(&[]).await;
    let messages = mx.messages();
    assert_eq!(messages.len(), 2);
    assert!(messages[0].contains("Subject: Report Domain: s.ex\r\n Submitter: mx.o.ex\r\n Report-ID: <"));
    let report = read(&messages[0]);
    assert_eq!(read(&messages[1]), report);
    assert_eq!((report.domain.as_str(), report.policy.as_str()), ("s.ex", "reject"));
    assert_eq!((report.begin, report.end), (1_767_225_600, 1_767_311_999));
    let rows: Vec<String> = report
        .rows
        .iter()
        .map(|row| format!("{} {} {} {} {}", row.from, row.count, row.disposition, row.dkim, row.spf))
        .collect();
    assert_eq!(rows, ["s.ex 2 reject fail fail", "sub.s.ex 1 reject fail fail"]);

    house.clock.advance(Duration::from_secs(24 * 3600));
    sender.turn().await;
    assert!(house.queue().await.is_empty(), "all was told");
    house.stop().await;
}

/// Where it is not known whether one reader agrees, no other hears of it with each try.
#[tokio::test]
async fn nobody_hears_twice_because_another_cannot_be_told() {
    const DAY: Duration = Duration::from_secs(24 * 3600);
    let mut house = House::build().await;
    let slow = "_dmarc.s.ex TXT \"v=DMARC1; p=reject; rua=mailto:dmarc@s.ex,mailto:x@slow.ex\"\n\
                s.ex._report._dmarc.slow.ex TIMEOUT\n";
    let dns = FakeResolver::zone(&format!("{ZONE}{slow}")).unwrap();
    house.world.dns = Arc::new(dns.clone());
    house.intake.counters().set(Sending::On);
    let pipeline = Pipeline::new(policy::Config::default(), domain("mx.o.ex"), house.world.clone());
    let sender = sender(&house);
    arrives(&house, &pipeline, "a@s.ex", "one").await;
    for _ in 0..3 {
        house.clock.advance(DAY);
        sender.turn().await;
        sender.turn().await;
        assert!(house.queue().await.is_empty());
    }
    // In the end those who can be told are, once.
    house.clock.advance(DAY);
    sender.turn().await;
    sender.turn().await;
    assert_eq!(waiting(&house).await, ["<> dmarc@s.ex 0 -"]);
    // Another day the answer comes, and both hear of it.
    arrives(&house, &pipeline, "a@s.ex", "two").await;
    house.clock.advance(DAY);
    sender.turn().await;
    dns.set(&format!(
        "{ZONE}{}s.ex._report._dmarc.slow.ex TXT \"v=DMARC1\"\n",
        slow.lines().next().unwrap().to_owned() + "\n"
    ))
    .unwrap();
    sender.turn().await;
    assert_eq!(waiting(&house).await, ["<> dmarc@s.ex 0 -", "<> dmarc@s.ex 0 -", "<> x@slow.ex 0 -"]);
    house.stop().await;
}

#[tokio::test]
async fn nothing_is_counted_where_none_are_sent() {
    let mut house = House::build().await;
    house.world.dns = Arc::new(FakeResolver::zone(&format!("{ZONE}{RECORDS}")).unwrap());
    house.intake.counters().set(Sending::Off);
    let pipeline = Pipeline::new(policy::Config::default(), domain("mx.o.ex"), house.world.clone());
    arrives(&house, &pipeline, "a@s.ex", "one").await;
    house.clock.advance(Duration::from_secs(24 * 3600));
    sender(&house).turn().await;
    assert!(house.queue().await.is_empty());
}

/// What was done is told with its reason where it is not what the policy asks for, and the reader may name another address.
#[tokio::test]
async fn a_report_says_why_less_was_done() {
    const RECORDS: &str = "
        s.ex MX 10 mx1.e.ex
        mx1.e.ex A 127.0.0.2
        _dmarc.s.ex TXT \"v=DMARC1; p=reject; t=y; rua=mailto:d@old.ex,mailto:e@lead.ex\"
        s.ex._report._dmarc.old.ex TXT \"v=DMARC1; rua=mailto:new@old.ex\"
        s.ex._report._dmarc.lead.ex TXT \"v=DMARC1; rua=mailto:new@lead.ex,mailto:other@victim.ex\"
        old.ex MX 10 mx1.e.ex
    ";
    let mx = FakeMx::usual("127.0.0.2:0").await;
    let mut house = House::build().await;
    house.world.dns = Arc::new(FakeResolver::zone(&format!("{ZONE}{RECORDS}")).unwrap());
    house.intake.counters().set(Sending::On);
    // By default, and where failures go to Junk at most.
    let usual = Pipeline::new(policy::Config::default(), domain("mx.o.ex"), house.world.clone());
    let mut mild = policy::Config::default();
    mild.rules.dmarc.set(policy::DmarcCase::Quarantine, policy::Action::Mark);
    let mild = Pipeline::new(mild, domain("mx.o.ex"), house.world.clone());
    arrives(&house, &usual, "a@s.ex", "one").await;
    arrives(&house, &mild, "a@s.ex", "two").await;
    house.clock.advance(Duration::from_secs(24 * 3600));
    sender(&house).turn().await;
    assert_eq!(waiting(&house).await, ["<> new@old.ex 0 -"]);
    house.work(config(mx.address.port()));
    house.queue_is(&[]).await;
    let report = read(&mx.messages()[0]);
    let mut rows: Vec<String> =
        report.rows.iter().map(|row| format!("{} {} {}", row.disposition, row.reason, row.count)).collect();
    rows.sort();
    assert_eq!(rows, ["none local_policy 1", "quarantine policy_test_mode 1"]);
    house.stop().await;
}

#[tokio::test]
async fn failures_are_told_where_the_configuration_says_so() {
    const RECORDS: &str = "
        s.ex MX 10 mx1.e.ex
        mx1.e.ex A 127.0.0.2
        _dmarc.s.ex TXT \"v=DMARC1; p=reject; ruf=mailto:now@s.ex,mailto:x@f.ex\"
    ";
    let mx = FakeMx::usual("127.0.0.2:0").await;
    let mut house = House::build().await;
    house.world.dns = Arc::new(FakeResolver::zone(&format!("{ZONE}{RECORDS}")).unwrap());
    house.intake.counters().set(Sending::On);
    let pipeline = Pipeline::new(policy::Config::default(), domain("mx.o.ex"), house.world.clone());
    arrives(&house, &pipeline, "a@s.ex", "one").await;
    sender(&house).turn().await;
    assert!(waiting(&house).await.is_empty(), "they are off by default");

    house.intake.counters().set_failures(Sending::On);
    arrives(&house, &pipeline, "a@s.ex", "one").await;
    arrives(&house, &pipeline, "b@s.ex", "two").await;
    sender(&house).turn().await;
    // The two are alike, and f.ex has not agreed.
    assert_eq!(waiting(&house).await, ["<> now@s.ex 0 -"]);
    house.work(config(mx.address.port()));
    house.queue_is(&[]).await;
    let message = &mx.messages()[0];
    for wanted in [
        "Subject: DMARC failure report\r\n about s.ex\r\n",
        "Reported-Domain: s.ex\r\n",
        "From: <a@s.ex>\r\n",
    ] {
        assert!(message.contains(wanted), "{wanted} is not in\n{message}");
    }
    assert!(!message.contains("hello") && !message.contains("Subject: one"), "{message}");

    // Not more than so many in an hour.
    for n in 0..30 {
        arrives(&house, &pipeline, &format!("a@n{n}.s.ex"), "x").await;
    }
    sender(&house).turn().await;
    house.queue_is(&[]).await;
    assert_eq!(mx.messages().len(), 10);
    house.clock.advance(Duration::from_secs(3600));
    arrives(&house, &pipeline, "a@s.ex", "later").await;
    sender(&house).turn().await;
    house.queue_is(&[]).await;
    assert_eq!(mx.messages().len(), 11);
    house.stop().await;
}
