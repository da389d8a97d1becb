//! What follows from the owner's answers.

use super::Answer;
use super::session::{Asked, Phase, Session, Transaction};
use crate::ext::Extension;
use mail::reply::Verdict;
use mail::{Reply, Status};

impl Session {
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

    /// An extension that the peer may use no more, whatever was announced to it.
    pub fn withdraw(&mut self, extension: Extension) {
        self.options.extensions = self.options.extensions.without(extension);
    }

    fn answered(&mut self, asked: Asked, reply: Reply) {
        let is_done = reply.is_done();
        if !is_done && reply.verdict() != Verdict::GoOn {
            self.count_refusal(&reply);
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
            Asked::Xclient if is_done => self.new_client(),
            Asked::Xclient | Asked::Xforward => {
                // RFC 5321 §3.8: nothing follows a 421.
                let is_last = reply.code == 421;
                self.push_now(reply);
                if is_last {
                    return self.close();
                }
            }
            Asked::EndOfData => self.message_answered(reply),
            Asked::Reset => {}
        }
        self.close_if_over_limits();
    }

    fn message_answered(&mut self, reply: Reply) {
        self.counts.mails += 1;
        if reply.is_done() {
            self.counts.accepted += 1;
            (self.counts.refusals, self.counts.surplus, self.counts.idle) = (0, 0, 0);
        }
        self.transaction = None;
        self.phase = Phase::Command;
        self.push_now(reply);
    }
}

/// What is said when the owner gives no proper answer.
pub(super) fn trouble() -> Reply {
    Reply::new(451, Status::transient(3, 0), "Trouble on our side; try again later")
}
