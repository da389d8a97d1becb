//! ESEARCH, read and told.

use super::grammar::read;
use crate::parse::Names;
use crate::response::{Esearch, Results, Untagged};
use crate::sequence::Ranges;

#[test]
fn commands() {
    let search = |give: &str| format!("search: Search {{ by: Uid, charset: Known, give: {give}, key: All }}");
    for (text, sources, give) in [
        ("ESEARCH ALL", "[Selected]", "None"),
        ("esearch in (selected) return () ALL", "[Selected]", "Some([All])"),
        ("ESEARCH IN (personal) RETURN (MIN COUNT) CHARSET UTF-8 ALL", "[Personal]", "Some([Min, Count])"),
        ("ESEARCH IN (inboxes subscribed) ALL", "[Inboxes, Subscribed]", "None"),
        (
            "ESEARCH IN (mailboxes inbox subtree (a \"b c\") subtree-one {1}\r\nd selected) ALL",
            "[Mailboxes([\"INBOX\"]), Subtree([\"a\", \"b c\"]), SubtreeOne([\"d\"]), Selected]",
            "None",
        ),
        ("ESEARCH RETURN (SAVE) ALL", "[Selected]", "Some([Save])"),
        ("ESEARCH IN (mailboxes &APw-) ALL", "[Mailboxes([\"ü\"])]", "None"),
    ] {
        let want = format!("MultiSearch(MultiSearch {{ sources: {sources}, {} }})", search(give));
        assert_eq!(read(text), want, "{text}");
    }
    for text in [
        "ESEARCH",
        "ESEARCH IN () ALL",
        "ESEARCH IN personal ALL",
        "ESEARCH IN (personal)",
        "ESEARCH IN (selected-delayed) ALL",
        "ESEARCH IN (mailboxes) ALL",
        "ESEARCH IN (mailboxes ()) ALL",
        "ESEARCH IN (subtree a b) ALL",
        "ESEARCH IN (personal (x y)) ALL",
        "ESEARCH IN (personal) RETURN (SAVE) ALL",
        "ESEARCH IN (selected mailboxes a) RETURN (SAVE) ALL",
        "UID ESEARCH ALL",
    ] {
        assert_eq!(read(text), "Bad", "{text}");
    }
}

#[test]
fn answers() {
    let result = Esearch {
        tag: "a".into(),
        mailbox: Some(("Entwürfe".into(), 7)),
        by_uid: true,
        all: Some(Results::Set(Ranges::new([(1, 3)]))),
        ..Esearch::default()
    };
    for (names, name) in [(Names::Utf7, "Entw&APw-rfe"), (Names::Utf8, "Entwürfe")] {
        let mut out = Vec::new();
        Untagged::Esearch(result.clone()).encode(names, &mut out);
        let want = format!("* ESEARCH (TAG \"a\" MAILBOX \"{name}\" UIDVALIDITY 7) UID ALL 1:3\r\n");
        assert_eq!(String::from_utf8(out).unwrap(), want);
    }
}
