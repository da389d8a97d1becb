//! A set of UIDs as ranges, as IMAP writes it.

use crate::ids::Uid;
use std::fmt;

/// UIDs as ascending, disjoint, not touching, inclusive ranges.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct UidSet {
    ranges: Vec<(Uid, Uid)>,
}

impl UidSet {
    pub fn new() -> Self {
        Self::default()
    }

    /// Every UID there can be.
    pub fn all() -> Self {
        Self { ranges: vec![(1, Uid::MAX)] }
    }

    pub fn one(uid: Uid) -> Self {
        Self { ranges: vec![(uid, uid)] }
    }

    /// Adds one UID. Cheap where UIDs come in ascending order.
    pub fn insert(&mut self, uid: Uid) {
        self.insert_range(uid, uid);
    }

    /// Adds all from the smaller to the larger. Cheap where ranges come in ascending order.
    pub fn insert_range(&mut self, a: Uid, b: Uid) {
        let (mut first, mut last) = (a.min(b), a.max(b));
        if self.ranges.last().is_none_or(|range| range.1.saturating_add(1) < first) {
            return self.ranges.push((first, last));
        }
        let start = self.ranges.partition_point(|&(_, end)| end < first.saturating_sub(1));
        let end = start + self.ranges[start..].partition_point(|&(begin, _)| begin <= last.saturating_add(1));
        if start < end {
            first = first.min(self.ranges[start].0);
            last = last.max(self.ranges[end - 1].1);
        }
        self.ranges.splice(start..end, [(first, last)]);
    }

    pub fn contains(&self, uid: Uid) -> bool {
        let at = self.ranges.partition_point(|&(_, end)| end < uid);
        self.ranges.get(at).is_some_and(|&(begin, _)| begin <= uid)
    }

    /// For one who asks for UIDs in their order: all questions together cost a look at each range.
    pub fn walk(&self) -> UidWalk<'_> {
        UidWalk { ranges: &self.ranges }
    }

    /// How many UIDs there are (not how many messages).
    pub fn len(&self) -> u64 {
        self.ranges.iter().map(|&(a, b)| u64::from(b - a) + 1).sum()
    }

    pub fn is_empty(&self) -> bool {
        self.ranges.is_empty()
    }

    pub fn first(&self) -> Option<Uid> {
        self.ranges.first().map(|range| range.0)
    }

    pub fn last(&self) -> Option<Uid> {
        self.ranges.last().map(|range| range.1)
    }

    pub fn ranges(&self) -> &[(Uid, Uid)] {
        &self.ranges
    }

    /// Every UID in ascending order.
    pub fn iter(&self) -> impl Iterator<Item = Uid> + '_ {
        self.ranges.iter().flat_map(|&(a, b)| a..=b)
    }

    /// What is left beyond `uid`: where the next page begins.
    pub fn after(&self, uid: Uid) -> Self {
        let at = self.ranges.partition_point(|&(_, end)| end <= uid);
        let mut ranges = self.ranges[at..].to_vec();
        if let Some(range) = ranges.first_mut() {
            range.0 = range.0.max(uid.saturating_add(1));
        }
        Self { ranges }
    }

    /// As a JSON list of pairs, the form in which statements take sets.
    pub(crate) fn to_json(&self) -> String {
        let pairs: Vec<String> = self.ranges.iter().map(|(a, b)| format!("[{a},{b}]")).collect();
        format!("[{}]", pairs.join(","))
    }
}

/// Goes over a set; UIDs that are asked for ascend.
#[derive(Clone, Debug)]
pub struct UidWalk<'a> {
    ranges: &'a [(Uid, Uid)],
}

impl UidWalk<'_> {
    /// Whether the UID is in the set.
    pub fn has(&mut self, uid: Uid) -> bool {
        while let Some(((_, end), rest)) = self.ranges.split_first()
            && *end < uid
        {
            self.ranges = rest;
        }
        self.ranges.first().is_some_and(|range| range.0 <= uid)
    }
}

impl FromIterator<Uid> for UidSet {
    fn from_iter<I: IntoIterator<Item = Uid>>(uids: I) -> Self {
        let mut uids: Vec<Uid> = uids.into_iter().collect();
        uids.sort_unstable();
        let mut set = Self::new();
        for uid in uids {
            set.insert(uid);
        }
        set
    }
}

impl FromIterator<(Uid, Uid)> for UidSet {
    fn from_iter<I: IntoIterator<Item = (Uid, Uid)>>(ranges: I) -> Self {
        let mut ranges: Vec<(Uid, Uid)> = ranges.into_iter().map(|(a, b)| (a.min(b), a.max(b))).collect();
        ranges.sort_unstable();
        let mut set = Self::new();
        for (a, b) in ranges {
            set.insert_range(a, b);
        }
        set
    }
}

/// As IMAP writes it: `1:3,7`; empty for the empty set.
impl fmt::Display for UidSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, (a, b)) in self.ranges.iter().enumerate() {
            let comma = if at == 0 { "" } else { "," };
            if a == b {
                write!(f, "{comma}{a}")?;
            } else {
                write!(f, "{comma}{a}:{b}")?;
            }
        }
        Ok(())
    }
}

impl fmt::Debug for UidSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "UidSet({self})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn joins_and_prints() {
        for (ranges, want) in [
            (vec![], ""),
            (vec![(1, 1)], "1"),
            (vec![(1, 1), (2, 2)], "1:2"),
            (vec![(5, 3), (1, 1)], "1,3:5"),
            (vec![(1, 2), (4, 5), (3, 3)], "1:5"),
            (vec![(1, 10), (3, 4)], "1:10"),
            (vec![(3, 4), (1, Uid::MAX)], "1:4294967295"),
            (vec![(Uid::MAX, Uid::MAX), (Uid::MAX - 1, Uid::MAX - 1)], "4294967294:4294967295"),
        ] {
            let set: UidSet = ranges.iter().copied().collect();
            assert_eq!(set.to_string(), want);
            let mut inserted = UidSet::new();
            for (a, b) in ranges {
                inserted.insert_range(a, b);
            }
            assert_eq!(inserted, set);
        }
    }

    #[test]
    fn behaves_like_a_set() {
        // Every subset of 1 to 9, inserted from both ends.
        for mask in 0..512u32 {
            let model: BTreeSet<Uid> = (1..=9).filter(|n| mask >> (n - 1) & 1 == 1).collect();
            let mut set = UidSet::new();
            for &uid in model.iter().rev() {
                set.insert(uid);
            }
            assert_eq!(set, model.iter().copied().collect());
            assert_eq!(set.iter().collect::<Vec<_>>(), model.iter().copied().collect::<Vec<_>>());
            assert_eq!(set.len(), model.len() as u64);
            for step in 1..=3 {
                let mut walk = set.walk();
                for uid in (0..=10).step_by(step) {
                    assert_eq!(walk.has(uid), model.contains(&uid));
                }
            }
            for uid in 0..=10 {
                assert_eq!(set.contains(uid), model.contains(&uid));
                let rest: Vec<Uid> = model.range(uid + 1..).copied().collect();
                assert_eq!(set.after(uid).iter().collect::<Vec<_>>(), rest);
            }
        }
        assert!(UidSet::all().after(Uid::MAX).is_empty());
    }
}
