//! Mail goes out, a day passes, and the domain that wants to hear of it gets its TLS report.

use crate::fake_mx::FakeMx;
use crate::house::{House, ZONE, address, config, domain};
use delivery::owed::Sending;
use delivery::tls_report::{Reporter, TlsReportSender};
use mail::mime::decode;
use net::{ClientTls, Connector, Fetcher, Roots};
use policy::report::{Report, TlsReport};
use std::sync::Arc;
use std::time::Duration;
use world::Clock as _;
use world::fake::FakeResolver;

const RECORDS: &str = "
    _smtp._tls.e.ex TXT \"v=TLSRPTv1; rua=mailto:tls@e.ex,https://127.0.0.1/never,mailto:far@f.ex\"
";

fn sender(house: &House) -> TlsReportSender {
    let (intake, store, world) = (house.intake.clone(), house.store.clone(), house.world.clone());
    let tls = ClientTls::opportunistic(&Roots::WebPki, world.clock.clone()).unwrap();
    let fetcher = Fetcher::new(world.dns.clone(), Connector::new(&world), tls);
    TlsReportSender::new(intake, store, world, fetcher)
}

fn count(house: &House, sending: Sending) {
    let organization = Some("Ours & Company".to_owned());
    let reach = net::Reach { also: Vec::new(), port: 443 };
    let contact = Some(address("ask@o.ex"));
    let reporter = Reporter { domain: domain("o.ex"), organization, contact, reach };
    house.intake.counters().tls().set(sending, reporter);
}

/// The report in a message, and its JSON.
fn read(text: &str) -> (TlsReport, String) {
    let (_, file) = text.split_once(".json.gz\"\r\n\r\n").unwrap();
    let (file, _) = file.split_once("\r\n--").unwrap();
    let file = decode::base64(file.as_bytes());
    let Report::Tls(report) = policy::report::read(&file).unwrap() else { panic!("a DMARC report") };
    (report, text.to_owned())
}

#[tokio::test]
async fn a_domain_hears_once_a_day_how_connections_fared() {
    let mx = FakeMx::usual("127.0.0.2:0").await;
    let mut house = House::build().await;
    let zone = ZONE.replace("127.0.0.3", "127.0.0.2");
    house.world.dns = Arc::new(FakeResolver::zone(&format!("{zone}{RECORDS}")).unwrap());
    count(&house, Sending::On);
    let sender = sender(&house);
    house.work(config(mx.address.port()));
    house.send("alice@o.ex", &["one@e.ex"], "Subject: one\r\n\r\nx\r\n").await;
    house.queue_is(&[]).await;
    // Nobody wants to hear of f.ex, and nobody hears of reports.
    house.send("alice@o.ex", &["two@f.ex"], "Subject: two\r\n\r\nx\r\n").await;
    house.send("alice@o.ex", &["three@e.ex"], "TLS-Report-Domain: e.ex\r\n\r\nx\r\n").await;
    house.queue_is(&[]).await;
    sender.turn().await;
    assert_eq!(mx.messages().len(), 3, "the day is not over");

    // The day is over, and then the hours over which reports are spread.
    house.clock.advance(Duration::from_secs(24 * 3600));
    sender.turn().await;
    house.queue_is(&[]).await;
    assert_eq!(mx.messages().len(), 3, "not on the stroke of midnight");
    house.clock.advance(Duration::from_secs(4 * 3600));
    sender.turn().await;
    sender.turn().await;
    house.queue_is(&[]).await;
    let messages = mx.messages();
    assert_eq!(messages.len(), 5, "one for each reader; 127.0.0.1 is no public name");
    for line in [
        "From: <postmaster@o.ex>\r\n",
        "Subject: Report Domain: e.ex\r\n Submitter: o.ex\r\n Report-ID: <1767225600.e.ex@o.ex>\r\n",
        "TLS-Report-Domain: e.ex\r\nTLS-Report-Submitter: o.ex\r\nTLS-Required: No\r\n",
        "Content-Type: multipart/report; report-type=\"tlsrpt\";\r\n boundary=",
        "Content-Type: application/tlsrpt+gzip\r\nContent-Transfer-Encoding: base64\r\n",
        "filename=\"o.ex!e.ex!1767225600!1767311999.json.gz\"\r\n",
    ] {
        assert!(messages[3].contains(line), "{line}\n{}", messages[3]);
    }
    let (report, _) = read(&messages[3]);
    assert_eq!((report.organization.as_str(), report.contact.as_str()), ("Ours & Company", "ask@o.ex"));
    assert_eq!((report.begin, report.end), (1_767_225_600, 1_767_311_999));
    assert_eq!(report.policies.len(), 1);
    let policy = &report.policies[0];
    assert_eq!((policy.kind.as_str(), policy.domain.as_str()), ("no-policy-found", "e.ex"));
    assert_eq!((policy.successes, policy.failures), (0, 1));
    assert_eq!(policy.details[0].kind, "starttls-not-supported");
    assert_eq!(policy.details[0].host, "mx1.e.ex");

    // All was told, and of the reports themselves there is nothing to tell.
    house.clock.advance(Duration::from_secs(24 * 3600));
    sender.turn().await;
    house.queue_is(&[]).await;
    assert_eq!(mx.messages().len(), 5);
    house.stop().await;
}

/// Whose MX records are forged has no host that could be told of (RFC 8460 §4.3.2.1).
#[tokio::test]
async fn records_that_ought_to_be_signed_are_told() {
    let mx = FakeMx::usual("127.0.0.2:0").await;
    let mut house = House::build().await;
    let signed = "ex SECURE\nforged.ex BOGUS\nforged.ex MX 10 mx1.e.ex\n\
                  _smtp._tls.forged.ex TXT \"v=TLSRPTv1; rua=mailto:tls@e.ex\"\n";
    house.world.dns = Arc::new(FakeResolver::zone(&format!("{ZONE}{signed}")).unwrap());
    count(&house, Sending::On);
    house.work(config(mx.address.port()));
    house.send("alice@o.ex", &["one@forged.ex"], "Subject: one\r\n\r\nx\r\n").await;
    house.queue_is(&["one@forged.ex 1 451 4.4.3"]).await;
    sender(&house).turn().await;
    let day = house.clock.unix() / (24 * 3600);
    let told = house.store.tls_due(day + 1, None).await.unwrap().unwrap();
    assert_eq!((told.domain.as_str(), told.kinds.len()), ("forged.ex", 1));
    let (_, detail, count) = &told.kinds[0];
    assert!(detail.contains("DnssecInvalid") && *count == 1, "{detail} {count}");
    assert!(mx.messages().is_empty());
    house.stop().await;
}

#[tokio::test]
async fn what_is_not_to_be_told_is_not_counted() {
    let mx = FakeMx::usual("127.0.0.2:0").await;
    let mut house = House::build().await;
    house.world.dns = Arc::new(FakeResolver::zone(&format!("{ZONE}{RECORDS}")).unwrap());
    count(&house, Sending::Off);
    house.work(config(mx.address.port()));
    house.send("alice@o.ex", &["one@e.ex"], "Subject: one\r\n\r\nx\r\n").await;
    house.queue_is(&[]).await;
    house.clock.advance(Duration::from_secs(28 * 3600));
    sender(&house).turn().await;
    house.queue_is(&[]).await;
    assert_eq!(mx.messages().len(), 1);
    house.stop().await;
}
