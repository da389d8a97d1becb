//! Mail that nobody takes: its sender hears that we are still trying, and in the end that we gave up.

use tests::{Setup, assert_like, message};

#[test]
fn the_sender_hears_of_the_delay_and_of_the_end() {
    let mut setup = Setup::new();
    setup.account("alice@example.org");
    setup.replace_option(
        "delivery",
        "retry first=\"1s\" factor=1 max=\"1s\" give-up=\"4s\" delay-notice=\"1s\"",
    );
    setup.zone("remote.test MX 10 mx.remote.test");
    let remote = setup.remote("mx.remote.test", 2);
    remote.rule("MAIL*", "451 4.3.0 out of order today");
    let maddy = setup.start();
    let text = message("alice@example.org", "carl@remote.test", "Hello", "text");
    maddy.submit("alice@example.org").deliver("alice@example.org", &["carl@remote.test"], &text);
    let mut alice = maddy.imap("alice@example.org");
    assert_eq!(alice.wait_messages("INBOX", 2), 2);
    for (notice, action) in alice.texts("INBOX").iter().zip(["delayed", "failed"]) {
        assert_like(notice, &format!("*Action: {action}*"));
        assert_like(notice, "*Final-Recipient: rfc822; carl@remote.test*");
        assert_like(notice, "*451 4.3.0 out of order today*");
        assert_eq!(notice.contains("Will-Retry-Until:"), action == "delayed");
    }
    assert_like(&maddy.cli(&["queue", "list", "--json"]).ok(), "[]*");
}

#[test]
fn a_command_tries_again_at_once_and_another_takes_mail_out() {
    let mut setup = Setup::new();
    setup.account("alice@example.org");
    setup.replace_option(
        "delivery",
        "retry first=\"1h\" factor=1 max=\"1h\" give-up=\"2d\" delay-notice=\"0s\"",
    );
    setup.zone("remote.test MX 10 mx.remote.test");
    let remote = setup.remote("mx.remote.test", 2);
    remote.rule("RCPT*", "451 4.3.0 later");
    let maddy = setup.start();
    let mut alice = maddy.submit("alice@example.org");
    for name in ["one", "two"] {
        let text = message("alice@example.org", "carl@remote.test", name, "text");
        alice.deliver("alice@example.org", &["carl@remote.test"], &text);
    }
    let listed = || -> Vec<serde_json::Value> {
        serde_json::from_str(&maddy.cli(&["queue", "list", "--json"]).ok()).unwrap()
    };
    let tried = || remote.commands().iter().filter(|command| command.starts_with("RCPT")).count();
    tests::eventually("both were tried", || (tried() >= 2).then_some(()));
    tests::eventually("both wait", || (listed().len() == 2).then_some(()));
    let ids: Vec<String> = listed().iter().map(|job| job["id"].to_string()).collect();
    assert_like(&maddy.cli(&["queue", "show", &ids[0]]).ok(), "*carl@remote.test*");
    maddy.cli(&["queue", "remove", "--yes", &ids[0]]).ok();
    remote.behave();
    maddy.cli(&["queue", "retry"]).ok();
    let mails = remote.wait_mails(1);
    assert_like(&mails[0].message, "*Subject: two*");
    tests::eventually("the queue is empty", || listed().is_empty().then_some(()));
    assert_eq!(remote.mails().len(), 1);
}
