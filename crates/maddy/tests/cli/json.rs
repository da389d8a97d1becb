//! `--json`: of every command that lists or shows something, and what it prints is JSON and nothing else.

use crate::house::House;
use serde_json::Value;

/// What an account needs to have, so that there is something to show.
fn furnished() -> House {
    let house = House::new();
    house.run_with(&["account", "add", "alice@example.org"], b"correct horse\n").ok();
    house.run_with(&["imap-msgs", "add", "alice@example.org", "INBOX"], b"Subject: one\r\n\r\ntext\r\n").ok();
    house
}

/// Commands that only look, with what they look at. They work without a daemon.
const LOOKING: [&[&str]; 25] = [
    &["version"],
    &["config", "check"],
    &["config", "options"],
    &["account", "list"],
    &["creds", "list"],
    &["creds", "app-password", "list", "alice@example.org"],
    &["creds", "certificate", "list", "alice@example.org"],
    &["imap-acct", "list"],
    &["imap-acct", "stat", "alice@example.org"],
    &["imap-acct", "appendlimit", "alice@example.org"],
    &["imap-acct", "quota", "alice@example.org"],
    &["imap-mboxes", "list", "alice@example.org"],
    &["imap-mboxes", "rights", "alice@example.org", "INBOX"],
    &["imap-msgs", "list", "alice@example.org", "INBOX"],
    &["queue", "list"],
    &["queue", "suppressed", "list"],
    &["reports", "list"],
    &["reports", "summary"],
    &["dkim", "list"],
    &["dns", "records"],
    &["verify"],
    &["install", "--dry-run", "--root", "nowhere"],
    &["uninstall", "--dry-run", "--root", "nowhere"],
    &["account", "add", "bob@example.org"],
    &["account", "remove", "--yes", "bob@example.org"],
];

/// The same, of what only a daemon knows.
const ASKING: [&[&str]; 3] = [&["tls", "list"], &["creds", "guesses", "list"], &["reload"]];

#[track_caller]
fn is_json(house: &House, words: &[&str]) {
    let mut words = words.to_vec();
    words.push("--json");
    let done = house.run_with(&words, b"correct horse\n");
    assert_eq!(done.status, 0, "{words:?}: {done:?}");
    let value: Value =
        serde_json::from_str(&done.out).unwrap_or_else(|error| panic!("{words:?}: {error}: {done:?}"));
    assert!(value.is_array() || value.is_object(), "{words:?}: {value}");
}

#[test]
fn what_lists_or_shows_prints_json_when_asked() {
    let house = furnished();
    for words in LOOKING {
        is_json(&house, words);
    }
    let _daemon = house.daemon();
    for words in ASKING.iter().chain(&LOOKING) {
        is_json(&house, words);
    }
}
