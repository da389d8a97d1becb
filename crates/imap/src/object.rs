//! Names of mailboxes and messages that stay when they are renamed or copied (RFC 8474).
//!
//! A thread is named by the message that it began with (RFC 8474 §5.2): who answers says so in References, and so all
//! mailboxes agree about it without a look at each other.

use crate::search::message_ids;
use mail::mime::KeyFields;
use storage::{EmailId, MailboxId};

/// MAILBOXID. The number is never used again, also not for a later mailbox of the same name.
pub(crate) fn mailbox(id: MailboxId) -> String {
    format!("F{id}")
}

/// EMAILID: copies have the same, since they share the octets.
pub(crate) fn email(id: EmailId) -> String {
    format!("M{id}")
}

/// What THREADID is made of: the identifier of the message that a thread began with, as far as one of its messages says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Thread {
    /// A number made of the identifier.
    Begun(u64),
    /// There is none: the message stands alone.
    Alone,
}

impl Thread {
    /// By the oldest of References, or what the message answers, or its own name.
    pub(crate) fn of(fields: &KeyFields) -> Self {
        Self::by(|name| fields.first(name).map(<[u8]>::to_vec))
    }

    /// The same where the fields are had by name.
    pub(crate) fn by(field: impl Fn(&str) -> Option<Vec<u8>>) -> Self {
        let first = |name| field(name).and_then(|value| message_ids(&value).into_iter().next());
        let root = ["references", "in-reply-to", "message-id"].into_iter().find_map(first);
        root.map_or(Self::Alone, |root| Self::Begun(number(root.as_bytes())))
    }

    /// THREADID of a message that belongs to it.
    pub(crate) fn name(&self, email: EmailId) -> String {
        match self {
            Self::Begun(number) => format!("T{number:016x}"),
            Self::Alone => format!("T{}", self::email(email)),
        }
    }
}

/// What a THREADID stands for: a thread, and the only message of it if that stands alone. `None`: nothing.
pub(crate) fn find_thread(id: &str) -> Option<(Thread, Option<EmailId>)> {
    let rest = id.strip_prefix('T')?;
    if rest.starts_with('M') {
        return find_email(rest).map(|email| (Thread::Alone, Some(email)));
    }
    let thread = Thread::Begun(u64::from_str_radix(rest, 16).ok()?);
    let Thread::Begun(number) = thread else { return None };
    (format!("T{number:016x}") == id).then_some((thread, None))
}

/// FNV-1a: what was told once must stay, whatever libraries do.
fn number(octets: &[u8]) -> u64 {
    octets.iter().fold(0xcbf2_9ce4_8422_2325, |hash, octet| {
        (hash ^ u64::from(*octet)).wrapping_mul(0x0000_0100_0000_01b3)
    })
}

/// The message behind an EMAILID; `None`: no message can have it.
pub(crate) fn find_email(id: &str) -> Option<EmailId> {
    let found = EmailId::from_number(id.strip_prefix('M')?.parse().ok()?);
    (email(found) == id).then_some(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_thread_is_named_by_its_first_message() {
        let thread = |header: &str| Thread::of(&KeyFields::read(header.as_bytes()));
        let first = thread("Message-ID: <a@x>\r\n");
        for header in [
            "Message-ID: <b@x>\r\nReferences: <a@x> <c@x>\r\nIn-Reply-To: <c@x>\r\n",
            "Message-ID: <b@x>\r\nIn-Reply-To: Your message <a@x>\r\n",
            "References: <\"a\"@x>\r\n",
        ] {
            assert_eq!(thread(header), first, "{header}");
        }
        assert_ne!(thread("Message-ID: <b@x>\r\n"), first);
        assert_eq!(thread("Subject: x\r\nMessage-ID: none\r\n"), Thread::Alone);
        let email = EmailId::from_number(7);
        for thread in [first, Thread::Alone, Thread::Begun(u64::MAX), Thread::Begun(0)] {
            let name = thread.name(email);
            let alone = (thread == Thread::Alone).then_some(email);
            assert_eq!(find_thread(&name), Some((thread, alone)), "{name}");
        }
        // What was told once: the number is FNV-1a of the identifier.
        assert_eq!(Thread::Begun(number(b"a")).name(email), "Taf63dc4c8601ec8c");
        for other in
            ["", "T", "T1", "M7", "TM07", "TAF63DC4C8601EC8C", "t0000000000000000", "T00000000000000000"]
        {
            assert_eq!(find_thread(other), None, "{other}");
        }
    }

    #[test]
    fn only_the_one_form_is_found() {
        assert_eq!(find_email("M17"), Some(EmailId::from_number(17)));
        for other in ["m17", "M017", "M+17", "17", "M", "", "T17", "M99999999999999999999"] {
            assert_eq!(find_email(other), None, "{other}");
        }
    }
}
