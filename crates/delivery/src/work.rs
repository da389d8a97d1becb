//! What an attempt is given, and what became of each recipient.

use crate::schedule::Fate;
use mail::{Domain, MailParams, Message, Reply, ReversePath, Status};
use smtp_proto::Content;

/// A message for one destination.
pub(crate) struct Work<'a> {
    pub mail_id: &'a str,
    pub from: &'a ReversePath,
    pub params: &'a MailParams,
    pub domain: &'a Domain,
    pub message: &'a Message,
    pub content: Content,
}

impl Work<'_> {
    /// Whether the sender has asked that it go over verified TLS or not at all (RFC 8689 §4.2.1). Notices are exempt.
    pub(crate) fn needs_tls(&self) -> bool {
        self.params.require_tls && !self.from.is_null()
    }
}

/// What became of one recipient.
#[derive(Clone, Debug)]
pub(crate) struct Tried {
    pub fate: Fate,
    /// The host whose words the reply is; empty if they are ours.
    pub host: String,
    pub reply: Reply,
    pub notify: NotifyPassed,
}

/// Whether the next server has promised to report as the sender wished (RFC 3461 §5.2.1, §5.2.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum NotifyPassed {
    Yes,
    No,
    /// It is in a mailbox of ours.
    Here,
}

impl Tried {
    /// A wait for which nobody else is to blame.
    pub(crate) fn deferred(reply: Reply) -> Self {
        Self { fate: Fate::Deferred, host: String::new(), reply, notify: NotifyPassed::No }
    }
}

/// The sender wants TLS that holds what it promises, and it cannot be had (RFC 8689 §4.2.1).
pub(crate) fn no_tls(why: String) -> Reply {
    let text =
        format!("The sender asked for TLS on the whole way (REQUIRETLS), which cannot be had here: {why}");
    Reply::new(550, Status::permanent(7, 10), text)
}

/// Whether the message may go in chunks (RFC 3030).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Chunks {
    AsOffered,
    /// A host has offered them and then not known the command.
    Forgone,
}
