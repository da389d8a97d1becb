//! Names in every script: domains in U-labels and A-labels are the same to every check, and what a client has not asked for
//! (SMTPUTF8) it does not get.

use tests::{Setup, Smtp, assert_like, field, message};

const ZONE: &str = "\
xn--bcher-kva.test TXT \"v=spf1 ip4:127.0.0.1 -all\"
xn--bcher-kva.test MX 10 mx.xn--bcher-kva.test
mx.xn--bcher-kva.test A 127.0.0.1
_dmarc.xn--bcher-kva.test TXT \"v=DMARC1; p=reject\"
xn--mller-kva.test TXT \"v=spf1 -all\"
_dmarc.xn--mller-kva.test TXT \"v=DMARC1; p=reject\"
local.test TXT \"v=spf1 exists:%{l}.users.test -all\"
xn--bse-sna.test.bl.test A 127.0.0.2
xn--bse-sna.test A 127.0.0.1
";

fn scene() -> Setup {
    let mut setup = Setup::named("mx.example.org", &["example.org", "b\u{fc}ro.test"]);
    setup.account("alice@example.org");
    setup.account("j\u{f6}rg@b\u{fc}ro.test");
    setup.zone(ZONE);
    setup
}

/// A mail with SMTPUTF8; what is said at its end.
fn offer(smtp: &mut Smtp, from: &str, to: &str) -> String {
    smtp.command(&format!("MAIL FROM:<{from}> SMTPUTF8"), "250*");
    smtp.command(&format!("RCPT TO:<{to}>"), "250*");
    smtp.data(&message(from, to, "Gr\u{fc}\u{df}e", "Hallo"), "*")
}

#[test]
fn both_spellings_are_one_domain_to_every_check() {
    let mut setup = scene();
    setup.config("checks { dnsbl { reject 5; list \"bl.test\" client=#false sender=#true score=5; }; }");
    let maddy = setup.start();
    let mut smtp = maddy.smtp();
    for from in ["k\u{e4}the@b\u{fc}cher.test", "k\u{e4}the@xn--bcher-kva.test", "ann@b\u{fc}cher.test"] {
        assert_like(&offer(&mut smtp, from, "alice@example.org"), "250*");
    }
    assert_like(
        &offer(&mut smtp, "a@m\u{fc}ller.test", "alice@example.org"),
        "550 5.7.26*xn--mller-kva.test*p=reject*",
    );
    assert_like(
        &offer(&mut smtp, "a@b\u{f6}se.test", "alice@example.org"),
        "550 5.7.1*se*.test is listed by bl.test*",
    );
    // A local part that no label can hold matches nothing, and is no error (RFC 8616 \u{a7}4).
    assert_like(&offer(&mut smtp, "k\u{e4}the@local.test", "alice@example.org"), "250*");
    let mut alice = maddy.imap("alice@example.org");
    alice.wait_messages("INBOX", 3);
    for text in alice.texts("INBOX") {
        let results = field(&text, "Authentication-Results").unwrap();
        assert_like(
            &results,
            "*spf=pass *@xn--bcher-kva.test*dmarc=pass (p=reject)*header.from=xn--bcher-kva.test*",
        );
        assert_like(&field(&text, "Received").unwrap(), "*with UTF8SMTP id*");
    }
    let junk = {
        alice.wait_messages("Junk", 1);
        alice.texts("Junk")
    };
    assert_like(&field(&junk[0], "X-Junk-Reason").unwrap(), "*SPF fail*local.test*");
}

/// RFC 6531 \u{a7}3.2, \u{a7}3.5: without SMTPUTF8 there are no other octets in addresses, and A-labels are lawful always.
#[test]
fn without_smtputf8_addresses_are_ascii() {
    let maddy = scene().start();
    let mut smtp = maddy.smtp();
    assert!(smtp.offers.iter().any(|line| line == "SMTPUTF8"));
    for from in ["k\u{e4}the@honest.test", "ann@b\u{fc}cher.test"] {
        smtp.command(&format!("MAIL FROM:<{from}>"), "553 5.6.7*");
    }
    smtp.command("MAIL FROM:<ann@xn--bcher-kva.test>", "250*");
    for to in ["j\u{f6}rg@b\u{fc}ro.test", "alice@b\u{fc}ro.test"] {
        smtp.command(&format!("RCPT TO:<{to}>"), "553 5.6.7*");
    }
    smtp.command("RCPT TO:<nobody@xn--bro-hoa.test>", "550 5.1.1*");
    smtp.command("RSET", "250*");
    smtp.command("MAIL FROM:<> SMTPUTF8=yes", "555*");
}

#[test]
fn an_address_of_ours_is_reached_by_both_spellings() {
    let maddy = scene().start();
    let mut smtp = maddy.smtp();
    for to in ["j\u{f6}rg@b\u{fc}ro.test", "j\u{f6}rg@xn--bro-hoa.test", "J\u{d6}RG@B\u{dc}RO.test"] {
        assert_like(&offer(&mut smtp, "k\u{e4}the@b\u{fc}cher.test", to), "250*");
    }
    let mut reader = maddy.imap("j\u{f6}rg@b\u{fc}ro.test");
    reader.wait_messages("INBOX", 3);
    for text in reader.texts("INBOX") {
        assert_like(&field(&text, "Delivered-To").unwrap(), "*@xn--bro-hoa.test");
    }
}
