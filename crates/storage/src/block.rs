//! Names many messages a piece at a time, so that no statement is given more than a block of ranges, or finds more than a block of rows.

use crate::ids::Uid;
use crate::uidset::UidSet;

/// Rows of one block.
pub(crate) const BLOCK: usize = 4096;

/// What is left to be read of a set of UIDs, a piece at a time: so many ranges that naming them costs no more than the rows do.
pub(crate) struct Rest<'u> {
    ranges: &'u [(Uid, Uid)],
    /// What lies before was read.
    from: Uid,
}

impl<'u> Rest<'u> {
    pub(crate) fn new(uids: &'u UidSet) -> Self {
        Self { ranges: uids.ranges(), from: 0 }
    }

    /// The next piece; `None` at the end.
    pub(crate) fn piece(&mut self) -> Option<UidSet> {
        let mut piece = UidSet::new();
        for (first, last) in self.ranges.iter().take(BLOCK) {
            piece.insert_range((*first).max(self.from), *last);
        }
        (!piece.is_empty()).then_some(piece)
    }

    /// Of that piece `read` rows came, the last of them with the UID `last`.
    pub(crate) fn advance(&mut self, read: usize, last: Option<Uid>) {
        match last.and_then(|last| last.checked_add(1)) {
            // It ended for want of room.
            Some(next) if read == BLOCK => {
                self.from = next;
                let done = self.ranges.partition_point(|range| range.1 < next);
                self.ranges = &self.ranges[done..];
            }
            _ => {
                self.from = 0;
                self.ranges = self.ranges.get(BLOCK..).unwrap_or_default();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_uid_is_asked_for_once() {
        let mut uids = UidSet::new();
        uids.insert_range(1, 3 * BLOCK as Uid);
        for n in 0..2 * BLOCK as Uid + 5 {
            uids.insert(100_000 + 2 * n);
        }
        uids.insert_range(Uid::MAX - 10, Uid::MAX);
        let mut rest = Rest::new(&uids);
        let mut seen = UidSet::new();
        let mut pieces = 0;
        while let Some(piece) = rest.piece() {
            // As a store would answer that has them all.
            let read: Vec<Uid> = piece.iter().take(BLOCK).collect();
            assert!(read.iter().all(|uid| !seen.contains(*uid)));
            read.iter().for_each(|uid| seen.insert(*uid));
            rest.advance(read.len(), read.last().copied());
            pieces += 1;
        }
        assert_eq!(seen, uids);
        assert!(pieces < 10, "{pieces}");
        // Where nothing is there, each range is named once.
        let mut rest = Rest::new(&uids);
        let mut named = 0;
        while let Some(piece) = rest.piece() {
            named += piece.ranges().len();
            rest.advance(0, None);
        }
        assert_eq!(named, uids.ranges().len());
    }
}
