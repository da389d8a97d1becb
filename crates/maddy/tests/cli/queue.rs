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
