//! What is found by what was stored, step by step, is what a scan of whole messages finds.

mod index;
mod mails;

use super::find::Seen;
use super::*;
use crate::journal::Journal;
use imap_proto::sequence::Bound;
use mail::{Blob, Message, mime};
use storage::{EmailId, Shape};

/// A small generator, so that a failure can be run again from its seed.
struct Dice(u64);

impl Dice {
    fn below(&mut self, end: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(self.0 >> 33).unwrap() % end
    }

    fn one<'a>(&mut self, of: &[&'a str]) -> &'a str {
        of[self.below(of.len())]
    }

    fn some(&mut self, of: &[&str], most: usize) -> String {
        (0..self.below(most + 1)).map(|_| self.one(of)).collect()
    }
}

const WORDS: &[&str] = &[
    "a",
    "Ann",
    "grüße",
    "GRÜ",
    "é",
    "e\u{301}",
    "ß",
    " ",
    "  ",
    "\t",
    "<a@b>",
    "@",
    ",",
    "\"",
    "(x)",
    "=?utf-8?q?=C3=A9",
    "=?utf-8?q?=C3=A9?=",
    "=?utf-8?b?w6k=?=",
    "=?iso-8859-1?q?gr=FC?=",
    "\r\n ",
    "\r\n\t",
    "x",
    "1",
    ":",
    "Re: ",
];
const NAMES: &[&str] = &[
    "From",
    "from",
    "SUBJECT",
    "Subject ",
    "To",
    "Cc",
    "Bcc",
    "Date",
    "X-Own",
    "List-Id",
    "Received",
    "Message-ID",
    "",
    "Ä",
];
const DATES: &[&str] =
    &["Thu, 1 Jan 2026 10:00:00 +0000", "2 Jan 2026 00:30 +0500", "2 Jan 26", "32 Jan 2026", "", "x"];

fn header(dice: &mut Dice, most: usize) -> String {
    let mut out = String::new();
    for _ in 0..dice.below(most + 1) {
        let name = dice.one(NAMES);
        let value = if name == "Date" { dice.one(DATES).to_owned() } else { dice.some(WORDS, 6) };
        out += &format!(
            "{name}{}{value}{}",
            dice.one(&[": ", ":", ": ", ""]),
            dice.one(&["\r\n", "\r\n", "\n"])
        );
    }
    out
}

fn row(dice: &mut Dice) -> Row {
    let prefix = header(dice, 2).replace("\r\n\t", "").replace("\r\n ", "").replace('\n', "\r\n");
    let prefix = prefix.replace("\r\r", "\r");
    let first = dice.one(&["", "", "", " ", "\r\n"]);
    let long =
        if dice.below(20) == 0 { format!("Cc: {}\r\n", "x".repeat(mime::TABLE_MAX)) } else { String::new() };
    let body = if dice.below(9) > 0 { format!("\r\n{}", dice.some(WORDS, 9)) } else { String::new() };
    let received = format!("{first}{long}{}{body}", header(dice, 6)).into_bytes();
    let shape = Shape::of(&mime::analyse(&mut received.as_slice()).unwrap());
    let stored = dice.below(8) > 0;
    Row {
        uid: 1,
        flags: if dice.below(2) == 0 { Flags::SEEN } else { Flags::NONE },
        keywords: Keywords::default(),
        modseq: 1,
        received: 1_000_000_000,
        saved: 0,
        size: (prefix.len() + received.len()) as u64,
        email: EmailId::from_number(1),
        prefix_len: prefix.len() as u64,
        envelope: None,
        bodystructure: None,
        parts: stored.then(|| shape.parts.to_vec()),
        prefix: Some(prefix.clone().into_bytes()),
        key_fields: stored.then(|| shape.key_fields.to_vec()),
        header: None,
        message: Some(Message { added: prefix.into_bytes(), received: Blob::from_bytes(received) }),
    }
}

fn key(dice: &mut Dice, depth: usize) -> Key {
    let day = |dice: &mut Dice| Day { year: 2026, month: 1, day: 1 + u8::from(dice.below(2) == 0) };
    let pair = |dice: &mut Dice| vec![key(dice, depth + 1), key(dice, depth + 1)];
    match dice.below(if depth < 3 { 14 } else { 10 }) {
        0 => Key::Flag("\\Seen".to_owned()),
        1 => Key::SentOn(day(dice)),
        2 => Key::SentBefore(day(dice)),
        3 => Key::SentSince(day(dice)),
        4 => Key::Larger(dice.below(200) as u64),
        5 => Key::Body(dice.some(WORDS, 2)),
        6 => Key::Text(dice.some(WORDS, 2)),
        7..=9 => Key::Header(dice.one(NAMES).trim().to_owned(), dice.some(WORDS, 2)),
        10 => Key::And(pair(dice)),
        11 => Key::Or(pair(dice)),
        12 => Key::Fuzzy(Box::new(key(dice, depth + 1))),
        _ => Key::Not(Box::new(key(dice, depth + 1))),
    }
}

fn test(key: &Key) -> Test {
    let picture =
        Picture { keywords: vec![], marks: vec![], modseq: 1, uidnext: 2, journal: Journal::default() };
    Test::new(key, &View::new(&picture), &picture, &UidSet::new(), 0)
}

const TARGET: Target = Target { number: 1, uid: 1 };

/// As a search goes: from step to step until the message is decided.
fn in_steps(test: &Test, row: &Row) -> bool {
    let mark = Mark { modseq: row.modseq, keywords: row.keywords, uid: row.uid, flags: row.flags };
    let mut verdict = test.judge(&Known::from_mark(TARGET, &mark));
    for depth in test.depths() {
        if verdict.is_some() {
            break;
        }
        let mut row = row.clone();
        let columns = depth.columns();
        if !columns.contains(Columns::MESSAGE) {
            row.message = None;
        }
        if !columns.contains(Columns::KEY_FIELDS) {
            row.key_fields = None;
        }
        let Seen { what: (_, judged), keys } = test.look(depth, TARGET, &mut row);
        assert_eq!(keys.is_some(), columns.contains(Columns::MESSAGE) && row.key_fields.is_none());
        verdict = judged;
    }
    verdict.expect("every message is decided in the end")
}

/// The whole message at once.
fn in_one(test: &Test, row: &Row) -> bool {
    let mut row = row.clone();
    row.key_fields = None;
    let (text, _) = Haystack::read(&mut row, Depth::Body).unwrap();
    let Row { flags, keywords, modseq, .. } = row;
    let known =
        Known { target: TARGET, flags, keywords, modseq, row: Some(&row), text: Some(&text), possible: None };
    test.judge(&known).expect("everything is known")
}

#[test]
fn what_is_stored_finds_what_a_scan_finds() {
    let (mut found, mut not) = (0, 0);
    for seed in 1..=2_000 {
        let mut dice = Dice(seed);
        let row = row(&mut dice);
        for _ in 0..5 {
            let key = key(&mut dice, 0);
            let test = test(&key);
            let want = in_one(&test, &row);
            *(if want { &mut found } else { &mut not }) += 1;
            let message = String::from_utf8(row.message.as_ref().unwrap().to_vec().unwrap()).unwrap();
            assert_eq!(in_steps(&test, &row), want, "seed {seed}: {key:?}\n{message:?}\n{row:?}");
        }
    }
    assert!(found > 1_000 && not > 1_000, "{found} {not}: the searches say nothing");
}

/// Who asks for less exactness misses nothing, and where it is told how well a message fits, it does fit.
#[test]
fn fuzzy_finds_what_is_there() {
    let (mut exact, mut more) = (0, 0);
    for seed in 1..=1_000 {
        let mut dice = Dice(seed);
        let row = row(&mut dice);
        for _ in 0..5 {
            let key = key(&mut dice, 0);
            let near = test(&Key::Fuzzy(Box::new(key.clone())));
            let fits = in_one(&near, &row);
            // What is not to be there may be excluded by what is nearly there, if it was asked for so.
            if !key.any(&|key| matches!(key, Key::Fuzzy(_))) && in_one(&test(&key), &row) {
                assert!(fits, "seed {seed}: {key:?}");
                exact += 1;
            } else if fits {
                more += 1;
            }
            let (text, _) = Haystack::read(&mut row.clone(), Depth::Body).unwrap();
            let score = near.score(&text);
            assert!(score.is_none_or(|score| (1..=100).contains(&score)), "seed {seed}: {score:?}");
        }
    }
    assert!(exact > 500 && more > 20, "{exact} {more}: the searches say nothing");
}

/// Only what is needed is read, and only once.
#[test]
fn steps() {
    use Depth::{Body, Header, Keys, Row};
    let header = |name: &str| Key::Header(name.to_owned(), "x".to_owned());
    let both = |a: Key, b: Key| Key::And(vec![a, b]);
    for (key, want) in [
        (Key::All, &[][..]),
        (Key::Sequence(imap_proto::Set::Ranges(vec![(Bound::Last, Bound::Last)])), &[]),
        (Key::Larger(5), &[Row]),
        (header("SUBJECT"), &[Keys, Header]),
        (both(Key::Larger(5), header("from")), &[Keys, Header]),
        (header("X-Own"), &[Header]),
        (both(Key::Larger(5), header("X-Own")), &[Row, Header]),
        (Key::Text("x".to_owned()), &[Body]),
        (both(header("Cc"), Key::Body("x".to_owned())), &[Keys, Body]),
        (both(header("X-Own"), Key::Not(Box::new(header("to")))), &[Keys, Header]),
        (Key::Fuzzy(Box::new(header("subject"))), &[Keys, Header]),
        (Key::Fuzzy(Box::new(both(header("X-Own"), Key::All))), &[Header]),
        (Key::Fuzzy(Box::new(Key::Body("x".to_owned()))), &[Body]),
    ] {
        assert_eq!(test(&key).depths().into_iter().collect::<Vec<_>>(), want, "{key:?}");
    }
}
