//! What could go round for ever ends: loops of mail, bounces of bounces, aliases that lead to themselves.

use tests::{Setup, assert_like, message};

#[test]
fn a_mail_that_was_here_too_often_is_refused() {
    let mut setup = Setup::new();
    setup.account("alice@example.org");
    let maddy = setup.start();
    let mut smtp = maddy.smtp();
    let hop = "Received: from a.test by b.test; Thu, 01 Jan 2026 00:00:00 +0000\r\n";
    let text = message("eve@remote.test", "alice@example.org", "Loop", "text");
    smtp.command("MAIL FROM:<eve@remote.test>", "250*");
    smtp.command("RCPT TO:<alice@example.org>", "250*");
    smtp.data(&format!("{}{text}", hop.repeat(120)), "554 5.4.6*");
    smtp.deliver("eve@remote.test", &["alice@example.org"], &format!("{}{text}", hop.repeat(20)));
    assert_eq!(maddy.imap("alice@example.org").count("INBOX"), 1);
}

#[test]
fn a_bounce_never_bounces() {
    let mut setup = Setup::new();
    setup.account("alice@example.org");
    setup.config("aliases { \"ext@example.org\" \"carl@remote.test\"; }");
    setup.config("postmaster \"alice@example.org\"");
    setup.zone("remote.test MX 10 mx.remote.test\nelsewhere.test MX 10 mx.elsewhere.test");
    let remote = setup.remote("mx.remote.test", 2);
    remote.rule("RCPT*", "550 5.1.1 nobody");
    let elsewhere = setup.remote("mx.elsewhere.test", 3);
    let maddy = setup.start();
    let mut smtp = maddy.smtp();
    smtp.deliver(
        "",
        &["ext@example.org"],
        &message("daemon@elsewhere.test", "ext@example.org", "A bounce", "text"),
    );
    // This one has a sender, who is told; it comes after the other.
    remote.wait_command("RCPT*");
    let text = message("eve@elsewhere.test", "ext@example.org", "A mail", "text");
    smtp.deliver("eve@elsewhere.test", &["ext@example.org"], &text);
    let mails = elsewhere.wait_mails(1);
    assert_eq!(mails.len(), 1);
    assert_like(&mails[0].from, "<>*");
    assert_like(&mails[0].to.join(" "), "<eve@elsewhere.test>*");
    assert_like(&mails[0].message, "*Subject: A mail*");
    tests::eventually("the queue is empty", || {
        maddy.cli(&["queue", "list", "--json"]).ok().starts_with("[]").then_some(())
    });
}

#[test]
fn an_alias_of_itself_is_a_mistake_in_the_configuration() {
    let mut setup = Setup::new();
    setup.account("alice@example.org");
    let mut maddy = setup.start();
    maddy
        .setup
        .config("aliases { \"a@example.org\" \"b@example.org\"; \"b@example.org\" \"a@example.org\"; }");
    maddy.write_config();
    assert_like(&maddy.cli(&["config", "check"]).fails(), "*maddy.conf:*a@example.org*");
}

#[test]
fn a_domain_that_names_us_as_its_mail_host_is_no_way_out() {
    let mut setup = Setup::new();
    setup.account("alice@example.org");
    setup.zone("loop.test MX 10 mx.example.org\nmx.example.org A 127.0.0.1");
    let port = format!("port {}", setup.ports().smtp);
    setup.replace_option("delivery", &port);
    let maddy = setup.start();
    let text = message("alice@example.org", "x@loop.test", "Round", "text");
    maddy.submit("alice@example.org").deliver("alice@example.org", &["x@loop.test"], &text);
    let mut alice = maddy.imap("alice@example.org");
    alice.wait_messages("INBOX", 1);
    let notice = alice.text(1);
    assert_like(&notice, "*Action: failed*");
    assert_like(&notice, "*Status: 5.4.6*");
}
