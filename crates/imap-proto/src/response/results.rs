//! What SEARCH, SORT and THREAD answer.

use super::{line, mailbox, string};
use crate::command::PartialRange;
use crate::parse::Names;
use crate::sequence::Ranges;
use std::fmt::{self, Write as _};

/// Results of SEARCH RETURN (RFC 9051 §7.3.4). Absent parts were not asked for or do not exist.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Esearch {
    pub tag: String,
    /// The mailbox and its UIDVALIDITY, in answers to ESEARCH (RFC 7377 §2.1).
    pub mailbox: Option<(String, u32)>,
    pub by_uid: bool,
    pub min: Option<u32>,
    pub max: Option<u32>,
    pub all: Option<Results>,
    pub count: Option<u32>,
    /// A slice, and what is in it (RFC 5267 §4.4).
    pub partial: Option<(PartialRange, Results)>,
    /// The highest mod-sequence of what is told (RFC 4731 §3.2).
    pub modseq: Option<u64>,
    /// How well each message that is told fits, in their order, from 1 to 100 (RFC 6203 §4).
    pub relevancy: Vec<u8>,
    /// What left the result, by its place before (RFC 5267 §4.3.4); place 0: wherever it is.
    pub remove_from: Vec<(u32, Results)>,
    /// What came into the result, by its place now (RFC 5267 §4.3.3).
    pub add_to: Vec<(u32, Results)>,
}

/// Numbers or UIDs that were found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Results {
    /// In the order of the mailbox.
    Set(Ranges),
    /// In another order (RFC 5267 §3.2).
    Sorted(Vec<u32>),
}

impl Results {
    fn is_empty(&self) -> bool {
        match self {
            Self::Set(ranges) => ranges.is_empty(),
            Self::Sorted(numbers) => numbers.is_empty(),
        }
    }
}

impl fmt::Display for Results {
    /// A range stands only for numbers that follow each other upwards.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let numbers = match self {
            Self::Set(ranges) => return ranges.fmt(f),
            Self::Sorted(numbers) => numbers,
        };
        let runs = numbers.chunk_by(|a, b| a.checked_add(1) == Some(*b));
        for (at, run) in runs.enumerate() {
            let comma = if at == 0 { "" } else { "," };
            match run {
                [first, .., last] => write!(f, "{comma}{first}:{last}")?,
                _ => run.iter().try_for_each(|only| write!(f, "{comma}{only}"))?,
            }
        }
        Ok(())
    }
}

/// A piece of the answer to THREAD, in its order (RFC 5256 §4).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ThreadMark {
    Open,
    Message(u32),
    Close,
}

/// SEARCH and SORT: numbers, and a mod-sequence (RFC 7162 §3.1.6).
pub(super) fn search(verb: &str, found: &[u32], modseq: Option<u64>, out: &mut Vec<u8>) {
    let mut text = verb.to_owned();
    for number in found {
        let _ = write!(text, " {number}");
    }
    if let Some(modseq) = modseq.filter(|_| !found.is_empty()) {
        let _ = write!(text, " (MODSEQ {modseq})");
    }
    line(out, &text);
}

pub(super) fn esearch(result: &Esearch, names: Names, out: &mut Vec<u8>) {
    let mut of = b"(TAG ".to_vec();
    string(result.tag.as_bytes(), &mut of);
    if let Some((name, uidvalidity)) = &result.mailbox {
        of.extend_from_slice(b" MAILBOX ");
        mailbox(name, names, &mut of);
        of.extend_from_slice(format!(" UIDVALIDITY {uidvalidity}").as_bytes());
    }
    let mut text = format!("ESEARCH {})", String::from_utf8_lossy(&of));
    if result.by_uid {
        text.push_str(" UID");
    }
    for (word, value) in [("MIN", result.min), ("MAX", result.max)] {
        if let Some(value) = value {
            let _ = write!(text, " {word} {value}");
        }
    }
    if let Some(all) = result.all.as_ref().filter(|all| !all.is_empty()) {
        let _ = write!(text, " ALL {all}");
    }
    if let Some((range, results)) = &result.partial {
        let _ = match results.is_empty() {
            true => write!(text, " PARTIAL ({range} NIL)"),
            false => write!(text, " PARTIAL ({range} {results})"),
        };
    }
    if let Some(count) = result.count {
        let _ = write!(text, " COUNT {count}");
    }
    if let Some(modseq) = result.modseq {
        let _ = write!(text, " MODSEQ {modseq}");
    }
    if !result.relevancy.is_empty() {
        let scores: Vec<String> = result.relevancy.iter().map(u8::to_string).collect();
        let _ = write!(text, " RELEVANCY ({})", scores.join(" "));
    }
    for (word, places) in [("REMOVEFROM", &result.remove_from), ("ADDTO", &result.add_to)] {
        if !places.is_empty() {
            let places: Vec<String> =
                places.iter().map(|(place, results)| format!("{place} {results}")).collect();
            let _ = write!(text, " {word} ({})", places.join(" "));
        }
    }
    line(out, &text);
}

pub(super) fn thread(marks: &[ThreadMark], out: &mut Vec<u8>) {
    let mut text = "THREAD".to_owned();
    if !marks.is_empty() {
        text.push(' ');
    }
    let mut before = ThreadMark::Close;
    for mark in marks {
        if matches!(before, ThreadMark::Message(_)) && *mark != ThreadMark::Close {
            text.push(' ');
        }
        match mark {
            ThreadMark::Open => text.push('('),
            ThreadMark::Message(number) => {
                let _ = write!(text, "{number}");
            }
            ThreadMark::Close => text.push(')'),
        }
        before = *mark;
    }
    line(out, &text);
}

/// `* UIDBATCHES (TAG "a") 900:400,399:1` (RFC 10022 §3.1.3).
pub(super) fn uid_batches(tag: &str, ranges: &[(u32, u32)], out: &mut Vec<u8>) {
    let mut of = b"UIDBATCHES (TAG ".to_vec();
    string(tag.as_bytes(), &mut of);
    let mut text = format!("{})", String::from_utf8_lossy(&of));
    for (at, (high, low)) in ranges.iter().enumerate() {
        let _ = write!(text, "{}{high}:{low}", if at == 0 { ' ' } else { ',' });
    }
    line(out, &text);
}
