//! How much of messages may be on its way in by APPEND at the same time: over all sessions, and over those of one account, so
//! that nobody takes the room of the others.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use storage::AccountId;

/// The part of the whole that one account may take; or one message, if that is more.
const ACCOUNT_PART: u64 = 4;

/// Octets that have come and are not filed yet. Cloning is cheap, and all clones are one.
#[derive(Clone, Default)]
pub(crate) struct Transit {
    taken: Arc<Mutex<Taken>>,
}

#[derive(Default)]
struct Taken {
    all: u64,
    by: HashMap<AccountId, u64>,
}

/// Why there is no room.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Full {
    /// The account's sessions take too much.
    Account,
    /// All sessions together do.
    All,
}

/// What one APPEND takes; given back when dropped.
pub(crate) struct Held {
    transit: Transit,
    account: AccountId,
    octets: u64,
    /// For all, and for the account.
    most: (u64, u64),
}

impl Transit {
    fn taken(&self) -> MutexGuard<'_, Taken> {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// For one APPEND. There may be `most` octets of all accounts, and of these a part of one account, which a message of
    /// `message` octets fits into in any case.
    pub(crate) fn hold(&self, account: AccountId, most: u64, message: u64) -> Held {
        let most = (most, (most / ACCOUNT_PART).max(message));
        Held { transit: self.clone(), account, octets: 0, most }
    }
}

impl Held {
    /// Whether so many more would fit now.
    pub(crate) fn has_room(&self, octets: u64) -> Result<(), Full> {
        self.with(&self.transit.taken(), octets).map(drop)
    }

    /// What all take and what the account takes with so many more.
    fn with(&self, taken: &Taken, octets: u64) -> Result<(u64, u64), Full> {
        let all = taken.all.saturating_add(octets);
        let ours = taken.by.get(&self.account).copied().unwrap_or(0).saturating_add(octets);
        match self.most {
            (most, _) if all > most => Err(Full::All),
            (_, most) if ours > most => Err(Full::Account),
            _ => Ok((all, ours)),
        }
    }

    /// Takes more; nothing, if there is no room.
    pub(crate) fn grow(&mut self, octets: u64) -> Result<(), Full> {
        let mut taken = self.transit.taken();
        let (all, ours) = self.with(&taken, octets)?;
        taken.all = all;
        taken.by.insert(self.account, ours);
        drop(taken);
        self.octets += octets;
        Ok(())
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        let mut taken = self.transit.taken();
        taken.all -= self.octets;
        if let Some(ours) = taken.by.get_mut(&self.account) {
            *ours -= self.octets;
            if *ours == 0 {
                taken.by.remove(&self.account);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_account_leaves_room_for_others() {
        let transit = Transit::default();
        let [alice, bob] = [1, 2].map(AccountId::from_number);
        let mut one = transit.hold(alice, 400, 10);
        let mut two = transit.hold(alice, 400, 10);
        let mut other = transit.hold(bob, 400, 400);
        assert_eq!(one.grow(60), Ok(()));
        assert_eq!((two.has_room(41), two.grow(41)), (Err(Full::Account), Err(Full::Account)));
        assert_eq!((two.has_room(40), two.grow(40)), (Ok(()), Ok(())));
        // A message that may be that large comes alone.
        assert_eq!(other.grow(300), Ok(()));
        assert_eq!(other.grow(1), Err(Full::All));
        assert_eq!(other.grow(u64::MAX), Err(Full::All));
        drop(one);
        assert_eq!(transit.taken().all, 340);
        assert_eq!(other.grow(60), Ok(()));
        drop((two, other));
        let taken = transit.taken();
        assert_eq!((taken.all, taken.by.len()), (0, 0));
    }
}
