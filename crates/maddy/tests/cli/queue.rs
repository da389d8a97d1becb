//! `queue`.

use crate::house::{House, LISTEN, PATIENCE};
use crate::line::Line;
use serde_json::Value;
use std::time::Instant;

/// A name server that is not there: whatever goes out waits in the queue.
const NO_DNS: &str = "dns { server \"127.0.0.1:9\"; timeout \"50ms\"; retries 0; patience \"100ms\"; }";

#[test]
fn the_queue_is_empty_at_first() {
    let house = House::new();
    assert_eq!(house.run(&["queue", "list", "--json"]).ok(), "[]\n");
    assert_eq!(house.run(&["queue", "list"]).err, "the queue is empty\n");
    assert_eq!(house.run(&["queue", "retry"]).ok(), "0 recipients will be tried now\n");
    assert!(house.run(&["queue", "show", "1"]).fails(1).contains("there is no message 1 in the queue"));
    house.run(&["queue", "remove", "1"]).fails(1);
}

#[test]
fn a_message_that_waits_is_listed_shown_and_removed() {
    let house = House::new();
    let listen = LISTEN.replace("submission {", "submission { insecure-auth #true;");
    house.configure(&format!("{listen}{NO_DNS}"));
    house.run_with(&["account", "add", "a@example.org"], b"secret\n").ok();
    let mut daemon = house.daemon();
    let mut line = Line::connect(daemon.port("submission"));
    line.log_in("a@example.org", "secret");
    line.say("MAIL FROM:<a@example.org>", "250 ");
    line.say("RCPT TO:<b@elsewhere.example>", "250 ");
    line.say("DATA", "354 ");
    let taken = line.say("From: a@example.org\r\nSubject: x\r\n\r\ny\r\n.", "250 ");

    let list: Value = serde_json::from_str(&house.run(&["queue", "list", "--json"]).ok()).unwrap();
    let job = &list[0];
    assert_eq!(
        (&job["from"], &job["recipients"][0]["address"]),
        (&"a@example.org".into(), &"b@elsewhere.example".into())
    );
    assert!(taken.contains(job["mail_id"].as_str().unwrap()), "{taken}");
    let id = job["id"].to_string();
    let attempted = || {
        let job: Value = serde_json::from_str(&house.run(&["queue", "show", &id, "--json"]).ok()).unwrap();
        job["recipients"][0]["attempts"] == 1
    };
    let begun = Instant::now();
    while !attempted() {
        assert!(begun.elapsed() < PATIENCE, "nothing is tried");
    }
    let shown = house.run(&["queue", "show", &id]).ok();
    assert!(shown.contains("b@elsewhere.example\n  waiting, 1 try, next try "), "{shown}");
    assert!(house.run(&["queue", "list"]).ok().contains("a@example.org"));
    assert_eq!(house.run(&["queue", "retry", &id]).ok(), "1 recipient will be tried now\n");
    house.run(&["queue", "remove", &id]).fails(1);
    assert_eq!(house.run(&["queue", "remove", &id, "--yes"]).ok(), format!("message {id} is gone\n"));
    assert_eq!(house.run(&["queue", "list", "--json"]).ok(), "[]\n");
    assert_eq!(daemon.stop(), 0);
}

/// A daemon with one message from a@example.org to b@elsewhere.example in its queue, and the number of it.
fn with_one_message(house: &House) -> (crate::house::Daemon, String) {
    let listen = LISTEN.replace("submission {", "submission { insecure-auth #true;");
    house.configure(&format!("{listen}{NO_DNS}"));
    house.run_with(&["account", "add", "a@example.org"], b"secret\n").ok();
    let daemon = house.daemon();
    let mut line = Line::connect(daemon.port("submission"));
    line.log_in("a@example.org", "secret");
    line.say("MAIL FROM:<a@example.org>", "250 ");
    line.say("RCPT TO:<b@elsewhere.example>", "250 ");
    line.say("DATA", "354 ");
    line.say("From: a@example.org\r\nSubject: x\r\n\r\ny\r\n.", "250 ");
    let begun = Instant::now();
    loop {
        let list: Value = serde_json::from_str(&house.run(&["queue", "list", "--json"]).ok()).unwrap();
        let id = list[0]["id"].to_string();
        let job: Value = serde_json::from_str(&house.run(&["queue", "show", &id, "--json"]).ok()).unwrap();
        if job["recipients"][0]["attempts"] == 1 {
            return (daemon, id);
        }
        assert!(begun.elapsed() < PATIENCE, "nothing is tried");
    }
}

#[test]
fn a_message_is_held_changed_and_released() {
    let house = House::new();
    let (mut daemon, id) = with_one_message(&house);
    let shown: Value = serde_json::from_str(&house.run(&["queue", "show", &id, "--json"]).ok()).unwrap();
    let attempt = &shown["attempts"][0];
    assert_eq!(
        (&attempt["result"], &attempt["recipients"]),
        (&"no-way".into(), &"b@elsewhere.example".into())
    );
    assert!(attempt["reply"].as_str().unwrap().starts_with("451 4.4.3 "), "{attempt}");
    assert!(house.run(&["queue", "hold"]).fails(1).contains("or say --all"));
    assert_eq!(house.run(&["queue", "hold", "--to", "*@elsewhere.example"]).ok(), "1 message is held\n");
    assert_eq!(house.run(&["queue", "retry", "--all"]).ok(), "0 recipients will be tried now\n");
    assert_eq!(daemon.stop(), 0);
    // It stays so without the daemon, and after its next start.
    let (mut daemon, _) = (house.daemon(), ());
    assert!(house.run(&["queue", "list", "--held"]).ok().contains("held"));
    assert_eq!(
        house.run(&["queue", "list", "--domain", "other.example"]).err,
        "nothing of that kind is in the queue\n"
    );
    let edited = house.run(&[
        "queue",
        "edit",
        &id,
        "--to",
        "b@elsewhere.example=c=d@other.example",
        "--priority",
        "-3",
    ]);
    assert_eq!(edited.ok(), format!("message {id} is changed\n"));
    assert!(house.run(&["queue", "edit", &id]).fails(1).contains("say what is to be changed"));
    assert!(house.run(&["queue", "edit", &id, "--priority", "10"]).fails(1).contains("from -9 to 9"));
    let bad = house.run(&["queue", "edit", &id, "--to", "z@elsewhere.example=y@other.example"]);
    assert!(bad.fails(1).contains("it has no such recipient"));
    let shown = house.run(&["queue", "show", &id]).ok();
    assert!(shown.contains("priority  -3\nheld      since "), "{shown}");
    assert!(shown.contains("c=d@other.example\n  held, 0 tries"), "{shown}");
    assert_eq!(house.run(&["queue", "release", &id]).ok(), "1 message is released\n");
    assert_eq!(house.run(&["queue", "release", "--all"]).ok(), "0 messages are released\n");
    house.run(&["queue", "flush", "--domain", "other.example"]).ok();
    assert_eq!(house.run(&["queue", "remove", "--older-than", "1d", "--yes"]).ok(), "0 messages are gone\n");
    assert_eq!(house.run(&["queue", "remove", "--from", "a@*", "--yes"]).ok(), "1 message is gone\n");
    assert_eq!(daemon.stop(), 0);
}

#[test]
fn addresses_are_suppressed_and_freed() {
    let house = House::new();
    assert_eq!(house.run(&["queue", "suppressed", "list"]).err, "no address is suppressed\n");
    let add = ["queue", "suppressed", "add", "Gone@elsewhere.example", "--reason", "left us"];
    assert_eq!(house.run(&add).ok(), "nothing is sent to Gone@elsewhere.example any more\n");
    let list: Value =
        serde_json::from_str(&house.run(&["queue", "suppressed", "list", "--json"]).ok()).unwrap();
    assert_eq!(
        (&list[0]["address"], &list[0]["reason"]),
        (&"gone@elsewhere.example".into(), &"left us".into())
    );
    house.run(&["queue", "suppressed", "add", "nonsense"]).fails(1);
    house.run(&["queue", "suppressed", "remove", "gone@elsewhere.example"]).ok();
    let again = house.run(&["queue", "suppressed", "remove", "gone@elsewhere.example"]).fails(1);
    assert!(again.contains("is not suppressed"), "{again}");
}
