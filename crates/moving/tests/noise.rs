//! Anything at all instead of mail: readers neither panic nor make up octets, and say the same whole and in pieces.

#![allow(clippy::unwrap_used, reason = "tests fail by panicking")]

use moving::imap::{Heard, ImapClient, Response};
use moving::maildir::Maildir;
use moving::mbox::{Mbox, Quoting};
use moving::{Source, to_crlf, to_lf};
use std::fs;
use std::time::{SystemTime, UNIX_EPOCH};
use wire::{Machine, Step};

/// A small generator, so that a run can be repeated (Marsaglia's xorshift).
struct Lot(u64);

impl Lot {
    fn new() -> Self {
        let seed = std::env::var("MADDY_SEED").ok().and_then(|seed| seed.parse().ok());
        let now = || {
            SystemTime::now().duration_since(UNIX_EPOCH).map_or(1, |since| u64::from(since.subsec_nanos()))
        };
        let seed = seed.unwrap_or_else(now).max(1);
        println!("MADDY_SEED={seed}");
        Self(seed)
    }

    fn below(&mut self, most: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 % most as u64).unwrap()
    }

    /// Pieces in a row, some of their octets changed.
    fn text(&mut self, pieces: &[&[u8]], most: usize) -> Vec<u8> {
        let count = self.below(most);
        let mut text: Vec<u8> = (0..count).flat_map(|_| pieces[self.below(pieces.len())].to_vec()).collect();
        for _ in 0..self.below(4) {
            if !text.is_empty() {
                let at = self.below(text.len());
                text[at] = u8::try_from(self.below(256)).unwrap();
            }
        }
        text
    }
}

const MBOX: [&[u8]; 18] = [
    b"From a@b Thu Jan  1 12:00:00 2026\n",
    b"From a@b Thu Jan  1 12:00:00 2026\r\n",
    b"From here on\n",
    b">From x\n",
    b">>From Thu Jan 1 1:1:1 2026\n",
    b"\n",
    b"\r\n",
    b"A: b\n",
    b" folded\n",
    b"Status: RO\n",
    b"X-Status: AFDT\n",
    b"X-Keywords: a b\n",
    b"Content-Length: 7\n",
    b"Content-Length: 99999999999999999999\n",
    b"X-Maddy-Length: 12\n",
    b"X-Mozilla-Status: 0009\n",
    b"text without an end",
    b"\r",
];

#[test]
fn mboxes_of_any_kind() {
    let mut lot = Lot::new();
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("file");
    for _ in 0..3000 {
        let text = [b"From - Thu Jan  1 12:00:00 2026\n", lot.text(&MBOX, 30).as_slice()].concat();
        fs::write(&path, &text).unwrap();
        for (_, quoting) in Quoting::NAMES {
            let source = Mbox::open(&path, quoting, "INBOX").unwrap();
            let mut octets = 0;
            for message in source.messages(0).unwrap() {
                if let Ok(found) = message.unwrap() {
                    octets += found.octets.iter().filter(|octet| !matches!(octet, b'\r' | b'\n')).count();
                }
            }
            let most = text.iter().filter(|octet| !matches!(octet, b'\r' | b'\n')).count();
            assert!(octets <= most, "octets that were not there: {}", String::from_utf8_lossy(&text));
        }
    }
}

const IMAP: [&[u8]; 24] = [
    b"* ",
    b"m1 ",
    b"OK ",
    b"NO",
    b"BYE ",
    b"[UIDVALIDITY 1]",
    b"12 ",
    b"FETCH ",
    b"EXISTS",
    b"LIST ",
    b"(",
    b")",
    b"\"",
    b"\\",
    b"{3}\r\nabc",
    b"{3}\r\n",
    b"{99999999999999999999}\r\n",
    b"NIL",
    b" ",
    b"\r\n",
    b"UID 7",
    b"BODY[] ",
    b"+",
    b"\n",
];

fn heard(text: &[u8], size: usize) -> Vec<Result<Response, &'static str>> {
    let mut client = ImapClient::new();
    let mut list = Vec::new();
    for piece in text.chunks(size) {
        client.feed(piece);
        loop {
            match client.step() {
                Step::Ask(Heard::Response(response)) => list.push(Ok(response)),
                Step::Ask(Heard::Broken(why)) => list.push(Err(why)),
                _ => break,
            }
        }
    }
    list
}

#[test]
fn responses_of_any_kind() {
    let mut lot = Lot::new();
    for _ in 0..20_000 {
        let text = lot.text(&IMAP, 25);
        let whole = heard(&text, usize::MAX);
        let size = 1 + lot.below(8);
        assert_eq!(heard(&text, size), whole, "{:?} in pieces of {size}", String::from_utf8_lossy(&text));
    }
}

#[test]
fn line_ends_of_any_kind_come_back() {
    let mut lot = Lot::new();
    for _ in 0..20_000 {
        let message = [b"A: b\r\n".as_slice(), &lot.text(&[b"\r", b"\n", b"\r\n", b"x"], 20)].concat();
        assert_eq!(to_crlf(to_lf(message.clone())), message);
    }
}

#[test]
fn names_of_any_kind() {
    let mut lot = Lot::new();
    let pieces: [&[u8]; 14] = [
        b".", b"&", b"-", b"&AOk-", b"\xff", b":2,", b"S", b"a", b"%", b"*", b"INBOX", b" ", b"\x07",
        b"&AC8-",
    ];
    let dir = tempfile::tempdir().unwrap();
    for number in 0..300 {
        use std::os::unix::ffi::OsStrExt;
        let root = dir.path().join(number.to_string());
        fs::create_dir_all(root.join("cur")).unwrap();
        for _ in 0..5 {
            let name: Vec<u8> =
                lot.text(&pieces, 8).into_iter().filter(|octet| !matches!(octet, 0 | b'/')).collect();
            if matches!(name.as_slice(), b"" | b"." | b"..") {
                continue;
            }
            let _ = fs::create_dir_all(root.join(std::ffi::OsStr::from_bytes(&name)).join("cur"));
            let _ = fs::write(root.join("cur").join(std::ffi::OsStr::from_bytes(&name)), "A: b\n\nx\n");
        }
        let source = Maildir::open(&root).unwrap();
        for (at, folder) in source.folders().iter().enumerate() {
            let levels: Vec<&str> = folder.name.split('/').collect();
            let is_bad = |level: &&str| {
                level.is_empty() || level.contains(['%', '*']) || level.chars().any(char::is_control)
            };
            assert!(!levels.iter().any(is_bad), "{:?}", folder.name);
            source.messages(at).unwrap().for_each(|message| drop(message.unwrap()));
        }
    }
}
