//! Filters of the administrator's: a program, an rspamd and a milter say what becomes of a message.

use std::io::{Read, Write};
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use tests::{Setup, assert_like, field, message};

/// A program whose verdict depends on the subject; it tells the header what it knows.
const PROGRAM: &str = r#"#!/bin/sh
mail=$(cat)
echo "X-Checked: $MADDY_SENDER from $MADDY_SOURCE_IP to $MADDY_RECIPIENTS"
case $mail in
    *"Subject: refuse"*) exit 1 ;;
    *"Subject: junk"*) exit 2 ;;
    *"Subject: broken"*) exit 9 ;;
esac
"#;

fn scene() -> Setup {
    let mut setup = Setup::new();
    setup.account("alice@example.org");
    setup
}

#[test]
fn a_program_says_what_becomes_of_a_message() {
    let mut setup = scene();
    let program = setup.dir().join("check");
    std::fs::write(&program, PROGRAM).unwrap();
    std::fs::set_permissions(&program, PermissionsExt::from_mode(0o755)).unwrap();
    setup.config(&format!("filters {{ command {:?} }}", program.display().to_string()));
    let maddy = setup.start();
    let mut smtp = maddy.smtp();
    for (subject, want) in [
        ("refuse", "550 5.7.1 *"),
        ("junk", "250 2.0.0 *"),
        ("broken", "451 4.7.1 *"),
        ("fine", "250 2.0.0 *"),
    ] {
        smtp.command("MAIL FROM:<carol@elsewhere.test>", "250 *");
        smtp.command("RCPT TO:<alice@example.org>", "250 *");
        smtp.data(&message("carol@elsewhere.test", "alice@example.org", subject, "Hello"), want);
    }
    let mut imap = maddy.imap("alice@example.org");
    let inbox = imap.texts("INBOX");
    assert_eq!(inbox.len(), 1);
    let told = field(&inbox[0], "X-Checked").unwrap();
    assert_eq!(told, "carol@elsewhere.test from 127.0.0.1 to alice@example.org");
    let junk = imap.texts("Junk");
    assert_eq!(junk.len(), 1);
    assert_like(&field(&junk[0], "X-Junk-Reason").unwrap(), "*the filter check says so*");
}

/// Answers one request after another with what `answer` makes of the request.
fn web_server(answer: impl Fn(&str) -> String + Send + 'static) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let Ok(mut stream) = stream else { return };
            let (mut heard, mut piece) = (Vec::new(), [0; 4096]);
            let whole = |heard: &[u8]| {
                let text = String::from_utf8_lossy(heard).to_ascii_lowercase();
                let (head, body) = text.split_once("\r\n\r\n")?;
                let length = head.lines().find_map(|line| line.strip_prefix("content-length: "))?;
                (body.len() >= length.parse().ok()?).then_some(())
            };
            while whole(&heard).is_none() {
                match stream.read(&mut piece) {
                    Ok(0) | Err(_) => break,
                    Ok(octets) => heard.extend_from_slice(&piece[..octets]),
                }
            }
            let body = answer(&String::from_utf8_lossy(&heard));
            let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", body.len());
            let _ = stream.write_all(format!("{head}{body}").as_bytes());
        }
    });
    port
}

#[test]
fn rspamd_is_asked_and_heard() {
    let mut setup = scene();
    let port = web_server(|request| {
        let envelope = request.starts_with("POST /checkv2 HTTP/1.1\r\n")
            && request.contains("\r\nfrom: carol@elsewhere.test\r\n")
            && request.contains("\r\nrcpt: alice@example.org\r\n")
            && request.contains("\r\nip: 127.0.0.1\r\n");
        let (action, score) = match envelope {
            false => ("reject", 99.0),
            true if request.contains("Subject: offer") => ("add header", 8.5),
            true if request.contains("Subject: virus") => ("reject", 20.0),
            true => ("no action", 0.1),
        };
        format!(
            r#"{{"action":"{action}","score":{score},"required_score":15,"symbols":{{}},
               "messages":{{"smtp_message":"Spam message rejected"}}}}"#
        )
    });
    setup.config(&format!("filters {{ rspamd \"http://127.0.0.1:{port}\" }}"));
    let maddy = setup.start();
    let mut smtp = maddy.smtp();
    for (subject, want) in
        [("virus", "550 5.7.1 Spam message rejected*"), ("offer", "250 2.0.0 *"), ("hello", "250 2.0.0 *")]
    {
        smtp.command("MAIL FROM:<carol@elsewhere.test>", "250 *");
        smtp.command("RCPT TO:<alice@example.org>", "250 *");
        smtp.data(&message("carol@elsewhere.test", "alice@example.org", subject, "Hello"), want);
    }
    let mut imap = maddy.imap("alice@example.org");
    let (inbox, junk) = (imap.texts("INBOX"), imap.texts("Junk"));
    assert_eq!(field(&inbox[0], "X-Spam-Flag").as_deref(), Some("No"));
    assert_eq!(field(&inbox[0], "X-Spam-Score").as_deref(), Some("0.10 of 15.00"));
    assert_eq!(field(&junk[0], "X-Spam-Flag").as_deref(), Some("Yes"));
    assert_like(&field(&junk[0], "X-Junk-Reason").unwrap(), "*rspamd scores it 8.5 of 15.0 (add header)*");
}

#[test]
fn filters_that_are_not_there_lose_nothing() {
    let mut setup = scene();
    let socket = setup.dir().join("nobody.sock").display().to_string();
    setup.config(&format!(
        "filters {{ milter \"unix:{socket}\" on-failure=\"quarantine\"; rspamd \"http://127.0.0.1:1\" }}"
    ));
    let maddy = setup.start();
    maddy.smtp().deliver(
        "carol@elsewhere.test",
        &["alice@example.org"],
        &message("carol@elsewhere.test", "alice@example.org", "hi", "Hello"),
    );
    let junk = maddy.imap("alice@example.org").texts("Junk");
    assert_like(&field(&junk[0], "X-Junk-Reason").unwrap(), "*a filter could not be asked: *");
    maddy.wait_log("*a filter could not be asked*rspamd*");
}
