//! Bells: one number per account, and one for the queue. The bell has no content; the tables have the truth.

use crate::ids::{AccountId, ModSeq};
use std::collections::{BTreeSet, HashMap};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use tokio::sync::watch;

/// From so many bells of credentials on, those that nobody hears are dropped before another is hung up.
const NAMES_SWEPT: usize = 1024;

/// Rings for those who wait. A slow listener misses rings, never the newest number.
pub(crate) struct Wake {
    accounts: Mutex<HashMap<AccountId, Bell>>,
    queue: watch::Sender<u64>,
    hurries: AtomicU64,
    /// Accounts that changed since the search index last asked.
    changed: Mutex<BTreeSet<AccountId>>,
    changes: watch::Sender<Changed>,
    credentials: watch::Sender<u64>,
    /// Counts changes of rights.
    rights: watch::Sender<u64>,
    /// By name, those for whom somebody waits.
    names: Mutex<HashMap<String, watch::Sender<u64>>>,
}

/// The bell of one account.
#[derive(Default)]
struct Bell {
    sender: watch::Sender<ModSeq>,
    /// Counts changes of its mailboxes as such: of names, of what they are for, of subscriptions.
    names: u64,
}

/// What the search index is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Changed {
    Something,
    /// The store is closed.
    Closed,
}

/// What a transaction will ring for once it is committed.
#[derive(Default, Clone)]
pub(crate) struct Rings {
    pub(crate) accounts: Vec<(AccountId, ModSeq)>,
    /// Accounts that have other mailboxes or subscriptions than before; their bells ring as well.
    pub(crate) names: Vec<AccountId>,
    pub(crate) queue: bool,
    /// Somebody's rights changed.
    pub(crate) rights: bool,
    /// An administrator wants waiting mail tried at once.
    pub(crate) hurry: bool,
    /// Names of credentials.
    pub(crate) credentials: Vec<String>,
}

impl Wake {
    pub(crate) fn new() -> Self {
        Self {
            accounts: Mutex::new(HashMap::new()),
            queue: watch::Sender::new(0),
            hurries: AtomicU64::new(0),
            changed: Mutex::default(),
            changes: watch::Sender::new(Changed::Something),
            credentials: watch::Sender::new(0),
            rights: watch::Sender::new(0),
            names: Mutex::new(HashMap::new()),
        }
    }

    fn accounts(&self) -> MutexGuard<'_, HashMap<AccountId, Bell>> {
        self.accounts.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn watch(&self, account: AccountId) -> watch::Receiver<ModSeq> {
        self.accounts().entry(account).or_default().sender.subscribe()
    }

    /// Another number than before: the account has other mailboxes or subscriptions. Only for who listens to its bell.
    pub(crate) fn names_version(&self, account: AccountId) -> u64 {
        self.accounts().get(&account).map_or(0, |bell| bell.names)
    }

    pub(crate) fn watch_queue(&self) -> watch::Receiver<u64> {
        self.queue.subscribe()
    }

    pub(crate) fn hurries(&self) -> &AtomicU64 {
        &self.hurries
    }

    /// Tells that accounts changed, and in the end that no more will.
    pub(crate) fn watch_changes(&self) -> watch::Receiver<Changed> {
        self.changes.subscribe()
    }

    /// Accounts that changed since this was asked last.
    pub(crate) fn take_changed(&self) -> BTreeSet<AccountId> {
        std::mem::take(&mut *self.changed.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Notes a change for the search index.
    pub(crate) fn changed(&self, account: AccountId) {
        self.note(std::iter::once(account));
    }

    fn note(&self, accounts: impl Iterator<Item = AccountId>) {
        let mut changed = self.changed.lock().unwrap_or_else(PoisonError::into_inner);
        let idle = changed.is_empty();
        changed.extend(accounts);
        if idle {
            self.changes.send_if_modified(|state| *state != Changed::Closed);
        }
    }

    pub(crate) fn close(&self) {
        self.changes.send_replace(Changed::Closed);
    }

    pub(crate) fn watch_credentials(&self) -> watch::Receiver<u64> {
        self.credentials.subscribe()
    }

    pub(crate) fn watch_credential(&self, name: &str) -> watch::Receiver<u64> {
        let mut names = self.names.lock().unwrap_or_else(PoisonError::into_inner);
        if names.len() >= NAMES_SWEPT {
            names.retain(|_, bell| bell.receiver_count() > 0);
        }
        names.entry(name.to_owned()).or_insert_with(|| watch::Sender::new(0)).subscribe()
    }

    fn ring_credentials(&self, rung: &[String]) {
        let mut names = self.names.lock().unwrap_or_else(PoisonError::into_inner);
        for name in rung {
            if let Some(bell) = names.remove(name).filter(|bell| bell.receiver_count() > 0) {
                bell.send_modify(|number| *number += 1);
                names.insert(name.clone(), bell);
            }
        }
        self.credentials.send_modify(|number| *number += 1);
    }

    pub(crate) fn watch_rights(&self) -> watch::Receiver<u64> {
        self.rights.subscribe()
    }

    /// Grows with each change of rights.
    pub(crate) fn rights_version(&self) -> u64 {
        *self.rights.borrow()
    }

    pub(crate) fn ring(&self, rings: &Rings) {
        if rings.rights {
            // Before the bells, so that those who are woken see it.
            self.rights.send_modify(|number| *number += 1);
        }
        if !rings.accounts.is_empty() {
            if self.changes.receiver_count() > 0 {
                self.note(rings.accounts.iter().map(|(account, _)| *account));
            }
            let mut accounts = self.accounts();
            // Before they ring, so that those who are woken see it.
            for account in &rings.names {
                if let Some(bell) = accounts.get_mut(account) {
                    bell.names += 1;
                }
            }
            for (account, modseq) in &rings.accounts {
                let Some(bell) = accounts.get(account) else { continue };
                if bell.sender.receiver_count() == 0 {
                    // The last listener has gone; a new one starts a new bell.
                    accounts.remove(account);
                } else {
                    bell.sender.send_modify(|number| *number = (*number).max(*modseq));
                }
            }
        }
        if !rings.credentials.is_empty() {
            self.ring_credentials(&rings.credentials);
        }
        if rings.hurry {
            self.hurries.fetch_add(1, Ordering::SeqCst);
        }
        if rings.queue {
            self.queue.send_modify(|number| *number += 1);
        }
    }
}
