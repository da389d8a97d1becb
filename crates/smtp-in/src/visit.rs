//! What a stranger wants, question by question, and what it hears.

use crate::door::Deps;
use crate::judgement::{Judged, judge};
use delivery::reception::Reception;
use delivery::route::Sender;
use delivery::{Accepted, Arrival};
use mail::trace::{Charset, Greeting, Login, Peer, Received, Security, Tls, With};
use mail::{Domain, Envelope, Mail, Message, Recipient, Reply, Status};
use net::Conn;
use policy::{Facts, Pipeline};
use smtp_proto::HelloKind;
use smtp_proto::server::{Answer, MailFrom, Question};
use std::net::IpAddr;
use std::time::Duration;
use tokio::time::Instant;
use tracing::{Instrument, Span, debug, info};

/// Letters of a mail's id.
const MAIL_ID_LETTERS: usize = 12;

/// One connection's business.
pub(crate) struct Visit<'a> {
    deps: &'a Deps,
    pipeline: Pipeline,
    peer: IpAddr,
    tls: Option<(&'static str, String)>,
    hello: Option<(HelloKind, String)>,
    transaction: Option<Transaction>,
}

struct Transaction {
    id: String,
    envelope: Envelope,
    incoming: Option<Incoming>,
}

struct Incoming {
    reception: Reception,
    since: Instant,
}

impl<'a> Visit<'a> {
    pub(crate) fn new(deps: &'a Deps, pipeline: Pipeline, conn: &Conn) -> Self {
        let peer = conn.peer().ip();
        let mut visit = Self { deps, pipeline, peer, tls: None, hello: None, transaction: None };
        visit.note_tls(conn);
        visit
    }

    /// TLS has begun: what was said before it counts no more (RFC 3207 §4.2).
    pub(crate) fn tls_started(&mut self, conn: &Conn) {
        self.hello = None;
        self.forget();
        self.note_tls(conn);
    }

    fn note_tls(&mut self, conn: &Conn) {
        self.tls = conn.tls().map(|facts| (facts.version, facts.cipher.clone()));
    }

    /// Drops what has come of a message.
    pub(crate) fn forget(&mut self) {
        self.transaction = None;
    }

    /// Of the transaction that is open.
    pub(crate) fn mail_id(&self) -> Option<&str> {
        self.transaction.as_ref().map(|transaction| transaction.id.as_str())
    }

    /// Whether a message is coming in.
    pub(crate) fn is_receiving(&self) -> bool {
        self.transaction.as_ref().is_some_and(|transaction| transaction.incoming.is_some())
    }

    /// When the message that comes in must be there.
    pub(crate) fn deadline(&self, most: Duration) -> Option<Instant> {
        let incoming = self.transaction.as_ref()?.incoming.as_ref()?;
        incoming.since.checked_add(most)
    }

    pub(crate) async fn answer(&mut self, question: Question) -> Answer {
        let reply = match question {
            Question::Hello { kind, name } => self.hello(kind, name),
            Question::Mail(mail) => self.mail(mail),
            Question::Rcpt(recipient) => self.rcpt(recipient).await,
            Question::Data => self.data(),
            Question::EndOfData => self.end_of_data().await,
            Question::Reset => {
                if let Some(transaction) = self.transaction.take() {
                    info!(mail = transaction.id, "dropped by its sender or as not acceptable");
                }
                return Answer::Noted;
            }
            // AUTH is not offered to strangers.
            Question::AuthBegin { .. } | Question::AuthRespond(_) => {
                Reply::new(502, Status::permanent(5, 1), "AUTH is not offered here")
            }
        };
        reply.into()
    }

    fn hello(&mut self, kind: HelloKind, name: String) -> Reply {
        debug!(name, "hello");
        let reply = Reply::bare(250, format!("greets {name}"));
        self.hello = Some((kind, name));
        reply
    }

    fn mail(&mut self, mail: MailFrom) -> Reply {
        let id = self.deps.world.random.word(MAIL_ID_LETTERS);
        debug!(mail = id, from = %mail.from, "a transaction begins");
        let envelope = Envelope { from: mail.from, params: mail.params, recipients: Vec::new() };
        self.transaction = Some(Transaction { id, envelope, incoming: None });
        Reply::new(250, Status::success(1, 0), "Sender taken")
    }

    /// Our own addresses, and nothing else: that is what keeps this from being an open relay.
    async fn rcpt(&mut self, recipient: Recipient) -> Reply {
        let Some(transaction) = &mut self.transaction else { return lost() };
        let resolved = self.deps.intake.router().resolve(&recipient.address).await;
        if let Some(reply) = resolved.refusal(&recipient.address, Sender::Stranger) {
            let from = &transaction.envelope.from;
            info!(mail = transaction.id, %from, to = %recipient.address, %reply, "recipient refused");
            return reply;
        }
        transaction.envelope.recipients.push(recipient);
        Reply::new(250, Status::success(1, 5), "Recipient taken")
    }

    fn data(&mut self) -> Reply {
        let Some(transaction) = &mut self.transaction else { return lost() };
        let reception = Reception::new(&self.deps.spool_dir);
        transaction.incoming = Some(Incoming { reception, since: Instant::now() });
        Reply::bare(354, "Send the message, and a line with a lone dot behind it")
    }

    /// The next octets of the message.
    pub(crate) async fn receive(&mut self, octets: &[u8]) {
        if let Some(incoming) = self.transaction.as_mut().and_then(|one| one.incoming.as_mut()) {
            incoming.reception.push(octets).await;
        }
    }

    async fn end_of_data(&mut self) -> Reply {
        let Some(Transaction { id, envelope, incoming }) = self.transaction.take() else { return lost() };
        let from = envelope.from.clone();
        let recipients = envelope.recipients.len();
        let judged = self.judge(&id, &envelope, incoming).await;
        let checks = judged.as_ref().map_or_else(|_| "not made".to_owned(), Judged::brief);
        let taken = match judged {
            Ok(judged) => self.take(&id, envelope, judged).await,
            Err(reply) => Err(reply),
        };
        match taken {
            Ok((octets, accepted)) => {
                let Accepted { local, remote } = accepted;
                info!(mail = id, %from, recipients, octets, local, remote, checks, result = "accepted", "mail in");
                Reply::new(250, Status::success(0, 0), format!("{id} accepted"))
            }
            Err(reply) => {
                info!(mail = id, %from, recipients, checks, result = %reply, "mail in");
                reply
            }
        }
    }

    /// The whole message, and what is to be believed of it.
    async fn judge(
        &self,
        id: &str,
        envelope: &Envelope,
        incoming: Option<Incoming>,
    ) -> Result<Judged, Reply> {
        let received = incoming.ok_or_else(lost)?.reception.finish().await?;
        let facts = Facts {
            peer: self.peer,
            helo: self.hello.as_ref().map_or_else(String::new, |(_, name)| name.clone()),
            mail_from: envelope.from.clone(),
        };
        judge(&self.pipeline, &facts, Message::new(received)).instrument(checks(id)).await
    }

    /// From the judgement to the commit; `Ok` may be promised.
    async fn take(&self, id: &str, envelope: Envelope, judged: Judged) -> Result<(u64, Accepted), Reply> {
        let octets = judged.message.received.len();
        let folder = judged.folder()?;
        let hostname = self.deps.intake.router().hostname().clone();
        let received = self.received(id, &envelope, judged.name());
        let message = judged.told(&hostname, &received, &self.deps.spool_dir).instrument(checks(id)).await?;
        let arrival = Arrival { id: id.to_owned(), folder };
        let accepted = self.deps.intake.accept(Mail { envelope, message }, arrival).await?;
        Ok((octets, accepted))
    }

    /// `name` is the name of the client that leads back to it.
    fn received(&self, id: &str, envelope: &Envelope, name: Option<&Domain>) -> String {
        let (kind, hello) = match &self.hello {
            Some((kind, name)) => (*kind, Some(name.as_str())),
            None => (HelloKind::Helo, None),
        };
        let router = self.deps.intake.router();
        let with = With {
            greeting: match kind {
                HelloKind::Helo => Greeting::Helo,
                HelloKind::Ehlo => Greeting::Ehlo,
            },
            security: if self.tls.is_some() { Security::Tls } else { Security::Clear },
            login: Login::Stranger,
            charset: if envelope.params.utf8 { Charset::Utf8 } else { Charset::Ascii },
        };
        let recipient = match envelope.recipients.as_slice() {
            [only] => Some(&only.address),
            _ => None,
        };
        Received {
            hello,
            peer: Some(Peer { address: self.peer, name: name.map(Domain::as_str) }),
            by: router.hostname().as_str(),
            with,
            id,
            tls: self.tls.as_ref().map(|(version, cipher)| Tls { version, cipher }),
            recipient,
            at: self.deps.world.clock.unix(),
        }
        .field()
    }
}

/// Names the message in the lines that the checks log.
fn checks(id: &str) -> Span {
    tracing::info_span!("checks", mail = id)
}

/// Said where the session has a transaction and we have none, which cannot be.
fn lost() -> Reply {
    Reply::new(451, Status::transient(3, 0), "The transaction was lost on our side; try again")
}
