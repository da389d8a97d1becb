//! No room: mail is put off with a 4xx, nothing that is there is lost, and all goes on when there is room again.

use tests::{Setup, assert_like, message};

#[test]
fn a_full_database_puts_mail_off() {
    let mut setup = Setup::new();
    setup.account("alice@example.org");
    setup.expect_errors();
    setup.option("storage", "max-database-size \"2MiB\"");
    let mut maddy = setup.start();
    let mut stranger = maddy.smtp();
    // Text that does not shrink, so that each mail takes its room.
    let mut accepted = 0;
    let refusal = loop {
        assert!(accepted < 200, "the limit was never reached");
        let random = world::fake::FakeRandom::seeded(accepted);
        let body: Vec<String> = (0..500).map(|_| world::Random::word(&random, 70)).collect();
        let text =
            message("eve@remote.test", "alice@example.org", &format!("mail {accepted}"), &body.join("\n"));
        stranger.command("MAIL FROM:<eve@remote.test>", "250*");
        stranger.command("RCPT TO:<alice@example.org>", "*");
        stranger.command("DATA", "354*");
        stranger.send(format!("{text}\r\n.\r\n").as_bytes());
        let reply = stranger.reply();
        if !reply.starts_with("250") {
            break reply;
        }
        accepted += 1;
    };
    assert_like(&refusal, "45* 4.3.*");
    assert!(accepted > 0);
    let mut alice = maddy.imap("alice@example.org");
    assert_eq!(alice.count("INBOX") as u64, accepted);
    drop((stranger, alice));

    maddy.stop();
    maddy.setup.replace_option("storage", "max-database-size \"64MiB\"");
    maddy.write_config();
    maddy.start();
    let text = message("eve@remote.test", "alice@example.org", "More", "text");
    maddy.smtp().deliver("eve@remote.test", &["alice@example.org"], &text);
    assert_eq!(maddy.imap("alice@example.org").count("INBOX") as u64, accepted + 1);
}

#[test]
fn a_body_that_the_disk_refuses_is_put_off_and_the_daemon_lives() {
    let mut setup = Setup::new();
    setup.account("alice@example.org");
    setup.expect_errors();
    setup.limit_files(4 * 1024 * 1024);
    let maddy = setup.start();
    let mut stranger = maddy.smtp();
    let big = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcd\n".repeat(100_000);
    stranger.command("MAIL FROM:<eve@remote.test>", "250*");
    stranger.command("RCPT TO:<alice@example.org>", "250*");
    stranger.data(&message("eve@remote.test", "alice@example.org", "Big", &big), "45*");
    let text = message("eve@remote.test", "alice@example.org", "Small", "text");
    stranger.deliver("eve@remote.test", &["alice@example.org"], &text);
    assert_eq!(maddy.imap("alice@example.org").count("INBOX"), 1);
}
