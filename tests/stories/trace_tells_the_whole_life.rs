//! `maddy trace`: a message that came, one that was refused, one that went out with its attempts, found by every name.

use serde_json::Value;
use tests::{Daemon, Setup, eventually, message};

/// What is told of the messages that a word finds, once it contains all of these.
fn traced(maddy: &Daemon, what: &str, wanted: &[&str]) -> String {
    let mut last = String::new();
    for _ in 0..60 {
        let output = std::process::Command::new(tests::binary())
            .arg("--config")
            .arg(maddy.setup.config_file())
            .args(["trace", what])
            .output()
            .unwrap();
        last = String::from_utf8(output.stdout).unwrap();
        if wanted.iter().all(|one| last.contains(one)) {
            return last;
        }
        std::thread::sleep(std::time::Duration::from_millis(100));
    }
    panic!("{what}: wanted {wanted:?} in\n{last}");
}

#[test]
fn from_the_first_octet_to_the_last_attempt() {
    let mut setup = Setup::new();
    setup.account("alice@example.org");
    setup.zone("remote.test MX 10 mx.remote.test\nsender.test TXT \"v=spf1 ip4:192.0.2.1 -all\"\nsender.test MX 0 mx.remote.test");
    setup.zone("_dmarc.sender.test TXT \"v=DMARC1; p=reject\"");
    let remote = setup.remote("mx.remote.test", 2);
    remote.rule_times(1, "RCPT TO:<carl@*", "450 4.2.0 greylisted by the remote");
    let mut maddy = setup.start();

    // Comes in.
    let text = format!(
        "Message-ID: <Unique-1@elsewhere.test>\r\n{}",
        message("eve@elsewhere.test", "alice@example.org", "Hi", "x")
    );
    maddy.smtp().deliver("eve@elsewhere.test", &["alice@example.org"], &text);
    for name in ["<unique-1@elsewhere.test>", "Unique-1@elsewhere.test", "eve@ELSEWHERE.test"] {
        traced(
            &maddy,
            name,
            &["checked", "finding: spf=none", "mail in", "result: accepted", "delivered", "peer: 127.0.0.1"],
        );
    }
    // Refused at RCPT, and by a policy at the end.
    let mut stranger = maddy.smtp();
    stranger.command("MAIL FROM:<bad@elsewhere.test>", "250*");
    stranger.command("RCPT TO:<nobody@example.org>", "550*");
    traced(&maddy, "nobody@example.org", &["recipient refused", "reply: 550 5.1.1"]);
    let mut spoofer = maddy.smtp();
    spoofer.command("MAIL FROM:<ceo@sender.test>", "250*");
    spoofer.command("RCPT TO:<alice@example.org>", "250*");
    spoofer.data(&message("ceo@sender.test", "alice@example.org", "Pay", "now"), "550 5.7*");
    let told = traced(
        &maddy,
        "ceo@sender.test",
        &[
            "spf=fail",
            "dmarc=fail",
            "result: 550 5.7",
            "answers: _dmarc.sender.test TXT: \"v=DMARC1; p=reject\"",
        ],
    );
    assert!(told.contains("v=spf1 ip4:192.0.2.1 -all"), "the answers of the DNS that mattered:\n{told}");

    // Goes out, at the second try.
    let text = message("alice@example.org", "carl@remote.test", "Out", "x");
    maddy.submit("alice@example.org").deliver("alice@example.org", &["carl@remote.test"], &text);
    let told = traced(
        &maddy,
        "carl@remote.test",
        &[
            "attempt: put off",
            "450 4.2.0 greylisted by the remote",
            "attempt: delivered",
            "tls: ",
            "answers: remote.test MX: 10 mx.remote.test",
            "how a host must be protected",
            "demand: Nothing, for opportunistic",
            "signatures: 2",
        ],
    );
    let id = told.lines().find_map(|line| line.strip_prefix("mail ")).unwrap().to_owned();
    maddy.stop();
    // Without a daemon, by our own id, and as JSON; a restart has lost nothing.
    let json: Value = serde_json::from_str(&maddy.cli(&["trace", &id, "--json"]).ok()).unwrap();
    let events = json[0]["events"].as_array().unwrap();
    let whats: Vec<&str> = events.iter().map(|event| event["what"].as_str().unwrap()).collect();
    assert!(whats.contains(&"mail in") && whats.contains(&"attempt: delivered"), "{whats:?}");
    let job = events.iter().find_map(|event| event["fields"]["job"].as_str()).unwrap();
    assert!(!job.is_empty());
    assert!(maddy.cli(&["trace", "nobody@nowhere.test"]).fails().contains("nothing is known"));
}

/// With a sender of ours, to somebody else.
#[test]
fn what_is_sent_on_is_told() {
    let mut setup = Setup::new();
    setup.zone("remote.test MX 10 mx.remote.test");
    setup.config("aliases { \"out@example.org\" \"dora@remote.test\"; }");
    let _remote = setup.remote("mx.remote.test", 2);
    let maddy = setup.start();
    let text = message("eve@elsewhere.test", "out@example.org", "On", "x");
    maddy.smtp().deliver("eve@elsewhere.test", &["out@example.org"], &text);
    let wanted =
        ["sent on", "from: SRS0=", "recipients: dora@remote.test", "attempt: delivered", "tls: none"];
    traced(&maddy, "dora@remote.test", &wanted);
}

#[test]
fn what_is_switched_off_is_not_kept() {
    let mut setup = Setup::new();
    setup.account("alice@example.org");
    setup.config("trace { enabled #false }");
    let mut maddy = setup.start();
    maddy.smtp().deliver(
        "eve@elsewhere.test",
        &["alice@example.org"],
        &message("eve@elsewhere.test", "alice@example.org", "Hi", "x"),
    );
    eventually("it is there", || (maddy.imap("alice@example.org").count("INBOX") == 1).then_some(()));
    maddy.stop();
    maddy.cli(&["trace", "eve@elsewhere.test"]).fails();
}
