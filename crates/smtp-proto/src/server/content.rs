//! The octets of a message as they come in: DATA and BDAT, and what makes them unacceptable.

use super::Question;
use super::order::{no_recipients, out_of_order};
use super::session::{Asked, Phase, Session};
use crate::data::{Bare, Decoder, LineCheck};
use crate::ext::Extension;
use mail::reply::Verdict;
use mail::{Body, Reply, Status};

/// A refused message is read to its end, so that the client hears why; but no further than this many times the
/// largest message, and [`DRAIN_EXTRA`].
const DRAIN_TIMES: u64 = 4;
/// In octets.
const DRAIN_EXTRA: u64 = 1024 * 1024;

/// A message under way.
#[derive(Debug, Default)]
pub(super) struct Incoming {
    octets: u64,
    lines: LineCheck,
}

impl Session {
    /// What is said of a message over the limit (RFC 1870 §6.1).
    pub(super) fn too_big(&self) -> Reply {
        let text = format!("The message is larger than {} octets", self.options.limits.message_size);
        Reply::new(552, Status::permanent(3, 4), text)
    }

    /// The owner's word on DATA.
    pub(super) fn data_allowed(&mut self, reply: Reply) {
        if reply.verdict() == Verdict::GoOn {
            self.begin();
            self.phase = Phase::Data(Decoder::new());
        } else {
            self.transaction = None;
        }
        self.push_now(reply);
    }

    fn begin(&mut self) {
        if let Some(transaction) = &mut self.transaction {
            transaction.incoming = Some(Incoming::default());
        }
        self.refused = None;
        self.counts.drained = 0;
    }

    pub(super) fn bdat(&mut self, size: u64, last: bool) {
        let problem = match &self.transaction {
            _ if !self.options.extensions.has(Extension::Chunking) => {
                Some(Reply::new(502, Status::permanent(5, 1), "CHUNKING is not offered here"))
            }
            None => Some(out_of_order("Say MAIL first; after a refused chunk RSET")),
            Some(transaction) if transaction.recipients == 0 => Some(no_recipients()),
            Some(_) => None,
        };
        if let Some(reply) = problem {
            return self.drain_chunk(size, last, reply);
        }
        let so_far = self.transaction.as_ref().and_then(|transaction| transaction.incoming.as_ref());
        match so_far.map(|incoming| incoming.octets) {
            None => self.ask(Question::Data, Asked::FirstChunk { size, last }),
            Some(octets) => self.begin_chunk(size, last, octets),
        }
    }

    /// The owner's word on the first chunk. There is no 354 in BDAT: it is not said.
    pub(super) fn chunk_allowed(&mut self, size: u64, last: bool, reply: Reply) {
        if reply.verdict() == Verdict::GoOn || reply.is_done() {
            self.begin();
            self.begin_chunk(size, last, 0);
        } else {
            self.transaction = None;
            self.drain_chunk(size, last, reply);
        }
    }

    fn begin_chunk(&mut self, size: u64, last: bool, so_far: u64) {
        self.phase = Phase::Chunk { left: size, last };
        self.chunk_size = size;
        if so_far.saturating_add(size) > self.options.limits.message_size {
            let reply = self.too_big();
            self.give_up(reply);
        }
    }

    /// Reads a chunk and throws it away, then says `reply`.
    pub(super) fn drain_chunk(&mut self, size: u64, last: bool, reply: Reply) {
        self.phase = Phase::Chunk { left: size, last };
        self.chunk_size = size;
        self.counts.drained = 0;
        self.tell(&reply);
        self.refused = Some(reply);
    }

    /// From here on the message is only read to its end.
    fn give_up(&mut self, reply: Reply) {
        if self.refused.is_none() {
            self.tell(&reply);
            self.refused = Some(reply);
        }
        self.counts.drained = 0;
        self.reset();
    }

    /// Takes content off the front of `input`: how many octets, and what of them is message.
    pub(super) fn content(&mut self, input: &[u8]) -> (usize, Vec<u8>) {
        match std::mem::replace(&mut self.phase, Phase::Command) {
            Phase::Data(decoder) => self.data_content(decoder, input),
            Phase::Chunk { left, last } => self.chunk_content(left, last, input),
            other => {
                self.phase = other;
                (0, Vec::new())
            }
        }
    }

    fn data_content(&mut self, mut decoder: Decoder, input: &[u8]) -> (usize, Vec<u8>) {
        let mut piece = Vec::with_capacity(input.len() + 1);
        let decoded = decoder.decode(input, &mut piece);
        let fault = decoder.fault();
        if !decoded.end {
            self.phase = Phase::Data(decoder);
        }
        // The decoder hands out nothing from the fault on: what is admitted came before it.
        let piece = self.admit(piece);
        if let Some(bare) = fault {
            self.give_up_once(bare.reply());
        }
        self.drained(decoded.used);
        if decoded.end {
            self.content_ended();
        }
        (decoded.used, piece)
    }

    fn chunk_content(&mut self, left: u64, last: bool, input: &[u8]) -> (usize, Vec<u8>) {
        let used = input.len().min(usize::try_from(left).unwrap_or(usize::MAX));
        let left = left - used as u64;
        if left > 0 {
            self.phase = Phase::Chunk { left, last };
        }
        let (good, fault) = self.check_lines(&input[..used], last && left == 0);
        let piece = self.admit(input[..good].to_vec());
        if let Some(bare) = fault {
            self.give_up_once(bare.reply());
        }
        self.drained(used);
        if left == 0 && last {
            self.content_ended();
        } else if left == 0 {
            match self.refused.take() {
                Some(reply) => self.error_told(reply),
                None => {
                    let text = format!("{} octets received", self.chunk_size);
                    self.push(Reply::new(250, Status::success(0, 0), text));
                    if self.chunk_size == 0 {
                        self.count_idle();
                    }
                }
            }
        }
        (used, piece)
    }

    /// Only BODY=BINARYMIME may have CR and LF that stand alone. How many octets come before the first, and it.
    fn check_lines(&mut self, octets: &[u8], is_end: bool) -> (usize, Option<Bare>) {
        let text = self.transaction.as_mut().filter(|transaction| transaction.body != Body::BinaryMime);
        let Some(incoming) = text.and_then(|transaction| transaction.incoming.as_mut()) else {
            return (octets.len(), None);
        };
        let good = incoming.lines.push(octets);
        (good, if is_end { incoming.lines.finish() } else { incoming.lines.fault() })
    }

    fn give_up_once(&mut self, reply: Reply) {
        if self.refused.is_none() {
            self.give_up(reply);
        }
    }

    /// Counts a piece of the message; nothing is left of it if the message is refused.
    fn admit(&mut self, mut piece: Vec<u8>) -> Vec<u8> {
        let most = self.options.limits.message_size;
        if self.refused.is_some() {
            return Vec::new();
        }
        let Some(incoming) = self.transaction.as_mut().and_then(|t| t.incoming.as_mut()) else {
            return Vec::new();
        };
        let room = usize::try_from(most - incoming.octets).unwrap_or(usize::MAX);
        let is_over = piece.len() > room;
        piece.truncate(room);
        incoming.octets += piece.len() as u64;
        if is_over {
            let reply = self.too_big();
            self.give_up(reply);
        }
        piece
    }

    /// Bounds how much of a refused message is read.
    fn drained(&mut self, octets: usize) {
        if self.refused.is_none() {
            return;
        }
        self.counts.drained += octets as u64;
        let most = self.options.limits.message_size.saturating_mul(DRAIN_TIMES).saturating_add(DRAIN_EXTRA);
        let goes_on = matches!(self.phase, Phase::Data(_) | Phase::Chunk { .. });
        if self.counts.drained > most && goes_on {
            if let Some(reply) = self.refused.take() {
                self.push(reply);
            }
            self.close();
        }
    }

    fn content_ended(&mut self) {
        match self.refused.take() {
            Some(reply) => self.error_told(reply),
            None => self.ask(Question::EndOfData, Asked::EndOfData),
        }
    }
}
