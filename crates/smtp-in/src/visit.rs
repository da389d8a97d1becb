//! What a stranger wants, question by question, and what it hears.

use crate::judgement::{Judged, judge};
use delivery::route::Sender;
use delivery::{Accepted, Arrival};
use mail::trace::{Greeting, Login, Peer};
use mail::{Domain, Envelope, Mail, Message, Recipient, Reply, Status};
use net::Conn;
use policy::{Facts, Pipeline};
use smtp_door::{Deps, Inbound, Incoming, Origin, Transaction, lost, whole};
use smtp_proto::HelloKind;
use smtp_proto::server::{Answer, MailFrom, Question};
use std::net::IpAddr;
use tracing::{Instrument, Span, debug, info};

/// One connection's business.
pub(crate) struct Visit<'a> {
    deps: &'a Deps,
    pipeline: Pipeline,
    peer: IpAddr,
    hello: Option<(HelloKind, String)>,
    inbound: Inbound,
}

impl smtp_door::Visit for Visit<'_> {
    async fn answer(&mut self, question: Question) -> Answer {
        let reply = match question {
            Question::Hello { kind, name } => self.hello(kind, name),
            Question::Mail(mail) => self.mail(mail),
            Question::Rcpt(recipient) => self.rcpt(recipient).await,
            Question::Data => self.inbound.data(),
            Question::EndOfData => self.end_of_data().await,
            Question::Reset => {
                self.inbound.reset();
                return Answer::Noted;
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

    fn tls_started(&mut self) {
        self.hello = None;
    }

    fn farewell(&self) -> Option<Reply> {
        None
    }
}

impl<'a> Visit<'a> {
    pub(crate) fn new(deps: &'a Deps, pipeline: Pipeline, conn: &Conn) -> Self {
        Self { deps, pipeline, peer: conn.peer().ip(), hello: None, inbound: Inbound::new(deps, conn) }
    }

    fn hello(&mut self, kind: HelloKind, name: String) -> Reply {
        debug!(name, "hello");
        let reply = Reply::bare(250, format!("greets {name}"));
        self.hello = Some((kind, name));
        reply
    }

    fn mail(&mut self, mail: MailFrom) -> Reply {
        let id = self.inbound.new_id();
        debug!(mail = id, from = %mail.from, "a transaction begins");
        self.inbound.begin(id, mail)
    }

    /// Our own addresses, and nothing else: that is what keeps this from being an open relay.
    async fn rcpt(&mut self, recipient: Recipient) -> Reply {
        let Some(transaction) = self.inbound.transaction() else { return lost() };
        let resolved = self.deps.intake.router().resolve(&recipient.address).await;
        if let Some(reply) = resolved.refusal(&recipient.address, Sender::Stranger) {
            let from = &transaction.envelope.from;
            info!(mail = transaction.id, %from, to = %recipient.address, %reply, "recipient refused");
            return reply;
        }
        self.inbound.add(recipient)
    }

    async fn end_of_data(&mut self) -> Reply {
        let Some(Transaction { id, envelope, incoming }) = self.inbound.end() else { return lost() };
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
        let received = whole(incoming).await?;
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
        let greeting = match kind {
            HelloKind::Helo => Greeting::Helo,
            HelloKind::Ehlo => Greeting::Ehlo,
        };
        let peer = Some(Peer { address: self.peer, name: name.map(Domain::as_str) });
        self.inbound.received(id, envelope, Origin { hello, peer, greeting, login: Login::Stranger })
    }
}

/// Names the message in the lines that the checks log.
fn checks(id: &str) -> Span {
    tracing::info_span!("checks", mail = id)
}
