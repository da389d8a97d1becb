//! Who guesses passwords is refused, over all connections and both doors, and nobody else has to wait for it.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use tests::{Chat, Daemon, Imap, PASSWORD, Setup, Smtp};

/// Connections at once, and guesses on each of them.
const CROWD: u32 = 8;
const GUESSES: u32 = 12;

fn scene() -> Setup {
    let mut setup = Setup::new();
    setup.account("alice@example.org");
    for door in ["submission", "imap"] {
        setup.option(door, "failure-delay \"0s\"");
        setup.option(door, "login-failures 100");
    }
    setup
}

/// The answers to some guesses on one connection to submission from 127.0.0.1.
fn guess(port: u16, crowd: u32) -> Vec<String> {
    let mut eve = Smtp::begin(Chat::connect(port));
    (0..GUESSES)
        .map(|n| {
            let response = STANDARD.encode(format!("\0alice@example.org\0guess {crowd} {n}"));
            eve.say(&format!("AUTH PLAIN {response}"));
            eve.reply()
        })
        .collect()
}

fn flood(maddy: &Daemon) -> Vec<String> {
    let port = maddy.ports().submission;
    let crowd: Vec<_> = (0..CROWD).map(|n| std::thread::spawn(move || guess(port, n))).collect();
    crowd.into_iter().flat_map(|one| one.join().unwrap()).collect()
}

#[test]
fn a_flood_is_refused_and_the_owner_comes_in() {
    let maddy = scene().start();
    let answers = flood(&maddy);
    let wrong = answers.iter().filter(|answer| answer.starts_with("535 5.7.8")).count();
    let refused =
        answers.iter().filter(|answer| answer.starts_with("454 4.7.0 Too many failed logins")).count();
    assert_eq!((wrong, wrong + refused), (10, answers.len()), "{answers:?}");
    maddy.wait_log("*login refused unseen*127.0.0.1*this address failed too often*");

    // The other door knows of it, even for the right password.
    let mut eve = Imap::begin(Chat::connect(maddy.ports().imap));
    let said = eve.no(&format!("LOGIN alice@example.org \"{PASSWORD}\""));
    assert!(said.contains("[UNAVAILABLE] Too many failed logins"), "{said}");

    // While it goes on, the owner logs in elsewhere, through both doors.
    let port = maddy.ports().submission;
    let flood = std::thread::spawn(move || guess(port, CROWD));
    let mut alice = Smtp::begin(Chat::connect_from(2, port));
    alice.log_in("alice@example.org", PASSWORD);
    Imap::begin(Chat::connect_from(2, maddy.ports().imap)).log_in("alice@example.org", PASSWORD);
    assert!(flood.join().unwrap().iter().all(|answer| answer.starts_with("454 4.7.0")));
}

#[test]
fn who_waits_comes_in_again() {
    let mut setup = scene();
    setup.config("logins { failures-per-address 2; delay \"1s\"; max-delay \"1s\"; }");
    let maddy = setup.start();
    let answers = guess(maddy.ports().submission, 0);
    assert!(answers.iter().any(|answer| answer.starts_with("454 4.7.0")), "{answers:?}");
    tests::eventually("the wait is over", || {
        let mut alice = Imap::begin(Chat::connect(maddy.ports().imap));
        let said = alice.run(&format!("LOGIN alice@example.org \"{PASSWORD}\""));
        said.last()?.starts_with("OK").then_some(())
    });
}

#[test]
fn who_is_exempt_may_fail() {
    let mut setup = scene();
    setup.config("logins { exempt \"127.0.0.0/8\"; }");
    let maddy = setup.start();
    let answers = guess(maddy.ports().submission, 0);
    assert!(answers.iter().all(|answer| answer.starts_with("535 5.7.8")), "{answers:?}");
}

#[test]
fn who_runs_the_server_sees_and_forgives() {
    let maddy = scene().start();
    let port = maddy.ports().submission;
    guess(port, 0);
    let list = maddy.cli(&["creds", "guesses", "list"]).ok();
    for want in ["account", "alice@example.org", "127.0.0.1 ", "127.0.0.0/24"] {
        assert!(list.contains(want), "{want}: {list}");
    }
    let mut alice = Smtp::begin(Chat::connect(port));
    let login = format!("AUTH PLAIN {}", STANDARD.encode(format!("\0alice@example.org\0{PASSWORD}")));
    alice.command(&login, "454 4.7.0 Too many failed logins*");
    maddy.cli(&["creds", "guesses", "lift", "127.0.0.1"]).ok();
    alice.command(&login, "235*");
    maddy.cli(&["creds", "guesses", "lift", "127.0.0.1"]).fails();
    maddy.cli(&["creds", "guesses", "lift", "alice@example.org"]).ok();
    assert_eq!(maddy.cli(&["--json", "creds", "guesses", "list"]).ok().trim(), "[]");
}
