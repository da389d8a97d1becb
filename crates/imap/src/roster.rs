//! The mailboxes of accounts with their counters, as this process knows them: kept as long as the bell of the account says that they
//! are still true, so that STATUS, LIST and SELECT one after the other ask the store once for what has changed.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use storage::{AccountId, Error, Mailbox, MailboxId, ModSeq, Rights, Store, canonical_name};
use tokio::sync::watch;

/// Mailboxes of all accounts together that are kept; with more all are forgotten.
const KEPT_MAX: usize = 50_000;

/// The rosters of all accounts. Cloning is cheap; all clones are one.
#[derive(Clone, Default)]
pub(crate) struct Rosters {
    kept: Arc<Mutex<HashMap<AccountId, Arc<Roster>>>>,
}

/// The mailboxes of one account at one moment.
#[derive(Clone)]
pub(crate) struct Roster {
    /// Held, so that its numbers go on.
    bell: watch::Receiver<ModSeq>,
    as_of: Version,
    /// The newest of the mailboxes.
    modseq: ModSeq,
    /// In the order of LIST.
    mailboxes: Vec<Arc<Mailbox>>,
    names: Arc<Names>,
}

/// What changes less often.
struct Names {
    places: HashMap<String, usize>,
    subscribed_only: Vec<String>,
    /// What the owner may do where that is not everything.
    limited: HashMap<MailboxId, Rights>,
    /// Whether others show mailboxes to the account.
    shares: Shares,
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Shares {
    None,
    Some,
}

/// What bells said before the store was asked.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Version {
    rung: ModSeq,
    names: u64,
    rights: u64,
}

impl Version {
    /// The bell first: what happens between is found the next time.
    fn now(store: &Store, account: AccountId, bell: &watch::Receiver<ModSeq>) -> Self {
        let rung = *bell.borrow();
        Self { rung, names: store.names_version(account), rights: store.rights_version() }
    }
}

impl Rosters {
    fn kept(&self) -> MutexGuard<'_, HashMap<AccountId, Arc<Roster>>> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The mailboxes of an account as they are now.
    pub(crate) async fn of(&self, store: &Store, account: AccountId) -> Result<Arc<Roster>, Error> {
        let known = self.kept().get(&account).cloned();
        let bell = known.as_ref().map_or_else(|| store.watch(account), |known| known.bell.clone());
        let as_of = Version::now(store, account, &bell);
        let roster = match known {
            Some(known) if known.as_of == as_of => return Ok(known),
            Some(known) if (known.as_of.names, known.as_of.rights) == (as_of.names, as_of.rights) => {
                let news = store.changed_mailboxes(account, known.modseq).await?;
                Arc::new(known.with(news, as_of))
            }
            _ => Arc::new(Roster::read(store, account, bell, as_of).await?),
        };
        self.keep(account, Arc::clone(&roster));
        Ok(roster)
    }

    fn keep(&self, account: AccountId, roster: Arc<Roster>) {
        let mut kept = self.kept();
        if !kept.contains_key(&account) {
            let mailboxes: usize = kept.values().map(|roster| roster.mailboxes.len()).sum();
            if mailboxes + roster.mailboxes.len() > KEPT_MAX {
                kept.clear();
            }
        }
        // Another session may have been faster, and know more.
        let is_newer = |known: &Arc<Roster>| known.as_of.rung > roster.as_of.rung;
        if !kept.get(&account).is_some_and(is_newer) {
            kept.insert(account, roster);
        }
    }
}

impl Roster {
    async fn read(
        store: &Store,
        account: AccountId,
        bell: watch::Receiver<ModSeq>,
        as_of: Version,
    ) -> Result<Self, Error> {
        let listing = store.list(account).await?;
        let limited = store.own_rights(account).await?.into_iter().collect();
        let shares = if store.shared_with(account).await?.is_empty() { Shares::None } else { Shares::Some };
        let mailboxes: Vec<Arc<Mailbox>> = listing.mailboxes.into_iter().map(Arc::new).collect();
        let places = mailboxes.iter().enumerate().map(|(at, mailbox)| (mailbox.name.clone(), at)).collect();
        let names = Arc::new(Names { places, subscribed_only: listing.subscribed_only, limited, shares });
        let modseq = mailboxes.iter().map(|mailbox| mailbox.modseq).max().unwrap_or(0);
        Ok(Self { bell, as_of, modseq, mailboxes, names })
    }

    /// The same with mailboxes in which messages changed.
    fn with(&self, news: Vec<Mailbox>, as_of: Version) -> Self {
        let mut now = Self { as_of, ..self.clone() };
        for mailbox in news {
            now.modseq = mailbox.modseq.max(now.modseq);
            // One that has come or got another name meanwhile is told by the names, the next time.
            let known = now.names.places.get(&mailbox.name).and_then(|at| now.mailboxes.get_mut(*at));
            if let Some(known) = known.filter(|known| known.id == mailbox.id) {
                *known = Arc::new(mailbox);
            }
        }
        now
    }

    /// A mailbox by its name, with what its owner may do.
    pub(crate) fn find(&self, name: &str) -> Result<(&Mailbox, Rights), Error> {
        let name = canonical_name(name);
        let found = self.names.places.get(&name).and_then(|at| self.mailboxes.get(*at));
        match found {
            Some(mailbox) => Ok((mailbox, self.rights(mailbox.id))),
            None => Err(Error::NoSuchMailbox(name)),
        }
    }

    fn rights(&self, mailbox: MailboxId) -> Rights {
        self.names.limited.get(&mailbox).copied().unwrap_or(Rights::ALL)
    }

    /// All mailboxes, with what their owner may do.
    pub(crate) fn all(&self) -> impl Iterator<Item = (&Mailbox, Rights)> {
        self.mailboxes.iter().map(|mailbox| (mailbox.as_ref(), self.rights(mailbox.id)))
    }

    /// Names that are subscribed to and lead to no mailbox of the account.
    pub(crate) fn subscribed_only(&self) -> &[String] {
        &self.names.subscribed_only
    }

    pub(crate) fn shares(&self) -> Shares {
        self.names.shares
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use storage::{Config, FlagChange, FlagMode, Flags, NewMessage, Shape, UidSet};

    fn mail(text: &str) -> NewMessage {
        NewMessage {
            message: mail::Message::new(mail::Blob::from_bytes(text.as_bytes())),
            shape: Shape::default(),
            flags: Flags::NONE,
            keywords: Vec::new(),
            received: 0,
        }
    }

    /// Whatever happens, a roster says what the store says.
    #[tokio::test]
    async fn it_is_what_the_store_has() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(Config::new(dir.path()), world::fake::world(1)).await.unwrap();
        let account = store.create_account("a@a.example").await.unwrap();
        let rosters = Rosters::default();
        for step in 0..12 {
            let inbox = store.mailbox(account, "INBOX").await.unwrap().id;
            let seen = FlagChange { mode: FlagMode::Add, flags: Flags::SEEN, keywords: Vec::new() };
            match step {
                1 | 2 => drop(store.append(inbox, vec![mail("x"), mail("y")]).await.unwrap()),
                3 => drop(store.store_flags(inbox, &UidSet::one(1), seen, None).await.unwrap()),
                4 => drop(store.create_mailbox(account, "new/one", None).await.unwrap()),
                5 => store.subscribe(account, "nowhere").await.unwrap(),
                6 => store.rename_mailbox(account, "new", "old").await.unwrap(),
                7 => drop(
                    store.append(store.mailbox(account, "old/one").await.unwrap().id, vec![mail("z")]).await,
                ),
                8 => store.rename_mailbox(account, "INBOX", "before").await.unwrap(),
                9 => store.unsubscribe(account, "INBOX").await.unwrap(),
                10 => store.delete_mailbox(account, "old/one").await.unwrap(),
                11 => {
                    let to = storage::Grantee::Account("a@a.example".to_owned());
                    let change = storage::GrantChange::Set(Rights::READ);
                    store.grant(inbox, to, storage::Sign::Positive, change).await.unwrap();
                }
                _ => {}
            }
            let roster = rosters.of(&store, account).await.unwrap();
            let listing = store.list(account).await.unwrap();
            let got: Vec<Mailbox> = roster.all().map(|(mailbox, _)| mailbox.clone()).collect();
            assert_eq!(got, listing.mailboxes, "step {step}");
            assert_eq!(roster.subscribed_only(), listing.subscribed_only, "step {step}");
            let limited = store.own_rights(account).await.unwrap();
            for (mailbox, rights) in roster.all() {
                let want =
                    limited.iter().find(|(id, _)| *id == mailbox.id).map_or(Rights::ALL, |found| found.1);
                assert_eq!(rights, want, "step {step}");
            }
            assert!(Arc::ptr_eq(&roster, &rosters.of(&store, account).await.unwrap()), "step {step}");
        }
        let roster = rosters.of(&store, account).await.unwrap();
        assert_eq!(roster.find("inbox").unwrap().0.name, "INBOX");
        assert!(roster.find("old/one").is_err());
        store.close().await;
    }
}
