//! Octets without sense: nothing panics, nothing goes in circles, the limits hold.

use super::{options, talk};
use crate::command::Command;
use crate::parse::{self, Names, Parsed};
use crate::server::{Privacy, Session};

/// A small generator, so that a failure can be run again from its seed.
struct Dice(u64);

impl Dice {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    fn below(&mut self, end: usize) -> usize {
        usize::try_from(self.next() % end as u64).unwrap()
    }
}

const WORDS: [&str; 44] = [
    "a",
    " ",
    "\r\n",
    "\r",
    "\n",
    "LOGIN",
    "SELECT",
    "FETCH",
    "UID ",
    "SEARCH",
    "LIST",
    "(",
    ")",
    "\"",
    "\\",
    "{3}",
    "{3+}",
    "{0+}",
    "{99999+}",
    "~{2}",
    "*",
    "1:*",
    "$",
    "BODY[",
    "]",
    "<0.5>",
    "OR",
    "NOT",
    "RETURN",
    "APPEND",
    "INBOX",
    "IDLE",
    "DONE",
    "\0",
    "\u{fc}",
    "&",
    "AUTHENTICATE PLAIN",
    "=",
    "STATUS",
    "STORE 1 FLAGS",
    "CHARSET",
    "SINCE",
    "1-Jan-2026",
    "abc",
];

#[test]
fn noise_neither_panics_nor_loops() {
    let seed = 0x9e37_79b9_7f4a_7c15;
    let mut dice = Dice(seed);
    for round in 0..3000 {
        let mut text = String::new();
        for _ in 0..dice.below(40) {
            text.push_str(WORDS[dice.below(WORDS.len())]);
        }
        text.push_str("\r\n");
        let mut session =
            Session::new(options(if round % 2 == 0 { Privacy::Tls } else { Privacy::StartTls }));
        let out = talk(&mut session, text.as_bytes());
        assert!(out.len() < 64 * 1024, "seed {seed:x}, round {round}: {text:?}");
    }
}

#[test]
fn deep_searches_are_taken_or_refused_but_never_recurse() {
    let parsed = |criteria: &str| {
        let body = format!("SEARCH {criteria}");
        parse::command(format!("a {body}").as_bytes(), body.as_bytes(), Names::Utf7)
    };
    let chain = format!("{}FROM z", "OR FROM a@example.org ".repeat(2000));
    assert!(matches!(parsed(&chain), Ok(Parsed::Command(Command::Search(_)))));
    let grouped = format!("{}FROM z{}", "(OR FROM a ".repeat(2000), ")".repeat(2000));
    assert!(parsed(&grouped).is_ok());
    assert!(parsed(&format!("{}SEEN", "NOT ".repeat(4001))).is_ok());
    let deep = format!("{}SEEN{}", "(DRAFT NOT (SEEN OR DELETED (".repeat(300), ")))".repeat(300));
    assert!(parsed(&deep).is_err());
    assert!(parsed(&"(".repeat(60_000)).is_err());
}
