//! What was said before TLS is not believed after it: commands that travel with STARTTLS are never carried out.

use tests::{Chat, Setup, Smtp};

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
