//! The server's session as a machine: input, output, questions, and what comes next.

use super::answer::trouble;
use super::content::Incoming;
use super::counts::Counts;
use super::pace::Pace;
use super::{Channel, Options, Question};
use crate::command::{AUTH_LINE_MAX, HelloKind};
use crate::data::Decoder;
use crate::{ext::Extension, reply::in_charset};
use mail::{Body, Reply, Status, reply::Verdict, trace::Charset};
use std::collections::VecDeque;
use std::time::Duration;
use wire::{Line, Machine, Step, UnderWay, take_line};
use zeroize::{Zeroize, Zeroizing};

/// Replies are sent when this many octets of them wait, even if more commands do.
const OUT_MAX: usize = 8 * 1024;
/// Room for input that stays with a session while it is idle, in octets.
const INPUT_KEPT: usize = 512;
/// Refusals of the session's own that are kept for the owner's log; more are not told.
const TOLD_MAX: usize = 32;

/// Most recipients over the limit of one message, since the last message that was accepted. Not refusals like others:
/// a client that has that many sends them all before it hears of the limit, and must still get its message through.
const SURPLUS_MAX: usize = 10_000;

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
    pub(super) asked: Option<Asked>,
    pub(super) hello: Option<HelloKind>,
    pub(super) is_authenticated: bool,
    pub(super) transaction: Option<Transaction>,
    /// What the last MAIL allows in replies.
    pub(super) charset: Charset,
    /// What will be said of the content that is being read, if it is not acceptable.
    pub(super) refused: Option<Reply>,
    /// Octets of the chunk that is being read.
    pub(super) chunk_size: u64,
    pub(super) counts: Counts,
    pace: Pace,
    /// Lines, messages and chunks that have come to their end.
    ended: u64,
    told: Vec<Reply>,
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
    Xclient,
    Xforward,
}

#[derive(Debug)]
pub(super) struct Transaction {
    pub(super) body: Body,
    pub(super) utf8: bool,
    pub(super) recipients: usize,
    /// Once the owner has let the message come.
    pub(super) incoming: Option<Incoming>,
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
            charset: Charset::Ascii,
            refused: None,
            chunk_size: 0,
            counts: Counts::default(),
            pace: Pace::default(),
            ended: 0,
            told: Vec::new(),
        }
    }

    /// What the session itself has refused since the last call, for the owner's log: faults of grammar and order,
    /// and limits. A message that is refused while it comes in is told of before the [`Question::Reset`] about it.
    pub fn take_refusals(&mut self) -> Vec<Reply> {
        std::mem::take(&mut self.told)
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

    /// The mechanisms that AUTH offers from the next EHLO on.
    pub fn set_mechanisms(&mut self, mechanisms: Vec<String>) {
        self.options.auth.mechanisms = mechanisms;
    }

    /// The last word of the owner, at any time: 421 when it stops or has waited too long.
    pub fn farewell(&mut self, reply: Reply) {
        self.asks.clear();
        self.asked = None;
        self.push(reply);
        self.close();
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
        self.out.extend(in_charset(reply.to_wire(), self.charset));
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
        self.tell(&reply);
        self.error_told(reply);
    }

    /// A fault that the owner knows of.
    pub(super) fn error_told(&mut self, reply: Reply) {
        self.counts.errors += 1;
        self.push_now(reply);
        self.close_if_over_limits();
    }

    /// A command is refused.
    pub(super) fn count_refusal(&mut self, reply: &Reply) {
        self.counts.refusals += 1;
        self.counts.rejections += usize::from(reply.code >= 500);
    }

    /// A refusal of the session's own.
    pub(super) fn refuse(&mut self, reply: Reply) {
        self.tell(&reply);
        self.push(reply);
    }

    pub(super) fn tell(&mut self, reply: &Reply) {
        if self.told.len() < TOLD_MAX {
            self.told.push(reply.clone());
        }
    }

    /// Ends the connection once all output is sent. Nothing more is decided.
    pub(super) fn close(&mut self) {
        self.asks.retain(|(question, _)| *question == Question::Reset);
        self.phase = Phase::Closing;
        self.flush = true;
    }

    pub(super) fn close_if_over_limits(&mut self) {
        let limits = &self.options.limits;
        let too_many = if self.counts.errors >= limits.errors {
            "errors"
        } else if self.counts.refusals >= limits.refusals {
            "refused commands"
        } else if self.counts.surplus >= SURPLUS_MAX {
            "recipients"
        } else if self.counts.idle >= limits.idle_commands {
            "commands without a message"
        } else {
            return;
        };
        // Not in the midst of content: its end has to be seen first.
        if matches!(self.phase, Phase::Command) {
            let text = format!("Too many {too_many} on this connection; closing");
            self.refuse(Reply::new(421, Status::transient(7, 0), text));
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
                self.phase = Phase::Command;
                self.greet();
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

    pub(super) fn greet(&mut self) {
        let text = format!("{} {}", self.options.hostname, self.options.banner);
        self.push_now(Reply::bare(220, text.trim_end()));
    }

    fn next_line(&mut self) -> Option<Step<Question>> {
        let line = match take_line(&self.input, AUTH_LINE_MAX) {
            Line::Partial => return Some(self.read()),
            Line::Whole(line, used) => {
                // It may be a password.
                self.input[..used].zeroize();
                self.input.drain(..used);
                Some(Zeroizing::new(line))
            }
            Line::Bare(used) => {
                self.input.drain(..used);
                None
            }
            Line::TooLong => {
                self.input.clear();
                let text = format!("The line is longer than {AUTH_LINE_MAX} octets; closing");
                self.refuse(Reply::new(500, Status::permanent(5, 2), text));
                self.close();
                return None;
            }
        };
        self.ended += 1;
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
            self.ended += 1;
        }
        (!piece.is_empty()).then_some(Step::Body(piece))
    }

    fn read(&mut self) -> Step<Question> {
        if !self.out.is_empty() {
            return self.write();
        }
        // Whoever waits for a command holds no room for a message.
        if self.input.is_empty() && matches!(self.phase, Phase::Command) {
            self.input.shrink_to(INPUT_KEPT);
        }
        Step::Read
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
        self.pace.read(self.ended, octets.len());
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
            Phase::Data(_) | Phase::Chunk { .. } => self.pace.for_content(limits.data_patience),
            _ => limits.command_patience,
        }
    }

    fn under_way(&self) -> Option<UnderWay> {
        let limits = &self.options.limits;
        let patience = match self.phase {
            Phase::Data(_) | Phase::Chunk { .. } => limits.message_patience,
            _ if self.input.is_empty() => return None,
            _ => limits.command_patience,
        };
        Some(UnderWay { number: self.ended, patience })
    }
}
