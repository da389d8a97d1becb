//! What our users send carries two signatures that hold against the published records, and so do our notices.

use serde_json::Value;
use std::os::unix::fs::PermissionsExt;
use tests::{Daemon, Setup, assert_like, field, message};

/// Publishes the records that the server asks to publish.
fn publish(maddy: &Daemon) {
    let list = maddy.cli(&["dkim", "list"]).ok();
    for line in list.lines().filter(|line| !line.starts_with(';')) {
        let (name, strings) = line.split_once(". IN TXT ").expect("a line of a zone file");
        maddy.setup.zone(&format!("{name} TXT {strings}"));
    }
}

/// A scene in which alice has written to carl, and what carl's server got.
fn sent() -> (Daemon, String) {
    let mut setup = Setup::new();
    setup.account("alice@example.org");
    setup.zone("remote.test MX 10 mx.remote.test\n_dmarc.example.org TXT \"v=DMARC1; p=reject\"");
    let remote = setup.remote("mx.remote.test", 2);
    remote.rule("RCPT TO:<nobody@*", "550 5.1.1 no such user");
    let maddy = setup.start();
    publish(&maddy);
    let text = message("alice@example.org", "carl@remote.test", "Signed", "Dear Carl,\n\nit is me.\n\n");
    let mut alice = maddy.submit("alice@example.org");
    alice.deliver("alice@example.org", &["carl@remote.test", "nobody@remote.test"], &text);
    let arrived = remote.wait_mails(1).remove(0).message;
    (maddy, arrived)
}

/// What `maddy check` says of a message, asking the name server of the scene.
fn check(maddy: &Daemon, arguments: &[&str], message: &str) -> String {
    let resolver = maddy.setup.names().at().to_string();
    let all = [&["check"], arguments, &["--resolver", &resolver]].concat();
    maddy.cli_with(&all, message).ok()
}

#[test]
fn two_signatures_hold_against_the_published_records() {
    let (maddy, arrived) = sent();
    assert_eq!(arrived.matches("DKIM-Signature: v=1; a=").count(), 2, "{arrived}");
    let said = check(&maddy, &["dkim", "-"], &arrived);
    assert!(said.starts_with("pass\npass d=example.org s=maddy a=rsa-sha256: "), "{said}");
    assert!(said.contains("\npass d=example.org s=maddy-ed25519 a=ed25519-sha256: "), "{said}");
    assert!(said.contains("\nasked maddy._domainkey.example.org TXT: \"v=DKIM1; k=rsa; p="), "{said}");
    let said = check(&maddy, &["dkim", "-"], &arrived.replace("it is me", "it is not me"));
    assert!(said.starts_with("fail\n"), "{said}");

    for (name, mode) in
        [("", 0o700), ("example.org.maddy.pem", 0o600), ("example.net.maddy-ed25519.pem", 0o600)]
    {
        let path = maddy.setup.state_dir().join("dkim").join(name);
        assert_eq!(path.metadata().unwrap().permissions().mode() & 0o777, mode, "{}", path.display());
    }
    let published = maddy.cli(&["dkim", "list"]).ok();
    let file = maddy.setup.state_dir().join("dkim/example.org.maddy.dns");
    let record = std::fs::read_to_string(file).unwrap();
    assert!(published.contains(&record), "{published}");
    maddy.wait_log(
        "*a signing key was made: publish its record in the DNS*maddy._domainkey.example.net. IN TXT*",
    );
    let list: Value = serde_json::from_str(&maddy.cli(&["dkim", "list", "--json"]).ok()).unwrap();
    assert_eq!(list.as_array().unwrap().len(), 4, "two keys for each of two domains: {list}");
}

#[test]
fn what_is_signed_is_believed_wherever_it_comes_from() {
    let (maddy, arrived) = sent();
    // A list sends it on as it is, under a sender of its own.
    maddy.smtp().deliver("list-bounces@list.test", &["alice@example.org"], &arrived);
    let mut alice = maddy.imap("alice@example.org");
    // The notice about nobody@remote.test is the other one.
    alice.wait_messages("INBOX", 2);
    let texts = alice.texts("INBOX");
    let subject = |text: &String| field(text, "Subject").unwrap();
    let listed = texts.iter().find(|text| subject(text) == "Signed").expect("the message of the list");
    let results = field(listed, "Authentication-Results").unwrap();
    assert_like(
        &results,
        "mx.example.org; *dkim=pass *header.d=example.org *; dkim=pass *dmarc=pass (p=reject)*",
    );

    let notice = texts.iter().find(|text| subject(text) != "Signed").expect("the notice");
    assert_eq!(field(notice, "Return-Path").unwrap(), "<>");
    assert!(
        !notice.contains("Authentication-Results: mx.example.org"),
        "nobody judges our own words: {notice}"
    );
    let said = check(&maddy, &["dkim", "-"], notice);
    assert!(said.starts_with("pass\npass d=example.org s=maddy "), "{said}\n{notice}");
}

#[test]
fn each_check_can_be_made_by_hand() {
    let (maddy, arrived) = sent();
    maddy.setup.zone("bank.test TXT \"v=spf1 a:out.bank.test -all\"\nout.bank.test A 192.0.2.1");
    let spf = |ip: &str| check(&maddy, &["spf", "--ip", ip, "--from", "x@bank.test", "--helo", "h.test"], "");
    let said = spf("192.0.2.9");
    assert!(said.starts_with("fail\n"), "{said}");
    assert!(said.contains("\nasked bank.test TXT: \"v=spf1 a:out.bank.test -all\"\n"), "{said}");
    assert!(said.contains("\nasked out.bank.test A: 192.0.2.1\n"), "{said}");
    assert!(spf("192.0.2.1").starts_with("pass\n"));

    let from = ["--ip", "192.0.2.9", "--from", "x@bank.test"];
    let dmarc = [&["dmarc", "-"], &from[..]].concat();
    let said = check(&maddy, &dmarc, &arrived);
    assert!(said.starts_with("pass\n"), "{said}");
    let spoofed = message("alice@example.org", "carl@remote.test", "Spoofed", "text");
    let json = check(&maddy, &[&dmarc[..], &["--json"]].concat(), &spoofed);
    let said: Value = serde_json::from_str(&json).unwrap();
    assert_eq!((&said["result"], &said["published"]), (&"fail".into(), &"reject".into()), "{said}");
    assert!(
        said["lookups"].as_array().unwrap().iter().any(|one| one["name"] == "_dmarc.example.org"),
        "{said}"
    );
    maddy.cli(&["check", "spf", "--ip", "192.0.2.1"]).fails();
}
