//! PARTIAL, CONTEXT, UPDATE and CANCELUPDATE, read and told.

use super::grammar::read;
use crate::command::PartialRange;
use crate::parse::Names;
use crate::response::{Code, Esearch, Response, Results, Untagged};
use crate::sequence::Ranges;

#[test]
fn commands() {
    for (text, give) in [
        ("(PARTIAL 1:500)", "[Partial(PartialRange { from: 1, to: 500 })]"),
        (
            "(UPDATE PARTIAL -1:-100 COUNT)",
            "[Update([]), Partial(PartialRange { from: -1, to: -100 }), Count]",
        ),
        ("(COUNT update (UID flags))", "[Count, Update([Uid, Flags])]"),
        ("(CONTEXT partial 500:400)", "[Context, Partial(PartialRange { from: 500, to: 400 })]"),
    ] {
        let want = format!("Search(Search {{ by: Uid, charset: Known, give: Some({give}), key: All }})");
        assert_eq!(read(&format!("UID SEARCH RETURN {text} ALL")), want);
        assert!(read(&format!("SORT RETURN {text} (DATE) UTF-8 ALL")).contains(give), "{text}");
    }
    assert_eq!(read("CANCELUPDATE \"a\" \"b\\\"\""), "CancelUpdate([\"a\", \"b\\\"\"])");
    for text in [
        "SEARCH RETURN (PARTIAL) ALL",
        "SEARCH RETURN (PARTIAL 1) ALL",
        "SEARCH RETURN (PARTIAL 0:5) ALL",
        "SEARCH RETURN (PARTIAL 1:*) ALL",
        "SEARCH RETURN (PARTIAL -1:5) ALL",
        "SEARCH RETURN (PARTIAL 1:2:3) ALL",
        "SEARCH RETURN (PARTIAL 1,2) ALL",
        "SEARCH RETURN (PARTIAL 1:4294967296) ALL",
        "SEARCH RETURN (ALL PARTIAL 1:2) ALL",
        "SEARCH RETURN (PARTIAL 1:2 PARTIAL 3:4) ALL",
        "SEARCH RETURN (UPDATE ()) ALL",
        "SEARCH RETURN (UPDATE (ALL)) ALL",
        "SEARCH RETURN (UPDATE UID) ALL",
        "SEARCH RETURN (UPDATE(UID)) ALL",
        "CANCELUPDATE",
        "CANCELUPDATE ",
        "CANCELUPDATE a",
        "CANCELUPDATE \"a\" b",
    ] {
        assert_eq!(read(text), "Bad", "{text}");
    }
    assert_eq!(read("CANCELUPDATE  \"a\" "), "CancelUpdate([\"a\"])");
}

#[test]
fn slices() {
    for (from, to, count, want) in [
        (1, 3, 10, 0..3),
        (3, 1, 10, 0..3),
        (9, 12, 10, 8..10),
        (11, 12, 10, 10..10),
        (-1, -3, 10, 7..10),
        (-3, -1, 10, 7..10),
        (-9, -12, 10, 0..2),
        (-11, -12, 10, 0..0),
        (1, 1, 0, 0..0),
        (1, i64::from(u32::MAX), 2, 0..2),
    ] {
        assert_eq!(PartialRange { from, to }.of(count), want, "{from}:{to} of {count}");
    }
}

#[test]
fn answers() {
    let told = |result: Esearch| {
        let mut out = Vec::new();
        Untagged::Esearch(Esearch { tag: "B01".into(), by_uid: true, ..result })
            .encode(Names::Utf8, &mut out);
        String::from_utf8(out).unwrap()
    };
    let range = PartialRange { from: -1, to: -100 };
    let set = |from, to| Results::Set(Ranges::new([(from, to)]));
    for (result, want) in [
        (Esearch { partial: Some((range, set(4, 9))), ..Esearch::default() }, "PARTIAL (-1:-100 4:9)"),
        (
            Esearch { partial: Some((range, Results::Sorted(vec![]))), count: Some(0), ..Esearch::default() },
            "PARTIAL (-1:-100 NIL) COUNT 0",
        ),
        (Esearch { add_to: vec![(0, set(32768, 32769))], ..Esearch::default() }, "ADDTO (0 32768:32769)"),
        (
            Esearch {
                remove_from: vec![(3, Results::Sorted(vec![7, 5])), (9, Results::Sorted(vec![1]))],
                ..Esearch::default()
            },
            "REMOVEFROM (3 7,5 9 1)",
        ),
    ] {
        assert_eq!(told(result), format!("* ESEARCH (TAG \"B01\") UID {want}\r\n"));
    }
    let mut out = Vec::new();
    let refused = Response::no("Too many.").with(Code::NoUpdate("B02".into()));
    Untagged::Status(refused).encode(Names::Utf8, &mut out);
    assert_eq!(out, b"* NO [NOUPDATE \"B02\"] Too many.\r\n");
}
