//! What one of our senders wants, question by question, and what is said to it.

use crate::config::Config;
use crate::door::Deps;
use crate::login::LoginState;
use crate::prepare::{self, Means, Trouble};
use crate::{identity, prepare::read_header};
use auth::{Authenticate, Bindings, Circumstances, Service, Visitor};
use delivery::route::Sender;
use delivery::{Accepted, Allowance, Arrival, Debit};
use mail::trace::{Greeting, Login};
use mail::{Blob, Mail, Message, Recipient, Reply, Status};
use net::{ChannelBindings, Conn};
use policy::authres;
use smtp_door::{Inbound, Ledger, Origin, Speaker, Transaction, counted, lost};
use smtp_proto::Behalf;
use smtp_proto::server::{Answer, MailFrom, Question};
use std::io;
use std::time::{Duration, Instant};
use tracing::{debug, error, info};
use world::Meter;
use world::meter::{Door, Reason, Refused};

/// Messages up to this many octets are worked on without another thread: handing them over would take longer.
const WORK_HERE_MAX: u64 = 64 * 1024;

/// One connection's business.
pub(crate) struct Visit<'a> {
    deps: &'a Deps,
    ledger: &'a Ledger,
    speaker: Speaker,
    failure_delay: Duration,
    login: LoginState,
    /// Failed logins after which the connection ends.
    login_failures: u32,
    inbound: Inbound,
    /// What is left of the sender's day.
    allowance: Option<Allowance>,
}

impl smtp_door::Visit for Visit<'_> {
    async fn answer(&mut self, question: Question) -> Answer {
        let reply = match question {
            Question::Hello { kind, name } => {
                debug!(name, "hello");
                self.speaker.says_hello(kind, name.clone());
                Reply::bare(250, format!("greets {name}"))
            }
            Question::AuthBegin { mechanism, initial } => {
                return self.login.begin(&mechanism, initial.as_ref().map(|line| line.expose())).await;
            }
            Question::AuthRespond(line) => return self.login.respond(line.expose()).await,
            Question::Mail(mail) => self.mail(mail).await,
            Question::Rcpt(recipient) => self.rcpt(recipient).await,
            Question::Data => self.inbound.data(),
            Question::EndOfData => self.end_of_data().await,
            Question::Reset => {
                self.inbound.reset();
                return Answer::Noted;
            }
            Question::Xclient(behalf) => self.new_client(behalf),
            // Nothing here is judged by its client, and nobody is told of it.
            Question::Xforward(_) => Reply::new(250, Status::success(0, 0), "Noted"),
        };
        reply.into()
    }

    fn inbound(&mut self) -> &mut Inbound {
        &mut self.inbound
    }

    fn speaker(&self) -> &Speaker {
        &self.speaker
    }

    /// Nobody is logged in before TLS, so there is nothing to forget; but there is more to bind a login to.
    fn tls_started(&mut self, conn: &Conn) {
        self.login.moved(circumstances(conn));
    }

    fn mechanisms(&mut self) -> Option<Vec<String>> {
        self.login.new_mechanisms()
    }

    fn account(&self) -> Option<String> {
        self.account_name()
    }

    async fn interrupted(&mut self) -> Reply {
        self.login.ended().await;
        Reply::new(421, Status::transient(7, 0), "The login was taken back; log in again")
    }

    fn farewell(&self) -> Option<Reply> {
        let text = "Too many failed logins; closing";
        (self.login.failures() >= self.login_failures).then(|| Reply::new(421, Status::transient(7, 0), text))
    }
}

impl<'a> Visit<'a> {
    pub(crate) fn new(deps: &'a Deps, ledger: &'a Ledger, conn: &Conn, config: &Config) -> Self {
        let (speaker, failure_delay) = (Speaker::new(conn, &config.door), config.failure_delay);
        let login = LoginState::new(deps.authenticate.clone(), circumstances(conn), config.failure_delay);
        let inbound = Inbound::new(&deps.door, &ledger.budget, conn);
        let login_failures = config.login_failures;
        Self { deps, ledger, speaker, failure_delay, login, login_failures, inbound, allowance: None }
    }

    /// The peer speaks for another client, which has not logged in yet.
    fn new_client(&mut self, behalf: Behalf) -> Reply {
        self.speaker.stands_for(behalf);
        let client = self.speaker.connected().ip();
        // What protects the peer's connection to us says nothing of the client's to the peer: nothing is bound to it.
        let visitor = Visitor { from: client, service: Service::Submission };
        let circumstances = Circumstances { visitor, bindings: Bindings::default(), certificate: None };
        self.login =
            LoginState::new(self.deps.authenticate.clone(), circumstances.clone(), self.failure_delay);
        self.login.moved(circumstances);
        match self.ledger.rates.connection(client) {
            Ok(()) => Reply::new(250, Status::success(0, 0), "Noted"),
            Err(reply) => reply,
        }
    }

    fn meter(&self) -> &Meter {
        &self.deps.door.world.meter
    }

    /// The account that is logged in.
    fn account_name(&self) -> Option<String> {
        self.login.identity().map(|identity| identity.account().to_owned())
    }

    async fn mail(&mut self, mail: MailFrom) -> Reply {
        let Some(account) = self.account_name() else {
            return Reply::new(530, Status::permanent(7, 0), "Log in first, with AUTH");
        };
        let id = self.inbound.new_id();
        let router = self.deps.door.intake.router();
        if let Err(reply) = identity::authorize(&router, &account, &mail.from).await {
            info!(mail = id, account, from = %mail.from, %reply, "sender refused");
            return counted::refused(self.meter(), Refused::Sender, reply);
        }
        let place = match self.ledger.rates.message_of(&account, self.speaker.connected().ip()) {
            Ok(place) => place,
            Err(reply) => {
                info!(mail = id, account, %reply, "sender put off");
                return counted::refused_because(self.meter(), Refused::Sender, Reason::TooMuch, reply);
            }
        };
        match self.deps.door.intake.may_send(Debit::of_account(&account)).await {
            Ok(allowance) => self.allowance = Some(allowance),
            Err(reply) => {
                info!(mail = id, account, %reply, "sender put off");
                return counted::refused_because(self.meter(), Refused::Sender, Reason::TooMuch, reply);
            }
        }
        self.inbound.begin(id, mail, place)
    }

    async fn rcpt(&mut self, recipient: Recipient) -> Reply {
        let (Some(transaction), Some(account)) = (self.inbound.transaction(), self.account_name()) else {
            return lost();
        };
        let router = self.deps.door.intake.router();
        let resolved = router.resolve(&recipient.address).await;
        let key = recipient.address.key();
        let refusal = match resolved.refusal(&recipient.address, Sender::Own) {
            None => router.suppressed(&recipient.address, &resolved).await,
            refusal => refusal,
        };
        let refusal = match refusal {
            None => router.no_room(&recipient.address, &resolved, transaction.size).await,
            refusal => refusal,
        };
        let place = match refusal {
            None => {
                let to = counted::recipient(&recipient.address, &resolved);
                self.ledger.rates.recipient_of(&account, &to)
            }
            Some(reply) => Err(reply),
        };
        let place = match (place, &mut self.allowance) {
            (Ok(place), Some(allowance)) => {
                allowance.recipient(&self.deps.door.intake, &key).await.map(|()| place)
            }
            (place, _) => place,
        };
        match place {
            Ok(place) => self.inbound.add(recipient, place),
            Err(reply) => {
                info!(mail = transaction.id, account, to = %recipient.address, %reply, "recipient refused");
                counted::refused(self.meter(), Refused::Recipient, reply)
            }
        }
    }

    async fn end_of_data(&mut self) -> Reply {
        let (Some(transaction), Some(account)) = (self.inbound.end(), self.account_name()) else {
            return lost();
        };
        let id = transaction.id.clone();
        let from = transaction.envelope.from.clone();
        let recipients = transaction.envelope.recipients.len();
        let priority = transaction.envelope.params.priority.get();
        let begun = Instant::now();
        let taken = self.take(&account, transaction).await;
        let outcome = taken.as_ref().map(|(_, accepted)| accepted.local);
        counted::message(self.meter(), Door::Submission, begun, outcome);
        match taken {
            Ok((octets, accepted)) => {
                let Accepted { local, remote } = accepted;
                info!(mail = id, account, %from, recipients, octets, local, remote, priority, tls = self.inbound.tls_version(), result = "accepted", "mail in");
                Reply::new(250, Status::success(0, 0), format!("{id} accepted"))
            }
            Err(reply) => {
                info!(mail = id, account, %from, recipients, result = %reply, "mail in");
                reply
            }
        }
    }

    /// From the octets to the commit; `Ok` may be promised.
    async fn take(&self, account: &str, transaction: Transaction) -> Result<(u64, Accepted), Reply> {
        // It counts as on its way in until it is filed.
        let Transaction { id, envelope, incoming, places: _places, .. } = transaction;
        let (received, _held) = incoming.ok_or_else(lost)?.finish().await?;
        let (received, header) = work(received, |received| {
            let header = read_header(&received)?;
            Ok((received, header))
        })
        .await?;
        let router = self.deps.door.intake.router();
        identity::authorize_header(&router, account, &header).await?;
        let changes = prepare::changes(&header);
        if !changes.is_empty() {
            debug!(mail = id, changes = changes.join(", "), "completed");
        }
        let received = self.complete(received, header).await?;
        let octets = received.len();
        let mut message = Message::new(received);
        // Where the author sits is nobody's business: no `from` clause.
        let greeting = Greeting::Ehlo;
        let origin = Origin { hello: None, peer: None, greeting, login: Login::Authenticated };
        message.prepend(&self.inbound.received(&id, &envelope, origin));
        self.deps.door.intake.sign(&mut message).await?;
        let client = self.speaker.client(None, Some(account));
        let arrival = Arrival::own(id).brought_by(client).counted_for(Debit::of_account(account));
        let accepted = self.deps.door.intake.accept(Mail { envelope, message }, arrival).await?;
        Ok((octets, accepted))
    }

    async fn complete(&self, received: Blob, header: Vec<u8>) -> Result<Blob, Reply> {
        let world = self.deps.door.world.clone();
        let hostname = self.deps.door.intake.router().hostname().clone();
        let spool_dir = self.deps.door.spool_dir.clone();
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
}

/// What matters of a connection to whoever judges a login.
fn circumstances(conn: &Conn) -> Circumstances {
    let ChannelBindings { exporter, server_end_point } = conn.channel_bindings();
    Circumstances {
        visitor: Visitor { from: conn.peer().ip(), service: Service::Submission },
        bindings: Bindings {
            exporter: exporter.map(Vec::from),
            end_point: server_end_point.map(|digest| digest.to_vec()),
        },
        certificate: conn.client_key(),
    }
}

/// The mechanisms that are announced on a connection.
pub(crate) fn mechanisms(judge: &dyn Authenticate, conn: &Conn) -> Vec<String> {
    let offers = circumstances(conn).offers(judge);
    offers.into_iter().map(|mechanism| mechanism.name().to_owned()).collect()
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
