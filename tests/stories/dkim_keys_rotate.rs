//! A new signing key takes over when the DNS shows its record, through a reload and a restart; the old one goes later.

use serde_json::Value;
use tests::{Daemon, Setup, field, message};

/// Puts the records that are to be published into the DNS; gives how many there are.
fn publish(maddy: &Daemon) -> usize {
    let list = maddy.cli(&["dkim", "list"]).ok();
    let records: Vec<&str> = list.lines().filter(|line| !line.starts_with(';')).collect();
    let zone: Vec<String> = records.iter().map(|line| line.replace(". IN TXT ", " TXT ")).collect();
    maddy.setup.names().set(&zone.join("\n"));
    maddy.setup.zone("remote.test MX 10 mx.remote.test\nmx.remote.test A 127.0.0.2");
    records.len()
}

/// The selectors that a new message is signed with, the uppermost first.
fn signed_with(maddy: &Daemon, remote: &tests::Remote, count: usize) -> Vec<String> {
    let text = message("alice@example.org", "carl@remote.test", "Signed", "text");
    maddy.submit("alice@example.org").deliver("alice@example.org", &["carl@remote.test"], &text);
    let arrived = remote.wait_mails(count).pop().unwrap().message;
    assert!(field(&arrived, "DKIM-Signature").is_some());
    let selector = |line: &str| line.trim().strip_prefix("s=")?.split(';').next().map(str::to_owned);
    arrived.lines().filter_map(selector).collect()
}

#[test]
fn a_new_key_signs_when_the_dns_shows_it() {
    let mut setup = Setup::named("mx.example.org", &["example.org"]);
    setup.account("alice@example.org");
    setup.config("dkim { rotation keep=\"4s\" settle=\"1s\" look=\"1s\"; }");
    let remote = setup.remote("mx.remote.test", 2);
    let mut maddy = setup.start();
    assert_eq!(publish(&maddy), 2);
    assert_eq!(signed_with(&maddy, &remote, 1), ["maddy", "maddy-ed25519"]);

    let told = maddy.cli(&["dkim", "rotate"]).ok();
    assert!(told.contains("; example.org maddy-2") && told.contains("publish its record"), "{told}");
    maddy.wait_log("*a new DKIM key waits for its record*there is no record at this name*");
    assert_eq!(signed_with(&maddy, &remote, 2), ["maddy", "maddy-ed25519"]);
    maddy.cli(&["reload"]).ok();
    maddy.stop();
    maddy.start();
    assert_eq!(publish(&maddy), 4);
    maddy.wait_log("*the DKIM key signs from now on*maddy-ed25519-2*");
    maddy.wait_log("*the DKIM key signs from now on*selector=\"maddy-2*");
    let new = signed_with(&maddy, &remote, 3);
    assert!(new.iter().all(|selector| selector.contains("-20")), "{new:?}");
    maddy.cli(&["reload"]).ok();
    assert_eq!(signed_with(&maddy, &remote, 4), new);
    let refused = maddy.cli(&["dkim", "retire", "example.org", &new[0]]).fails();
    assert!(refused.contains("maddy dkim rotate example.org"), "{refused}");

    maddy.wait_log("*the DKIM key is retired*maddy._domainkey.example.org. IN TXT*v=DKIM1; k=rsa; p=*");
    let list: Value = serde_json::from_str(&maddy.cli(&["dkim", "list", "--json"]).ok()).unwrap();
    let stages: Vec<&str> =
        list.as_array().unwrap().iter().map(|key| key["stage"].as_str().unwrap()).collect();
    assert_eq!(stages, ["retired", "retired", "signing", "signing"]);
    assert!(!maddy.setup.state_dir().join("dkim/example.org.maddy.pem").exists());
    let shown = maddy.cli(&["dkim", "list"]).ok();
    assert!(shown.contains("; maddy._domainkey.example.org. IN TXT \"v=DKIM1; k=rsa; p=\""), "{shown}");
}

#[test]
fn keys_are_changed_without_a_daemon_too() {
    let mut maddy = Setup::named("mx.example.org", &["example.org"]).start();
    maddy.stop();
    let told = maddy.cli(&["dkim", "generate", "example.org"]).ok();
    assert!(told.contains("a DKIM key was made for later"), "{told}");
    publish(&maddy);
    let told = maddy.cli(&["dkim", "rotate", "--now"]).ok();
    assert!(told.contains("the DKIM key signs from now on"), "{told}");
    let told = maddy.cli(&["dkim", "retire", "example.org", "maddy"]).ok();
    assert!(told.contains("v=DKIM1; k=rsa; p=\""), "{told}");
    maddy.cli(&["dkim", "retire", "example.net", "maddy"]).fails();
}
