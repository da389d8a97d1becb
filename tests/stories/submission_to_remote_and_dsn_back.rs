//! A submitted mail reaches another server; what that server refuses comes back to the sender as a DSN.

use tests::{Setup, assert_like, field, message};

#[test]
fn one_recipient_is_reached_and_the_refused_one_is_reported() {
    let mut setup = Setup::new();
    setup.account("alice@example.org");
    setup.zone("remote.test MX 10 mx.remote.test");
    let remote = setup.remote("mx.remote.test", 2);
    remote.offer_tls(&setup.certificate());
    remote.rule("RCPT TO:<nobody@*", "550 5.1.1 <nobody@remote.test>: no such user");
    let maddy = setup.start();

    let mut alice = maddy.submit("alice@example.org");
    let text = message("alice@example.org", "carl@remote.test", "Going out", "Hello Carl\n.dots\n");
    alice.command("MAIL FROM:<alice@example.org> RET=HDRS ENVID=QQ314159", "250*");
    alice.command("RCPT TO:<carl@remote.test>", "250*");
    alice.command("RCPT TO:<nobody@remote.test> ORCPT=rfc822;nobody+40remote.test", "250*");
    alice.data(&text, "250 2.0.0 * accepted");

    let mails = remote.wait_mails(1);
    assert_eq!(mails.len(), 1);
    assert!(mails[0].tls, "STARTTLS was offered and not used");
    assert_eq!(mails[0].hello, "mx.example.org");
    assert_like(&mails[0].from, "<alice@example.org>*");
    assert_like(&mails[0].to.join(" "), "<carl@remote.test>*");
    assert!(mails[0].message.ends_with("\r\n\r\nHello Carl\r\n.dots\r\n\r\n"), "{}", mails[0].message);
    let received = field(&mails[0].message, "Received").unwrap();
    assert!(!received.contains("127.0.0.1"), "the sender's address went out: {received}");

    let mut reader = maddy.imap("alice@example.org");
    reader.wait_messages("INBOX", 1);
    let notice = reader.text(1);
    assert_eq!(field(&notice, "Return-Path").unwrap(), "<>");
    assert_like(&field(&notice, "Content-Type").unwrap(), "multipart/report;*report-type=*delivery-status*");
    assert_eq!(field(&notice, "To").unwrap(), "<alice@example.org>");
    for line in [
        "*Reporting-MTA: dns; mx.example.org*",
        "*Original-Envelope-Id: QQ314159*",
        "*Original-Recipient: rfc822; nobody@remote.test*",
        "*Final-Recipient: rfc822; nobody@remote.test*",
        "*Action: failed*",
        "*Status: 5.1.1*",
        "*Remote-MTA: dns; mx.remote.test*",
        "*Diagnostic-Code: smtp; 550 5.1.1 <nobody@remote.test>: no such user*",
        "*Subject: Going out*",
    ] {
        assert_like(&notice, line);
    }
    assert!(!notice.contains("carl@remote.test>: "), "the recipient who was reached is reported too");
    assert!(!notice.contains("Hello Carl"), "RET=HDRS was asked for");
    assert_like(&maddy.cli(&["queue", "list", "--json"]).ok(), "[]*");
}

#[test]
fn nobody_is_told_of_a_failure_who_did_not_want_to_know() {
    let mut setup = Setup::new();
    setup.account("alice@example.org");
    setup.zone("remote.test MX 10 mx.remote.test\nnomail.test MX 0 .");
    let remote = setup.remote("mx.remote.test", 2);
    remote.rule("RCPT*", "550 5.1.1 no such user");
    let maddy = setup.start();
    let mut alice = maddy.submit("alice@example.org");
    alice.command("MAIL FROM:<alice@example.org>", "250*");
    alice.command("RCPT TO:<carl@remote.test> NOTIFY=NEVER", "250*");
    alice.data(&message("alice@example.org", "carl@remote.test", "Quiet", "text"), "250*");
    remote.wait_command("RCPT*");
    // The second one is reported, and comes after the first.
    alice.deliver(
        "alice@example.org",
        &["x@nomail.test"],
        &message("alice@example.org", "x@nomail.test", "Two", "text"),
    );
    let mut reader = maddy.imap("alice@example.org");
    reader.wait_messages("INBOX", 1);
    let notices = reader.texts("INBOX");
    assert_eq!(notices.len(), 1);
    assert_like(&notices[0], "*Final-Recipient: rfc822; x@nomail.test*");
    assert_like(&notices[0], "*Status: 5.1.10*");
}
