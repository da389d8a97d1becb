//! Results whose changes the client wants to hear: RETURN (UPDATE) (RFC 5267 §4.3).
//!
//! A verdict is looked at again only when its message has changed, so that a change costs what changed, and not the mailbox.

use super::Place;
use super::order::valued;
use super::sort::{self, Value};
use crate::view::Target;
use imap_proto::command::{By, FetchItem, Key, Search, SortBy};
use imap_proto::response::{Esearch, Results};
use imap_proto::{Ranges, Response};
use std::collections::HashSet;
use storage::{ModSeq, Uid};

/// Most searches of one session whose changes are told.
pub(crate) const CONTEXTS_MAX: usize = 16;
/// Most results that these searches may have together.
pub(crate) const RESULTS_MAX: usize = 100_000;

/// One search and what it found so far.
pub(crate) struct Context {
    pub(crate) tag: String,
    by: By,
    key: Key,
    /// Empty: the order of the mailbox.
    order: Vec<SortBy>,
    /// What is told of new messages (RFC 5465 §7).
    items: Vec<FetchItem>,
    entries: Vec<Entry>,
    seen: Seen,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Entry {
    uid: Uid,
    values: Vec<Value>,
}

/// Up to where the mailbox was looked at. A message may be older than the mod-sequence and new to the session all the same.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct Seen {
    modseq: ModSeq,
    last: Uid,
}

impl Seen {
    /// Before the search begins.
    pub(crate) fn now(place: &Place<'_>) -> Self {
        let last = place.view.all().last().map_or(0, |target| target.uid);
        Self { modseq: place.shared.look().modseq, last }
    }
}

/// What became of a result, by UIDs and by places in it, which count from 1. In the order of the mailbox all are at place 0.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Change {
    pub(crate) removed: Vec<(u32, Vec<Uid>)>,
    pub(crate) added: Vec<(u32, Vec<Uid>)>,
    /// Of those that were added the messages that are new to the session, ascending.
    pub(crate) new: Vec<Uid>,
}

impl Context {
    /// Remembers what was found.
    pub(crate) async fn new(
        place: &Place<'_>,
        (tag, search): (String, &Search),
        order: &[SortBy],
        found: &[Target],
        seen: Seen,
    ) -> Result<Self, Response> {
        let mut entries = entries(place, &search.key, order, found).await?;
        arrange(order, &mut entries);
        let items = search.updates().unwrap_or_default().to_vec();
        Ok(Self { tag, by: search.by, key: search.key.clone(), order: order.to_vec(), items, entries, seen })
    }

    /// What is told of new messages.
    pub(crate) fn items(&self) -> &[FetchItem] {
        &self.items
    }

    /// How many results it has.
    pub(crate) fn len(&self) -> usize {
        self.entries.len()
    }

    pub(crate) fn is_by_number(&self) -> bool {
        self.by == By::Sequence
    }

    /// Looks again at what has changed. After an error it can be asked again.
    pub(crate) async fn update(&mut self, place: &Place<'_>) -> Result<Change, Response> {
        let seen = Seen::now(place);
        if seen == self.seen {
            return Ok(Change::default());
        }
        let (changed, gone) = {
            let picture = place.shared.look();
            let is_new = |target: &Target| {
                target.uid > self.seen.last
                    || picture.mark(target.uid).is_some_and(|mark| mark.modseq > self.seen.modseq)
            };
            let gone = |uid: &Uid| picture.mark(*uid).is_none();
            let changed: Vec<Target> = place.view.all().filter(is_new).collect();
            let gone: Vec<Uid> = self.entries.iter().map(|entry| entry.uid).filter(gone).collect();
            (changed, gone)
        };
        let fits = place.find_among(&self.key, changed.iter().copied()).await?;
        let known: HashSet<Uid> = self.entries.iter().map(|entry| entry.uid).collect();
        let still: HashSet<Uid> = fits.iter().map(|target| target.uid).collect();
        let new: Vec<Target> = fits.into_iter().filter(|target| !known.contains(&target.uid)).collect();
        let new = entries(place, &self.key, &self.order, &new).await?;
        let mut leaving: HashSet<Uid> = changed.iter().map(|target| target.uid).collect();
        leaving.retain(|uid| !still.contains(uid));
        leaving.extend(gone);
        let last = std::mem::replace(&mut self.seen, seen).last;
        let mut arrived: Vec<Uid> = new.iter().map(|entry| entry.uid).filter(|uid| *uid > last).collect();
        arrived.sort_unstable();
        Ok(Change { new: arrived, ..self.change(&leaving, new) })
    }

    fn change(&mut self, leaving: &HashSet<Uid>, new: Vec<Entry>) -> Change {
        let before: Vec<Uid> = self.entries.iter().map(|entry| entry.uid).collect();
        self.entries.retain(|entry| !leaving.contains(&entry.uid));
        let coming: HashSet<Uid> = new.iter().map(|entry| entry.uid).collect();
        self.entries.extend(new);
        arrange(&self.order, &mut self.entries);
        let after: Vec<Uid> = self.entries.iter().map(|entry| entry.uid).collect();
        let (mut removed, mut added) = (runs(&before, leaving), runs(&after, &coming));
        // Those that are removed no longer count for the places behind them.
        let mut less = 0;
        for (place, uids) in &mut removed {
            *place -= less;
            less += u32::try_from(uids.len()).unwrap_or(u32::MAX);
        }
        if self.order.is_empty() {
            removed = in_one(removed);
            added = in_one(added);
        }
        Change { removed, added, new: Vec::new() }
    }

    /// What is to be told; `name` says what the client calls a message.
    pub(crate) fn told(
        &self,
        changes: &[(u32, Vec<Uid>)],
        name: impl Fn(Uid) -> Option<u32>,
    ) -> Vec<(u32, Results)> {
        let results = |uids: &Vec<Uid>| {
            let names = uids.iter().filter_map(|uid| match self.by {
                By::Uid => Some(*uid),
                By::Sequence => name(*uid),
            });
            if self.order.is_empty() {
                Results::Set(Ranges::from_numbers(names))
            } else {
                Results::Sorted(names.collect())
            }
        };
        changes.iter().map(|(place, uids)| (*place, results(uids))).collect()
    }

    /// The line that a change is told in, yet without the change.
    pub(crate) fn line(&self) -> Esearch {
        Esearch { tag: self.tag.clone(), by_uid: self.by == By::Uid, ..Esearch::default() }
    }
}

async fn entries(
    place: &Place<'_>,
    key: &Key,
    order: &[SortBy],
    targets: &[Target],
) -> Result<Vec<Entry>, Response> {
    if order.is_empty() || targets.is_empty() {
        return Ok(targets.iter().map(|target| Entry { uid: target.uid, values: Vec::new() }).collect());
    }
    let found = valued(place, key, order, targets).await?;
    Ok(found.into_iter().map(|(target, values)| Entry { uid: target.uid, values }).collect())
}

fn arrange(order: &[SortBy], entries: &mut [Entry]) {
    entries.sort_unstable_by(|a, b| sort::compare(order, &a.values, &b.values).then(a.uid.cmp(&b.uid)));
}

/// Where in a list chosen ones follow each other, by their places from 1.
fn runs(list: &[Uid], chosen: &HashSet<Uid>) -> Vec<(u32, Vec<Uid>)> {
    let mut runs: Vec<(u32, Vec<Uid>)> = Vec::new();
    let mut follows = false;
    for (place, uid) in (1..).zip(list) {
        let is_chosen = chosen.contains(uid);
        match runs.last_mut() {
            Some((_, run)) if is_chosen && follows => run.push(*uid),
            _ if is_chosen => runs.push((place, vec![*uid])),
            _ => {}
        }
        follows = is_chosen;
    }
    runs
}

/// All at place 0: the client knows the order.
fn in_one(runs: Vec<(u32, Vec<Uid>)>) -> Vec<(u32, Vec<Uid>)> {
    let all: Vec<Uid> = runs.into_iter().flat_map(|(_, uids)| uids).collect();
    if all.is_empty() { Vec::new() } else { vec![(0, all)] }
}

#[cfg(test)]
mod tests {
    use super::*;
    use imap_proto::command::{Direction, SortKey};

    fn context(order: Vec<SortBy>) -> Context {
        let seen = Seen { modseq: 0, last: 0 };
        Context {
            tag: "a".into(),
            by: By::Uid,
            key: Key::All,
            order,
            items: Vec::new(),
            entries: Vec::new(),
            seen,
        }
    }

    /// As a client does it (RFC 5267 §4.3.3, RFC 5267 §4.3.4).
    fn apply(list: &mut Vec<Uid>, change: &Change) {
        for (place, uids) in &change.removed {
            match place.checked_sub(1) {
                None => list.retain(|uid| !uids.contains(uid)),
                Some(at) => {
                    let taken: Vec<Uid> = list.drain(at as usize..at as usize + uids.len()).collect();
                    assert_eq!(taken, *uids);
                }
            }
        }
        for (place, uids) in &change.added {
            match place.checked_sub(1) {
                None => {
                    list.extend(uids);
                    list.sort_unstable();
                }
                Some(at) => drop(list.splice(at as usize..at as usize, uids.iter().copied())),
            }
        }
    }

    #[test]
    fn a_client_that_follows_has_the_result() {
        for seed in 1..500_u64 {
            let mut state = seed;
            let mut below = |end: u64| {
                state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                (state >> 33) % end
            };
            let sorted = SortBy { key: SortKey::Size, direction: Direction::Descending };
            let mut context = context(if seed % 2 == 0 { vec![sorted] } else { Vec::new() });
            let mut list = Vec::new();
            let mut next = 1;
            for _ in 0..12 {
                let leaving =
                    context.entries.iter().map(|entry| entry.uid).filter(|_| below(3) == 0).collect();
                let new: Vec<Entry> = (0..below(5))
                    .map(|_| {
                        next += 1;
                        let size = i64::try_from(below(9)).unwrap();
                        let values = if seed % 2 == 0 { vec![Value::Number(size)] } else { Vec::new() };
                        Entry { uid: next, values }
                    })
                    .collect();
                let change = context.change(&leaving, new);
                apply(&mut list, &change);
                let want: Vec<Uid> = context.entries.iter().map(|entry| entry.uid).collect();
                assert_eq!(list, want, "seed {seed}: {change:?}");
            }
        }
    }
}
