//! Names of mailboxes and messages that stay when they are renamed or copied (RFC 8474).
//!
//! There are no threads here: THREADID is NIL, and a search for one finds nothing (RFC 8474 §5.2).

use storage::{EmailId, MailboxId};

/// MAILBOXID. The number is never used again, also not for a later mailbox of the same name.
pub(crate) fn mailbox(id: MailboxId) -> String {
    format!("F{id}")
}

/// EMAILID: copies have the same, since they share the octets.
pub(crate) fn email(id: EmailId) -> String {
    format!("M{id}")
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
    fn only_the_one_form_is_found() {
        assert_eq!(find_email("M17"), Some(EmailId::from_number(17)));
        for other in ["m17", "M017", "M+17", "17", "M", "", "T17", "M99999999999999999999"] {
            assert_eq!(find_email(other), None, "{other}");
        }
    }
}
