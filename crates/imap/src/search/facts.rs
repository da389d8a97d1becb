//! What sorting and threading know of messages: their key fields, and what their rows say.

use super::Depth;
use super::find::{Pages, Seen};
use super::text::header;
use crate::view::Target;
use imap_proto::Response;
use mail::address_list::{self, Entry};
use mail::mime::KeyFields;
use storage::{MailboxId, Row, Store, Unix};

/// Longest message identifier that is believed, in octets (one line, RFC 5322 §2.1.1).
const ID_MAX: usize = 998;
/// Most identifiers that are kept of one References field: the newest.
const REFERENCES_MAX: usize = 100;
/// Words of a date that can hold the day, the month and the year.
const DATE_WORDS_MAX: usize = 8;

/// What is known of one message.
pub(crate) struct Facts {
    pub(crate) received: Unix,
    pub(crate) size: u64,
    fields: KeyFields,
}

/// What was found out of messages.
pub(crate) struct Gathered<T> {
    /// In the order that was asked for, without the messages that are gone.
    pub(crate) known: Vec<(Target, T)>,
    /// Some could not be read, and count as if nothing stood in them.
    pub(crate) unreadable: bool,
}

/// Looks at messages without reading them, or at their headers where nothing is stored.
pub(crate) async fn gather<T: Send + 'static>(
    store: &Store,
    mailbox: MailboxId,
    targets: &[Target],
    depth: Depth,
    make: impl Fn(&Facts) -> T + Clone + Send + Sync + 'static,
) -> Result<Gathered<T>, Response> {
    let mut known = Vec::with_capacity(targets.len());
    let mut unknown = Vec::new();
    let first = make.clone();
    let look = move |target: Target, row: &mut Row| {
        let fields = match depth {
            Depth::Row => Some(KeyFields::default()),
            _ => row.key_fields.as_deref().and_then(KeyFields::decode),
        };
        let made = fields.map(|fields| first(&Facts { received: row.received, size: row.size, fields }));
        Seen { what: (target, made), keys: None }
    };
    let pages = Pages { store, mailbox, depth };
    pages
        .each(targets, look, |(target, made)| match made {
            Some(made) => known.push((target, made)),
            None => unknown.push(target),
        })
        .await?;
    if unknown.is_empty() {
        return Ok(Gathered { known, unreadable: false });
    }
    let mut unreadable = false;
    let look = move |target: Target, row: &mut Row| {
        let lacks = row.key_fields.is_none();
        let fields = header(row).map(|(_, _, keys)| keys);
        let keys = fields.clone().filter(|_| lacks);
        let is_read = fields.is_some();
        let facts = Facts { received: row.received, size: row.size, fields: fields.unwrap_or_default() };
        Seen { what: (target, make(&facts), is_read), keys }
    };
    let pages = Pages { store, mailbox, depth: Depth::Header };
    pages
        .each(&unknown, look, |(target, made, is_read)| {
            known.push((target, made));
            unreadable |= !is_read;
        })
        .await?;
    known.sort_unstable_by_key(|(target, _)| target.number);
    Ok(Gathered { known, unreadable })
}

impl Facts {
    /// The sent date (RFC 5256 §2.2): without a time that can be read midnight, without a date the internal date.
    pub(crate) fn sent(&self) -> Unix {
        let Some(text) = self.fields.first("date") else { return self.received };
        let date = mail::date::parse(text).or_else(|| {
            let words: Vec<&[u8]> =
                text.split(|b| *b == b' ').filter(|word| !word.is_empty()).take(DATE_WORDS_MAX).collect();
            (1..words.len()).rev().find_map(|count| mail::date::parse(&words[..count].join(&b' ')))
        });
        date.map_or(self.received, |stamp| stamp.seconds)
    }

    /// The Subject, decoded.
    pub(crate) fn subject(&self) -> String {
        self.fields.first("subject").map(mail::words::decode).unwrap_or_default()
    }

    /// `addr-mailbox` of the first address of a field, as ENVELOPE has it: of a group the name.
    pub(crate) fn mailbox(&self, field: &str) -> String {
        match self.first_entry(field) {
            Some(Entry::Mailbox(mailbox)) => text(&mailbox.local),
            Some(Entry::Group { name, .. }) => mail::words::decode(&name),
            None => String::new(),
        }
    }

    /// What a person reads of the first address (RFC 5957 §3).
    pub(crate) fn display(&self, field: &str) -> String {
        match self.first_entry(field) {
            Some(Entry::Mailbox(mailbox)) => mailbox
                .name()
                .unwrap_or_else(|| format!("{}@{}", text(&mailbox.local), text(&mailbox.domain))),
            Some(Entry::Group { name, .. }) => mail::words::decode(&name),
            None => String::new(),
        }
    }

    fn first_entry(&self, field: &str) -> Option<Entry> {
        self.fields.all(field).find_map(|value| address_list::parse(value).into_iter().next())
    }

    pub(crate) fn message_id(&self) -> Option<String> {
        self.fields.first("message-id").and_then(|value| ids(value).into_iter().next())
    }

    /// The messages this one comes after: those of References, or the first of In-Reply-To (RFC 5256 §3).
    pub(crate) fn references(&self) -> Vec<String> {
        let mut ids_of_list = self.fields.first("references").map(ids).unwrap_or_default();
        if ids_of_list.is_empty() {
            let first = self.fields.first("in-reply-to").and_then(|value| ids(value).into_iter().next());
            return first.into_iter().collect();
        }
        let surplus = ids_of_list.len().saturating_sub(REFERENCES_MAX);
        ids_of_list.split_off(surplus)
    }
}

fn text(octets: &[u8]) -> String {
    String::from_utf8_lossy(octets).into_owned()
}

/// All `<…>` of a value without their brackets, blanks and quotes (RFC 5256 §3: quoting makes no difference).
pub(crate) fn ids(value: &[u8]) -> Vec<String> {
    let mut ids = Vec::new();
    let mut open: Option<Vec<u8>> = None;
    let mut octets = value.iter().copied();
    let mut quoted = false;
    while let Some(octet) = octets.next() {
        match (&mut open, octet) {
            (None, b'<') => open = Some(Vec::new()),
            (None, _) => {}
            (Some(_), b'"') => quoted = !quoted,
            (Some(id), b'\\') if quoted => id.extend(octets.next()),
            (Some(id), b'<') if !quoted => id.clear(),
            (Some(_), b'>') if !quoted => {
                let id = open.take().unwrap_or_default();
                if (1..=ID_MAX).contains(&id.len()) {
                    ids.push(text(&id));
                }
            }
            (Some(id), octet) => {
                if quoted || octet.is_ascii_graphic() || !octet.is_ascii() {
                    id.push(octet);
                }
            }
        }
    }
    ids
}

#[cfg(test)]
mod tests {
    use super::*;

    fn facts(header: &str) -> Facts {
        Facts { received: 77, size: 1, fields: KeyFields::read(header.as_bytes()) }
    }

    #[test]
    fn identifiers() {
        for (value, want) in [
            ("", vec![]),
            ("<a@b>", vec!["a@b"]),
            ("<a@b><c@d>,\t<e@f>", vec!["a@b", "c@d", "e@f"]),
            ("<\"a\"@b>", vec!["a@b"]),
            ("<\"a\\\"> b\"@c>", vec!["a\"> b@c"]),
            ("< a @ b >", vec!["a@b"]),
            ("<>", vec![]),
            ("<a <b@c>", vec!["b@c"]),
            ("a@b", vec![]),
            ("<a@b", vec![]),
            ("your message of Monday <a@b>", vec!["a@b"]),
        ] {
            assert_eq!(ids(value.as_bytes()), want, "{value}");
        }
        assert!(ids(format!("<{}>", "x".repeat(ID_MAX + 1)).as_bytes()).is_empty());
    }

    #[test]
    fn references_are_those_of_the_list_or_the_first_answered() {
        for (header, want) in [
            ("References: <a@b> <c@d>\r\nIn-Reply-To: <e@f>\r\n", vec!["a@b", "c@d"]),
            ("References: nothing\r\nIn-Reply-To: x <e@f> <g@h>\r\n", vec!["e@f"]),
            ("In-Reply-To: me\r\n", vec![]),
        ] {
            assert_eq!(facts(header).references(), want, "{header}");
        }
        let many: String = (0..300).map(|n| format!("<{n}@x>")).collect();
        let references = facts(&format!("References: {many}\r\n")).references();
        assert_eq!((references.len(), references[0].as_str()), (REFERENCES_MAX, "200@x"));
    }

    #[test]
    fn dates() {
        for (date, want) in [
            ("Date: Thu, 1 Jan 1970 01:00:05 +0100\r\n", 5),
            ("Date: 2 Jan 1970 30:99:00 +0100\r\n", 86_400),
            ("Date: 2 Jan 1970 noon\r\n", 86_400),
            ("Date: 2 Jan 1970 00:00:01 NOWHERE\r\n", 86_401),
            ("Date: yesterday\r\n", 77),
            ("Date:\r\n", 77),
            ("", 77),
        ] {
            assert_eq!(facts(date).sent(), want, "{date}");
        }
    }

    #[test]
    fn people() {
        for (from, mailbox, display) in [
            ("Ann <ann@a.example>, b@b.example", "ann", "Ann"),
            ("=?utf-8?q?=C3=84nne?= <ann@a.example>", "ann", "Änne"),
            ("ann@a.example", "ann", "ann@a.example"),
            ("\"\" <ann@a.example>", "ann", "ann@a.example"),
            ("Team: ann@a.example;", "Team", "Team"),
            ("", "", ""),
        ] {
            let facts = facts(&format!("From: {from}\r\n"));
            assert_eq!(
                (facts.mailbox("from"), facts.display("from")),
                (mailbox.into(), display.into()),
                "{from}"
            );
        }
        assert_eq!(facts("To:\r\nTo: x@y\r\n").mailbox("to"), "x");
    }
}
