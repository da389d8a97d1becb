//! What of an attempt goes over one connection.

use super::{Attempt, Reached};
use crate::judge::{self, Judged, Said, Source};
use crate::link::Link;
use crate::pool::Kept;
use crate::trail::{self, Stop};
use crate::work::{ByPassed, Chunks, NotifyPassed, Tried};
use mail::{ByMode, DeliverBy, Envelope, Recipient, Reply, TlsLevel};
use smtp_proto::client::{Connection, Report, Transaction};
use smtp_proto::{ContentKind, Extension, Offers};
use tracing::debug;

impl Attempt<'_> {
    /// Sends over a connection until every open recipient has an answer or the connection is of no more use.
    pub(super) async fn use_link(&mut self, mut kept: Kept, mut source: Source) {
        let mut usable = true;
        if self.chunks == Chunks::Forgone {
            kept.link.forgo(Extension::Chunking);
        }
        while usable && kept.uses < crate::pool::USES_MAX {
            let batch = self.next_batch(kept.link.offers());
            if batch.is_empty() {
                break;
            }
            let transaction = self.transaction(&batch, &kept.link);
            let passed = match kept.link.offers().has(Extension::Dsn) {
                true => NotifyPassed::Yes,
                false => NotifyPassed::No,
            };
            kept.uses += 1;
            let report = kept.link.send(transaction, self.work.message).await;
            self.reached = Reached::Somebody;
            trail::log(self.work, &kept.link, source, &report);
            trail::count(&self.courier.world.meter, &kept.link, source);
            if judge::knows_no_chunks(&report.outcomes) && self.may_go_as_data(kept.link.offers()) {
                // It may have read the chunk as commands: no reply of this connection can be trusted.
                self.chunks = Chunks::Forgone;
                return;
            }
            usable = report.connection == Connection::Usable;
            let settled = self.take(&batch, report, &kept.link, passed, source);
            // What it says to the next message may mean this connection only.
            source = Source::Kept;
            if settled == 0 && usable {
                return kept.link.quit().await;
            }
        }
        if usable {
            self.courier.pool.put(&self.destination, kept, self.courier.config.reuse);
        }
    }

    /// Whether the message went in chunks and need not.
    fn may_go_as_data(&self, offers: &Offers) -> bool {
        offers.has(Extension::Chunking) && self.work.content.kind != ContentKind::Binary
    }

    /// Recipients without an answer, as many as one transaction may have.
    fn next_batch(&self, offers: &Offers) -> Vec<usize> {
        let most = offers.rcpt_max.unwrap_or(usize::MAX).min(self.courier.config.recipients).max(1);
        let open = self.results.iter().enumerate().filter(|(_, result)| result.is_none());
        open.map(|(at, _)| at).take(most).collect()
    }

    fn transaction(&self, batch: &[usize], link: &Link) -> Transaction {
        let offers = link.offers();
        let mut content = self.work.content;
        // A message with octets over 127 goes out as it is to a server that does not announce 8BITMIME: every one in use
        // today takes it, to convert it would break its signatures, and to return it would help nobody.
        if content.kind == ContentKind::EightBit && !offers.has(Extension::EightBitMime) {
            debug!(mail = self.work.mail_id, "8-bit message to a server without 8BITMIME");
            content.kind = ContentKind::SevenBit;
        }
        // Raw octets in the header are SMTPUTF8 only if the sender said so (RFC 6531 §3.4); otherwise they are just broken.
        content.utf8_header &= self.work.params.utf8;
        let mut recipients: Vec<Recipient> = batch.iter().map(|at| self.recipients[*at].clone()).collect();
        let mut params = self.work.params.clone();
        let has_time = |by: DeliverBy| by.mode == ByMode::Notify && by.seconds > 0;
        if params.by.is_some_and(has_time) && !offers.has(Extension::DeliverBy) {
            recipients.iter_mut().for_each(|one| one.notify = one.notify.with_delay());
        }
        // A notice asks for protection only where it can be had, and is sent in any case (RFC 8689 §5).
        let is_protected = offers.has(Extension::RequireTls) && link.tls().level >= TlsLevel::Verified;
        params.require_tls &= is_protected || !self.work.from.is_null();
        let envelope = Envelope { from: self.work.from.clone(), params, recipients };
        Transaction { envelope, content }
    }

    /// Notes the answers; says how many recipients have one now.
    fn take(
        &mut self,
        batch: &[usize],
        report: Report,
        link: &Link,
        notify: NotifyPassed,
        source: Source,
    ) -> usize {
        let (place, tls) = (&link.place, link.tls());
        let host = &place.host;
        let attributed = |said: Said| match said {
            Said::ByHost(reply) => (host.to_string(), reply),
            Said::ByUs(Reply { code, status, text }) => {
                (String::new(), Reply { code, status, text: format!("{host}: {text}") })
            }
        };
        let judged: Vec<Judged> = judge::judge(report.outcomes, source).collect();
        let answers: Vec<_> = batch
            .iter()
            .zip(&judged)
            .filter_map(|(at, judged)| match judged {
                Judged::Result(fate, said) => Some((&self.recipients[*at], Some(*fate), said.reply())),
                Judged::NextHost(said) => Some((&self.recipients[*at], None, said.reply())),
                Judged::Again => None,
            })
            .collect();
        let at = self.courier.world.clock.unix();
        if let (Some(provider), Some((_, _, reply))) = (&self.provider, answers.first()) {
            provider.heard(reply, at);
        }
        let shown = tls.to_string();
        let stop = Stop { domain: self.work.domain, place: Some(place), tls: &shown, at };
        self.trail.answered(stop, &answers);
        let by = if link.offers().has(Extension::DeliverBy) { ByPassed::Yes } else { ByPassed::No };
        let mut settled = 0;
        for (at, judged) in batch.iter().zip(judged) {
            match judged {
                Judged::Result(fate, said) => {
                    settled += 1;
                    let (host, reply) = attributed(said);
                    self.results[*at] = Some(Tried { fate, host, reply, notify, by, tls: Some(tls.clone()) });
                }
                Judged::NextHost(said) => self.notes.push(attributed(said)),
                Judged::Again => {}
            }
        }
        settled
    }
}
