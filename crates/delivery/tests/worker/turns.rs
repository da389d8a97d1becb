//! Whose turn it is: destinations that are down, that want less, or that have much.

use crate::fake_mx::{FakeMx, SILENCE};
use crate::house::{House, config, domain};
use delivery::config::{Config, Family, Pattern, Protocol, Route, Security, Smarthost, Tells};
use delivery::schedule::Retry;
use std::time::Duration;
use storage::{AttemptResult, QueueFilter, RecipientState};

const TEXT: &str = "Subject: hello\r\n\r\ntext\r\n";

/// Lets time pass, and has the worker look at what is due by then; what is known of hosts stays.
async fn pass(house: &House, seconds: u64) {
    house.clock.advance(Duration::from_secs(seconds));
    house.store.unhold(QueueFilter::default()).await.unwrap();
}

/// How often a host was tried and not reached, over the messages with numbers up to `jobs`.
async fn tries(house: &House, jobs: i64) -> usize {
    let mut count = 0;
    for job in 1..=jobs {
        let kept = house.store.attempts(storage::JobId::from_number(job)).await.unwrap();
        count += kept.iter().filter(|one| one.attempt.result == AttemptResult::NoWay).count();
    }
    count
}

#[tokio::test]
async fn who_is_down_is_tried_by_one_and_then_by_all() {
    let mx = FakeMx::usual("127.0.0.3:0").await;
    let address = mx.address.to_string();
    let config = config(mx.address.port());
    mx.close().await;
    let mut house = House::build().await;
    for n in 0..6 {
        house.send("alice@o.ex", &[&format!("r{n}@f.ex")], TEXT).await;
    }
    house.work(Config { per_destination: 2, ..config });
    let all_wait: Vec<String> = (0..6).map(|n| format!("r{n}@f.ex 1 451 4.4.1")).collect();
    house.queue_is(&all_wait.iter().map(String::as_str).collect::<Vec<_>>()).await;
    let first = tries(&house, 6).await;
    assert!((1..=2).contains(&first), "{first} tries of a host that is down");
    // By their own schedule all are due again: one looks, and the others hear of it.
    pass(&house, 331).await;
    let all_wait: Vec<String> = (0..6).map(|n| format!("r{n}@f.ex 2 451 4.4.1")).collect();
    house.queue_is(&all_wait.iter().map(String::as_str).collect::<Vec<_>>()).await;
    assert_eq!(tries(&house, 6).await, first + 1);
    // It comes up. A message that came meanwhile is put off as well, and goes with the others.
    let mx = FakeMx::usual(&address).await;
    house.send("alice@o.ex", &["late@f.ex"], TEXT).await;
    let mut waiting: Vec<String> = (0..6).map(|n| format!("r{n}@f.ex 2 451 4.4.1")).collect();
    waiting.push("late@f.ex 1 451 4.4.1".to_owned());
    house.queue_is(&waiting.iter().map(String::as_str).collect::<Vec<_>>()).await;
    assert!(mx.heard().is_empty());
    pass(&house, 661).await;
    house.queue_is(&[]).await;
    assert_eq!(mx.messages().len(), 7);
    house.stop().await;
}

#[tokio::test]
async fn an_administrator_is_not_kept_waiting() {
    let mx = FakeMx::usual("127.0.0.3:0").await;
    let (address, config) = (mx.address.to_string(), config(mx.address.port()));
    mx.close().await;
    let mut house = House::build().await;
    house.send("alice@o.ex", &["a@f.ex"], TEXT).await;
    house.work(config);
    house.queue_is(&["a@f.ex 1 451 4.4.1"]).await;
    let mx = FakeMx::usual(&address).await;
    house.later(1).await;
    house.queue_is(&[]).await;
    assert_eq!(mx.messages().len(), 1);
    house.stop().await;
}

#[tokio::test]
async fn a_provider_that_says_421_is_given_a_rest() {
    let mx = FakeMx::usual("127.0.0.3:0").await;
    mx.rule("RCPT TO:<a@", &["421 4.7.0 slow down"]);
    let mut house = House::build().await;
    house.send("alice@o.ex", &["a@f.ex"], TEXT).await;
    house.work(config(mx.address.port()));
    house.queue_is(&["a@f.ex 1 421 4.7.0"]).await;
    // Another message, even for another domain of the provider, is not tried for a while, and loses no try by that.
    house.send("alice@o.ex", &["b@f.ex"], TEXT).await;
    house.queue_is(&["a@f.ex 1 421 4.7.0", "b@f.ex 0 -"]).await;
    assert!(!mx.heard().iter().any(|line| line.starts_with("RCPT TO:<b@")));
    pass(&house, 31).await;
    house.queue_is(&["a@f.ex 1 421 4.7.0"]).await;
    assert!(mx.heard().iter().any(|line| line.starts_with("RCPT TO:<b@")));
    pass(&house, 300).await;
    house.queue_is(&[]).await;
    house.stop().await;
}

#[tokio::test]
async fn a_large_destination_does_not_starve_a_small_one() {
    let slow = FakeMx::usual("127.0.0.2:0").await;
    let fast = FakeMx::usual(&format!("127.0.0.3:{}", slow.address.port())).await;
    slow.rule("MAIL", &[SILENCE; 40]);
    let mut house = House::build().await;
    for n in 0..30 {
        house.send("alice@o.ex", &[&format!("r{n}@e.ex")], TEXT).await;
    }
    house.work(Config { concurrency: 4, per_destination: 2, ..config(slow.address.port()) });
    slow.hears("MAIL").await;
    for n in 0..5 {
        house.send("alice@o.ex", &[&format!("s{n}@f.ex")], TEXT).await;
    }
    let end = tokio::time::Instant::now() + Duration::from_secs(20);
    while fast.messages().len() < 5 {
        assert!(tokio::time::Instant::now() < end, "the small destination waits for the large one");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    house.stop().await;
}

#[tokio::test]
async fn no_more_than_the_rate_goes_to_a_destination() {
    let mx = FakeMx::usual("127.0.0.3:0").await;
    let mut house = House::build().await;
    for n in 0..5 {
        house.send("alice@o.ex", &[&format!("r{n}@f.ex")], TEXT).await;
    }
    let rate = Some(policy::Rate::parse("2/1m").unwrap());
    house.work(Config { rate, ..config(mx.address.port()) });
    house.queue_is(&["0 -", "0 -", "0 -"]).await;
    pass(&house, 30).await;
    house.queue_is(&["0 -", "0 -"]).await;
    pass(&house, 120).await;
    house.queue_is(&[]).await;
    house.stop().await;
}

#[tokio::test]
async fn who_never_gets_a_turn_goes_back_in_time() {
    let mx = FakeMx::usual("127.0.0.3:0").await;
    let mut house = House::build().await;
    for n in 0..3 {
        house.send("alice@o.ex", &[&format!("r{n}@f.ex")], TEXT).await;
    }
    let usual = config(mx.address.port());
    let retry = Retry { give_up: Duration::from_secs(7200), delay_notice: None, ..usual.retry.clone() };
    house.work(Config { rate: Some(policy::Rate::parse("1/1d").unwrap()), retry, ..usual });
    house.queue_is(&["0 -", "0 -"]).await;
    pass(&house, 24 * 3600 + 60).await;
    house.queue_is(&[]).await;
    assert_eq!((mx.messages().len(), house.notices().await.len()), (2, 1));
    house.stop().await;
}

/// A next host that takes the mail of all domains below s.ex.
fn shared_host(port: u16) -> Route {
    let to = Smarthost {
        host: domain("mx1.e.ex"),
        port,
        security: Security::None,
        login: None,
        protocol: Protocol::Smtp,
        socket: None,
        tells: Tells::Nobody,
    };
    Route {
        name: "store".to_owned(),
        recipients: vec![Pattern::Below(domain("s.ex"))],
        senders: Vec::new(),
        to: Some(to),
        family: Family::Any,
        source_addresses: Vec::new(),
        concurrency: None,
        rate: None,
    }
}

/// Recipients whose message somebody has claimed.
async fn claimed(house: &House) -> usize {
    let jobs = house.store.queue(None, 100).await.unwrap();
    jobs.iter().flat_map(|job| &job.recipients).filter(|one| one.state == RecipientState::Trying).count()
}

#[tokio::test]
async fn a_slow_next_host_of_many_domains_has_one_place_in_the_order() {
    let slow = FakeMx::usual("127.0.0.2:0").await;
    let fast = FakeMx::usual(&format!("127.0.0.3:{}", slow.address.port())).await;
    slow.rule("MAIL", &[SILENCE; 40]);
    let mut house = House::build().await;
    let port = slow.address.port();
    // What is in the queue before the worker knows of the route has its place with the rest all the same.
    for n in 0..15 {
        house.send("alice@o.ex", &[&format!("r@d{n}.s.ex")], TEXT).await;
    }
    house.work(Config {
        concurrency: 4,
        per_destination: 2,
        routes: vec![shared_host(port)],
        ..config(port)
    });
    slow.hears("MAIL").await;
    for n in 15..30 {
        house.send("alice@o.ex", &[&format!("r@d{n}.s.ex")], TEXT).await;
    }
    for n in 0..5 {
        house.send("alice@o.ex", &[&format!("s{n}@f.ex")], TEXT).await;
    }
    let end = tokio::time::Instant::now() + Duration::from_secs(20);
    while fast.messages().len() < 5 {
        assert!(tokio::time::Instant::now() < end, "the others wait for the slow host");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    // Two are under way, what one look brings waits, and all else is left in the queue, whatever its domain.
    let held = claimed(&house).await;
    assert!(
        (2..=2 + 4).contains(&held),
        "{held} of 30 messages are held for a host that takes two at a time"
    );
    house.stop().await;
}

#[tokio::test]
async fn all_domains_of_a_next_host_are_tried_when_it_is_back() {
    let mx = FakeMx::usual("127.0.0.2:0").await;
    let (address, port) = (mx.address.to_string(), mx.address.port());
    mx.close().await;
    let mut house = House::build().await;
    house.work(Config { routes: vec![shared_host(port)], ..config(port) });
    let mut waiting = Vec::new();
    for n in 0..4 {
        house.send("alice@o.ex", &[&format!("r@d{n}.s.ex")], TEXT).await;
        waiting.push(format!("r@d{n}.s.ex 1 451 4.4.1"));
        let want: Vec<&str> = waiting.iter().map(String::as_str).collect();
        house.queue_is(&want).await;
    }
    // None of them is due for some minutes; the one that comes now looks, and gets through.
    let mx = FakeMx::usual(&address).await;
    house.clock.advance(Duration::from_secs(256));
    house.send("alice@o.ex", &["late@d9.s.ex"], TEXT).await;
    house.queue_is(&[]).await;
    assert_eq!(mx.messages().len(), 5);
    house.stop().await;
}
