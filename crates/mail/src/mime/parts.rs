//! The table of parts: where each part of a message lies, so that one part is read without the others.

use super::decode::Encoding;
use super::{DEPTH_MAX, PARTS_MAX};
use std::ops::Range;

/// The version that [`Parts::encode`] writes as its first octet.
const VERSION: u8 = 1;
/// Longest charset name in the table, in octets.
const CHARSET_MAX: usize = 63;

/// What a part holds, as far as a server cares.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Plain,
    Html,
    /// Another kind of text.
    Text,
    Multipart,
    /// `message/rfc822` or `message/global`: its one child is the message within.
    Message,
    Other,
}

/// One part: an entity with a header and a body (RFC 2045 §2.4).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Part {
    /// Its parent's place in the table; `None` for the message itself.
    pub parent: Option<usize>,
    pub kind: Kind,
    pub encoding: Encoding,
    /// In lower case; empty if none is named.
    pub charset: String,
    /// Octets of the header in the message, the blank line included.
    pub header: Range<u64>,
    /// Octets of the body, without the line break that belongs to the boundary behind it.
    pub body: Range<u64>,
    /// Lines of the body.
    pub lines: u64,
}

/// Which octets of a part are asked for (RFC 9051 §6.4.5.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Section {
    /// `BODY[]`, `BODY[1.2]`: the whole message, or the body of a part.
    Whole,
    /// `HEADER`: of the message, or of the message within a part.
    Header,
    /// `TEXT`: the body of the same.
    Text,
    /// `MIME`: the header of a part.
    Mime,
}

/// All parts of a message; the message itself comes first, parents before children.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Parts(pub(super) Vec<Part>);

impl Parts {
    /// The octets that are asked for; `None` if the message has no such part.
    pub fn section(&self, path: &[u32], what: Section) -> Option<Range<u64>> {
        if path.is_empty() {
            let root = self.0.first()?;
            return match what {
                Section::Whole => Some(root.header.start..root.body.end),
                Section::Header => Some(root.header.clone()),
                Section::Text => Some(root.body.clone()),
                Section::Mime => None,
            };
        }
        let at = self.find(path)?;
        let part = &self.0[at];
        match what {
            Section::Whole => Some(part.body.clone()),
            Section::Mime => Some(part.header.clone()),
            Section::Header => self.inner(at).map(|inner| self.0[inner].header.clone()),
            Section::Text => self.inner(at).map(|inner| self.0[inner].body.clone()),
        }
    }

    /// Of a message of which only its header is at hand, so many octets.
    pub fn of_header(octets: u64) -> Self {
        Self(vec![Part {
            parent: None,
            kind: Kind::Other,
            encoding: Encoding::Identity,
            charset: String::new(),
            header: 0..octets,
            body: octets..octets,
            lines: 0,
        }])
    }

    /// The part with that number; the message itself for an empty path.
    pub fn part(&self, path: &[u32]) -> Option<&Part> {
        if path.is_empty() { self.0.first() } else { self.find(path).map(|at| &self.0[at]) }
    }

    /// The parts that hold text, in order.
    pub fn texts(&self) -> impl Iterator<Item = &Part> {
        self.0.iter().filter(|part| matches!(part.kind, Kind::Plain | Kind::Html | Kind::Text))
    }

    /// The same table for the message with `octets` of header fields put in front of it.
    pub fn behind(mut self, octets: u64) -> Self {
        for (at, part) in self.0.iter_mut().enumerate() {
            let start = if at == 0 { 0 } else { part.header.start + octets };
            part.header = start..part.header.end + octets;
            part.body = part.body.start + octets..part.body.end + octets;
        }
        self
    }

    /// All parts; the message itself first.
    pub fn iter(&self) -> impl Iterator<Item = &Part> {
        self.0.iter()
    }

    /// The part at that place in the table.
    pub fn get(&self, at: usize) -> Option<&Part> {
        self.0.get(at)
    }

    pub fn len(&self) -> usize {
        self.0.len()
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Part numbers count within a message: part 1 of a message that is no multipart is its body, and the
    /// parts of a message within a part are numbered below that part (RFC 9051 §6.4.5.1).
    fn find(&self, path: &[u32]) -> Option<usize> {
        if path.len() > 2 * DEPTH_MAX {
            return None;
        }
        let mut message = Some(0);
        let mut at = 0;
        for number in path {
            let nth = usize::try_from(*number).ok()?.checked_sub(1)?;
            let holder = message.unwrap_or(at);
            let of = self.0.get(holder)?;
            at = match (of.kind, message) {
                (Kind::Multipart, _) => self.children(holder).nth(nth)?,
                (_, Some(holder)) if nth == 0 => holder,
                _ => return None,
            };
            message = self.inner(at);
        }
        Some(at)
    }

    fn children(&self, parent: usize) -> impl Iterator<Item = usize> {
        self.0.iter().enumerate().filter(move |(_, part)| part.parent == Some(parent)).map(|(at, _)| at)
    }

    /// The message within a part of kind `Message`.
    fn inner(&self, at: usize) -> Option<usize> {
        if self.0.get(at)?.kind == Kind::Message { self.children(at).next() } else { None }
    }

    /// A compact form for the database: a version octet, then numbers of seven bits an octet.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = vec![VERSION];
        put_number(&mut out, self.0.len() as u64);
        let mut last = 0;
        for part in &self.0 {
            put_number(&mut out, part.parent.map_or(0, |at| at as u64 + 1));
            out.push(kind_code(part.kind));
            out.push(encoding_code(part.encoding));
            let charset = &part.charset.as_bytes()[..part.charset.len().min(CHARSET_MAX)];
            out.push(charset.len() as u8);
            out.extend_from_slice(charset);
            // A part begins after the part before it in the table, so that differences are small numbers.
            put_number(&mut out, part.header.start - last);
            put_number(&mut out, part.header.end - part.header.start);
            put_number(&mut out, part.body.start - part.header.end);
            put_number(&mut out, part.body.end - part.body.start);
            put_number(&mut out, part.lines);
            last = part.header.start;
        }
        out
    }

    /// Reads what [`Self::encode`] wrote. `None` for another version or anything damaged.
    pub fn decode(octets: &[u8]) -> Option<Self> {
        let (&version, mut rest) = octets.split_first()?;
        let count = usize::try_from(take_number(&mut rest)?).ok()?;
        if version != VERSION || count > PARTS_MAX + DEPTH_MAX {
            return None;
        }
        let mut parts = Vec::with_capacity(count);
        let mut last = 0_u64;
        for at in 0..count {
            let parent = usize::try_from(take_number(&mut rest)?).ok()?.checked_sub(1);
            if parent.is_some_and(|parent| parent >= at) || parent.is_none() != (at == 0) {
                return None;
            }
            let kind = kind_named(take(&mut rest, 1)?[0])?;
            let encoding = encoding_named(take(&mut rest, 1)?[0])?;
            let len = usize::from(take(&mut rest, 1)?[0]);
            let charset = std::str::from_utf8(take(&mut rest, len)?).ok()?.to_owned();
            let start = last.checked_add(take_number(&mut rest)?)?;
            let header = start..start.checked_add(take_number(&mut rest)?)?;
            let body = header.end.checked_add(take_number(&mut rest)?)?;
            let body = body..body.checked_add(take_number(&mut rest)?)?;
            let lines = take_number(&mut rest)?;
            last = start;
            parts.push(Part { parent, kind, encoding, charset, header, body, lines });
        }
        rest.is_empty().then_some(Self(parts))
    }
}

const KINDS: [Kind; 6] = [Kind::Plain, Kind::Html, Kind::Text, Kind::Multipart, Kind::Message, Kind::Other];
const ENCODINGS: [Encoding; 4] =
    [Encoding::Identity, Encoding::Base64, Encoding::QuotedPrintable, Encoding::Unknown];

fn kind_code(kind: Kind) -> u8 {
    KINDS.iter().position(|k| *k == kind).unwrap_or(KINDS.len() - 1) as u8
}

fn kind_named(code: u8) -> Option<Kind> {
    KINDS.get(usize::from(code)).copied()
}

fn encoding_code(encoding: Encoding) -> u8 {
    ENCODINGS.iter().position(|e| *e == encoding).unwrap_or(ENCODINGS.len() - 1) as u8
}

fn encoding_named(code: u8) -> Option<Encoding> {
    ENCODINGS.get(usize::from(code)).copied()
}

fn put_number(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

fn take_number(rest: &mut &[u8]) -> Option<u64> {
    let mut value = 0_u64;
    for shift in (0..64).step_by(7) {
        let octet = take(rest, 1)?[0];
        value |= u64::from(octet & 0x7f).checked_shl(shift)?;
        if octet < 0x80 {
            return Some(value);
        }
    }
    None
}

fn take<'a>(rest: &mut &'a [u8], count: usize) -> Option<&'a [u8]> {
    let (head, tail) = rest.split_at_checked(count)?;
    *rest = tail;
    Some(head)
}
