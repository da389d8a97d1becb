//! Sets of message numbers and UIDs (RFC 9051 §9, `sequence-set`).

use crate::command::Refusal;
use crate::lex::{Lexed, Lexer};
use std::fmt;

/// One end of a range.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bound {
    Number(u32),
    /// `*`: the largest in use.
    Last,
}

/// Message numbers or UIDs as a client names them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Set {
    /// Ranges as written, ends in any order.
    Ranges(Vec<(Bound, Bound)>),
    /// `$`: what SEARCH saved (RFC 9051 §6.4.4.1).
    Saved,
}

impl Set {
    /// The ranges with `*` replaced by `last`, ends in order, sorted and joined. Empty for [`Set::Saved`].
    pub fn resolve(&self, last: u32) -> Ranges {
        let Self::Ranges(ranges) = self else { return Ranges::default() };
        let number = |bound: Bound| match bound {
            Bound::Number(n) => n,
            Bound::Last => last,
        };
        Ranges::new(ranges.iter().map(|(a, b)| {
            let (a, b) = (number(*a), number(*b));
            (a.min(b), a.max(b))
        }))
    }
}

/// Ranges of numbers, sorted and without overlap.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Ranges(Vec<(u32, u32)>);

impl Ranges {
    /// Sorts and joins.
    pub fn new(ranges: impl IntoIterator<Item = (u32, u32)>) -> Self {
        let mut ranges: Vec<(u32, u32)> = ranges.into_iter().collect();
        ranges.sort_unstable();
        let mut out: Vec<(u32, u32)> = Vec::with_capacity(ranges.len());
        for (from, to) in ranges {
            match out.last_mut() {
                Some(last) if from <= last.1.saturating_add(1) => last.1 = last.1.max(to),
                _ => out.push((from, to)),
            }
        }
        Self(out)
    }

    /// Single numbers, in any order.
    pub fn from_numbers(numbers: impl IntoIterator<Item = u32>) -> Self {
        Self::new(numbers.into_iter().map(|n| (n, n)))
    }

    pub fn contains(&self, number: u32) -> bool {
        let at = self.0.partition_point(|(_, to)| *to < number);
        self.0.get(at).is_some_and(|(from, _)| *from <= number)
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The ranges, in order.
    pub fn as_slice(&self) -> &[(u32, u32)] {
        &self.0
    }

    /// How many numbers there are.
    pub fn count(&self) -> u64 {
        self.0.iter().map(|(from, to)| u64::from(to - from) + 1).sum()
    }

    /// The numbers, ascending. There may be four billion of them.
    pub fn iter(&self) -> impl Iterator<Item = u32> + '_ {
        self.0.iter().flat_map(|(from, to)| *from..=*to)
    }

    /// Largest number, if any.
    pub fn last(&self) -> Option<u32> {
        self.0.last().map(|(_, to)| *to)
    }
}

impl fmt::Display for Ranges {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, (from, to)) in self.0.iter().enumerate() {
            let comma = if at == 0 { "" } else { "," };
            if from == to {
                write!(f, "{comma}{from}")?;
            } else {
                write!(f, "{comma}{from}:{to}")?;
            }
        }
        Ok(())
    }
}

/// Reads a set.
pub(crate) fn set(lexer: &mut Lexer<'_>) -> Lexed<Set> {
    if lexer.take(b'$') {
        return Ok(Set::Saved);
    }
    let mut ranges = Vec::new();
    loop {
        let from = bound(lexer)?;
        let to = if lexer.take(b':') { bound(lexer)? } else { from };
        ranges.push((from, to));
        if !lexer.take(b',') {
            return Ok(Set::Ranges(ranges));
        }
    }
}

/// Reads a set that is ascending and has neither `*` nor `$` in it (RFC 7162 §7, `known-sequence-set`).
pub(crate) fn ascending(lexer: &mut Lexer<'_>) -> Lexed<Ranges> {
    const WRONG: &str = "A set of known numbers is ascending, without * and $.";
    let Set::Ranges(written) = set(lexer)? else { return Err(Refusal::bad(WRONG)) };
    let mut last = 0;
    let mut ranges = Vec::with_capacity(written.len());
    for range in written {
        match range {
            (Bound::Number(from), Bound::Number(to)) if last < from && from <= to => {
                ranges.push((from, to));
                last = to;
            }
            _ => return Err(Refusal::bad(WRONG)),
        }
    }
    Ok(Ranges::new(ranges))
}

/// Reads a set of numbers in any order, without `*` and `$` (RFC 7162 §7, `known-uids`).
pub(crate) fn plain(lexer: &mut Lexer<'_>) -> Lexed<Ranges> {
    const WRONG: &str = "A set of known UIDs has no * and no $.";
    let set = set(lexer)?;
    let starred = |(from, to): &(Bound, Bound)| *from == Bound::Last || *to == Bound::Last;
    match &set {
        Set::Ranges(ranges) if !ranges.iter().any(starred) => Ok(set.resolve(0)),
        _ => Err(Refusal::bad(WRONG)),
    }
}

fn bound(lexer: &mut Lexer<'_>) -> Lexed<Bound> {
    if lexer.take(b'*') {
        return Ok(Bound::Last);
    }
    lexer
        .nz_number()
        .map(Bound::Number)
        .map_err(|_| Refusal::bad("A message number is missing, zero or too large."))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Option<Set> {
        let mut lexer = Lexer::new(text.as_bytes());
        let set = set(&mut lexer).ok()?;
        lexer.is_end().then_some(set)
    }

    #[test]
    fn sets_resolve_sorted_and_joined() {
        for (text, last, want) in [
            ("1", 9, "1"),
            ("*", 9, "9"),
            ("2:4,3:6,8", 9, "2:6,8"),
            ("4:2", 9, "2:4"),
            ("559:*", 30, "30:559"),
            ("*:4", 9, "4:9"),
            ("1,2,3,5", 9, "1:3,5"),
            ("4294967295,1", 9, "1,4294967295"),
        ] {
            assert_eq!(read(text).unwrap().resolve(last).to_string(), want, "{text}");
        }
        assert_eq!(read("$"), Some(Set::Saved));
    }

    #[test]
    fn what_is_no_set_is_refused() {
        for text in ["", "0", "1:", ":1", "1,,2", "1,", "a", "4294967296", "1:2:3", "$,1"] {
            assert_eq!(read(text), None, "{text}");
        }
    }

    #[test]
    fn contains_looks_into_every_range() {
        let ranges = Ranges::new([(5, 7), (1, 2), (9, 9)]);
        let inside: Vec<u32> = (0..12).filter(|n| ranges.contains(*n)).collect();
        assert_eq!(inside, [1, 2, 5, 6, 7, 9]);
    }
}
