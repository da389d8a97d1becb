//! What was said before TLS is not believed after it: commands that travel with STARTTLS are never carried out.

use tests::{Chat, Setup, Smtp, message};

#[test]
fn smtp_commands_behind_starttls_are_lost_with_the_connection() {
    let mut setup = Setup::new();
    setup.account("alice@example.org");
    let maddy = setup.start();
    for port in [maddy.ports().smtp, maddy.ports().submission] {
        let mut eve = Smtp::begin(Chat::connect(port));
        eve.send(b"STARTTLS\r\nMAIL FROM:<eve@remote.test>\r\nRCPT TO:<alice@example.org>\r\n");
        let heard = eve.hear_rest();
        assert!(!heard.iter().any(|line| line.starts_with("250")), "{}", eve.said());
    }
}

#[test]
fn imap_commands_behind_starttls_are_lost_with_the_connection() {
    let mut setup = Setup::new();
    setup.account("alice@example.org");
    let maddy = setup.start();
    let mut eve = Chat::connect(maddy.ports().imap);
    eve.expect("* OK*");
    eve.send(b"a STARTTLS\r\nb CAPABILITY\r\n");
    let heard = eve.hear_rest();
    assert!(
        !heard.iter().any(|line| line.starts_with("b ") || line.contains("CAPABILITY ")),
        "{}",
        eve.said()
    );
}

#[test]
fn the_session_begins_anew_after_tls() {
    let mut setup = Setup::new();
    setup.account("alice@example.org");
    let maddy = setup.start();
    let mut smtp = maddy.smtp();
    assert!(smtp.offers.iter().any(|offer| offer == "STARTTLS"));
    smtp.command("MAIL FROM:<eve@remote.test>", "250*");
    smtp.command("RSET", "250*");
    let mut smtp = smtp.start_tls(&maddy.setup.ca());
    assert!(!smtp.offers.iter().any(|offer| offer == "STARTTLS"));
    smtp.command("RCPT TO:<alice@example.org>", "503*");
    smtp.command("STARTTLS", "50*");
}

/// The other way round: while we are the client, somebody on the way puts replies behind the consent to TLS.
#[test]
fn replies_behind_the_other_sides_consent_are_not_believed() {
    let mut setup = Setup::new();
    setup.account("alice@example.org");
    setup.zone("remote.test MX 10 mx.remote.test");
    let remote = setup.remote("mx.remote.test", 2);
    remote.offer_tls(&setup.certificate());
    // As if TLS had begun: a hello, and consent to a sender and a recipient.
    let replies = "220 2.0.0 go on\r\n250-mx.evil.test\r\n250 SIZE\r\n250 2.1.0 ok\r\n250 2.1.5 ok\r\n354 go on\r\n250 2.0.0 taken";
    remote.rule_times(1, "STARTTLS", replies);
    let maddy = setup.start();
    let text = message("alice@example.org", "carl@remote.test", "Hello", "text");
    maddy.submit("alice@example.org").deliver("alice@example.org", &["carl@remote.test"], &text);
    let mails = remote.wait_mails(1);
    assert_eq!(mails.len(), 1, "what was taken by nobody is not delivered");
    // Nothing was said on that connection any more.
    let commands = remote.commands();
    assert!(commands[1].eq_ignore_ascii_case("STARTTLS") && commands[2].starts_with("EHLO "), "{commands:?}");
    assert!(remote.connections() >= 2);
}
