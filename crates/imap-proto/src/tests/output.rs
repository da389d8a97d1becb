//! Values to octets.

use crate::command::{Partial, Section, SectionText, StatusItem};
use crate::fetch::{FetchLine, LiteralKind, section_name};
use crate::parse::Names;
use crate::response::{Code, Esearch, Listed, Response, Results, StatusValue, Told, Untagged, Vanished};
use crate::sequence::Ranges;

fn line(untagged: &Untagged, names: Names) -> String {
    let mut out = Vec::new();
    untagged.encode(names, &mut out);
    String::from_utf8(out).unwrap()
}

/// RFC 7162 §7, RFC 8474 §7.
#[test]
fn status_mod_sequences_and_object_ids() {
    for (untagged, want) in [
        (
            Untagged::MailboxStatus {
                name: "a".into(),
                items: vec![
                    (StatusItem::Messages, StatusValue::Number(3)),
                    (StatusItem::Size, StatusValue::Number(1 << 40)),
                ],
            },
            "* STATUS \"a\" (MESSAGES 3 SIZE 1099511627776)",
        ),
        (
            Untagged::Fetch(Told { number: 2, uid: Some(7), flags: None, modseq: Some(12) }),
            "* 2 FETCH (UID 7 MODSEQ (12))",
        ),
        (Untagged::Search { found: vec![2, 5], modseq: Some(7) }, "* SEARCH 2 5 (MODSEQ 7)"),
        (Untagged::Vanished(Vanished::Now, Ranges::new([(1, 1), (4, 6)])), "* VANISHED 1,4:6"),
        (Untagged::Vanished(Vanished::Earlier, Ranges::new([(3, 3)])), "* VANISHED (EARLIER) 3"),
        (
            Untagged::MailboxStatus {
                name: "a".into(),
                items: vec![
                    (StatusItem::HighestModSeq, StatusValue::Number(9)),
                    (StatusItem::MailboxId, StatusValue::ObjectId("F7".into())),
                ],
            },
            "* STATUS \"a\" (HIGHESTMODSEQ 9 MAILBOXID (F7))",
        ),
        (
            Untagged::Esearch(Esearch {
                tag: "a".into(),
                min: Some(1),
                modseq: Some(5),
                ..Default::default()
            }),
            "* ESEARCH (TAG \"a\") MIN 1 MODSEQ 5",
        ),
        (
            Untagged::Status(Response::ok("x").with(Code::Modified(Ranges::new([(7, 7), (9, 10)])))),
            "* OK [MODIFIED 7,9:10] x",
        ),
        (Untagged::Status(Response::ok("x").with(Code::HighestModSeq(5))), "* OK [HIGHESTMODSEQ 5] x"),
        (Untagged::Status(Response::ok("x").with(Code::MailboxId("F1".into()))), "* OK [MAILBOXID (F1)] x"),
    ] {
        assert_eq!(line(&untagged, Names::Utf7), format!("{want}\r\n"));
    }
}

#[test]
fn untagged_responses() {
    let listed = |name: &str| Listed {
        attributes: vec!["\\HasNoChildren".into()],
        delimiter: Some('/'),
        name: name.into(),
        ..Listed::default()
    };
    for (untagged, want) in [
        (Untagged::Exists(3), "* 3 EXISTS"),
        (Untagged::Search { found: vec![], modseq: Some(7) }, "* SEARCH"),
        (Untagged::Search { found: vec![2, 5], modseq: None }, "* SEARCH 2 5"),
        (
            Untagged::List(listed("Entwürfe \"x\"")),
            "* LIST (\\HasNoChildren) \"/\" \"Entw&APw-rfe \\\"x\\\"\"",
        ),
        (
            Untagged::List(Listed { child_info: true, ..listed("a") }),
            "* LIST (\\HasNoChildren) \"/\" \"a\" (\"CHILDINFO\" (\"SUBSCRIBED\"))",
        ),
        (
            Untagged::Esearch(Esearch {
                tag: "a\"1".into(),
                by_uid: true,
                count: Some(0),
                ..Default::default()
            }),
            "* ESEARCH (TAG \"a\\\"1\") UID COUNT 0",
        ),
        (
            Untagged::Esearch(Esearch {
                tag: "a".into(),
                min: Some(1),
                max: Some(9),
                all: Some(Results::Set(Ranges::new([(1, 2), (9, 9)]))),
                count: Some(3),
                ..Default::default()
            }),
            "* ESEARCH (TAG \"a\") MIN 1 MAX 9 ALL 1:2,9 COUNT 3",
        ),
        (
            Untagged::Esearch(Esearch {
                tag: "C2".into(),
                all: Some(Results::Sorted(vec![5, 10, 1])),
                relevancy: vec![99, 42, 4],
                ..Default::default()
            }),
            "* ESEARCH (TAG \"C2\") ALL 5,10,1 RELEVANCY (99 42 4)",
        ),
        (
            Untagged::Fetch(Told {
                number: 2,
                uid: Some(7),
                flags: Some(vec!["\\Seen".into(), "x".into()]),
                modseq: None,
            }),
            "* 2 FETCH (UID 7 FLAGS (\\Seen x))",
        ),
        (Untagged::Id(vec![("name".into(), "maddy".into())]), "* ID (\"name\" \"maddy\")"),
        (Untagged::Namespace('/', "X/"), "* NAMESPACE ((\"\" \"/\")) ((\"X/\" \"/\")) NIL"),
        (Untagged::Status(Response::ok("").word("CLOSED")), "* OK [CLOSED] Done."),
        (
            Untagged::Status(Response::no("two\r\nlines").with(Code::UidNext(4))),
            "* NO [UIDNEXT 4] two  lines",
        ),
    ] {
        assert_eq!(line(&untagged, Names::Utf7), format!("{want}\r\n"));
    }
    assert_eq!(
        line(&Untagged::List(listed("Entwürfe & x")), Names::Utf8),
        "* LIST (\\HasNoChildren) \"/\" \"Entwürfe & x\"\r\n"
    );
}

#[test]
fn a_fetch_response_item_by_item() {
    let mut out = Vec::new();
    let mut fetch = FetchLine::begin(4, &mut out);
    fetch.number(&mut out, "UID", 9);
    fetch.flags(&mut out, ["\\Seen"]);
    fetch.string(&mut out, "X", "\u{fc}\0".as_bytes());
    fetch.literal(&mut out, "BODY[]<5>", 0, LiteralKind::Plain);
    fetch.literal(&mut out, "BINARY[1]", 3, LiteralKind::Binary);
    out.extend_from_slice(b"a\0b");
    fetch.end(&mut out);
    assert_eq!(
        String::from_utf8(out).unwrap(),
        "* 4 FETCH (UID 9 FLAGS (\\Seen) X {2}\r\nü BODY[]<5> \"\" BINARY[1] ~{3}\r\na\0b)\r\n"
    );
}

#[test]
fn section_names_are_echoed_with_the_origin_alone() {
    let fields = |names: &[&str]| SectionText::HeaderFields(names.iter().map(|n| (*n).to_owned()).collect());
    for (part, what, partial, want) in [
        (vec![], SectionText::Whole, None, "BODY[]"),
        (vec![], SectionText::Whole, Some(Partial { origin: 7, length: 3 }), "BODY[]<7>"),
        (vec![1, 2], SectionText::Mime, None, "BODY[1.2.MIME]"),
        (vec![3], SectionText::Whole, None, "BODY[3]"),
        (vec![], fields(&["date", "X-A(b"]), None, "BODY[HEADER.FIELDS (date \"X-A(b\")]"),
        (vec![2], fields(&["To"]), None, "BODY[2.HEADER.FIELDS (To)]"),
    ] {
        assert_eq!(section_name(&Section { part, what }, partial), want);
    }
}

/// imap-codec reads what we write, as far as its grammar reaches (it has no ESEARCH and no CHILDINFO).
#[test]
fn imap_codec_reads_what_is_written() {
    use imap_codec::ResponseCodec;
    use imap_codec::decode::Decoder;
    let listed = Listed {
        attributes: vec!["\\HasChildren".into(), "\\Sent".into()],
        delimiter: Some('/'),
        name: "Entwürfe \"x\" & y".into(),
        ..Listed::default()
    };
    let mut written: Vec<Vec<u8>> = [
        Untagged::Exists(0),
        Untagged::Recent(0),
        Untagged::Expunge(7),
        Untagged::Flags(vec!["\\Seen".into(), "$Junk".into()]),
        Untagged::Fetch(Told { number: 1, uid: Some(2), flags: Some(Vec::new()), modseq: None }),
        Untagged::List(listed.clone()),
        Untagged::Lsub(Listed { delimiter: None, ..listed }),
        Untagged::MailboxStatus {
            name: "a".into(),
            items: [(StatusItem::Messages, 1), (StatusItem::UidNext, 2), (StatusItem::Deleted, 0)]
                .map(|(item, n)| (item, StatusValue::Number(n)))
                .into(),
        },
        Untagged::Search { found: vec![], modseq: Some(7) },
        Untagged::Search { found: vec![1, 5], modseq: None },
        Untagged::Capability("IMAP4rev1 IDLE APPENDLIMIT=5".into()),
        Untagged::Enabled(vec!["CONDSTORE".into()]),
        Untagged::Namespace('/', "X/"),
        Untagged::Id(vec![("name".into(), "a \"b\"".into())]),
        Untagged::Bye(Some(Code::Word("UNAVAILABLE")), "Later.".into()),
        Untagged::Status(Response::ok("x").with(Code::PermanentFlags(vec!["\\Seen".into(), "\\*".into()]))),
        Untagged::Status(
            Response::no("x").with(Code::AppendUid { validity: 3, uids: Ranges::new([(4, 4), (6, 8)]) }),
        ),
        Untagged::Status(Response::ok("").with(Code::CopyUid {
            validity: 3,
            from: Ranges::new([(1, 4), (9, 9)]),
            to: Ranges::new([(2, 6)]),
        })),
    ]
    .iter()
    .map(|untagged| line(untagged, Names::Utf7).into_bytes())
    .collect();
    let mut out = Vec::new();
    let mut fetch = FetchLine::begin(4, &mut out);
    fetch.number(&mut out, "UID", 9);
    fetch.string(&mut out, "INTERNALDATE", b" 1-Jan-2026 10:00:00 +0000");
    fetch.literal(&mut out, "BODY[1.HEADER.FIELDS (a b)]", 0, LiteralKind::Plain);
    fetch.literal(&mut out, "BODY[]<5>", 3, LiteralKind::Plain);
    out.extend_from_slice(b"abc");
    fetch.end(&mut out);
    written.push(out);
    for octets in written {
        let text = String::from_utf8_lossy(&octets).into_owned();
        let read = ResponseCodec::default().decode(&octets);
        assert!(matches!(read, Ok(([], _))), "{text:?}: {read:?}");
    }
}
