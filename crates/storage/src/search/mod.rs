//! The search index: derived from the messages of an account, in a database of its own beside the store's, which may be
//! deleted at any time.
//!
//! It holds the text of each message as `mail::mime::SearchText` reads it, the trigrams of that text, and which message of
//! which mailbox has it. It is fed in the background; up to which UID a mailbox is in it, it says itself. What lies above,
//! and what the index cannot hold, has to be read. So it can only be slow, never wrong: whoever asks gets messages that
//! *may* have a text, and checks them.

mod config;
mod database;
mod feed;
mod files;
mod query;

pub use config::Search;
pub use query::{Candidates, IndexStatus, TERM_MIN};

pub(crate) use feed::Feeder;

use crate::error::Error;
use crate::ids::{AccountId, MailboxId};
use crate::wake::Wake;
use files::Files;
use rusqlite::Connection;
use std::collections::{BTreeSet, HashMap};
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// Most indexes that are open to be asked at the same time; the one that was not asked for the longest time is closed.
const OPEN_MAX: usize = 32;
/// Most mailboxes whose accounts are remembered.
const KNOWN_MAX: usize = 10_000;

/// After a failure an account is looked at again not before this.
const RETRY: Duration = Duration::from_secs(30);

type Reader = Arc<tokio::sync::Mutex<Connection>>;

/// The indexes of all accounts.
pub(crate) struct Indexes {
    files: Files,
    config: Search,
    wake: Arc<Wake>,
    open: Mutex<Open>,
    /// Accounts whose index is to be made anew. Until that has begun it is not asked.
    anew: Mutex<BTreeSet<AccountId>>,
    /// To which account a mailbox belongs never changes.
    accounts: Mutex<HashMap<MailboxId, AccountId>>,
    /// When an index was last found damaged.
    damaged: Mutex<HashMap<AccountId, Instant>>,
}

#[derive(Default)]
struct Open {
    /// With the number of the question that was asked last.
    readers: HashMap<AccountId, (Reader, u64)>,
    questions: u64,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Indexes {
    /// `newest`: the highest number that a content of the store ever had.
    pub(crate) fn new(dir: &Path, config: Search, newest: i64, wake: Arc<Wake>) -> std::io::Result<Self> {
        let files = Files::prepare(dir, newest)?;
        Ok(Self {
            files,
            config,
            wake,
            open: Mutex::default(),
            anew: Mutex::default(),
            accounts: Mutex::default(),
            damaged: Mutex::default(),
        })
    }

    /// A connection to ask by. `None`: there is no index, or it is about to be made anew.
    async fn reader(&self, account: AccountId) -> Option<Reader> {
        if !self.config.index || lock(&self.anew).contains(&account) {
            return None;
        }
        {
            let mut open = lock(&self.open);
            open.questions += 1;
            let number = open.questions;
            if let Some((reader, last)) = open.readers.get_mut(&account) {
                *last = number;
                return Some(Arc::clone(reader));
            }
        }
        if !self.files.exists(account) {
            return None;
        }
        let path = self.files.path(account);
        let opened = tokio::task::spawn_blocking(move || database::open_reader(&path)).await;
        match opened.unwrap_or_else(|error| Err(Error::bug(format!("opening an index: {error}")))) {
            Ok(connection) => Some(self.keep(account, connection?)),
            Err(error) => {
                self.is_damaged(account, &error);
                None
            }
        }
    }

    fn keep(&self, account: AccountId, connection: Connection) -> Reader {
        let reader = Arc::new(tokio::sync::Mutex::new(connection));
        let mut open = lock(&self.open);
        if open.readers.len() >= OPEN_MAX {
            let oldest = open.readers.iter().min_by_key(|(_, (_, last))| *last).map(|(account, _)| *account);
            oldest.and_then(|account| open.readers.remove(&account));
        }
        let number = open.questions;
        open.readers.insert(account, (Arc::clone(&reader), number));
        reader
    }

    /// Closes what is open of an index, once those that ask are done.
    fn forget(&self, account: AccountId) {
        lock(&self.open).readers.remove(&account);
    }

    /// An index that does not answer is made anew; what is searched meanwhile is read.
    fn is_damaged(&self, account: AccountId, error: &Error) {
        tracing::warn!(%account, %error, "the search index is damaged and will be made anew");
        lock(&self.anew).insert(account);
        self.forget(account);
        let before = lock(&self.damaged).insert(account, Instant::now());
        if before.is_some_and(|at| at.elapsed() < RETRY) {
            self.change_later(account);
        } else {
            self.wake.changed(account);
        }
    }

    /// Has the account looked at again, but not at once.
    fn change_later(&self, account: AccountId) {
        let wake = Arc::downgrade(&self.wake);
        tokio::spawn(async move {
            tokio::time::sleep(RETRY).await;
            if let Some(wake) = wake.upgrade() {
                wake.changed(account);
            }
        });
    }

    fn make_anew(&self, account: AccountId) {
        lock(&self.anew).insert(account);
        self.forget(account);
        self.wake.changed(account);
    }
}
