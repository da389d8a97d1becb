//! Dots, line ends, and what a message asks of the next server.

#![allow(clippy::unwrap_used, reason = "helpers of tests may panic like the tests themselves")]

use smtp_proto::data::{Bare, Decoder, Encoder, LineCheck};
use smtp_proto::{ContentKind, Scan};

/// A small generator, so that a failure can be run again from its seed.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, end: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 % end as u64).unwrap()
    }

    /// Octets among which dots and line ends are frequent.
    fn octets(&mut self, most: usize, alphabet: &[&[u8]]) -> Vec<u8> {
        (0..self.roll(most)).flat_map(|_| alphabet[self.roll(alphabet.len())].to_vec()).collect()
    }
}

fn decode(input: &[u8], piece: usize) -> (Vec<u8>, Option<usize>, Option<Bare>) {
    let mut decoder = Decoder::new();
    let mut out = Vec::new();
    let mut at = 0;
    for part in input.chunks(piece) {
        let before = out.len();
        let decoded = decoder.decode(part, &mut out);
        assert!(out.len() - before <= part.len() + 1);
        at += decoded.used;
        if decoded.end {
            return (out, Some(at), decoder.fault());
        }
    }
    (out, None, decoder.fault())
}

#[test]
fn dots_and_ends() {
    for (input, out, end) in [
        (&b".\r\n"[..], &b""[..], Some(3)),
        (b"\r\n.\r\n", b"\r\n", Some(5)),
        (b"a\r\n.\r\nNOOP", b"a\r\n", Some(6)),
        (b"..\r\n.\r\n", b".\r\n", Some(7)),
        (b".a\r\n..b\r\n.\r\n", b"a\r\n.b\r\n", Some(12)),
        (b"a.\r\n.\r\n", b"a.\r\n", Some(7)),
        (b"a\r\n.", b"a\r\n", None),
        (b"a\r\n.\r", b"a\r\n", None),
        (b"a", b"a", None),
    ] {
        for piece in 1..=input.len() {
            assert_eq!(decode(input, piece), (out.to_vec(), end, None), "{input:?} by {piece}");
        }
    }
}

#[test]
fn bare_line_ends_never_end_a_message() {
    for (input, end, fault) in [
        (&b"a\n.\n.\r\n"[..], None, Bare::Lf),
        (b"a\n.\r\n", None, Bare::Lf),
        (b"a\r\n.\n", None, Bare::Lf),
        (b"a\r.\r\n", None, Bare::Cr),
        (b"a\r\n.\r\r\n", None, Bare::Cr),
        (b"\n.\r\n\r\n.\r\n", Some(9), Bare::Lf),
        (b"a\r\r\n.\r\n", Some(7), Bare::Cr),
    ] {
        for piece in 1..=input.len() {
            let got = decode(input, piece);
            assert_eq!((got.1, got.2), (end, Some(fault)), "{input:?} by {piece}");
        }
    }
}

/// Decoder against the definition: the end is the first CRLF.CRLF, seen from behind a CRLF.
#[test]
fn the_decoder_is_the_definition() {
    let seed = 0x5eed_0001;
    let mut dice = Dice(seed);
    for round in 0..20_000 {
        let input = dice.octets(24, &[b"\r", b"\n", b".", b"a", b"\r\n", b"\r\n."]);
        let framed = [b"\r\n", input.as_slice()].concat();
        let want = framed.windows(5).position(|window| window == b"\r\n.\r\n").map(|at| at + 3);
        let piece = 1 + dice.roll(8);
        let (_, end, _) = decode(&input, piece);
        assert_eq!(end, want, "seed {seed:x} round {round}: {input:?}");
    }
}

#[test]
fn encoder_and_decoder_are_inverse() {
    let seed = 0x5eed_0002;
    let mut dice = Dice(seed);
    for round in 0..10_000 {
        let mut message = dice.octets(24, &[b"\r\n", b".", b"a", b"\xff", b".."]);
        let mut encoder = Encoder::new();
        let mut wire = Vec::new();
        for part in message.chunks(1 + dice.roll(8)) {
            encoder.encode(part, &mut wire).unwrap();
        }
        encoder.finish(&mut wire).unwrap();
        if !message.is_empty() && !message.ends_with(b"\r\n") {
            message.extend_from_slice(b"\r\n");
        }
        let (out, end, fault) = decode(&wire, 1 + dice.roll(8));
        assert_eq!((out, end, fault), (message, Some(wire.len()), None), "seed {seed:x} round {round}");
    }
}

#[test]
fn the_encoder_mends_nothing() {
    for input in [&b"a\nb"[..], b"a\rb", b"\n", b"a\r", b"\r\r\n"] {
        let mut encoder = Encoder::new();
        let mut out = Vec::new();
        let result = encoder.encode(input, &mut out).and_then(|()| encoder.finish(&mut out));
        assert!(result.is_err(), "{input:?}");
    }
}

#[test]
fn line_check_is_the_definition() {
    let seed = 0x5eed_0003;
    let mut dice = Dice(seed);
    for round in 0..20_000 {
        let input = dice.octets(10, &[b"\r", b"\n", b"a", b"\r\n"]);
        let text = String::from_utf8(input.clone()).unwrap().replace("\r\n", "");
        let want = text.contains(['\r', '\n']);
        let mut check = LineCheck::default();
        for part in input.chunks(1 + dice.roll(4)) {
            check.push(part);
        }
        assert_eq!(check.finish().is_some(), want, "seed {seed:x} round {round}: {input:?}");
    }
}

#[test]
fn scan_finds_what_is_needed() {
    for (input, kind, utf8_header) in [
        (&b""[..], ContentKind::SevenBit, false),
        (b"Subject: x\r\n\r\nhi\r\n", ContentKind::SevenBit, false),
        (b"Subject: x\r\n\r\nh\xff\r\n", ContentKind::EightBit, false),
        (b"Subject: \xc3\xbc\r\n\r\nhi\r\n", ContentKind::EightBit, true),
        (b"Subject: \xc3\xbc\r\n\r\nhi\n", ContentKind::Binary, true),
        (b"\r\n\xff", ContentKind::EightBit, false),
        (b"a\r\n\r", ContentKind::Binary, false),
    ] {
        for piece in 1..=input.len().max(1) {
            let mut scan = Scan::new();
            input.chunks(piece).for_each(|part| scan.push(part));
            let content = scan.finish();
            assert_eq!(
                (content.size, content.kind, content.utf8_header),
                (input.len() as u64, kind, utf8_header),
                "{input:?} by {piece}"
            );
        }
    }
}
