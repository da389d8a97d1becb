//! Walks over a message line by line and notes where its parts lie (RFC 2046 §5.1).
//!
//! Holds the header of one part, the start of one line and the table; so any message of any size is read
//! in constant memory. Rubbish has a meaning too: a multipart without parts is plain text, a part without
//! an end reaches to the end of what holds it.

use super::entity::Entity;
use super::envelope::envelope;
use super::fields::{Fields, PART_HEADER_MAX};
use super::key_fields::KeyFields;
use super::parts::{Kind, Parts};
use super::{Analysis, DEPTH_MAX, PARTS_MAX, print};
use crate::header::HEADER_MAX;
use memchr::memchr;

/// How much of a line is kept to look for a boundary in it.
const LINE_KEPT: usize = 512;
/// Longest boundary that is believed; the standard allows 70 (RFC 2046 §5.1.1).
const BOUNDARY_MAX: usize = 255;
/// How much text all parts together may add to the structure; beyond it parts are told without their fields.
const TEXT_MAX: usize = 1024 * 1024;

/// A part that has not ended yet.
#[derive(Debug)]
struct Open {
    entity: usize,
    /// Of a multipart whose parts are still coming.
    boundary: Option<Vec<u8>>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    Header,
    Body,
}

/// Where a part ends.
#[derive(Clone, Copy)]
struct End {
    at: u64,
    /// Line breaks before it.
    breaks: u64,
    /// Where the line begins that it ends; a part that ends behind that has one more line.
    line: u64,
}

/// What a boundary line says.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Mark {
    Close,
    Open,
}

/// Finds the structure of a message that comes in pieces.
#[derive(Debug)]
pub struct Scanner {
    entities: Vec<Entity>,
    open: Vec<Open>,
    place: Place,
    /// Octets of the header that is being read.
    header: Vec<u8>,
    /// How long `header` was when the line began.
    header_before_line: usize,
    /// The start of the line, if that may be a boundary.
    line: Vec<u8>,
    line_start: u64,
    last_line_start: u64,
    /// Length of the line break before the line.
    last_break: u64,
    breaks: u64,
    at: u64,
    carriage: Carriage,
    text_left: usize,
    key_fields: KeyFields,
}

/// Whether the octet before was a CR.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Carriage {
    Seen,
    Not,
}

impl Default for Scanner {
    fn default() -> Self {
        Self::new()
    }
}

impl Scanner {
    pub fn new() -> Self {
        let mut scanner = Self {
            entities: Vec::new(),
            open: Vec::new(),
            place: Place::Header,
            header: Vec::new(),
            header_before_line: 0,
            line: Vec::new(),
            line_start: 0,
            last_line_start: 0,
            last_break: 0,
            breaks: 0,
            at: 0,
            carriage: Carriage::Not,
            text_left: TEXT_MAX,
            key_fields: KeyFields::default(),
        };
        scanner.begin(None);
        scanner
    }

    /// Takes the next octets of the message.
    pub fn push(&mut self, mut octets: &[u8]) {
        while let Some(at) = memchr(b'\n', octets) {
            let (line, rest) = octets.split_at(at + 1);
            self.keep(&line[..at]);
            self.at += 1;
            self.end_line();
            octets = rest;
        }
        self.keep(octets);
    }

    /// The structure of what was pushed.
    pub fn finish(mut self) -> Analysis {
        if self.at > self.line_start
            && let Some((level, mark)) = self.boundary()
        {
            self.part_ends(level, mark);
        }
        let end = End { at: self.at, breaks: self.breaks, line: self.line_start };
        self.end_unfinished_header(end);
        self.close_down_to(0, end);
        let table = Parts(self.entities.iter().map(Entity::part).collect());
        let header_len = self.entities[0].header.1;
        Analysis {
            size: self.at,
            header_len,
            envelope: self.entities[0].envelope.clone().unwrap_or_default(),
            bodystructure: print::bodystructure(&self.entities, &table),
            parts: table,
            key_fields: self.key_fields,
        }
    }

    /// Octets within a line.
    fn keep(&mut self, octets: &[u8]) {
        let Some(last) = octets.last() else { return };
        self.carriage = if *last == b'\r' { Carriage::Seen } else { Carriage::Not };
        // Nothing of a line is kept that cannot be a boundary.
        let may_be_boundary =
            if self.at == self.line_start { octets[0] == b'-' } else { !self.line.is_empty() };
        if may_be_boundary {
            let room = LINE_KEPT.saturating_sub(self.line.len()).min(octets.len());
            self.line.extend_from_slice(&octets[..room]);
        }
        if self.place == Place::Header {
            let room = self.header_max().saturating_sub(self.header.len()).min(octets.len());
            self.header.extend_from_slice(&octets[..room]);
        }
        self.at += octets.len() as u64;
    }

    fn header_max(&self) -> usize {
        let of = self.open.last().map_or(0, |open| open.entity);
        if self.is_message(of) { HEADER_MAX } else { PART_HEADER_MAX }
    }

    /// Whether an entity is a message and not merely a part of one.
    fn is_message(&self, entity: usize) -> bool {
        self.entities[entity].parent.is_none_or(|parent| self.entities[parent].kind == Kind::Message)
    }

    /// A line has ended; its LF is counted in `at`.
    fn end_line(&mut self) {
        let break_len = if self.carriage == Carriage::Seen { 2 } else { 1 };
        let blank = self.at - self.line_start == break_len;
        if let Some((level, mark)) = self.boundary() {
            self.part_ends(level, mark);
            self.next_line(break_len);
            if mark == Mark::Open {
                self.part_begins(level);
            }
            return;
        }
        if self.place == Place::Header && self.header.len() < self.header_max() {
            self.header.push(b'\n');
        }
        self.next_line(break_len);
        if blank && self.place == Place::Header {
            self.end_header(End { at: self.at, breaks: self.breaks, line: self.line_start });
        }
    }

    fn next_line(&mut self, break_len: u64) {
        self.breaks += 1;
        self.last_break = break_len;
        self.last_line_start = self.line_start;
        self.line_start = self.at;
        self.header_before_line = self.header.len();
        self.line.clear();
        self.carriage = Carriage::Not;
    }

    /// Whether the line is a boundary of an open multipart: its place among the open parts, and what it says.
    ///
    /// A boundary may begin like another one, so an exact line counts before a longer beginning, and that
    /// before a shorter.
    fn boundary(&self) -> Option<(usize, Mark)> {
        let text = self.line.strip_prefix(b"--")?;
        let mut best: Option<((bool, usize, usize), Mark)> = None;
        for (level, open) in self.open.iter().enumerate() {
            let Some(boundary) = &open.boundary else { continue };
            let Some(rest) = text.strip_prefix(boundary.as_slice()) else { continue };
            let (mark, tail) = match rest.strip_prefix(b"--") {
                Some(tail) => (Mark::Close, tail),
                None => (Mark::Open, rest),
            };
            let rank = (tail.trim_ascii().is_empty(), boundary.len(), level);
            if best.is_none_or(|(known, _)| rank > known) {
                best = Some((rank, mark));
            }
        }
        best.map(|((_, _, level), mark)| (level, mark))
    }

    /// A boundary line ends all that is open above its multipart; the line break before it is part of it.
    fn part_ends(&mut self, level: usize, mark: Mark) {
        let at = self.line_start.saturating_sub(self.last_break);
        let end = End { at, breaks: self.breaks.saturating_sub(1), line: self.last_line_start };
        self.header.truncate(self.header_before_line);
        self.end_unfinished_header(end);
        self.close_down_to(level + 1, end);
        if mark == Mark::Close {
            self.open[level].boundary = None;
        }
    }

    fn part_begins(&mut self, level: usize) {
        if self.entities.len() < PARTS_MAX {
            self.begin(Some(self.open[level].entity));
        }
    }

    /// A new part, or the message itself, begins here with its header.
    fn begin(&mut self, parent: Option<usize>) {
        self.open.push(Open { entity: self.entities.len(), boundary: None });
        self.entities.push(Entity {
            parent,
            fields: Fields::default(),
            envelope: None,
            kind: Kind::Plain,
            header: (self.at, self.at),
            body: (self.at, self.at),
            lines: self.breaks,
        });
        self.place = Place::Header;
        self.header.clear();
        self.header_before_line = 0;
    }

    /// The header of the part on top is complete: finds out what the part is, and opens what it holds.
    fn end_header(&mut self, end: End) {
        self.place = Place::Body;
        let Some(open) = self.open.last() else { return };
        let at = open.entity;
        let octets = std::mem::take(&mut self.header);
        let mut fields = Fields::read(&octets);
        let boundary = fields.param("boundary").map(<[u8]>::to_vec);
        self.settle_kind(at, &mut fields, boundary.as_deref());
        let is_message = self.is_message(at);
        let envelope = if is_message { Some(self.envelope_within_budget(at, &octets)) } else { None };
        if at == 0 {
            self.key_fields = KeyFields::read(&octets);
        }
        let weight = fields.weight();
        if weight > self.text_left {
            fields = Fields { media: fields.media, encoding: fields.encoding, ..Fields::default() };
        }
        self.text_left = self.text_left.saturating_sub(weight);
        let entity = &mut self.entities[at];
        let body = end.at.max(entity.header.0);
        entity.fields = fields;
        entity.envelope = envelope;
        entity.header.1 = body;
        entity.body = (body, body);
        entity.lines = end.breaks.max(entity.lines);
        match self.entities[at].kind {
            Kind::Multipart => {
                if let Some(open) = self.open.last_mut() {
                    open.boundary = boundary;
                }
            }
            Kind::Message => {
                // The message within begins where this header ends, which may lie before the line at hand.
                let here = std::mem::replace(&mut self.at, body);
                self.begin(Some(at));
                self.at = here;
            }
            _ => {}
        }
    }

    /// Ends a header that has no blank line; if that opens a message, its header ends in the same place.
    fn end_unfinished_header(&mut self, end: End) {
        while self.place == Place::Header {
            self.end_header(end);
        }
    }

    fn envelope_within_budget(&mut self, at: usize, octets: &[u8]) -> Vec<u8> {
        let envelope = if at == 0 || self.text_left > 0 { envelope(octets) } else { envelope(b"") };
        if at > 0 {
            self.text_left = self.text_left.saturating_sub(envelope.len());
        }
        envelope
    }

    /// Decides what a part is. What is nested too deep is unknown content; a multipart without a boundary is text.
    fn settle_kind(&mut self, at: usize, fields: &mut Fields, boundary: Option<&[u8]>) {
        if fields.media.is_none() {
            *fields = Fields { media: self.default_media(at), params: Vec::new(), ..std::mem::take(fields) };
        }
        let (main, sub) = match &fields.media {
            Some((main, sub)) => (main.as_str(), sub.as_str()),
            None => ("TEXT", "PLAIN"),
        };
        let usable = boundary.is_some_and(|b| (1..=BOUNDARY_MAX).contains(&b.len()));
        let room = self.open.len() < DEPTH_MAX && self.entities.len() < PARTS_MAX;
        let kind = match (main, sub) {
            ("MULTIPART", _) if !usable => Kind::Plain,
            ("MULTIPART", _) if room => Kind::Multipart,
            ("MESSAGE", "RFC822" | "GLOBAL") if room => Kind::Message,
            ("MULTIPART", _) | ("MESSAGE", "RFC822" | "GLOBAL") => Kind::Other,
            ("TEXT", "PLAIN") => Kind::Plain,
            ("TEXT", "HTML") => Kind::Html,
            ("TEXT", _) => Kind::Text,
            _ => Kind::Other,
        };
        match (main, kind) {
            ("MULTIPART", Kind::Plain) => fields.become_media("TEXT", "PLAIN"),
            ("MULTIPART" | "MESSAGE", Kind::Other) if !room => {
                fields.become_media("APPLICATION", "OCTET-STREAM")
            }
            _ => {}
        }
        self.entities[at].kind = kind;
    }

    /// What a part is that does not say: text, but a message within a digest (RFC 2046 §5.1.5).
    fn default_media(&self, at: usize) -> Option<(String, String)> {
        let parent = self.entities[at].parent.and_then(|parent| self.entities[parent].fields.media.as_ref());
        let digest = parent.is_some_and(|(main, sub)| main == "MULTIPART" && sub == "DIGEST");
        let (main, sub) = if digest { ("MESSAGE", "RFC822") } else { ("TEXT", "PLAIN") };
        Some((main.to_owned(), sub.to_owned()))
    }

    /// Ends all open parts from `level` up.
    fn close_down_to(&mut self, level: usize, end: End) {
        // A part that begins with its own boundary lies behind the end of what holds it, by that line break.
        let mut at = end.at;
        while self.open.len() > level {
            let Some(open) = self.open.pop() else { return };
            let empty = open.entity + 1 == self.entities.len();
            let entity = &mut self.entities[open.entity];
            let before = entity.lines;
            entity.body.1 = at.max(entity.body.0);
            at = entity.body.1;
            let cut = u64::from(entity.body.1 > end.line.max(entity.body.0));
            entity.lines = end.breaks.saturating_sub(before) + cut;
            if entity.kind == Kind::Multipart && empty {
                entity.fields.become_media("TEXT", "PLAIN");
                entity.kind = Kind::Plain;
            }
        }
    }
}
