//! An account holds as much as it may: its mail is put off at RCPT, the others get theirs, nobody loses anything, and all
//! goes on when there is room.

use tests::{Setup, field, message};

#[test]
fn mail_for_a_full_mailbox_waits_with_its_sender() {
    let mut setup = Setup::new();
    setup.account("alice@example.org");
    setup.account("bob@example.org");
    setup.account("carol@example.org");
    setup.option("storage", "quota \"1MiB\"");
    let maddy = setup.start();
    let text = |subject: &str| message("eve@remote.test", "alice@example.org", subject, "text");
    maddy.smtp().deliver("eve@remote.test", &["alice@example.org"], &text("One"));
    maddy.cli(&["imap-acct", "quota", "alice@example.org", "--messages", "1"]).ok();
    let mut stranger = maddy.smtp();
    stranger.command("MAIL FROM:<eve@remote.test>", "250*");
    stranger.command("RCPT TO:<alice@example.org>", "452 4.2.2 *");
    stranger.command("RCPT TO:<bob@example.org>", "250*");
    stranger.data(&text("Two"), "250*");
    // What was announced as too large for any mailbox need not come again.
    stranger.command("MAIL FROM:<eve@remote.test> SIZE=2000000", "250*");
    stranger.command("RCPT TO:<bob@example.org>", "552 5.2.3 *");
    stranger.command("RSET", "250*");

    // Two messages for carol's last place at the same time: the one that comes late is put off as a whole.
    maddy.cli(&["imap-acct", "quota", "carol@example.org", "--messages", "1"]).ok();
    let mut other = maddy.smtp();
    for smtp in [&mut stranger, &mut other] {
        smtp.command("MAIL FROM:<eve@remote.test>", "250*");
        smtp.command("RCPT TO:<carol@example.org>", "250*");
    }
    stranger.data(&text("Three"), "250*");
    other.data(&text("Four"), "452 4.2.2 *");

    // Our own users hear it at once as well.
    let mut sender = maddy.submit("bob@example.org");
    sender.command("MAIL FROM:<bob@example.org>", "250*");
    sender.command("RCPT TO:<carol@example.org>", "452 4.2.2 *");

    let mut carol = maddy.imap("carol@example.org");
    assert_eq!(carol.count("INBOX"), 1);
    maddy.cli(&["imap-acct", "quota", "carol@example.org", "--messages", "default"]).ok();
    other.deliver("eve@remote.test", &["carol@example.org"], &text("Four"));
    assert_eq!(carol.count("INBOX"), 2);
    assert_eq!(maddy.imap("bob@example.org").count("INBOX"), 1);
}

#[test]
fn the_others_get_it_and_the_sender_is_told() {
    let mut setup = Setup::new();
    for name in ["alice@example.org", "bob@example.org", "carol@example.org"] {
        setup.account(name);
    }
    let maddy = setup.start();
    maddy.cli(&["imap-acct", "quota", "carol@example.org", "--messages", "0"]).ok();
    maddy.cli(&["imap-acct", "quota", "alice@example.org", "--size", "600B"]).ok();
    // It has room when it is named, and none when the message is there.
    let body = "a long line of text\n".repeat(100);
    let text = message("bob@example.org", "alice@example.org", "For two", &body);
    let mut sender = maddy.submit("bob@example.org");
    sender.command("MAIL FROM:<bob@example.org>", "250*");
    sender.command("RCPT TO:<alice@example.org>", "250*");
    sender.command("RCPT TO:<bob@example.org>", "250*");
    sender.data(&text, "250*");
    let mut bob = maddy.imap("bob@example.org");
    assert_eq!(bob.count("INBOX"), 2);
    let texts = bob.texts("INBOX");
    let notice = texts.iter().find(|text| text.contains("delivery-status")).unwrap();
    assert!(notice.contains("5.2.2"), "{notice}");
    assert!(texts.iter().any(|text| field(text, "Subject").as_deref() == Some("For two")));
    assert_eq!(maddy.imap("alice@example.org").count("INBOX"), 0);

    // A full mailbox still hears what became of what its owner sent.
    maddy.cli(&["imap-acct", "quota", "bob@example.org", "--messages", "2"]).ok();
    maddy.cli(&["imap-acct", "quota", "alice@example.org", "--size", "none"]).ok();
    let mut sender = maddy.submit("bob@example.org");
    sender.command("MAIL FROM:<bob@example.org>", "250*");
    sender.command("RCPT TO:<alice@example.org> NOTIFY=SUCCESS", "250*");
    sender.data(&message("bob@example.org", "alice@example.org", "Small", "x"), "250*");
    assert_eq!(bob.count("INBOX"), 3);
}
