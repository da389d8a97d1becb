//! What changed last in a picture, so that a session that looks again need not compare the whole mailbox.

use std::collections::VecDeque;
use storage::{ModSeq, Uid};

/// Most entries of each kind; with more the oldest go.
const ENTRIES_MAX: usize = 1024;

/// The last messages that changed and that went.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Journal {
    changed: Log,
    removed: Log,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Log {
    entries: VecDeque<(ModSeq, Uid)>,
    /// Everything after this mod-sequence is in it; `None`: it knows nothing.
    from: Option<ModSeq>,
}

impl Journal {
    /// Of a picture that is as of `modseq`.
    pub(crate) fn new(modseq: ModSeq) -> Self {
        let log = Log { entries: VecDeque::new(), from: Some(modseq) };
        Self { changed: log.clone(), removed: log }
    }

    pub(crate) fn changed(&mut self, entries: impl ExactSizeIterator<Item = (ModSeq, Uid)>, now: ModSeq) {
        self.changed.note(entries, now);
    }

    pub(crate) fn removed(&mut self, entries: impl ExactSizeIterator<Item = (ModSeq, Uid)>, now: ModSeq) {
        self.removed.note(entries, now);
    }

    /// Messages that changed after `modseq`, ascending; `None`: it does not go back so far.
    pub(crate) fn changed_since(&self, modseq: ModSeq) -> Option<Vec<Uid>> {
        self.changed.since(modseq)
    }

    /// The same of messages that went.
    pub(crate) fn removed_since(&self, modseq: ModSeq) -> Option<Vec<Uid>> {
        self.removed.since(modseq)
    }
}

impl Log {
    /// None of `entries` is newer than `now`, which is where the picture stands then.
    fn note(&mut self, entries: impl ExactSizeIterator<Item = (ModSeq, Uid)>, now: ModSeq) {
        let Some(from) = &mut self.from else { return };
        if entries.len() > ENTRIES_MAX {
            self.entries.clear();
            *from = now;
            return;
        }
        self.entries.extend(entries);
        let over = self.entries.len().saturating_sub(ENTRIES_MAX);
        for (modseq, _) in self.entries.drain(..over) {
            *from = modseq.max(*from);
        }
    }

    fn since(&self, modseq: ModSeq) -> Option<Vec<Uid>> {
        self.from.filter(|from| *from <= modseq)?;
        let newer = self.entries.iter().filter(|entry| entry.0 > modseq);
        let mut uids: Vec<Uid> = newer.map(|entry| entry.1).collect();
        uids.sort_unstable();
        uids.dedup();
        Some(uids)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_goes_back_as_far_as_it_can() {
        let mut log = Log { entries: VecDeque::new(), from: Some(5) };
        log.note([(6, 9), (7, 2), (6, 3)].into_iter(), 7);
        for (modseq, want) in
            [(4, None), (5, Some(vec![2, 3, 9])), (6, Some(vec![2])), (7, Some(vec![])), (99, Some(vec![]))]
        {
            assert_eq!(log.since(modseq), want, "{modseq}");
        }
        log.note((0..ENTRIES_MAX as u32 - 1).map(|n| (8, 100 + n)).collect::<Vec<_>>().into_iter(), 8);
        assert_eq!((log.since(6), log.since(7).map(|uids| uids.len())), (None, Some(ENTRIES_MAX - 1)));
        log.note((0..=ENTRIES_MAX as u32).map(|n| (9, n)).collect::<Vec<_>>().into_iter(), 9);
        assert_eq!((log.since(8), log.since(9)), (None, Some(vec![])));
        assert_eq!(Log::default().since(ModSeq::MAX), None);
    }
}
