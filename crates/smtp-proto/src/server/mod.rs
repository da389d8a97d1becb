//! The server's side: what it asks, what it may be answered, what can be set.

mod answer;
mod content;
mod counts;
mod order;
mod pace;
mod session;

pub use session::Session;

#[cfg(doc)]
use crate::Extension;
use crate::behalf::Behalf;
use crate::command::HelloKind;
use crate::ext::ExtensionSet;
use crate::secret::Secret;
use mail::{Domain, MailParams, Recipient, Reply, ReversePath};
use std::time::Duration;

/// A decision that is not for the grammar. Each is answered once with [`Session::answer`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Question {
    /// HELO or EHLO. A 2xx lets it pass: the session itself writes the host name and the extensions, with the
    /// answer's text behind the host name.
    Hello { kind: HelloKind, name: String },
    /// AUTH with a mechanism that is offered (RFC 4954 §4), and the initial response as it stands on the wire:
    /// base64, or `=` for one of no octets. Answered with a challenge, 235, or a refusal.
    AuthBegin { mechanism: String, initial: Option<Secret> },
    /// The client's response to a challenge as it stands on the wire: base64, or `*` to cancel. The same answers.
    AuthRespond(Secret),
    /// MAIL: a 2xx opens a transaction. Any earlier one is over.
    Mail(MailFrom),
    /// RCPT: a 2xx takes the recipient.
    Rcpt(Recipient),
    /// DATA or the first BDAT of a transaction with recipients. A 3xx lets the message come, anything else is
    /// said instead and ends the transaction.
    Data,
    /// The message is there: all of it came as [`wire::Step::Body`]. The answer is said and ends the
    /// transaction; a 2xx is the promise of RFC 5321 §6.1.
    EndOfData,
    /// The peer speaks for another client from now on; all begins anew. Only where [`Extension::Xclient`] is offered. A 2xx
    /// lets it pass: the session greets again.
    Xclient(Behalf),
    /// The next message comes from another client. Only where [`Extension::Xforward`] is offered.
    Xforward(Behalf),
    /// The transaction is over without a message: drop it. Answered with [`Answer::Noted`].
    Reset,
}

/// MAIL, understood.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MailFrom {
    pub from: ReversePath,
    pub params: MailParams,
    /// The announced size in octets, within the limit.
    pub size: Option<u64>,
}

/// What the owner says to a [`Question`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    Reply(Reply),
    /// Only to AUTH: a challenge, as base64.
    Challenge(String),
    /// Only to [`Question::Reset`].
    Noted,
}

impl From<Reply> for Answer {
    fn from(reply: Reply) -> Self {
        Self::Reply(reply)
    }
}

/// What the octets travel in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Channel {
    Clear,
    Tls,
}

/// STARTTLS (RFC 3207).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StartTls {
    Absent,
    Offered,
    /// Nothing but EHLO, NOOP, RSET, STARTTLS and QUIT before it: 530 5.7.0 (RFC 3207 §4).
    Required,
}

/// Whether logins may travel in clear.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClearAuth {
    /// 538 5.7.11 (RFC 4954 §6).
    Refused,
    Allowed,
}

/// Whether mail is taken from strangers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Senders {
    Anyone,
    /// MAIL before AUTH is answered with 530 5.7.0.
    Authenticated,
}

/// AUTH (RFC 4954).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AuthOptions {
    /// In capitals, in the order of announcement; empty for no AUTH.
    pub mechanisms: Vec<String>,
    pub clear: ClearAuth,
}

/// Limits of one connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Largest message in octets, as it is after dots are taken off.
    pub message_size: u64,
    /// Most recipients of one message; the rest is told to come again (RFC 5321 §4.5.3.1.10: at least 100).
    pub recipients: usize,
    /// Most messages on one connection.
    pub mails: usize,
    /// Most faults of grammar and order.
    pub errors: usize,
    /// Most refusals since the last message that was accepted.
    pub refusals: usize,
    /// Most commands that send nothing (NOOP, RSET, EHLO, …) since the last message that was accepted.
    pub idle_commands: usize,
    /// How long to wait for a command (RFC 5321 §4.5.3.2.7: at least 5 minutes), and how long one that has begun
    /// may take to its end.
    pub command_patience: Duration,
    /// How long to wait for the next octets of a message.
    pub data_patience: Duration,
    /// How long a message, or each chunk of one, may take in all, also if it is refused and only read to its end.
    pub message_patience: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            message_size: 50 * 1024 * 1024,
            recipients: 100,
            mails: 1000,
            errors: 20,
            refusals: 100,
            idle_commands: 100,
            command_patience: Duration::from_secs(300),
            data_patience: Duration::from_secs(300),
            message_patience: Duration::from_secs(2 * 3600),
        }
    }
}

/// How far in the future a message may be released (RFC 4865 §3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HoldLimits {
    /// Longest time from now, in seconds; at most nine digits.
    pub interval: u32,
    /// The same as a time, in seconds since 1970.
    pub until: i64,
}

/// What this listener is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Options {
    /// The name in the greeting.
    pub hostname: Domain,
    /// The domain of `<Postmaster>` without one.
    pub home: Domain,
    /// Stands behind the host name in the greeting.
    pub banner: String,
    pub extensions: ExtensionSet,
    pub starttls: StartTls,
    pub auth: AuthOptions,
    pub senders: Senders,
    pub limits: Limits,
    /// FUTURERELEASE is offered where it stands among the extensions and this is set.
    pub hold: Option<HoldLimits>,
}

impl Options {
    /// A listener for strangers, without TLS and AUTH.
    pub fn new(hostname: Domain) -> Self {
        Self {
            home: hostname.clone(),
            hostname,
            banner: "ESMTP".to_owned(),
            extensions: ExtensionSet::usual(),
            starttls: StartTls::Absent,
            auth: AuthOptions { mechanisms: Vec::new(), clear: ClearAuth::Refused },
            senders: Senders::Anyone,
            limits: Limits::default(),
            hold: None,
        }
    }
}
