//! What an attempt is given, and what became of each recipient.

use crate::schedule::Fate;
use crate::tls_policy::Wish;
use mail::header;
use mail::{Client, Domain, MailParams, Message, Reply, ReversePath, Status, TlsUsed};
use smtp_proto::Content;

/// A message for one destination.
pub(crate) struct Work<'a> {
    pub mail_id: &'a str,
    pub from: &'a ReversePath,
    pub params: &'a MailParams,
    pub domain: &'a Domain,
    pub message: &'a Message,
    pub content: Content,
    /// How the sender wants it protected.
    pub wish: Wish,
    /// Whether its connections are counted for reports: those of reports are not.
    pub is_told: bool,
    /// Who brought it; `None`: it is our own.
    pub client: Option<&'a Client>,
}

/// How the sender wants a message protected (RFC 8689 §4.1). Of REQUIRETLS, notices are exempt (RFC 8689 §4.2.1).
pub(crate) fn wish(from: &ReversePath, params: &MailParams, head: &[u8]) -> Wish {
    if params.require_tls {
        return if from.is_null() { Wish::Usual } else { Wish::Required };
    }
    let says_no =
        header::find(head, TLS_REQUIRED).is_some_and(|field| field.text().trim().eq_ignore_ascii_case("No"));
    // A message with several has none that counts (RFC 8689 §3).
    if says_no && header::count(head, TLS_REQUIRED) == 1 { Wish::NotRequired } else { Wish::Usual }
}

/// The field of RFC 8689 §3.
const TLS_REQUIRED: &str = "TLS-Required";

/// What became of one recipient.
#[derive(Clone, Debug)]
pub(crate) struct Tried {
    pub fate: Fate,
    /// The host whose words the reply is; empty if they are ours.
    pub host: String,
    pub reply: Reply,
    pub notify: NotifyPassed,
    pub by: ByPassed,
    /// How the connection was protected; `None` if there was none.
    pub tls: Option<TlsUsed>,
}

/// Whether the next server has promised to report as the sender wished (RFC 3461 §5.2.1, §5.2.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum NotifyPassed {
    Yes,
    No,
    /// It is in a mailbox of ours.
    Here,
}

/// Whether the next server has promised to keep the time that the sender wants (RFC 2852 §4.1.4).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ByPassed {
    Yes,
    No,
}

impl Tried {
    /// A wait for which nobody else is to blame.
    pub(crate) fn deferred(reply: Reply) -> Self {
        let (notify, by) = (NotifyPassed::No, ByPassed::No);
        Self { fate: Fate::Deferred, host: String::new(), reply, notify, by, tls: None }
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

#[cfg(test)]
mod tests {
    use super::*;
    use mail::Address;

    #[test]
    fn what_the_sender_wishes() {
        let somebody = ReversePath::Address(Address::parse("a@a.ex").unwrap());
        let required = MailParams { require_tls: true, ..MailParams::default() };
        let usual = MailParams::default();
        for (from, params, head, want) in [
            (&somebody, &usual, "Subject: x\r\n", Wish::Usual),
            (&somebody, &usual, "TLS-Required: No\r\n", Wish::NotRequired),
            (&somebody, &usual, "tls-required:\r\n no\r\n", Wish::NotRequired),
            (&somebody, &usual, "TLS-Required: Yes\r\n", Wish::Usual),
            (&somebody, &usual, "TLS-Required: No\r\nTLS-Required: No\r\n", Wish::Usual),
            (&somebody, &required, "TLS-Required: No\r\n", Wish::Required),
            (&somebody, &required, "", Wish::Required),
            (&ReversePath::Null, &required, "", Wish::Usual),
            (&ReversePath::Null, &usual, "TLS-Required: No\r\n", Wish::NotRequired),
        ] {
            assert_eq!(wish(from, params, head.as_bytes()), want, "{from} {head}");
        }
    }
}
