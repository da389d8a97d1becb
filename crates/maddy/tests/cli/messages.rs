//! `imap-msgs` without a daemon.

use crate::house::House;
use serde_json::Value;

const BOB: &str = "bob@example.org";

fn house_with_mail() -> House {
    let house = House::new();
    house.run(&["imap-acct", "create", BOB]).ok();
    for number in 1..=3 {
        let message =
            format!("From: A <a@x.example>\nSubject: =?utf-8?q?Gr=C3=BC=C3=9Fe?= {number}\n\nline\n");
        let uid = house
            .run_with(&["imap-msgs", "add", BOB, "INBOX", "-d", "2026-01-31T12:00:00Z"], message.as_bytes());
        assert_eq!(uid.ok(), format!("{number}\n"));
    }
    house
}

/// UIDs and flags of a mailbox.
fn shown(house: &House, mailbox: &str) -> String {
    let list: Value =
        serde_json::from_str(&house.run(&["imap-msgs", "list", BOB, mailbox, "--json"]).ok()).unwrap();
    let one = |message: &Value| {
        let flags: Vec<&str> =
            message["flags"].as_array().unwrap().iter().map(|flag| flag.as_str().unwrap()).collect();
        format!("{}{{{}}}", message["uid"], flags.join(" "))
    };
    list.as_array().unwrap().iter().map(one).collect::<Vec<_>>().join(" ")
}

#[test]
fn messages_come_and_go() {
    let house = house_with_mail();
    let table = house.run(&["imap-msgs", "list", BOB, "INBOX", "2"]).ok();
    assert_eq!(
        table,
        "NO  UID  RECEIVED          SIZE  FLAGS  FROM             SUBJECT\n \
         2    2  2026-01-31 12:00  71 B         A <a@x.example>  Grüße 2\n"
    );
    let dump = house.run(&["imap-msgs", "dump", BOB, "INBOX", "2"]).ok();
    assert_eq!(dump, "From: A <a@x.example>\r\nSubject: =?utf-8?q?Gr=C3=BC=C3=9Fe?= 2\r\n\r\nline\r\n");

    house.run(&["imap-msgs", "add-flags", BOB, "INBOX", "1:2", "seen", "$Work"]).ok();
    house.run(&["imap-msgs", "rem-flags", BOB, "INBOX", "2", "\\Seen"]).ok();
    house.run(&["imap-msgs", "set-flags", BOB, "INBOX", "*", "flagged"]).ok();
    assert_eq!(shown(&house, "INBOX"), "1{\\Seen $Work} 2{$Work} 3{\\Flagged}");

    assert_eq!(house.run(&["imap-msgs", "remove", BOB, "INBOX", "1", "-y"]).ok(), "1 message removed\n");
    house.run(&["imap-msgs", "copy", BOB, "INBOX", "--uid", "3", "Archive"]).ok();
    assert_eq!(house.run(&["imap-msgs", "move", BOB, "INBOX", "1", "Trash"]).ok(), "1 message moved\n");
    assert_eq!(shown(&house, "INBOX"), "3{\\Flagged}");
    assert_eq!(shown(&house, "Archive"), "1{\\Flagged}");
    assert_eq!(shown(&house, "Trash"), "1{$Work}");
    let copy = house.run(&["imap-msgs", "dump", BOB, "Archive", "1"]).ok();
    assert!(copy.contains("?= 3\r\n"), "{copy}");
}

#[test]
fn long_lists_are_whole() {
    let house = house_with_mail();
    for _ in 0..7 {
        house.run(&["imap-msgs", "copy", BOB, "INBOX", "1:*", "INBOX"]).ok();
    }
    let list: Value =
        serde_json::from_str(&house.run(&["imap-msgs", "list", BOB, "INBOX", "--json"]).ok()).unwrap();
    let numbers: Vec<u64> =
        list.as_array().unwrap().iter().map(|message| message["number"].as_u64().unwrap()).collect();
    assert_eq!(numbers, (1..=3 * 128).collect::<Vec<u64>>());
}

#[test]
fn large_messages_come_back_whole() {
    let house = house_with_mail();
    let mut message = b"Subject: large\r\n\r\n".to_vec();
    for line in 0..150_000 {
        message.extend(format!("{line:058}\r\n").bytes());
    }
    house.run_with(&["imap-msgs", "add", BOB, "INBOX", "-f", "seen"], &message).ok();
    let dump = house.run(&["imap-msgs", "dump", BOB, "INBOX", "*"]).ok();
    assert!(dump.as_bytes() == message, "{} octets instead of {}", dump.len(), message.len());
}

#[test]
fn what_is_not_there_is_named() {
    let house = house_with_mail();
    for (args, want) in [
        (&["dump", BOB, "INBOX", "9"][..], "INBOX has no message 9"),
        (
            &["dump", BOB, "Nowhere", "1"],
            "there is no mailbox Nowhere; `maddy imap-mboxes list` shows those that there are",
        ),
        (&["copy", BOB, "INBOX", "1", "Nowhere"], "there is no mailbox Nowhere"),
        (&["set-flags", BOB, "INBOX", "1", "\\Wrong"], "\\Wrong is no flag"),
        (&["remove", BOB, "INBOX", "x", "-y"], "\"x\" names no messages; write it like 5, 2:4,7 or 10:*"),
        (&["list", "nobody@example.org", "INBOX"], "there is no account nobody@example.org"),
        (&["add", BOB, "INBOX"], "no message came on standard input"),
    ] {
        let args: Vec<&str> = ["imap-msgs"].iter().chain(args).copied().collect();
        let err = house.run(&args).fails(1);
        assert!(err.starts_with(&format!("maddy: {want}")), "{err}");
    }
}
