//! Rules that one line of a file can break.

use crate::{Problem, sources};

/// Words that say a thing is not finished. In pieces, so that this file passes its own check.
const LEFT_OVER: [&str; 6] = [
    concat!("to", "do!("),
    concat!("unimple", "mented!("),
    concat!("TO", "DO"),
    concat!("FIX", "ME"),
    concat!("XX", "X"),
    concat!("dbg", "!("),
];

/// Crates whose octets come from a peer: in them a second reader of lines would be a second meaning of "line",
/// and with it a way to smuggle.
const ON_THE_WIRE: [&str; 7] =
    ["smtp-proto", "imap-proto", "net", "smtp-in", "submission", "imap", "delivery"];
/// What looks for the end of a line in octets.
const READERS: [&str; 7] = [
    ".read_line(&mut",
    ".read_until(",
    "BufRead",
    "== b'\\n'",
    "b'\\n' =>",
    "memchr(b'\\n'",
    "split(|b| *b == b'\\n')",
];
/// The files that may: the end of DATA (RFC 5321 §4.5.2), and what looks at the header of content whose line ends
/// were found to be sound.
const READER_FILES: [&str; 2] = ["crates/smtp-proto/src/data.rs", "crates/smtp-proto/src/scan.rs"];

pub(crate) fn check() -> Vec<Problem> {
    let mut problems = Vec::new();
    for source in sources::rust() {
        if !source.text.starts_with("//! ") {
            problems
                .push(format!("{}: the first line must say what the file is for, after //!", source.path));
        }
        for (number, line) in source.text.lines().enumerate() {
            for word in LEFT_OVER.iter().filter(|word| line.contains(**word)) {
                problems.push(format!("{}:{}: {word} is left over", source.path, number + 1));
            }
        }
    }
    problems
}

pub(crate) fn check_readers() -> Vec<Problem> {
    let mut problems = Vec::new();
    for source in sources::rust() {
        let watched = source.crate_name().is_some_and(|name| ON_THE_WIRE.contains(&name));
        if !watched || source.is_test() || READER_FILES.contains(&source.path.as_str()) {
            continue;
        }
        for (number, line) in source.code().lines().enumerate() {
            if READERS.iter().any(|reader| line.contains(reader)) && !line.trim_start().starts_with("//") {
                problems.push(format!("{}:{}: only wire::take_line reads lines", source.path, number + 1));
            }
        }
    }
    problems
}
