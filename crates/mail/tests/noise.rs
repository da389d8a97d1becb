//! Rubbish for every reader of message text: nothing panics, and what must hold for any input holds.
//!
//! Another seed: `MAIL_NOISE_SEED=1234 cargo test -p mail --test noise`.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use mail::{Address, Domain, address_list, date, header, mime, words};

const ROUNDS: usize = 3000;
const LONGEST: usize = 300;

/// Octets that mean something to one reader or another, and some that mean nothing.
const LETTERS: &[u8] = b"aB1 \t\r\n\r\n::;,,<>@@()[]\"\\=?=?=??_%*'/--..+0\0\x7f\xc3\xa9\xff";
/// Pieces that random letters seldom make.
const PIECES: [&str; 16] = [
    "From: ",
    "To: ",
    "Subject: ",
    "Content-Type: ",
    "multipart/mixed; boundary=b",
    "message/rfc822",
    "text/html; charset=utf-8",
    "Content-Transfer-Encoding: base64\r\n",
    "\r\n\r\n",
    "\r\n--b\r\n",
    "--b--",
    "=?utf-8?q?",
    "?=",
    "filename*0*=utf-8''",
    "20 Nov 2026 07:30:00 +0100",
    "a@example.org",
];

struct Noise(u64);

impl Noise {
    fn below(&mut self, n: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 % n as u64).unwrap()
    }

    fn text(&mut self) -> Vec<u8> {
        let mut out = Vec::new();
        for _ in 0..self.below(LONGEST) {
            if self.below(6) == 0 {
                out.extend_from_slice(PIECES[self.below(PIECES.len())].as_bytes());
            } else {
                out.push(LETTERS[self.below(LETTERS.len())]);
            }
        }
        out
    }
}

fn check(text: &[u8]) {
    // Fields lie side by side, from the start to the blank line or the end.
    let mut at = 0;
    for field in header::fields(text) {
        assert_eq!(field.start, at);
        assert!(field.end > field.start);
        at = field.end;
        assert!(!field.text().chars().any(char::is_control));
    }
    assert!(at == text.len() || matches!(text[at], b'\r' | b'\n'));
    assert_eq!(header::except(text, &[]), text);
    let header = header::read(&mut &text[..]).unwrap();
    assert!(text.starts_with(&header));
    assert_eq!(header.len(), header::length(text).unwrap_or(text.len()));

    assert!(!words::decode(text).chars().any(char::is_control));
    if let Ok(text) = std::str::from_utf8(text) {
        let encoded = words::encode(text);
        assert!(encoded.split("\r\n").all(|line| !line.contains(['\r', '\n', '\0'])));
        let _ = (Address::parse(text), Domain::parse(text), date::parse_internal(text));
    }
    for mailbox in address_list::mailboxes(text) {
        assert!(!(mailbox.local.is_empty() && mailbox.domain.is_empty()));
        // What can be written to is an address that reads back.
        if let Some(address) = mailbox.address() {
            assert_eq!(Address::parse(&address.to_string()), Ok(address));
        }
    }
    if let Some(stamp) = date::parse(text) {
        assert_eq!(
            date::parse(date::print(stamp.seconds).as_bytes()).map(|s| s.seconds),
            Some(stamp.seconds)
        );
    }

    let analysis = mime::analyse(&mut &text[..]).unwrap();
    assert_eq!(analysis.size, text.len() as u64);
    assert_eq!(mime::Parts::decode(&analysis.parts.encode()).as_ref(), Some(&analysis.parts));
    assert!(!analysis.bodystructure.contains(&0) && !analysis.envelope.contains(&0));
}

#[test]
fn rubbish_is_read() {
    let seed = std::env::var("MAIL_NOISE_SEED").ok().and_then(|seed| seed.parse().ok());
    let mut noise = Noise(seed.unwrap_or(0x2545_F491_4F6C_DD1D));
    for round in 0..ROUNDS {
        let text = noise.text();
        let outcome = std::panic::catch_unwind(|| check(&text));
        assert!(outcome.is_ok(), "round {round}: {:?}", String::from_utf8_lossy(&text));
    }
}
