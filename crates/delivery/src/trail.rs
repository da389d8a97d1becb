//! What an attempt met on its way, host by host, to be kept beside the queue.

use crate::judge::Source;
use crate::link::{Link, Place};
use crate::schedule::Fate;
use crate::work::Work;
use mail::{Domain, Recipient, Reply, TlsUsed};
use smtp_proto::client::{Outcome, Report};
use storage::{Attempt, AttemptResult};
use tracing::info;
use world::Meter;
use world::meter::{self, Side};

/// Most entries of one attempt; what comes later is not kept.
const ENTRIES_MAX: usize = 100;

/// The way of one attempt, in order.
#[derive(Debug, Default)]
pub(crate) struct Trail {
    entries: Vec<Attempt>,
}

/// Who was asked, and how well the way was protected.
#[derive(Clone, Copy)]
pub(crate) struct Stop<'a> {
    /// The domain whose mail it is.
    pub domain: &'a Domain,
    pub place: Option<&'a Place>,
    /// What [`TlsUsed`] says; empty where there was no connection.
    pub tls: &'a str,
    /// Seconds since 1970.
    pub at: i64,
}

impl Trail {
    /// No way for the message here: the same for all these recipients.
    pub(crate) fn no_way<'r>(
        &mut self,
        stop: Stop<'_>,
        reply: &Reply,
        recipients: impl Iterator<Item = &'r Recipient>,
    ) {
        self.add(stop, AttemptResult::NoWay, reply, recipients);
    }

    /// What a transaction came to, recipient by recipient; those with the same answer share an entry.
    pub(crate) fn answered(&mut self, stop: Stop<'_>, answers: &[(&Recipient, Option<Fate>, &Reply)]) {
        let mut rest: Vec<_> = answers.to_vec();
        while let Some((_, fate, reply)) = rest.first().copied() {
            let (same, others): (Vec<_>, Vec<_>) =
                rest.into_iter().partition(|(_, other, said)| *other == fate && *said == reply);
            let result = match fate {
                None => AttemptResult::NoWay,
                Some(Fate::Delivered) => AttemptResult::Delivered,
                Some(Fate::Deferred) => AttemptResult::Deferred,
                Some(Fate::Failed) => AttemptResult::Failed,
            };
            self.add(stop, result, reply, same.iter().map(|(recipient, ..)| *recipient));
            rest = others;
            if self.entries.len() >= ENTRIES_MAX {
                return;
            }
        }
    }

    fn add<'r>(
        &mut self,
        stop: Stop<'_>,
        result: AttemptResult,
        reply: &Reply,
        recipients: impl Iterator<Item = &'r Recipient>,
    ) {
        if self.entries.len() >= ENTRIES_MAX {
            return;
        }
        let recipients: Vec<String> = recipients.map(|one| one.address.to_string()).collect();
        self.entries.push(Attempt {
            at: stop.at,
            domain: stop.domain.to_string(),
            recipient_count: recipients.len() as u64,
            recipients: recipients.join(" "),
            host: stop.place.map(|place| place.host.to_string()).unwrap_or_default(),
            address: stop.place.map(ToString::to_string).unwrap_or_default(),
            tls: stop.tls.to_owned(),
            result,
            reply: reply.clone(),
        });
    }

    pub(crate) fn into_attempts(self) -> Vec<Attempt> {
        self.entries
    }
}

/// One transaction in the log.
pub(crate) fn log(work: &Work<'_>, link: &Link, source: Source, report: &Report) {
    let accepted = report.outcomes.iter().filter(|outcome| matches!(outcome, Outcome::Accepted(_))).count();
    let reply = report.outcomes.iter().find_map(|outcome| match outcome {
        Outcome::Accepted(reply) | Outcome::Refused { reply, .. } => Some(reply.to_string()),
        Outcome::Unsupported(need) => Some(need.reply().to_string()),
        Outcome::Lost { at, why } => Some(format!("{why} at {at}")),
        Outcome::NotTried => None,
    });
    let TlsUsed { level, version, why } = link.tls();
    info!(mail = work.mail_id, conn = link.id(), domain = %work.domain, host = %link.place.host,
        address = %link.place, tls = %level, version, %why, kept = source == Source::Kept, recipients = report.outcomes.len(),
        accepted, reply = reply.unwrap_or_default(), "attempt");
}

/// The transaction as a number, and the connection if it is new.
pub(crate) fn count(meter: &Meter, link: &Link, source: Source) {
    meter.attempts.add(meter::Way::Through, ());
    if source != Source::Kept {
        meter.tls.add(Side::Out, link.counted_tls());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use mail::{Address, Status};

    #[test]
    fn recipients_with_one_answer_share_an_entry() {
        let domain = Domain::parse("e.ex").unwrap();
        let place = Place {
            host: Domain::parse("mx.e.ex").unwrap(),
            address: "192.0.2.1:25".parse().unwrap(),
            socket: None,
        };
        let stop = Stop { domain: &domain, place: Some(&place), tls: "none", at: 5 };
        let to: Vec<Recipient> = ["a@e.ex", "b@e.ex", "c@e.ex"]
            .map(|text| Recipient::plain(Address::parse(text).unwrap()))
            .to_vec();
        let (ok, no) = (Reply::bare(250, "ok"), Reply::new(550, Status::permanent(1, 1), "who"));
        let mut trail = Trail::default();
        let answers = [
            (&to[0], Some(Fate::Delivered), &ok),
            (&to[1], Some(Fate::Failed), &no),
            (&to[2], Some(Fate::Delivered), &ok),
        ];
        trail.answered(stop, &answers);
        let shown: Vec<String> = trail
            .into_attempts()
            .into_iter()
            .map(|one| {
                format!(
                    "{} {} {:?} {} {}",
                    one.recipients, one.recipient_count, one.result, one.address, one.reply
                )
            })
            .collect();
        assert_eq!(
            shown,
            ["a@e.ex c@e.ex 2 Delivered 192.0.2.1:25 250 ok", "b@e.ex 1 Failed 192.0.2.1:25 550 5.1.1 who"]
        );
    }

    #[test]
    fn there_is_an_end_to_it() {
        let domain = Domain::parse("e.ex").unwrap();
        let stop = Stop { domain: &domain, place: None, tls: "", at: 5 };
        let mut trail = Trail::default();
        for _ in 0..ENTRIES_MAX + 5 {
            trail.no_way(stop, &Reply::bare(451, "x"), std::iter::empty());
        }
        assert_eq!(trail.into_attempts().len(), ENTRIES_MAX);
    }
}
