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

/// Crates in which octets from a peer pass. In them a second reader of lines would be a second meaning of "line", and
/// with it a way to smuggle.
const PASSED: [&str; 8] =
    ["smtp-proto", "imap-proto", "net", "smtp-door", "smtp-in", "submission", "imap", "delivery"];
/// What reads lines from a stream.
const STREAM_READERS: [&str; 3] = [".read_line(&mut", ".read_until(", "BufRead"];
/// Crates that see those octets as they come.
const FIRST_SEEN: [&str; 3] = ["smtp-proto", "imap-proto", "net"];
/// What looks for the end of a line in octets.
const OCTET_READERS: [&str; 4] = ["== b'\\n'", "b'\\n' =>", "memchr(b'\\n'", "split(|b| *b == b'\\n')"];
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
        let of = |crates: &[&str]| source.crate_name().is_some_and(|name| crates.contains(&name));
        if source.is_test() || READER_FILES.contains(&source.path.as_str()) {
            continue;
        }
        let stream: &[&str] = if of(&PASSED) { &STREAM_READERS } else { &[] };
        let octets: &[&str] = if of(&FIRST_SEEN) { &OCTET_READERS } else { &[] };
        for (number, line) in source.code().lines().enumerate() {
            let reads = stream.iter().chain(octets).any(|reader| line.contains(reader));
            if reads && !line.trim_start().starts_with("//") {
                problems.push(format!("{}:{}: only wire::take_line reads lines", source.path, number + 1));
            }
        }
    }
    problems
}
