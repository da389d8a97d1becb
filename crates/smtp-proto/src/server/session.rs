//! The server's session as a machine: input, output, questions, and what comes next.

use super::content::Incoming;
use super::{Answer, Channel, Options, Question};
use crate::command::{AUTH_LINE_MAX, HelloKind};
use crate::data::Decoder;
use crate::ext::Extension;
use mail::reply::Verdict;
use mail::{Body, Reply, Status};
use std::collections::VecDeque;
use std::time::Duration;
use wire::{Line, Machine, Step, take_line};

/// Replies are sent when this many octets of them wait, even if more commands do.
const OUT_MAX: usize = 8 * 1024;
/// The shortest patience with somebody who sends a line in many small pieces.
const PATIENCE_MIN: Duration = Duration::from_secs(2);
/// After this many reads of one message the size of the pieces is looked at.
const SLOW_READS: u64 = 128;
/// Pieces smaller than this on average, in octets, cost the sender our patience.
const SLOW_PIECE: u64 = 32;
/// Patience with such a sender.
const SLOW_PATIENCE: Duration = Duration::from_secs(10);

/// One connection, seen by the server.
#[derive(Debug)]
pub struct Session {
    pub(super) options: Options,
    pub(super) channel: Channel,
    pub(super) phase: Phase,
    input: Vec<u8>,
    out: Vec<u8>,
    /// Output may not wait for more (RFC 2920 §3.2 (5), (6)).
    flush: bool,
    asks: VecDeque<(Question, Asked)>,
    asked: Option<Asked>,
    pub(super) hello: Option<HelloKind>,
    pub(super) is_authenticated: bool,
    pub(super) transaction: Option<Transaction>,
    /// What will be said of the content that is being read, if it is not acceptable.
    pub(super) refused: Option<Reply>,
    /// Octets of the chunk that is being read.
    pub(super) chunk_size: u64,
    pub(super) counts: Counts,
    pace: Pace,
}

/// Where the octets that come next belong.
#[derive(Debug)]
pub(super) enum Phase {
    Greeting,
    Command,
    /// A response line of AUTH.
    Response,
    Data(Decoder),
    /// Octets of a BDAT chunk that are still to come, and whether it is the last.
    Chunk {
        left: u64,
        last: bool,
    },
    /// The 220 to STARTTLS has to be sent.
    StartTls,
    /// The owner negotiates.
    Negotiating,
    Closing,
}

/// What an answer will belong to.
#[derive(Debug)]
pub(super) enum Asked {
    Hello(HelloKind),
    Auth,
    Mail { body: Body, utf8: bool },
    Rcpt,
    Data,
    FirstChunk { size: u64, last: bool },
    EndOfData,
    Reset,
}

#[derive(Debug)]
pub(super) struct Transaction {
    pub(super) body: Body,
    pub(super) utf8: bool,
    pub(super) recipients: usize,
    /// Once the owner has let the message come.
    pub(super) incoming: Option<Incoming>,
}

#[derive(Debug, Default)]
pub(super) struct Counts {
    pub(super) mails: usize,
    pub(super) errors: usize,
    pub(super) refusals: usize,
    pub(super) idle: usize,
    /// Octets of refused content that were read and thrown away, since the last command.
    pub(super) drained: u64,
}

/// How fast the peer is, without a clock: in how many pieces something comes.
#[derive(Debug, Default)]
struct Pace {
    reads: u64,
    octets: u64,
}

impl Session {
    /// The first step writes the greeting.
    pub fn new(options: Options, channel: Channel) -> Self {
        Self {
            options,
            channel,
            phase: Phase::Greeting,
            input: Vec::new(),
            out: Vec::new(),
            flush: false,
            asks: VecDeque::new(),
            asked: None,
            hello: None,
            is_authenticated: false,
            transaction: None,
            refused: None,
            chunk_size: 0,
            counts: Counts::default(),
            pace: Pace::default(),
        }
    }

    /// The owner has begun TLS. All that was known is forgotten (RFC 3207 §4.2).
    pub fn tls_started(&mut self) {
        self.input.clear();
        self.channel = Channel::Tls;
        self.hello = None;
        self.transaction = None;
        self.counts.idle = 0;
        self.phase = Phase::Command;
    }

    /// The last word of the owner, at any time: 421 when it stops or has waited too long.
    pub fn farewell(&mut self, reply: Reply) {
        self.asks.clear();
        self.asked = None;
        self.push(reply);
        self.close();
    }

    /// Answers the question that was asked last.
    pub fn answer(&mut self, answer: impl Into<Answer>) {
        let Some(asked) = self.asked.take() else {
            debug_assert!(false, "an answer without a question");
            return;
        };
        match (asked, answer.into()) {
            (Asked::Reset, _) => {}
            (Asked::Auth, Answer::Challenge(base64)) => self.challenge(&base64),
            (asked, Answer::Reply(reply)) => self.answered(asked, reply),
            (asked, Answer::Challenge(_) | Answer::Noted) => {
                debug_assert!(false, "not an answer to {asked:?}");
                self.answered(asked, trouble());
            }
        }
    }

    fn answered(&mut self, asked: Asked, reply: Reply) {
        let is_done = reply.is_done();
        if !is_done && reply.verdict() != Verdict::GoOn {
            self.counts.refusals += 1;
        }
        match asked {
            Asked::Hello(kind) if is_done => {
                self.hello = Some(kind);
                let reply = self.welcome(kind, &reply.text);
                self.push_now(reply);
            }
            Asked::Hello(_) => self.push_now(reply),
            Asked::Auth => {
                self.is_authenticated = is_done;
                self.phase = Phase::Command;
                self.push_now(reply);
            }
            Asked::Mail { body, utf8 } => {
                if is_done {
                    self.transaction = Some(Transaction { body, utf8, recipients: 0, incoming: None });
                }
                self.push(reply);
            }
            Asked::Rcpt => {
                if let Some(transaction) = self.transaction.as_mut().filter(|_| is_done) {
                    transaction.recipients += 1;
                }
                self.push(reply);
            }
            Asked::Data => self.data_allowed(reply),
            Asked::FirstChunk { size, last } => self.chunk_allowed(size, last, reply),
            Asked::EndOfData => self.message_answered(reply),
            Asked::Reset => {}
        }
        self.close_if_over_limits();
    }

    fn message_answered(&mut self, reply: Reply) {
        self.counts.mails += 1;
        if reply.is_done() {
            (self.counts.refusals, self.counts.idle) = (0, 0);
        }
        self.transaction = None;
        self.phase = Phase::Command;
        self.push_now(reply);
    }

    pub(super) fn ask(&mut self, question: Question, asked: Asked) {
        self.asks.push_back((question, asked));
    }

    /// Ends the transaction without a message. The owner is told, if it knows of one.
    pub(super) fn reset(&mut self) {
        if self.transaction.take().is_some() {
            self.ask(Question::Reset, Asked::Reset);
        }
    }

    /// Puts a reply behind the others; it may wait for more.
    pub(super) fn push(&mut self, mut reply: Reply) {
        if reply.verdict() == Verdict::GoOn || !self.options.extensions.has(Extension::EnhancedStatusCodes) {
            reply.status = None;
        }
        self.out.extend_from_slice(&reply.to_wire());
    }

    /// 334 with all of a challenge, which may be longer than the text of a reply (RFC 4954 §4).
    pub(super) fn push_challenge(&mut self, base64: &str) {
        debug_assert!(base64.bytes().all(|b| b.is_ascii_graphic()), "a challenge is base64");
        self.out.extend_from_slice(format!("334 {base64}\r\n").as_bytes());
        self.flush = true;
    }

    /// Puts a reply behind the others; all are sent before anything else is done.
    pub(super) fn push_now(&mut self, reply: Reply) {
        self.push(reply);
        self.flush = true;
    }

    /// A fault of grammar or order.
    pub(super) fn error(&mut self, reply: Reply) {
        self.counts.errors += 1;
        self.push_now(reply);
        self.close_if_over_limits();
    }

    /// Ends the connection once all output is sent. Nothing more is decided.
    pub(super) fn close(&mut self) {
        self.asks.retain(|(question, _)| *question == Question::Reset);
        self.phase = Phase::Closing;
        self.flush = true;
    }

    fn close_if_over_limits(&mut self) {
        let limits = &self.options.limits;
        let too_many = if self.counts.errors >= limits.errors {
            "errors"
        } else if self.counts.refusals >= limits.refusals {
            "refused commands"
        } else if self.counts.idle >= limits.idle_commands {
            "commands without a message"
        } else {
            return;
        };
        // Not in the midst of content: its end has to be seen first.
        if matches!(self.phase, Phase::Command) {
            let text = format!("Too many {too_many} on this connection; closing");
            self.push(Reply::new(421, Status::transient(7, 0), text));
            self.close();
        }
    }

    pub(super) fn count_idle(&mut self) {
        self.counts.idle += 1;
        self.close_if_over_limits();
    }

    pub(super) fn has_input(&self) -> bool {
        !self.input.is_empty()
    }

    /// One step forward; `None` if something has changed and another look is due.
    fn advance(&mut self) -> Option<Step<Question>> {
        match self.phase {
            Phase::Greeting => {
                let text = format!("{} {}", self.options.hostname, self.options.banner);
                self.phase = Phase::Command;
                self.push_now(Reply::bare(220, text.trim_end()));
                None
            }
            Phase::Command | Phase::Response => self.next_line(),
            Phase::Data(_) | Phase::Chunk { .. } => self.next_content(),
            Phase::StartTls => {
                self.phase = Phase::Negotiating;
                Some(Step::StartTls)
            }
            // Negotiating: the owner steps on without TLS; there is no way back to clear text.
            Phase::Negotiating | Phase::Closing => Some(Step::Close),
        }
    }

    fn next_line(&mut self) -> Option<Step<Question>> {
        let line = match take_line(&self.input, AUTH_LINE_MAX) {
            Line::Partial => return Some(self.read()),
            Line::Whole(line, used) => {
                self.input.drain(..used);
                Some(line)
            }
            Line::Bare(used) => {
                self.input.drain(..used);
                None
            }
            Line::TooLong => {
                self.input.clear();
                let text = format!("The line is longer than {AUTH_LINE_MAX} octets; closing");
                self.push(Reply::new(500, Status::permanent(5, 2), text));
                self.close();
                return None;
            }
        };
        self.pace = Pace::default();
        let in_exchange = matches!(self.phase, Phase::Response);
        match line {
            Some(line) if in_exchange => self.response(&line),
            Some(line) => self.command(&line),
            None => {
                self.phase = Phase::Command;
                self.error(Reply::new(
                    500,
                    Status::permanent(5, 2),
                    "Lines must end in CRLF, and only there",
                ));
            }
        }
        None
    }

    fn next_content(&mut self) -> Option<Step<Question>> {
        let had = self.input.len();
        let ends_itself = matches!(self.phase, Phase::Chunk { left: 0, .. });
        if had == 0 && !ends_itself {
            return Some(self.read());
        }
        let mut input = std::mem::take(&mut self.input);
        let (used, piece) = self.content(&input);
        input.drain(..used);
        self.input = input;
        if !matches!(self.phase, Phase::Data(_) | Phase::Chunk { .. }) {
            self.pace = Pace::default();
        }
        (!piece.is_empty()).then_some(Step::Body(piece))
    }

    fn read(&mut self) -> Step<Question> {
        if self.out.is_empty() { Step::Read } else { self.write() }
    }

    fn write(&mut self) -> Step<Question> {
        self.flush = false;
        Step::Write(std::mem::take(&mut self.out))
    }
}

impl Machine for Session {
    type Question = Question;

    fn feed(&mut self, octets: &[u8]) {
        if matches!(self.phase, Phase::Closing) {
            return;
        }
        self.pace.reads += 1;
        self.pace.octets += octets.len() as u64;
        self.input.extend_from_slice(octets);
    }

    fn step(&mut self) -> Step<Question> {
        if self.asked.is_some() {
            debug_assert!(false, "a step before the answer");
            self.answer(trouble());
        }
        loop {
            if let Some((question, asked)) = self.asks.pop_front() {
                self.asked = Some(asked);
                return Step::Ask(question);
            }
            if !self.out.is_empty() && (self.flush || self.out.len() >= OUT_MAX) {
                return self.write();
            }
            if let Some(step) = self.advance() {
                return step;
            }
        }
    }

    fn patience(&self) -> Duration {
        let limits = &self.options.limits;
        match self.phase {
            Phase::Data(_) | Phase::Chunk { .. } => {
                let is_slow = self.pace.reads > SLOW_READS && self.pace.octets / self.pace.reads < SLOW_PIECE;
                if is_slow { SLOW_PATIENCE.min(limits.data_patience) } else { limits.data_patience }
            }
            _ => {
                // Each piece of a line halves the patience: a line in single octets does not take hours.
                let halvings = u32::try_from(self.pace.reads).unwrap_or(u32::MAX).min(16);
                let patience = limits.command_patience / (1 << halvings);
                patience.max(PATIENCE_MIN.min(limits.command_patience))
            }
        }
    }
}

/// What is said when the owner gives no proper answer.
fn trouble() -> Reply {
    Reply::new(451, Status::transient(3, 0), "Trouble on our side; try again later")
}
