//! Octets to values, and imap-codec as a second opinion where it has the command.

use crate::parse::{self, Names, Parsed};
use imap_codec::CommandCodec;
use imap_codec::decode::Decoder;

pub(super) fn read(text: &str) -> String {
    let whole = format!("a {text}");
    match parse::command(whole.as_bytes(), text.as_bytes(), Names::Utf7) {
        Ok(Parsed::Command(command)) => format!("{command:?}"),
        Ok(other) => format!("{other:?}"),
        Err(refusal) => format!("{:?}", refusal.kind),
    }
}

#[test]
fn fuzzy_criteria() {
    for (text, want) in [
        ("FUZZY SUBJECT x", "Fuzzy(Header(\"SUBJECT\", \"x\"))"),
        ("FUZZY FUZZY NOT (SEEN DRAFT)", "Fuzzy(Not(And([Flag(\"\\\\Seen\"), Flag(\"\\\\Draft\")])))"),
        ("OR FUZZY BODY x SEEN", "Or([Fuzzy(Body(\"x\")), Flag(\"\\\\Seen\")])"),
        (
            "FUZZY OR BODY x SEEN 1",
            "And([Fuzzy(Or([Body(\"x\"), Flag(\"\\\\Seen\")])), Sequence(Ranges([(Number(1), Number(1))]))])",
        ),
    ] {
        let want = format!("Search(Search {{ by: Sequence, charset: Known, give: None, key: {want} }})");
        assert_eq!(read(&format!("SEARCH {text}")), want, "{text}");
    }
    for text in ["FUZZY", "FUZZY )", "RETURN (RELEVANCY) SEEN", "RETURN (RELEVANCY) CHARSET UTF-8 SEEN"] {
        assert_eq!(read(&format!("SEARCH {text}")), "Bad", "{text}");
    }
}

#[test]
fn criteria_in_charsets() {
    let search = |charset: &str, octets: &[u8]| {
        let mut text = format!("SEARCH CHARSET {charset} SUBJECT {{{}}}\r\n", octets.len()).into_bytes();
        text.extend_from_slice(octets);
        let mut whole = b"a ".to_vec();
        whole.extend_from_slice(&text);
        match parse::command(&whole, &text, Names::Utf7) {
            Ok(Parsed::Command(command)) => match command.search().map(|search| search.key.clone()) {
                Some(crate::command::Key::Header(_, text)) => text,
                other => format!("{other:?}"),
            },
            Ok(other) => format!("{other:?}"),
            Err(refusal) => format!("{:?}", refusal.kind),
        }
    };
    for (charset, octets, want) in [
        ("US-ASCII", &b"x"[..], "x"),
        ("utf-8", "ü".as_bytes(), "ü"),
        ("UTF-8", b"\xfc", "Bad"),
        ("iso-8859-1", b"\xfc", "ü"),
        ("\"ISO-8859-5\"", b"\xd0", "а"),
        ("ISO-8859-15", b"\xa4", "€"),
        ("windows-1252", b"\x80", "€"),
        ("koi8-r", b"\xc1", "а"),
        ("ISO-2022-JP", b"\x1b$BF|\x1b(B", "日"),
        ("shift_jis", b"\x93\xfa", "日"),
        ("EUC-JP", b"\xc6\xfc", "日"),
        ("Big5", b"\xa4\xe9", "日"),
        ("GBK", b"\xc8\xd5", "日"),
        ("EUC-KR", b"\xc0\xcf", "일"),
        ("UTF-16", b"x", "Some(All)"),
        ("KLINGON", b"x", "Some(All)"),
    ] {
        assert_eq!(search(charset, octets), want, "{charset}");
    }
    // Each that is offered can be read: what is above ASCII is not what it would be by guess.
    for charset in crate::CHARSETS.split(' ').skip(3) {
        let all: Vec<u8> = (0x80..=0xfe).flat_map(|octet| [octet, 0xa1]).collect();
        let read = search(charset, &all);
        assert_ne!(read, mail::words::from_charset("", &all), "{charset}");
    }
}

#[test]
fn criteria() {
    for (text, want) in [
        ("ALL", "All"),
        ("UNSEEN", "Not(Flag(\"\\\\Seen\"))"),
        ("NOT UNSEEN", "Flag(\"\\\\Seen\")"),
        ("1:3,* SEEN", "And([Sequence(Ranges([(Number(1), Number(3)), (Last, Last)])), Flag(\"\\\\Seen\")])"),
        ("OR SEEN OR DRAFT DELETED", "Or([Flag(\"\\\\Seen\"), Flag(\"\\\\Draft\"), Flag(\"\\\\Deleted\")])"),
        (
            "OR (SEEN DRAFT) (DELETED)",
            "Or([And([Flag(\"\\\\Seen\"), Flag(\"\\\\Draft\")]), Flag(\"\\\\Deleted\")])",
        ),
        ("CHARSET utf-8 SUBJECT {2}\r\nü", "Header(\"SUBJECT\", \"ü\")"),
        ("HEADER X-A \"\"", "Header(\"X-A\", \"\")"),
        ("SINCE 1-feb-2026", "Since(Day { year: 2026, month: 2, day: 1 })"),
        ("BEFORE \"01-Dec-1999\"", "Before(Day { year: 1999, month: 12, day: 1 })"),
        ("LARGER 4294967296", "Larger(4294967296)"),
        ("OLDER 5 YOUNGER 3600", "And([Older(5), Younger(3600)])"),
        ("SAVEDSINCE 1-Feb-2026", "SavedSince(Day { year: 2026, month: 2, day: 1 })"),
        ("SAVEDATESUPPORTED", "All"),
        ("MODSEQ 0", "ModSeq(0)"),
        ("MODSEQ \"/flags/\\\\seen\" all 9223372036854775807", "ModSeq(9223372036854775807)"),
        ("EMAILID M6d-_9 THREADID t", "And([EmailId(\"M6d-_9\"), ThreadId(\"t\")])"),
        ("UID $", "Uid(Saved)"),
        ("KEYWORD $Junk", "Flag(\"$Junk\")"),
        ("NEW", "Not(All)"),
        // More blanks than needed.
        ("ALL ", "All"),
        (" ALL  ", "All"),
    ] {
        assert_eq!(
            read(&format!("SEARCH {text}")),
            format!("Search(Search {{ by: Sequence, charset: Known, give: None, key: {want} }})"),
            "{text}"
        );
    }
    assert_eq!(
        read("UID SEARCH RETURN () ALL"),
        "Search(Search { by: Uid, charset: Known, give: Some([All]), key: All })"
    );
    assert_eq!(
        read("SEARCH RETURN (MIN COUNT SAVE) ALL"),
        "Search(Search { by: Sequence, charset: Known, give: Some([Min, Count, Save]), key: All })"
    );
    assert_eq!(
        read("SEARCH RETURN (SAVE) CHARSET KLINGON TEXT x"),
        "Search(Search { by: Sequence, charset: Unknown, give: Some([Save]), key: All })"
    );
    for text in [
        "",
        " ",
        " ()",
        " (ALL",
        " MODSEQ",
        " MODSEQ 9223372036854775808",
        " MODSEQ \"/flags/x\" 5",
        " MODSEQ \"x\" all 5",
        " OLDER 0",
        " YOUNGER -1",
        " EMAILID a.b",
        " SAVEDON today",
        " ALL)",
        " OR SEEN",
        " NOT",
        " SINCE 32-Jan-2026",
        " SINCE 1-Foo-2026",
        " FOO",
        " RETURN (FOO) ALL",
        " KEYWORD \\Seen",
    ] {
        assert_eq!(read(&format!("SEARCH{text}")), "Bad", "{text:?}");
    }
}

#[test]
fn fetch_items() {
    for (text, want) in [
        ("FAST", "[Flags, InternalDate, Size]"),
        ("full", "[Flags, InternalDate, Size, Envelope, Body]"),
        ("(UID BODYSTRUCTURE)", "[Uid, BodyStructure]"),
        ("BODY", "[Body]"),
        ("BODY[]", "[Section { section: Section { part: [], what: Whole }, partial: None, peek: MarkSeen }]"),
        (
            "BODY.PEEK[1]<0.393216>",
            "[Section { section: Section { part: [1], what: Whole }, partial: Some(Partial { origin: 0, length: 393216 }), peek: Peek }]",
        ),
        (
            "BODY[1.2.MIME]",
            "[Section { section: Section { part: [1, 2], what: Mime }, partial: None, peek: MarkSeen }]",
        ),
        (
            "(BODY.PEEK[HEADER.FIELDS (date \"to\")])",
            "[Section { section: Section { part: [], what: HeaderFields([\"date\", \"to\"]) }, partial: None, peek: Peek }]",
        ),
        (
            "BODY[2.HEADER.FIELDS.NOT (X)]",
            "[Section { section: Section { part: [2], what: HeaderFieldsNot([\"X\"]) }, partial: None, peek: MarkSeen }]",
        ),
        (
            "(RFC822 RFC822.HEADER RFC822.TEXT RFC822.SIZE)",
            "[Rfc822(Whole), Rfc822(Header), Rfc822(Text), Size]",
        ),
        (
            "BINARY.PEEK[1.1]<3.4>",
            "[Binary { part: [1, 1], partial: Some(Partial { origin: 3, length: 4 }), peek: Peek }]",
        ),
        ("BINARY.SIZE[2]", "[BinarySize { part: [2] }]"),
        ("(MODSEQ EMAILID THREADID SAVEDATE)", "[ModSeq, EmailId, ThreadId, SaveDate]"),
        ("(PREVIEW UID PREVIEW (LAZY))", "[Preview(Always), Uid, Preview(Lazy)]"),
    ] {
        assert_eq!(
            read(&format!("FETCH 1 {text}")),
            format!(
                "Fetch(Fetch {{ set: Ranges([(Number(1), Number(1))]), by: Sequence, items: {want}, changed_since: None, vanished: false, slice: None }})"
            ),
            "{text}"
        );
    }
    for text in [
        "",
        "()",
        "(FAST)",
        "BODY[MIME]",
        "BODY[1.]",
        "BODY[0]",
        "BODY[1",
        "BODY[]<0>",
        "BODY[]<0.0>",
        "BODY[HEADER.FIELDS ()]",
        "BODY[FOO]",
        "FOO",
        "FLAGS UID",
        "PREVIEW (BUSY)",
        "PREVIEW ()",
        "FLAGS ()",
        "FLAGS (CHANGEDSINCE)",
        "FLAGS (CHANGEDSINCE 1 CHANGEDSINCE 2)",
        "FLAGS (CHANGEDSINCE 1 VANISHED)",
        "FLAGS (CHANGEDSINCE 9223372036854775808)",
        "BODY.PEEK",
        "BINARY[1.]",
    ] {
        assert_eq!(read(&format!("FETCH 1 {text}")), "Bad", "{text}");
    }
}

#[test]
fn lists() {
    for (text, want) in [
        ("\"\" *", "List(List { reference: \"\", patterns: [\"*\"], select: [], give: [], form: Plain })"),
        ("\"\" \"\"", "List(List { reference: \"\", patterns: [\"\"], select: [], give: [], form: Plain })"),
        (
            "(subscribed) \"\" \"*\" return (special-use)",
            "List(List { reference: \"\", patterns: [\"*\"], select: [Subscribed], give: [SpecialUse], form: Extended })",
        ),
        (
            "() \"\" (\"INBOX\" caf&AOk-/%) RETURN (STATUS (MESSAGES UNSEEN) CHILDREN)",
            "List(List { reference: \"\", patterns: [\"INBOX\", \"café/%\"], select: [], give: [Status([Messages, Unseen]), Children], form: Extended })",
        ),
        (
            "(RECURSIVEMATCH SUBSCRIBED) x y",
            "List(List { reference: \"x\", patterns: [\"y\"], select: [RecursiveMatch, Subscribed], give: [], form: Extended })",
        ),
        ("(RECURSIVEMATCH) x y", "Bad"),
        ("\"\" ()", "Bad"),
        ("\"\"", "Bad"),
        ("(FOO) \"\" *", "Bad"),
        ("\"\" * RETURN", "Bad"),
        ("\"\" caf&zz-", "Cannot"),
    ] {
        assert_eq!(read(&format!("LIST {text}")), want, "{text}");
    }
}

/// RFC 7162 §3.1.4.1, §3.2.6, RFC 9394 §3.3.
#[test]
fn fetch_modifiers() {
    for (text, want) in [
        ("UID FETCH 1 FLAGS (VANISHED)", "Bad"),
        (
            "UID FETCH 1 UID (PARTIAL -1:-30 CHANGEDSINCE 7)",
            "Fetch(Fetch { set: Ranges([(Number(1), Number(1))]), by: Uid, items: [Uid], changed_since: Some(7), vanished: false, slice: Some(PartialRange { from: -1, to: -30 }) })",
        ),
        ("FETCH 1 UID (PARTIAL 1:2)", "Bad"),
        ("UID FETCH 1 UID (PARTIAL 1:-2)", "Bad"),
        ("UID FETCH 1 UID (PARTIAL 0:2)", "Bad"),
        ("UID FETCH 1 UID (PARTIAL 1:2 PARTIAL 3:4)", "Bad"),
        (
            "FETCH 1 PREVIEW (CHANGEDSINCE 0)",
            "Fetch(Fetch { set: Ranges([(Number(1), Number(1))]), by: Sequence, items: [Preview(Always)], changed_since: Some(0), vanished: false, slice: None })",
        ),
        (
            "UID FETCH 1 FLAGS (vanished changedsince 7)",
            "Fetch(Fetch { set: Ranges([(Number(1), Number(1))]), by: Uid, items: [Flags], changed_since: Some(7), vanished: true, slice: None })",
        ),
    ] {
        assert_eq!(read(text), want, "{text}");
    }
}

#[test]
fn other_commands() {
    for (text, want) in [
        (
            "status \"inbox\" (MESSAGES MESSAGES SIZE DELETED APPENDLIMIT)",
            "Status { mailbox: \"INBOX\", items: [Messages, Size, Deleted, AppendLimit] }",
        ),
        ("STATUS x ()", "Bad"),
        (
            "STATUS x (HIGHESTMODSEQ MAILBOXID)",
            "Status { mailbox: \"x\", items: [HighestModSeq, MailboxId] }",
        ),
        (
            "STORE 1 (UNCHANGEDSINCE 0) FLAGS ()",
            "Store(Store { set: Ranges([(Number(1), Number(1))]), by: Sequence, mode: Replace, answering: Told, flags: [], unchanged_since: Some(0) })",
        ),
        ("STORE 1 (UNCHANGEDSINCE) FLAGS ()", "Bad"),
        ("STORE 1 (CHANGEDSINCE 1) FLAGS ()", "Bad"),
        ("STORE 1 () FLAGS ()", "Bad"),
        ("CREATE x (USE (\\Sent))", "Create { mailbox: \"x\", uses: [\"\\\\Sent\"] }"),
        ("CREATE x", "Create { mailbox: \"x\", uses: [] }"),
        ("CREATE \"\"", "Cannot"),
        ("CREATE \"a\u{e9}\"", "Create { mailbox: \"aé\", uses: [] }"),
        (
            "STORE 1 +FLAGS.SILENT (\\Deleted $x)",
            "Store(Store { set: Ranges([(Number(1), Number(1))]), by: Sequence, mode: Add, answering: Silent, flags: [\"\\\\Deleted\", \"$x\"], unchanged_since: None })",
        ),
        (
            "UID STORE $ FLAGS ()",
            "Store(Store { set: Saved, by: Uid, mode: Replace, answering: Told, flags: [], unchanged_since: None })",
        ),
        (
            "STORE 1 -FLAGS \\Seen x",
            "Store(Store { set: Ranges([(Number(1), Number(1))]), by: Sequence, mode: Remove, answering: Told, flags: [\"\\\\Seen\", \"x\"], unchanged_since: None })",
        ),
        ("STORE 1 FLAGS (\\Recent)", "Bad"),
        ("STORE 1 FLAGS (\\*)", "Bad"),
        (
            "UID MOVE 1:2 \"Trash\"",
            "Move { set: Ranges([(Number(1), Number(2))]), by: Uid, mailbox: \"Trash\" }",
        ),
        ("COPY $ x", "Copy { set: Saved, by: Sequence, mailbox: \"x\" }"),
        ("UID EXPUNGE 1,3", "Expunge(Some(Ranges([(Number(1), Number(1)), (Number(3), Number(3))])))"),
        ("EXPUNGE", "Expunge(None)"),
        ("ID NIL", "Id([])"),
        ("ID (\"name\" \"x\" \"os\" NIL)", "Id([(\"name\", Some(\"x\")), (\"os\", None)])"),
        ("ID ()", "Id([])"),
        ("ID (\"os\" \"Grün\" \"x\" {3}\r\nabc)", "Id([(\"os\", Some(\"Grün\")), (\"x\", Some(\"abc\"))])"),
        ("ID", "Bad"),
        ("ID (\"name\")", "Bad"),
        ("ID (NIL \"x\")", "Bad"),
        ("LOGIN \"jörg\" \"pässword\"", "Login { user: \"jörg\", password: Secret(***) }"),
        ("LOGIN a", "Bad"),
        ("LOGIN a ", "Bad"),
        ("LOGIN a b c", "Bad"),
        ("LOGIN ü b", "Bad"),
        ("RENAME a inbox", "Rename { from: \"a\", to: \"INBOX\" }"),
        ("LSUB \"\" *", "Lsub { reference: \"\", pattern: \"*\" }"),
        ("ENABLE imap4rev2 CONDSTORE", "Enable([\"IMAP4REV2\", \"CONDSTORE\"])"),
        ("AUTHENTICATE plain =", "Authenticate { mechanism: \"PLAIN\", initial: Some(Secret(***)) }"),
        ("LOGIN {5}\r\nalice \"a b\"", "Login { user: \"alice\", password: Secret(***) }"),
        ("UID NOOP", "Bad"),
        ("XLIST \"\" *", "Bad"),
        ("NOOP x", "Bad"),
    ] {
        assert_eq!(read(text), want, "{text}");
    }
}

/// What imap-codec takes, our own grammar takes as well; what both know, neither refuses alone.
#[test]
fn imap_codec_agrees() {
    for text in [
        "FETCH 1:* (FLAGS UID ENVELOPE BODY[1.2.HEADER.FIELDS (a b)]<0.5>)",
        "FETCH 1 BODY.PEEK[]",
        "UID FETCH 3:7,9 ALL",
        "SEARCH OR FROM a (SEEN NOT DELETED)",
        "UID SEARCH CHARSET UTF-8 SINCE 1-Feb-2026 TEXT {3}\r\nabc",
        "STORE 2 -FLAGS.SILENT (\\Seen x)",
        "UID COPY 1:2 {3}\r\nabc",
        "MOVE 4 \"x y\"",
        "STATUS x (MESSAGES UIDNEXT UNSEEN)",
        "LIST \"\" a%",
        "CREATE a/b",
        "UID EXPUNGE 4:7",
        "FETCH 0 FLAGS",
        "FETCH 1 BODY[MIME]",
        "STORE 1 FLAG x",
        "COPY 1",
        "SEARCH",
        "SEARCH SINCE 1-Foo-2026",
    ] {
        let line = format!("a {text}\r\n");
        let theirs = CommandCodec::default().decode(line.as_bytes()).is_ok();
        let ours = read(text) != "Bad";
        assert_eq!(ours, theirs, "{text}");
    }
}

/// RFC 7162 §3.1.8, §3.2.5.
#[test]
fn selections() {
    let resync =
        |text: &str| format!("Select(Select {{ mailbox: \"x\", access: ReadOnly, resync: {text} }}, true)");
    for (text, want) in [
        ("x", "Select(Select { mailbox: \"x\", access: ReadOnly, resync: None }, false)".to_owned()),
        ("x (CONDSTORE)", resync("None")),
        (
            "x (QRESYNC (5 7) CONDSTORE)",
            resync("Some(Resync { uidvalidity: 5, modseq: 7, known: None, matches: None })"),
        ),
        (
            "x (QRESYNC (5 7 9,3:4))",
            resync(
                "Some(Resync { uidvalidity: 5, modseq: 7, known: Some(Ranges([(3, 4), (9, 9)])), matches: None })",
            ),
        ),
        (
            "x (QRESYNC (5 7 1:9 (1,3:4 2,8,9)))",
            resync(
                "Some(Resync { uidvalidity: 5, modseq: 7, known: Some(Ranges([(1, 9)])), \
                 matches: Some((Ranges([(1, 1), (3, 4)]), Ranges([(2, 2), (8, 9)]))) })",
            ),
        ),
        (
            "x (QRESYNC (5 7 (1 2)))",
            resync(
                "Some(Resync { uidvalidity: 5, modseq: 7, known: None, \
                 matches: Some((Ranges([(1, 1)]), Ranges([(2, 2)]))) })",
            ),
        ),
    ] {
        assert_eq!(read(&format!("EXAMINE {text}")), want, "{text}");
    }
    for text in [
        "",
        "x ()",
        "x (FOO)",
        "x CONDSTORE",
        "x (QRESYNC)",
        "x (QRESYNC (5))",
        "x (QRESYNC (0 7))",
        "x (QRESYNC (5 0))",
        "x (QRESYNC (5 7 1:*))",
        "x (QRESYNC (5 7 $))",
        "x (QRESYNC (5 7 1:9 (1,2 3)))",
        "x (QRESYNC (5 7 1:9 (2,1 3,4)))",
        "x (QRESYNC (5 7 1:9 (1:* 3:4)))",
        "x (QRESYNC (5 7 1:9 (4:3 3:4)))",
        "x (QRESYNC (5 7) QRESYNC (5 7))",
        "x (QRESYNC (5 7)",
    ] {
        assert_eq!(read(&format!("SELECT {text}")), "Bad", "{text}");
    }
}
