//! What an alias sends on carries a seal of ours that others can verify, and keeps the signatures that it came with.

use tests::{Setup, field, message};

#[test]
fn a_forwarded_message_is_sealed_and_its_signature_holds() {
    let mut setup = Setup::new();
    setup.account("alice@example.org");
    setup.config(
        "aliases { \"ext@example.net\" \"carl@remote.test\"; \"two@example.org\" \"dora@other.test\" }",
    );
    setup.zone("remote.test MX 10 mx.remote.test\nother.test MX 10 mx.other.test");
    let (remote, other) = (setup.remote("mx.remote.test", 2), setup.remote("mx.other.test", 3));
    let maddy = setup.start();
    let list = maddy.cli(&["dkim", "list"]).ok();
    let zone =
        list.lines().filter(|line| !line.starts_with(';')).map(|line| line.replace(". IN TXT ", " TXT "));
    maddy.setup.zone(&zone.collect::<Vec<_>>().join("\n"));

    let text = message("alice@example.org", "carl@remote.test", "Signed", "Dear Carl,\n\nit is me.\n");
    maddy.submit("alice@example.org").deliver("alice@example.org", &["carl@remote.test"], &text);
    let signed = remote.wait_mails(1).remove(0).message;
    assert_eq!(field(&signed, "ARC-Seal"), None, "what is our own is signed and not sealed");

    // A stranger brings it to an alias that leads outside, and from there it comes to another.
    let resolver = maddy.setup.names().at().to_string();
    let check =
        |what: &str, text: &str| maddy.cli_with(&["check", what, "-", "--resolver", &resolver], text).ok();
    maddy.smtp().deliver("list@elsewhere.test", &["ext@example.net"], &signed);
    let once = remote.wait_mails(2).pop().unwrap().message;
    assert!(once.ends_with(&signed), "the message was changed on its way:\n{once}");
    assert!(check("dkim", &once).starts_with("pass\n"), "{once}");
    assert!(check("arc", &once).starts_with("pass\n"), "{}", check("arc", &once));
    let results = field(&once, "ARC-Authentication-Results").unwrap();
    assert!(results.starts_with("i=1; mx.example.org;") && results.contains("dkim=pass"), "{results}");
    assert!(field(&once, "ARC-Seal").unwrap().contains("d=example.net"), "{once}");

    maddy.smtp().deliver("list@elsewhere.test", &["two@example.org"], &once);
    let twice = other.wait_mails(1).remove(0).message;
    let said = check("arc", &twice);
    assert!(said.starts_with("pass\n") && twice.contains("ARC-Seal: i=2;"), "{said}\n{twice}");
    assert!(check("dkim", &twice).starts_with("pass\n"), "{twice}");
    // A chain that is broken is not sealed again.
    let broken = once.replace("dkim=pass", "dkim=fail");
    maddy.smtp().deliver("list@elsewhere.test", &["two@example.org"], &broken);
    let arrived = other.wait_mails(2).pop().unwrap().message;
    assert_eq!(arrived.matches("ARC-Seal:").count(), 1, "{arrived}");

    let mut maddy = maddy;
    maddy.setup.config("dkim { seal-forwarded #false }");
    maddy.write_config();
    maddy.cli(&["reload"]).ok();
    maddy.smtp().deliver("list@elsewhere.test", &["two@example.org"], &signed);
    let plain = other.wait_mails(3).pop().unwrap().message;
    assert_eq!(field(&plain, "ARC-Seal"), None);
    maddy.stop();
}
