//! What a sender may send in a day: asked before a message is taken, counted with it, and told to whoever owns the account.

use crate::intake::Intake;
use crate::refusal;
use config::Section;
use mail::date;
use mail::{
    Address, Blob, Domain, Envelope, Mail, MailParams, Message, Recipient, Reply, ReversePath, Status,
};
use storage::{Charge, Counted, DailyLimits, Error, Exceeded, Standing};
use tracing::{error, warn};

/// Messages that a sender may send in a day, unless something else is configured.
const MESSAGES: u64 = 2000;
/// Addresses to which it may write for the first time in a day.
const NEW_RECIPIENTS: u64 = 500;
/// Largest number that either can be set to.
const LIMIT_MAX: u64 = 100_000_000;
/// What the node is for.
pub(crate) const DOC: &str = "What each account, and each user of this machine, may send in a day; `maddy account sending` sets other limits for one.";
/// Letters of a message's id.
const ID_LETTERS: usize = 12;

/// Whose limits a message counts for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Debit {
    /// The name of an account, or [`Debit::of_user`]'s.
    pub sender: String,
    /// Who is told when a limit is reached, beside postmaster.
    pub owner: Option<Address>,
}

impl Debit {
    /// Somebody who has logged in.
    pub fn of_account(account: &str) -> Self {
        Self { sender: account.to_owned(), owner: Address::parse(account).ok() }
    }

    /// A user of this machine. No account is called so: its name would have an @.
    pub fn of_user(name: &str, owner: Option<Address>) -> Self {
        Self { sender: format!("sendmail:{name}"), owner }
    }

    pub(crate) fn charge(&self, envelope: &Envelope) -> Charge {
        let recipients = envelope.recipients.iter().map(|recipient| recipient.address.key()).collect();
        Charge::Sent { sender: self.sender.clone(), recipients }
    }
}

/// The limits as they are configured.
#[must_use]
pub fn usual_limits() -> DailyLimits {
    DailyLimits { messages: Some(MESSAGES), new_recipients: Some(NEW_RECIPIENTS) }
}

/// Reads the node `daily-limits`.
pub(crate) fn decode(section: &mut Section<'_>) -> DailyLimits {
    let messages = section
        .count(
            "messages",
            "Messages that one account, or user of this machine, may send in a day (UTC); 0: any number.",
        )
        .within(0..=LIMIT_MAX)
        .or(MESSAGES);
    let new_recipients = section
        .count(
            "new-recipients",
            "Addresses to which it may write for the first time in a day; 0: any number.",
        )
        .within(0..=LIMIT_MAX)
        .or(NEW_RECIPIENTS);
    let some = |limit: u64| (limit > 0).then_some(limit);
    DailyLimits { messages: some(messages), new_recipients: some(new_recipients) }
}

/// What is left of a sender's day while a message comes in.
pub struct Allowance {
    debit: Debit,
    standing: Standing,
    /// Recipients of this message that are known to be new.
    fresh: u64,
    /// Those of whom nobody has asked yet.
    unasked: Vec<String>,
}

impl Allowance {
    /// Whether one more recipient (the key of its address) may be written to. The store is asked only where it matters.
    pub async fn recipient(&mut self, intake: &Intake, key: &str) -> Result<(), Reply> {
        let Some(limit) = self.standing.limits.new_recipients else { return Ok(()) };
        let left = limit.saturating_sub(self.standing.new_recipients);
        if self.fresh + (self.unasked.len() as u64) < left {
            self.unasked.push(key.to_owned());
            return Ok(());
        }
        let sender = &self.standing.sender;
        let unasked = std::mem::take(&mut self.unasked);
        let of_store = |cause: Error| {
            error!(account = sender, %cause, "what has been sent today cannot be looked up");
            refusal::of_store(&cause)
        };
        let store = intake.store();
        if !unasked.is_empty() {
            self.fresh += store.new_recipients(sender, &unasked).await.map_err(of_store)?;
        }
        let one = store.new_recipients(sender, &[key.to_owned()]).await.map_err(of_store)?;
        if one == 0 || self.fresh < left {
            self.fresh += one;
            return Ok(());
        }
        let (sender, until) = (sender.clone(), self.standing.until);
        let exceeded = Exceeded { sender, counted: Counted::NewRecipients, limit, until };
        intake.limit_reached(&exceeded, &self.debit, &self.standing).await;
        Err(refusal(&exceeded, intake.now()))
    }
}

impl Intake {
    /// Whether a sender may send one more message today.
    pub async fn may_send(&self, debit: Debit) -> Result<Allowance, Reply> {
        let standing = self.store().sending(&debit.sender).await.map_err(|cause| {
            error!(account = debit.sender, %cause, "what has been sent today cannot be looked up");
            refusal::of_store(&cause)
        })?;
        match standing.limits.messages {
            Some(limit) if standing.messages >= limit => {
                let (sender, until) = (debit.sender.clone(), standing.until);
                let exceeded = Exceeded { sender, counted: Counted::Messages, limit, until };
                self.limit_reached(&exceeded, &debit, &standing).await;
                Err(refusal(&exceeded, self.now()))
            }
            _ => Ok(Allowance { debit, standing, fresh: 0, unasked: Vec::new() }),
        }
    }

    /// The store has refused a message because of a limit.
    pub(crate) async fn limit_was_reached(&self, exceeded: &Exceeded, debit: &Debit) {
        match self.store().sending(&debit.sender).await {
            Ok(standing) => self.limit_reached(exceeded, debit, &standing).await,
            Err(cause) => {
                error!(account = debit.sender, %cause, "what has been sent today cannot be looked up")
            }
        }
    }

    /// Tells the owner and postmaster, once a day.
    async fn limit_reached(&self, exceeded: &Exceeded, debit: &Debit, standing: &Standing) {
        if standing.is_told {
            return;
        }
        let (account, until) = (&debit.sender, date::print_iso(exceeded.until));
        let id = self.random_word(ID_LETTERS);
        let router = self.router();
        let mut told: Vec<Address> = debit.owner.iter().cloned().chain(router.bare_postmaster()).collect();
        told.dedup_by_key(|address| address.key());
        if told.is_empty() {
            return warn!(
                account,
                counted = word(exceeded.counted),
                limit = exceeded.limit,
                until,
                "a daily limit is reached"
            );
        }
        let message = letter(&told, router.hostname(), exceeded, standing, self.now());
        let envelope = Envelope {
            from: ReversePath::Null,
            params: MailParams::default(),
            recipients: told.into_iter().map(Recipient::plain).collect(),
        };
        let mail = Mail { envelope, message: Message::new(Blob::from_bytes(message.into_bytes())) };
        let drafted = self.draft_notice(mail, &id).await;
        let taken = match drafted {
            Ok(Some(mut acceptance)) => {
                acceptance.charge = Some(Charge::Notice { sender: debit.sender.clone() });
                self.store().accept(acceptance).await.map(drop)
            }
            Ok(None) => Ok(()),
            Err(reply) => {
                return warn!(account, %reply, "nobody can be told now that a daily limit is reached");
            }
        };
        match taken {
            Ok(()) => {
                warn!(
                    mail = id,
                    account,
                    counted = word(exceeded.counted),
                    limit = exceeded.limit,
                    until,
                    "a daily limit is reached"
                );
            }
            Err(Error::ToldBefore) => {}
            Err(cause) => warn!(account, %cause, "nobody can be told now that a daily limit is reached"),
        }
    }
}

/// In the words of the command.
fn word(counted: Counted) -> &'static str {
    match counted {
        Counted::Messages => "messages",
        Counted::NewRecipients => "new recipients",
    }
}

fn letter(to: &[Address], hostname: &Domain, exceeded: &Exceeded, standing: &Standing, now: i64) -> String {
    let to: Vec<String> = to.iter().map(Address::to_string).collect();
    let (sender, limit, until) = (&exceeded.sender, exceeded.limit, date::print(exceeded.until));
    let what = match exceeded.counted {
        Counted::Messages => format!("{limit} messages in a day"),
        Counted::NewRecipients => format!("{limit} addresses in a day to which it never wrote before"),
    };
    format!(
        "From: Mail server <postmaster@{hostname}>\r\nTo: {}\r\nDate: {}\r\nMessage-ID: <limit.{now}.{}@{hostname}>\r\n\
         Auto-Submitted: auto-generated\r\nSubject: {sender} may send no more today\r\nMIME-Version: 1.0\r\n\
         Content-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: 8bit\r\n\r\n\
         {sender} has reached what it may send: {what}.\r\n\
         Before that it sent messages today: {}, to new recipients: {}. More is put off until\r\n{until}.\r\n\r\n\
         If this is unexpected, somebody else may know the password: set a new one, and look at\r\n\
         what was sent. If it is as it should be, the administrator can allow more:\r\n\r\n  \
         maddy account sending {sender} --messages NUMBER --new-recipients NUMBER\r\n\r\n\
         This is said once a day.\r\n",
        to.join(",\r\n "),
        date::print(now),
        exceeded.until,
        standing.messages,
        standing.new_recipients,
    )
}

/// What the sender hears.
pub(crate) fn refusal(exceeded: &Exceeded, now: i64) -> Reply {
    let Exceeded { sender, counted, limit, until } = exceeded;
    let left = until.saturating_sub(now).max(0);
    let when = format!(
        "this ends at {}, in {} hours and {} minutes",
        date::print_iso(*until),
        left / 3600,
        left % 3600 / 60
    );
    let (code, text) = match counted {
        Counted::Messages => {
            (451, format!("{sender} has sent the {limit} messages that it may send in a day; {when}"))
        }
        Counted::NewRecipients => (
            450,
            format!("{sender} has written to as many new recipients as it may in a day ({limit}); {when}"),
        ),
    };
    Reply::new(code, Status::transient(7, 1), text)
}
