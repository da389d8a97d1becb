//! Two of our own servers as each other's neighbours: mail goes over, comes back, and bounces.

use tests::{Daemon, Setup, assert_like, field, message};

/// Two daemons whose outgoing port is the other's incoming one.
fn neighbours() -> (Daemon, Daemon) {
    let mut here = Setup::new();
    let mut there = Setup::named("mx.other.test", &["other.test"]);
    here.account("alice@example.org");
    there.account("bob@other.test");
    let records = "other.test MX 10 mx.other.test\nmx.other.test A 127.0.0.1\n\
                   example.org MX 10 mx.example.org\nmx.example.org A 127.0.0.1\n";
    here.zone(records);
    there.zone(records);
    let port = format!("port {}", there.ports().smtp);
    here.replace_option("delivery", &port);
    let port = format!("port {}", here.ports().smtp);
    there.replace_option("delivery", &port);
    (here.start(), there.start())
}

#[test]
fn mail_goes_over_and_the_answer_comes_back() {
    let (here, there) = neighbours();
    let text = message("alice@example.org", "bob@other.test", "Over", "Grüße\n.\n..dots\n");
    let mut alice = here.submit("alice@example.org");
    alice.command("MAIL FROM:<alice@example.org> BODY=8BITMIME", "250*");
    alice.command("RCPT TO:<bob+tag@other.test>", "250*");
    alice.data(&text, "250*");
    let mut bob = there.imap("bob@other.test");
    bob.wait_messages("INBOX", 1);
    let stored = bob.text(1);
    let (_, body) = text.split_once("\r\n\r\n").unwrap();
    assert!(stored.ends_with(body), "{stored}");
    assert_eq!(field(&stored, "Return-Path").unwrap(), "<alice@example.org>");
    assert_like(
        &field(&stored, "Received").unwrap(),
        "from mx.example.org (*) by mx.other.test *with ESMTPS id *",
    );
    assert_eq!(stored.matches("\r\nReceived:").count(), 2);

    let answer = message("bob@other.test", "alice@example.org", "Back", "text");
    there.submit("bob@other.test").deliver("bob@other.test", &["alice@example.org"], &answer);
    let mut alice = here.imap("alice@example.org");
    alice.wait_messages("INBOX", 1);
    assert_eq!(field(&alice.text(1), "Subject").unwrap(), "Back");
}

#[test]
fn a_neighbour_that_is_away_for_a_while_gets_its_mail_when_it_is_back() {
    let (here, mut there) = neighbours();
    there.stop();
    let mut alice = here.submit("alice@example.org");
    for n in 0..5 {
        let text = message("alice@example.org", "bob@other.test", &format!("mail {n}"), "text");
        alice.deliver("alice@example.org", &["bob@other.test"], &text);
    }
    there.start();
    let mut bob = there.imap("bob@other.test");
    assert_eq!(bob.wait_messages("INBOX", 5), 5);
}

#[test]
fn what_the_neighbour_refuses_bounces() {
    let (here, _there) = neighbours();
    let text = message("alice@example.org", "nobody@other.test", "Nobody", "text");
    here.submit("alice@example.org").deliver("alice@example.org", &["nobody@other.test"], &text);
    let mut alice = here.imap("alice@example.org");
    alice.wait_messages("INBOX", 1);
    assert_like(&alice.text(1), "*Remote-MTA: dns; mx.other.test*Diagnostic-Code: smtp; 550 5.1.1*");
}
