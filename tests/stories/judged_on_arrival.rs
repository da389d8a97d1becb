//! Mail from strangers is judged before it is taken: by the policy of its author's domain, with a reason for readers, and
//! never for good while the DNS gives no answer.

use tests::{Daemon, Setup, Smtp, assert_like, field, message};

const ZONE: &str = "\
bank.test TXT \"v=spf1 -all\"
_dmarc.bank.test TXT \"v=DMARC1; p=reject\"
shop.test TXT \"v=spf1 -all\"
_dmarc.shop.test TXT \"v=DMARC1; p=quarantine\"
honest.test TXT \"v=spf1 ip4:127.0.0.1 -all\"
honest.test MX 10 mx.honest.test
_dmarc.honest.test TXT \"v=DMARC1; p=reject\"
";

fn scene() -> Setup {
    let mut setup = Setup::new();
    setup.account("alice@example.org");
    setup.zone(ZONE);
    setup
}

/// A message of an author of this domain to alice; the reply at its end.
fn offer(smtp: &mut Smtp, domain: &str, subject: &str) -> String {
    let from = format!("eve@{domain}");
    smtp.command(&format!("MAIL FROM:<{from}>"), "250*");
    smtp.command("RCPT TO:<alice@example.org>", "250*");
    smtp.data(&message(&from, "alice@example.org", subject, "Trust me"), "*")
}

fn junk(maddy: &Daemon, wanted: usize) -> Vec<String> {
    let mut alice = maddy.imap("alice@example.org");
    alice.wait_messages("Junk", wanted);
    alice.texts("Junk")
}

#[test]
fn the_policy_of_the_author_s_domain_is_obeyed() {
    let mut maddy = scene().start();
    let mut smtp = maddy.smtp();
    assert_like(&offer(&mut smtp, "bank.test", "Spoofed"), "550 5.7.26 *bank.test*p=reject*");
    maddy.wait_log("*mail in*spf=fail*dmarc=fail -> reject*550 5.7.26*");
    assert_like(&offer(&mut smtp, "shop.test", "Doubtful"), "250*");
    assert_like(&offer(&mut smtp, "honest.test", "Honest"), "250*");

    let mut alice = maddy.imap("alice@example.org");
    alice.wait_messages("INBOX", 1);
    let honest = alice.texts("INBOX");
    assert_eq!(honest.len(), 1, "{honest:?}");
    assert_eq!(field(&honest[0], "Subject").unwrap(), "Honest");
    let results = field(&honest[0], "Authentication-Results").unwrap();
    assert_like(
        &results,
        "mx.example.org; *spf=pass *smtp.mailfrom=eve@honest.test; *dmarc=pass (p=reject)*",
    );
    assert_eq!(field(&honest[0], "X-Junk-Reason"), None);

    let doubtful = junk(&maddy, 1);
    assert_eq!(field(&doubtful[0], "Subject").unwrap(), "Doubtful");
    assert_like(&field(&doubtful[0], "X-Junk-Reason").unwrap(), "*shop.test*");
    let results = field(&doubtful[0], "Authentication-Results").unwrap();
    assert_like(&results, "mx.example.org; *spf=fail *dmarc=fail (p=quarantine)*");

    // New rules hold for connections from then on.
    maddy.setup.config("checks { dmarc reject=\"quarantine\"; }");
    maddy.write_config();
    maddy.hang_up();
    maddy.wait_log("*the configuration was read again*");
    assert_like(&offer(&mut maddy.smtp(), "bank.test", "Spoofed again"), "250*");
    let texts = junk(&maddy, 2);
    assert_eq!(field(&texts[1], "Subject").unwrap(), "Spoofed again");
}

#[test]
fn a_silent_name_server_delays_mail_and_loses_none() {
    let mut setup = scene();
    setup.option("dns", "retries 0");
    setup.zone("_dmarc.slow.test TIMEOUT");
    let maddy = setup.start();
    let mut smtp = maddy.smtp();
    assert_like(&offer(&mut smtp, "slow.test", "Patience"), "451 4.4.3 *slow.test*");
    maddy.setup.names().set("_dmarc.slow.test TXT \"v=DMARC1; p=none\"");
    assert_like(&offer(&mut smtp, "slow.test", "Patience"), "250*");
    let mut alice = maddy.imap("alice@example.org");
    alice.wait_messages("INBOX", 1);
    assert_like(
        &field(&alice.text(1), "Authentication-Results").unwrap(),
        "mx.example.org; *dmarc=fail (p=none)*",
    );
}

#[test]
fn nobody_else_writes_in_our_name() {
    let maddy = scene().start();
    let forged = "Authentication-Results: mx.example.org;\r\n dmarc=pass header.from=bank.test\r\n";
    let other = "Authentication-Results: mx.other.test; spf=pass\r\n";
    let text = message("eve@honest.test", "alice@example.org", "Forged", "Trust me");
    let text = format!("{forged}{other}{text}");
    maddy.smtp().deliver("eve@honest.test", &["alice@example.org"], &text);
    let mut alice = maddy.imap("alice@example.org");
    alice.wait_messages("INBOX", 1);
    let got = alice.text(1);
    assert!(!got.contains("bank.test"), "{got}");
    assert_eq!(got.matches("Authentication-Results: mx.example.org;").count(), 1, "{got}");
    assert!(got.contains(other), "{got}");
}

/// SPF alone, without a policy: the answer may yet be "no", so the sender comes again.
#[test]
fn spf_that_cannot_be_asked_delays_mail() {
    let mut setup = scene();
    setup.option("dns", "retries 0");
    setup.zone("late.test TXT TIMEOUT");
    let maddy = setup.start();
    let mut smtp = maddy.smtp();
    assert_like(&offer(&mut smtp, "late.test", "Patience"), "451 4.4.3 *SPF temperror*late.test*");
    maddy.setup.names().set("late.test TXT \"v=spf1 ip4:127.0.0.1 -all\"\nlate.test A 127.0.0.1");
    assert_like(&offer(&mut smtp, "late.test", "Patience"), "250*");
    let mut alice = maddy.imap("alice@example.org");
    alice.wait_messages("INBOX", 1);
}

/// A list changed the message and so broke its signature; the domain of the author asks to reject such mail.
#[test]
fn a_trusted_list_vouches_for_what_it_changed() {
    const MAIL: &str = include_str!("../../crates/policy/testdata/arc/list.eml");
    const KEYS: &str = include_str!("../../crates/policy/testdata/arc/list.zone");
    let setup = scene();
    setup.zone(KEYS);
    setup.zone("lists.test MX 10 mx.lists.test");
    let mut maddy = setup.start();
    let text = MAIL.replace('\n', "\r\n");
    let offer = |smtp: &mut Smtp| {
        smtp.command("MAIL FROM:<choir-bounces@lists.test>", "250*");
        smtp.command("RCPT TO:<alice@example.org>", "250*");
        smtp.data(&text, "*")
    };
    assert_like(&offer(&mut maddy.smtp()), "550 5.7.26 *bank.test*p=reject*");
    let said = maddy.cli_with(&["check", "arc", "-"], MAIL).ok();
    assert_like(
        &said,
        "pass\n*i=1 d=lists.test s=l1: saw *dmarc=pass header.from=bank.test*asked l1._domainkey.lists.test*",
    );

    maddy.setup.config("checks { arc { trusted \"lists.test\"; }; }");
    maddy.write_config();
    maddy.hang_up();
    maddy.wait_log("*the configuration was read again*");
    assert_like(&offer(&mut maddy.smtp()), "250*");
    maddy.wait_log("*the policy of the author*was overridden*");
    let mut alice = maddy.imap("alice@example.org");
    alice.wait_messages("INBOX", 1);
    let got = alice.text(1);
    assert_eq!(field(&got, "X-Junk-Reason"), None);
    assert_like(
        &field(&got, "Authentication-Results").unwrap(),
        "mx.example.org; *dkim=fail *arc=pass *smtp.remote-ip=127.0.0.1 header.oldest-pass=0; *dmarc=fail (p=reject) *policy.dmarc=none (*lists.test*",
    );
    let said = maddy.cli_with(&["check", "arc", "-", "--json"], MAIL).ok();
    assert_like(&said, "*\"trusted\"*lists.test*");
}

/// Lists are asked about the sender's domain; the sums decide. A sender who cannot be answered is suspicious.
#[test]
fn lists_and_senders_without_an_answer_count() {
    let mut setup = scene();
    setup.config(
        "checks { dnsbl { quarantine 2; reject 5; list \"bl.test\" client=#false sender=#true { code \"127.0.0.2\" score=5; code \"127.0.0.3\" score=2; }; }; }",
    );
    setup.zone(
        "bad.test A 127.0.0.1\nbad.test.bl.test A 127.0.0.2\nbad.test.bl.test TXT \"spam every day\"\nodd.test A 127.0.0.1\nodd.test.bl.test A 127.0.0.3\n\
         good.test A 127.0.0.1\nslow.test A 127.0.0.1\nslow.test.bl.test SERVFAIL\nmute.test MX 0 .",
    );
    let maddy = setup.start();
    let mut smtp = maddy.smtp();
    assert_like(
        &offer(&mut smtp, "bad.test", "Bad"),
        "550 5.7.1 *bad.test is listed by bl.test*spam every day*",
    );
    for (domain, subject) in [
        ("odd.test", "Odd"),
        ("good.test", "Good"),
        ("slow.test", "Slow"),
        ("mute.test", "Mute"),
        ("gone.test", "Gone"),
    ] {
        assert_like(&offer(&mut smtp, domain, subject), "250*");
    }
    let mut alice = maddy.imap("alice@example.org");
    alice.wait_messages("INBOX", 3);
    let got = alice.texts("INBOX");
    let subjects: Vec<String> = got.iter().map(|text| field(text, "Subject").unwrap()).collect();
    assert_eq!(subjects, ["Good", "Slow", "Gone"]);
    assert_like(&field(&got[2], "X-Junk-Reason").unwrap(), "*gone.test does not exist*");
    let junk = junk(&maddy, 2);
    assert_like(&field(&junk[0], "X-Junk-Reason").unwrap(), "*odd.test is listed by bl.test*");
    assert_like(&field(&junk[1], "X-Junk-Reason").unwrap(), "*mute.test takes no mail*");

    let said = maddy.cli(&["check", "dnsbl", "192.0.2.1", "--from", "a@bad.test"]).ok();
    assert_like(
        &said,
        "listed\n+5 MAIL FROM: bad.test is listed by bl.test*asked bad.test.bl.test A: 127.0.0.2*",
    );
    let said = maddy.cli(&["check", "dnsbl", "192.0.2.1", "--list", "bl.test"]).ok();
    assert_like(&said, "none\n192.0.2.1 is in none of the lists\nasked 1.2.0.192.bl.test A*");
}
