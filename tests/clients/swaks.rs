//! swaks: SMTP from outside and submission, in clear, with STARTTLS and with TLS from the first octet.

use crate::program::{Heard, is_missing, run};
use crate::{reader, scene};
use tests::{Daemon, PASSWORD};

/// swaks ends with this when the login failed.
const LOGIN_FAILED: i32 = 28;
/// … when no recipient was taken.
const NO_RECIPIENT: i32 = 24;

fn swaks(maddy: &Daemon, port: u16, arguments: &[&str]) -> Heard {
    let server = format!("localhost:{port}");
    let ca = maddy.setup.ca().display().to_string();
    let common = ["--server", &server, "--tls-verify", "--tls-ca-path", &ca, "--timeout", "20"];
    run(maddy.setup.dir(), "swaks", &[&common[..], arguments].concat())
}

#[test]
fn a_stranger_sends_in_clear_and_over_starttls() {
    if is_missing("swaks", "swaks") {
        return;
    }
    let maddy = scene().start();
    let port = maddy.ports().smtp;
    let to_alice = ["--from", "eve@remote.test", "--to", "alice@example.org"];
    swaks(&maddy, port, &[&to_alice[..], &["--h-Subject", "clear"]].concat()).fine();
    swaks(&maddy, port, &[&to_alice[..], &["--h-Subject", "secret", "--tls"]].concat()).fine();
    let mut imap = reader(&maddy, "alice@example.org");
    assert_eq!(imap.wait_messages("INBOX", 2), 2);
    let texts = imap.texts("INBOX");
    assert!(texts[0].contains("Subject: clear\r\n") && texts[0].contains(" with ESMTP id "), "{}", texts[0]);
    assert!(
        texts[1].contains("Subject: secret\r\n") && texts[1].contains(" with ESMTPS id "),
        "{}",
        texts[1]
    );
    assert!(texts[1].contains("TLSv1.3"), "{}", texts[1]);

    // Nobody's address, and somebody else's: never a relay.
    for (to, code) in [("nobody@example.org", "550 5.1.1"), ("x@elsewhere.test", "550 5.7.1")] {
        swaks(&maddy, port, &["--from", "eve@remote.test", "--to", to]).status(NO_RECIPIENT).says(code);
    }
}

#[test]
fn a_sender_logs_in_by_every_way() {
    if is_missing("swaks", "swaks") {
        return;
    }
    let maddy = scene().start();
    let ports = maddy.ports();
    let mut wanted = 0;
    for (port, tls) in [(ports.submission, "--tls"), (ports.submissions, "--tls-on-connect")] {
        for mechanism in ["PLAIN", "LOGIN"] {
            let subject = format!("{mechanism} {tls}");
            let arguments =
                ["--from", "alice@example.org", "--to", "bob@example.org", "--h-Subject", &subject];
            let login =
                [tls, "--auth", mechanism, "--auth-user", "alice@example.org", "--auth-password", PASSWORD];
            swaks(&maddy, port, &[&arguments[..], &login[..]].concat()).fine();
            wanted += 1;
        }
    }
    let mut imap = reader(&maddy, "bob@example.org");
    assert_eq!(imap.wait_messages("INBOX", wanted), wanted);
    for text in imap.texts("INBOX") {
        let received = tests::field(&text, "Received").unwrap();
        assert!(received.contains(" with ESMTPSA id "), "{text}");
        // It is nobody's business where the sender sits.
        assert!(!received.contains("127.0.0.1"), "{text}");
    }
}

#[test]
fn a_wrong_password_and_a_login_in_clear_are_refused() {
    if is_missing("swaks", "swaks") {
        return;
    }
    let maddy = scene().start();
    let port = maddy.ports().submission;
    let mail = ["--from", "alice@example.org", "--to", "bob@example.org", "--auth-user", "alice@example.org"];
    let wrong = ["--tls", "--auth", "PLAIN", "--auth-password", "wrong"];
    swaks(&maddy, port, &[&mail[..], &wrong[..]].concat()).status(LOGIN_FAILED).says("535 5.7.8");
    let clear = ["--auth", "PLAIN", "--auth-password", PASSWORD];
    swaks(&maddy, port, &[&mail[..], &clear[..]].concat()).status(LOGIN_FAILED);
    // Without a login nothing is taken, and with one not everything.
    swaks(&maddy, port, &["--tls", "--from", "alice@example.org", "--to", "bob@example.org"])
        .says("530 5.7.0");
    let forged = ["--tls", "--from", "bob@example.org", "--to", "bob@example.org", "--auth", "PLAIN"];
    let login = ["--auth-user", "alice@example.org", "--auth-password", PASSWORD];
    swaks(&maddy, port, &[&forged[..], &login[..]].concat()).says("5.7.1");
    assert_eq!(reader(&maddy, "bob@example.org").count("INBOX"), 0);
}
