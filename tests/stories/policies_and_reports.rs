//! What takes days, with a clock that is set by hand: policies of others are refreshed, and reports are posted.

use delivery::owed::Sending;
use delivery::tls_report::{Reporter, TlsReportSender};
use delivery::{Aliases, Config, Intake, RouteConfig, Router, Worker};
use mail::Domain;
use net::{ClientTls, Connector, Fetcher, Roots};
use policy::report::compose::to_text;
use policy::report::{Report, read};
use policy::tlsrpt::Applied;
use std::net::Ipv4Addr;
use std::sync::Arc;
use std::time::Duration;
use storage::{Store, StsPolicyRow, TlsSeen};
use tests::{Page, Web, free_port};
use world::fake::{FakeClock, FakeRandom, FakeResolver};
use world::{Clock, SystemClock, World};

const DAY: i64 = 24 * 3600;

struct House {
    dir: tempfile::TempDir,
    clock: FakeClock,
    world: World,
    store: Store,
    intake: Intake,
    web: Web,
    port: u16,
    ca: std::path::PathBuf,
}

fn domain(text: &str) -> Domain {
    Domain::parse(text).unwrap()
}

impl House {
    /// `zone` may say PORT for that of the web server.
    async fn build(zone: &str) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let names = ["mta-sts.kept.test", "mta-sts.gone.test"].map(str::to_owned);
        let papers = net::demo_ca(&dir.path().join("tls"), &names, &SystemClock).unwrap();
        let port = free_port();
        let web = Web::start(Ipv4Addr::LOCALHOST, port, &papers.leaf);
        let clock = FakeClock::at(u64::try_from(SystemClock.unix()).unwrap());
        let dns = FakeResolver::zone(&zone.replace("PORT", &port.to_string())).unwrap();
        let world = World {
            clock: Arc::new(clock.clone()),
            dns: Arc::new(dns),
            random: Arc::new(FakeRandom::seeded(5)),
            meter: world::Meter::default(),
        };
        let store = Store::open(storage::Config::new(dir.path().join("state")), world.clone()).await.unwrap();
        let routes = RouteConfig {
            hostname: domain("mx.o.test"),
            local_domains: vec![domain("o.test")],
            aliases: Aliases::default(),
            subaddress: None,
            postmaster: None,
        };
        let router = Router::load(routes, store.clone(), world.clone()).await.unwrap();
        let intake = Intake::new(Arc::new(router), store.clone(), world.clone());
        Self { dir, clock, world, store, intake, web, port, ca: papers.ca }
    }
}

fn policy(mode: &str) -> String {
    format!("version: STSv1\nmode: {mode}\nmx: mx.kept.test\nmax_age: 604800\n")
}

fn kept(name: &str, now: i64) -> StsPolicyRow {
    StsPolicyRow {
        domain: name.to_owned(),
        version: "1".to_owned(),
        policy: policy("enforce"),
        fetched: now - 6 * DAY,
        expires: now + DAY,
        used: now - 2 * DAY,
        tried: now - 2 * DAY,
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_policy_in_use_is_fetched_before_it_expires() {
    let house = House::build(
        "_mta-sts.kept.test TXT \"v=STSv1; id=1;\"\nmta-sts.kept.test A 127.0.0.1\n\
         _mta-sts.gone.test TXT \"v=STSv1; id=2;\"\nmta-sts.gone.test A 127.0.0.1\n",
    )
    .await;
    let now = house.clock.unix();
    house.web.page("mta-sts.kept.test/.well-known/mta-sts.txt", Page::text(&policy("testing")));
    for name in ["kept.test", "gone.test"] {
        house.store.keep_sts_policy(kept(name, now)).await.unwrap();
    }
    let private_networks = vec![config::Network::parse("127.0.0.0/8").unwrap()];
    let tls =
        delivery::tls_config::TlsConfig { policy_port: house.port, private_networks, ..Default::default() };
    let config = Config { ca_file: Some(house.ca.clone()), tls, ..Config::default() };
    let worker = Worker::new(config, house.intake.clone(), house.store.clone(), house.world.clone()).unwrap();
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let working = tokio::spawn(worker.run(async move { drop(stopped.await) }));
    let mut rows = Vec::new();
    for _ in 0..1500 {
        rows.clear();
        for name in ["kept.test", "gone.test"] {
            rows.push(house.store.sts_policy(name).await.unwrap().unwrap());
        }
        if rows.iter().all(|row| row.tried == now) {
            break;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    drop(stop);
    working.await.unwrap();
    assert_eq!((rows[0].expires, rows[0].policy.as_str()), (now + 7 * DAY, policy("testing").as_str()));
    // The web server has none for this one: the old policy holds as long as it did.
    let old = StsPolicyRow { tried: now, ..kept("gone.test", now) };
    assert_eq!(rows[1], old);
    assert!(house.dir.path().exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_report_is_posted_until_somebody_takes_it() {
    let house = House::build(
        "_smtp._tls.e.test TXT \"v=TLSRPTv1; rua=https://reports.test:PORT/tls\"\nreports.test A 127.0.0.1\n",
    )
    .await;
    let also = vec![config::Network::parse("127.0.0.0/8").unwrap()];
    let reach = net::Reach { also, port: 443 };
    let reporter = Reporter { domain: domain("o.test"), organization: None, contact: None, reach };
    house.intake.counters().tls().set(Sending::On, reporter);
    let day = house.clock.unix().div_euclid(DAY);
    let seen = TlsSeen {
        day,
        domain: "e.test".to_owned(),
        policy: to_text(&Applied::none(&domain("e.test"))),
        detail: String::new(),
        count: 3,
    };
    house.store.count_tls(vec![seen]).await.unwrap();
    let (intake, store, world) = (house.intake.clone(), house.store.clone(), house.world.clone());
    // Nobody vouches for the web server's certificate (RFC 8460 §3).
    let tls = ClientTls::opportunistic(&Roots::WebPki, world.clock.clone()).unwrap();
    let fetcher = Fetcher::new(world.dns.clone(), Connector::new(&world), tls);
    let sender = TlsReportSender::new(intake, store, world, fetcher);
    // The end of the day, and the time of this domain within the four hours behind it.
    house.clock.advance(Duration::from_secs(28 * 3600));
    house.web.page("reports.test/tls", Page::of("503 Busy", "text/plain", "later\n"));
    sender.turn().await;
    house.web.page("reports.test/tls", Page::of("201 Created", "text/plain", "thanks\n"));
    sender.turn().await;
    assert_eq!(house.web.posted().len(), 1, "not at once again");
    house.clock.advance(Duration::from_secs(15 * 60));
    sender.turn().await;
    sender.turn().await;
    let posted = house.web.posted();
    assert_eq!(posted.len(), 2, "once refused, once taken");
    assert_eq!((posted[1].path.as_str(), posted[1].media_type.as_str()), ("/tls", "application/tlsrpt+gzip"));
    let Ok(Report::Tls(report)) = read(&posted[1].body) else { panic!("no report") };
    assert_eq!((report.organization.as_str(), report.contact.as_str()), ("mx.o.test", "postmaster@o.test"));
    assert_eq!((report.policies[0].successes, report.policies[0].failures), (3, 0));
}
