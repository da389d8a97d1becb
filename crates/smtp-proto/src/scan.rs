//! What a message asks of the next server, found by looking at its octets.

use crate::data::LineCheck;

/// What transport a message needs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum ContentKind {
    /// ASCII.
    #[default]
    SevenBit,
    /// Octets above 127: 8BITMIME (RFC 6152).
    EightBit,
    /// CR or LF that stand alone: BINARYMIME and CHUNKING (RFC 3030).
    Binary,
}

/// A message as [`crate::client::Session`] wants to know it before it sends it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Content {
    /// Octets in all.
    pub size: u64,
    pub kind: ContentKind,
    /// The header has octets above 127: SMTPUTF8 (RFC 6532 §3).
    pub utf8_header: bool,
}

/// Looks at a message piece by piece.
#[derive(Debug, Default)]
pub struct Scan {
    size: u64,
    eight_bit: bool,
    lines: LineCheck,
    header: Header,
}

/// Where the header ends: at the first empty line.
#[derive(Debug, Default)]
struct Header {
    over: bool,
    line_is_empty: bool,
    started: bool,
    utf8: bool,
}

impl Scan {
    pub fn new() -> Self {
        Self::default()
    }

    pub fn push(&mut self, octets: &[u8]) {
        self.size += octets.len() as u64;
        self.lines.push(octets);
        self.eight_bit |= !octets.is_ascii();
        self.header.push(octets);
    }

    pub fn finish(self) -> Content {
        let kind = match (self.lines.finish().is_some(), self.eight_bit) {
            (true, _) => ContentKind::Binary,
            (false, true) => ContentKind::EightBit,
            (false, false) => ContentKind::SevenBit,
        };
        Content { size: self.size, kind, utf8_header: self.header.utf8 }
    }
}

impl Header {
    fn push(&mut self, octets: &[u8]) {
        if self.over {
            return;
        }
        if !self.started {
            (self.started, self.line_is_empty) = (true, true);
        }
        for octet in octets {
            match octet {
                b'\r' => {}
                b'\n' if self.line_is_empty => {
                    self.over = true;
                    return;
                }
                b'\n' => self.line_is_empty = true,
                other => {
                    self.line_is_empty = false;
                    self.utf8 |= !other.is_ascii();
                }
            }
        }
    }
}
