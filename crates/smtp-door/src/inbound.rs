//! The transaction of a connection: envelope and octets, until the message is whole.

use crate::budget::{Budget, Held};
use crate::concurrency::Place;
use crate::converse::Deps;
use delivery::reception::Reception;
use mail::trace::{Charset, Greeting, Login, Peer, Received, Security, Tls, With};
use mail::{Blob, Envelope, Recipient, Reply, Status};
use net::Conn;
use smtp_proto::server::MailFrom;
use std::time::Duration;
use tokio::time::Instant;
use tracing::info;

/// Letters of a mail's id.
const MAIL_ID_LETTERS: usize = 12;

/// What of a message has come over one connection.
pub struct Inbound {
    deps: Deps,
    budget: Budget,
    tls: Option<(&'static str, String)>,
    transaction: Option<Transaction>,
}

/// From MAIL to the last octet of the message.
pub struct Transaction {
    /// Names the message in the log, in its Received field and in the reply.
    pub id: String,
    pub envelope: Envelope,
    /// The announced size in octets; 0: none was.
    pub size: u64,
    /// From DATA on.
    pub incoming: Option<Incoming>,
    /// Its places among those on their way in, held until it is filed or dropped.
    pub places: Vec<Place>,
}

/// The octets of a message.
pub struct Incoming {
    /// `None` once there is no more room for it: the rest is thrown away.
    reception: Option<Reception>,
    since: Instant,
    held: Held,
}

impl Incoming {
    /// The whole message, or what its sender hears. It counts as on its way until what it holds is dropped.
    pub async fn finish(self) -> Result<(Blob, Held), Reply> {
        let reception = self.reception.ok_or_else(too_much)?;
        Ok((reception.finish().await?, self.held))
    }
}

/// Who brought a message, as its Received field tells.
#[derive(Clone, Copy)]
pub struct Origin<'a> {
    pub hello: Option<&'a str>,
    pub peer: Option<Peer<'a>>,
    pub greeting: Greeting,
    pub login: Login,
}

impl Inbound {
    pub fn new(deps: &Deps, budget: &Budget, conn: &Conn) -> Self {
        let mut inbound = Self { deps: deps.clone(), budget: budget.clone(), tls: None, transaction: None };
        inbound.tls_started(conn);
        inbound
    }

    pub(crate) fn tls_started(&mut self, conn: &Conn) {
        self.forget();
        self.tls = conn.tls().map(|facts| (facts.version, facts.cipher.clone()));
    }

    /// Whether what comes is protected by TLS.
    /// `TLSv1.3`, or `none`.
    pub fn tls_version(&self) -> &'static str {
        self.tls.as_ref().map_or("none", |(version, _)| version)
    }

    pub fn is_secure(&self) -> bool {
        self.tls.is_some()
    }

    /// Drops what has come of a message.
    pub fn forget(&mut self) {
        self.transaction = None;
    }

    /// The same because the client or the session wants it.
    pub fn reset(&mut self) {
        if let Some(transaction) = self.transaction.take() {
            info!(mail = transaction.id, "dropped by its sender or as not acceptable");
        }
    }

    /// Of the transaction that is open.
    pub fn mail_id(&self) -> Option<&str> {
        self.transaction.as_ref().map(|transaction| transaction.id.as_str())
    }

    /// Whether a message is coming in.
    pub fn is_receiving(&self) -> bool {
        self.transaction.as_ref().is_some_and(|transaction| transaction.incoming.is_some())
    }

    /// When the message that comes in must be there.
    pub(crate) fn deadline(&self, most: Duration) -> Option<Instant> {
        let incoming = self.transaction.as_ref()?.incoming.as_ref()?;
        incoming.since.checked_add(most)
    }

    /// Names a message.
    pub fn new_id(&self) -> String {
        self.deps.world.random.word(MAIL_ID_LETTERS)
    }

    /// The transaction that is open.
    pub fn transaction(&self) -> Option<&Transaction> {
        self.transaction.as_ref()
    }

    /// Takes a sender, if there is room for what it announces.
    pub fn begin(&mut self, id: String, mail: MailFrom, place: Place) -> Reply {
        let size = mail.size.unwrap_or(0);
        if !self.budget.has_room(size) {
            return too_much();
        }
        let envelope = Envelope { from: mail.from, params: mail.params, recipients: Vec::new() };
        self.transaction = Some(Transaction { id, envelope, size, incoming: None, places: vec![place] });
        Reply::new(250, Status::success(1, 0), "Sender taken")
    }

    /// Takes a recipient.
    pub fn add(&mut self, recipient: Recipient, place: Place) -> Reply {
        let Some(transaction) = &mut self.transaction else { return lost() };
        transaction.places.push(place);
        transaction.envelope.recipients.push(recipient);
        Reply::new(250, Status::success(1, 5), "Recipient taken")
    }

    /// Lets the message come.
    pub fn data(&mut self) -> Reply {
        let Some(transaction) = &mut self.transaction else { return lost() };
        if !self.budget.has_room(1) {
            return too_much();
        }
        let reception = Some(Reception::new(&self.deps.spool_dir));
        transaction.incoming = Some(Incoming { reception, since: Instant::now(), held: self.budget.hold() });
        Reply::bare(354, "Send the message, and a line with a lone dot behind it")
    }

    /// The next octets of the message.
    pub(crate) async fn receive(&mut self, octets: &[u8]) {
        if let Some(incoming) = self.transaction.as_mut().and_then(|one| one.incoming.as_mut()) {
            if !incoming.held.grow(octets.len() as u64) {
                incoming.reception = None;
            }
            if let Some(reception) = &mut incoming.reception {
                reception.push(octets).await;
            }
        }
    }

    /// The transaction, at its end.
    pub fn end(&mut self) -> Option<Transaction> {
        self.transaction.take()
    }

    /// The Received field of a message (RFC 5321 §4.4).
    pub fn received(&self, id: &str, envelope: &Envelope, origin: Origin<'_>) -> String {
        let Origin { hello, peer, greeting, login } = origin;
        let with = With {
            greeting,
            security: if self.tls.is_some() { Security::Tls } else { Security::Clear },
            login,
            charset: if envelope.params.utf8 { Charset::Utf8 } else { Charset::Ascii },
        };
        let recipient = match envelope.recipients.as_slice() {
            [only] => Some(&only.address),
            _ => None,
        };
        Received {
            hello,
            peer,
            by: self.deps.intake.router().hostname().as_str(),
            with,
            id,
            tls: self.tls.as_ref().map(|(version, cipher)| Tls { version, cipher }),
            recipient,
            priority: envelope.params.priority,
            at: self.deps.world.clock.unix(),
        }
        .field()
    }
}

/// More is on its way in than we have room for.
fn too_much() -> Reply {
    let text = "Too much mail is on its way in at the moment: try again later";
    Reply::new(452, Status::transient(3, 1), text)
}

/// Said where the session has a transaction and we have none, which cannot be.
pub fn lost() -> Reply {
    Reply::new(451, Status::transient(3, 0), "The transaction was lost on our side; try again")
}
