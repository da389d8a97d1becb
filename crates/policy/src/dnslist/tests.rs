//! Lists as zones; what each client, name and sender comes to.

use super::{Code, Known, List, Outcome, Subjects, check};
use crate::facts::Facts;
use config::Network;
use mail::{Address, Domain, ReversePath};
use std::sync::Arc;
use std::time::Duration;
use world::World;
use world::fake::{FakeClock, FakeRandom, FakeResolver};

const ZONE: &str = "\
2.0.0.127.bl.example A 127.0.0.2
9.113.0.203.bl.example A 127.0.0.2
9.113.0.203.bl.example A 127.0.0.4
9.113.0.203.bl.example TXT \"see http://bl.example/?203.0.113.9\"
10.113.0.203.bl.example A 127.0.0.11
11.113.0.203.bl.example A 127.255.255.254
12.113.0.203.bl.example A 198.51.100.1
13.113.0.203.bl.example A 127.0.0.1
14.113.0.203.bl.example TIMEOUT
15.113.0.203.bl.example SERVFAIL
16.113.0.203.bl.example TXT \"only a text\"
17.113.0.203.bl.example A 127.0.0.2
17.113.0.203.bl.example TXT SERVFAIL
18.113.0.203.bl.example A 127.0.0.2
18.113.0.203.bl.example A 127.255.255.255
1.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.8.b.d.0.1.0.0.2.bl.example A 127.0.0.2
9.113.0.203.all.example A 127.0.0.2
1.0.0.127.all.example A 127.0.0.2
9.113.0.203.unsure.example A 127.0.0.2
1.0.0.127.unsure.example TIMEOUT
evil.example.bl.example A 127.0.1.2
xn--bcher-kva.example.bl.example A 127.0.1.2
all.example.all.example A 127.0.1.2
invalid.all.example A 127.0.1.2
9.113.0.203.wl.example A 127.0.10.1
";

struct Scene {
    world: World,
    dns: FakeResolver,
    clock: FakeClock,
    known: Known,
}

fn scene() -> Scene {
    let (dns, clock) = (FakeResolver::zone(ZONE).unwrap(), FakeClock::default());
    let world = World {
        clock: Arc::new(clock.clone()),
        dns: Arc::new(dns.clone()),
        random: Arc::new(FakeRandom::seeded(1)),
        meter: world::Meter::default(),
    };
    Scene { world, dns, clock, known: Known::default() }
}

fn list(zone: &str, score: i32) -> List {
    let asked_for = Subjects { client: true, helo: false, sender: false };
    List { zone: Domain::parse(zone).unwrap(), name: zone.to_owned(), asked_for, score, codes: Vec::new() }
}

fn code(answer: &str, score: i32) -> Code {
    Code { answer: Network::parse(answer).unwrap(), score, text: None }
}

fn client(ip: &str) -> Facts {
    Facts {
        whose: crate::facts::Whose::Client,
        peer: ip.parse().unwrap(),
        local: None,
        helo: "host.example".to_owned(),
        mail_from: ReversePath::Null,
    }
}

fn shown(outcome: &Outcome) -> String {
    let listings = outcome.listings.iter().map(|one| format!("{:+} {one}", one.score));
    let all: Vec<String> = listings.chain(outcome.troubles.iter().cloned()).collect();
    if all.is_empty() { "-".to_owned() } else { all.join(" | ") }
}

#[tokio::test]
async fn addresses_are_listed_or_not_or_nothing_is_known() {
    let scene = scene();
    for (ip, want) in [
        (
            "203.0.113.9",
            "+3 203.0.113.9 is listed by bl.example (127.0.0.2, 127.0.0.4): see http://bl.example/?203.0.113.9",
        ),
        (
            "::ffff:203.0.113.9",
            "+3 203.0.113.9 is listed by bl.example (127.0.0.2, 127.0.0.4): see http://bl.example/?203.0.113.9",
        ),
        ("203.0.113.10", "+3 203.0.113.10 is listed by bl.example (127.0.0.11)"),
        (
            "203.0.113.11",
            "bl.example: the answer 127.255.255.254 is no listing: the list does not answer to public resolvers",
        ),
        (
            "203.0.113.12",
            "bl.example: the answer 198.51.100.1 is no listing: it is not in 127.0.0.0/8, so somebody else answers for the list",
        ),
        ("203.0.113.13", "bl.example: the answer 127.0.0.1 is no listing: lists do not use it"),
        ("203.0.113.14", "bl.example: no answer in time"),
        ("203.0.113.15", "bl.example: SERVFAIL"),
        ("203.0.113.16", "-"),
        ("203.0.113.17", "+3 203.0.113.17 is listed by bl.example (127.0.0.2)"),
        (
            "203.0.113.18",
            "bl.example: the answer 127.255.255.255 is no listing: too many questions were asked",
        ),
        ("203.0.113.77", "-"),
        ("2001:db8::1", "+3 2001:db8::1 is listed by bl.example (127.0.0.2)"),
        ("2001:db8::2", "-"),
        ("127.0.0.2", "+3 127.0.0.2 is listed by bl.example (127.0.0.2)"),
    ] {
        let outcome = check(&[list("bl.example", 3)], &client(ip), &scene.known, &scene.world).await;
        assert_eq!(shown(&outcome), want, "{ip}");
    }
}

#[tokio::test]
async fn each_answer_has_its_score() {
    let scene = scene();
    let mut coded = list("bl.example", 50);
    coded.codes = vec![code("127.0.0.2", 5), code("127.0.0.4/30", 7), code("127.0.0.3", 100)];
    coded.codes[0].text = Some("our own words".to_owned());
    let lists = [coded, list("wl.example", -4)];
    for (ip, score, want) in [
        (
            "203.0.113.9",
            8,
            "+12 203.0.113.9 is listed by bl.example (127.0.0.2, 127.0.0.4): our own words | -4 203.0.113.9 is listed by wl.example (127.0.10.1)",
        ),
        // Listed, but with an answer that nobody asked about
        ("203.0.113.10", 0, "-"),
    ] {
        let outcome = check(&lists, &client(ip), &scene.known, &scene.world).await;
        assert_eq!((outcome.score(), shown(&outcome).as_str()), (score, want), "{ip}");
    }
}

#[tokio::test]
async fn a_list_of_everything_is_not_believed() {
    let scene = scene();
    let lists = [list("all.example", 3), list("unsure.example", 3)];
    let outcome = check(&lists, &client("203.0.113.9"), &scene.known, &scene.world).await;
    assert_eq!(
        shown(&outcome),
        "all.example: it lists what no list may list, so it lists everything (RFC 5782 §5) | unsure.example: no answer in time"
    );
    assert_eq!(outcome.score(), 0);
    // That is remembered for a while, and then asked again
    let asked = || scene.dns.asked().iter().filter(|one| one.starts_with("1.0.0.127.all.example A")).count();
    let before = asked();
    let _ = check(&lists, &client("203.0.113.9"), &scene.known, &scene.world).await;
    assert_eq!(asked(), before);
    scene.clock.advance(Duration::from_secs(3601));
    let _ = check(&lists, &client("203.0.113.9"), &scene.known, &scene.world).await;
    assert!(asked() > before);
}

#[tokio::test]
async fn domains_are_asked_about_in_their_ascii_form() {
    let scene = scene();
    let mut names = list("bl.example", 3);
    names.asked_for = Subjects { client: false, helo: true, sender: true };
    let facts = |helo: &str, sender: &str| {
        let mail_from = match sender {
            "-" => ReversePath::Null,
            text => ReversePath::Address(Address::parse(text).unwrap()),
        };
        Facts { helo: helo.to_owned(), mail_from, ..client("203.0.113.9") }
    };
    for (helo, sender, want) in [
        ("evil.example", "-", "+3 evil.example is listed by bl.example (127.0.1.2)"),
        ("good.example", "a@evil.example", "+3 evil.example is listed by bl.example (127.0.1.2)"),
        ("good.example", "ä@bücher.example", "+3 bücher.example is listed by bl.example (127.0.1.2)"),
        ("xn--bcher-kva.example", "-", "+3 bücher.example is listed by bl.example (127.0.1.2)"),
        ("[203.0.113.9]", "a@[203.0.113.9]", "-"),
        ("localhost", "-", "-"),
        ("not a name", "-", "-"),
        (&format!("{}.example", "a.".repeat(110)), "-", "-"),
    ] {
        let outcome = check(&[names.clone()], &facts(helo, sender), &scene.known, &scene.world).await;
        assert_eq!(shown(&outcome), want, "{helo} {sender}");
    }
    let mut all = list("all.example", 3);
    all.asked_for = Subjects { client: false, helo: true, sender: false };
    let outcome = check(&[all], &facts("all.example", "-"), &scene.known, &scene.world).await;
    assert_eq!(
        shown(&outcome),
        "all.example: it lists what no list may list, so it lists everything (RFC 5782 §5)"
    );
}
