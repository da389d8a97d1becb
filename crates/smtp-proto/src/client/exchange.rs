//! A transaction as it goes over the wire: groups of commands, the message in pieces, replies.

use super::outcome::{Outcome, Stage};
use super::session::Session;
use super::transaction::{CHUNK, Way};
use super::{Loss, Protocol};
use crate::ext::Extension;
use crate::reply::Breach;
use mail::Reply;
use mail::reply::Verdict;
use std::collections::VecDeque;

/// Most octets of commands that are sent before their replies are read, so that neither side waits for the
/// other with full buffers (RFC 2920 §3.1).
const GROUP_MAX: usize = 8 * 1024;
/// Most octets of the message that are asked for at once.
pub const BODY_MAX: usize = 64 * 1024;

/// The command that a reply will belong to.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Expect {
    Greeting,
    Ehlo,
    Helo,
    StartTls,
    /// Taken, it is answered as a new connection would be.
    Xclient,
    /// The responses that are still to be given, as base64.
    Auth(VecDeque<String>),
    Rset,
    Mail,
    Rcpt,
    Data,
    /// A chunk that is not the last.
    Chunk,
    End,
    /// The end, for one of the recipients that were accepted (LMTP).
    EndFor(usize),
    Quit,
}

impl Expect {
    /// Whether replies to it have no enhanced status code (RFC 2034 §4).
    pub(super) fn is_plain(&self) -> bool {
        matches!(self, Self::Greeting | Self::Xclient | Self::Ehlo | Self::Helo)
    }

    pub(super) fn stage(&self) -> Stage {
        match self {
            Self::Greeting => Stage::Greeting,
            Self::Ehlo | Self::Helo => Stage::Hello,
            Self::StartTls => Stage::StartTls,
            Self::Xclient => Stage::Xclient,
            Self::Auth(_) => Stage::Auth,
            Self::Rset | Self::Mail => Stage::Mail,
            Self::Rcpt => Stage::Rcpt,
            Self::Data => Stage::Data,
            Self::Chunk | Self::End | Self::EndFor(_) | Self::Quit => Stage::Content,
        }
    }
}

impl Session {
    pub(super) fn begin_transaction(&mut self) {
        if std::mem::take(&mut self.is_dirty) {
            self.send("RSET\r\n", Expect::Rset);
            if !self.offers.has(Extension::Pipelining) {
                return;
            }
        }
        self.say_mail();
    }

    fn say_mail(&mut self) {
        let Some(under) = &self.under else { return };
        let line = under.mail_command(&self.offers);
        self.send(&line, Expect::Mail);
        if self.offers.has(Extension::Pipelining) {
            self.say_recipients();
        }
    }

    /// RCPT for as many recipients as fit one group, DATA behind the last.
    fn say_recipients(&mut self) {
        let Some(mut under) = self.under.take() else { return };
        let may_go_on = self.offers.has(Extension::Pipelining);
        loop {
            if under.sent >= under.rcpt_max {
                if matches!(under.way, Way::Data(_)) {
                    self.send("DATA\r\n", Expect::Data);
                }
                break;
            }
            let line = under.rcpt_command(&under.transaction.envelope.recipients[under.sent], &self.offers);
            under.sent += 1;
            self.send(&line, Expect::Rcpt);
            if !may_go_on || self.out.len() >= GROUP_MAX {
                break;
            }
        }
        self.under = Some(under);
    }

    pub(super) fn transaction_replied(&mut self, expect: Expect, reply: Reply) {
        let Some(under) = &mut self.under else {
            return self.broken(Breach::Unasked);
        };
        if reply.verdict() == Verdict::GoOn && expect != Expect::Data {
            return self.broken(Breach::NotAReply(reply.to_string()));
        }
        match expect {
            Expect::Rset if !reply.is_done() => {
                under.settle_open(&Outcome::Refused { at: Stage::Mail, reply });
                let outcomes = self.under.take().map(|under| under.into_outcomes(Loss::Connection));
                self.close();
                self.report(outcomes.unwrap_or_default());
            }
            Expect::Rset => {
                if self.expected.is_empty() {
                    self.say_mail();
                }
            }
            Expect::Mail => {
                under.take_mail(reply);
                if !under.mail_refused {
                    under.stage = Stage::Rcpt;
                }
                self.after_command();
            }
            Expect::Rcpt => {
                under.take_rcpt(reply);
                self.after_command();
            }
            Expect::Data => self.data_replied(reply),
            Expect::Chunk => self.chunk_replied(reply),
            Expect::EndFor(at) => self.end_replied_for(at, reply),
            _ => self.end_replied(reply),
        }
    }

    /// MAIL or a RCPT is answered: what now, if nothing else is under way?
    fn after_command(&mut self) {
        if !self.expected.is_empty() {
            return;
        }
        let Some(under) = &mut self.under else { return };
        if under.mail_refused {
            return self.finish_transaction();
        }
        if under.sent < under.rcpt_max {
            return self.say_recipients();
        }
        if under.accepted.is_empty() {
            self.is_dirty = true;
            return self.finish_transaction();
        }
        match under.way {
            Way::Data(_) => self.send("DATA\r\n", Expect::Data),
            Way::Chunks { .. } => self.begin_chunk(),
        }
    }

    fn data_replied(&mut self, reply: Reply) {
        let Some(under) = &mut self.under else { return };
        match reply.verdict() {
            // RFC 2033 §4.2: nobody would answer the end.
            Verdict::GoOn if under.accepted.is_empty() && self.options.protocol == Protocol::Lmtp => {
                self.broken(Breach::NotAReply(reply.to_string()));
            }
            Verdict::GoOn if under.accepted.is_empty() => {
                // RFC 2920 §3.1: nobody is to get it, and yet the server waits for it.
                self.send(".\r\n", Expect::End);
            }
            Verdict::GoOn => {
                under.stage = Stage::Content;
                if under.rest() == 0 {
                    self.end_data();
                }
            }
            Verdict::Done => self.broken(Breach::NotAReply(reply.to_string())),
            _ => {
                if !under.mail_refused {
                    under.settle_accepted(&Outcome::Refused { at: Stage::Data, reply });
                    self.is_dirty = true;
                }
                self.finish_transaction();
            }
        }
    }

    fn begin_chunk(&mut self) {
        let Some(under) = &mut self.under else { return };
        under.stage = Stage::Content;
        let size = under.rest().min(CHUNK);
        let is_last = size == under.rest();
        under.way = Way::Chunks { left: size };
        if is_last {
            self.out.extend_from_slice(format!("BDAT {size} LAST\r\n").as_bytes());
            self.expect_end();
        } else {
            self.send(&format!("BDAT {size}\r\n"), Expect::Chunk);
        }
    }

    /// The replies to the end of the message: one, or with LMTP one for each recipient that was accepted (RFC 2033 §4.2).
    fn expect_end(&mut self) {
        let accepted = self.under.as_ref().map_or(0, |under| under.accepted.len());
        match self.options.protocol {
            Protocol::Smtp => self.expected.push_back(Expect::End),
            Protocol::Lmtp => self.expected.extend((0..accepted).map(Expect::EndFor)),
        }
    }

    fn end_replied_for(&mut self, at: usize, reply: Reply) {
        let Some(under) = &mut self.under else { return };
        let outcome = if reply.is_done() {
            Outcome::Accepted(reply)
        } else {
            self.is_dirty |= matches!(under.way, Way::Chunks { .. });
            Outcome::Refused { at: Stage::Content, reply }
        };
        under.settle_one(at, outcome);
        if self.expected.is_empty() {
            self.finish_transaction();
        }
    }

    fn chunk_replied(&mut self, reply: Reply) {
        if reply.is_done() {
            return self.begin_chunk();
        }
        if let Some(under) = &mut self.under {
            under.settle_accepted(&Outcome::Refused { at: Stage::Content, reply });
        }
        self.is_dirty = true;
        self.finish_transaction();
    }

    fn end_replied(&mut self, reply: Reply) {
        if let Some(under) = &mut self.under {
            let outcome = if reply.is_done() {
                Outcome::Accepted(reply)
            } else {
                // RFC 3030 §2: after a refused chunk the state is anybody's guess.
                self.is_dirty = matches!(under.way, Way::Chunks { .. });
                Outcome::Refused { at: Stage::Content, reply }
            };
            under.settle_accepted(&outcome);
        }
        self.finish_transaction();
    }

    fn finish_transaction(&mut self) {
        if let Some(under) = self.under.take() {
            self.report(under.into_outcomes(Loss::Connection));
        }
    }

    /// How many octets of the message can be sent now.
    pub(super) fn wanted_body(&self) -> Option<usize> {
        let under = self.under.as_ref().filter(|under| under.stage == Stage::Content)?;
        let left = match under.way {
            Way::Chunks { left } => left,
            // DATA: the reply to the end is expected once all is sent.
            Way::Data(_) if self.expected.is_empty() => under.rest(),
            Way::Data(_) => 0,
        };
        (left > 0).then(|| usize::try_from(left).unwrap_or(usize::MAX).min(BODY_MAX))
    }

    pub(super) fn take_body(&mut self, octets: &[u8]) {
        let Some(most) = self.wanted_body() else { return };
        if octets.is_empty() || octets.len() > most {
            return self.lose(Loss::Content);
        }
        let Some(under) = &mut self.under else { return };
        under.read += octets.len() as u64;
        match &mut under.way {
            Way::Chunks { left } => {
                *left -= octets.len() as u64;
                self.out.extend_from_slice(octets);
            }
            Way::Data(encoder) => {
                if encoder.encode(octets, &mut self.out).is_err() {
                    return self.lose(Loss::Content);
                }
                if under.rest() == 0 {
                    self.end_data();
                }
            }
        }
    }

    fn end_data(&mut self) {
        let Some(under) = &mut self.under else { return };
        let way = std::mem::replace(&mut under.way, Way::Data(crate::data::Encoder::new()));
        let Way::Data(encoder) = way else { return };
        if encoder.finish(&mut self.out).is_err() {
            return self.lose(Loss::Content);
        }
        self.expect_end();
    }
}
