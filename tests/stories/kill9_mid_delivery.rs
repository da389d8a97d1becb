//! kill -9 at random moments under load: what was acknowledged is there after the restart, at most twice.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use tests::{Daemon, Imap, Setup, Smtp, eventually, field, message};
use world::Random;
use world::fake::FakeRandom;

const ROUNDS: u64 = 4;

/// Subjects that were answered with 250.
type Promised = Arc<Mutex<Vec<String>>>;

fn promised(list: &Promised) -> Vec<String> {
    list.lock().unwrap_or_else(PoisonError::into_inner).clone()
}

/// Sends until the server is gone.
fn send_on(mut smtp: Smtp, from: &'static str, to: &'static str, name: &str, list: &Promised) {
    for n in 0.. {
        let subject = format!("{name} {n}");
        let text = message(from, to, &subject, &"some text that takes a while\n".repeat(200));
        match smtp.try_deliver(from, &[to], &text) {
            Ok(true) => list.lock().unwrap_or_else(PoisonError::into_inner).push(subject),
            Ok(false) => panic!("{subject} was refused\n{}", smtp.said()),
            Err(_) => return,
        }
    }
}

/// Puts messages into Drafts and moves them on to Archive until the server is gone. What is promised: each is in one
/// of the two, once.
fn file_on(mut imap: Imap, name: &str, list: &Promised) {
    imap.ok("SELECT Drafts");
    for n in 0.. {
        let subject = format!("{name} {n}");
        let text = message(
            "alice@example.org",
            "alice@example.org",
            &subject,
            &"some text that takes a while\n".repeat(50),
        );
        match imap.try_append("Drafts", &text) {
            Some(result) if result.starts_with("OK") => {
                list.lock().unwrap_or_else(PoisonError::into_inner).push(subject);
            }
            Some(result) => panic!("{subject} was refused: {result}"),
            None => return,
        }
        if n % 2 == 0 && imap.try_run("UID MOVE 1:* Archive").is_none() {
            return;
        }
    }
}

/// Load from all sides, and the end in its middle.
fn one_round(maddy: &mut Daemon, round: u64, random: &FakeRandom, lists: &[Promised; 3]) {
    let [inward, outward, filed] = lists;
    let before = lists.each_ref().map(|list| promised(list).len());
    let mut senders = Vec::new();
    for sender in 0..2 {
        let (smtp, list) = (maddy.smtp(), inward.clone());
        let name = format!("in {round} {sender}");
        senders
            .push(thread::spawn(move || send_on(smtp, "eve@remote.test", "alice@example.org", &name, &list)));
        let (smtp, list) = (maddy.submit("alice@example.org"), outward.clone());
        let name = format!("out {round} {sender}");
        senders.push(thread::spawn(move || {
            send_on(smtp, "alice@example.org", "carl@remote.test", &name, &list)
        }));
    }
    let (imap, list) = (maddy.imap("alice@example.org"), filed.clone());
    let name = format!("filed {round}");
    senders.push(thread::spawn(move || file_on(imap, &name, &list)));
    eventually("all ways have load", || {
        lists.iter().zip(before).all(|(list, before)| promised(list).len() > before).then_some(())
    });
    thread::sleep(Duration::from_millis(random.below(400)));
    maddy.kill();
    for sender in senders {
        sender.join().unwrap();
    }
}

fn by_subject<'a>(texts: impl IntoIterator<Item = &'a String>) -> BTreeMap<String, usize> {
    let mut counts = BTreeMap::new();
    for text in texts {
        assert!(text.ends_with("takes a while\r\n\r\n"), "a mail is cut off:\n{text}");
        *counts.entry(field(text, "Subject").unwrap()).or_default() += 1;
    }
    counts
}

#[test]
fn what_was_promised_is_kept() {
    let seed = std::env::var("MADDY_SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or_else(|| {
        SystemTime::now().duration_since(UNIX_EPOCH).map_or(1, |since| u64::from(since.subsec_nanos()))
    });
    println!("MADDY_SEED={seed}");
    let random = FakeRandom::seeded(seed);
    let mut setup = Setup::new();
    setup.account("alice@example.org");
    setup.zone("remote.test MX 10 mx.remote.test");
    let remote = setup.remote("mx.remote.test", 2);
    let mut maddy = setup.start();
    let lists: [Promised; 3] = Default::default();
    for round in 0..ROUNDS {
        one_round(&mut maddy, round, &random, &lists);
        maddy.start();
    }
    let [inward, outward, filed] = lists.each_ref().map(promised);
    let (came, went, put) = (inward.len(), outward.len(), filed.len());
    println!("{came} mails came in, {went} went out and {put} were filed over {ROUNDS} kills");

    let mut alice = maddy.imap("alice@example.org");
    let mut found = alice.texts("Drafts");
    found.extend(alice.texts("Archive"));
    let found = by_subject(&found);
    for subject in &filed {
        assert_eq!(found.get(subject), Some(&1), "{subject} was promised");
    }
    let stored = by_subject(&alice.texts("INBOX"));
    for subject in &inward {
        assert_eq!(stored.get(subject), Some(&1), "{subject} was promised");
    }
    eventually("the queue is empty", || {
        maddy.cli(&["queue", "list", "--json"]).ok().starts_with("[]").then_some(())
    });
    let mails = remote.mails();
    let gone = by_subject(mails.iter().map(|mail| &mail.message));
    for subject in &outward {
        // A kill between the other side's 250 and our note of it sends once more; each kill can do that once.
        let times = gone.get(subject).copied().unwrap_or(0);
        assert!(times >= 1, "{subject} was promised and never went out");
        assert!(times <= 1 + usize::try_from(ROUNDS).unwrap(), "{subject} went out {times} times");
    }
}
