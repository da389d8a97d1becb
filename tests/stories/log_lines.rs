//! The log: one event a line, ids that tie lines together, and never a secret.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;
use tests::{Chat, Imap, PASSWORD, Setup, Smtp, assert_like, field, message};

#[test]
fn every_line_is_an_object_and_ids_lead_from_door_to_delivery() {
    let mut setup = Setup::new();
    setup.account("alice@example.org");
    setup.option("log", "format \"json\"");
    setup.zone("remote.test MX 10 mx.remote.test");
    let remote = setup.remote("mx.remote.test", 2);
    let maddy = setup.start();
    let text = message("alice@example.org", "carl@remote.test", "Traced", "text");
    let reply = maddy.submit("alice@example.org").deliver("alice@example.org", &["carl@remote.test"], &text);
    let id = reply.split(' ').nth(2).unwrap();
    let mail = remote.wait_mails(1).remove(0);
    assert_like(&field(&mail.message, "Received").unwrap(), &format!("*id {id}*"));
    maddy.wait_log(&format!("*{id}*mx.remote.test*"));
    let log = maddy.log();
    let lines: Vec<Value> = log
        .lines()
        .map(|line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}")))
        .collect();
    let of_mail = lines.iter().filter(|line| line.to_string().contains(id)).count();
    assert!(of_mail >= 2, "accepted and sent, but only {of_mail} lines name {id}");
}

#[test]
fn a_refusal_in_the_middle_of_a_message_names_it() {
    let mut setup = Setup::new();
    setup.account("alice@example.org");
    setup.option("log", "format \"json\"");
    let maddy = setup.start();
    let mut stranger = maddy.smtp();
    stranger.command("MAIL FROM:<eve@remote.test>", "250*");
    stranger.command("RCPT TO:<alice@example.org>", "250*");
    stranger.command("DATA", "354*");
    stranger.send(b"Subject: bare\r\n\r\nbad\nline\r\n.\r\n");
    assert_like(&stranger.reply(), "550 5.6.0 *");
    // The log is written by a thread of its own, a moment after the reply.
    maddy.wait_log("*550 5.6.0*");
    let log = maddy.log();
    let refused: Vec<Value> = log
        .lines()
        .filter(|line| line.contains("550 5.6.0"))
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!(refused.len(), 1, "{log}");
    let text = refused[0].to_string();
    assert!(text.contains("\"mail\":\"") && text.contains("\"conn\""), "{text}");
}

#[test]
fn no_secret_is_ever_written_down() {
    let mut setup = Setup::new();
    setup.account("alice@example.org");
    setup.option("log", "level \"trace\"");
    let maddy = setup.start();
    let other = "an altogether different secret";
    maddy.cli_with(&["account", "add", "bob@example.org"], &format!("{other}\n")).ok();
    let ca = maddy.setup.ca();
    let plain = STANDARD.encode(format!("\0alice@example.org\0{PASSWORD}"));
    let wrong = "guessed-at-random";

    let mut imap = Imap::begin(Chat::connect(maddy.ports().imap));
    imap.no(&format!("LOGIN alice@example.org {wrong}"));
    imap.ok(&format!("LOGIN alice@example.org {{{}+}}\r\n{PASSWORD}", PASSWORD.len()));
    let mut imap = Imap::begin(Chat::connect_tls(maddy.ports().imaps, &ca));
    imap.ok(&format!("AUTHENTICATE PLAIN {plain}"));
    let mut imap = Imap::begin(Chat::connect(maddy.ports().imap));
    // A login that is no command at all.
    imap.run(&format!("LOGIN alice@example.org \"{PASSWORD}\" and more"));

    let mut smtp = Smtp::begin(Chat::connect(maddy.ports().submission)).start_tls(&ca);
    smtp.command("AUTH LOGIN", "334*");
    smtp.command(&STANDARD.encode("alice@example.org"), "334*");
    smtp.command(&STANDARD.encode(PASSWORD), "235*");
    let mut smtp = Smtp::begin(Chat::connect(maddy.ports().submission));
    smtp.command(&format!("AUTH PLAIN {}", STANDARD.encode(format!("\0alice@example.org\0{wrong}"))), "535*");
    smtp.command(&format!("AUTH PLAIN {plain} extra"), "501*");
    smtp.command(&format!("AUTH PLAIN {plain}"), "235*");

    // Lines are written in order: once this one is there, so are all before it.
    let mut last = maddy.smtp();
    last.command("MAIL FROM:<eve@remote.test>", "250*");
    last.command("RCPT TO:<the-last-of-all@example.org>", "550*");
    maddy.wait_log("*the-last-of-all@example.org*");
    let log = maddy.log();
    assert!(log.contains("alice@example.org"), "nothing was logged");
    for secret in [PASSWORD, other, wrong, "$argon2", "PRIVATE KEY"] {
        for form in [secret.to_owned(), STANDARD.encode(secret)] {
            let line = log.lines().find(|line| line.contains(&form));
            assert_eq!(line, None, "{secret} stands in the log");
        }
    }
    assert!(!log.contains(&plain));
}
