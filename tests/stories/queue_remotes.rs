//! Remote servers of all kinds, each with the outcome that is wanted, in text.

use serde_json::Value;
use tests::{Daemon, Remote, Setup, assert_like, eventually, message};

/// How a remote behaves, to whom we send, and what comes of it: the mails that it takes (recipients each), what is left in the
/// queue, and what the sender is told.
struct Row {
    name: &'static str,
    behave: fn(&Remote),
    to: &'static [&'static str],
    taken: &'static [&'static str],
    queue: &'static [&'static str],
    notices: &'static [&'static str],
    /// What the attempts say that `maddy queue show` or the log has, at least once each.
    said: &'static [&'static str],
}

const ROWS: &[Row] = &[
    Row {
        name: "greylists",
        behave: |remote| remote.rule_times(2, "RCPT*", "451 4.7.1 greylisted, come back"),
        to: &["a@remote.test"],
        taken: &["a"],
        queue: &[],
        notices: &[],
        said: &["*deferred*451 4.7.1 greylisted*"],
    },
    Row {
        name: "drops in DATA",
        behave: |remote| remote.drop_once("DATA+"),
        to: &["a@remote.test"],
        taken: &["a"],
        queue: &[],
        notices: &[],
        said: &["*deferred*before the message was confirmed*"],
    },
    Row {
        name: "is down",
        behave: Remote::stop,
        to: &["a@remote.test"],
        taken: &[],
        queue: &["a@remote.test waiting *451 4.4.1 *connection refused"],
        notices: &[],
        said: &["*deferred*connection refused*"],
    },
    Row {
        name: "accepts one of three",
        behave: |remote| {
            remote.rule("RCPT TO:<b@*", "550 5.1.1 no such user");
            remote.rule("RCPT TO:<c@*", "452 4.2.2 mailbox full");
        },
        to: &["a@remote.test", "b@remote.test", "c@remote.test"],
        taken: &["a"],
        queue: &[
            "a@remote.test delivered *250 2.0.0 accepted",
            "b@remote.test failed *550 5.1.1 no such user",
            "c@remote.test waiting *452 4.2.2 mailbox full",
        ],
        notices: &["*Final-Recipient: rfc822; b@remote.test*Action: failed*Status: 5.1.1*"],
        said: &["*failed*550 5.1.1 no such user*", "*deferred*452 4.2.2 mailbox full*"],
    },
    Row {
        name: "refuses for good",
        behave: |remote| {
            remote.rule("MAIL*", "550 5.7.1 not from you");
            remote.rule("RCPT*", "503 5.5.1 MAIL first");
        },
        to: &["a@remote.test"],
        taken: &[],
        queue: &[],
        notices: &["*Action: failed*Status: 5.7.1*550 5.7.1 not from you*"],
        said: &["*failed*550 5.7.1 not from you*"],
    },
];

/// Recipients in the queue, a line each: `address state host reply`.
fn queue(maddy: &Daemon) -> Vec<String> {
    let jobs: Value = serde_json::from_str(&maddy.cli(&["queue", "list", "--json"]).ok()).unwrap();
    let mut lines = Vec::new();
    for job in jobs.as_array().unwrap() {
        for one in job["recipients"].as_array().unwrap() {
            let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
            let (host, reply) = (text(&one["last"]["host"]), text(&one["last"]["reply"]));
            lines.push(format!("{} {} {host} {reply}", text(&one["address"]), text(&one["state"])));
        }
    }
    lines
}

fn is_like(lines: &[String], wanted: &[&str]) -> bool {
    lines.len() == wanted.len() && lines.iter().zip(wanted).all(|(line, want)| tests::is_like(line, want))
}

fn play(row: &Row) {
    let mut setup = Setup::new();
    setup.account("alice@example.org");
    setup.zone("remote.test MX 10 mx.remote.test");
    let remote = setup.remote("mx.remote.test", 2);
    (row.behave)(&remote);
    let maddy = setup.start();
    let text = message("alice@example.org", "all@remote.test", "Hello", "text");
    maddy.submit("alice@example.org").deliver("alice@example.org", row.to, &text);
    eventually(&format!("{}: the queue is as wanted", row.name), || {
        is_like(&queue(&maddy), row.queue).then_some(())
    });
    let taken: Vec<String> =
        remote.wait_mails(row.taken.len()).iter().map(|mail| mail.to.join(" ")).collect();
    assert_eq!(taken.len(), row.taken.len(), "{}: {taken:?}", row.name);
    for (taken, want) in taken.iter().zip(row.taken) {
        assert_like(taken, &format!("<{want}@remote.test>*"));
    }
    let mut alice = maddy.imap("alice@example.org");
    assert_eq!(alice.wait_messages("INBOX", row.notices.len()), row.notices.len(), "{}", row.name);
    for (notice, want) in alice.texts("INBOX").iter().zip(row.notices) {
        assert_like(notice, want);
    }
    for said in row.said {
        maddy.wait_log(said);
    }
}

#[test]
fn a_remote_that_greylists() {
    play(&ROWS[0]);
}

#[test]
fn a_remote_that_drops_in_data() {
    play(&ROWS[1]);
}

#[test]
fn a_remote_that_is_down() {
    play(&ROWS[2]);
}

#[test]
fn a_remote_that_accepts_one_of_three() {
    play(&ROWS[3]);
}

#[test]
fn a_remote_that_refuses_for_good() {
    play(&ROWS[4]);
}

/// The third connection is sent away: what went over the first two is delivered, and the rest follows once it may.
#[test]
fn a_remote_that_says_421_to_the_third_connection() {
    let mut setup = Setup::new();
    setup.account("alice@example.org");
    setup.option("delivery", "reuse \"0s\"");
    setup.zone("remote.test MX 10 mx.remote.test");
    let remote = setup.remote("mx.remote.test", 2);
    let maddy = setup.start();
    let mut alice = maddy.submit("alice@example.org");
    let mut send = |n: usize| {
        let text = message("alice@example.org", "a@remote.test", &format!("mail {n}"), "text");
        alice.deliver("alice@example.org", &["a@remote.test"], &text);
    };
    for n in 1..=2 {
        send(n);
        remote.wait_mails(n);
    }
    assert_eq!(remote.connections(), 2);
    remote.rule_times(1, "CONNECT", "421 4.7.0 too many connections");
    send(3);
    send(4);
    let mails = remote.wait_mails(4);
    assert_eq!(mails.len(), 4, "each once");
    eventually("the queue is empty", || queue(&maddy).is_empty().then_some(()));
    assert!(remote.connections() >= 5);
    assert_eq!(maddy.imap("alice@example.org").count("INBOX"), 0);
    maddy.wait_log("*421 4.7.0 too many connections*");
}
