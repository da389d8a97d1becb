//! One picture of a mailbox per process: which messages it has and how they are flagged. All sessions that have
//! selected it share the picture, so that they never disagree.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard, Weak};
use storage::{Changes, MailboxId, Mark, ModSeq, Snapshot, Store, Uid};

/// The messages of a mailbox, as compact as they can be and still be complete.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Picture {
    /// Bit `n` of a mark stands for `keywords[n]`.
    pub(crate) keywords: Vec<String>,
    /// Ascending by UID.
    pub(crate) marks: Vec<Mark>,
    pub(crate) modseq: ModSeq,
    pub(crate) uidnext: Uid,
}

impl Picture {
    pub(crate) fn new(snapshot: Snapshot) -> Self {
        Self {
            keywords: snapshot.keywords,
            marks: snapshot.marks,
            modseq: snapshot.mailbox.modseq,
            uidnext: snapshot.mailbox.uidnext,
        }
    }

    /// Brings the picture up to date.
    pub(crate) fn apply(&mut self, changes: Changes) {
        if !changes.vanished.is_empty() {
            self.marks.retain(|mark| !changes.vanished.contains(mark.uid));
        }
        for mark in changes.changed {
            match self.marks.binary_search_by_key(&mark.uid, |known| known.uid) {
                Ok(at) => self.marks[at] = mark,
                Err(at) => self.marks.insert(at, mark),
            }
        }
        self.keywords = changes.keywords;
        self.modseq = changes.mailbox.modseq;
        self.uidnext = changes.mailbox.uidnext;
    }

    pub(crate) fn mark(&self, uid: Uid) -> Option<&Mark> {
        self.marks.binary_search_by_key(&uid, |mark| mark.uid).ok().map(|at| &self.marks[at])
    }
}

/// A picture that several sessions look at.
pub(crate) struct Shared {
    mailbox: MailboxId,
    picture: RwLock<Picture>,
    /// The newest number of the account's bell that the picture was brought up to. Held while the store is asked,
    /// so that one session asks for all.
    checked: tokio::sync::Mutex<ModSeq>,
}

impl Shared {
    /// The picture. Not to be held while waiting for anything.
    pub(crate) fn look(&self) -> RwLockReadGuard<'_, Picture> {
        self.picture.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// Makes sure that everything up to the bell's number `rung` is in the picture.
    pub(crate) async fn refresh(&self, store: &Store, rung: ModSeq) -> storage::Result<()> {
        let mut checked = self.checked.lock().await;
        if *checked >= rung {
            return Ok(());
        }
        let since = self.look().modseq;
        let changes = store.changes_since(self.mailbox, since).await?;
        self.picture.write().unwrap_or_else(PoisonError::into_inner).apply(changes);
        *checked = rung;
        Ok(())
    }
}

/// The pictures that are in use.
#[derive(Default)]
pub(crate) struct Pictures {
    known: Mutex<HashMap<MailboxId, Weak<Shared>>>,
}

impl Pictures {
    fn known(&self) -> MutexGuard<'_, HashMap<MailboxId, Weak<Shared>>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The picture of a mailbox, up to the bell's number `rung`; made if nobody has it yet.
    pub(crate) async fn open(
        &self,
        store: &Store,
        mailbox: MailboxId,
        rung: ModSeq,
    ) -> storage::Result<Arc<Shared>> {
        let known = self.known().get(&mailbox).and_then(Weak::upgrade);
        let shared = match known {
            Some(shared) => shared,
            None => {
                let picture = Picture::new(store.snapshot(mailbox).await?);
                self.keep(mailbox, picture, rung)
            }
        };
        shared.refresh(store, rung).await?;
        Ok(shared)
    }

    /// Keeps a new picture, unless another session was faster.
    fn keep(&self, mailbox: MailboxId, picture: Picture, rung: ModSeq) -> Arc<Shared> {
        let mut known = self.known();
        if let Some(shared) = known.get(&mailbox).and_then(Weak::upgrade) {
            return shared;
        }
        known.retain(|_, shared| shared.strong_count() > 0);
        let shared = Arc::new(Shared {
            mailbox,
            picture: RwLock::new(picture),
            checked: tokio::sync::Mutex::new(rung),
        });
        known.insert(mailbox, Arc::downgrade(&shared));
        shared
    }
}
