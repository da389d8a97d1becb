//! What one of our senders wants, question by question, and what is said to it.

use crate::door::Deps;
use crate::login::LoginState;
use crate::prepare::{self, Means, Trouble};
use crate::{identity, prepare::read_header};
use delivery::reception::Reception;
use delivery::route::Sender;
use delivery::{Accepted, Arrival};
use mail::trace::{Charset, Greeting, Login, Received, Security, Tls, With};
use mail::{Blob, Envelope, Mail, Message, Recipient, Reply, Status};
use net::Conn;
use policy::authres;
use smtp_proto::server::{Answer, MailFrom, Question};
use std::io;
use std::time::Duration;
use storage::Folder;
use tokio::time::Instant;
use tracing::{debug, error, info};

/// Letters of a mail's id.
const MAIL_ID_LETTERS: usize = 12;
/// Messages up to this many octets are worked on without another thread: handing them over would take longer.
const WORK_HERE_MAX: u64 = 64 * 1024;

/// One connection's business.
pub(crate) struct Visit<'a> {
    deps: &'a Deps,
    login: LoginState,
    tls: Option<(&'static str, String)>,
    transaction: Option<Transaction>,
}

struct Transaction {
    id: String,
    account: String,
    envelope: Envelope,
    incoming: Option<Incoming>,
}

struct Incoming {
    reception: Reception,
    since: Instant,
}

impl<'a> Visit<'a> {
    pub(crate) fn new(deps: &'a Deps, conn: &Conn, failure_delay: Duration) -> Self {
        let login = LoginState::new(deps.authenticate.clone(), conn.peer().ip(), failure_delay);
        let mut visit = Self { deps, login, tls: None, transaction: None };
        visit.tls_started(conn);
        visit
    }

    /// TLS is there: from the beginning, or by STARTTLS. Nobody is logged in before it.
    pub(crate) fn tls_started(&mut self, conn: &Conn) {
        self.forget();
        self.tls = conn.tls().map(|facts| (facts.version, facts.cipher.clone()));
    }

    pub(crate) fn login_failures(&self) -> u32 {
        self.login.failures()
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
            Question::Hello { name, .. } => {
                debug!(name, "hello");
                Reply::bare(250, format!("greets {name}"))
            }
            Question::AuthBegin { mechanism, initial } => {
                return self.login.begin(&mechanism, initial.as_ref().map(|line| line.expose())).await;
            }
            Question::AuthRespond(line) => return self.login.respond(line.expose()).await,
            Question::Mail(mail) => self.mail(mail).await,
            Question::Rcpt(recipient) => self.rcpt(recipient).await,
            Question::Data => self.data(),
            Question::EndOfData => self.end_of_data().await,
            Question::Reset => {
                if let Some(transaction) = self.transaction.take() {
                    info!(mail = transaction.id, "dropped by its sender or as not acceptable");
                }
                return Answer::Noted;
            }
        };
        reply.into()
    }

    async fn mail(&mut self, mail: MailFrom) -> Reply {
        let Some(account) = self.login.identity().map(|identity| identity.account().to_owned()) else {
            return Reply::new(530, Status::permanent(7, 0), "Log in first, with AUTH");
        };
        let id = self.deps.world.random.word(MAIL_ID_LETTERS);
        let router = self.deps.intake.router();
        if let Err(reply) = identity::authorize(&router, &account, &mail.from).await {
            info!(mail = id, account, from = %mail.from, %reply, "sender refused");
            return reply;
        }
        let envelope = Envelope { from: mail.from, params: mail.params, recipients: Vec::new() };
        self.transaction = Some(Transaction { id, account, envelope, incoming: None });
        Reply::new(250, Status::success(1, 0), "Sender taken")
    }

    async fn rcpt(&mut self, recipient: Recipient) -> Reply {
        let Some(transaction) = &mut self.transaction else { return lost() };
        let resolved = self.deps.intake.router().resolve(&recipient.address).await;
        if let Some(reply) = resolved.refusal(&recipient.address, Sender::Own) {
            let (id, account) = (&transaction.id, &transaction.account);
            info!(mail = id, account, to = %recipient.address, %reply, "recipient refused");
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
        let Some(transaction) = self.transaction.take() else { return lost() };
        let Transaction { id, account, .. } = &transaction;
        let (id, account) = (id.clone(), account.clone());
        let from = transaction.envelope.from.clone();
        let recipients = transaction.envelope.recipients.len();
        match self.take(transaction).await {
            Ok((octets, accepted)) => {
                let Accepted { local, remote } = accepted;
                info!(mail = id, account, %from, recipients, octets, local, remote, result = "accepted", "mail in");
                Reply::new(250, Status::success(0, 0), format!("{id} accepted"))
            }
            Err(reply) => {
                info!(mail = id, account, %from, recipients, result = %reply, "mail in");
                reply
            }
        }
    }

    /// From the octets to the commit; `Ok` may be promised.
    async fn take(&self, transaction: Transaction) -> Result<(u64, Accepted), Reply> {
        let Transaction { id, account, envelope, incoming } = transaction;
        let received = incoming.ok_or_else(lost)?.reception.finish().await?;
        let (received, header) = work(received, |received| {
            let header = read_header(&received)?;
            Ok((received, header))
        })
        .await?;
        let router = self.deps.intake.router();
        identity::authorize_header(&router, &account, &header).await?;
        let received = self.complete(received, header).await?;
        let octets = received.len();
        let mut message = Message::new(received);
        message.prepend(&self.received(&id, &envelope));
        self.deps.intake.sign(&mut message).await?;
        let arrival = Arrival { id, folder: Folder::Inbox };
        let accepted = self.deps.intake.accept(Mail { envelope, message }, arrival).await?;
        Ok((octets, accepted))
    }

    async fn complete(&self, received: Blob, header: Vec<u8>) -> Result<Blob, Reply> {
        let world = self.deps.world.clone();
        let hostname = self.deps.intake.router().hostname().clone();
        let spool_dir = self.deps.spool_dir.clone();
        work(received, move |received| {
            let means = Means {
                now: world.clock.unix(),
                random: world.random.as_ref(),
                hostname: &hostname,
                spool_dir: &spool_dir,
            };
            let complete = Message::new(prepare::complete(&received, &header, &means)?);
            // Our readers believe what carries our name: not even our own senders write it (RFC 8601 §5).
            let clean = authres::without_forged(&complete, std::slice::from_ref(&hostname), &spool_dir)?;
            Ok(clean.unwrap_or(complete).received)
        })
        .await
    }

    /// Where the author sits is nobody's business: no `from` clause.
    fn received(&self, id: &str, envelope: &Envelope) -> String {
        let with = With {
            greeting: Greeting::Ehlo,
            security: if self.tls.is_some() { Security::Tls } else { Security::Clear },
            login: Login::Authenticated,
            charset: if envelope.params.utf8 { Charset::Utf8 } else { Charset::Ascii },
        };
        let recipient = match envelope.recipients.as_slice() {
            [only] => Some(&only.address),
            _ => None,
        };
        Received {
            hello: None,
            peer: None,
            by: self.deps.intake.router().hostname().as_str(),
            with,
            id,
            tls: self.tls.as_ref().map(|(version, cipher)| Tls { version, cipher }),
            recipient,
            at: self.deps.world.clock.unix(),
        }
        .field()
    }
}

/// Work on a message, and what the sender hears if it fails: on the spot while the message is small and in memory,
/// else on a thread that may wait for the disk.
async fn work<T: Send + 'static>(
    received: Blob,
    work: impl FnOnce(Blob) -> Result<T, Trouble> + Send + 'static,
) -> Result<T, Reply> {
    let done = if received.as_memory().is_some() && received.len() <= WORK_HERE_MAX {
        work(received)
    } else {
        let done = tokio::task::spawn_blocking(move || work(received)).await;
        done.map_err(|error| Trouble::Disk(io::Error::other(error))).flatten()
    };
    match done {
        Ok(value) => Ok(value),
        Err(Trouble::Refused(reply)) => Err(reply),
        Err(Trouble::Disk(cause)) => {
            error!(%cause, "a message cannot be read or written anew");
            Err(delivery::refusal::of_disk(&cause))
        }
    }
}

/// Said where the session has a transaction and we have none, which cannot be.
fn lost() -> Reply {
    Reply::new(451, Status::transient(3, 0), "The transaction was lost on our side; try again")
}
