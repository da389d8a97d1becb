//! Each server gets mail in the form that it can take, or the sender learns why it cannot have it.

use tests::{Daemon, Received, Remote, Setup, assert_like, message};

struct Scene {
    maddy: Daemon,
    remote: Remote,
}

fn scene(offers: &[&str]) -> Scene {
    let mut setup = Setup::new();
    setup.account("alice@example.org");
    setup.zone("remote.test MX 10 mx.remote.test");
    let remote = setup.remote("mx.remote.test", 2);
    remote.offer(offers);
    Scene { maddy: setup.start(), remote }
}

impl Scene {
    /// Sends a mail with these parameters of MAIL and RCPT.
    fn send(&self, of_mail: &str, to: &str, of_rcpt: &str, text: &str) {
        let mut alice = self.maddy.submit("alice@example.org");
        alice.command(&format!("MAIL FROM:<alice@example.org>{of_mail}"), "250*");
        alice.command(&format!("RCPT TO:<{to}>{of_rcpt}"), "250*");
        alice.data(text, "250*");
    }

    fn arrived(&self) -> Received {
        self.remote.wait_mails(1).remove(0)
    }

    /// The notice that came back.
    fn notice(&self) -> String {
        let mut alice = self.maddy.imap("alice@example.org");
        alice.wait_messages("INBOX", 1);
        alice.text(1)
    }
}

fn text(body: &str) -> String {
    message("alice@example.org", "carl@remote.test", "Hello", body)
}

#[test]
fn an_old_server_without_ehlo_is_spoken_to_as_of_old() {
    let scene = scene(&[]);
    scene.remote.rule("EHLO*", "502 5.5.1 what?");
    scene.send(" SIZE=1000 RET=HDRS", "carl@remote.test", "", &text("plain text"));
    let mail = scene.arrived();
    assert_eq!(mail.from, "<alice@example.org>");
    assert_eq!(mail.to, ["<carl@remote.test>"]);
    assert!(scene.remote.commands().iter().any(|command| command == "HELO mx.example.org"));
}

#[test]
fn a_server_that_takes_chunks_gets_chunks() {
    let scene = scene(&["CHUNKING", "8BITMIME", "SIZE 10000000"]);
    let body = "a line of text that is repeated\n.\n..\n".repeat(20_000);
    scene.send(" BODY=8BITMIME", "carl@remote.test", "", &text(&body));
    let mail = scene.arrived();
    let (_, sent) = text(&body).split_once("\r\n\r\n").map(|(a, b)| (a.to_owned(), b.to_owned())).unwrap();
    assert!(mail.message.ends_with(&sent), "the text was changed");
    assert!(scene.remote.commands().iter().any(|command| command.starts_with("BDAT")));
    assert!(!scene.remote.commands().contains(&"DATA".to_owned()));
}

#[test]
fn dots_are_doubled_where_chunks_are_unknown() {
    let scene = scene(&["PIPELINING"]);
    scene.send("", "carl@remote.test", "", &text(".\n..\n.leading\n\n."));
    assert!(scene.arrived().message.ends_with("\r\n\r\n.\r\n..\r\n.leading\r\n\r\n.\r\n"));
}

#[test]
fn addresses_beyond_ascii_need_a_server_that_knows_them() {
    let utf8 = text("text").replace("Subject: Hello", "Subject: Grüße");
    let able = scene(&["SMTPUTF8", "8BITMIME"]);
    able.send(" SMTPUTF8 BODY=8BITMIME", "jürgen@remote.test", "", &utf8);
    let mail = able.arrived();
    assert_eq!(mail.to, ["<jürgen@remote.test>"]);
    assert_like(&mail.from, "<alice@example.org>*SMTPUTF8*");

    let unable = scene(&["8BITMIME"]);
    unable.send(" SMTPUTF8 BODY=8BITMIME", "jürgen@remote.test", "", &utf8);
    let notice = unable.notice();
    assert_like(&notice, "*Action: failed*");
    assert_like(&notice, "*Status: 5.6.7*");
    assert_eq!(unable.remote.mails().len(), 0);
}

#[test]
fn a_mail_that_is_too_large_for_the_other_side_is_not_sent_at_all() {
    let scene = scene(&["SIZE 5000"]);
    scene.send("", "carl@remote.test", "", &text(&"much text\n".repeat(2000)));
    assert_like(&scene.notice(), "*Status: 5.3.4*");
    assert!(!scene.remote.commands().contains(&"DATA".to_owned()));
}

#[test]
fn notices_of_success_are_asked_of_whoever_can_give_them() {
    let able = scene(&["DSN"]);
    able.send(" ENVID=abc", "carl@remote.test", " NOTIFY=SUCCESS,FAILURE", &text("text"));
    let mail = able.arrived();
    assert_like(&mail.from, "<alice@example.org>*ENVID=abc*");
    assert_like(&mail.to[0], "<carl@remote.test>*NOTIFY=SUCCESS,FAILURE*");

    // Who cannot is not asked; then we say that it was handed on (RFC 3461 §5.2.2).
    let unable = scene(&[]);
    unable.send(" ENVID=abc", "carl@remote.test", " NOTIFY=SUCCESS", &text("text"));
    assert_eq!(unable.arrived().to, ["<carl@remote.test>"]);
    let notice = unable.notice();
    assert_like(&notice, "*Action: relayed*");
    assert_like(&notice, "*Original-Envelope-Id: abc*");
}
