//! A stranger's mail reaches a reader who waits in IDLE, with a trace that tells how it came.

use tests::{Setup, assert_like, field, message};

#[test]
fn a_mail_from_outside_rings_the_waiting_reader() {
    let mut setup = Setup::new();
    setup.account("alice@example.org");
    let maddy = setup.start();
    let mut alice = maddy.imap("alice@example.org");
    alice.ok("SELECT INBOX");
    alice.idle();

    let mut stranger = maddy.smtp().start_tls(&maddy.setup.ca());
    let text = message("eve@remote.test", "alice@example.org", "Hello", "First line\n.\n..and dots\n");
    let reply = stranger.deliver("eve@remote.test", &["Alice@EXAMPLE.org"], &text);
    let id = reply.split(' ').nth(2).unwrap().to_owned();
    assert_eq!(reply, format!("250 2.0.0 {id} accepted"));
    stranger.command("QUIT", "221*");

    alice.wait_for("* 1 EXISTS");
    alice.done();
    let stored = alice.text(1);
    assert!(stored.ends_with(&text), "the octets that came were changed:\n{stored}");
    assert_eq!(field(&stored, "Return-Path").unwrap(), "<eve@remote.test>");
    assert_eq!(field(&stored, "Delivered-To").unwrap().to_ascii_lowercase(), "alice@example.org");
    let received = field(&stored, "Received").unwrap();
    assert_like(
        &received,
        &format!("from client.test (*127.0.0.1*) by mx.example.org *with ESMTPS id {id}*; *"),
    );
    assert_like(&received, "*TLS*");
    maddy.wait_log(&format!("*{id}*"));
}

#[test]
fn several_recipients_share_one_mail_and_no_unknown_one_is_taken() {
    let mut setup = Setup::new();
    setup.account("alice@example.org");
    setup.account("bob@example.net");
    let maddy = setup.start();
    let mut stranger = maddy.smtp();
    stranger.command("MAIL FROM:<>", "250*");
    stranger.command("RCPT TO:<alice@example.org>", "250*");
    stranger.command("RCPT TO:<nobody@example.org>", "550 5.1.1*");
    stranger.command("RCPT TO:<alice@example.net>", "550 5.1.1*");
    stranger.command("RCPT TO:<bob@example.net>", "250*");
    stranger.data(&message("eve@remote.test", "all@example.org", "To both", "text"), "250*");
    for name in ["alice@example.org", "bob@example.net"] {
        let stored = maddy.imap(name).texts("INBOX");
        assert_eq!(stored.len(), 1);
        assert_eq!(field(&stored[0], "Return-Path").unwrap(), "<>");
        assert_eq!(field(&stored[0], "Delivered-To").unwrap(), name);
    }
}
