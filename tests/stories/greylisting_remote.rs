//! A server that wants us to come back gets the mail when we do, once.

use tests::{Setup, assert_like, message};

#[test]
fn who_says_later_is_asked_later() {
    let mut setup = Setup::new();
    setup.account("alice@example.org");
    setup.zone("remote.test MX 10 mx.remote.test");
    let remote = setup.remote("mx.remote.test", 2);
    remote.rule_times(2, "RCPT TO:<carl@*", "451 4.7.1 greylisted, come back");
    let maddy = setup.start();
    let text = message("alice@example.org", "all@remote.test", "Hello", "text");
    let to = ["carl@remote.test", "dora@remote.test"];
    maddy.submit("alice@example.org").deliver("alice@example.org", &to, &text);

    let mails = remote.wait_mails(2);
    assert_like(&mails[0].to.join(" "), "<dora@remote.test>*");
    assert_eq!(mails[0].to.len(), 1);
    assert_like(&mails[1].to.join(" "), "<carl@remote.test>*");
    assert_eq!(mails[1].to.len(), 1, "who had the mail got it again");
    tests::eventually("the queue is empty", || {
        maddy.cli(&["queue", "list", "--json"]).ok().starts_with("[]").then_some(())
    });
    let first = remote.commands().iter().filter(|command| command.starts_with("RCPT TO:<carl@")).count();
    assert_eq!(first, 3);
    assert_eq!(maddy.imap("alice@example.org").count("INBOX"), 0, "a delay of seconds is nothing to report");
}

#[test]
fn a_connection_that_ends_in_the_data_is_tried_again() {
    let mut setup = Setup::new();
    setup.account("alice@example.org");
    setup.zone("remote.test MX 10 mx.remote.test");
    let remote = setup.remote("mx.remote.test", 2);
    remote.drop_once("DATA+");
    let maddy = setup.start();
    let text = message("alice@example.org", "carl@remote.test", "Hello", "text");
    maddy.submit("alice@example.org").deliver("alice@example.org", &["carl@remote.test"], &text);
    assert_eq!(remote.wait_mails(1).len(), 1);
    assert!(remote.connections() >= 2);
}
