//! What one session knows of its mailbox: its own sequence numbers, and what it was told. Pure: a picture goes in,
//! untagged responses come out.

use crate::flags;
use crate::picture::Picture;
use imap_proto::By;
use imap_proto::sequence::Bound;
use imap_proto::{Ranges, Set, Told, Untagged, Vanished};
use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use storage::{Mark, ModSeq, Uid, UidSet};

/// Whether EXPUNGE may be told now (RFC 9051 §7.5.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Expunges {
    Told,
    HeldBack,
}

/// How a session wants to hear of changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Manner {
    pub(crate) expunges: Expunges,
    pub(crate) naming: Naming,
    pub(crate) modseqs: ModSeqs,
    pub(crate) hears: Hears,
}

/// What a session wants to hear of its mailbox (RFC 5465 §5).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Hears {
    All,
    /// Messages that come and go. Changes of flags are told when they are wanted again.
    Messages,
    Nothing,
}

/// How messages are told that are gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Naming {
    /// EXPUNGE
    Number,
    /// VANISHED (RFC 7162 §3.2.10)
    Uid,
}

/// Whether flags come with their mod-sequence (RFC 7162 §3.2.4).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ModSeqs {
    Told,
    Left,
}

/// A message as its session names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Target {
    /// Message sequence number, from 1.
    pub(crate) number: u32,
    pub(crate) uid: Uid,
}

impl Target {
    /// What a command that speaks of numbers or of UIDs calls it.
    pub(crate) fn name(&self, by: By) -> u32 {
        match by {
            By::Sequence => self.number,
            By::Uid => self.uid,
        }
    }
}

/// One session's view.
#[derive(Debug)]
pub(crate) struct View {
    /// UIDs by sequence number, those included whose EXPUNGE is held back.
    told: Vec<Uid>,
    /// Up to here flags were told.
    modseq: ModSeq,
    /// A hash of the names of keywords that were told: one may take the place of another.
    keywords: u64,
    /// Whether an EXPUNGE is held back.
    behind: bool,
    /// Up to here everything was told, messages that are gone included.
    complete: ModSeq,
    /// Flags that the client knows without being told: it set them itself, or was just sent them.
    known: HashMap<Uid, ModSeq>,
}

impl View {
    /// As SELECT tells it.
    pub(crate) fn new(picture: &Picture) -> Self {
        Self {
            told: picture.marks.iter().map(|mark| mark.uid).collect(),
            modseq: picture.modseq,
            keywords: hash(&picture.keywords),
            behind: false,
            complete: picture.modseq,
            known: HashMap::new(),
        }
    }

    /// Messages, those included whose EXPUNGE is held back.
    pub(crate) fn len(&self) -> u32 {
        u32::try_from(self.told.len()).unwrap_or(u32::MAX)
    }

    /// The mod-sequence up to which the client knows everything: where a resync can safely begin (RFC 7162 §6).
    pub(crate) fn complete(&self) -> ModSeq {
        self.complete
    }

    /// Whether an EXPUNGE is held back.
    pub(crate) fn is_behind(&self) -> bool {
        self.behind
    }

    /// Whether the client knows the flags of a message as they are in `mark`.
    pub(crate) fn has_seen(&self, mark: &Mark) -> bool {
        mark.modseq <= self.modseq || self.known.get(&mark.uid).is_some_and(|known| *known >= mark.modseq)
    }

    /// Whether a mod-sequence is later than all that was told.
    pub(crate) fn is_new(&self, modseq: ModSeq) -> bool {
        modseq > self.modseq
    }

    /// The sequence number of a message.
    pub(crate) fn number(&self, uid: Uid) -> Option<u32> {
        self.told.binary_search(&uid).ok().and_then(|at| u32::try_from(at + 1).ok())
    }

    /// The last UID; 0 if there is none.
    pub(crate) fn last(&self) -> Uid {
        self.told.last().copied().unwrap_or(0)
    }

    /// Messages with greater UIDs.
    pub(crate) fn after(&self, uid: Uid) -> Vec<Target> {
        self.targets(self.told.partition_point(|known| *known <= uid), self.told.len()).collect()
    }

    /// The client knows the flags of `uid` as of `modseq`.
    pub(crate) fn knows(&mut self, uid: Uid, modseq: ModSeq) {
        // What is older was told or is known anyway.
        if self.is_new(modseq) {
            self.known.insert(uid, modseq);
        }
    }

    /// All messages.
    pub(crate) fn all(&self) -> impl Iterator<Item = Target> + '_ {
        (1..).zip(&self.told).map(|(number, uid)| Target { number, uid: *uid })
    }

    /// Messages by UID; those that do not exist are passed over (RFC 9051 §6.4.9).
    pub(crate) fn by_uid(&self, set: &Set, saved: &UidSet) -> Vec<Target> {
        match set {
            Set::Saved => self.saved(saved),
            Set::Ranges(_) => {
                let ranges = set.resolve(self.last());
                let mut targets = Vec::new();
                for (from, to) in ranges.as_slice() {
                    let start = self.told.partition_point(|uid| uid < from);
                    let end = self.told.partition_point(|uid| uid <= to);
                    targets.extend(self.targets(start, end));
                }
                targets
            }
        }
    }

    /// Messages by sequence number; `None` if one is named that is not there.
    pub(crate) fn by_number(&self, set: &Set, saved: &UidSet) -> Option<Vec<Target>> {
        let Set::Ranges(named) = set else { return Some(self.saved(saved)) };
        let beyond = |bound: Bound| matches!(bound, Bound::Number(n) if n > self.len());
        // `5:*` in a mailbox of three is what clients ask to see what is new; only plain numbers are an error.
        let starred = |(from, to): (Bound, Bound)| from == Bound::Last || to == Bound::Last;
        if named.iter().any(|range| !starred(*range) && (beyond(range.0) || beyond(range.1))) {
            return None;
        }
        let mut targets = Vec::new();
        for (from, to) in set.resolve(self.len()).as_slice() {
            let start = usize::try_from(*from).unwrap_or(usize::MAX).saturating_sub(1);
            let end = usize::try_from(*to).unwrap_or(usize::MAX).min(self.told.len());
            targets.extend(self.targets(start, end));
        }
        Some(targets)
    }

    fn targets(&self, start: usize, end: usize) -> impl Iterator<Item = Target> + '_ {
        let uids = self.told.get(start..end.max(start)).unwrap_or_default();
        (start + 1..)
            .zip(uids)
            .map(|(n, uid)| Target { number: u32::try_from(n).unwrap_or(u32::MAX), uid: *uid })
    }

    fn saved(&self, saved: &UidSet) -> Vec<Target> {
        self.all().filter(|target| saved.contains(target.uid)).collect()
    }

    /// Brings the session up to the picture; what comes back is to be told in this order.
    pub(crate) fn apply(&mut self, picture: &Picture, manner: Manner) -> Vec<Untagged> {
        let mut lines = Vec::new();
        if picture.modseq == self.modseq && !self.behind {
            return lines;
        }
        let gone = self.gone(picture);
        if manner.hears == Hears::Nothing {
            self.behind = !gone.is_empty();
            return lines;
        }
        self.apply_expunges(gone, manner, &mut lines);
        let last = self.last();
        self.apply_new(picture, last, &mut lines);
        if manner.hears == Hears::Messages {
            return lines;
        }
        let keywords = hash(&picture.keywords);
        if keywords != self.keywords {
            self.keywords = keywords;
            lines.push(Untagged::Flags(flags::all(&picture.keywords)));
        }
        for mark in &self.changed(picture, last) {
            if self.known.get(&mark.uid).is_some_and(|known| *known >= mark.modseq) {
                continue;
            }
            if let Some(number) = self.number(mark.uid) {
                lines.push(told_flags(number, mark, &picture.keywords, manner.modseqs));
            }
        }
        self.known.clear();
        self.modseq = picture.modseq;
        if !self.behind {
            self.complete = picture.modseq;
        }
        lines
    }

    /// What the session still shows and the picture has no more, ascending.
    fn gone(&self, picture: &Picture) -> Vec<Uid> {
        if let Some(mut gone) = picture.journal.removed_since(self.complete) {
            gone.retain(|uid| self.told.binary_search(uid).is_ok());
            return gone;
        }
        let mut marks = picture.marks.iter().map(|mark| mark.uid).peekable();
        let is_gone = |uid: &Uid| {
            while marks.next_if(|mark| mark < uid).is_some() {}
            marks.peek() != Some(uid)
        };
        self.told.iter().copied().filter(is_gone).collect()
    }

    /// Messages up to `last` whose flags are newer than what was told, ascending.
    fn changed(&self, picture: &Picture, last: Uid) -> Vec<Mark> {
        let is_new = |mark: &&Mark| mark.modseq > self.modseq && mark.uid <= last;
        match picture.journal.changed_since(self.modseq) {
            Some(uids) => {
                uids.into_iter().filter_map(|uid| picture.mark(uid)).filter(is_new).copied().collect()
            }
            None => picture.marks.iter().filter(is_new).copied().collect(),
        }
    }

    /// EXPUNGE for what is gone, each number as it is after the ones before (RFC 9051 §7.5.1), or one VANISHED.
    fn apply_expunges(&mut self, gone: Vec<Uid>, manner: Manner, lines: &mut Vec<Untagged>) {
        self.behind = manner.expunges == Expunges::HeldBack && !gone.is_empty();
        let first = gone.first().map(|uid| self.told.partition_point(|told| told < uid));
        let Some(first) = first.filter(|_| manner.expunges == Expunges::Told) else { return };
        let mut leaving = gone.iter().peekable();
        let mut number = u32::try_from(first).unwrap_or(u32::MAX);
        for uid in self.told.split_off(first) {
            if leaving.next_if_eq(&&uid).is_none() {
                self.told.push(uid);
                number += 1;
            } else if manner.naming == Naming::Number {
                lines.push(Untagged::Expunge(number + 1));
            }
        }
        if manner.naming == Naming::Uid {
            lines.push(Untagged::Vanished(Vanished::Now, Ranges::from_numbers(gone)));
        }
    }

    fn apply_new(&mut self, picture: &Picture, last: Uid, lines: &mut Vec<Untagged>) {
        let start = picture.marks.partition_point(|mark| mark.uid <= last);
        if start < picture.marks.len() {
            self.told.extend(picture.marks[start..].iter().map(|mark| mark.uid));
            lines.push(Untagged::Exists(self.len()));
        }
    }
}

fn hash(names: &[String]) -> u64 {
    let mut hasher = DefaultHasher::new();
    names.hash(&mut hasher);
    hasher.finish()
}

/// The flags of a message that the client did not ask for: with its UID (RFC 9051 §7.5.2).
pub(crate) fn told_flags(number: u32, mark: &Mark, keywords: &[String], modseqs: ModSeqs) -> Untagged {
    let names = flags::names(mark.flags, mark.keywords, keywords);
    Untagged::Fetch(Told {
        number,
        uid: Some(mark.uid),
        flags: Some(names.map(str::to_owned).collect()),
        modseq: (modseqs == ModSeqs::Told).then_some(mark.modseq),
    })
}

/// The UIDs of some messages.
pub(crate) fn uids(targets: &[Target]) -> UidSet {
    targets.iter().map(|target| target.uid).collect()
}

#[cfg(test)]
mod tests;
