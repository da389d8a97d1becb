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
    let policy::Judgement { findings, verdict, .. } = pipeline.judge(&facts, &message).await.unwrap();
    let observed = Observed { facts: &facts, findings: &findings, verdict: &verdict, message: &message };
    house.intake.counters().observe(observed, house.clock.unix());
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
    let sender = ReportSender {
        intake: house.intake.clone(),
        store: house.store.clone(),
        world: house.world.clone(),
        domain: domain("o.ex"),
    };
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

#[tokio::test]
async fn nothing_is_counted_where_none_are_sent() {
    let mut house = House::build().await;
    house.world.dns = Arc::new(FakeResolver::zone(&format!("{ZONE}{RECORDS}")).unwrap());
    house.intake.counters().set(Sending::Off);
    let pipeline = Pipeline::new(policy::Config::default(), domain("mx.o.ex"), house.world.clone());
    arrives(&house, &pipeline, "a@s.ex", "one").await;
    house.clock.advance(Duration::from_secs(24 * 3600));
    let (intake, store, world) = (house.intake.clone(), house.store.clone(), house.world.clone());
    ReportSender { intake, store, world, domain: domain("o.ex") }.turn().await;
    assert!(house.queue().await.is_empty());
}
