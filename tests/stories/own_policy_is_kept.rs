//! The server looks whether others would believe what it sends; with `egress-auth "strict"` mail that its own policy would
//! burn waits, postmaster is told, and it goes out when the records are right.

use serde_json::Value;
use tests::{Setup, field, message};

#[test]
fn mail_that_would_be_burnt_waits_until_the_records_are_right() {
    let mut setup = Setup::named("mx.example.org", &["example.org"]);
    setup.account("alice@example.org");
    setup.option("delivery", "egress-auth \"strict\"");
    setup.zone("remote.test MX 10 mx.remote.test\n_dmarc.example.org TXT \"v=DMARC1; p=reject\"\nmx.example.org A 127.0.0.1");
    let remote = setup.remote("mx.remote.test", 2);
    let maddy = setup.start();
    maddy.wait_log("*mail of this domain would fail the domain's own DMARC policy*example.org*");
    let mut imap = maddy.imap("alice@example.org");
    imap.wait_messages("INBOX", 1);
    let told = imap.texts("INBOX").remove(0);
    assert!(field(&told, "Subject").unwrap().contains("held back"), "{told}");
    assert!(told.contains("publish maddy._domainkey.example.org. IN TXT"), "{told}");

    let text = message("alice@example.org", "carl@remote.test", "Waits", "x");
    maddy.submit("alice@example.org").deliver("alice@example.org", &["carl@remote.test"], &text);
    maddy.wait_log("*held back*would fail the DMARC policy of example.org*");
    assert!(remote.mails().is_empty());
    let report: Value = serde_json::from_str(&maddy.cli(&["check", "egress", "--json"]).ok()).unwrap();
    assert_eq!(report["burning"][0][0], "example.org", "{report}");

    let list = maddy.cli(&["dkim", "list"]).ok();
    for line in list.lines().filter(|line| !line.starts_with(';')) {
        maddy.setup.zone(&line.replace(". IN TXT ", " TXT "));
    }
    // Asking looks anew, and the daemon goes by what is found.
    let said = maddy.cli(&["check", "egress"]).ok();
    assert!(said.contains("good") && said.contains("dmarc"), "{said}");
    assert_eq!(field(&remote.wait_mails(1).remove(0).message, "Subject").unwrap(), "Waits");
}
