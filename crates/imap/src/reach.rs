//! Mailboxes by the names that clients use, and what the account may do with them (RFC 4314). Those of other accounts are
//! named `Other Users/<account>/<mailbox>` (RFC 2342 §5).

use crate::client::Client;
use crate::refusal;
use crate::roster::Shares;
use crate::scope;
use imap_proto::Response;
use std::collections::{BTreeSet, HashSet};
use storage::{AccountId, DELIMITER, Error, Mailbox, MailboxId, Rights};

/// What stands before the mailboxes of other accounts.
pub(crate) const OTHERS: &str = "Other Users/";

/// Where a name leads.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Named<'a> {
    /// To a mailbox of the account itself.
    Own(&'a str),
    /// To one of another account.
    Other { owner: String, name: &'a str },
    /// Only to a level above mailboxes of others, or to nothing that can ever be there.
    Nowhere,
}

impl<'a> Named<'a> {
    pub(crate) fn of(name: &'a str) -> Self {
        let Some(rest) = name.strip_prefix(OTHERS) else {
            return if name == &OTHERS[..OTHERS.len() - 1] { Self::Nowhere } else { Self::Own(name) };
        };
        match rest.split_once(DELIMITER) {
            Some((owner, name)) if !name.is_empty() => match decode(owner) {
                Some(owner) => Self::Other { owner, name },
                None => Self::Nowhere,
            },
            _ => Self::Nowhere,
        }
    }

    /// The account, if it is another one.
    pub(crate) fn owner(&self) -> Option<&str> {
        match self {
            Self::Other { owner, .. } => Some(owner),
            _ => None,
        }
    }
}

/// What cannot stand in a level of a name.
fn is_special(octet: u8) -> bool {
    matches!(octet, b'/' | b'%' | b'*' | b'=' | 0x00..=0x1f | 0x7f)
}

/// The name of an account as one level: what cannot stand there as `=` and two hexadecimal digits.
fn encode(owner: &str) -> String {
    let mut out = String::with_capacity(owner.len());
    for c in owner.chars() {
        match u8::try_from(c).ok().filter(|octet| is_special(*octet)) {
            Some(octet) => out.push_str(&format!("={octet:02X}")),
            None => out.push(c),
        }
    }
    out
}

/// Back; `None` if it is not the one form.
fn decode(level: &str) -> Option<String> {
    let mut owner = String::new();
    let mut parts = level.split('=');
    owner.push_str(parts.next()?);
    for part in parts {
        let (digits, rest) = part.split_at_checked(2)?;
        owner.push(char::from(u8::from_str_radix(digits, 16).ok()?));
        owner.push_str(rest);
    }
    (!owner.is_empty() && encode(&owner) == level).then_some(owner)
}

/// How a client names a mailbox of another account.
pub(crate) fn others_name(owner: &str, name: &str) -> String {
    format!("{OTHERS}{}{DELIMITER}{name}", encode(owner))
}

/// A mailbox, with the name that the client uses, and what the account may do with it.
#[derive(Debug)]
pub(crate) struct Reached {
    pub(crate) mailbox: Mailbox,
    /// The name of the account whose it is.
    pub(crate) owner: String,
    /// As its owner names it.
    pub(crate) path: String,
    pub(crate) rights: Rights,
}

/// Which rights are asked for.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Needed {
    All(Rights),
    /// At least one of them.
    Any(Rights),
    /// `l`, and at least one of them.
    SeenAndAny(Rights),
}

impl Needed {
    fn is_met(self, rights: Rights) -> bool {
        match self {
            Self::All(needed) => rights.contains(needed),
            Self::Any(needed) => rights.has_any(needed),
            Self::SeenAndAny(needed) => rights.contains(Rights::LOOKUP) && rights.has_any(needed),
        }
    }
}

/// Why a mailbox cannot be used.
#[derive(Debug)]
pub(crate) enum Denied {
    /// The store says why; also where the account may not know whether the mailbox is there.
    Store(Error),
    /// It can be seen, but this is not allowed.
    NoRight,
}

impl Denied {
    pub(crate) fn response(&self) -> Response {
        match self {
            Self::Store(error) => refusal::response(error),
            Self::NoRight => no_right(),
        }
    }

    /// The same where the mailbox is a target.
    pub(crate) fn of_target(&self) -> Response {
        match self {
            Self::Store(error) => refusal::of_target(error),
            Self::NoRight => no_right(),
        }
    }
}

pub(crate) fn no_right() -> Response {
    Response::no("You do not have the right to do this.").word("NOPERM")
}

/// A mailbox that the account may see.
pub(crate) struct Visible {
    pub(crate) mailbox: Mailbox,
    pub(crate) rights: Rights,
}

/// Everything that LIST may show.
pub(crate) struct Sight {
    /// Own mailboxes in their order, then those of others.
    pub(crate) mailboxes: Vec<Visible>,
    /// Names that are subscribed to and lead to nothing that can be seen.
    pub(crate) subscribed_only: Vec<String>,
    /// How many of the mailboxes are the account's own.
    pub(crate) own: usize,
}

impl Client {
    /// What is left of rights for this login.
    pub(crate) fn masked(&self, rights: Rights) -> Rights {
        if scope::may_change(self) { rights } else { rights & Rights::READ_ONLY }
    }

    fn reader(&self) -> Result<AccountId, Denied> {
        self.account_id().ok_or_else(|| Denied::Store(Error::NoSuchAccount(String::new())))
    }

    /// A mailbox with whatever rights there are, which may be none.
    async fn find(&self, name: &str) -> Result<Reached, Denied> {
        let reader = self.reader()?;
        let place = Named::of(name);
        let missing = || Denied::Store(Error::NoSuchMailbox(name.to_owned()));
        let path = match &place {
            Named::Nowhere => return Err(missing()),
            Named::Own(path) => return self.find_own(reader, path).await.map_err(Denied::Store),
            Named::Other { name: path, .. } => path,
        };
        let found = match self.house.store.reach(reader, place.owner(), path).await {
            Ok(found) => found,
            Err(Error::NoSuchMailbox(_)) if place.owner().is_some() => return Err(missing()),
            Err(error) => return Err(Denied::Store(error)),
        };
        Ok(self.named(found, reader))
    }

    async fn find_own(&self, reader: AccountId, path: &str) -> Result<Reached, Error> {
        let roster = self.house.rosters.of(&self.house.store, reader).await?;
        let (mailbox, rights) = roster.find(path)?;
        let owner = self.account.as_ref().map(|account| account.name.clone()).unwrap_or_default();
        let (mailbox, path, rights) = (mailbox.clone(), mailbox.name.clone(), self.masked(rights));
        Ok(Reached { mailbox, owner, path, rights })
    }

    /// With the name that the client uses.
    fn named(&self, found: storage::Reached, reader: AccountId) -> Reached {
        let storage::Reached { mut mailbox, owner, rights } = found;
        let path = mailbox.name.clone();
        if mailbox.account != reader {
            mailbox.name = others_name(&owner, &path);
            mailbox.special_use = None;
        }
        Reached { mailbox, owner, path, rights: self.masked(rights) }
    }

    /// A mailbox with which the account may do what is needed. Who may not even see it learns that it is not there, whether it
    /// is or not (RFC 4314 §6).
    pub(crate) async fn reach(&self, name: &str, needed: Needed) -> Result<Reached, Denied> {
        let found = self.find(name).await?;
        if needed.is_met(found.rights) {
            Ok(found)
        } else if found.rights.contains(Rights::LOOKUP) {
            Err(Denied::NoRight)
        } else {
            Err(Denied::Store(Error::NoSuchMailbox(name.to_owned())))
        }
    }

    /// A mailbox by its number, if the account may do what is needed.
    pub(crate) async fn reach_id(
        &self,
        mailbox: MailboxId,
        needed: Needed,
    ) -> Result<Option<Reached>, Error> {
        let Some(reader) = self.account_id() else { return Ok(None) };
        match self.house.store.reach_id(reader, mailbox).await {
            Ok(found) => Ok(Some(self.named(found, reader)).filter(|found| needed.is_met(found.rights))),
            Err(Error::NoSuchMailbox(_)) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Everything that the account may see.
    pub(crate) async fn sight(&self, account: AccountId) -> Result<Sight, Error> {
        let store = &self.house.store;
        let roster = self.house.rosters.of(store, account).await?;
        let visible = |(mailbox, rights): (&Mailbox, Rights)| Visible {
            mailbox: mailbox.clone(),
            rights: self.masked(rights),
        };
        let mut mailboxes: Vec<Visible> = roster.all().map(visible).collect();
        let own = mailboxes.len();
        let shared = match roster.shares() {
            Shares::None => Vec::new(),
            Shares::Some => store.shared_with(account).await?,
        };
        let mut subscribed: HashSet<String> = roster.subscribed_only().iter().cloned().collect();
        for found in shared {
            let Reached { mailbox, rights, .. } = self.named(found, account);
            mailboxes.push(Visible { mailbox, rights });
        }
        let names: BTreeSet<String> = mailboxes[own..].iter().map(|one| one.mailbox.name.clone()).collect();
        for Visible { mailbox, .. } in &mut mailboxes[own..] {
            // Only what can be seen counts.
            mailbox.has_children = has_children(&names, &mailbox.name);
            mailbox.subscribed = subscribed.remove(&mailbox.name);
        }
        let mut subscribed_only: Vec<String> = subscribed.into_iter().collect();
        subscribed_only.sort_unstable();
        Ok(Sight { mailboxes, subscribed_only, own })
    }

    /// Whether the account may see mailboxes below one of another account.
    pub(crate) async fn sees_below(&self, reached: &Reached) -> Result<bool, Error> {
        let shared =
            self.house.store.shared_with(self.account_id().unwrap_or(reached.mailbox.account)).await?;
        let names = shared.iter().map(|one| others_name(&one.owner, &one.mailbox.name)).collect();
        Ok(has_children(&names, &reached.mailbox.name))
    }
}

fn has_children(names: &BTreeSet<String>, name: &str) -> bool {
    let prefix = format!("{name}{DELIMITER}");
    names.range(prefix.clone()..).next().is_some_and(|next| next.starts_with(&prefix))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_lead_somewhere() {
        let other = |owner: &str, name| Named::Other { owner: owner.to_owned(), name };
        for (name, want) in [
            ("INBOX", Named::Own("INBOX")),
            ("Other Users", Named::Nowhere),
            ("other users/x", Named::Own("other users/x")),
            ("Other Usersx", Named::Own("Other Usersx")),
            ("Other Users/", Named::Nowhere),
            ("Other Users/bob@x", Named::Nowhere),
            ("Other Users/bob@x/", Named::Nowhere),
            ("Other Users//a", Named::Nowhere),
            ("Other Users/bob@x/INBOX", other("bob@x", "INBOX")),
            ("Other Users/bob@x/a/b", other("bob@x", "a/b")),
            ("Other Users/a=2Fb=3D=25@x/a", other("a/b=%@x", "a")),
            // Not the one form.
            ("Other Users/a=2fb@x/a", Named::Nowhere),
            ("Other Users/a=61/a", Named::Nowhere),
            ("Other Users/a=2/a", Named::Nowhere),
            ("Other Users/a=ü/a", Named::Nowhere),
            ("Other Users/*/a", Named::Nowhere),
        ] {
            assert_eq!(Named::of(name), want, "{name}");
            if let Named::Other { owner, name: path } = &want {
                assert_eq!(others_name(owner, path), name);
            }
        }
        for owner in ["a", "=", "%*", "ü=ü@x", "a/b"] {
            let name = others_name(owner, "m");
            assert_eq!(Named::of(&name), other(owner, "m"), "{name}");
        }
    }

    #[test]
    fn rights_that_are_needed() {
        let rights = |text: &str| text.parse::<Rights>().unwrap();
        for (has, needed, want) in [
            ("lr", Needed::All(rights("r")), true),
            ("lr", Needed::All(rights("rs")), false),
            ("", Needed::All(rights("")), true),
            ("i", Needed::Any(rights("ri")), true),
            ("l", Needed::Any(rights("ri")), false),
            ("lp", Needed::SeenAndAny(rights("rp")), true),
            ("p", Needed::SeenAndAny(rights("rp")), false),
            ("lx", Needed::SeenAndAny(rights("rp")), false),
        ] {
            assert_eq!(needed.is_met(rights(has)), want, "{has} {needed:?}");
        }
    }
}
