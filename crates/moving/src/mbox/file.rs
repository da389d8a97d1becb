//! One mbox, message by message.

use super::lines::Lines;
use super::own_fields::{self, OwnFields};
use super::{Quoting, envelope, unquote};
use crate::MESSAGE_MAX;
use crate::folder::{Bad, Found};
use crate::line_ends::to_crlf;
use std::fs::File;
use std::io;

/// Longest header that is looked through for fields of the mbox, in octets.
const HEADER_MAX: usize = 4 * 1024 * 1024;
/// Most that is kept of a message while it is read.
const ROOM: usize = MESSAGE_MAX as usize + 1;

/// The messages of one file.
pub(super) struct MboxMessages {
    lines: Lines,
    quoting: Quoting,
    /// The line with which the next message begins, if it was read already.
    begun: Option<Vec<u8>>,
    number: u64,
    ended: bool,
}

/// What was read of a message's header.
struct Head {
    octets: Vec<u8>,
    /// Where its body begins.
    body_at: u64,
    /// Our own mark: where the message begins, and how long it is.
    marked: Option<(u64, u64)>,
    /// The next message has begun already.
    ended: bool,
}

impl MboxMessages {
    pub(super) fn new(file: File, quoting: Quoting) -> Self {
        Self { lines: Lines::new(file), quoting, begun: None, number: 0, ended: false }
    }

    fn message(&mut self) -> io::Result<Option<Result<Found, Bad>>> {
        loop {
            let Some(begin) = self.begin()? else { return Ok(None) };
            self.number += 1;
            let (name, received) = (self.number.to_string(), envelope::time(&begin));
            let head = self.head()?;
            if let Some(octets) = self.marked(&head)? {
                let (_, own) = own_fields::take(&head.octets);
                let octets = to_crlf(unquote(&octets, Quoting::Rd));
                return Ok(Some(Ok(Found { name, octets, flags: own.flags, received })));
            }
            let (mut octets, own) = own_fields::take(&head.octets);
            let body = if head.ended { Vec::new() } else { self.body(&head, &own)? };
            if own.is_data {
                // What a program has to remember of the file; no message.
                self.number -= 1;
                continue;
            }
            octets.extend_from_slice(&body);
            if own.gone {
                return Ok(Some(Err(Bad { name, why: "Thunderbird has deleted it".to_owned() })));
            }
            if octets.len() as u64 > MESSAGE_MAX {
                let why = format!("it is larger than {MESSAGE_MAX} octets");
                return Ok(Some(Err(Bad { name, why })));
            }
            return Ok(Some(Ok(Found { name, octets: to_crlf(octets), flags: own.flags, received })));
        }
    }

    /// The line with which the next message begins; `None`: there is none.
    fn begin(&mut self) -> io::Result<Option<Vec<u8>>> {
        if let Some(line) = self.begun.take() {
            return Ok(Some(line));
        }
        let mut line = Vec::new();
        while self.lines.next(&mut line, envelope::LINE_MAX)? > 0 {
            if envelope::is_one(&line) {
                return Ok(Some(line));
            }
            line.clear();
        }
        Ok(None)
    }

    fn head(&mut self) -> io::Result<Head> {
        let mut head = Head { octets: Vec::new(), body_at: 0, marked: None, ended: false };
        let mut all_ours = true;
        loop {
            let begin = head.octets.len();
            if begin >= HEADER_MAX {
                break;
            }
            if self.lines.next(&mut head.octets, ROOM - begin)? == 0 {
                head.ended = true;
                break;
            }
            let line = &head.octets[begin..];
            if envelope::is_one(line) && envelope::time(line).is_some() {
                self.begun = Some(head.octets.split_off(begin));
                head.ended = true;
                break;
            }
            if all_ours && let Some(length) = own_fields::number(line, own_fields::LENGTH) {
                head.marked = Some((self.lines.at(), length));
            }
            all_ours = all_ours && own_fields::is_ours(line);
            if matches!(line, b"\n" | b"\r\n") {
                break;
            }
        }
        head.body_at = self.lines.at();
        Ok(head)
    }

    /// The message that we wrote so that it comes back as it was, if this is one.
    fn marked(&mut self, head: &Head) -> io::Result<Option<Vec<u8>>> {
        let Some((from, length)) = head.marked.filter(|_| self.quoting == Quoting::Auto) else {
            return Ok(None);
        };
        let (begun, back) = (self.begun.take(), self.lines.at());
        let found = self.measured(from, length)?;
        if found.is_none() {
            self.lines.seek(back)?;
            self.begun = begun;
        }
        Ok(found)
    }

    /// What lies from a place on, if a message can end behind it. Nobody may hide messages of others by a length: over
    /// what looks like the beginning of one it does not lead, unless all lengths are to be believed.
    fn measured(&mut self, from: u64, length: u64) -> io::Result<Option<Vec<u8>>> {
        if length > MESSAGE_MAX {
            return Ok(None);
        }
        self.lines.seek(from)?;
        let Some(octets) = self.lines.exactly(length)? else { return Ok(None) };
        let lines = || octets.split_inclusive(|octet| *octet == b'\n');
        let leads_over = lines().any(|line| envelope::is_one(line) && envelope::time(line).is_some());
        if leads_over && !self.quoting.trusts_lengths() {
            return Ok(None);
        }
        // At most: the end of the last line, and an empty line.
        for _ in 0..3 {
            let mut line = Vec::new();
            let count = self.lines.next(&mut line, envelope::LINE_MAX)?;
            if count == 0 {
                return Ok(Some(octets));
            }
            if envelope::is_one(&line) {
                self.begun = Some(line);
                return Ok(Some(octets));
            }
            if !matches!(line.as_slice(), b"\n" | b"\r\n") {
                break;
            }
        }
        Ok(None)
    }

    fn body(&mut self, head: &Head, own: &OwnFields) -> io::Result<Vec<u8>> {
        let believed = match self.quoting {
            Quoting::Auto | Quoting::Cl | Quoting::Cl2 => own.content_length,
            Quoting::Rd | Quoting::O => None,
        };
        if let Some(length) = believed {
            if let Some(body) = self.measured(head.body_at, length)? {
                let unquoted = body.split(|octet| *octet == b'\n').any(envelope::is_one);
                let quoting = if unquoted { Quoting::Cl2 } else { self.quoting };
                return Ok(unquote(&body, quoting));
            }
            self.begun = None;
            self.lines.seek(head.body_at)?;
        }
        self.body_by_lines(head.octets.len())
    }

    /// Line by line, up to what begins the next message.
    fn body_by_lines(&mut self, before: usize) -> io::Result<Vec<u8>> {
        let mut body = Vec::new();
        // Between header and body stands an empty line.
        let mut after_empty = true;
        loop {
            let begin = body.len();
            let room = ROOM.saturating_sub(begin + before);
            // So much of a line is looked at even where there is no room for it.
            let mut first = Vec::new();
            let into = if room < envelope::LINE_MAX { &mut first } else { &mut body };
            let count = self.lines.next(into, room.max(envelope::LINE_MAX))?;
            if count == 0 {
                break;
            }
            let line = if room < envelope::LINE_MAX { first.as_slice() } else { &body[begin..] };
            if envelope::is_one(line) && (after_empty || envelope::time(line).is_some()) {
                self.begun = Some(line.to_vec());
                body.truncate(begin);
                break;
            }
            after_empty = matches!(line, b"\n" | b"\r\n");
            if room < envelope::LINE_MAX && body.len() + before < ROOM {
                // Full: what is kept is too large by this, which is all that must be known.
                body.resize(ROOM - before, 0);
            }
        }
        // The empty line before the next message is not part of this one.
        for end in [&b"\r\n"[..], b"\n"] {
            let rest = body.strip_suffix(end).map(<[u8]>::len);
            if let Some(rest) = rest.filter(|rest| *rest == 0 || body[..*rest].ends_with(b"\n")) {
                body.truncate(rest);
                break;
            }
        }
        Ok(unquote(&body, self.quoting))
    }
}

impl Iterator for MboxMessages {
    type Item = io::Result<Result<Found, Bad>>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.ended {
            return None;
        }
        let message = self.message().transpose();
        self.ended = !matches!(message, Some(Ok(_)));
        message
    }
}
