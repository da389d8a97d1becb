//! Mail from programs of this machine, handed over by `sendmail`: no login, for the system itself says who calls; so what
//! a user may call itself is decided by name.

mod complete;
mod config;
mod dialogue;
mod pace;
mod text;

pub use config::{As, LocalConfig, decode_local};
pub use dialogue::{DIALOGUE_MESSAGE_MAX, converse};
pub use pace::Pace;
pub use text::{LINE_MAX, to_wire};

use crate::identity::authors;
use crate::prepare::{self, Means, Trouble, read_header};
use delivery::route::Sender;
use delivery::{Arrival, Debit, Intake, Resolved};
use mail::trace::by_program;
use mail::{
    Address, Blob, Body, Domain, Envelope, Mail, MailParams, Message, Notify, Recipient, Reply, Ret,
    ReversePath, Status, address_list, header,
};
use policy::authres;
use smtp_door::counted;
use std::path::PathBuf;
use std::time::Instant;
use tracing::info;
use world::World;
use world::meter::Door;

/// Most recipients of one message.
pub const RECIPIENTS_MAX: usize = 1000;
/// Letters of a message's id.
const ID_LETTERS: usize = 12;

/// Who calls.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LocalUser {
    pub uid: u32,
    /// The user's name, or `uid` and the number where the system knows none.
    pub name: String,
    /// Root and the user of the daemon may write in any name.
    pub rank: Rank,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rank {
    Trusted,
    Usual,
}

/// Where the recipients stand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Recipients {
    Given,
    /// Those of To, Cc and Bcc beside those that are given.
    AndOfHeader,
}

/// What a program wants.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Order {
    /// The sender of the envelope as it was written; without one the user's own address. Empty: none.
    pub from: Option<String>,
    /// The name beside the address where the message has no From.
    pub full_name: Option<String>,
    pub recipients: Vec<String>,
    pub take: Recipients,
    pub notify: Notify,
    pub ret: Option<Ret>,
    pub envid: Option<String>,
}

/// Takes mail from local programs.
#[derive(Clone)]
pub struct LocalDesk {
    pub config: LocalConfig,
    pub intake: Intake,
    pub world: World,
    pub spool_dir: PathBuf,
    /// Largest message in octets.
    pub size_max: u64,
    /// How often each user has sent lately.
    pub pace: Pace,
}

impl LocalDesk {
    /// Takes a message as lines of any kind. `Ok` is its id, and means that it is promised; an error is what the program hears.
    pub async fn take(&self, user: &LocalUser, order: Order, message: Vec<u8>) -> Result<String, Reply> {
        let id = self.world.random.word(ID_LETTERS);
        let size = message.len();
        let begun = Instant::now();
        let taken = self.try_take(user, order, message, &id).await;
        let outcome = taken.as_ref().map(|(_, _, local)| *local);
        counted::message(&self.world.meter, Door::Local, begun, outcome);
        match taken {
            Ok((from, recipients, _)) => {
                info!(mail = id, user = user.name, uid = user.uid, %from, recipients, octets = size, result = "accepted", "mail in");
                Ok(id)
            }
            Err(reply) => {
                info!(mail = id, user = user.name, uid = user.uid, octets = size, result = %reply, "mail in");
                Err(reply)
            }
        }
    }

    /// The sender, the number of recipients, and the mailboxes that have it.
    async fn try_take(
        &self,
        user: &LocalUser,
        order: Order,
        message: Vec<u8>,
        id: &str,
    ) -> Result<(ReversePath, usize, usize), Reply> {
        if message.len() as u64 > self.size_max {
            let text = format!("The message is larger than the {} octets that are taken here", self.size_max);
            return Err(Reply::new(552, Status::permanent(3, 4), text));
        }
        if user.rank == Rank::Usual {
            self.pace.pass(self.config.rate, user, self.world.clock.unix())?;
        }
        let (own, from) = (self.own_address(user)?, self.sender(user, &order)?);
        let debit = Debit::of_user(&user.name, Some(own.clone()));
        self.intake.may_send(debit.clone()).await?;
        let message =
            complete::complete(&to_wire(&message), &self.domain(), &own, order.full_name.as_deref());
        let received = Blob::from_bytes(message);
        let header = worked(read_header(&received))?;
        self.may_write_as(user, &header)?;
        let recipients = self.recipients(&order, &header).await?;
        let envelope = self.envelope(from, recipients, &order, &received)?;
        let count = envelope.recipients.len();
        let sender = envelope.from.clone();
        let message = self.signed(received, header, user, id).await?;
        let arrival = Arrival::own(id).counted_for(debit);
        let accepted = self.intake.accept(Mail { envelope, message }, arrival).await?;
        Ok((sender, count, accepted.local))
    }

    /// What completes a name without a domain.
    fn domain(&self) -> Domain {
        self.config.domain.clone().unwrap_or_else(|| self.intake.router().hostname().clone())
    }

    fn own_address(&self, user: &LocalUser) -> Result<Address, Reply> {
        Address::new(&user.name, self.domain())
            .map_err(|error| refused(1, 0, 553, format!("{} makes no address: {error}", user.name)))
    }

    /// The sender of the envelope, which must be one of the user's.
    fn sender(&self, user: &LocalUser, order: &Order) -> Result<ReversePath, Reply> {
        let text = match order.from.as_deref().map(str::trim) {
            None => return Ok(ReversePath::Address(self.own_address(user)?)),
            Some("" | "<>") => return self.nobody(user),
            Some(text) => text,
        };
        let address = self.address(text)?;
        self.own(user, &address, "the sender")?;
        Ok(ReversePath::Address(address))
    }

    /// No sender at all: nobody would hear what became of the message, so not everybody may.
    fn nobody(&self, user: &LocalUser) -> Result<ReversePath, Reply> {
        if user.rank == Rank::Trusted || self.config.allows_nobody(&user.name) {
            return Ok(ReversePath::Null);
        }
        let text = format!(
            "The user {} may not leave out the sender: sendmail {{ user {:?} {{ sender \"<>\"; }} }} in the configuration would allow it",
            user.name, user.name
        );
        Err(refused(7, 1, 550, text))
    }

    /// An address as it is written on a command line: with a domain or without, in brackets or with a name beside them.
    fn address(&self, text: &str) -> Result<Address, Reply> {
        let bad = || refused(1, 3, 501, format!("{text:?} is no address"));
        let completed = complete::addresses(text.as_bytes(), &self.domain());
        match address_list::mailboxes(&completed).as_slice() {
            [one] => one.address().ok_or_else(bad),
            _ => Err(bad()),
        }
    }

    fn own(&self, user: &LocalUser, address: &Address, what: &str) -> Result<(), Reply> {
        let own = self.own_address(user)?;
        let is_own = own.key() == address.key();
        let is_allowed = user.rank == Rank::Trusted || is_own || self.config.allows(&user.name, address);
        if !is_allowed {
            let text = format!(
                "The user {} may not write as <{address}>, {what}: sendmail {{ user {:?} {{ sender {:?}; }} }} in the configuration would allow it",
                user.name,
                user.name,
                address.to_string()
            );
            return Err(refused(7, 1, 550, text));
        }
        // Whoever it is: the list of the whole machine holds.
        match self.config.senders.iter().any(|pattern| pattern.matches(address))
            || self.config.senders.is_empty()
        {
            true => Ok(()),
            false => {
                let text = format!("<{address}>, {what}, is not among the senders that this machine may use");
                Err(refused(7, 1, 550, text))
            }
        }
    }

    fn may_write_as(&self, user: &LocalUser, header: &[u8]) -> Result<(), Reply> {
        for address in authors(header)? {
            self.own(user, &address, "named in From or Sender")?;
        }
        Ok(())
    }

    /// All recipients, each once. One that cannot be reached is a refusal of the whole, so that a program that was told
    /// "sent" can rely on it.
    async fn recipients(&self, order: &Order, header: &[u8]) -> Result<Vec<Address>, Reply> {
        let mut found: Vec<Address> = Vec::new();
        for text in &order.recipients {
            found.push(self.address(text)?);
        }
        if order.take == Recipients::AndOfHeader {
            found.extend(of_header(header)?);
        }
        let mut seen = std::collections::HashSet::new();
        found.retain(|address| seen.insert(address.key()));
        if found.is_empty() {
            return Err(refused(5, 4, 554, "There are no recipients".to_owned()));
        }
        if found.len() > RECIPIENTS_MAX {
            return Err(refused(5, 3, 452, format!("There are more than {RECIPIENTS_MAX} recipients")));
        }
        let router = self.intake.router();
        for address in &found {
            let resolved = router.resolve(address).await;
            if let Some(reply) = resolved.refusal(address, Sender::Own) {
                return Err(reply);
            }
            let is_listed = self.config.recipients.iter().any(|pattern| pattern.matches(address));
            if matches!(resolved, Resolved::Remote) && !self.config.recipients.is_empty() && !is_listed {
                let text = format!("<{address}> is not among the recipients to whom this machine may write");
                return Err(refused(7, 1, 550, text));
            }
        }
        Ok(found)
    }

    fn envelope(
        &self,
        from: ReversePath,
        recipients: Vec<Address>,
        order: &Order,
        message: &Blob,
    ) -> Result<Envelope, Reply> {
        let is_plain = message.as_memory().is_some_and(<[u8]>::is_ascii);
        let header = worked(read_header(message))?;
        let utf8 = !header.is_ascii() || recipients.iter().chain(from.address()).any(Address::needs_utf8);
        let params = MailParams {
            body: if is_plain { Body::SevenBit } else { Body::EightBitMime },
            utf8,
            ret: order.ret,
            envid: order.envid.clone(),
            ..MailParams::default()
        };
        let recipient = |address| Recipient { address, notify: order.notify, original: None };
        Ok(Envelope { from, params, recipients: recipients.into_iter().map(recipient).collect() })
    }

    async fn signed(
        &self,
        received: Blob,
        header: Vec<u8>,
        user: &LocalUser,
        id: &str,
    ) -> Result<Message, Reply> {
        let (world, spool_dir) = (self.world.clone(), self.spool_dir.clone());
        let hostname = self.intake.router().hostname().clone();
        let name = hostname.clone();
        let work = move || {
            let means = Means {
                now: world.clock.unix(),
                random: world.random.as_ref(),
                hostname: &hostname,
                spool_dir: &spool_dir,
            };
            let complete = Message::new(prepare::complete(&received, &header, &means)?);
            let clean = authres::without_forged(&complete, std::slice::from_ref(&hostname), &spool_dir)?;
            Ok(clean.unwrap_or(complete))
        };
        let done = tokio::task::spawn_blocking(work).await;
        let mut message =
            worked(done.map_err(|error| Trouble::Disk(std::io::Error::other(error))).flatten())?;
        message.prepend(&by_program(name.as_str(), user.uid, id, self.world.clock.unix()));
        self.intake.sign(&mut message).await?;
        Ok(message)
    }
}

/// The addresses of To, Cc and Bcc, or of their Resent kin where the message was sent on (RFC 5322 §3.6.6).
fn of_header(fields: &[u8]) -> Result<Vec<Address>, Reply> {
    const RESENT: [&str; 3] = ["Resent-To", "Resent-Cc", "Resent-Bcc"];
    let resent = header::fields(fields).any(|field| RESENT.iter().any(|name| field.is(name)));
    let names = if resent { RESENT } else { ["To", "Cc", "Bcc"] };
    let mut found = Vec::new();
    for field in header::fields(fields).filter(|field| names.iter().any(|name| field.is(name))) {
        for mailbox in address_list::mailboxes(field.value) {
            let address = mailbox.address();
            let name = String::from_utf8_lossy(field.name).into_owned();
            found.push(address.ok_or_else(|| {
                refused(1, 3, 501, format!("The field {name} has what is no address: {mailbox}"))
            })?);
            if found.len() > RECIPIENTS_MAX {
                break;
            }
        }
    }
    Ok(found)
}

fn refused(subject: u16, detail: u16, code: u16, text: String) -> Reply {
    let status =
        if code < 500 { Status::transient(subject, detail) } else { Status::permanent(subject, detail) };
    Reply::new(code, status, text)
}

fn worked<T>(done: Result<T, Trouble>) -> Result<T, Reply> {
    done.map_err(|trouble| match trouble {
        Trouble::Refused(reply) => reply,
        Trouble::Disk(cause) => {
            tracing::error!(%cause, "a message of a local program cannot be read or written anew");
            delivery::refusal::of_disk(&cause)
        }
    })
}

#[cfg(test)]
mod tests;
