//! The worker against fake mail hosts on loopback: a queue in, what the hosts heard and what the sender was told out.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "the helpers of a test fail by panicking")]

mod fake_mx;
mod hosts;
mod house;
mod owed;
mod policies;
mod relay;
mod tls_reports;
mod turns;
mod ways;
mod wishes;

use crate::fake_mx::{DROP, ENOUGH, FakeMx, SILENCE};
use crate::house::{House, QUEUE_MAX, config, domain};
use crate::relay::{Begin, Relay};
use delivery::Exit;
use delivery::config::{Config, Login, Protocol, Security, Smarthost, Tells};
use delivery::schedule::Retry;
use mail::Notify;
use std::sync::Arc;
use std::time::Duration;

use world::resolver::Asking;
use world::{DnsName, Kind, Proof, Reply, Resolver};

const TEXT: &str = "Subject: hello\r\n\r\n.dot\r\n";
const HOUR: u64 = 3600;

/// A house and the first host of e.ex; the second one is down.
async fn one_host() -> (House, FakeMx, Config) {
    let mx = FakeMx::usual("127.0.0.2:0").await;
    let config = config(mx.address.port());
    (House::build().await, mx, config)
}

#[tokio::test]
async fn recipients_of_a_domain_share_a_transaction() {
    let (mut house, mx, config) = one_host().await;
    house.send("alice@o.ex", &["a@e.ex", "b@E.ex"], TEXT).await;
    house.work(config);
    house.queue_is(&[]).await;
    assert_eq!(
        mx.heard(),
        ["EHLO mx.o.ex", "MAIL FROM:<alice@o.ex>", "RCPT TO:<a@e.ex>", "RCPT TO:<b@e.ex>", "DATA"]
    );
    assert_eq!(mx.messages(), [TEXT]);
    assert!(house.inbox().await.is_empty());
    house.stop().await;
}

#[tokio::test]
async fn each_recipient_has_its_own_fate() {
    let (mut house, mx, config) = one_host().await;
    mx.rule("RCPT TO:<bad@", &["550 5.1.1 who is that"]);
    mx.rule("RCPT TO:<grey@", &["451 4.7.1 not yet"]);
    house.send("alice@o.ex", &["good@e.ex", "bad@e.ex", "grey@e.ex"], TEXT).await;
    house.work(config);
    house.queue_is(&["<alice@o.ex> grey@e.ex 1 451 4.7.1 not yet"]).await;
    assert_eq!(house.notices().await, ["bad@e.ex failed 5.1.1"]);
    let notice = &house.inbox().await[0];
    assert!(notice.contains("Diagnostic-Code: smtp; 550 5.1.1 who is that"), "{notice}");
    assert!(notice.contains("Remote-MTA: dns; mx1.e.ex"), "{notice}");
    house.later(300).await;
    house.queue_is(&[]).await;
    assert_eq!(mx.messages(), [TEXT, TEXT]);
    assert_eq!(house.notices().await.len(), 1);
    house.stop().await;
}

#[tokio::test]
async fn the_next_host_takes_over() {
    for (what, command, reply) in [
        ("the greeting", "greeting", "421 4.3.2 too busy"),
        ("the greeting, for good", "greeting", "554 5.3.2 no mail here"),
        ("EHLO", "EHLO", "421 4.3.2 too busy"),
        ("a lost connection", "EHLO", DROP),
        ("MAIL", "MAIL", "451 4.3.0 trouble"),
        ("RCPT", "RCPT", "421 4.3.2 going down"),
        ("a connection lost in RCPT", "RCPT", DROP),
    ] {
        let (mut house, first, config) = one_host().await;
        let second = FakeMx::usual(&format!("127.0.0.3:{}", first.address.port())).await;
        first.rule(command, &[reply, reply]);
        house.send("alice@o.ex", &["a@e.ex"], TEXT).await;
        house.work(config);
        house.queue_is(&[]).await;
        assert_eq!(second.messages(), [TEXT], "{what}");
        assert!(first.messages().is_empty(), "{what}");
        assert!(house.inbox().await.is_empty(), "{what}");
        house.stop().await;
    }
}

#[tokio::test]
async fn a_host_that_is_down_is_passed_over() {
    let second = FakeMx::usual("127.0.0.3:0").await;
    let mut house = House::build().await;
    house.send("alice@o.ex", &["a@e.ex"], TEXT).await;
    house.work(config(second.address.port()));
    house.queue_is(&[]).await;
    assert_eq!(second.messages(), [TEXT]);
    house.stop().await;
}

#[tokio::test]
async fn a_refusal_is_not_offered_to_the_next_host() {
    let (mut house, first, config) = one_host().await;
    let second = FakeMx::usual(&format!("127.0.0.3:{}", first.address.port())).await;
    first.rule("RCPT", &["550 5.7.1 no"]);
    first.rule("content", &["554 5.6.0 no", "452 4.2.2 full"]);
    house.send("alice@o.ex", &["a@e.ex"], TEXT).await;
    house.work(config);
    house.queue_is(&[]).await;
    house.send("alice@o.ex", &["b@e.ex"], TEXT).await;
    house.queue_is(&[]).await;
    house.send("alice@o.ex", &["c@e.ex"], TEXT).await;
    house.queue_is(&["<alice@o.ex> c@e.ex 1 452 4.2.2 full"]).await;
    assert_eq!(house.notices().await, ["a@e.ex failed 5.7.1", "b@e.ex failed 5.6.0"]);
    assert!(second.heard().is_empty());
    house.stop().await;
}

#[tokio::test]
async fn a_message_lost_in_the_middle_waits_for_its_turn() {
    let (mut house, first, config) = one_host().await;
    let second = FakeMx::usual(&format!("127.0.0.3:{}", first.address.port())).await;
    first.rule("content", &[DROP]);
    house.send("alice@o.ex", &["a@e.ex"], TEXT).await;
    house.work(config);
    house.queue_is(&["a@e.ex 1 451 4.4.2"]).await;
    assert!(second.heard().is_empty(), "the first host may have taken it");
    house.stop().await;
}

#[tokio::test]
async fn what_is_said_in_the_middle_of_a_message_is_heard() {
    let (mut house, mx, config) = one_host().await;
    mx.rule("DATA", &[ENOUGH]);
    let large = format!("Subject: large\r\n\r\n{}", "lorem ipsum dolor sit amet\r\n".repeat(500_000));
    house.send("alice@o.ex", &["a@e.ex"], &large).await;
    house.work(config);
    house.queue_is(&[]).await;
    assert_eq!(house.notices().await, ["a@e.ex failed 5.3.4"]);
    house.stop().await;
}

#[tokio::test]
async fn connections_are_used_again() {
    let (mut house, mx, config) = one_host().await;
    house.work(config);
    for to in ["a@e.ex", "b@e.ex"] {
        house.send("alice@o.ex", &[to], TEXT).await;
        house.queue_is(&[]).await;
    }
    assert_eq!(
        mx.heard(),
        [
            "EHLO mx.o.ex",
            "MAIL FROM:<alice@o.ex>",
            "RCPT TO:<a@e.ex>",
            "DATA",
            "MAIL FROM:<alice@o.ex>",
            "RCPT TO:<b@e.ex>",
            "DATA"
        ]
    );
    // A kept connection that has gone is no failure.
    mx.rule("MAIL", &[DROP]);
    house.send("alice@o.ex", &["c@e.ex"], TEXT).await;
    house.queue_is(&[]).await;
    assert_eq!(mx.messages().len(), 3);
    assert_eq!(mx.heard().iter().filter(|line| *line == "--").count(), 1);
    house.stop().await;
}

#[tokio::test]
async fn delay_is_told_once_and_then_it_is_given_up() {
    let (mut house, mx, config) = one_host().await;
    mx.rule("RCPT", &["451 4.7.1 not yet"; 9]);
    house.send("alice@o.ex", &["a@e.ex"], TEXT).await;
    house.work(config);
    house.queue_is(&["a@e.ex 1 451 4.7.1"]).await;
    assert!(house.notices().await.is_empty());
    house.later(4 * HOUR).await;
    house.queue_is(&["a@e.ex 2 451 4.7.1"]).await;
    assert_eq!(house.notices().await, ["a@e.ex delayed 4.7.1"]);
    house.later(HOUR).await;
    house.queue_is(&["a@e.ex 3 451 4.7.1"]).await;
    assert_eq!(house.notices().await.len(), 1);
    house.later(5 * 24 * HOUR).await;
    house.queue_is(&[]).await;
    assert_eq!(house.notices().await, ["a@e.ex delayed 4.7.1", "a@e.ex failed 5.4.7"]);
    house.stop().await;
}

#[tokio::test]
async fn what_the_dns_says_is_final_or_not() {
    let mut house = House::build().await;
    house.send("alice@o.ex", &["a@null.ex", "a@gone.ex", "a@slow.ex"], TEXT).await;
    house.work(config(1));
    house.queue_is(&["<alice@o.ex> a@slow.ex 1 451 4.4.3"]).await;
    let mut notices = house.notices().await;
    notices.sort();
    assert_eq!(notices, ["a@gone.ex failed 5.1.2", "a@null.ex failed 5.1.10"]);
    house.stop().await;
}

#[tokio::test]
async fn nobody_is_told_about_a_message_without_sender() {
    let (mut house, mx, config) = one_host().await;
    mx.rule("RCPT", &["550 5.1.1 who"; 3]);
    house.send("", &["a@e.ex"], TEXT).await;
    house.send_with("alice@o.ex", &["b@e.ex"], TEXT, Notify::Never).await;
    let only_delay = Notify::On { success: false, failure: false, delay: true };
    house.send_with("alice@o.ex", &["c@e.ex"], TEXT, only_delay).await;
    house.work(config);
    house.queue_is(&[]).await;
    assert!(house.inbox().await.is_empty());
    house.stop().await;
}

#[tokio::test]
async fn success_is_told_by_the_last_one_who_can() {
    let success = Notify::On { success: true, failure: true, delay: false };
    let (mut house, mx, config) = one_host().await;
    house.send_with("alice@o.ex", &["a@e.ex"], TEXT, success).await;
    house.work(config);
    house.queue_is(&[]).await;
    assert_eq!(mx.heard()[2], "RCPT TO:<a@e.ex> NOTIFY=SUCCESS,FAILURE");
    assert!(house.notices().await.is_empty(), "that is the next server's business now");
    house.stop().await;

    let mx = FakeMx::start("127.0.0.2:0", "mx.e.ex", &["PIPELINING"]).await;
    let mut house = House::build().await;
    house.send_with("alice@o.ex", &["a@e.ex"], TEXT, success).await;
    house.work(crate::config(mx.address.port()));
    house.queue_is(&[]).await;
    assert_eq!(mx.heard()[2], "RCPT TO:<a@e.ex>");
    assert_eq!(house.notices().await, ["a@e.ex relayed 2.0.0"]);
    house.stop().await;
}

#[tokio::test]
async fn a_forwarded_message_that_fails_goes_back_to_its_sender() {
    let (mut house, mx, config) = one_host().await;
    mx.rule("RCPT", &["550 5.1.1 who"]);
    house.send("x@slow.ex", &["out@o.ex"], TEXT).await;
    house.work(config);
    house.queue_is(&["<> x@slow.ex 1 451 4.4.3"]).await;
    let mail_from = &mx.heard()[1];
    assert!(mail_from.starts_with("MAIL FROM:<SRS0="), "{mail_from}");
    house.stop().await;
}

#[tokio::test]
async fn mail_that_comes_back_to_ourselves_is_stopped() {
    let mx = FakeMx::start("127.0.0.2:0", "MX.o.ex", &["PIPELINING"]).await;
    let second = FakeMx::start(&format!("127.0.0.3:{}", mx.address.port()), "mx.o.ex", &[]).await;
    let mut house = House::build().await;
    house.send("alice@o.ex", &["a@e.ex"], TEXT).await;
    house.work(config(mx.address.port()));
    house.queue_is(&[]).await;
    assert_eq!(house.notices().await, ["a@e.ex failed 5.4.6"]);
    assert!(mx.messages().is_empty() && second.messages().is_empty());
    house.stop().await;
}

#[tokio::test]
async fn eight_bits_travel_to_old_servers_too() {
    let mx = FakeMx::start("127.0.0.2:0", "mx.e.ex", &[]).await;
    let mut house = House::build().await;
    let text = "Subject: grüße\r\n\r\nschön\r\n";
    house.send("alice@o.ex", &["a@e.ex"], text).await;
    house.work(config(mx.address.port()));
    house.queue_is(&[]).await;
    assert_eq!(mx.messages(), [text]);
    assert_eq!(mx.heard()[1], "MAIL FROM:<alice@o.ex>");
    house.stop().await;
}

#[tokio::test]
async fn without_working_tls_it_goes_in_clear() {
    for (what, replies) in [
        ("refused", ["454 4.7.0 not now"]),
        // Consent, and then no TLS: the host takes the handshake for a command.
        ("broken", ["220 2.0.0 go ahead"]),
        ("dropped", [DROP]),
    ] {
        let mx = FakeMx::start("127.0.0.2:0", "mx.e.ex", &["STARTTLS"]).await;
        mx.rule("STARTTLS", &replies);
        let mut house = House::build().await;
        house.send("alice@o.ex", &["a@e.ex"], TEXT).await;
        house.work(config(mx.address.port()));
        house.queue_is(&[]).await;
        assert_eq!(mx.messages(), [TEXT], "{what}");
        house.stop().await;
    }
}

#[tokio::test]
async fn what_is_cut_short_is_not_lost() {
    let (mut house, mx, config) = one_host().await;
    // The host never answers.
    mx.rule("MAIL", &[SILENCE]);
    house.send("alice@o.ex", &["a@e.ex"], TEXT).await;
    house.work(config.clone());
    let end = tokio::time::Instant::now() + Duration::from_secs(20);
    while mx.heard().len() < 2 {
        assert!(tokio::time::Instant::now() < end, "no attempt is made");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    house.stop().await;
    house.queue_is(&["<alice@o.ex> a@e.ex 0 -"]).await;
    house.work(config);
    house.queue_is(&[]).await;
    assert_eq!(mx.messages(), [TEXT]);
    house.stop().await;
}

#[tokio::test]
async fn many_messages_reach_one_destination_within_its_limit() {
    let (mut house, mx, config) = one_host().await;
    for n in 0..30 {
        house.send("alice@o.ex", &[&format!("r{n}@e.ex")], TEXT).await;
    }
    house.work(Config { per_destination: 2, concurrency: 10, ..config });
    house.queue_is(&[]).await;
    assert_eq!(mx.messages().len(), 30);
    let connections = mx.heard().iter().filter(|line| *line == "--").count() + 1;
    assert!(connections <= 2, "{connections} connections");
    house.stop().await;
}

#[tokio::test]
async fn options_can_change_while_it_runs() {
    let (mut house, mx, config) = one_host().await;
    let handle = house.work(crate::config(1));
    house.send("alice@o.ex", &["a@e.ex"], TEXT).await;
    house.queue_is(&["a@e.ex 1 451 4.4.1"]).await;
    handle.set_config(config.clone()).unwrap();
    house.later(300).await;
    house.queue_is(&[]).await;
    assert_eq!(mx.messages(), [TEXT]);
    let bad = Config { ca_file: Some(house.dir.path().join("none.pem")), ..config };
    assert!(handle.set_config(bad).is_err());
    house.stop().await;
}

/// Options to send all through the relay, which calls itself mx1.e.ex in the DNS.
fn by_relay(relay: &Relay, house: &House, host: &str, security: Security, password: &str) -> Config {
    let password_file = house.dir.path().join("relay-password");
    std::fs::write(&password_file, password).unwrap();
    let login = Some(Login { user: "me".into(), password_file });
    let (port, protocol) = (relay.address.port(), Protocol::Smtp);
    let (socket, tells) = (None, Tells::Nobody);
    let smarthost = Smarthost { host: domain(host), port, security, login, protocol, socket, tells };
    Config { smarthost: Some(smarthost), ca_file: Some(relay.ca.clone()), ..config(1) }
}

#[tokio::test]
async fn a_smarthost_takes_all() {
    for (begin, security) in [(Begin::WhenAsked, Security::Required), (Begin::AtOnce, Security::Implicit)] {
        let mut house = House::build().await;
        let relay = Relay::start(house.dir.path(), "mx1.e.ex", begin, &house.world).await;
        house.send("alice@o.ex", &["a@e.ex", "bad@e.ex", "a@null.ex", "bad@gone.ex"], TEXT).await;
        house.send("alice@o.ex", &["c@e.ex"], TEXT).await;
        house.work(Config {
            per_destination: 1,
            ..by_relay(&relay, &house, "mx1.e.ex", security, "secret\nx")
        });
        house.queue_is(&[]).await;
        let heard = relay.heard.lock().unwrap().clone();
        let once = ["MAIL <alice@o.ex> tls", "message"];
        let want = [&["AUTH PLAIN AG1lAHNlY3JldA=="][..], &once, &once].concat();
        assert_eq!(heard, want);
        assert_eq!(house.inbox().await.len(), 1, "one notice for both that were refused");
        assert_eq!(house.notices().await, ["bad@e.ex failed 5.1.1", "bad@gone.ex failed 5.1.1"]);
        house.stop().await;
    }
}

#[tokio::test]
async fn a_smarthost_must_be_who_it_says() {
    for (name, host, password, want) in [
        (
            "other.ex",
            "mx1.e.ex",
            "secret",
            "454 4.7.5 TLS with mx1.e.ex failed: its certificate is for another name: ",
        ),
        (
            "mx1.e.ex",
            "mx1.e.ex",
            "wrong",
            "454 4.7.8 The login at mx1.e.ex was refused: 535 5.7.8 wrong password",
        ),
        ("mx1.e.ex", "gone.ex", "secret", "451 4.4.4 The mail host gone.ex has no address"),
        ("mx1.e.ex", "mx2.e.ex", "secret", "451 4.4.1 mx2.e.ex at 127.0.0.3"),
    ] {
        let mut house = House::build().await;
        let relay = Relay::start(house.dir.path(), name, Begin::WhenAsked, &house.world).await;
        house.send("alice@o.ex", &["a@e.ex"], TEXT).await;
        house.work(by_relay(&relay, &house, host, Security::Required, password));
        house.queue_is(&[want]).await;
        let heard = relay.heard.lock().unwrap().clone();
        assert!(!heard.iter().any(|line| line.starts_with("MAIL")), "{heard:?}");
        house.stop().await;
    }
}

#[tokio::test]
async fn strangers_are_spoken_to_in_tls_whatever_their_certificate() {
    let mut house = House::build().await;
    let relay = Relay::start(house.dir.path(), "somebody.else.ex", Begin::WhenAsked, &house.world).await;
    house.send("alice@o.ex", &["a@e.ex"], TEXT).await;
    house.work(config(relay.address.port()));
    house.queue_is(&[]).await;
    assert_eq!(relay.heard.lock().unwrap().clone(), ["MAIL <alice@o.ex> tls", "message"]);
    house.stop().await;
}

/// A machine that slept, or a clock that was set: what is under way must not begin a second time.
#[tokio::test]
async fn a_clock_that_leaps_makes_no_second_attempt() {
    let (mut house, mx, config) = one_host().await;
    mx.rule("RCPT", &[SILENCE]);
    house.send("alice@o.ex", &["a@e.ex"], TEXT).await;
    house.work(config);
    mx.hears("RCPT").await;
    house.clock.advance(Duration::from_secs(HOUR));
    house.send("alice@o.ex", &["b@f.ex"], TEXT).await;
    house.queue_is(&["a@e.ex 0 -", "b@f.ex 1 451"]).await;
    assert!(!mx.heard().contains(&"--".to_owned()), "{:#?}", mx.heard());
    house.stop().await;
}

/// A clock that ran ahead and was put right: what it put off does not wait for the wrong time to come again.
#[tokio::test]
async fn a_clock_that_is_set_back_keeps_nothing_waiting() {
    let (mut house, mx, config) = one_host().await;
    let right = house.world.clock.unix();
    house.clock.advance(Duration::from_secs(24 * HOUR));
    mx.rule("RCPT TO:<grey@", &["451 4.7.1 not yet"]);
    house.send("alice@o.ex", &["grey@e.ex"], TEXT).await;
    house.work(config);
    house.queue_is(&["grey@e.ex 1 451 4.7.1"]).await;
    house.clock.set(right.unsigned_abs());
    house.send("alice@o.ex", &["b@e.ex"], TEXT).await;
    house.queue_is(&[]).await;
    assert_eq!(mx.messages(), [TEXT, TEXT]);
    house.stop().await;
}

#[tokio::test]
async fn what_a_dead_process_held_goes_on() {
    let (mut house, mx, config) = one_host().await;
    house.send("alice@o.ex", &["a@e.ex"], TEXT).await;
    let now = house.world.clock.unix();
    let held = house.store.claim_due(now, 10, Duration::from_secs(3600)).await.unwrap();
    assert_eq!(held.len(), 1);
    house.work(config);
    house.queue_is(&[]).await;
    assert_eq!(mx.messages(), [TEXT]);
    house.stop().await;
}

/// Breaks when it is asked for one domain.
struct Trap(Arc<dyn Resolver>);

impl Resolver for Trap {
    fn ask<'a>(&'a self, name: &'a DnsName, kind: Kind, proof: Proof) -> Asking<'a, Reply> {
        assert_ne!(name.to_string(), "trap.ex", "the trap has snapped");
        self.0.ask(name, kind, proof)
    }
}

#[tokio::test]
async fn a_panic_ends_one_attempt_only() {
    let (mut house, mx, config) = one_host().await;
    house.world.dns = Arc::new(Trap(house.world.dns.clone()));
    for _ in 0..3 {
        house.send("alice@o.ex", &["a@trap.ex", "a@e.ex"], TEXT).await;
    }
    // One place: it must be free again after each panic.
    house.work(Config { concurrency: 1, per_destination: 1, ..config });
    house.queue_is(&["a@trap.ex 0 -"; 3]).await;
    assert_eq!(mx.messages().len(), 3);
    house.stop().await;
}

#[tokio::test]
async fn a_closed_server_keeps_what_waits() {
    let (mut house, mx, config) = one_host().await;
    house.send("alice@o.ex", &["a@e.ex"], TEXT).await;
    let handle = house.work(Config { exit: Exit::Closed, ..config.clone() });
    house.queue_is(&["a@e.ex 1 451 4.7.1"]).await;
    assert!(mx.heard().is_empty());
    handle.set_config(config).unwrap();
    house.later(300).await;
    house.queue_is(&[]).await;
    assert_eq!(mx.messages(), [TEXT]);
    house.stop().await;
}

#[tokio::test]
async fn a_message_that_is_damaged_waits_and_then_its_sender_knows() {
    let (mut house, mx, config) = one_host().await;
    let large = format!("{TEXT}{}", "a line of some length, again and again\r\n".repeat(10_000));
    house.send("alice@o.ex", &["a@e.ex"], &large).await;
    let mut folders = vec![house.dir.path().join("bodies")];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap().map(Result::unwrap) {
            match entry.file_type().unwrap().is_dir() {
                true => folders.push(entry.path()),
                false => std::fs::remove_file(entry.path()).unwrap(),
            }
        }
    }
    house.work(config);
    house.queue_is(&["a@e.ex 1 451 4.3.0"]).await;
    house.later(5 * 24 * HOUR).await;
    house.queue_is(&[]).await;
    assert_eq!(house.notices().await, ["a@e.ex failed 5.4.7"]);
    assert!(mx.heard().is_empty());
    house.stop().await;
}

#[tokio::test]
async fn a_slow_domain_does_not_hold_up_the_others() {
    let (mut house, slow, config) = one_host().await;
    let quick = FakeMx::usual(&format!("127.0.0.3:{}", slow.address.port())).await;
    slow.rule("MAIL", &[SILENCE; 20]);
    for n in 0..20 {
        house.send("alice@o.ex", &[&format!("r{n}@e.ex")], TEXT).await;
    }
    house.send("alice@o.ex", &["a@f.ex"], TEXT).await;
    house.work(Config { per_destination: 2, concurrency: 4, ..config });
    house.queue_is(&["@e.ex 0 -"; 20]).await;
    assert_eq!(quick.messages(), [TEXT]);
    house.stop().await;
    house.queue_is(&["@e.ex 0 -"; 20]).await;
}

#[tokio::test]
async fn it_wakes_by_itself_when_a_retry_is_due() {
    let mx = FakeMx::usual("127.0.0.2:0").await;
    mx.rule("RCPT", &["451 4.7.1 not yet"; 2]);
    let mut house = House::build_with(Arc::new(world::SystemClock)).await;
    house.send("alice@o.ex", &["a@e.ex"], TEXT).await;
    let retry = Retry { first: Duration::from_secs(1), factor: 1.0, ..Retry::default() };
    house.work(Config { retry, ..config(mx.address.port()) });
    house.queue_is(&["a@e.ex 1 451"]).await;
    house.queue_is(&[]).await;
    assert_eq!(mx.messages(), [TEXT]);
    house.stop().await;
}

#[tokio::test]
async fn a_full_queue_takes_no_notice_but_loses_nothing() {
    let (mut house, mx, config) = one_host().await;
    mx.rule("RCPT TO:<bad@", &["550 5.1.1 who"; 2]);
    mx.rule("RCPT TO:<grey@", &["451 4.7.1 not yet"; 2]);
    house.send("x@slow.ex", &["good@e.ex", "bad@e.ex", "grey@e.ex"], TEXT).await;
    for n in 1..QUEUE_MAX {
        house.send("", &[&format!("r{n}@slow.ex")], TEXT).await;
    }
    house.work(config);
    let waiting = ["@slow.ex "; QUEUE_MAX as usize - 1];
    let own = ["<x@slow.ex> bad@e.ex 1 550 5.1.1 who", "<x@slow.ex> grey@e.ex 1 451 4.7.1"];
    house.queue_is(&[&own, &waiting[..]].concat()).await;
    // One place in the queue is free again: it is told now.
    let some = house.store.queue(None, 100).await.unwrap().pop().unwrap().id;
    house.store.remove_job(some).await.unwrap();
    house.later(300).await;
    house
        .queue_is(&[&["<x@slow.ex> grey@e.ex 2 451 4.7.1"], &waiting[1..], &["<> x@slow.ex"]].concat())
        .await;
    assert_eq!(mx.messages(), [TEXT], "good@e.ex has had it once");
    house.stop().await;
}

#[tokio::test]
async fn a_dead_host_is_not_waited_for_by_every_message() {
    let (mut house, mx, config) = one_host().await;
    let address = mx.address.to_string();
    mx.close().await;
    house.work(config);
    house.send("alice@o.ex", &["a@e.ex"], TEXT).await;
    house.queue_is(&["a@e.ex 1 451 4.4.1"]).await;
    let mx = FakeMx::usual(&address).await;
    house.send("alice@o.ex", &["b@e.ex"], TEXT).await;
    house.queue_is(&["a@e.ex 1 451 4.4.1", "b@e.ex 1 451 4.4.1"]).await;
    assert!(mx.heard().is_empty());
    house.later(300).await;
    house.queue_is(&[]).await;
    assert_eq!(mx.messages(), [TEXT, TEXT]);
    house.stop().await;
}
