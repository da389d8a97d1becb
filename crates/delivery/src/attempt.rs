//! One attempt: a message to the recipients of one destination, host after host until each has its answer.

use crate::config::Config;
use crate::judge::{self, Judged, Said, Source};
use crate::link::{self, Link, OpenError, Place, credentials, unreachable};
use crate::mx;
use crate::pool::{Kept, Pool};
use crate::protect::{Plan, Protection, TlsChoice, Way};
use crate::route::Exit;
use crate::schedule::Fate;
use crate::sts::StsPolicies;
use crate::tls_policy::Wish;
use crate::tls_seen::TlsCounters;
use crate::trail::{self, Stop, Trail};
use crate::unreachable::Unreachable;
use crate::work::{Chunks, no_tls};
pub(crate) use crate::work::{NotifyPassed, Tried, Work};
use mail::{Domain, Envelope, Recipient, Reply, TlsLevel};
use net::Connector;
use smtp_proto::client::{Connection, Report, Transaction};
use smtp_proto::{ContentKind, Extension, Offers};
use std::net::SocketAddr;
use std::sync::Arc;
use tracing::{debug, info};
use world::World;

/// Most connections that one attempt opens. RFC 5321 §5.1 wants at least two addresses tried.
const CONNECTIONS_MAX: usize = 8;

/// All that attempts share.
pub(crate) struct Courier {
    pub config: Config,
    pub connector: Connector,
    pub tls: TlsChoice,
    /// `None`: nobody asks for policies.
    pub sts: Option<Arc<StsPolicies>>,
    /// What is counted for reports.
    pub seen: TlsCounters,
    /// The name for EHLO.
    pub hello: Domain,
    /// The name of this server in the DNS.
    pub us: Domain,
    pub pool: Pool,
    pub unreachable: Unreachable,
    pub world: World,
}

impl Courier {
    /// One attempt for `recipients`. `results` has one place for each; what is known stands there at once, so that an
    /// attempt which is cut short loses nothing.
    pub(crate) async fn attempt(
        &self,
        work: &Work<'_>,
        recipients: &[Recipient],
        results: &mut [Option<Tried>],
        trail: &mut Trail,
    ) {
        let mut destination = self.destination(work.domain);
        // A connection that others were content with may be no good for this, or this one for others.
        match work.wish {
            Wish::Usual => {}
            Wish::Required => destination.push_str(" REQUIRETLS"),
            Wish::NotRequired => destination.push_str(" TLS-REQUIRED-NO"),
        }
        let mut attempt = Attempt {
            courier: self,
            work,
            recipients,
            results,
            trail,
            notes: Vec::new(),
            destination,
            opened: 0,
            chunks: Chunks::AsOffered,
        };
        attempt.run().await;
    }

    /// What shares connections and limits: the smarthost, or the domain.
    pub(crate) fn destination(&self, domain: &Domain) -> String {
        match &self.config.smarthost {
            Some(smarthost) => format!("{}:{}", smarthost.host, smarthost.port),
            None => domain.to_string(),
        }
    }
}

struct Attempt<'a> {
    courier: &'a Courier,
    work: &'a Work<'a>,
    recipients: &'a [Recipient],
    results: &'a mut [Option<Tried>],
    trail: &'a mut Trail,
    /// Why hosts took nothing: the host, if the reply is its own, and the reply.
    notes: Vec<(String, Reply)>,
    destination: String,
    opened: usize,
    chunks: Chunks,
}

impl Attempt<'_> {
    async fn run(&mut self) {
        if self.courier.config.exit == Exit::Closed {
            let text = "this server is set up not to send mail to others".to_owned();
            self.note_ours(unreachable(7, 1, text));
            return self.settle_the_rest();
        }
        // A kept connection may have gone meanwhile; each is used up or found good, so this ends.
        while let Some(kept) = self.courier.pool.take(&self.destination) {
            self.use_link(kept, Source::Kept).await;
            if self.is_over() {
                return;
            }
        }
        match self.courier.way(self.work).await {
            Ok(way) => self.try_hosts(&way).await,
            Err(reply) => self.note_ours(reply),
        }
        self.settle_the_rest();
    }

    fn is_over(&self) -> bool {
        self.results.iter().all(Option::is_some)
    }

    async fn try_hosts(&mut self, way: &Way) {
        for host in &way.hop.hosts {
            let Plan { addresses, protection } = match self.courier.plan(self.work, way, host).await {
                Ok(plan) => plan,
                Err(reply) => {
                    let softened = self.softened(host, Said::ByUs(reply));
                    info!(mail = self.work.mail_id, domain = %self.work.domain, %host, reply = %softened.reply(),
                        "attempt: no way to this host");
                    self.note_ours(softened.reply().clone());
                    continue;
                }
            };
            for ip in addresses {
                if self.opened >= CONNECTIONS_MAX {
                    return;
                }
                let place = Place { host: host.clone(), address: SocketAddr::new(ip, way.port) };
                self.try_place(&place, &protection).await;
                if self.is_over() {
                    return;
                }
            }
        }
    }

    /// A smarthost that is not there or sends us away is a matter between us and it, and no fault of the recipient.
    fn softened(&self, host: &Domain, said: Said) -> Said {
        if self.courier.config.smarthost.is_none() || !said.reply().is_permanent() {
            return said;
        }
        let text = match said {
            Said::ByHost(reply) => format!("{host} sent us away: {reply}"),
            Said::ByUs(reply) => reply.text,
        };
        Said::ByUs(unreachable(4, 4, text))
    }

    /// Tries a place as long as it takes something over each connection: some hosts take one message, then hang up.
    async fn try_place(&mut self, place: &Place, protection: &Protection) {
        loop {
            let before = (self.delivered(), self.notes.len());
            let chunks = self.chunks;
            match self.open(place, protection).await {
                Ok(link) if self.is_ourselves(&link) => {
                    let mut link = link;
                    link.quit().await;
                    self.note(place, Said::ByUs(mx::loops(self.work.domain)));
                }
                Ok(link) => self.use_link(Kept { link: Box::new(link), uses: 0 }, Source::Fresh).await,
                Err(said) => {
                    let said = self.softened(&place.host, said);
                    self.note(place, said);
                }
            }
            let is_of_use = self.delivered() > before.0 || self.chunks != chunks;
            if !is_of_use || self.notes.len() > before.1 || self.is_over() {
                return;
            }
            // A connection that was of use does not count: each time fewer recipients are left.
            self.opened = self.opened.saturating_sub(1);
        }
    }

    fn delivered(&self) -> usize {
        let is_delivered = |tried: &&Tried| tried.fate == Fate::Delivered;
        self.results.iter().flatten().filter(is_delivered).count()
    }

    /// What is in the way before any host is asked.
    fn note_ours(&mut self, reply: Reply) {
        self.keep(None, &reply);
        self.notes.push((String::new(), reply));
    }

    /// Notes for later that there was no way for those who have no answer yet.
    fn keep(&mut self, place: Option<&Place>, reply: &Reply) {
        let stop = Stop { domain: self.work.domain, place, tls: "", at: self.courier.world.clock.unix() };
        let open = self.recipients.iter().zip(self.results.iter()).filter(|(_, result)| result.is_none());
        self.trail.no_way(stop, reply, open.map(|(recipient, _)| recipient));
    }

    fn note(&mut self, place: &Place, said: Said) {
        self.keep(Some(place), said.reply());
        info!(mail = self.work.mail_id, domain = %self.work.domain, host = %place.host,
            address = %place.address, reply = %said.reply(), "attempt: no way through");
        self.notes.push(match said {
            Said::ByHost(reply) => (place.host.to_string(), reply),
            Said::ByUs(reply) => (String::new(), reply),
        });
    }

    /// Mail that reaches ourselves by way of the DNS would go round (RFC 5321 §6.3).
    fn is_ourselves(&self, link: &Link) -> bool {
        self.courier.config.smarthost.is_none()
            && link.peer_name().eq_ignore_ascii_case(self.courier.us.as_str())
    }

    /// A connection, without TLS if that is the only way and nobody demands it.
    async fn open(&mut self, place: &Place, protection: &Protection) -> Result<Link, Said> {
        let courier = self.courier;
        if let Some(reply) = courier.unreachable.recall(place.address, courier.world.clock.unix()) {
            return Err(Said::ByUs(reply));
        }
        let login = credentials(courier.config.smarthost.as_ref()).await.map_err(Said::ByUs)?;
        let (connector, hello, login) = (&courier.connector, &courier.hello, login.as_ref());
        self.opened += 1;
        let opened = Link::open(&link::Way { connector, hello, protection, login }, place).await;
        courier.tell(self.work, place, protection, &opened);
        match opened {
            Ok(link) => Ok(link),
            Err(OpenError::Handshake { reply, .. }) if !protection.is_demanded() => {
                info!(mail = self.work.mail_id, host = %place.host, %reply, "TLS failed; once more in clear");
                self.opened += 1;
                let protection = &protection.in_clear();
                let way = link::Way { connector, hello, protection, login };
                Link::open(&way, place).await.map_err(OpenError::said)
            }
            Err(error) => Err(self.failed(place, error)),
        }
    }

    /// What a connection that did not come about means.
    fn failed(&self, place: &Place, error: OpenError) -> Said {
        let courier = self.courier;
        if let OpenError::Unreachable(reply) = &error {
            courier.unreachable.remember(place.address, reply.clone(), courier.world.clock.unix());
        }
        let is_of_tls = matches!(error, OpenError::Handshake { .. } | OpenError::NoTls(_));
        match error.said() {
            said if is_of_tls && self.work.wish == Wish::Required => {
                Said::ByUs(no_tls(said.reply().text.clone()))
            }
            said => said,
        }
    }

    /// Sends over a connection until every open recipient has an answer or the connection is of no more use.
    async fn use_link(&mut self, mut kept: Kept, mut source: Source) {
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
            trail::log(self.work, &kept.link, source, &report);
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
        let recipients = batch.iter().map(|at| self.recipients[*at].clone()).collect();
        let mut params = self.work.params.clone();
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
        let shown = tls.to_string();
        let stop = Stop { domain: self.work.domain, place: Some(place), tls: &shown, at };
        self.trail.answered(stop, &answers);
        let mut settled = 0;
        for (at, judged) in batch.iter().zip(judged) {
            match judged {
                Judged::Result(fate, said) => {
                    settled += 1;
                    let (host, reply) = attributed(said);
                    self.results[*at] = Some(Tried { fate, host, reply, notify, tls: Some(tls.clone()) });
                }
                Judged::NextHost(said) => self.notes.push(attributed(said)),
                Judged::Again => {}
            }
        }
        settled
    }

    /// No host is left. If every one of them has said never, it is never; one that may come round is enough to wait.
    fn settle_the_rest(&mut self) {
        let softest = self.notes.iter().rev().find(|(_, reply)| !reply.is_permanent());
        let (host, reply) = match softest.or(self.notes.last()) {
            Some(note) => note.clone(),
            None => (String::new(), unreachable(4, 2, "no host could be tried in this attempt".to_owned())),
        };
        let fate = if reply.is_permanent() { Fate::Failed } else { Fate::Deferred };
        for result in self.results.iter_mut().filter(|result| result.is_none()) {
            *result = Some(Tried {
                fate,
                host: host.clone(),
                reply: reply.clone(),
                notify: NotifyPassed::No,
                tls: None,
            });
        }
    }
}
