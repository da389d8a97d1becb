//! curl: one program that sends by SMTP and reads by IMAP, as the README shows it.

use crate::program::{Heard, is_missing, run};
use crate::{reader, scene};
use std::path::PathBuf;
use tests::{Daemon, PASSWORD};

fn curl(maddy: &Daemon, arguments: &[&str]) -> Heard {
    let ca = maddy.setup.ca().display().to_string();
    let user = format!("alice@example.org:{PASSWORD}");
    let common = ["--silent", "--show-error", "--max-time", "30", "--cacert", &ca, "--user", &user];
    run(maddy.setup.dir(), "curl", &[&common[..], arguments].concat())
}

/// A message in a file, for `--upload-file`.
fn message_file(maddy: &Daemon, name: &str, subject: &str) -> String {
    let path: PathBuf = maddy.setup.dir().join(name);
    let text = tests::message("alice@example.org", "bob@example.org", subject, "one\r\n.two\r\n..three");
    std::fs::write(&path, text).unwrap();
    path.display().to_string()
}

#[test]
fn sends_over_starttls_and_tls() {
    if is_missing("curl", "curl") {
        return;
    }
    let maddy = scene().start();
    let ports = maddy.ports();
    let file = message_file(&maddy, "mail.txt", "by curl");
    let mail = ["--mail-from", "alice@example.org", "--mail-rcpt", "bob@example.org", "--upload-file", &file];
    let clear_first = format!("smtp://localhost:{}", ports.submission);
    curl(&maddy, &[&["--ssl-reqd", &clear_first], &mail[..]].concat()).fine();
    let tls = format!("smtps://localhost:{}", ports.submissions);
    curl(&maddy, &[&[tls.as_str()], &mail[..]].concat()).fine();
    let mut imap = reader(&maddy, "bob@example.org");
    assert_eq!(imap.wait_messages("INBOX", 2), 2);
    for text in imap.texts("INBOX") {
        assert!(text.ends_with("\r\n\r\none\r\n.two\r\n..three\r\n"), "{text}");
    }
}

#[test]
fn reads_lists_searches_and_appends() {
    if is_missing("curl", "curl") {
        return;
    }
    let maddy = scene().start();
    let ports = maddy.ports();
    for subject in ["first", "second"] {
        let text = tests::message("eve@remote.test", "alice@example.org", subject, "body");
        maddy.smtp().deliver("eve@remote.test", &["alice@example.org"], &text);
    }
    reader(&maddy, "alice@example.org").wait_messages("INBOX", 2);
    let imaps = format!("imaps://localhost:{}", ports.imaps);
    let imap = format!("imap://localhost:{}", ports.imap);

    let list = curl(&maddy, &[&format!("{imaps}/")]).fine();
    for name in ["INBOX", "Drafts", "Sent", "Archive", "Junk", "Trash"] {
        assert!(list.text.contains(name), "{list}");
    }
    curl(&maddy, &["--ssl-reqd", &format!("{imap}/INBOX?SUBJECT%20second")]).fine().says("* SEARCH 2");
    curl(&maddy, &[&format!("{imaps}/INBOX;MAILINDEX=2")])
        .fine()
        .says("Subject: second")
        .says("Return-Path: <eve@remote.test>");
    curl(&maddy, &[&format!("{imaps}/INBOX;UID=1;SECTION=TEXT")]).fine().says("body");
    let structure =
        curl(&maddy, &[&format!("{imaps}/INBOX"), "--request", "FETCH 1 (FLAGS BODYSTRUCTURE ENVELOPE)"]);
    structure.fine().says("BODYSTRUCTURE (\"TEXT\" \"PLAIN\"").says("\"first\"");

    let file = message_file(&maddy, "draft.txt", "a draft");
    curl(&maddy, &[&format!("{imaps}/Drafts"), "--upload-file", &file]).fine();
    let mut chat = reader(&maddy, "alice@example.org");
    assert_eq!(chat.wait_messages("Drafts", 1), 1);
    assert!(chat.text(1).contains("Subject: a draft\r\n"));
}

#[test]
fn a_wrong_password_is_a_login_error() {
    if is_missing("curl", "curl") {
        return;
    }
    let maddy = scene().start();
    let url = format!("imaps://localhost:{}/INBOX", maddy.ports().imaps);
    // 67: the server did not accept the login.
    curl(&maddy, &["--user", "alice@example.org:wrong", &url]).status(67);
}
