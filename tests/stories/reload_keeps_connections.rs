//! A new configuration takes hold without anybody being thrown out; a bad one changes nothing and says why.

use std::fs;
use tests::{Daemon, Setup, assert_like, message};

fn start() -> Daemon {
    let mut setup = Setup::new();
    setup.account("alice@example.org");
    setup.start()
}

#[test]
fn connections_live_through_a_reload_and_new_settings_hold() {
    let mut maddy = start();
    let mut alice = maddy.imap("alice@example.org");
    alice.ok("SELECT INBOX");
    alice.idle();
    let mut stranger = maddy.smtp();
    stranger.command("MAIL FROM:<eve@remote.test>", "250*");
    stranger.command("RCPT TO:<sales@example.org>", "550 5.1.1*");
    stranger.command("RCPT TO:<alice@example.org>", "250*");

    maddy.setup.config("aliases { \"sales@example.org\" \"alice@example.org\" }");
    maddy.setup.option("smtp", "max-message-size \"64KiB\"");
    maddy.write_config();
    maddy.cli(&["reload"]).ok();

    // In the middle of its transaction, the stranger goes on.
    stranger.data(&message("eve@remote.test", "alice@example.org", "Through", "text"), "250*");
    alice.wait_for("* 1 EXISTS");
    let mut other = maddy.smtp();
    assert!(other.offers.iter().any(|offer| offer == "SIZE 65536"), "{:?}", other.offers);
    other.deliver(
        "eve@remote.test",
        &["sales@example.org"],
        &message("eve@remote.test", "sales@example.org", "New", "text"),
    );
    alice.wait_for("* 2 EXISTS");
    alice.done();
}

#[test]
fn a_signal_does_the_same() {
    let mut maddy = start();
    maddy.setup.option("smtp", "max-message-size \"64KiB\"");
    maddy.write_config();
    maddy.hang_up();
    tests::eventually("the new size holds", || {
        maddy.smtp().offers.iter().any(|offer| offer == "SIZE 65536").then_some(())
    });
}

#[test]
fn a_bad_file_changes_nothing_and_says_what_is_wrong() {
    let mut maddy = start();
    maddy.setup.option("smtp", "max-mesage-size 5");
    maddy.setup.config("hostnam \"x\"");
    maddy.write_config();
    let why = maddy.cli(&["reload"]).fails();
    assert_like(&why, "*max-mesage-size*");
    assert_like(&why, "*max-message-size*");
    assert_like(&why, "*hostnam*");
    maddy.smtp().deliver(
        "eve@remote.test",
        &["alice@example.org"],
        &message("eve@remote.test", "alice@example.org", "Still here", "text"),
    );
    fs::write(maddy.setup.config_file(), "this is { not KDL").unwrap();
    maddy.cli(&["reload"]).fails();
    assert_eq!(maddy.imap("alice@example.org").count("INBOX"), 1);
}

#[test]
fn a_new_certificate_is_shown_to_new_connections() {
    let maddy = start();
    let ca = maddy.setup.ca();
    let _old = maddy.smtp().start_tls(&ca);
    let other = maddy.setup.dir().join("other");
    let made = net::demo_ca(&other, &[], &world::SystemClock).unwrap();
    let used = maddy.setup.certificate();
    fs::copy(&made.leaf.chain, &used.chain).unwrap();
    fs::copy(&made.leaf.key, &used.key).unwrap();
    maddy.cli(&["reload"]).ok();
    let _new = maddy.smtp().start_tls(&made.ca);
}
