//! What of a message can be searched: its header and the texts of its parts, decoded and folded, as one string.
//!
//! A scan of messages and the search index use the same string, so that they cannot find different things.

use super::fields::Fields;
use super::{Kind, Part, Parts, Section};
use crate::casemap::fold_onto;
use crate::header::{self, HEADER_MAX};
use crate::message::Message;
use crate::words;
use std::io;
use std::ops::Range;

/// Most octets of one text part that are looked at.
const PART_MAX: u64 = 8 * 1024 * 1024;
/// Most octets of all parts of one message that are looked at.
const RAW_MAX: u64 = 32 * 1024 * 1024;
/// Most octets of folded text that one message has.
const FOLDED_MAX: usize = 64 * 1024 * 1024;
/// Between the pieces. It is in none of them, and no text that is looked for may hold it.
const BETWEEN: char = '\0';
/// Octets of the two lengths that an encoded text begins with.
const LENGTHS: usize = 8;

/// How much of a message is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Extent {
    Header,
    Whole,
}

/// The searchable text of one message, folded by [`crate::casemap::fold`]; `T` is `&str` where it lies in what was stored.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SearchText<T = String> {
    /// Lines `NAME: VALUE` of the header; headers of parts and names of attachments; texts. Each ends in [`BETWEEN`].
    text: T,
    /// Where the header ends, and where what belongs to parts ends.
    header: usize,
    parts: usize,
}

impl SearchText {
    /// Reads a message whose parts lie as `parts` says. Blocks.
    pub fn read(message: &Message, parts: &Parts, extent: Extent) -> io::Result<Self> {
        let mut reading = Reading { message, left: RAW_MAX, out: String::new() };
        let mut root = Vec::new();
        if let Some(range) = parts.section(&[], Section::Header) {
            root = reading.octets(&range, (message.added.len() + HEADER_MAX) as u64)?;
        }
        reading.lines(&root);
        let header = reading.out.len();
        if extent == Extent::Header {
            return Ok(Self { text: reading.out, header, parts: header });
        }
        let mut bodies = Vec::new();
        reading.names(&root);
        for (at, part) in parts.iter().enumerate() {
            let of_message =
                part.parent.and_then(|parent| parts.get(parent)).is_some_and(|of| of.kind == Kind::Message);
            if at > 0 && of_message {
                bodies.push((part, Piece::Header));
            } else if at > 0 {
                let octets = reading.octets(&part.header, HEADER_MAX as u64)?;
                reading.lines(&octets);
                reading.names(&octets);
            }
            if matches!(part.kind, Kind::Plain | Kind::Html | Kind::Text) {
                bodies.push((part, Piece::Text));
            }
        }
        let end = reading.out.len();
        for (part, piece) in bodies {
            match piece {
                Piece::Text => reading.text(part)?,
                // What is forwarded as a message is found by its subject and people too.
                Piece::Header => {
                    let octets = reading.octets(&part.header, HEADER_MAX as u64)?;
                    reading.lines(&octets);
                }
            }
        }
        Ok(Self { text: reading.out, header, parts: end })
    }

    /// The same, borrowed.
    pub fn view(&self) -> SearchText<&str> {
        SearchText { text: &self.text, header: self.header, parts: self.parts }
    }

    /// As it is stored.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(LENGTHS + self.text.len());
        for length in [self.header, self.parts] {
            out.extend_from_slice(&u32::try_from(length).unwrap_or(u32::MAX).to_le_bytes());
        }
        out.extend_from_slice(self.text.as_bytes());
        out
    }
}

impl<'a> SearchText<&'a str> {
    /// What [`SearchText::encode`] wrote. `None`: it is damaged.
    pub fn decode(octets: &'a [u8]) -> Option<Self> {
        let (header, rest) = octets.split_first_chunk()?;
        let (parts, text) = rest.split_first_chunk()?;
        let length = |octets: &[u8; 4]| usize::try_from(u32::from_le_bytes(*octets)).ok();
        let (header, parts) = (length(header)?, length(parts)?);
        let text = std::str::from_utf8(text).ok()?;
        let fits = header <= parts && text.is_char_boundary(header) && text.is_char_boundary(parts);
        fits.then_some(Self { text, header, parts })
    }
}

impl<T: AsRef<str>> SearchText<T> {
    /// Whether a field of that name has that text in it; both folded. An empty text is in every field.
    pub fn has_in_field(&self, name: &str, wanted: &str) -> bool {
        self.fields().any(|(known, value)| known == name && value.contains(wanted))
    }

    /// Name and value of each field of the header.
    pub fn fields(&self) -> impl Iterator<Item = (&str, &str)> {
        self.whole()[..self.header].split_terminator(BETWEEN).filter_map(|line| line.split_once(": "))
    }

    /// Whether header or body have that text (RFC 9051 §6.4.4); it is folded.
    pub fn has(&self, wanted: &str) -> bool {
        is_possible(wanted) && self.whole().contains(wanted)
    }

    /// Whether the body has that text, which is folded.
    pub fn has_in_body(&self, wanted: &str) -> bool {
        is_possible(wanted) && (wanted.is_empty() || self.body().contains(wanted))
    }

    /// All of it. Whatever is in a field or in the body is in it.
    pub fn whole(&self) -> &str {
        self.text.as_ref()
    }

    /// What stands in the text parts.
    pub fn body(&self) -> &str {
        &self.whole()[self.parts..]
    }
}

/// Whether any message can have this text.
fn is_possible(wanted: &str) -> bool {
    !wanted.contains(BETWEEN)
}

#[derive(Clone, Copy)]
enum Piece {
    Text,
    Header,
}

struct Reading<'a> {
    message: &'a Message,
    /// Octets that may still be looked at.
    left: u64,
    out: String,
}

impl Reading<'_> {
    fn octets(&mut self, range: &Range<u64>, most: u64) -> io::Result<Vec<u8>> {
        let len = (range.end - range.start).min(most).min(self.left);
        self.left -= len;
        let octets = self.message.read_at(range.start, usize::try_from(len).unwrap_or(0))?;
        Ok(octets)
    }

    fn text(&mut self, part: &Part) -> io::Result<()> {
        let raw = self.octets(&part.body, PART_MAX)?;
        self.put(&super::text(part, &raw));
        self.end_piece();
        Ok(())
    }

    fn lines(&mut self, octets: &[u8]) {
        for field in header::fields(octets) {
            self.put(&String::from_utf8_lossy(field.name));
            self.put(": ");
            self.put(&field.text());
            self.end_piece();
        }
    }

    /// Names of attachments as people read them (RFC 2231), for programs write them encoded and cut into pieces.
    fn names(&mut self, octets: &[u8]) {
        for name in Fields::read(octets).file_names() {
            self.put(&words::decode(name));
            self.end_piece();
        }
    }

    fn put(&mut self, text: &str) {
        if text.contains(BETWEEN) {
            fold_onto(&mut self.out, &text.replace(BETWEEN, " "), FOLDED_MAX);
        } else {
            fold_onto(&mut self.out, text, FOLDED_MAX);
        }
    }

    fn end_piece(&mut self) {
        self.out.push(BETWEEN);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Blob;
    use crate::casemap::fold;

    fn read(text: &str) -> SearchText {
        let mut message = Message::new(Blob::from_bytes(text.as_bytes()));
        message.prepend("Return-Path: <in@front.example>");
        let parts = super::super::analyse(&mut text.as_bytes()).unwrap().parts;
        let parts = parts.behind(message.added.len() as u64);
        let whole = SearchText::read(&message, &parts, Extent::Whole).unwrap();
        let header = SearchText::read(&message, &parts, Extent::Header).unwrap();
        assert_eq!(whole.fields().collect::<Vec<_>>(), header.fields().collect::<Vec<_>>());
        assert_eq!(SearchText::decode(&whole.encode()), Some(whole.view()));
        whole
    }

    const MAIL: &str = "Subject: =?utf-8?q?Gr=C3=BC=C3=9Fe?=\r\nX-Empty:\r\nno colon\r\n\
        Content-Type: multipart/mixed; boundary=b\r\n\r\nin front\r\n\
        --b\r\nContent-Type: text/plain; charset=iso-8859-1\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\n\
        stra=DFe so=\r\nft\r\n\
        --b\r\nContent-Type: text/html\r\n\r\n<p>bold<b>face</b> &eacute;t&eacute;</p>\r\n\
        --b\r\nContent-Type: application/pdf\r\nContent-Disposition: attachment;\r\n \
        filename*0*=utf-8''%C3%A4rg; filename*1=er.pdf\r\nContent-Transfer-Encoding: base64\r\n\r\nc2VjcmV0\r\n\
        --b\r\nContent-Type: message/rfc822\r\n\r\nSubject: within\r\nFrom: deep@example.org\r\n\r\nburied\r\n\
        --b--\r\nbehind\r\n";

    #[test]
    fn finds_what_people_read() {
        let text = read(MAIL);
        for (wanted, whole, body) in [
            ("grüße", true, false),
            ("GRÜßE", true, false),
            ("subject: grüße", true, false),
            ("in@front.example", true, false),
            ("straße", true, true),
            ("soft", true, true),
            ("été", true, true),
            ("ärger.pdf", true, false),
            ("application/pdf", true, false),
            ("within", true, true),
            ("deep@example", true, true),
            ("buried", true, true),
            ("secret", false, false),
            ("<p>", false, false),
            ("behind", false, false),
            ("e\0", false, false),
            ("", true, true),
        ] {
            let folded = fold(wanted);
            assert_eq!((text.has(&folded), text.has_in_body(&folded)), (whole, body), "{wanted:?}");
        }
        for (name, wanted, want) in [
            ("subject", "üß", true),
            ("subject", "", true),
            ("x-empty", "", true),
            ("x-empty", "x", false),
            ("x-missing", "", false),
            ("return-path", "front", true),
            ("", "no colon", true),
            ("from", "deep", false),
        ] {
            assert_eq!(text.has_in_field(&fold(name), &fold(wanted)), want, "{name} {wanted}");
        }
    }

    #[test]
    fn what_is_damaged_is_not_believed() {
        let stored = read(MAIL).encode();
        for octets in
            [&stored[..5], &[0xff; 9], &[9, 0, 0, 0, 1, 0, 0, 0, b'x'], &[1, 0, 0, 0, 2, 0, 0, 0, 0xc3]]
        {
            assert_eq!(SearchText::decode(octets), None);
        }
        let nothing = SearchText::<String>::default();
        assert_eq!(SearchText::decode(&nothing.encode()), Some(nothing.view()));
    }

    #[test]
    fn nul_and_growing_characters_do_no_harm() {
        let text = read("Subject: a\0b\r\n\r\nx\0y\u{fdfa}");
        assert!(text.has("A B") && text.has("X Y") && !text.has("\0"));
        let mut out = String::new();
        fold_onto(&mut out, &"\u{fdfa}".repeat(100), 100);
        assert!(out.len() < 150);
    }
}
