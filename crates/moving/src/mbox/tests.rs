//! mboxes of several programs, read; and what was written, read again.

use super::*;
use crate::folder::{Bad, Found, Source};
use crate::maildir::Outgoing;
use std::fs;

fn read(text: &[u8], quoting: Quoting) -> Vec<Result<Found, Bad>> {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("file");
    fs::write(&path, text).unwrap();
    let source = Mbox::open(&path, quoting, "INBOX").unwrap();
    source.messages(0).unwrap().map(|message| message.unwrap()).collect()
}

/// Messages as text, with their flags: `flags|octets`.
fn told(text: &str, quoting: Quoting) -> Vec<String> {
    let tell = |message: Result<Found, Bad>| match message {
        Ok(found) => format!("{}|{}", found.flags.join(" "), String::from_utf8_lossy(&found.octets)),
        Err(bad) => format!("{}: {}", bad.name, bad.why),
    };
    read(text.as_bytes(), quoting).into_iter().map(tell).collect()
}

const FROM: &str = "From a@b.example Thu Jan  1 12:00:00 2026\n";

#[test]
fn two_messages() {
    let text = format!(
        "{FROM}Subject: a\nStatus: RO\nX-Status: AF\nX-Keywords: $Work x\n\nbody\n\n{FROM}Subject: b\n\nlast"
    );
    assert_eq!(
        told(&text, Quoting::Auto),
        ["\\Seen \\Answered \\Flagged $Work x|Subject: a\r\n\r\nbody\r\n", "|Subject: b\r\n\r\nlast"]
    );
    let crlf = text.replace('\n', "\r\n");
    assert_eq!(told(&crlf, Quoting::Auto), told(&text, Quoting::Auto));
    assert_eq!(read(text.as_bytes(), Quoting::Auto)[0].as_ref().unwrap().received, Some(1_767_268_800));
}

#[test]
fn quotations() {
    let text = format!("{FROM}A: b\n\n>From a\n>>From b\n> From c\n\n");
    for (quoting, want) in [
        (Quoting::Auto, "From a\r\n>From b\r\n> From c\r\n"),
        (Quoting::Rd, "From a\r\n>From b\r\n> From c\r\n"),
        (Quoting::O, "From a\r\n>>From b\r\n> From c\r\n"),
        (Quoting::Cl2, ">From a\r\n>>From b\r\n> From c\r\n"),
    ] {
        assert_eq!(told(&text, quoting), [format!("|A: b\r\n\r\n{want}")], "{quoting:?}");
    }
}

#[test]
fn a_line_in_the_middle_of_a_paragraph_begins_nothing() {
    let text = format!("{FROM}A: b\n\ntext\nFrom here on\nmore\n\nFrom x\nC: d\n\n");
    assert_eq!(told(&text, Quoting::Auto).len(), 2);
    let text = format!("{FROM}A: b\n\ntext\n{FROM}C: d\n\n");
    assert_eq!(told(&text, Quoting::Auto), ["|A: b\r\n\r\ntext\r\n", "|C: d\r\n\r\n"]);
    let text = format!("{FROM}A: b\n{FROM}C: d\n\n\n");
    assert_eq!(told(&text, Quoting::Auto), ["|A: b\r\n", "|C: d\r\n\r\n"]);
}

#[test]
fn lengths_are_believed_where_they_fit() {
    let body = "one\n\nFrom two\n>From three\n";
    let text = |length: usize| format!("{FROM}A: b\nContent-Length: {length}\n\n{body}\n{FROM}C: d\n\nx\n");
    let want = "|A: b\r\n\r\none\r\n\r\nFrom two\r\n>From three\r\n";
    for quoting in [Quoting::Auto, Quoting::Cl2] {
        assert_eq!(told(&text(body.len()), quoting)[0], want, "{quoting:?}");
        assert_eq!(told(&text(body.len()), quoting).len(), 2, "{quoting:?}");
    }
    for wrong in [body.len() - 4, body.len() + 5, 1 << 40, 0] {
        let told = told(&text(wrong), Quoting::Auto);
        assert_eq!(told[0], "|A: b\r\n\r\none\r\n", "{wrong}");
        assert_eq!(told.len(), 3, "{wrong}");
    }
}

#[test]
fn nobody_hides_messages_of_others_by_a_length() {
    let rest = format!("x\n\n{FROM}Subject: hidden\n\nsecret\n");
    for field in ["Content-Length", "X-Maddy-Length"] {
        let length = if field == "Content-Length" { rest.len() } else { rest.len() + 1 };
        let text = format!("{FROM}{field}: {length}\n\n{rest}\n{FROM}C: d\n\nx\n");
        let told = told(&text, Quoting::Auto);
        assert_eq!(told.len(), 3, "{field}: {told:?}");
        assert!(told[1].contains("Subject: hidden"));
    }
}

#[test]
fn programs_and_their_own() {
    let text = format!(
        "{FROM}Subject: DON'T DELETE THIS MESSAGE -- FOLDER INTERNAL DATA\nX-IMAP: 1 2\n\ndata\n\n\
         {FROM}A: b\nX-Mozilla-Status: 1007\nX-Mozilla-Keys: $label1  \n x\nX-UID: 5\n\n\
         {FROM}A: c\nX-Mozilla-Status: 0008\n\n\n"
    );
    assert_eq!(
        told(&text, Quoting::Auto),
        ["\\Seen \\Answered \\Flagged $Forwarded $label1|A: b\r\n\r\n", "2: Thunderbird has deleted it"]
    );
}

#[test]
fn a_message_that_is_too_large_is_told_and_the_next_is_read() {
    let mut text = format!("{FROM}A: b\n\n").into_bytes();
    let line = [[b'x'; 99].as_slice(), b"\n"].concat();
    for _ in 0..=crate::MESSAGE_MAX / 100 {
        text.extend_from_slice(&line);
    }
    text.extend_from_slice(format!("\n{FROM}C: d\n\ny\n").as_bytes());
    let read = read(&text, Quoting::Auto);
    assert!(read[0].as_ref().unwrap_err().why.contains("larger than"));
    assert_eq!(read[1].as_ref().unwrap().octets, b"C: d\r\n\r\ny\r\n");
    assert_eq!(read.len(), 2);
}

#[test]
fn folders_of_several_programs() {
    let dir = tempfile::tempdir().unwrap();
    let one = format!("{FROM}A: b\n\nx\n");
    for (path, text) in [
        ("Inbox", one.as_str()),
        ("Inbox.msf", "// index"),
        ("Local.sbd/Sent", &one),
        ("Work.mbox/mbox", &one),
        ("Archive/2026.mbox", &one),
        ("empty.mbox", ""),
        (".hidden", &one),
    ] {
        let path = dir.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }
    let source = Mbox::open(dir.path(), Quoting::Auto, "").unwrap();
    let names: Vec<_> = source.folders().iter().map(|folder| folder.name.as_str()).collect();
    assert_eq!(names, ["Archive/2026", "INBOX", "Local/Sent", "Work", "empty"]);
    assert_eq!(source.messages(4).unwrap().count(), 0);
    assert!(Mbox::open(&dir.path().join("Inbox.msf"), Quoting::Auto, "x").is_err());
}

#[test]
fn what_was_written_comes_back() {
    let dir = tempfile::tempdir().unwrap();
    let texts: [&[u8]; 10] = [
        b"A: b\r\n\r\nFrom x\r\n>From y\r\n\r\nFrom MAILER-DAEMON Thu Jan  1 00:00:00 1970\r\n",
        b"Status: my own\r\nContent-Length: 3\r\n\r\nbody\r\n",
        b"no end",
        b"A: b\r\n\r\nno end",
        b"A: b\r\n\r\n\r\n\r\n",
        b" begins with a blank\r\n\r\nx\r\n",
        b"\r\nno header\r\n",
        b"A: b\r\n\r\nbare\nx\r\n",
        b"X-Maddy-Length: 7\r\n\r\nx\r\n",
        b"From: a\r\nFrom x Thu Jan  1 00:00:00 1970\r\n\r\n",
    ];
    let long = "x".repeat(600);
    let names = ["INBOX", "a.mbox/b", "a", ".dot", "Ä/ü", &long];
    let mut writer = MboxWriter::create(dir.path()).unwrap();
    for name in names {
        let mut folder = writer.folder(name, None, true).unwrap();
        for (at, text) in texts.iter().enumerate() {
            let flags = if at % 2 == 0 { vec!["\\Seen".to_owned(), "$Work".to_owned()] } else { Vec::new() };
            let received = at as i64 * 1_000_000;
            folder.put(Outgoing { uid: 1, uidvalidity: 1, received, flags, octets: text.to_vec() }).unwrap();
        }
        folder.finish().unwrap();
    }
    writer.finish().unwrap();
    let source = Mbox::open(dir.path(), Quoting::Auto, "").unwrap();
    assert_eq!(source.folders().len(), names.len());
    for name in names {
        let at = source.folders().iter().position(|folder| folder.name == name).unwrap();
        let found: Vec<Found> =
            source.messages(at).unwrap().map(|message| message.unwrap().unwrap()).collect();
        assert_eq!(found.len(), texts.len());
        for (number, (found, text)) in found.iter().zip(texts).enumerate() {
            let (got, want) = (String::from_utf8_lossy(&found.octets), String::from_utf8_lossy(text));
            assert_eq!(got, want, "{number}");
            assert_eq!(found.received, Some(number as i64 * 1_000_000));
            assert_eq!(found.flags.len(), if number % 2 == 0 { 2 } else { 0 });
        }
    }
}
