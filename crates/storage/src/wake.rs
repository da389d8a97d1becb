//! Bells: one number per account, and one for the queue. The bell has no content; the tables have the truth.

use crate::ids::{AccountId, ModSeq};
use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use tokio::sync::watch;

/// Rings for those who wait. A slow listener misses rings, never the newest number.
pub(crate) struct Wake {
    accounts: Mutex<HashMap<AccountId, watch::Sender<ModSeq>>>,
    queue: watch::Sender<u64>,
}

/// What a transaction will ring for once it is committed.
#[derive(Default, Clone)]
pub(crate) struct Rings {
    pub(crate) accounts: Vec<(AccountId, ModSeq)>,
    pub(crate) queue: bool,
}

impl Wake {
    pub(crate) fn new() -> Self {
        Self { accounts: Mutex::new(HashMap::new()), queue: watch::Sender::new(0) }
    }

    fn accounts(&self) -> MutexGuard<'_, HashMap<AccountId, watch::Sender<ModSeq>>> {
        self.accounts.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn watch(&self, account: AccountId) -> watch::Receiver<ModSeq> {
        self.accounts().entry(account).or_insert_with(|| watch::Sender::new(0)).subscribe()
    }

    pub(crate) fn watch_queue(&self) -> watch::Receiver<u64> {
        self.queue.subscribe()
    }

    pub(crate) fn ring(&self, rings: &Rings) {
        if !rings.accounts.is_empty() {
            let mut accounts = self.accounts();
            for (account, modseq) in &rings.accounts {
                let Some(bell) = accounts.get(account) else { continue };
                if bell.receiver_count() == 0 {
                    // The last listener has gone; a new one starts a new bell.
                    accounts.remove(account);
                } else {
                    bell.send_modify(|number| *number = (*number).max(*modseq));
                }
            }
        }
        if rings.queue {
            self.queue.send_modify(|number| *number += 1);
        }
    }
}
