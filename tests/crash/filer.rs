//! A client that files: it has mailboxes of its own, so that after every command it is known what they must hold.

use crate::ledger::{Asked, Box, Boxes, Filing, Ledger, Step};
use crate::load::{append, done, lines, number};
use crate::log::Pen;
use crate::mails::{MARK, mail};
use std::collections::BTreeSet;
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use tests::{Daemon, Imap};
use world::Random;
use world::fake::FakeRandom;

/// Its mailboxes; the last is deleted and made again.
const BOXES: [&str; 3] = ["one", "two", "three"];
const WORDS: [&str; 6] = ["\\Seen", "\\Answered", "\\Flagged", "\\Draft", "later", "$Junk"];
/// More than this many messages are cleared away.
const MANY: usize = 30;

pub(crate) fn filer(
    maddy: &Daemon,
    account: &'static str,
    pen: &Pen,
    name: &str,
    seed: u64,
) -> JoinHandle<Ledger> {
    let filer = Filer {
        imap: maddy.imap(account),
        pen: pen.clone(),
        random: FakeRandom::seeded(seed),
        name: name.to_owned(),
        boxes: Boxes::new(),
        steps: Vec::new(),
        ledger: Ledger::default(),
        count: 0,
    };
    thread::spawn(move || filer.run(account))
}

struct Filer {
    imap: Imap,
    pen: Pen,
    random: FakeRandom,
    name: String,
    boxes: Boxes,
    steps: Vec<Step>,
    ledger: Ledger,
    count: u32,
}

impl Filer {
    fn run(mut self, account: &'static str) -> Ledger {
        if BOXES.iter().all(|name| self.create(name).is_some()) {
            while self.work().is_some() {}
        }
        let filing = Filing { account, prefix: format!("{}-", self.name), steps: self.steps };
        self.ledger.filings.push(filing);
        self.ledger
    }

    fn full(&self, name: &str) -> String {
        format!("{}-{name}", self.name)
    }

    /// Asks for something that leads to `after`. `None`: the daemon is gone.
    fn ask(&mut self, command: &str, after: Boxes) -> Option<Vec<String>> {
        let begun = self.pen.place();
        let heard = lines(&mut self.imap, command);
        self.heard(begun, command, heard, after)
    }

    fn heard(
        &mut self,
        begun: u64,
        command: &str,
        heard: Option<Vec<String>>,
        after: Boxes,
    ) -> Option<Vec<String>> {
        let place = self.pen.place();
        let last = heard.as_ref().and_then(|lines| lines.last().cloned());
        let is_done = last.as_ref().is_some_and(|last| last.starts_with("OK"));
        // SQLite takes a disk that cannot be read for a damaged database.
        let words = ["UNAVAILABLE", "CORRUPTION", "BYE"];
        let is_trouble = last.is_none_or(|last| words.iter().any(|word| last.contains(word)));
        assert!(is_done || is_trouble, "{command}: {heard:?}");
        let answered = is_done.then_some(place);
        self.steps.push(Step { asked: Asked { begun, answered }, after: after.clone() });
        if is_done {
            self.boxes = after;
        }
        heard.filter(|_| is_done)
    }

    fn create(&mut self, name: &str) -> Option<()> {
        let name = self.full(name);
        let mut after = self.boxes.clone();
        after.insert(name.clone(), Box { next: 1, ..Box::default() });
        self.ask(&format!("CREATE \"{name}\""), after)?;
        self.learn(&name)
    }

    /// UIDVALIDITY is the daemon's to choose.
    fn learn(&mut self, name: &str) -> Option<()> {
        let lines = done(&mut self.imap, &format!("STATUS \"{name}\" (UIDVALIDITY UIDNEXT HIGHESTMODSEQ)"))?;
        let line = lines.iter().find(|line| line.starts_with("* STATUS"))?;
        let validity = number(line, "UIDVALIDITY ")? as u32;
        let modseq = number(line, "HIGHESTMODSEQ ")?;
        let mailbox = self.boxes.get_mut(name)?;
        assert_eq!(number(line, "UIDNEXT "), Some(u64::from(mailbox.next)), "UIDs of {name}");
        mailbox.validity = Some(validity);
        assert!(
            modseq >= mailbox.modseq,
            "mod-sequences of {name} go back from {} to {modseq}",
            mailbox.modseq
        );
        mailbox.modseq = modseq;
        Some(())
    }

    fn any_box(&self) -> String {
        self.full(BOXES[self.random.below(BOXES.len() as u64) as usize])
    }

    /// Some messages of a mailbox, as a set of UIDs.
    fn any_messages(&self, name: &str) -> Vec<u32> {
        let odds = 1 + self.random.below(6);
        self.boxes[name].messages.keys().copied().filter(|_| self.random.below(6) < odds).collect()
    }

    fn work(&mut self) -> Option<()> {
        let name = self.any_box();
        let crowded = self.boxes[&name].messages.len() > MANY;
        match self.random.below(100) {
            _ if crowded => self.expunge(&name),
            0..35 => self.append(&name),
            35..50 => self.copy(&name, "COPY"),
            50..62 => self.copy(&name, "MOVE"),
            62..82 => self.store(&name),
            82..93 => self.expunge(&name),
            93..96 => self.make_again(),
            _ => self.learn(&name),
        }
    }

    fn append(&mut self, name: &str) -> Option<()> {
        self.count += 1;
        let token = format!("{MARK}{}n{}", self.name, self.count);
        let text = mail("me@example.org", "me@example.org", &token, &self.random);
        self.ledger.texts.insert(token.clone(), Arc::clone(&text));
        let words: BTreeSet<String> = self.some_words();
        let mut after = self.boxes.clone();
        let mailbox = after.get_mut(name)?;
        mailbox.messages.insert(mailbox.next, (token, words.clone()));
        mailbox.next += 1;
        let flags = words.into_iter().collect::<Vec<_>>().join(" ");
        let begun = self.pen.place();
        let heard = append(&mut self.imap, name, &flags, &text);
        self.heard(begun, "APPEND", heard, after).map(|_| ())
    }

    fn some_words(&self) -> BTreeSet<String> {
        WORDS.iter().filter(|_| self.random.below(4) == 0).map(|word| (*word).to_owned()).collect()
    }

    fn select(&mut self, name: &str) -> Option<()> {
        done(&mut self.imap, &format!("SELECT \"{name}\"")).map(|_| ())
    }

    fn copy(&mut self, from: &str, verb: &str) -> Option<()> {
        let (uids, to) = (self.any_messages(from), self.any_box());
        if uids.is_empty() || to == from {
            return Some(());
        }
        self.select(from)?;
        let mut after = self.boxes.clone();
        for uid in &uids {
            let entry = after[from].messages[uid].clone();
            let target = after.get_mut(&to)?;
            target.messages.insert(target.next, entry);
            target.next += 1;
            if verb == "MOVE" {
                after.get_mut(from)?.messages.remove(uid);
            }
        }
        self.ask(&format!("UID {verb} {} \"{to}\"", set(&uids)), after).map(|_| ())
    }

    fn store(&mut self, name: &str) -> Option<()> {
        let (uids, words) = (self.any_messages(name), self.some_words());
        if uids.is_empty() {
            return Some(());
        }
        self.select(name)?;
        let sign = ["", "+", "-"][self.random.below(3) as usize];
        let mut after = self.boxes.clone();
        for uid in &uids {
            let (_, flags) = after.get_mut(name)?.messages.get_mut(uid)?;
            match sign {
                "" => flags.clone_from(&words),
                "+" => flags.extend(words.iter().cloned()),
                _ => flags.retain(|flag| !words.contains(flag)),
            }
        }
        let words = words.into_iter().collect::<Vec<_>>().join(" ");
        self.ask(&format!("UID STORE {} {sign}FLAGS ({words})", set(&uids)), after).map(|_| ())
    }

    fn expunge(&mut self, name: &str) -> Option<()> {
        let uids = self.any_messages(name);
        if uids.is_empty() {
            return Some(());
        }
        self.select(name)?;
        let mut after = self.boxes.clone();
        for uid in &uids {
            after.get_mut(name)?.messages.get_mut(uid)?.1.insert("\\Deleted".to_owned());
        }
        self.ask(&format!("UID STORE {} +FLAGS.SILENT (\\Deleted)", set(&uids)), after)?;
        let mut after = self.boxes.clone();
        // A STORE elsewhere may have left others marked: those are to stay.
        after.get_mut(name)?.messages.retain(|uid, _| !uids.contains(uid));
        self.ask(&format!("UID EXPUNGE {}", set(&uids)), after).map(|_| ())
    }

    /// A mailbox that is made again under its name must not be taken for the old one.
    fn make_again(&mut self) -> Option<()> {
        let name = self.full(BOXES[2]);
        self.select(&self.full(BOXES[0]))?;
        let mut after = self.boxes.clone();
        let old = after.remove(&name)?.validity;
        self.ask(&format!("DELETE \"{name}\""), after)?;
        self.create(BOXES[2])?;
        let new = self.boxes[&name].validity;
        assert!(old < new, "{name} was made again with UIDVALIDITY {new:?} after {old:?}");
        Some(())
    }
}

fn set(uids: &[u32]) -> String {
    uids.iter().map(u32::to_string).collect::<Vec<_>>().join(",")
}
