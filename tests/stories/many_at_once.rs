//! Many senders and readers at the same time: every mail arrives once, and all readers agree.

use std::collections::BTreeSet;
use std::thread;
use tests::{Imap, Setup, field, message};

const SENDERS: usize = 40;
const MAILS: usize = 8;

/// Waits in IDLE until the mailbox holds `wanted`; each number must be larger than the one before.
fn watch(mut reader: Imap, wanted: usize) {
    let mut seen = 0;
    while seen < wanted {
        let response = reader.wait_for("* * EXISTS");
        let n = response.split(' ').nth(1).and_then(|n| n.parse().ok()).unwrap();
        assert!(n > seen, "{n} after {seen}");
        seen = n;
    }
    assert_eq!(seen, wanted);
    reader.done();
    let uids: Vec<String> = reader.ok("FETCH 1:* UID");
    assert_eq!(uids.len(), wanted);
}

#[test]
fn every_mail_arrives_once_and_all_readers_agree() {
    let mut setup = Setup::new();
    setup.account("alice@example.org");
    setup.account("bob@example.org");
    let maddy = setup.start();
    let mut readers = Vec::new();
    for name in ["alice@example.org", "bob@example.org", "alice@example.org"] {
        let mut reader = maddy.imap(name);
        reader.ok("SELECT INBOX");
        reader.idle();
        readers.push(thread::spawn(move || watch(reader, SENDERS * MAILS)));
    }
    let senders: Vec<_> = (0..SENDERS)
        .map(|sender| {
            let mut smtp = maddy.smtp();
            thread::spawn(move || {
                for n in 0..MAILS {
                    let subject = format!("from {sender} number {n}");
                    let text = message("eve@remote.test", "all@example.org", &subject, "text");
                    smtp.deliver("eve@remote.test", &["alice@example.org", "bob@example.org"], &text);
                }
            })
        })
        .collect();
    for thread in senders.into_iter().chain(readers) {
        thread.join().unwrap();
    }
    for name in ["alice@example.org", "bob@example.org"] {
        let texts = maddy.imap(name).texts("INBOX");
        let subjects: BTreeSet<String> = texts.iter().map(|text| field(text, "Subject").unwrap()).collect();
        assert_eq!((texts.len(), subjects.len()), (SENDERS * MAILS, SENDERS * MAILS), "{name}");
    }
}
