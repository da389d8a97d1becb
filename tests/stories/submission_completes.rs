//! What a mail client leaves out is added, what must not go out is taken off, and nobody speaks in another's name.

use tests::{Setup, assert_like, field};

#[test]
fn date_and_message_id_come_and_bcc_goes() {
    let mut setup = Setup::new();
    setup.account("alice@example.org");
    setup.account("bob@example.org");
    let maddy = setup.start();
    let mut alice = maddy.submit("alice@example.org");
    let text = "From: Alice <alice@example.org>\r\nTo: bob@example.org\r\nBcc: secret@example.org,\r\n hidden@example.org\r\n\
                Subject: Unfinished\r\n\r\nBcc: in the body stays\r\n";
    alice.deliver("alice@example.org", &["bob@example.org"], text);
    let stored = maddy.imap("bob@example.org").texts("INBOX").remove(0);
    assert_eq!(field(&stored, "Bcc"), None, "{stored}");
    assert!(!stored.contains("hidden@"), "{stored}");
    assert_like(&field(&stored, "Date").unwrap(), "*, * 20* *:*:* +0000");
    assert_like(&field(&stored, "Message-ID").unwrap(), "<*@*>");
    assert_eq!(field(&stored, "Subject").unwrap(), "Unfinished");
    assert!(stored.ends_with("\r\n\r\nBcc: in the body stays\r\n"), "{stored}");
    let received = field(&stored, "Received").unwrap();
    assert_like(&received, "*by mx.example.org *with ESMTPA*");
    assert!(!received.contains("127.0.0.1") && !received.contains("client.test"), "{received}");
}

#[test]
fn an_account_may_use_the_addresses_that_lead_to_it() {
    let mut setup = Setup::new();
    setup.account("alice@example.org");
    setup.account("bob@example.org");
    setup.config(
        "aliases { \"sales@example.org\" \"alice@example.org\"; \"*@example.net\" \"alice@example.org\"; }",
    );
    let maddy = setup.start();
    let mut alice = maddy.submit("alice@example.org");
    let text =
        |from: &str| format!("From: <{from}>\r\nTo: <bob@example.org>\r\nSubject: {from}\r\n\r\ntext\r\n");
    for from in ["alice@example.org", "Alice+tag@EXAMPLE.org", "sales@example.org", "any@example.net"] {
        alice.deliver(from, &["bob@example.org"], &text(from));
    }
    for from in ["bob@example.org", "someone@remote.test", "other@example.org"] {
        alice.command(&format!("MAIL FROM:<{from}>"), "550 5.7.1*");
        alice.command("MAIL FROM:<alice@example.org>", "250*");
        alice.command("RCPT TO:<bob@example.org>", "250*");
        alice.data(&text(from), "550 5.7.1*");
    }
    assert_eq!(maddy.imap("bob@example.org").count("INBOX"), 4);
}
