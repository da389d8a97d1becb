//! Each limit answers with a proper refusal, and what is within it goes on.

use tests::{Chat, Imap, PASSWORD, Setup, Smtp, message};

#[test]
fn one_address_has_so_many_connections_and_no_more() {
    let mut setup = Setup::new();
    setup.account("alice@example.org");
    setup.replace_option("limits", "exempt-loopback #false");
    setup.option("limits", "per-address 4");
    let maddy = setup.start();
    // Those with which the start was awaited end by and by.
    let held: Vec<Smtp> = tests::eventually("all connections of before have ended", || {
        let mut held = Vec::new();
        for _ in 0..4 {
            let mut chat = Chat::connect(maddy.ports().smtp);
            match chat.try_hear() {
                Ok(Some(line)) if line.starts_with("220") => held.push(chat),
                _ => return None,
            }
        }
        Some(held.into_iter().map(Smtp::after_greeting).collect())
    });
    Chat::connect(maddy.ports().smtp).expect("421 4.*");
    let mut imap = Chat::connect(maddy.ports().imap);
    imap.expect("* BYE *");
    imap.expect_end();
    drop(held);
    tests::eventually("there is room again", || {
        Chat::connect(maddy.ports().smtp).try_hear().ok()?.filter(|line| line.starts_with("220"))
    });
}

#[test]
fn sizes_recipients_and_errors_are_bounded() {
    let mut setup = Setup::new();
    for name in ["a", "b", "c"] {
        setup.account(&format!("{name}@example.org"));
    }
    setup.option("smtp", "max-message-size \"64KiB\"");
    setup.option("smtp", "max-recipients 2");
    setup.option("smtp", "max-errors 5");
    let maddy = setup.start();
    let mut smtp = maddy.smtp();
    smtp.command("MAIL FROM:<eve@remote.test> SIZE=70000", "552 5.3.4*");
    smtp.command("MAIL FROM:<eve@remote.test> SIZE=1000", "250*");
    smtp.command("RCPT TO:<a@example.org>", "250*");
    smtp.command("RCPT TO:<b@example.org>", "250*");
    smtp.command("RCPT TO:<c@example.org>", "452 4.5.3*");
    let long = "0123456789\n".repeat(7000);
    smtp.data(&message("eve@remote.test", "a@example.org", "Long", &long), "552 5.3.4*");
    smtp.deliver(
        "eve@remote.test",
        &["a@example.org"],
        &message("eve@remote.test", "a@example.org", "Short", "text"),
    );
    for _ in 0..5 {
        smtp.say("NONSENSE");
    }
    assert!(smtp.hear_rest().last().unwrap().starts_with("421"), "{}", smtp.said());
    assert_eq!(maddy.imap("a@example.org").count("INBOX"), 1);
}

/// What is on its way in at the same time is bounded for each key by itself, for those who have logged in too.
#[test]
fn only_so_many_messages_come_in_at_the_same_time() {
    let mut setup = Setup::new();
    setup.account("alice@example.org");
    setup.account("bob@example.org");
    setup.option(
        "smtp",
        "rates { exempt \"192.0.2.0/24\"; concurrency 3; concurrency-per-sender 1; concurrency-per-recipient 2; }",
    );
    setup.option(
        "submission",
        "rates { exempt \"192.0.2.0/24\"; concurrency-per-sender 1; messages-per-address \"2/1h\"; }",
    );
    let maddy = setup.start();
    let begin = |from: &str, want: &str| {
        let mut smtp = maddy.smtp();
        smtp.command(&format!("MAIL FROM:<{from}>"), want);
        smtp
    };
    let to = "RCPT TO:<alice@example.org>";
    let mut first = begin("one@remote.test", "250*");
    first.command(to, "250*");
    begin(
        "one@remote.test",
        "451 4.7.1 Too many messages of this sender at the same time; try again in a moment",
    );
    let mut second = begin("two@remote.test", "250*");
    second.command(to, "250*");
    let mut third = begin("three@remote.test", "250*");
    third.command(to, "450 4.7.1 Too many messages for this recipient at the same time*");
    // She has no more room under another of her addresses.
    third.command("RCPT TO:<alice+tag@example.org>", "450 4.7.1 Too many messages for this recipient*");
    third.command("RCPT TO:<bob@example.org>", "250*");
    begin("four@remote.test", "451 4.7.1 Too many messages at the same time*");
    // What ends in any way makes room: a message that is filed, one that is dropped, a connection that breaks.
    first.data(&message("one@remote.test", "alice@example.org", "First", "text"), "250*");
    third.command(to, "250*");
    second.command("RSET", "250*");
    drop(third);
    tests::eventually("all have gone", || {
        let mut held: Vec<Smtp> = Vec::new();
        for sender in ["five", "six", "one"] {
            let mut smtp = maddy.smtp();
            if !smtp.command(&format!("MAIL FROM:<{sender}@remote.test>"), "*").starts_with("250") {
                return None;
            }
            held.push(smtp);
        }
        Some(())
    });
    // Who has logged in is told apart by account, and counts by its address as well.
    let from = "MAIL FROM:<alice@example.org>";
    let (mut one, mut two) = (maddy.submit("alice@example.org"), maddy.submit("alice@example.org"));
    one.command(from, "250*");
    two.command(from, "451 4.7.1 Too many messages of this sender at the same time*");
    one.command("RSET", "250*");
    two.command(from, "250*");
    let mut bob = maddy.submit("bob@example.org");
    bob.command(
        "MAIL FROM:<bob@example.org>",
        "451 4.7.1 Too many messages from this address; try again in*",
    );
}

/// Behind a header that is not looked at whole, another author could stand, or results in our name.
#[test]
fn a_header_without_end_is_refused() {
    let mut setup = Setup::new();
    setup.account("alice@example.org");
    let maddy = setup.start();
    let (from, to) = ("eve@remote.test", "alice@example.org");
    let padding = format!("X: {}\r\n", "x".repeat(900)).repeat(300);
    let hidden = format!("From: {from}\r\n{padding}From: boss@example.org\r\n\r\nHello\r\n");
    for mut smtp in [maddy.smtp(), maddy.submit(to)] {
        let from = if smtp.offers.iter().any(|line| line.starts_with("AUTH")) { to } else { from };
        smtp.command(&format!("MAIL FROM:<{from}>"), "250*");
        smtp.command(&format!("RCPT TO:<{to}>"), "250*");
        smtp.data(&hidden, "552 5.3.4 The header is longer than 262144 octets");
        // As much in the body does no harm.
        smtp.deliver(from, &[to], &message(from, to, "Long", &padding));
    }
    assert_eq!(maddy.imap(to).count("INBOX"), 2);
}

#[test]
fn a_full_queue_puts_mail_off() {
    let mut setup = Setup::new();
    setup.account("alice@example.org");
    setup.zone("remote.test SERVFAIL");
    setup.option("storage", "max-queue 2");
    setup.expect_errors();
    let maddy = setup.start();
    let mut alice = maddy.submit("alice@example.org");
    let text = message("alice@example.org", "carl@remote.test", "Hello", "text");
    alice.deliver("alice@example.org", &["carl@remote.test"], &text);
    alice.deliver("alice@example.org", &["carl@remote.test"], &text);
    alice.command("MAIL FROM:<alice@example.org>", "250*");
    alice.command("RCPT TO:<carl@remote.test>", "250*");
    alice.data(&text, "452 4.3.1*");
    // Mail for our own goes on.
    alice.deliver("alice@example.org", &["alice@example.org"], &text);
    assert_eq!(maddy.imap("alice@example.org").count("INBOX"), 1);
}

#[test]
fn guessing_passwords_ends_the_connection() {
    let mut setup = Setup::new();
    setup.account("alice@example.org");
    setup.option("imap", "login-failures 2");
    setup.option("imap", "failure-delay \"0s\"");
    let maddy = setup.start();
    let mut eve = Imap::begin(Chat::connect(maddy.ports().imap));
    eve.no("LOGIN alice@example.org guess");
    eve.say("x LOGIN nobody@example.org guess");
    let heard = eve.hear_rest();
    assert!(heard.iter().any(|line| line.starts_with("* BYE")), "{heard:?}");
    assert!(!eve.said().contains("x OK"));
    let mut alice = Imap::begin(Chat::connect(maddy.ports().imap));
    alice.log_in("alice@example.org", PASSWORD);
}

#[test]
fn a_silent_client_is_sent_away() {
    let mut setup = Setup::new();
    setup.account("alice@example.org");
    setup.option("smtp", "command-timeout \"1s\"");
    let maddy = setup.start();
    let mut smtp = maddy.smtp();
    smtp.expect("421 4.4.2*");
    smtp.expect_end();
}
