//! The clients: strangers and our own senders, and a reader of INBOX. Each writes down what it asked for and what it was
//! promised, until the daemon goes away.

use crate::ledger::{Asked, Delivery, Ledger, Removal, Shown};
use crate::log::Pen;
use crate::mails::{MARK, mail};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::Duration;
use tests::{Daemon, Imap, Smtp};
use world::Random;
use world::fake::FakeRandom;

pub(crate) const ALICE: &str = "alice@example.org";
pub(crate) const BOB: &str = "bob@example.org";

/// A sender's messages.
struct Sender {
    pen: Pen,
    random: FakeRandom,
    ledger: Ledger,
}

impl Sender {
    /// Gives over one message. Whether the daemon is still there.
    fn send(&mut self, smtp: &mut Smtp, from: &str, to: &[&str], token: &str) -> bool {
        let text = mail(from, to[0], token, &self.random);
        self.ledger.texts.insert(token.to_owned(), Arc::clone(&text));
        let begun = self.pen.place();
        let accepted = matches!(smtp.try_deliver(from, to, &text), Ok(true));
        let asked = Asked { begun, answered: accepted.then(|| self.pen.place()) };
        let local = |name: &&'static str| to.contains(name);
        self.ledger.deliveries.push(Delivery {
            asked,
            token: token.to_owned(),
            inboxes: [ALICE, BOB].into_iter().filter(local).collect(),
            goes_out: to.iter().any(|to| to.ends_with("@remote.test")),
        });
        accepted
    }
}

/// Somebody else's server, which sends to one or both of our accounts.
pub(crate) fn stranger(maddy: &Daemon, pen: &Pen, name: String, seed: u64) -> JoinHandle<Ledger> {
    let mut smtp = maddy.smtp();
    let mut sender = Sender { pen: pen.clone(), random: FakeRandom::seeded(seed), ledger: Ledger::default() };
    thread::spawn(move || {
        for n in 0.. {
            let to: &[&str] = if sender.random.below(3) == 0 { &[ALICE, BOB] } else { &[ALICE] };
            if !sender.send(&mut smtp, "eve@remote.test", to, &format!("{MARK}{name}n{n}")) {
                break;
            }
        }
        sender.ledger
    })
}

/// One of our own, who writes to the other server, and sometimes to both.
pub(crate) fn submitter(maddy: &Daemon, pen: &Pen, name: String, seed: u64) -> JoinHandle<Ledger> {
    let mut smtp = maddy.submit(ALICE);
    let mut sender = Sender { pen: pen.clone(), random: FakeRandom::seeded(seed), ledger: Ledger::default() };
    thread::spawn(move || {
        for n in 0.. {
            let to: &[&str] =
                if sender.random.below(3) == 0 { &["carl@remote.test", BOB] } else { &["carl@remote.test"] };
            let fate = match sender.random.below(8) {
                0 => "refused",
                1 => "later",
                _ => "",
            };
            if !sender.send(&mut smtp, ALICE, to, &format!("{MARK}{name}n{n}{fate}")) {
                break;
            }
            // The queue is to be drained as it is filled.
            thread::sleep(Duration::from_millis(sender.random.below(40)));
        }
        sender.ledger
    })
}

/// Says a command, and hears all lines up to the tagged one, which comes last. `None` if the daemon is gone.
pub(crate) fn lines(imap: &mut Imap, command: &str) -> Option<Vec<String>> {
    imap.try_send(format!("c {command}\r\n").as_bytes()).ok()?;
    rest(imap)
}

/// APPEND, with a literal that waits to be asked for.
pub(crate) fn append(imap: &mut Imap, name: &str, flags: &str, text: &str) -> Option<Vec<String>> {
    imap.try_send(format!("c APPEND \"{name}\" ({flags}) {{{}}}\r\n", text.len()).as_bytes()).ok()?;
    let line = imap.try_hear().ok()??;
    if !line.starts_with('+') {
        return Some(vec![line.trim_start_matches("c ").to_owned()]);
    }
    imap.try_send(format!("{text}\r\n").as_bytes()).ok()?;
    rest(imap)
}

fn rest(imap: &mut Imap) -> Option<Vec<String>> {
    let mut lines = Vec::new();
    loop {
        let line = imap.try_hear().ok()??;
        let last = line.strip_prefix("c ").map(str::to_owned);
        let is_last = last.is_some();
        lines.push(last.unwrap_or(line));
        if is_last {
            return Some(lines);
        }
    }
}

/// The same, if the answer is OK.
pub(crate) fn done(imap: &mut Imap, command: &str) -> Option<Vec<String>> {
    lines(imap, command).filter(|lines| lines.last().is_some_and(|last| last.starts_with("OK")))
}

/// The number after a word.
pub(crate) fn number(text: &str, word: &str) -> Option<u64> {
    let rest = &text[text.find(word)? + word.len()..];
    rest[..rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len())].parse().ok()
}

/// Looks at alice's INBOX again and again, notes what it is shown, and takes messages away.
pub(crate) fn reader(maddy: &Daemon, pen: &Pen, seed: u64) -> JoinHandle<Ledger> {
    let imap = maddy.imap(ALICE);
    let reader = Reader {
        imap,
        pen: pen.clone(),
        random: FakeRandom::seeded(seed),
        ledger: Ledger::default(),
        known: BTreeMap::new(),
        last: 0,
    };
    thread::spawn(move || reader.run())
}

struct Reader {
    imap: Imap,
    pen: Pen,
    random: FakeRandom,
    ledger: Ledger,
    known: BTreeMap<u32, String>,
    last: u32,
}

impl Reader {
    fn run(mut self) -> Ledger {
        if done(&mut self.imap, "SELECT INBOX").is_some() {
            while self.look().is_some() {
                thread::sleep(Duration::from_millis(self.random.below(30)));
            }
        }
        self.ledger
    }

    fn look(&mut self) -> Option<()> {
        let status = done(&mut self.imap, "STATUS INBOX (UIDNEXT UIDVALIDITY HIGHESTMODSEQ)")?;
        let at = self.pen.place();
        let line = status.iter().find(|line| line.starts_with("* STATUS"))?;
        self.ledger.shown.push(Shown {
            at,
            validity: number(line, "UIDVALIDITY ")? as u32,
            next: number(line, "UIDNEXT ")? as u32,
            modseq: number(line, "HIGHESTMODSEQ ")?,
        });
        let fetch = format!("UID FETCH {}:* (UID BODY.PEEK[HEADER.FIELDS (SUBJECT)])", self.last + 1);
        let lines = done(&mut self.imap, &fetch)?;
        let at = self.pen.place();
        let mut uid = None;
        for line in &lines {
            uid = number(line, "(UID ").or(uid);
            if let (Some(uid), Some(token)) = (uid, line.strip_prefix("Subject: ")) {
                let uid = uid as u32;
                if uid > self.last {
                    self.last = uid;
                    self.ledger.uids.push((at, uid, token.to_owned()));
                    self.known.insert(uid, token.to_owned());
                }
            }
        }
        for _ in 0..self.random.below(4) {
            self.remove()?;
        }
        Some(())
    }

    fn remove(&mut self) -> Option<()> {
        let ours: Vec<u32> =
            self.known.iter().filter(|(_, token)| token.starts_with(MARK)).map(|(uid, _)| *uid).collect();
        let Some(&uid) = ours.get(self.random.below(ours.len() as u64) as usize) else { return Some(()) };
        let token = self.known.remove(&uid)?;
        done(&mut self.imap, &format!("UID STORE {uid} +FLAGS.SILENT (\\Deleted)"))?;
        let begun = self.pen.place();
        let outcome = done(&mut self.imap, &format!("UID EXPUNGE {uid}"));
        let answered = outcome.is_some().then(|| self.pen.place());
        self.ledger.removals.push(Removal { asked: Asked { begun, answered }, token });
        outcome.map(|_| ())
    }
}
