//! The client's side: hello, TLS, login, then any number of transactions over one connection.

mod exchange;
mod outcome;
mod session;
mod transaction;
mod xclient;

pub use exchange::BODY_MAX;
pub use outcome::{Connection, Loss, Need, Outcome, Report, Stage};
pub use session::Session;

use crate::scan::Content;
use crate::secret::Secret;
use mail::{Client, Domain, Envelope, Reply};
use std::time::Duration;

use crate::reply::Breach;

/// What the owner has to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Question {
    /// Something is done; answered once with [`Session::next`].
    Next(Event),
    /// The next octets of the message, 1 to `max` of them; answered once with [`Session::body`] or
    /// [`Session::body_failed`].
    Body { max: usize },
}

/// What has just happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// EHLO (or HELO) was accepted: [`Session::offers`] has what it said.
    Hello,
    /// The peer refused. After greeting and hello only [`Next::Quit`] makes sense; after STARTTLS and AUTH the
    /// session can go on.
    Refused { at: Stage, reply: Reply },
    /// The peer does not speak SMTP. The session ends whatever comes next.
    Broken(Breach),
    /// AUTH was accepted.
    Authenticated(Reply),
    /// A transaction is over.
    Sent(Report),
}

/// What to do next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Next {
    StartTls,
    /// Says who the client is for whom we speak, where [`Session::takes_xclient`]; EHLO follows by itself.
    Xclient(Client),
    /// With PLAIN or LOGIN, as the peer offers.
    Auth(Credentials),
    Send(Transaction),
    Quit,
}

/// A login at a smarthost. `Debug` masks the password.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Credentials {
    pub user: String,
    pub password: Secret,
}

/// One message for some recipients.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Transaction {
    /// Only the recipients to whom this transaction is to go.
    pub envelope: Envelope,
    pub content: Content,
}

/// How long each kind of reply may take (RFC 5321 §4.5.3.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timeouts {
    pub greeting: Duration,
    /// EHLO, HELO, STARTTLS, AUTH, MAIL, RCPT, RSET.
    pub command: Duration,
    /// The reply to DATA.
    pub data: Duration,
    /// The reply to the end of the message, and to each chunk.
    pub end_of_data: Duration,
    pub quit: Duration,
}

impl Default for Timeouts {
    fn default() -> Self {
        Self {
            greeting: Duration::from_secs(300),
            command: Duration::from_secs(300),
            data: Duration::from_secs(120),
            end_of_data: Duration::from_secs(600),
            quit: Duration::from_secs(10),
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Options {
    /// The name for EHLO.
    pub hello: Domain,
    pub timeouts: Timeouts,
    pub protocol: Protocol,
}

/// What is spoken.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Protocol {
    #[default]
    Smtp,
    /// To a server that files mail: LHLO, and an answer for each recipient behind the message (RFC 2033 §4).
    Lmtp,
}
