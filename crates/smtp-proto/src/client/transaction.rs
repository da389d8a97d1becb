//! One message on its way: the commands, their parameters, and what the replies mean for each recipient.

use super::outcome::{Outcome, Stage, body_of, needs_utf8};
use super::{Loss, Need, Protocol, Transaction};
use crate::data::Encoder;
use crate::ext::{Extension, Offers};
use crate::params::{to_unitext, to_xtext};
use mail::{Body, ByMode, Notify, Recipient, Reply, Ret};
use std::fmt::Write as _;

/// Octets of one BDAT chunk. The peer answers each, so that trouble is heard before all is sent.
pub(super) const CHUNK: u64 = 1024 * 1024;

/// The largest number that BY= can carry (RFC 2852 §4).
const BY_MAX: i64 = 999_999_999;

/// How the content travels.
#[derive(Debug)]
pub(super) enum Way {
    Data(Encoder),
    Chunks {
        /// Octets of this chunk that were not handed over yet.
        left: u64,
    },
}

/// A transaction under way.
#[derive(Debug)]
pub(super) struct Under {
    pub(super) transaction: Transaction,
    /// `None` while nothing is known.
    pub(super) outcomes: Vec<Option<Outcome>>,
    /// Which RCPT is sent next, and which is answered next.
    pub(super) sent: usize,
    pub(super) answered: usize,
    /// Recipients whose RCPT was accepted.
    pub(super) accepted: Vec<usize>,
    /// Octets of the message that were handed over.
    pub(super) read: u64,
    pub(super) stage: Stage,
    pub(super) way: Way,
    /// Most recipients that the peer takes at once.
    pub(super) rcpt_max: usize,
    /// MAIL was refused: replies to what was pipelined behind it mean nothing.
    pub(super) mail_refused: bool,
}

impl Under {
    /// `Err` if the peer lacks what the message needs.
    pub(super) fn new(
        transaction: Transaction,
        offers: &Offers,
        protocol: Protocol,
    ) -> Result<Self, (Need, usize)> {
        let count = transaction.envelope.recipients.len();
        if let Some(need) = Need::missing(&transaction, offers, protocol) {
            return Err((need, count));
        }
        let way =
            if offers.has(Extension::Chunking) { Way::Chunks { left: 0 } } else { Way::Data(Encoder::new()) };
        Ok(Self {
            transaction,
            outcomes: vec![None; count],
            sent: 0,
            answered: 0,
            accepted: Vec::new(),
            read: 0,
            stage: Stage::Mail,
            way,
            rcpt_max: offers.rcpt_max.unwrap_or(usize::MAX).min(count),
            mail_refused: false,
        })
    }

    /// What of the message was not handed over yet, in octets.
    pub(super) fn rest(&self) -> u64 {
        self.transaction.content.size.saturating_sub(self.read)
    }

    pub(super) fn mail_command(&self, offers: &Offers) -> String {
        let Transaction { envelope, content } = &self.transaction;
        let mut line = format!("MAIL FROM:<{}>", envelope.from);
        if offers.has(Extension::Size) {
            let _ = write!(line, " SIZE={}", content.size);
        }
        match body_of(content.kind) {
            Body::BinaryMime => line.push_str(" BODY=BINARYMIME"),
            Body::EightBitMime => line.push_str(" BODY=8BITMIME"),
            Body::SevenBit => {}
        }
        // Also where the first sender asked for it and it happens not to be needed.
        if (needs_utf8(&self.transaction) || envelope.params.utf8) && offers.has(Extension::SmtpUtf8) {
            line.push_str(" SMTPUTF8");
        }
        // A notice goes without where it must (RFC 8689 §5); for all else it was seen before that it is offered.
        if envelope.params.require_tls && offers.has(Extension::RequireTls) {
            line.push_str(" REQUIRETLS");
        }
        if offers.has(Extension::Dsn) {
            match envelope.params.ret {
                Some(Ret::Full) => line.push_str(" RET=FULL"),
                Some(Ret::Headers) => line.push_str(" RET=HDRS"),
                None => {}
            }
            if let Some(envid) = &envelope.params.envid {
                let _ = write!(line, " ENVID={}", to_xtext(envid));
            }
        }
        // RFC 6710 §4.2: the usual priority, too.
        if offers.has(Extension::MtPriority) {
            let _ = write!(line, " MT-PRIORITY={}", envelope.params.priority.get());
        }
        if let Some(by) = envelope.params.by.filter(|_| offers.has(Extension::DeliverBy)) {
            let mode = if by.mode == ByMode::Return { "R" } else { "N" };
            let trace = if by.trace { "T" } else { "" };
            let _ = write!(line, " BY={};{mode}{trace}", by.seconds.clamp(-BY_MAX, BY_MAX));
        }
        line.push_str("\r\n");
        line
    }

    pub(super) fn rcpt_command(&self, recipient: &Recipient, offers: &Offers) -> String {
        let mut line = format!("RCPT TO:<{}>", recipient.address);
        if offers.has(Extension::Dsn) {
            match notify(recipient.notify) {
                words if words.is_empty() => {}
                words => {
                    let _ = write!(line, " NOTIFY={words}");
                }
            }
            if let Some(original) = &recipient.original {
                let is_utf8 = original.kind.eq_ignore_ascii_case("utf-8");
                let text = if is_utf8 { to_unitext(&original.address) } else { to_xtext(&original.address) };
                let _ = write!(line, " ORCPT={};{text}", original.kind);
            }
        }
        line.push_str("\r\n");
        line
    }

    /// MAIL was answered.
    pub(super) fn take_mail(&mut self, reply: Reply) {
        if !reply.is_done() {
            self.mail_refused = true;
            self.settle_open(&Outcome::Refused { at: Stage::Mail, reply });
        }
    }

    /// The next RCPT was answered.
    pub(super) fn take_rcpt(&mut self, reply: Reply) {
        let at = self.answered;
        self.answered += 1;
        if self.answered == self.rcpt_max && matches!(self.way, Way::Data(_)) {
            self.stage = Stage::Data;
        }
        if self.mail_refused {
            return;
        }
        if reply.is_done() {
            self.accepted.push(at);
        } else if let Some(outcome) = self.outcomes.get_mut(at) {
            *outcome = Some(Outcome::Refused { at: Stage::Rcpt, reply });
        }
    }

    /// The same outcome for all recipients whose RCPT was accepted.
    pub(super) fn settle_accepted(&mut self, outcome: &Outcome) {
        for at in &self.accepted {
            if let Some(open) = self.outcomes.get_mut(*at) {
                open.get_or_insert_with(|| outcome.clone());
            }
        }
    }

    /// The outcome for one of those whose RCPT was accepted.
    pub(super) fn settle_one(&mut self, accepted: usize, outcome: Outcome) {
        let open = self.accepted.get(accepted).and_then(|at| self.outcomes.get_mut(*at));
        if let Some(open) = open {
            *open = Some(outcome);
        }
    }

    /// What is known now for all recipients who have no outcome yet.
    pub(super) fn settle_open(&mut self, outcome: &Outcome) {
        for open in self.outcomes.iter_mut().filter(|open| open.is_none()) {
            *open = Some(outcome.clone());
        }
    }

    /// The recipients' outcomes; those beyond the peer's limit were not tried.
    pub(super) fn into_outcomes(mut self, loss: Loss) -> Vec<Outcome> {
        for open in self.outcomes.iter_mut().skip(self.rcpt_max).filter(|open| open.is_none()) {
            *open = Some(Outcome::NotTried);
        }
        let lost = Outcome::Lost { at: self.stage, why: loss };
        self.outcomes.into_iter().map(|outcome| outcome.unwrap_or_else(|| lost.clone())).collect()
    }
}

fn notify(notify: Notify) -> String {
    match notify {
        Notify::Default => String::new(),
        Notify::Never => "NEVER".to_owned(),
        Notify::On { success, failure, delay } => {
            [(success, "SUCCESS"), (failure, "FAILURE"), (delay, "DELAY")]
                .into_iter()
                .filter_map(|(is_on, word)| is_on.then_some(word))
                .collect::<Vec<_>>()
                .join(",")
        }
    }
}
