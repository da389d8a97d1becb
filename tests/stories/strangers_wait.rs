//! Strangers wait: those who come for the first time are asked to come again, and those who are not greeted yet keep still.

use std::time::{Duration, Instant};
use tests::{Chat, Daemon, PATIENCE, Setup, Smtp, assert_like, field, message};

/// With a delay that a story can wait for.
fn greylisting(more: &str) -> Setup {
    let mut setup = Setup::new();
    setup.account("alice@example.org");
    setup.account("bob@example.org");
    setup.option(
        "smtp",
        &format!("greylist {{ enabled #true; delay \"2s\"; learn 2; exempt \"127.0.0.9\"; {more} }}"),
    );
    setup
}

fn from(maddy: &Daemon, n: u8) -> Smtp {
    Smtp::begin(Chat::connect_from(n, maddy.ports().smtp))
}

/// MAIL and RCPT; what is said to RCPT.
fn ask(smtp: &mut Smtp, sender: &str, to: &str) -> String {
    smtp.command("RSET", "250*");
    smtp.command(&format!("MAIL FROM:<{sender}>"), "250*");
    smtp.command(&format!("RCPT TO:<{to}>"), "*")
}

/// Comes again until it is let in, as a mail server does.
fn insist(smtp: &mut Smtp, sender: &str, to: &str) {
    let begun = Instant::now();
    loop {
        let said = ask(smtp, sender, to);
        if said.starts_with("250") {
            return;
        }
        assert_like(&said, "451 4.7.1 Greylisted*");
        assert!(begun.elapsed() < PATIENCE, "it is never let in: {said}");
        std::thread::sleep(Duration::from_millis(300));
    }
}

#[test]
fn who_comes_again_is_let_in_and_known_in_the_end() {
    let mut setup = greylisting("");
    setup.option("smtp", "rates { messages-per-recipient \"2/1h\"; exempt \"192.0.2.0/24\"; }");
    let mut maddy = setup.start();
    let mut stranger = from(&maddy, 5);
    let (sender, alice) = ("eve@honest.test", "alice@example.org");
    assert_like(&ask(&mut stranger, sender, alice), "451 4.7.1 Greylisted*try again in 2 seconds");
    maddy.wait_log("*greylisted*eve@honest.test*");
    // What is put off is not counted: there is room for two messages an hour, and here are more tries.
    for _ in 0..4 {
        assert_like(&ask(&mut stranger, sender, alice), "451 4.7.1 Greylisted*");
    }
    // Mail for nobody is refused for good at once.
    assert_like(&ask(&mut stranger, sender, "nobody@example.org"), "550 5.1.1*");
    insist(&mut stranger, sender, alice);
    stranger.data(&message(sender, alice, "The second try", "Hello"), "250*");
    // Another pair of sender and recipient is new, and the last.
    assert_like(&ask(&mut stranger, sender, "bob@example.org"), "451*");
    insist(&mut stranger, sender, "bob@example.org");
    stranger.data(&message(sender, "bob@example.org", "To bob", "Hello"), "250*");
    // It has come again twice: now it is known, whoever it writes for. All of its network is.
    assert_like(&ask(&mut stranger, "new@other.test", alice), "250*");
    assert_like(&ask(&mut from(&maddy, 6), "newer@other.test", "bob@example.org"), "250*");
    // That is remembered over a restart.
    maddy.stop();
    maddy.start();
    assert_like(&ask(&mut from(&maddy, 5), "newest@other.test", "bob@example.org"), "250*");
    let mut inbox = maddy.imap(alice);
    inbox.wait_messages("INBOX", 1);
    assert_eq!(inbox.texts("INBOX").len(), 1);
}

#[test]
fn who_is_exempt_is_never_asked_to_come_again() {
    let maddy = greylisting("").start();
    assert_like(&ask(&mut from(&maddy, 9), "eve@honest.test", "alice@example.org"), "250*");
    assert_like(&ask(&mut from(&maddy, 8), "eve@honest.test", "alice@example.org"), "451*");
}

/// A client that is made to wait for its greeting does not hold up the end of the server.
#[test]
fn the_wait_before_the_greeting_hears_the_stop() {
    let mut setup = Setup::new();
    setup.option("smtp", "early-talkers { delay \"30s\"; exempt \"127.0.0.1\"; }");
    setup.config("stop-timeout \"2m\"");
    let mut maddy = setup.start();
    let mut waiting = Chat::connect_from(4, maddy.ports().smtp);
    let mut hasty = Chat::connect_from(4, maddy.ports().smtp);
    hasty.say("EHLO client.test");
    hasty.expect("554 5.5.1*");
    let begun = Instant::now();
    maddy.stop();
    assert!(begun.elapsed() < Duration::from_secs(25), "it waited for {:?}", begun.elapsed());
    waiting.expect("220*");
    waiting.expect("421*");
}

#[test]
fn who_speaks_too_early_gets_what_is_configured() {
    for (action, greeting, folder) in [
        ("none", "220*", Some("INBOX")),
        ("mark", "220*", Some("INBOX")),
        ("quarantine", "220*", Some("Junk")),
        ("reject", "554 5.5.1 *", None),
        ("defer", "421 4.5.1 *", None),
    ] {
        let mut setup = Setup::new();
        setup.account("alice@example.org");
        let options = format!("early-talkers {{ action {action:?}; delay \"30s\"; exempt \"127.0.0.1\"; }}");
        setup.option("smtp", &options);
        let maddy = setup.start();
        let mut hasty = Chat::connect_from(4, maddy.ports().smtp);
        hasty.say("NOOP");
        hasty.expect(greeting);
        let Some(folder) = folder else {
            hasty.expect_end();
            continue;
        };
        hasty.expect("250*");
        let (from, to) = ("eve@honest.test", "alice@example.org");
        Smtp::after_greeting(hasty).deliver(from, &[to], &message(from, to, "Early", "Hello"));
        let mut imap = maddy.imap(to);
        let text = imap.texts(folder).remove(0);
        let reason = field(&text, "X-Junk-Reason").unwrap_or_default();
        assert_eq!(reason.contains("the client spoke before it was greeted"), action != "none", "{text}");
    }
}
