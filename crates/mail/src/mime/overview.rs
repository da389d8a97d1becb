//! The header fields that search, sort and lists of messages ask for, as text.

use crate::address_list;
use crate::date::{self, Stamp};
use crate::header;

/// Most message identifiers that are kept of one References field.
const REFERENCES_MAX: usize = 100;
/// Longest message identifier that is believed, in octets (one line, RFC 5322 §2.1.1).
const MESSAGE_ID_MAX: usize = 998;

/// What a header says, decoded.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Overview {
    pub subject: String,
    /// `Name <a@b>, …`, as are `to`, `cc` and `bcc`.
    pub from: String,
    pub to: String,
    pub cc: String,
    pub bcc: String,
    /// The Date field, if it can be read.
    pub date: Option<Stamp>,
    /// With its angle brackets.
    pub message_id: Option<String>,
    pub in_reply_to: Vec<String>,
    /// Oldest first, as written; of very many the newest.
    pub references: Vec<String>,
}

impl Overview {
    pub fn read(octets: &[u8]) -> Self {
        Self {
            subject: header::find(octets, "subject").map(|field| field.text()).unwrap_or_default(),
            from: people(octets, "from"),
            to: people(octets, "to"),
            cc: people(octets, "cc"),
            bcc: people(octets, "bcc"),
            date: header::find(octets, "date").and_then(|field| date::parse(&field.unfolded())),
            message_id: ids(octets, "message-id").into_iter().next(),
            in_reply_to: ids(octets, "in-reply-to"),
            references: ids(octets, "references"),
        }
    }
}

fn people(octets: &[u8], name: &str) -> String {
    let fields = header::fields(octets).filter(|field| field.is(name));
    let people = fields.flat_map(|field| address_list::mailboxes(field.value));
    let people: Vec<String> = people.take(address_list::MAILBOXES_MAX).map(|m| m.to_string()).collect();
    people.join(", ")
}

/// All `<…>` of a field, blanks within taken out.
fn ids(octets: &[u8], name: &str) -> Vec<String> {
    let Some(field) = header::find(octets, name) else { return Vec::new() };
    let value = field.unfolded();
    let mut out = Vec::new();
    let mut rest = value.as_slice();
    while let Some(start) = rest.iter().position(|b| *b == b'<') {
        let Some(len) = rest[start..].iter().position(|b| *b == b'>') else { break };
        let id: Vec<u8> = rest[start..=start + len].iter().copied().filter(u8::is_ascii_graphic).collect();
        if (3..=MESSAGE_ID_MAX).contains(&id.len()) {
            out.push(String::from_utf8_lossy(&id).into_owned());
        }
        rest = &rest[start + len + 1..];
    }
    let surplus = out.len().saturating_sub(REFERENCES_MAX);
    out.split_off(surplus)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads() {
        let overview = Overview::read(
            "Subject: =?utf-8?q?Gr=C3=BC=C3=9Fe?=\r\nFrom: =?utf-8?q?J=C3=BCrgen?= <j@a.b>\r\nTo: a@b, C <c@d>\r\n\
             Date: Fri, 20 Nov 2026 08:30:00 +0100\r\nMessage-ID: <1@a.b>\r\nReferences: <x@y>\r\n <z @y> junk <>\r\n\r\n"
                .as_bytes(),
        );
        assert_eq!(overview.subject, "Grüße");
        assert_eq!(overview.from, "Jürgen <j@a.b>");
        assert_eq!(overview.to, "<a@b>, C <c@d>");
        assert_eq!(overview.date, Some(Stamp { seconds: 1_795_159_800, offset: 60 }));
        assert_eq!(overview.message_id.as_deref(), Some("<1@a.b>"));
        assert_eq!(overview.references, ["<x@y>", "<z@y>"]);
        assert!(overview.in_reply_to.is_empty());
        let many =
            format!("References: {}\r\n\r\n", (0..500).map(|n| format!("<{n}@x>")).collect::<String>());
        let kept = Overview::read(many.as_bytes()).references;
        assert_eq!((kept.len(), kept[99].as_str()), (REFERENCES_MAX, "<499@x>"));
    }
}
