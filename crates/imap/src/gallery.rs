//! The pictures that this process holds: those that sessions look at, and, up to a limit, those that were looked at last,
//! so that selecting a mailbox again reads what has changed and not what there is.

use crate::picture::{Picture, Shared};
use crate::search::columns::Columns;
use std::collections::{BTreeMap, HashMap};
use std::ops::Deref;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use storage::{Mailbox, MailboxId, ModSeq, Store};

/// Octets of all pictures that are kept though nobody looks at them: more than a million messages.
pub(crate) const RESTING_MAX: usize = 32 * 1024 * 1024;

/// All pictures. Cloning is cheap; all clones are one gallery.
#[derive(Clone, Default)]
pub(crate) struct Pictures {
    shelf: Arc<Mutex<Shelf>>,
}

#[derive(Default)]
struct Shelf {
    held: HashMap<MailboxId, Held>,
    /// Those that nobody looks at, with their octets, by when they were left.
    resting: BTreeMap<u64, (MailboxId, usize)>,
    resting_octets: usize,
    /// Counts how often a picture was left.
    left: u64,
    /// For all pictures.
    columns: Columns,
}

struct Held {
    shared: Arc<Shared>,
    lookers: usize,
    /// Its key in `resting`, if nobody looks at it.
    left: u64,
}

/// A picture that somebody looks at; dropping it ends that.
pub(crate) struct Viewed {
    shared: Arc<Shared>,
    pictures: Pictures,
}

impl Deref for Viewed {
    type Target = Shared;

    fn deref(&self) -> &Shared {
        &self.shared
    }
}

impl Drop for Viewed {
    fn drop(&mut self) {
        self.pictures.shelf().leave(self.shared.mailbox(), RESTING_MAX);
    }
}

impl Pictures {
    fn shelf(&self) -> MutexGuard<'_, Shelf> {
        self.shelf.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The picture of a mailbox as `mailbox` says it is, or newer. `rung` is the number of the account's bell as it was
    /// before `mailbox` was read, or 0.
    pub(crate) async fn open(
        &self,
        store: &Store,
        mailbox: &Mailbox,
        rung: ModSeq,
    ) -> storage::Result<Viewed> {
        let found = self.shelf().find(mailbox.id);
        let shared = match found {
            Some(shared) => shared,
            None => {
                let picture = Picture::new(store.snapshot(mailbox.id).await?);
                self.shelf().hang(mailbox.id, picture, rung)
            }
        };
        let viewed = Viewed { shared, pictures: self.clone() };
        // One that has rested heard no bell.
        viewed.catch_up(store, mailbox.modseq, rung).await?;
        Ok(viewed)
    }
}

impl Shelf {
    /// A picture that is here, for one more to look at.
    fn find(&mut self, mailbox: MailboxId) -> Option<Arc<Shared>> {
        let held = self.held.get_mut(&mailbox)?;
        if held.lookers == 0
            && let Some((_, octets)) = self.resting.remove(&held.left)
        {
            self.resting_octets -= octets;
        }
        held.lookers += 1;
        Some(Arc::clone(&held.shared))
    }

    /// Adds a picture, unless another session was faster.
    fn hang(&mut self, mailbox: MailboxId, picture: Picture, rung: ModSeq) -> Arc<Shared> {
        if let Some(shared) = self.find(mailbox) {
            return shared;
        }
        let shared = Arc::new(Shared::new(mailbox, picture, rung, self.columns.clone()));
        self.held.insert(mailbox, Held { shared: Arc::clone(&shared), lookers: 1, left: 0 });
        shared
    }

    /// One less looks at it. Pictures that were left longest ago make room.
    fn leave(&mut self, mailbox: MailboxId, most: usize) {
        let Some(held) = self.held.get_mut(&mailbox) else { return };
        held.lookers = held.lookers.saturating_sub(1);
        if held.lookers > 0 {
            return;
        }
        self.left += 1;
        held.left = self.left;
        let octets = held.shared.look().octets();
        self.resting.insert(self.left, (mailbox, octets));
        self.resting_octets += octets;
        while self.resting_octets > most
            && let Some((_, (oldest, octets))) = self.resting.pop_first()
        {
            self.resting_octets -= octets;
            self.held.remove(&oldest);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::journal::Journal;
    use storage::{Flags, Keywords, Mark};

    fn picture(messages: u32) -> Picture {
        let mark = |uid| Mark { uid, modseq: 1, flags: Flags::NONE, keywords: Keywords::NONE };
        let marks = (1..=messages).map(mark).collect();
        let journal = Journal::default();
        Picture { keywords: Vec::new(), marks, modseq: 1, uidnext: messages + 1, journal }
    }

    #[test]
    fn what_was_left_longest_ago_goes_first_and_what_is_looked_at_stays() {
        let most = picture(1000).octets() * 3;
        let mut shelf = Shelf::default();
        let [a, b, c, d, e] = [1, 2, 3, 4, 5].map(MailboxId::from_number);
        for id in [a, b, c, d] {
            shelf.hang(id, picture(1000), 1);
        }
        // One that two look at rests when both have gone.
        assert!(shelf.find(a).is_some());
        for id in [a, b, c, d] {
            shelf.leave(id, most);
        }
        assert_eq!((shelf.held.len(), shelf.resting.len()), (4, 3));
        shelf.leave(a, most);
        assert!(shelf.find(b).is_none(), "the first that was left");
        for id in [c, d, a] {
            assert!(shelf.find(id).is_some());
        }
        assert_eq!((shelf.resting_octets, shelf.resting.len()), (0, 0));
        // What is looked at does not count, however large.
        shelf.hang(e, picture(100_000), 1);
        for id in [d, c, a] {
            shelf.leave(id, most);
        }
        assert_eq!((shelf.held.len(), shelf.resting.len()), (4, 3));
        // One that is larger than all the room leaves nothing.
        shelf.leave(e, most);
        assert_eq!((shelf.held.len(), shelf.resting_octets), (0, 0));
    }
}
