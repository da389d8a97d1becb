//! One picture of a mailbox per process: which messages it has and how they are flagged. All sessions that have
//! selected it share the picture, so that they never disagree.

use crate::journal::Journal;
use crate::search::columns::Columns;
use crate::seek::seek;
use std::mem::size_of;
use std::sync::{PoisonError, RwLock, RwLockReadGuard};
use storage::{Changes, MailboxId, Mark, ModSeq, Snapshot, Store, Stored, Uid};

/// The messages of a mailbox, as compact as they can be and still be complete.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Picture {
    /// Bit `n` of a mark stands for `keywords[n]`.
    pub(crate) keywords: Vec<String>,
    /// Ascending by UID.
    pub(crate) marks: Vec<Mark>,
    pub(crate) modseq: ModSeq,
    pub(crate) uidnext: Uid,
    pub(crate) journal: Journal,
}

impl Picture {
    pub(crate) fn new(snapshot: Snapshot) -> Self {
        Self {
            keywords: snapshot.keywords,
            marks: snapshot.marks,
            modseq: snapshot.mailbox.modseq,
            uidnext: snapshot.mailbox.uidnext,
            journal: Journal::new(snapshot.mailbox.modseq),
        }
    }

    /// Brings the picture up to date.
    pub(crate) fn apply(&mut self, changes: Changes) {
        let now = changes.mailbox.modseq;
        if !changes.vanished.is_empty() {
            let mut removed = Vec::new();
            self.marks.retain(|mark| {
                let stays = !changes.vanished.contains(mark.uid);
                if !stays {
                    removed.push((now, mark.uid));
                }
                stays
            });
            self.journal.removed(removed.into_iter(), now);
        }
        self.journal.changed(changes.changed.iter().map(|mark| (mark.modseq, mark.uid)), now);
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

    fn take_over(&mut self, stored: &Stored) {
        for mark in &stored.changed {
            if let Ok(at) = self.marks.binary_search_by_key(&mark.uid, |known| known.uid) {
                self.marks[at] = *mark;
            }
        }
        let changed = stored.changed.iter().map(|mark| (mark.modseq, mark.uid));
        self.journal.changed(changed, stored.modseq);
        self.keywords.clone_from(&stored.keywords);
        self.modseq = stored.modseq;
    }

    /// About how much memory it takes.
    pub(crate) fn octets(&self) -> usize {
        let keywords: usize = self.keywords.iter().map(|name| size_of::<String>() + name.capacity()).sum();
        size_of::<Shared>() + self.marks.capacity() * size_of::<Mark>() + keywords
    }

    pub(crate) fn mark(&self, uid: Uid) -> Option<&Mark> {
        self.marks.binary_search_by_key(&uid, |mark| mark.uid).ok().map(|at| &self.marks[at])
    }

    /// The same near `at`, where the one before was found; the picture may have changed since.
    pub(crate) fn mark_near(&self, uid: Uid, at: &mut usize) -> Option<&Mark> {
        let passed = at.checked_sub(1).and_then(|before| self.marks.get(before));
        let from = if passed.is_some_and(|mark| mark.uid < uid) { *at } else { 0 };
        let found = seek(&self.marks, from, uid, |mark| mark.uid).ok()?;
        *at = found + 1;
        self.marks.get(found)
    }

    /// For one who goes over the messages in their order.
    pub(crate) fn walk(&self) -> Walk<'_> {
        Walk { marks: &self.marks, at: 0 }
    }
}

/// Goes over a picture; UIDs that are asked for ascend.
pub(crate) struct Walk<'p> {
    marks: &'p [Mark],
    at: usize,
}

impl<'p> Walk<'p> {
    pub(crate) fn mark(&mut self, uid: Uid) -> Option<&'p Mark> {
        let found = seek(self.marks, self.at, uid, |mark| mark.uid);
        self.at = found.map_or_else(|next| next, |at| at + 1);
        found.ok().and_then(|at| self.marks.get(at))
    }
}

/// A picture that several sessions look at.
pub(crate) struct Shared {
    mailbox: MailboxId,
    picture: RwLock<Picture>,
    /// The newest number of the account's bell that the picture was brought up to. Held while the store is asked,
    /// so that one session asks for all.
    checked: tokio::sync::Mutex<ModSeq>,
    columns: Columns,
}

impl Shared {
    /// A picture that was read when the account's bell had rung up to `checked`, or later.
    pub(crate) fn new(mailbox: MailboxId, picture: Picture, checked: ModSeq, columns: Columns) -> Self {
        let checked = tokio::sync::Mutex::new(checked);
        Self { mailbox, picture: RwLock::new(picture), checked, columns }
    }

    /// What is known of the messages of all mailboxes for sorting and threading.
    pub(crate) fn columns(&self) -> &Columns {
        &self.columns
    }

    pub(crate) fn mailbox(&self) -> MailboxId {
        self.mailbox
    }

    /// The picture. Not to be held while waiting for anything.
    pub(crate) fn look(&self) -> RwLockReadGuard<'_, Picture> {
        self.picture.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// Makes sure that everything up to the bell's number `rung` is in the picture.
    pub(crate) async fn refresh(&self, store: &Store, rung: ModSeq) -> storage::Result<()> {
        let mut checked = self.checked.lock().await;
        if *checked < rung {
            self.read_changes(store).await?;
            *checked = rung;
        }
        Ok(())
    }

    /// The same when the mailbox was seen to be at `modseq` after the bell had rung up to `rung`: if the picture has that,
    /// nothing need be read.
    pub(crate) async fn catch_up(&self, store: &Store, modseq: ModSeq, rung: ModSeq) -> storage::Result<()> {
        let mut checked = self.checked.lock().await;
        let known = self.look().modseq;
        if known < modseq {
            self.read_changes(store).await?;
        }
        *checked = rung.max(*checked);
        Ok(())
    }

    /// Takes over what a session has just stored, without reading it again. If others changed the mailbox before, what
    /// they did has to be read, and this with it.
    pub(crate) async fn take_over(&self, stored: &Stored) {
        let mut checked = self.checked.lock().await;
        let mut picture = self.picture.write().unwrap_or_else(PoisonError::into_inner);
        if (stored.before..stored.modseq).contains(&picture.modseq) {
            picture.take_over(stored);
            // Nothing happened to this mailbox between the two.
            *checked = stored.modseq.max(*checked);
        }
    }

    async fn read_changes(&self, store: &Store) -> storage::Result<()> {
        let since = self.look().modseq;
        let changes = store.changes_since(self.mailbox, since).await?;
        self.picture.write().unwrap_or_else(PoisonError::into_inner).apply(changes);
        Ok(())
    }
}
