//! What a stranger wants, question by question, and what it hears.

use crate::config::Config;
use crate::door::Deps;
use crate::early::Blot;
use crate::filters::{Desk, Filtering, Stranger};
use crate::greylist;
use crate::judgement::{Judged, checks, judge, without_notices};
use delivery::route::Sender;
use delivery::{Accepted, Arrival, Resolved};
use mail::trace::{Login, Peer};
use mail::{Address, Blob, Domain, Envelope, Mail, Message, Priority, Recipient, Reply, ReversePath, Status};
use net::Conn;
use policy::milter::Client;
use policy::{Facts, Pipeline};
use smtp_door::{Inbound, Ledger, Origin, Place, Speaker, Transaction, counted, lost};
use smtp_proto::HelloKind;
use smtp_proto::server::{Answer, MailFrom, Question};
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Instant;
use storage::Grey;
use tracing::{Instrument, debug, info, warn};
use world::Meter;
use world::meter::{Door, Reason, Refused};

/// One connection's business.
pub(crate) struct Visit<'a> {
    deps: &'a Deps,
    ledger: &'a Ledger,
    config: Arc<Config>,
    pipeline: Pipeline,
    /// Our address that the client came to.
    local: IpAddr,
    speaker: Speaker,
    /// What is held against its mail, whatever the checks say.
    blot: Option<Blot>,
    /// Under which name greylisting knows the client of the present transaction.
    grey_name: Option<String>,
    filtering: Filtering,
    inbound: Inbound,
}

impl smtp_door::Visit for Visit<'_> {
    async fn answer(&mut self, question: Question) -> Answer {
        let reply = match question {
            Question::Hello { kind, name } => self.hello(kind, name),
            Question::Mail(mail) => self.mail(mail).await,
            Question::Rcpt(recipient) => self.rcpt(recipient).await,
            Question::Data => self.inbound.data(),
            Question::EndOfData => self.end_of_data().await,
            Question::Reset => {
                self.inbound.reset();
                self.filtering.reset().await;
                self.speaker.is_done();
                return Answer::Noted;
            }
            Question::Xclient(behalf) => {
                self.speaker.stands_for(behalf);
                self.filtering.begin_anew();
                self.new_client()
            }
            Question::Xforward(behalf) => {
                self.speaker.forwards(behalf);
                self.filtering.begin_anew();
                Reply::new(250, Status::success(0, 0), "Noted")
            }
            // AUTH is not offered to strangers.
            Question::AuthBegin { .. } | Question::AuthRespond(_) => {
                Reply::new(502, Status::permanent(5, 1), "AUTH is not offered here")
            }
        };
        reply.into()
    }

    fn inbound(&mut self) -> &mut Inbound {
        &mut self.inbound
    }

    fn speaker(&self) -> &Speaker {
        &self.speaker
    }

    fn tls_started(&mut self, _: &Conn) {
        self.speaker.begins_anew();
        self.filtering.begin_anew();
    }

    fn farewell(&self) -> Option<Reply> {
        None
    }
}

impl<'a> Visit<'a> {
    pub(crate) fn new(
        deps: &'a Deps,
        ledger: &'a Ledger,
        config: Arc<Config>,
        (pipeline, desk): (Pipeline, Desk),
        conn: &Conn,
    ) -> Self {
        let inbound = Inbound::new(&deps.door, &ledger.budget, conn);
        let speaker = Speaker::new(conn, &config.door);
        Self {
            deps,
            ledger,
            config,
            pipeline,
            local: conn.local().ip(),
            speaker,
            blot: None,
            grey_name: None,
            filtering: Filtering::new(desk),
            inbound,
        }
    }

    pub(crate) fn blotted(self, blot: Option<Blot>) -> Self {
        Self { blot, ..self }
    }

    /// A client for which the peer speaks is counted like one that has connected itself.
    fn new_client(&self) -> Reply {
        match self.ledger.rates.connection(self.speaker.connected().ip()) {
            Ok(()) => Reply::new(250, Status::success(0, 0), "Noted"),
            Err(reply) => reply,
        }
    }

    /// Whether the message comes from a network of our own, which may send to anybody.
    fn is_relayed(&self) -> bool {
        self.speaker.is_from(&self.config.relay_from)
    }

    fn hello(&mut self, kind: HelloKind, name: String) -> Reply {
        debug!(name, "hello");
        let reply = Reply::bare(250, format!("greets {name}"));
        self.speaker.says_hello(kind, name);
        self.filtering.begin_anew();
        reply
    }

    async fn mail(&mut self, mail: MailFrom) -> Reply {
        let id = self.inbound.new_id();
        let relayed = || self.config.relay_sender(&mail.from).filter(|_| self.is_relayed());
        if let Some(reply) = self.lacks_tls(&mail.from).or_else(relayed) {
            info!(mail = id, from = %mail.from, %reply, "sender refused");
            return counted::refused(self.meter(), Refused::Sender, reply);
        }
        let sender = mail.from.address().map(Address::key);
        let place = match self.ledger.rates.message(self.speaker.address(), sender.as_deref()) {
            Ok(place) => place,
            Err(reply) => {
                info!(mail = id, from = %mail.from, %reply, "sender put off");
                return counted::refused_because(self.meter(), Refused::Sender, Reason::TooMuch, reply);
            }
        };
        if let Err(reply) = self.ask_filters(&id, &mail.from).await {
            info!(mail = id, from = %mail.from, %reply, "sender refused by a filter");
            return counted::refused_because(self.meter(), Refused::Sender, Reason::Filter, reply);
        }
        debug!(mail = id, from = %mail.from, "a transaction begins");
        self.grey_name = None;
        self.begin(id, mail, place)
    }

    /// Strangers may call their mail less urgent than that of others, not more (RFC 6710 §8).
    fn begin(&mut self, id: String, mut mail: MailFrom, place: Place) -> Reply {
        if self.is_relayed() || mail.params.priority <= Priority::NORMAL {
            return self.inbound.begin(id, mail, place);
        }
        mail.params.priority = Priority::NORMAL;
        let reply = self.inbound.begin(id, mail, place);
        if !reply.is_done() {
            return reply;
        }
        // RFC 6710 §4.1: the new priority stands first.
        Reply::new(250, Status::success(3, 6), "0 is the priority that mail of strangers has here at most")
    }

    /// What filters say of the client and of the sender. Our own networks are not filtered.
    async fn ask_filters(&mut self, id: &str, from: &ReversePath) -> Result<(), Reply> {
        if self.is_relayed() {
            return Ok(());
        }
        let client = Client { ip: self.speaker.address(), port: self.speaker.connected().port(), name: None };
        let hostname = self.deps.door.intake.router().hostname().clone();
        let stranger = Stranger { client, helo: self.speaker.hello(), hostname: hostname.as_str() };
        let from = from.address().map(Address::to_string).unwrap_or_default();
        self.filtering.mail(&stranger, id, &from).await
    }

    fn lacks_tls(&self, from: &ReversePath) -> Option<Reply> {
        let domain = from.address()?.domain();
        if self.inbound.is_secure() || !self.config.demands_tls_of(domain) {
            return None;
        }
        let text = format!("Mail from {domain} is taken over TLS only: say STARTTLS first");
        Some(Reply::new(530, Status::permanent(7, 10), text))
    }

    /// Our own addresses, and nothing else but for networks that the configuration names: that is what keeps this from
    /// being an open relay.
    async fn rcpt(&mut self, recipient: Recipient) -> Reply {
        let Some(transaction) = self.inbound.transaction() else { return lost() };
        let router = self.deps.door.intake.router();
        let resolved = router.resolve(&recipient.address).await;
        let sender = if self.is_relayed() { Sender::Own } else { Sender::Stranger };
        let from = &transaction.envelope.from;
        let key = from.address().map(Address::key);
        let is_elsewhere = matches!(resolved, Resolved::Remote) && sender == Sender::Own;
        let not_listed = || self.config.relay_recipient(&recipient.address).filter(|_| is_elsewhere);
        let refusal = match resolved.refusal(&recipient.address, sender).or_else(not_listed) {
            None => router.suppressed(&recipient.address, &resolved).await,
            refusal => refusal,
        };
        let refusal = match refusal {
            None => router.no_room(&recipient.address, &resolved, transaction.size).await,
            refusal => refusal,
        };
        if let Some(reply) = refusal {
            info!(mail = transaction.id, %from, to = %recipient.address, %reply, "recipient refused");
            return counted::refused(self.meter(), Refused::Recipient, reply);
        }
        // Only what would be taken is counted: who was asked to come again has used up nothing.
        let place = match self.asked_to_come_again(&recipient).await {
            Some(reply) => Err((Reason::Greylisted, reply)),
            None => {
                let (rates, client) = (&self.ledger.rates, self.speaker.address());
                let to = counted::recipient(&recipient.address, &resolved);
                rates.recipient(client, key.as_deref(), &to).map_err(|reply| (Reason::TooMuch, reply))
            }
        };
        let place = match place {
            Ok(place) => place,
            Err((reason, reply)) => {
                let id = self.inbound.mail_id();
                info!(mail = id, to = %recipient.address, %reply, "recipient put off");
                return counted::refused_because(self.meter(), Refused::Recipient, reason, reply);
            }
        };
        if let Err(reply) = self.filtering.rcpt(&recipient.address.to_string()).await {
            let id = self.inbound.mail_id();
            info!(mail = id, to = %recipient.address, %reply, "recipient refused by a filter");
            return counted::refused_because(self.meter(), Refused::Recipient, Reason::Filter, reply);
        }
        self.inbound.add(recipient, place)
    }

    /// Greylisting. Trouble of the store asks nobody to come again: it is an extra, not a check.
    async fn asked_to_come_again(&mut self, recipient: &Recipient) -> Option<Reply> {
        let options = &self.config.greylist;
        if !options.switch.is_on() || self.speaker.is_from(&options.exempt) || self.is_relayed() {
            return None;
        }
        let transaction = self.inbound.transaction()?;
        let (id, from) = (transaction.id.clone(), transaction.envelope.from.clone());
        let name = match &self.grey_name {
            Some(name) => name.clone(),
            None => greylist::name_of(&self.pipeline, &self.facts(&from)).await,
        };
        let (sender, to) = (from.address().map(Address::key).unwrap_or_default(), recipient.address.key());
        let answer = self.deps.store.greylist(&name, &sender, &to, options.rule).await;
        self.grey_name = Some(name.clone());
        match answer {
            Ok(Grey::Passed) => None,
            Ok(Grey::Wait(seconds)) => {
                info!(mail = id, %from, %to, name, seconds, "greylisted");
                let text =
                    format!("Greylisted: this server does not know you yet; try again in {seconds} seconds");
                Some(Reply::new(451, Status::transient(7, 1), text))
            }
            Err(error) => {
                warn!(mail = id, %error, "greylisting is left out");
                None
            }
        }
    }

    fn facts(&self, from: &ReversePath) -> Facts {
        Facts {
            peer: self.speaker.address(),
            whose: self.speaker.whose(),
            local: Some(self.local),
            helo: self.speaker.hello().unwrap_or_default().to_owned(),
            mail_from: from.clone(),
        }
    }

    async fn end_of_data(&mut self) -> Reply {
        let reply = self.message().await;
        let client = self.speaker.address();
        self.speaker.is_done();
        if self.speaker.address() != client {
            self.filtering.begin_anew();
        }
        reply
    }

    fn meter(&self) -> &Meter {
        &self.deps.door.world.meter
    }

    async fn message(&mut self) -> Reply {
        let begun = Instant::now();
        // The message counts as on its way in until it is filed.
        let Some(transaction) = self.inbound.end() else { return lost() };
        let Transaction { id, envelope, incoming, places: _places, .. } = transaction;
        let (received, _held) = match incoming {
            None => return lost(),
            Some(incoming) => match incoming.finish().await {
                Ok((received, held)) => (received, held),
                Err(reply) => {
                    info!(mail = id, from = %envelope.from, result = %reply, "mail in");
                    counted::message(self.meter(), Door::Smtp, begun, Err(&reply));
                    return reply;
                }
            },
        };
        let (from, recipients) = (envelope.from.clone(), envelope.recipients.len());
        let (client, tls) = (self.speaker.address(), self.inbound.tls_version());
        let priority = envelope.params.priority.get();
        let judged = self.judge(&id, &envelope, received).await;
        let checks = judged.as_ref().map_or_else(|_| "not made".to_owned(), Judged::brief);
        let taken = match judged {
            Ok(judged) => self.take(&id, envelope, judged).await,
            Err(reply) => Err(reply),
        };
        let outcome = taken.as_ref().map(|(_, accepted)| accepted.local);
        counted::message(self.meter(), Door::Smtp, begun, outcome);
        match taken {
            Ok((octets, accepted)) => {
                let Accepted { local, remote } = accepted;
                info!(mail = id, %client, %from, recipients, octets, local, remote, priority, tls, checks, result = "accepted", "mail in");
                Reply::new(250, Status::success(0, 0), format!("{id} accepted"))
            }
            Err(reply) => {
                info!(mail = id, %client, %from, recipients, checks, result = %reply, "mail in");
                reply
            }
        }
    }

    /// The whole message, and what is to be believed of it.
    async fn judge(&mut self, id: &str, envelope: &Envelope, received: Blob) -> Result<Judged, Reply> {
        let (hostname, dir) = (self.deps.door.intake.router().hostname().clone(), &self.deps.door.spool_dir);
        if self.is_relayed() {
            let judged = Judged::trusted(Message::new(received));
            return judged.cleaned(&hostname, dir).instrument(checks(id)).await;
        }
        let facts = self.facts(&envelope.from);
        let mut judged = judge(&self.pipeline, &facts, Message::new(received)).instrument(checks(id)).await?;
        if judged.is_refused() {
            self.filtering.reset().await;
        } else {
            judged = judged.cleaned(&hostname, dir).instrument(checks(id)).await?;
            let found = self.filtering.content(&facts, id, &judged.message).await;
            judged = judged.filtered(found, dir).await?;
        }
        if let Some(blot) = &self.blot {
            judged = judged.blotted(blot);
        }
        self.meter().judged.add(judged.label(), ());
        judged.count(&facts, &self.deps.door.intake, self.deps.door.world.clock.unix());
        Ok(judged)
    }

    /// From the judgement to the commit; `Ok` may be promised.
    async fn take(&self, id: &str, mut envelope: Envelope, judged: Judged) -> Result<(u64, Accepted), Reply> {
        let octets = judged.message.received.len();
        let folder = judged.folder()?;
        let authorship = judged.authorship();
        // Who writes a stranger's name into MAIL must not make us write to the stranger.
        if !self.is_relayed() && !judged.vouches_for(&envelope.from) {
            for recipient in &mut envelope.recipients {
                recipient.notify = recipient.notify.without_success();
            }
            envelope.params.by = without_notices(envelope.params.by);
        }
        let hostname = self.deps.door.intake.router().hostname().clone();
        let name = judged.name().cloned();
        let received = self.received(id, &envelope, name.as_ref());
        let mut message = judged.told(&hostname, &received);
        // A printer or a web application writes in our name: what it sends is as good as submitted.
        if self.is_relayed() {
            self.deps.door.intake.sign(&mut message).await?;
        }
        let client = self.speaker.client(name.as_ref().map(Domain::as_str), None);
        let arrival = Arrival { folder, authorship, ..Arrival::own(id) }.brought_by(client);
        let accepted = self.deps.door.intake.accept(Mail { envelope, message }, arrival).await?;
        Ok((octets, accepted))
    }

    /// `name` is the name of the client that leads back to it.
    fn received(&self, id: &str, envelope: &Envelope, name: Option<&Domain>) -> String {
        let (hello, greeting) = (self.speaker.hello(), self.speaker.greeting());
        let peer = Some(Peer { address: self.speaker.address(), name: name.map(Domain::as_str) });
        self.inbound.received(id, envelope, Origin { hello, peer, greeting, login: Login::Stranger })
    }
}
