//! One attempt: a message to the recipients of one destination, host after host until each has its answer.

mod sending;

use crate::config::{Config, Protocol, Tells};
use crate::judge::{Said, Source};
use crate::lanes::{Contact, Terms};
use crate::link::{self, Link, OpenError, Place, SpeaksFor, credentials, unreachable};
use crate::mx;
use crate::pace::{self, Pace};
use crate::pool::{Kept, Pool};
use crate::protect::{Plan, Protection, TlsChoice, Way};
use crate::proven::Validation;
use crate::route::Exit;
use crate::schedule::Fate;
use crate::sts::StsPolicies;
use crate::tls_policy::Wish;
use crate::tls_seen::TlsCounters;
use crate::trail::{Stop, Trail};
use crate::unreachable::Unreachable;
use crate::ways::{self as route, Ways};
use crate::work::ByPassed;
use crate::work::{Chunks, no_tls};
pub(crate) use crate::work::{NotifyPassed, Tried, Work};
use mail::{Domain, Recipient, Reply};
use std::fmt::Write as _;
use std::net::SocketAddr;
use std::sync::Arc;
use storage::Claim;
use tracing::info;
use world::World;
use world::meter::{self, Side, TlsLevel};

/// Most connections that one attempt opens. RFC 5321 §5.1 wants at least two addresses tried.
const CONNECTIONS_MAX: usize = 8;

/// All that attempts share.
pub(crate) struct Courier {
    pub config: Config,
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
    /// Whether signatures of the DNS arrive.
    pub validation: Arc<Validation>,
    pub unreachable: Unreachable,
    pub pace: Pace,
    pub ways: Ways,
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
    ) -> Contact {
        let way = self.ways.find(&self.config, work.from, work.domain);
        let mut destination = way.destination(work.domain);
        // A connection that others were content with may be no good for this, or this one for others.
        match work.wish {
            Wish::Usual => {}
            Wish::Required => destination.push_str(" REQUIRETLS"),
            Wish::NotRequired => destination.push_str(" TLS-REQUIRED-NO"),
        }
        if let Some(next) = way.next.filter(|next| next.tells != Tells::Nobody) {
            // A connection speaks for one client.
            let _ = write!(destination, " {:?} {:?}", next.tells, work.client);
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
            way,
            reached: Reached::NotAsked,
            provider: None,
        };
        attempt.run().await
    }

    /// What shares connections and limits.
    pub(crate) fn destination(&self, claim: &Claim) -> String {
        self.ways.find(&self.config, &claim.from, &claim.domain).destination(&claim.domain)
    }

    /// What a destination may have.
    pub(crate) fn terms(&self, destination: &str) -> Terms {
        self.ways.terms(&self.config, destination)
    }

    /// Whether all mail goes to one next host.
    pub(crate) fn has_one_way(&self) -> bool {
        self.one_way().is_some()
    }

    /// The destination of all mail, if there is but one.
    pub(crate) fn one_way(&self) -> Option<String> {
        let smarthost = self.config.smarthost.as_ref().filter(|_| self.config.routes.is_empty())?;
        Some(smarthost.place())
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
    way: route::Way<'a>,
    reached: Reached,
    /// The place among the attempts of its provider, where that is known.
    provider: Option<pace::Place>,
}

/// Whether somebody is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Reached {
    NotAsked,
    Nobody,
    Somebody,
}

impl Attempt<'_> {
    async fn run(&mut self) -> Contact {
        if self.courier.config.exit == Exit::Closed {
            let text = "this server is set up not to send mail to others".to_owned();
            self.note_ours(unreachable(7, 1, text));
            self.settle_the_rest();
            return Contact::None;
        }
        let domain = self.work.domain;
        let known = self.courier.pace.provider_of(domain).filter(|_| self.way.next.is_none());
        if let Some(until) = self.enter(known) {
            return Contact::Paused(until);
        }
        // A kept connection may have gone meanwhile; each is used up or found good, so this ends.
        while let Some(kept) = self.courier.pool.take(&self.destination) {
            self.use_link(kept, Source::Kept).await;
            if self.is_over() {
                return Contact::Answered;
            }
        }
        match self.courier.way(self.work, self.way.next).await {
            Ok(way) => {
                if self.way.next.is_none() && self.provider.is_none() {
                    let provider = self.courier.pace.learn(domain, &way.hop.hosts);
                    if let Some(until) = self.enter(provider) {
                        return Contact::Paused(until);
                    }
                }
                self.try_hosts(&way).await;
            }
            Err(reply) => self.nobody(reply),
        }
        self.contact()
    }

    /// Takes a place among the attempts of a provider, or says until when there is none.
    fn enter(&mut self, provider: Option<String>) -> Option<i64> {
        let now = self.courier.world.clock.unix();
        match self.courier.pace.enter(&provider?, now) {
            Ok(place) => {
                self.provider = Some(place);
                None
            }
            Err(until) => Some(until),
        }
    }

    /// Settles the rest, and says what all this tells of the destination.
    fn contact(&mut self) -> Contact {
        let said = self.settle_the_rest();
        match (self.reached, said) {
            (Reached::Nobody, Some(reply)) if !reply.is_permanent() => Contact::Unreached(reply),
            (Reached::Nobody | Reached::NotAsked, _) => Contact::None,
            (Reached::Somebody, _) => Contact::Answered,
        }
    }

    /// There is no way to a host: where the DNS does not say where it is, that goes for every message.
    fn nobody(&mut self, reply: Reply) {
        let is_of_dns = reply.status.is_some_and(|status| status.subject == 4);
        if self.reached == Reached::NotAsked && is_of_dns {
            self.reached = Reached::Nobody;
        }
        self.note_ours(reply);
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
                    self.courier.world.meter.attempts.add(meter::Way::None, ());
                    self.nobody(softened.reply().clone());
                    continue;
                }
            };
            let addresses = self.way.family.of(addresses);
            if addresses.is_empty() {
                let text = format!("{host} has no address of the family that is set for it");
                self.note_ours(unreachable(4, 4, text));
            }
            for ip in addresses {
                if self.opened >= CONNECTIONS_MAX {
                    return;
                }
                let address = SocketAddr::new(ip, way.port);
                let socket = self.way.next.and_then(|next| next.socket.clone());
                let place = Place { host: host.clone(), address, socket };
                self.try_place(&place, &protection).await;
                if self.is_over() {
                    return;
                }
            }
        }
    }

    /// A smarthost that is not there or sends us away is a matter between us and it, and no fault of the recipient.
    fn softened(&self, host: &Domain, said: Said) -> Said {
        if self.way.next.is_none() || !said.reply().is_permanent() {
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
                Ok(link) => self.use_link(Kept::fresh(link), Source::Fresh).await,
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
            address = %place, reply = %said.reply(), "attempt: no way through");
        self.courier.world.meter.attempts.add(meter::Way::None, ());
        if let (Some(provider), Said::ByHost(reply)) = (&self.provider, &said) {
            provider.heard(reply, self.courier.world.clock.unix());
        }
        self.notes.push(match said {
            Said::ByHost(reply) => (place.host.to_string(), reply),
            Said::ByUs(reply) => (String::new(), reply),
        });
    }

    /// Mail that reaches ourselves by way of the DNS would go round (RFC 5321 §6.3).
    fn is_ourselves(&self, link: &Link) -> bool {
        self.way.next.is_none() && link.peer_name().eq_ignore_ascii_case(self.courier.us.as_str())
    }

    /// A connection, without TLS if that is the only way and nobody demands it.
    async fn open(&mut self, place: &Place, protection: &Protection) -> Result<Link, Said> {
        let courier = self.courier;
        if self.reached == Reached::NotAsked {
            self.reached = Reached::Nobody;
        }
        if let Some(reply) = courier.unreachable.recall(place, courier.world.clock.unix()) {
            return Err(Said::ByUs(reply));
        }
        let login = credentials(self.way.next).await.map_err(Said::ByUs)?;
        let (connector, hello, login) = (self.way.connector, &courier.hello, login.as_ref());
        let protocol = self.way.next.map_or(Protocol::Smtp, |next| next.protocol);
        let speaks_for = SpeaksFor {
            tells: self.way.next.map_or(Tells::Nobody, |next| next.tells),
            client: self.work.client,
        };
        self.opened += 1;
        let way = link::Way { connector, hello, protection, login, protocol, speaks_for };
        let opened = Link::open(&way, place).await;
        if !matches!(opened, Err(OpenError::Unreachable(_))) {
            self.reached = Reached::Somebody;
        }
        courier.tell(self.work, place, protection, &opened);
        match opened {
            Ok(link) => Ok(link),
            Err(OpenError::Handshake { reply, .. }) if !protection.is_demanded() => {
                info!(mail = self.work.mail_id, host = %place.host, %reply, "TLS failed; once more in clear");
                courier.world.meter.tls.add(Side::Out, TlsLevel::Failed);
                self.opened += 1;
                let protection = &protection.in_clear();
                let way = link::Way { connector, hello, protection, login, protocol, speaks_for };
                Link::open(&way, place).await.map_err(OpenError::said)
            }
            Err(error) => Err(self.failed(place, error)),
        }
    }

    /// What a connection that did not come about means.
    fn failed(&self, place: &Place, error: OpenError) -> Said {
        let courier = self.courier;
        if matches!(error, OpenError::Handshake { .. }) {
            courier.world.meter.tls.add(Side::Out, TlsLevel::Failed);
        }
        if let OpenError::Unreachable(reply) = &error {
            courier.unreachable.remember(place, reply.clone(), courier.world.clock.unix());
        }
        let is_of_tls = matches!(error, OpenError::Handshake { .. } | OpenError::NoTls(_));
        match error.said() {
            said if is_of_tls && self.work.wish == Wish::Required => {
                Said::ByUs(no_tls(said.reply().text.clone()))
            }
            said => said,
        }
    }

    /// No host is left. If every one of them has said never, it is never; one that may come round is enough to wait.
    fn settle_the_rest(&mut self) -> Option<Reply> {
        let softest = self.notes.iter().rev().find(|(_, reply)| !reply.is_permanent());
        let (host, reply) = match softest.or(self.notes.last()) {
            Some(note) => note.clone(),
            None => (String::new(), unreachable(4, 2, "no host could be tried in this attempt".to_owned())),
        };
        let fate = if reply.is_permanent() { Fate::Failed } else { Fate::Deferred };
        let mut said = None;
        for result in self.results.iter_mut().filter(|result| result.is_none()) {
            said.get_or_insert_with(|| reply.clone());
            *result = Some(Tried {
                fate,
                host: host.clone(),
                reply: reply.clone(),
                notify: NotifyPassed::No,
                by: ByPassed::No,
                tls: None,
            });
        }
        said
    }
}
