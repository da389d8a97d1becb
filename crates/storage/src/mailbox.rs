//! Mailboxes as values: names, special uses, and what LIST and STATUS tell.

use crate::error::{Error, Result};
use crate::ids::{AccountId, MailboxId, ModSeq, Uid};
use crate::sql::Row;
use std::fmt;
use std::str::FromStr;

/// Separates the levels of a name.
pub const DELIMITER: char = '/';
/// Longest name in octets of UTF-8, all levels together.
pub const NAME_MAX: usize = 1000;
/// Most levels of a name.
pub const LEVELS_MAX: usize = 32;
/// Most mailboxes of one account.
pub const MAILBOXES_MAX: u64 = 10_000;
/// Most subscribed names of one account.
pub const SUBSCRIPTIONS_MAX: u64 = 20_000;

/// What a mailbox is for (RFC 6154 §2).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum SpecialUse {
    All,
    Archive,
    Drafts,
    Flagged,
    Junk,
    Sent,
    Trash,
}

impl SpecialUse {
    const NAMES: [(Self, &'static str); 7] = [
        (Self::All, "\\All"),
        (Self::Archive, "\\Archive"),
        (Self::Drafts, "\\Drafts"),
        (Self::Flagged, "\\Flagged"),
        (Self::Junk, "\\Junk"),
        (Self::Sent, "\\Sent"),
        (Self::Trash, "\\Trash"),
    ];

    /// As an attribute of LIST: `\Drafts`.
    pub fn as_str(self) -> &'static str {
        Self::NAMES.iter().find(|(special, _)| *special == self).map_or("", |(_, name)| name)
    }
}

impl fmt::Display for SpecialUse {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Reads `\Drafts` in any case.
impl FromStr for SpecialUse {
    type Err = ();

    fn from_str(text: &str) -> std::result::Result<Self, ()> {
        let found = Self::NAMES.iter().find(|(_, name)| name.eq_ignore_ascii_case(text));
        found.map(|(special, _)| *special).ok_or(())
    }
}

/// The mailboxes of a new account.
pub(crate) const FIRST_MAILBOXES: [(&str, Option<SpecialUse>); 6] = [
    ("INBOX", None),
    ("Drafts", Some(SpecialUse::Drafts)),
    ("Sent", Some(SpecialUse::Sent)),
    ("Archive", Some(SpecialUse::Archive)),
    ("Junk", Some(SpecialUse::Junk)),
    ("Trash", Some(SpecialUse::Trash)),
];

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MailboxKind {
    Selectable,
    /// Only a name that holds others (\Noselect, RFC 9051 §7.3.1).
    NoSelect,
}

/// A mailbox with its counters.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mailbox {
    pub id: MailboxId,
    pub account: AccountId,
    pub name: String,
    pub kind: MailboxKind,
    pub special_use: Option<SpecialUse>,
    pub subscribed: bool,
    pub has_children: bool,
    pub uidvalidity: u32,
    pub uidnext: Uid,
    /// HIGHESTMODSEQ (RFC 7162 §3.1.2.1).
    pub modseq: ModSeq,
    pub messages: u32,
    pub unseen: u32,
    pub deleted: u32,
    /// Octets of all messages (RFC 8438).
    pub size: u64,
}

/// All mailboxes of an account.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Listing {
    /// INBOX first, then by name; parents before children.
    pub mailboxes: Vec<Mailbox>,
    /// Names that are subscribed to and do not exist.
    pub subscribed_only: Vec<String>,
}

/// The columns of a mailbox `m`, in the order in which [`read`] takes them.
macro_rules! mailbox_columns {
    () => {
        "m.id, m.account, m.name, m.kind, m.special_use, m.uidvalidity, m.uidnext, \
         m.modseq, m.messages, m.unseen, m.deleted, m.size, \
         EXISTS (SELECT 1 FROM subscription s WHERE s.account = m.account AND s.name = m.name), \
         EXISTS (SELECT 1 FROM mailbox c WHERE c.account = m.account \
             AND c.name > m.name || '/' AND c.name < m.name || '0')"
    };
}
pub(crate) use mailbox_columns;

/// A statement over mailboxes `m`.
macro_rules! mailbox_sql {
    ($tail:literal) => {
        concat!("SELECT ", $crate::mailbox::mailbox_columns!(), " FROM mailbox m ", $tail)
    };
}
pub(crate) use mailbox_sql;

fn small(number: i64) -> u32 {
    u32::try_from(number).unwrap_or(u32::MAX)
}

pub(crate) fn read(row: &Row) -> Result<Mailbox> {
    let special: Option<String> = row.try_get(4)?;
    Ok(Mailbox {
        id: MailboxId(row.try_get(0)?),
        account: AccountId(row.try_get(1)?),
        name: row.try_get(2)?,
        kind: if row.try_get::<i64>(3)? == 0 { MailboxKind::Selectable } else { MailboxKind::NoSelect },
        special_use: special.and_then(|text| text.parse().ok()),
        uidvalidity: small(row.try_get(5)?),
        uidnext: small(row.try_get(6)?),
        modseq: row.try_get::<i64>(7)?.unsigned_abs(),
        messages: small(row.try_get(8)?),
        unseen: small(row.try_get(9)?),
        deleted: small(row.try_get(10)?),
        size: row.try_get::<i64>(11)?.unsigned_abs(),
        subscribed: row.try_get(12)?,
        has_children: row.try_get(13)?,
    })
}

/// The one form of a name: INBOX in capitals, whatever the case it came in, also as the first of several levels
/// (RFC 9051 §5.1).
pub fn fold(name: &str) -> String {
    let first = name.split(DELIMITER).next().unwrap_or_default();
    if first.eq_ignore_ascii_case("INBOX") {
        format!("INBOX{}", &name[first.len()..])
    } else {
        name.to_owned()
    }
}

/// Checks a name that is to be made, and gives its one form.
pub(crate) fn check(name: &str) -> Result<String> {
    let bad = |why| Err(Error::BadName(name.to_owned(), why));
    if name.len() > NAME_MAX {
        return bad("it is longer than 1000 octets");
    }
    if name.chars().any(char::is_control) {
        return bad("it has a control character");
    }
    if name.split(DELIMITER).any(str::is_empty) {
        return bad("a level of it is empty");
    }
    if name.split(DELIMITER).count() > LEVELS_MAX {
        return bad("it has more than 32 levels");
    }
    if name.contains(['%', '*']) {
        return bad("it has a wildcard of LIST (% or *)");
    }
    Ok(fold(name))
}

/// The names above: `a`, `a/b` for `a/b/c`.
pub(crate) fn parents(name: &str) -> impl Iterator<Item = &str> {
    name.match_indices(DELIMITER).map(|(at, _)| &name[..at])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names() {
        for (name, want) in [
            ("inbox", Ok("INBOX")),
            ("InBox/a", Ok("INBOX/a")),
            ("a/inbox", Ok("a/inbox")),
            ("inboxes", Ok("inboxes")),
            ("Entwürfe", Ok("Entwürfe")),
            ("", Err("a level of it is empty")),
            ("/a", Err("a level of it is empty")),
            ("a//b", Err("a level of it is empty")),
            ("a\u{7f}", Err("it has a control character")),
            ("a*", Err("it has a wildcard of LIST (% or *)")),
        ] {
            let got = check(name);
            match want {
                Ok(folded) => assert_eq!(got.as_deref(), Ok(folded)),
                Err(why) => assert_eq!(got, Err(Error::BadName(name.to_owned(), why))),
            }
        }
        assert!(check("a/".repeat(32).trim_end_matches('/')).is_ok());
        assert!(check("a/".repeat(33).trim_end_matches('/')).is_err());
        assert_eq!(parents("a/b/c").collect::<Vec<_>>(), ["a", "a/b"]);
        assert_eq!(parents("a").count(), 0);
    }

    #[test]
    fn special_uses() {
        for (special, name) in SpecialUse::NAMES {
            assert_eq!(special.to_string(), name);
            assert_eq!(name.to_lowercase().parse(), Ok(special));
        }
        assert_eq!("\\Inbox".parse::<SpecialUse>(), Err(()));
    }
}
