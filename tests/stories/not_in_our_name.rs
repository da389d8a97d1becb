//! What strangers must not make us do: write to people who never wrote to us, send on what is suspicious, or carry in clear
//! what was to be protected.

use tests::{Chat, Setup, Smtp, assert_like, field, message};

const ZONE: &str = "\
honest.test TXT \"v=spf1 ip4:127.0.0.1 -all\"
shop.test TXT \"v=spf1 -all\"
_dmarc.shop.test TXT \"v=DMARC1; p=quarantine\"
remote.test MX 10 mx.remote.test
honest.test MX 10 mx.remote.test
shop.test MX 10 mx.remote.test
";

#[test]
fn success_is_told_only_to_senders_that_are_real() {
    let mut setup = Setup::new();
    setup.account("alice@example.org");
    setup.zone(ZONE);
    let remote = setup.remote("mx.remote.test", 2);
    let maddy = setup.start();
    let mut smtp = maddy.smtp();
    for from in ["victim@remote.test", "eve@honest.test"] {
        smtp.command(&format!("MAIL FROM:<{from}>"), "250*");
        smtp.command("RCPT TO:<alice@example.org> NOTIFY=SUCCESS", "250*");
        smtp.data(&message(from, "alice@example.org", "Tell me", "text"), "250*");
    }
    let told = remote.wait_mails(1);
    assert_eq!(
        told.iter().flat_map(|mail| mail.to.clone()).collect::<Vec<_>>(),
        ["<eve@honest.test> NOTIFY=NEVER"]
    );
    assert_eq!(maddy.imap("alice@example.org").count("INBOX"), 2);
}

#[test]
fn what_is_suspicious_is_not_sent_on() {
    let mut setup = Setup::new();
    setup.account("alice@example.org");
    setup.account("bob@example.org");
    setup.zone(ZONE);
    setup.config(
        "postmaster \"alice@example.org\"\naliases { \"out@example.org\" \"far@remote.test\"; \"both@example.org\" \"bob@example.org\" \"far@remote.test\"; }",
    );
    let remote = setup.remote("mx.remote.test", 2);
    let maddy = setup.start();
    let mut smtp = maddy.smtp();
    for to in ["out@example.org", "both@example.org"] {
        for from in ["eve@shop.test", "ann@honest.test"] {
            smtp.command(&format!("MAIL FROM:<{from}>"), "250*");
            smtp.command(&format!("RCPT TO:<{to}>"), "250*");
            smtp.data(&message(from, to, from, "text"), "250*");
        }
    }
    let sent = remote.wait_mails(2);
    for mail in &sent {
        assert_eq!(field(&mail.message, "Subject").as_deref(), Some("ann@honest.test"));
    }
    maddy.wait_log("*kept for postmaster instead of forwarded*");
    assert_eq!(maddy.imap("alice@example.org").count("Junk"), 1);
    assert_eq!(maddy.imap("bob@example.org").count("Junk"), 1);
    assert_eq!(maddy.imap("bob@example.org").count("INBOX"), 1);
    assert_eq!(remote.mails().len(), 2);
}

#[test]
fn a_message_that_requires_tls_goes_over_tls_or_comes_back() {
    let mut setup = Setup::new();
    setup.account("alice@example.org");
    setup.zone(ZONE);
    let remote = setup.remote("mx.remote.test", 2);
    let maddy = setup.start();
    let chat = Chat::connect_tls(maddy.ports().submissions, &maddy.setup.ca());
    let mut alice = Smtp::begin(chat);
    assert!(alice.offers.iter().any(|line| line == "REQUIRETLS"), "{:?}", alice.offers);
    alice.log_in("alice@example.org", tests::PASSWORD);
    alice.command("MAIL FROM:<alice@example.org> REQUIRETLS", "250*");
    alice.command("RCPT TO:<bob@remote.test>", "250*");
    alice.data(&message("alice@example.org", "bob@remote.test", "Secret", "text"), "250*");
    let mut reader = maddy.imap("alice@example.org");
    reader.wait_messages("INBOX", 1);
    let notice = reader.texts("INBOX").remove(0);
    assert_like(&notice, "*5.7.10*");
    assert_eq!(remote.mails().len(), 0);
    // In clear it is not even offered.
    let mut clear = maddy.smtp();
    assert!(!clear.offers.iter().any(|line| line == "REQUIRETLS"));
    clear.command("MAIL FROM:<x@honest.test> REQUIRETLS", "555*");
}

#[test]
fn tls_can_be_demanded_and_manners_too() {
    let mut setup = Setup::new();
    setup.account("alice@example.org");
    let port = tests::free_port();
    setup.option("smtp", &format!("listen \"127.0.0.1:{port}\" require-tls=#true"));
    setup.option("smtp", "require-tls-from \"bank.test\"");
    setup.option("smtp", "early-talkers { delay \"300ms\"; exempt \"127.0.0.1\"; }");
    let maddy = setup.start();
    let mut strict = Smtp::begin(Chat::connect(port));
    strict.command("MAIL FROM:<x@honest.test>", "530 5.7.0*");
    let mut clear = maddy.smtp();
    clear.command("MAIL FROM:<x@mail.bank.test>", "530 5.7.10*");
    clear.command("MAIL FROM:<x@honest.test>", "250*");
    let mut secure = Smtp::after_greeting({
        let mut chat = Chat::connect(port);
        chat.expect("220*");
        chat.say("EHLO client.test");
        while !chat.hear().starts_with("250 ") {}
        chat.say("STARTTLS");
        chat.expect("220*");
        chat.into_tls(&maddy.setup.ca())
    });
    secure.command("MAIL FROM:<x@mail.bank.test>", "250*");

    let mut hasty = Chat::connect_from(4, maddy.ports().smtp);
    hasty.say("EHLO client.test");
    hasty.expect("554 5.5.1*");
    let mut patient = Chat::connect_from(4, maddy.ports().smtp);
    patient.expect("220*");
}
