//! SMTP smuggling, in and out: only CRLF.CRLF ends a message, and a bare CR or LF is refused, so that no second message can hide
//! in a first.

use tests::{Setup, message};

#[test]
fn no_other_end_of_data_is_an_end_of_data() {
    let mut setup = Setup::new();
    setup.account("alice@example.org");
    let maddy = setup.start();
    for end in ["\n.\n", "\n.\r\n", "\r\n.\n", "\r.\r", "\r\n.\r", "\r.\r\n", "\n.\r", "\r\r\n.\r\r\n"] {
        let mut eve = maddy.smtp();
        eve.command("MAIL FROM:<eve@remote.test>", "250*");
        eve.command("RCPT TO:<alice@example.org>", "250*");
        eve.command("DATA", "354*");
        let hidden = message("admin@example.org", "alice@example.org", "Smuggled", "text");
        let commands = "MAIL FROM:<admin@example.org>\r\nRCPT TO:<alice@example.org>\r\nDATA\r\n";
        eve.send(format!("Subject: carrier\r\n\r\ntext{end}{commands}{hidden}\r\n.\r\n").as_bytes());
        let reply = eve.reply();
        assert!(reply.starts_with("550 5.6.0"), "{end:?}: {reply}");
        // One end of data, one reply.
        eve.command("NOOP", "250 2.0.0*");
    }
    // In chunks they are no ends at all, and no part of a line that is passed on.
    for end in ["\n.\n", "\n.\r\n", "\r\n.\n", "\r.\r", "\r\n.\r", "\r.\r\n", "\n.\r", "\r\r\n.\r\r\n"] {
        let mut eve = maddy.smtp();
        let text = format!(
            "Subject: carrier\r\n\r\ntext{end}MAIL FROM:<admin@example.org>\r\nRCPT TO:<alice@example.org>\r\n"
        );
        // Whole, and parted in the middle of what might be an end.
        for first in [text.len(), text.find("MAIL").unwrap() - 1] {
            eve.command("MAIL FROM:<eve@remote.test>", "250*");
            eve.command("RCPT TO:<alice@example.org>", "250*");
            let (one, two) = text.split_at(first);
            eve.send(format!("BDAT {}\r\n{one}BDAT {} LAST\r\n{two}", one.len(), two.len()).as_bytes());
            eve.reply();
            let reply = eve.reply();
            assert!(reply.starts_with('5'), "{end:?}: {reply}");
            eve.command("NOOP", "250 2.0.0*");
            eve.command("RSET", "250*");
        }
    }
    assert_eq!(maddy.imap("alice@example.org").count("INBOX"), 0);
}

#[test]
fn bare_line_ends_in_a_chunk_are_no_line_ends() {
    let mut setup = Setup::new();
    setup.account("alice@example.org");
    let maddy = setup.start();
    let mut eve = maddy.smtp();
    assert!(eve.offers.iter().any(|offer| offer == "CHUNKING"));
    eve.command("MAIL FROM:<eve@remote.test>", "250*");
    eve.command("RCPT TO:<alice@example.org>", "250*");
    let text =
        "From: <eve@remote.test>\r\nSubject: one\r\n\r\ntext\r\n.\r\nMAIL FROM:<admin@example.org>\r\n";
    eve.send(format!("BDAT {} LAST\r\n{text}", text.len()).as_bytes());
    assert!(eve.reply().starts_with("250"));
    let stored = maddy.imap("alice@example.org").texts("INBOX");
    assert_eq!(stored.len(), 1, "a chunk is as long as it says, whatever it holds");
    assert!(stored[0].ends_with(text));
}

#[test]
fn our_own_users_smuggle_nothing_out() {
    let mut setup = Setup::new();
    setup.account("alice@example.org");
    setup.zone("remote.test MX 10 mx.remote.test");
    let remote = setup.remote("mx.remote.test", 2);
    // A server of old, to which everything goes by DATA.
    remote.offer(&["8BITMIME"]);
    let maddy = setup.start();
    let mut eve = maddy.submit("alice@example.org");
    for end in ["\n.\n", "\n.\r\n", "\r\n.\n", "\r.\r", "\r\n.\r", "\r.\r\n", "\n.\r", "\r\r\n.\r\r\n"] {
        let hidden = format!(
            "text{end}MAIL FROM:<admin@example.org>\r\nRCPT TO:<carl@remote.test>\r\nDATA\r\nhidden\r\n"
        );
        let text = format!("From: <alice@example.org>\r\nSubject: Carrier\r\n\r\n{hidden}");
        eve.command("MAIL FROM:<alice@example.org>", "250*");
        eve.command("RCPT TO:<carl@remote.test>", "250*");
        eve.command("DATA", "354*");
        eve.send(format!("{text}\r\n.\r\n").as_bytes());
        assert!(eve.reply().starts_with("550 5.6.0"), "{end:?}");
        eve.command("MAIL FROM:<alice@example.org>", "250*");
        eve.command("RCPT TO:<carl@remote.test>", "250*");
        eve.send(format!("BDAT {} LAST\r\n{text}", text.len()).as_bytes());
        assert!(eve.reply().starts_with('5'), "BDAT {end:?}");
    }
    // The end of data as it should be, where chunks make it a line like any other: it arrives as text.
    let hidden = "text\r\n.\r\nMAIL FROM:<admin@example.org>\r\n..\r\n.x\r\n";
    let text = format!("From: <alice@example.org>\r\nSubject: Carrier\r\n\r\n{hidden}");
    eve.command("MAIL FROM:<alice@example.org>", "250*");
    eve.command("RCPT TO:<carl@remote.test>", "250*");
    eve.send(format!("BDAT {} LAST\r\n{text}", text.len()).as_bytes());
    assert!(eve.reply().starts_with("250"));
    let mails = remote.wait_mails(1);
    assert_eq!(mails.len(), 1);
    assert!(mails[0].message.ends_with(hidden), "{}", mails[0].message);
    assert!(
        !remote.commands().iter().any(|command| command.contains("admin@example.org")),
        "{:?}",
        remote.commands()
    );
}
