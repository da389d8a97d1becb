//! The columns that this process keeps, so that SORT and THREAD read a message once and not every time. What was not used for
//! longest goes when they are too large together.

use super::Place;
use super::column::{About, Column};
use super::facts::gather;
use crate::view::Target;
use imap_proto::Response;
use std::collections::{BTreeMap, HashMap};
use std::mem;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use storage::MailboxId;

/// Octets of all columns together. One that is larger alone is made anew each time.
pub(crate) const KEPT_MAX: usize = 32 * 1024 * 1024;
/// What keeping a column costs besides, in octets.
const OVERHEAD: usize = 512;
/// A column is made anew when it knows more messages that are gone than that, and than there are.
const GONE_MAX: usize = 1000;

/// All columns. Cloning is cheap; all clones are one.
#[derive(Clone, Default)]
pub(crate) struct Columns {
    shelf: Arc<Mutex<Shelf>>,
}

type Key = (MailboxId, About);
/// Locked while the column is filled, so that one session reads for all.
type Slot = Arc<tokio::sync::Mutex<Arc<Column>>>;

#[derive(Default)]
struct Shelf {
    kept: HashMap<Key, Kept>,
    /// By when they were used last.
    used: BTreeMap<u64, Key>,
    octets: usize,
    clock: u64,
}

#[derive(Default)]
struct Kept {
    slot: Slot,
    octets: usize,
    /// Its key in `used`.
    used: u64,
}

impl Columns {
    fn shelf(&self) -> MutexGuard<'_, Shelf> {
        self.shelf.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Shelf {
    fn slot(&mut self, key: Key) -> Slot {
        self.clock += 1;
        let kept = self.kept.entry(key).or_default();
        self.used.remove(&kept.used);
        kept.used = self.clock;
        self.used.insert(self.clock, key);
        Arc::clone(&kept.slot)
    }

    /// A column has changed its size; others make room for it.
    fn settle(&mut self, key: Key, octets: usize, most: usize) {
        if octets > most {
            return self.forget(key);
        }
        let Some(kept) = self.kept.get_mut(&key) else { return };
        self.octets = self.octets - kept.octets + octets;
        kept.octets = octets;
        while self.octets > most
            && let Some((_, oldest)) = self.used.first_key_value()
        {
            self.forget(*oldest);
        }
    }

    fn forget(&mut self, key: Key) {
        if let Some(kept) = self.kept.remove(&key) {
            self.used.remove(&kept.used);
            self.octets -= kept.octets;
        }
    }
}

impl Place<'_> {
    /// What is known of `targets`, which ascend; it may know others. Reads those it has not seen before.
    pub(super) async fn column(&self, about: About, targets: &[Target]) -> Result<Arc<Column>, Response> {
        let (columns, key) = (self.shared.columns(), (self.mailbox, about));
        let slot = columns.shelf().slot(key);
        let mut held = slot.lock().await;
        if held.len() > 2 * self.view.len() as usize + GONE_MAX {
            *held = Arc::default();
        }
        let missing = held.missing(targets);
        if missing.is_empty() {
            return Ok(Arc::clone(&held));
        }
        let make = move |facts: &_| about.fact(facts);
        let gathered = gather(self.store, self.mailbox, &missing, about.depth(), make).await?;
        let facts: Vec<_> = gathered.known.into_iter().map(|(target, fact)| (target.uid, fact)).collect();
        let mut column = mem::take(&mut *held);
        // Whoever sorts by it at the moment keeps what he has.
        let add = move || {
            Arc::make_mut(&mut column).add(facts);
            column
        };
        let added = tokio::task::spawn_blocking(add).await;
        let column = added.map_err(|_| Response::no("The sorting failed.").word("SERVERBUG"))?;
        let mut shelf = columns.shelf();
        if gathered.unreadable {
            // What could not be read now may be readable later.
            shelf.forget(key);
        } else {
            *held = Arc::clone(&column);
            shelf.settle(key, column.octets() + OVERHEAD, KEPT_MAX);
        }
        Ok(column)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_not_used_for_longest_goes_first() {
        let mut shelf = Shelf::default();
        let key = |n: i64| (MailboxId::from_number(n), About::Date);
        for n in [1, 2, 3] {
            shelf.slot(key(n));
            shelf.settle(key(n), 100, 300);
        }
        shelf.slot(key(1));
        shelf.slot(key(4));
        shelf.settle(key(4), 150, 300);
        let kept = |shelf: &Shelf| {
            let mut numbers: Vec<i64> = (1..6).filter(|n| shelf.kept.contains_key(&key(*n))).collect();
            numbers.sort_unstable();
            numbers
        };
        assert_eq!((kept(&shelf), shelf.octets), (vec![1, 4], 250));
        // One that grows counts once.
        shelf.settle(key(1), 150, 300);
        assert_eq!((kept(&shelf), shelf.octets, shelf.used.len()), (vec![1, 4], 300, 2));
        // One that is larger than all the room does not drive the others out.
        shelf.slot(key(5));
        shelf.settle(key(5), 301, 300);
        assert_eq!((kept(&shelf), shelf.octets, shelf.used.len()), (vec![1, 4], 300, 2));
    }
}
