//! How urgent a message is, from when on it may be delivered, and until when it should be.

use crate::date;
use std::fmt;

/// How urgent a message is among others, from -9 to 9 (RFC 6710 §3); 0 is what a message has whose sender says nothing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Priority(i8);

impl Priority {
    pub const NORMAL: Self = Self(0);
    pub const LOWEST: Self = Self(-9);
    pub const HIGHEST: Self = Self(9);

    /// `None` beyond -9 and 9.
    pub fn new(number: i64) -> Option<Self> {
        let number = i8::try_from(number).ok()?;
        (Self::LOWEST.0..=Self::HIGHEST.0).contains(&number).then_some(Self(number))
    }

    pub fn get(self) -> i8 {
        self.0
    }
}

/// HOLDFOR= or HOLDUNTIL= of MAIL FROM: from when on the message may be delivered (RFC 4865).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Release {
    /// So many seconds after it was accepted.
    After(u32),
    /// Seconds since 1970.
    At(i64),
}

/// As a notice names it (RFC 4865 §5.1.2).
impl fmt::Display for Release {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::After(seconds) => write!(f, "for;{seconds}"),
            Self::At(time) => write!(f, "until;{}", date::print_iso(*time)),
        }
    }
}

impl Release {
    /// Seconds since 1970, for a message that comes at `now`; never before it.
    pub fn time(self, now: i64) -> i64 {
        match self {
            Self::After(seconds) => now.saturating_add(i64::from(seconds)),
            Self::At(time) => time.max(now),
        }
    }
}

/// BY= of MAIL FROM: how soon the message should be delivered (RFC 2852 §4).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DeliverBy {
    /// From its arrival here; below zero it is late already.
    pub seconds: i64,
    pub mode: ByMode,
    /// The sender wants to be told of each server on the way that takes the request further, or not.
    pub trace: bool,
}

/// What happens to a message that is late.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ByMode {
    /// The sender is told, and delivery goes on.
    Notify,
    /// It goes back.
    Return,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn priorities_are_within_nine() {
        for (number, want) in
            [(-10, None), (-9, Some(-9)), (0, Some(0)), (9, Some(9)), (10, None), (1 << 40, None)]
        {
            assert_eq!(Priority::new(number).map(Priority::get), want, "{number}");
        }
    }

    #[test]
    fn releases_are_named_as_they_were_asked_for() {
        assert_eq!(Release::After(60).to_string(), "for;60");
        assert_eq!(Release::At(1_800_000_000).to_string(), "until;2027-01-15T08:00:00Z");
    }

    #[test]
    fn nothing_is_released_in_the_past() {
        for (release, want) in [
            (Release::After(60), 1060),
            (Release::At(2000), 2000),
            (Release::At(1), 1000),
            (Release::After(0), 1000),
        ] {
            assert_eq!(release.time(1000), want, "{release:?}");
        }
    }
}
