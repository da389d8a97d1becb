//! Maildirs of several programs, read; and what was written, read again.

use super::*;
use crate::maildir::{MaildirWriter, Outgoing, Put};
use std::fs;

/// A maildir of files `path text`, one a line; `\n` in the text is a line end.
fn maildir(files: &[(&str, &str)]) -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    for (path, text) in files {
        let path = dir.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }
    dir
}

fn read(source: &Maildir, name: &str) -> Vec<Result<Found, Bad>> {
    let folder = source.folders().iter().position(|folder| folder.name == name).unwrap();
    source.messages(folder).unwrap().map(|message| message.unwrap()).collect()
}

#[test]
fn folders_of_both_layouts() {
    let dir = maildir(&[
        ("cur/10.x:2,S", "a\n\nb\n"),
        ("new/9.x", "c\n"),
        ("subscriptions", "Sent Items\nEntw&APw-rfe.2026\n"),
        (".Sent Items/cur/1:2,", "x"),
        (".Entw&APw-rfe.2026/new/1", "x"),
        (".not a folder/file", "x"),
        ("nested/deep/cur/1:2,", "x"),
        ("sieve/tmp/x", "x"),
    ]);
    std::os::unix::fs::symlink("/etc", dir.path().join(".link")).unwrap();
    let source = Maildir::open(dir.path()).unwrap();
    let names: Vec<_> = source
        .folders()
        .iter()
        .map(|folder| (folder.name.as_str(), folder.special_use.as_deref(), folder.subscribed))
        .collect();
    assert_eq!(
        names,
        [
            ("Entwürfe/2026", None, true),
            ("INBOX", None, true),
            ("Sent Items", Some("\\Sent"), true),
            ("nested/deep", None, false)
        ]
    );
    let inbox: Vec<Found> = read(&source, "INBOX").into_iter().map(Result::unwrap).collect();
    assert_eq!(inbox[0].octets, b"c\r\n");
    assert!(inbox[0].flags.is_empty());
    assert_eq!((inbox[1].octets.as_slice(), inbox[1].flags[0].as_str()), (&b"a\r\n\r\nb\r\n"[..], "\\Seen"));
    assert!(Maildir::open(&dir.path().join("sieve")).unwrap_err().to_string().contains("no maildir"));
}

#[test]
fn odd_entries_are_told_and_not_fatal() {
    let dir = maildir(&[("cur/2:2,S", "a\n")]);
    std::os::unix::fs::symlink("/etc/passwd", dir.path().join("cur/1")).unwrap();
    fs::create_dir(dir.path().join("cur/3")).unwrap();
    let source = Maildir::open(dir.path()).unwrap();
    let read = read(&source, "INBOX");
    assert!(read[0].as_ref().unwrap_err().why.contains("no plain file"));
    assert!(read[1].is_ok());
    assert_eq!(read[2].as_ref().unwrap_err().name, "3");
}

#[test]
fn a_message_that_gets_another_name_meanwhile_is_found() {
    let dir = maildir(&[("new/1.x", "a\n"), ("new/2.x", "b\n"), ("cur/0.x:2,", "c\n")]);
    let source = Maildir::open(dir.path()).unwrap();
    let mut messages = source.messages(0).unwrap();
    messages.next();
    fs::rename(dir.path().join("new/1.x"), dir.path().join("cur/1.x:2,F")).unwrap();
    let found = messages.next().unwrap().unwrap().unwrap();
    assert_eq!((found.flags, found.octets), (vec!["\\Flagged".to_owned()], b"a\r\n".to_vec()));
    fs::remove_file(dir.path().join("new/2.x")).unwrap();
    assert!(messages.next().unwrap().unwrap().is_err());
}

#[test]
fn what_was_written_comes_back() {
    let dir = tempfile::tempdir().unwrap();
    let long = "long ".repeat(60);
    let names = ["INBOX", "Entwürfe/a.b", "Spam & more", "INBOX/below", long.trim_end(), "Ünde?"];
    let keywords = ["$Work".to_owned(), "Later".to_owned()];
    let messages: Vec<Outgoing> = [
        (1, 1_700_000_000, vec!["\\Seen", "later"], &b"a: b\r\n\r\nc\r\n"[..]),
        (2, -5, vec![], b"no end"),
        (10, 0, vec!["\\Deleted", "\\Draft", "$Work"], b"a\r\n\nbare\r\n"),
        (9, 7, vec![], b"a\r\n\r\nb\r\r\n"),
    ]
    .into_iter()
    .map(|(uid, received, flags, octets)| Outgoing {
        uid,
        uidvalidity: 7,
        received,
        flags: flags.into_iter().map(str::to_owned).collect(),
        octets: octets.to_vec(),
    })
    .collect();
    for want in [Put::Written, Put::There] {
        let mut writer = MaildirWriter::create(dir.path()).unwrap();
        for name in names {
            let special = (name == "Spam & more").then(|| "\\Junk".to_owned());
            let mut folder = writer.folder(name, special, name.len() < 10, &keywords).unwrap();
            for message in &messages {
                assert_eq!(folder.put(message.clone()).unwrap(), want);
            }
            assert_eq!(folder.lost_keywords(), 0);
        }
        writer.finish().unwrap();
    }
    let source = Maildir::open(dir.path()).unwrap();
    assert_eq!(source.folders().len(), names.len());
    for name in names {
        let folder = source.folders().iter().find(|folder| folder.name == name).unwrap();
        assert_eq!(folder.subscribed, name.len() < 10);
        assert_eq!(folder.special_use.is_some(), name == "Spam & more");
        let back: Vec<Found> = read(&source, name).into_iter().map(Result::unwrap).collect();
        for (at, number) in [0, 1, 3, 2].into_iter().enumerate() {
            let (found, want) = (&back[at], &messages[number]);
            assert_eq!(found.octets, want.octets);
            assert_eq!(found.received, Some(want.received));
            let mut flags: Vec<String> = want.flags.iter().map(|flag| flag.to_lowercase()).collect();
            flags.sort();
            let mut got: Vec<String> = found.flags.iter().map(|flag| flag.to_lowercase()).collect();
            got.sort();
            assert_eq!(got, flags);
        }
    }
    // Without our description of it, as another program would read it.
    fs::remove_file(dir.path().join(crate::DESCRIBED_FILE)).unwrap();
    let source = Maildir::open(dir.path()).unwrap();
    let found: Vec<_> = source.folders().iter().map(|folder| folder.name.as_str()).collect();
    assert_eq!(&found[..3], ["Entwürfe/a.b", "INBOX", "INBOX/below"]);
    assert!(source.folders()[1].subscribed && !source.folders()[0].subscribed);
}
