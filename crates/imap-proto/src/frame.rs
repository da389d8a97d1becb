//! Where a command ends: lines and literals, before anything is known about their meaning (RFC 9051 §4.3, RFC 7888).
//!
//! A command that is too long, or has a bare CR or LF in it, is read to its end and dropped, literals that were
//! announced included, so that the next command begins where the client thinks it does.

use wire::{Line, take_line};
use zeroize::Zeroize;

/// Bounds of one command in octets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FrameLimits {
    /// The whole command, literals included.
    pub command: usize,
    /// One literal (the message of APPEND is not meant: it is streamed).
    pub literal: u64,
}

/// Before login.
pub const STRANGER: FrameLimits = FrameLimits { command: 8 * 1024, literal: 4 * 1024 };
/// After login.
pub const KNOWN: FrameLimits = FrameLimits { command: 64 * 1024, literal: 32 * 1024 };
/// Most octets that are read and thrown away for one refused command or message; beyond that the connection ends.
pub const DRAIN_MAX: u64 = 512 * 1024 * 1024;

/// Whether the client waits for `+` before it sends the literal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sync {
    Waits,
    /// `{n+}`: it is on its way already (RFC 7888).
    Follows,
}

/// What the reader found.
#[derive(Debug, PartialEq, Eq)]
pub enum Frame {
    /// More octets are needed.
    Partial,
    /// A whole command without its last CRLF.
    Command(Vec<u8>),
    /// A line that ends in a literal's length. `head` is the command so far, up to the brace.
    /// [`Framer::take_literal`], [`Framer::stream_literal`] or [`Framer::refuse`] must follow.
    Literal { head: Vec<u8>, size: u64, sync: Sync },
    /// Octets of a literal that is streamed; an empty piece is its end.
    Piece(Vec<u8>),
    /// A command was dropped; its beginning, for the tag.
    Dropped(Vec<u8>, Fault),
}

/// Why a command was dropped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    TooLong,
    BareLineEnd,
    /// It would take more than [`DRAIN_MAX`] octets to find its end.
    Endless,
    /// The owner refused the literal.
    Refused,
}

enum State {
    /// At the start of a line of a command.
    Line,
    /// A literal of the command, so many octets to come.
    Literal(u64),
    /// A literal that is handed out in pieces.
    Stream(u64),
    /// Dropping the rest of a command.
    Drop { literal: u64, budget: u64, fault: Fault },
    /// The command is dropped: to be told.
    Dropped(Fault),
}

/// Most octets of a dropped command that are kept for its tag.
const HEAD_KEPT: usize = 256;
/// Octets at the end of an overlong line in which a literal's length is looked for.
const TAIL_KEPT: usize = 32;

/// Splits the octets of a client into commands.
pub struct Framer {
    buffer: Vec<u8>,
    /// The command so far, lines and literals.
    command: Vec<u8>,
    limits: FrameLimits,
    state: State,
    pending: Option<(u64, Sync)>,
    /// The next line is the rest of a command whose literal was streamed.
    streamed: bool,
}

impl Default for Framer {
    fn default() -> Self {
        Self {
            buffer: Vec::new(),
            command: Vec::new(),
            limits: STRANGER,
            state: State::Line,
            pending: None,
            streamed: false,
        }
    }
}

impl Framer {
    pub fn feed(&mut self, octets: &[u8]) {
        self.buffer.extend_from_slice(octets);
    }

    /// Sets the bounds for commands from now on.
    pub fn set_limits(&mut self, limits: FrameLimits) {
        self.limits = limits;
    }

    /// Whether nothing waits to be read.
    pub fn is_empty(&self) -> bool {
        self.buffer.is_empty()
    }

    /// Whether the client has begun something that it must bring to its end: a command, a line, a literal.
    pub fn is_midway(&self) -> bool {
        !self.buffer.is_empty()
            || !self.command.is_empty()
            || self.streamed
            || !matches!(self.state, State::Line)
    }

    /// Forgets everything that was fed.
    pub fn clear(&mut self) {
        *self = Self { limits: self.limits, ..Self::default() };
    }

    /// A line by itself, outside of commands: the answers of AUTHENTICATE and IDLE. `None`: not whole yet.
    pub fn line(&mut self) -> Option<Result<Vec<u8>, Fault>> {
        match take_line(&self.buffer, self.limits.command) {
            Line::Partial => None,
            Line::Whole(line, used) => {
                self.used_up(used);
                Some(Ok(line))
            }
            Line::Bare(used) => {
                self.buffer.drain(..used);
                Some(Err(Fault::BareLineEnd))
            }
            Line::TooLong => Some(Err(Fault::TooLong)),
        }
    }

    /// What comes next.
    pub fn next_frame(&mut self) -> Frame {
        loop {
            let frame = match self.state {
                State::Line => self.read_line(),
                State::Literal(rest) => self.read_literal(rest),
                State::Stream(rest) => return self.read_stream(rest),
                State::Drop { literal, budget, fault } => self.read_dropped(literal, budget, fault),
                State::Dropped(fault) => Some(self.dropped(fault)),
            };
            if let Some(frame) = frame {
                return frame;
            }
        }
    }

    /// Drops octets that were taken. Those of a stranger are wiped: a password may stand among them.
    fn used_up(&mut self, used: usize) {
        if self.limits == STRANGER
            && let Some(taken) = self.buffer.get_mut(..used)
        {
            taken.zeroize();
        }
        self.buffer.drain(..used);
    }

    fn read_line(&mut self) -> Option<Frame> {
        let most = self.limits.command.saturating_sub(self.command.len()).max(2);
        match take_line(&self.buffer, most) {
            Line::Partial => Some(Frame::Partial),
            Line::TooLong => {
                self.start_drop(Fault::TooLong);
                None
            }
            Line::Bare(_) => {
                self.start_drop(Fault::BareLineEnd);
                None
            }
            Line::Whole(line, used) => {
                self.used_up(used);
                // RFC 9051 has no empty lines; some clients send one before a command, and mean nothing by it.
                let streamed = std::mem::take(&mut self.streamed);
                if line.is_empty() && self.command.is_empty() && !streamed {
                    return None;
                }
                self.command.extend_from_slice(&line);
                Some(match literal_at_end(&line) {
                    None => Frame::Command(std::mem::take(&mut self.command)),
                    Some((brace, size, sync)) => {
                        let end = self.command.len() - (line.len() - brace);
                        self.pending = Some((size, sync));
                        Frame::Literal { head: self.command[..end].to_vec(), size, sync }
                    }
                })
            }
        }
    }

    /// Whether the client waits for `+` before it sends the literal that was found.
    pub fn waits(&self) -> bool {
        matches!(self.pending, Some((_, Sync::Waits)))
    }

    /// Whether a literal was found that is neither taken, streamed nor refused yet.
    pub fn has_literal(&self) -> bool {
        self.pending.is_some()
    }

    /// The literal becomes part of the command, if it fits. `false`: it does not, and was refused.
    pub fn take_literal(&mut self) -> bool {
        let Some((size, _)) = self.pending else { return true };
        let room = self.limits.command.saturating_sub(self.command.len() + 4) as u64;
        if size > self.limits.literal || size > room {
            self.refuse(Fault::TooLong);
            return false;
        }
        self.pending = None;
        self.command.extend_from_slice(b"\r\n");
        self.state = State::Literal(size);
        true
    }

    /// The literal is handed out in pieces; the command so far is forgotten, and its rest is the next frame.
    pub fn stream_literal(&mut self) {
        if let Some((size, _)) = self.pending.take() {
            self.command.clear();
            self.state = State::Stream(size);
        }
    }

    /// The literal and the rest of the command are dropped; [`Frame::Dropped`] tells when that is done.
    pub fn refuse(&mut self, fault: Fault) {
        let Some((size, sync)) = self.pending.take() else { return };
        self.command.truncate(HEAD_KEPT);
        self.state = match sync {
            // Who waits for `+` and hears NO or BAD sends nothing more of this command.
            Sync::Waits => State::Dropped(fault),
            Sync::Follows => State::Drop { literal: size, budget: DRAIN_MAX, fault },
        };
    }

    fn read_literal(&mut self, rest: u64) -> Option<Frame> {
        let n = (self.buffer.len() as u64).min(rest);
        let used = usize::try_from(n).unwrap_or(usize::MAX);
        self.command.extend_from_slice(self.buffer.get(..used).unwrap_or_default());
        self.used_up(used);
        let rest = rest - n;
        self.state = if rest == 0 { State::Line } else { State::Literal(rest) };
        (rest > 0).then_some(Frame::Partial)
    }

    fn read_stream(&mut self, rest: u64) -> Frame {
        if rest == 0 {
            self.state = State::Line;
            self.streamed = true;
            return Frame::Piece(Vec::new());
        }
        if self.buffer.is_empty() {
            return Frame::Partial;
        }
        let n = (self.buffer.len() as u64).min(rest);
        self.state = State::Stream(rest - n);
        Frame::Piece(self.buffer.drain(..usize::try_from(n).unwrap_or(usize::MAX)).collect())
    }

    fn start_drop(&mut self, fault: Fault) {
        let room = HEAD_KEPT.saturating_sub(self.command.len());
        let head = &self.buffer[..self.buffer.len().min(room)];
        self.command.extend_from_slice(head);
        self.command.truncate(HEAD_KEPT);
        self.state = State::Drop { literal: 0, budget: DRAIN_MAX, fault };
    }

    fn dropped(&mut self, fault: Fault) -> Frame {
        self.state = State::Line;
        self.streamed = false;
        let mut head = std::mem::take(&mut self.command);
        head.truncate(HEAD_KEPT);
        Frame::Dropped(head, fault)
    }

    fn read_dropped(&mut self, literal: u64, budget: u64, fault: Fault) -> Option<Frame> {
        if literal > budget {
            return Some(self.dropped(Fault::Endless));
        }
        if literal > 0 {
            let n = (self.buffer.len() as u64).min(literal);
            self.buffer.drain(..usize::try_from(n).unwrap_or(usize::MAX));
            self.state = State::Drop { literal: literal - n, budget: budget - n, fault };
            return (literal > n).then_some(Frame::Partial);
        }
        self.read_dropped_line(budget, fault)
    }

    fn read_dropped_line(&mut self, budget: u64, fault: Fault) -> Option<Frame> {
        let (line, used) = match take_line(&self.buffer, self.buffer.len() + 1) {
            Line::Whole(line, used) => (line, used),
            Line::Bare(used) => (bare_line(&self.buffer[..used]).to_vec(), used),
            Line::Partial | Line::TooLong => {
                let spare = self.buffer.len().saturating_sub(TAIL_KEPT);
                self.buffer.drain(..spare);
                let Some(budget) = budget.checked_sub(spare as u64).filter(|b| *b > 0) else {
                    return Some(self.dropped(Fault::Endless));
                };
                self.state = State::Drop { literal: 0, budget, fault };
                return Some(Frame::Partial);
            }
        };
        self.buffer.drain(..used);
        match literal_at_end(&line) {
            Some((_, size, Sync::Follows)) => {
                self.state = State::Drop { literal: size, budget, fault };
                None
            }
            _ => Some(self.dropped(fault)),
        }
    }
}

/// A line with a bare CR or LF in it, without its end.
fn bare_line(octets: &[u8]) -> &[u8] {
    let octets = octets.strip_suffix(b"\n").unwrap_or(octets);
    octets.strip_suffix(b"\r").unwrap_or(octets)
}

/// `{123}`, `{123+}` or `~{123}` at the end of a line: where its brace is, how long, and whether the client waits.
fn literal_at_end(line: &[u8]) -> Option<(usize, u64, Sync)> {
    let inner = line.strip_suffix(b"}")?;
    let (inner, sync) = match inner.strip_suffix(b"+") {
        Some(inner) => (inner, Sync::Follows),
        None => (inner, Sync::Waits),
    };
    let digits = inner.iter().rev().take_while(|b| b.is_ascii_digit()).count();
    let brace = inner.len().checked_sub(digits + 1)?;
    if digits == 0 || inner[brace] != b'{' {
        return None;
    }
    // A number that does not fit is a literal all the same; nobody can send so much.
    let size = std::str::from_utf8(&inner[brace + 1..]).ok()?.parse().unwrap_or(u64::MAX);
    Some((brace, size, sync))
}
