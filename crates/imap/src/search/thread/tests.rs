//! Threads as tables, and many at random.

use super::*;
use crate::search::casemap::fold;
use crate::search::subject::Subject;
use crate::search::symbols::Symbols;
use imap_proto::{Names, Untagged};

/// One message a line: identifier (`-` for none), references or `-`, sent date, subject. Numbered from 1.
fn messages(table: &str) -> Vec<Threaded<'static>> {
    let (mut ids, mut subjects) = (Symbols::default(), Symbols::default());
    let lines = table.lines().map(str::trim).filter(|line| !line.is_empty());
    (1..)
        .zip(lines)
        .map(|(name, line)| {
            let mut words = line.splitn(4, ' ');
            let id = words.next().filter(|id| *id != "-").map(|id| ids.number(id));
            let references = words.next().filter(|list| *list != "-").unwrap_or_default();
            let sent = words.next().unwrap().parse().unwrap();
            let subject = Subject::new(words.next().unwrap_or_default());
            let references: Vec<u32> =
                references.split(',').filter(|id| !id.is_empty()).map(|id| ids.number(id)).collect();
            let base = fold(&subject.base);
            Threaded {
                name,
                sent,
                received: i64::from(name),
                subject: (!base.is_empty()).then(|| subjects.number(&base)),
                kind: subject.kind,
                id,
                references: references.leak(),
            }
        })
        .collect()
}

fn told(marks: Vec<ThreadMark>) -> String {
    let mut out = Vec::new();
    Untagged::Thread(marks).encode(Names::Utf8, &mut out);
    let line = String::from_utf8(out).unwrap();
    line.strip_prefix("* THREAD").and_then(|rest| rest.strip_suffix("\r\n")).unwrap().trim_start().to_owned()
}

#[test]
fn references() {
    for (what, table, want) in [
        ("nothing", "", ""),
        ("alone", "a - 1 x", "(1)"),
        ("a chain", "a - 1 x\nb a 2 Re: x\nc a,b 3 Re: x", "(1 2 3)"),
        ("two answers", "a - 1 x\nb a 3 Re: x\nc a 2 Re: x", "(1 (3)(2))"),
        ("answers split further down", "a - 1 x\nb a 2 y\nc a,b 3 z\nd a,b 4 z", "(1 2 (3)(4))"),
        ("the answer came first", "b a 2 Re: x\na - 1 x", "(2 1)"),
        ("the root is not here", "b a 2 x\nc a 1 y", "((2)(1))"),
        ("one child of a missing root stands for it", "b a 2 x\nc z 1 y", "(2)(1)"),
        ("what is missing in the middle is closed up", "a - 1 x\nc a,b 2 y\nd a,b 3 z", "(1 (2)(3))"),
        ("missing twice over", "c a,b 1 x\nd a,b 2 y", "((1)(2))"),
        ("a truncated list does not undo a link", "a - 1 x\nb a 2 x\nc b 3 x\nd a,c 4 x", "(1 2 3 4)"),
        ("a later own list corrects a guess", "c a,b 3 x\na - 1 x\nb z 2 y", "(2)(3 1)"),
        ("who answers itself", "a a 1 x", "(1)"),
        ("a ring", "a b 1 x\nb a 2 y", "(2 1)"),
        ("a longer ring", "a c 1 x\nb a 2 y\nc b 3 z", "(3 1 2)"),
        ("identifiers twice", "a - 1 x\na - 2 y\nb a 3 z", "(1 3)(2)"),
        ("no identifier", "- - 1 x\n- - 2 y", "(1)(2)"),
        ("roots by date", "a - 3 x\nb - 1 y\nc - 2 z", "(2)(3)(1)"),
        ("the same date keeps the order", "a - 1 x\nb - 1 y\nc - 1 z", "(1)(2)(3)"),
    ] {
        assert_eq!(told(by_references(&messages(table))), want, "{what}");
    }
}

#[test]
fn subjects_join_threads() {
    for (what, table, want) in [
        ("an answer without references", "a - 1 x\nb - 2 Re: X", "(1 2)"),
        ("and before its question", "a - 1 Re: x\nb - 2 x", "(2 1)"),
        ("two of the same", "a - 1 x\nb - 2 x", "((1)(2))"),
        ("three of the same", "a - 1 x\nb - 2 x\nc - 3 x", "((1)(2)(3))"),
        ("two answers", "a - 1 Re: x\nb - 2 Re: x", "((1)(2))"),
        ("a question and two answers", "a - 1 Re: x\nb - 2 x\nc - 3 Re: x", "(2 (1)(3))"),
        ("empty subjects stay apart", "a - 1 \nb - 2 Re:", "(1)(2)"),
        ("into a dummy", "a z 1 x\nb z 2 y\nc - 3 x", "((1)(2)(3))"),
        ("a dummy into a dummy", "a z 1 x\nb z 2 y\nc w 3 x\nd w 4 q", "((1)(2)(3)(4))"),
        ("a dummy takes the place of a message", "c - 0 x\na z 1 x\nb z 2 y", "((1)(2)(3))"),
        ("the thread goes with its root", "a - 1 x\nb - 2 Re: x\nc b 3 q", "(1 2 3)"),
    ] {
        assert_eq!(told(by_references(&messages(table))), want, "{what}");
    }
}

/// Arrivals are in the order of the numbers.
#[test]
fn threads_by_their_last_arrival() {
    for (what, table, want) in [
        ("nothing", "", ""),
        ("subjects join nothing", "a - 1 x\nb - 2 Re: x", "(1)(2)"),
        ("what came last stands last, whatever its date", "a - 9 x\nb - 1 y", "(1)(2)"),
        ("an answer brings its thread to the end", "a - 1 x\nb - 2 y\nc a 3 z", "(2)(1 3)"),
        ("in a thread the date counts", "a - 1 x\nb a 5 x\nc a 3 x", "(1 (3)(2))"),
        ("a missing root is no message", "a z 1 x\nb - 2 y\nc z 0 x", "(2)((3)(1))"),
    ] {
        assert_eq!(told(by_arrival(&messages(table))), want, "{what}");
    }
}

#[test]
fn ordered_subjects() {
    for (table, want) in [
        ("", ""),
        ("a - 1 x\nb - 3 Re: x\nc - 2 y", "(1 2)(3)"),
        ("a - 4 x\nb - 3 Re: x\nc - 2 Fwd: X\nd - 3 y", "(3 (2)(1))(4)"),
        ("a - 2 \nb - 1 y\nc - 1 ", "(2)(3 1)"),
    ] {
        assert_eq!(told(by_subject(&messages(table))), want, "{table}");
    }
}

/// A chain as long as a mailbox is neither slow nor too deep.
#[test]
fn very_deep() {
    let before: Vec<[u32; 1]> = (0..50_000_u32).map(|n| [n.wrapping_sub(1)]).collect();
    let chain: Vec<Threaded<'_>> = (0..50_000)
        .zip(&before)
        .map(|(n, before)| Threaded {
            name: n + 1,
            sent: i64::from(n),
            received: 0,
            subject: Some(0),
            kind: Kind::ReplyOrForward,
            id: Some(n),
            references: before,
        })
        .collect();
    assert_eq!(by_references(&chain).len(), 50_002);
    let backwards: Vec<Threaded<'_>> = chain.iter().rev().cloned().collect();
    assert_eq!(by_references(&backwards).len(), 50_002);
}

/// All answer one message, and are known by those that answer them before they come: none is looked for among the others.
#[test]
fn very_broad() {
    let count = 100_000_u32;
    let chains: Vec<[u32; 2]> = (1..=count).map(|n| [0, n]).collect();
    let message = |name: u32, id: u32, references| Threaded {
        name,
        sent: i64::from(name),
        received: 0,
        subject: None,
        kind: Kind::ReplyOrForward,
        id: Some(id),
        references,
    };
    let (mut messages, root) = (vec![message(1, 0, &[])], [0]);
    messages.extend((1..=count).zip(&chains).map(|(n, chain)| message(n + 1, count + n, chain.as_slice())));
    messages.extend((1..=count).map(|n| message(count + n + 1, n, root.as_slice())));
    let marks = by_references(&messages);
    let told = marks.iter().filter(|mark| matches!(mark, ThreadMark::Message(_)));
    assert_eq!(told.count(), messages.len());
    assert_eq!(marks[..3], [ThreadMark::Open, ThreadMark::Message(1), ThreadMark::Open]);
}

/// Whatever the references say, each message is told once and the parentheses are balanced.
#[test]
fn every_message_once() {
    for seed in 1..3_000_u64 {
        let mut state = seed;
        let mut below = |end: u64| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (state >> 33) % end
        };
        let count = 1 + below(12);
        let table: String = (0..count)
            .map(|_| {
                let refs: Vec<String> = (0..below(4)).map(|_| below(14).to_string()).collect();
                let refs = if refs.is_empty() { "-".to_owned() } else { refs.join(",") };
                format!(
                    "{} {refs} {} {}x{}\n",
                    below(14),
                    below(5),
                    ["", "Re: "][below(2) as usize],
                    below(3)
                )
            })
            .collect();
        let messages = messages(&table);
        for marks in [by_references(&messages), by_arrival(&messages), by_subject(&messages)] {
            let mut names: Vec<u32> = marks
                .iter()
                .filter_map(|mark| match mark {
                    ThreadMark::Message(name) => Some(*name),
                    _ => None,
                })
                .collect();
            names.sort_unstable();
            let all: Vec<u32> = (1..=u32::try_from(count).unwrap()).collect();
            assert_eq!(names, all, "seed {seed}:\n{table}{}", told(marks));
            let mut depth = 0_i32;
            for mark in &marks {
                depth += match mark {
                    ThreadMark::Open => 1,
                    ThreadMark::Close => -1,
                    ThreadMark::Message(_) => 0,
                };
                assert!(depth >= 0, "seed {seed}");
            }
            assert_eq!(depth, 0, "seed {seed}");
        }
    }
}
