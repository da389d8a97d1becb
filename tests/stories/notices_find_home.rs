//! Notices between two servers of ours: what a sender wished travels with the mail, and each notice finds its way home.

use tests::{Daemon, Setup, assert_like, message};

/// Two daemons whose outgoing port is the other's incoming one.
fn neighbours() -> (Daemon, Daemon) {
    let mut here = Setup::new();
    let mut there = Setup::named("mx.other.test", &["other.test"]);
    here.account("alice@example.org");
    there.account("bob@other.test");
    here.config(
        "aliases { \"round@example.org\" \"round@other.test\"; \"out@example.org\" \"bob@other.test\"; }",
    );
    there.config(
        "aliases { \"round@other.test\" \"round@example.org\"; \"gone@other.test\" \"nobody@example.org\"; }",
    );
    let records = "other.test MX 10 mx.other.test\nmx.other.test A 127.0.0.1\n\
                   example.org MX 10 mx.example.org\nmx.example.org A 127.0.0.1\n\
                   example.org TXT \"v=spf1 ip4:127.0.0.1 -all\"\n";
    here.zone(records);
    there.zone(records);
    let port = format!("port {}", there.ports().smtp);
    here.replace_option("delivery", &port);
    let port = format!("port {}", here.ports().smtp);
    there.replace_option("delivery", &port);
    (here.start(), there.start())
}

fn both_queues_are_empty(here: &Daemon, there: &Daemon) {
    tests::eventually("both queues are empty", || {
        let is_empty = |daemon: &Daemon| daemon.cli(&["queue", "list", "--json"]).ok().starts_with("[]");
        (is_empty(here) && is_empty(there)).then_some(())
    });
}

#[test]
fn a_circle_of_two_servers_ends_with_one_notice() {
    let (here, there) = neighbours();
    let text = message("alice@example.org", "round@example.org", "Round", "text");
    here.submit("alice@example.org").deliver("alice@example.org", &["round@example.org"], &text);
    let mut alice = here.imap("alice@example.org");
    alice.wait_messages("INBOX", 1);
    let notice = alice.text(1);
    assert_like(&notice, "*Reporting-MTA: dns; mx.other.test*");
    assert_like(&notice, "*Original-Recipient: rfc822; round@example.org*Action: failed*Status: 5.4.6*");
    both_queues_are_empty(&here, &there);
    assert_eq!(here.imap("alice@example.org").count("INBOX"), 1);
    assert_eq!(there.imap("bob@other.test").count("INBOX"), 0);
}

#[test]
fn what_the_sender_wished_is_done_by_the_last_server() {
    let (here, there) = neighbours();
    let text = message("alice@example.org", "out@example.org", "Out", "text");
    let mut out = here.submit("alice@example.org");
    out.command("MAIL FROM:<alice@example.org> RET=HDRS ENVID=QQ+2B1", "250*");
    out.command("RCPT TO:<out@example.org> NOTIFY=SUCCESS ORCPT=rfc822;Out+2Bx@Example.org", "250*");
    out.command("RCPT TO:<gone@other.test> NOTIFY=NEVER", "250*");
    out.data(&text, "250*");
    there.imap("bob@other.test").wait_messages("INBOX", 1);
    let mut alice = here.imap("alice@example.org");
    alice.wait_messages("INBOX", 1);
    let notice = alice.text(1);
    assert_like(&notice, "*Original-Envelope-Id: QQ+1*Reporting-MTA: dns; mx.other.test*");
    assert_like(
        &notice,
        "*Original-Recipient: rfc822; Out+x@Example.org*Final-Recipient: rfc822; bob@other.test*\
         Action: delivered*Status: 2.1.5*",
    );
    both_queues_are_empty(&here, &there);
    assert_eq!(here.imap("alice@example.org").count("INBOX"), 1, "NOTIFY=NEVER was not heeded");
}

#[test]
fn whoever_wrote_through_two_servers_hears_of_the_failure() {
    let (here, there) = neighbours();
    let text = message("alice@example.org", "gone@other.test", "Gone", "text");
    here.submit("alice@example.org").deliver("alice@example.org", &["gone@other.test"], &text);
    let mut alice = here.imap("alice@example.org");
    alice.wait_messages("INBOX", 1);
    assert_like(
        &alice.text(1),
        "*Original-Recipient: rfc822; gone@other.test*Final-Recipient: rfc822; nobody@example.org*\
         Action: failed*Status: 5.1.1*Remote-MTA: dns; mx.example.org*Diagnostic-Code: smtp; 550 5.1.1*",
    );
    both_queues_are_empty(&here, &there);
}
