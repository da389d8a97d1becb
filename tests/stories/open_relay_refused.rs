//! No trick makes the server carry a stranger's mail elsewhere.

use tests::{Chat, Setup, Smtp, message};

#[test]
fn strangers_reach_our_own_only() {
    let mut setup = Setup::new();
    setup.account("alice@example.org");
    setup.zone("remote.test MX 10 mx.remote.test");
    let remote = setup.remote("mx.remote.test", 2);
    let maddy = setup.start();
    let mut stranger = maddy.smtp();
    for from in ["eve@remote.test", "", "alice@example.org"] {
        stranger.command(&format!("MAIL FROM:<{from}>"), "250*");
        for to in [
            "victim@remote.test",
            "@example.org:victim@remote.test",
            "victim%remote.test@example.org",
            "remote.test!victim@example.org",
            "\"victim@remote.test\"@example.org",
            "victim@[127.0.0.2]",
            "victim@example.org.remote.test",
            "victim@remote.test.",
        ] {
            stranger.command(&format!("RCPT TO:<{to}>"), "5*");
        }
        stranger.command("RSET", "250*");
    }
    stranger.command("MAIL FROM:<eve@remote.test>", "250*");
    stranger.command("RCPT TO:<victim@remote.test>", "550 5.7.1*");
    // The source route of old leads to ourselves, so it is an address of ours.
    stranger.command("RCPT TO:<@remote.test:alice@example.org>", "250*");
    stranger.data(&message("eve@remote.test", "alice@example.org", "Mine", "text"), "250*");
    assert_eq!(maddy.imap("alice@example.org").count("INBOX"), 1);
    assert_eq!(remote.connections(), 0);
}

#[test]
fn the_submission_door_is_for_those_who_log_in() {
    let mut setup = Setup::new();
    setup.account("alice@example.org");
    setup.account("bob@example.org");
    let maddy = setup.start();
    let mut nobody = Smtp::begin(Chat::connect(maddy.ports().submission));
    nobody.command("MAIL FROM:<alice@example.org>", "530 5.7.0*");
    nobody.command("AUTH PLAIN AGFsaWNlQGV4YW1wbGUub3JnAHdyb25n", "535 5.7.8*");
    nobody.command("MAIL FROM:<alice@example.org>", "530 5.7.0*");
    let mut alice = maddy.submit("alice@example.org");
    alice.command("MAIL FROM:<bob@example.org>", "550 5.7.1*");
    alice.command("MAIL FROM:<alice@example.org>", "250*");
    alice.command("RCPT TO:<bob@example.org>", "250*");
    alice.data(&message("bob@example.org", "bob@example.org", "As bob", "text"), "550 5.7.1*");
    assert_eq!(maddy.imap("bob@example.org").count("INBOX"), 0);
}
