//! SORT and THREAD, read and told.

use super::grammar::read;
use crate::parse::Names;
use crate::response::{Esearch, Results, ThreadMark, Untagged};

#[test]
fn commands() {
    let search = |by: &str, give: &str| {
        format!("search: Search {{ by: {by}, charset: Known, give: {give}, key: All }}")
    };
    let by = |key: &str, direction: &str| format!("SortBy {{ key: {key}, direction: {direction} }}");
    for (text, want) in [
        (
            "SORT (SUBJECT) UTF-8 ALL",
            format!(
                "Sort(Sort {{ {}, order: [{}] }})",
                search("Sequence", "None"),
                by("Subject", "Ascending")
            ),
        ),
        (
            "UID SORT (reverse DATE Subject DATE) \"us-ascii\" ALL",
            format!(
                "Sort(Sort {{ {}, order: [{}, {}] }})",
                search("Uid", "None"),
                by("Date", "Descending"),
                by("Subject", "Ascending")
            ),
        ),
        (
            "SORT RETURN () (DISPLAYFROM) UTF-8 ALL",
            format!(
                "Sort(Sort {{ {}, order: [{}] }})",
                search("Sequence", "Some([All])"),
                by("DisplayFrom", "Ascending")
            ),
        ),
        (
            "SORT RETURN (MIN COUNT) (ARRIVAL) UTF-8 ALL",
            format!(
                "Sort(Sort {{ {}, order: [{}] }})",
                search("Sequence", "Some([Min, Count])"),
                by("Arrival", "Ascending")
            ),
        ),
        (
            "SORT RETURN (RELEVANCY) (REVERSE RELEVANCY) UTF-8 FUZZY ALL",
            format!(
                "Sort(Sort {{ {}, order: [{}] }})",
                search("Sequence", "Some([Relevancy])").replace("key: All", "key: Fuzzy(All)"),
                by("Relevancy", "Descending")
            ),
        ),
        (
            "UID THREAD references UTF-8 ALL",
            format!("Thread(Thread {{ {}, algorithm: References }})", search("Uid", "None")),
        ),
        (
            "THREAD ORDEREDSUBJECT US-ASCII ALL",
            format!("Thread(Thread {{ {}, algorithm: OrderedSubject }})", search("Sequence", "None")),
        ),
    ] {
        assert_eq!(read(text), want, "{text}");
    }
}

#[test]
fn what_is_not_well_formed() {
    for text in [
        "SORT",
        "SORT ()",
        "SORT () UTF-8 ALL",
        "SORT (SUBJECT)",
        "SORT (SUBJECT) UTF-8",
        "SORT (SUBJECT) ALL",
        "SORT SUBJECT UTF-8 ALL",
        "SORT (REVERSE) UTF-8 ALL",
        "SORT (REVERSE REVERSE DATE) UTF-8 ALL",
        "SORT (SPAM) UTF-8 ALL",
        "SORT (DATE) UTF-8 ALL )",
        "SORT (RELEVANCY) UTF-8 ALL",
        "SORT RETURN (RELEVANCY) (DATE) UTF-8 ALL",
        "THREAD",
        "THREAD REFERENCES",
        "THREAD REFERENCES UTF-8",
        "THREAD REFERENCES ALL",
        "THREAD JWZ UTF-8 ALL",
        "THREAD (REFERENCES) UTF-8 ALL",
        "THREAD RETURN () REFERENCES UTF-8 ALL",
    ] {
        assert_eq!(read(text), "Bad", "{text}");
    }
}

#[test]
fn answers() {
    use ThreadMark::{Close, Message, Open};
    let told = |untagged: Untagged| {
        let mut out = Vec::new();
        untagged.encode(Names::Utf8, &mut out);
        String::from_utf8(out).unwrap()
    };
    assert_eq!(told(Untagged::Sort { found: vec![], modseq: Some(7) }), "* SORT\r\n");
    assert_eq!(told(Untagged::Sort { found: vec![5, 3, 4], modseq: None }), "* SORT 5 3 4\r\n");
    let with_modseq = Untagged::Sort { found: vec![5, 3], modseq: Some(917) };
    assert_eq!(told(with_modseq), "* SORT 5 3 (MODSEQ 917)\r\n");
    for (numbers, want) in [
        (vec![], ""),
        (vec![7], " ALL 7"),
        (vec![3, 2, 1], " ALL 3,2,1"),
        (vec![4, 5, 6, 2, 1, 2, 9], " ALL 4:6,2,1:2,9"),
        (vec![u32::MAX, 1], " ALL 4294967295,1"),
    ] {
        let result = Esearch { tag: "a".into(), all: Some(Results::Sorted(numbers)), ..Esearch::default() };
        assert_eq!(told(Untagged::Esearch(result)), format!("* ESEARCH (TAG \"a\"){want}\r\n"));
    }
    // The example of RFC 5256 §4: (2)(3 6 (4 23)(44 7 96))
    let marks = vec![
        Open,
        Message(2),
        Close,
        Open,
        Message(3),
        Message(6),
        Open,
        Message(4),
        Message(23),
        Close,
        Open,
        Message(44),
        Message(7),
        Message(96),
        Close,
        Close,
    ];
    assert_eq!(told(Untagged::Thread(marks)), "* THREAD (2)(3 6 (4 23)(44 7 96))\r\n");
    let siblings = vec![Open, Open, Message(3), Close, Open, Message(5), Close, Close];
    assert_eq!(told(Untagged::Thread(siblings)), "* THREAD ((3)(5))\r\n");
    assert_eq!(told(Untagged::Thread(vec![])), "* THREAD\r\n");
}
