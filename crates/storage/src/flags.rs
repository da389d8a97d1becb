//! System flags and keywords of messages (RFC 9051 §2.3.2).

use std::ops::{BitAnd, BitOr, Sub};

/// Most keywords that one mailbox knows.
pub const KEYWORDS_MAX: usize = 64;
/// Longest keyword in octets.
pub const KEYWORD_LEN_MAX: usize = 200;

/// The system flags that are kept.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Flags(u8);

impl Flags {
    pub const NONE: Self = Self(0);
    pub const SEEN: Self = Self(1);
    pub const ANSWERED: Self = Self(2);
    pub const FLAGGED: Self = Self(4);
    pub const DELETED: Self = Self(8);
    pub const DRAFT: Self = Self(16);
    pub const ALL: Self = Self(31);

    pub fn bits(self) -> u8 {
        self.0
    }

    /// Bits that mean nothing are dropped.
    pub fn from_bits(bits: u8) -> Self {
        Self(bits & Self::ALL.0)
    }

    /// Whether all of `other` are set.
    pub fn contains(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }

    pub fn is_empty(self) -> bool {
        self.0 == 0
    }
}

impl BitOr for Flags {
    type Output = Self;

    fn bitor(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}

impl BitAnd for Flags {
    type Output = Self;

    fn bitand(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }
}

/// Those of the left that are not in the right.
impl Sub for Flags {
    type Output = Self;

    fn sub(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }
}

/// Keywords of a message: bit `n` stands for the `n`th keyword of its mailbox.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Keywords(u64);

impl Keywords {
    pub const NONE: Self = Self(0);

    pub fn bits(self) -> u64 {
        self.0
    }

    pub fn from_bits(bits: u64) -> Self {
        Self(bits)
    }

    pub fn contains(self, bit: usize) -> bool {
        bit < KEYWORDS_MAX && self.0 >> bit & 1 == 1
    }

    pub fn with(self, bit: usize) -> Self {
        if bit < KEYWORDS_MAX { Self(self.0 | 1 << bit) } else { self }
    }

    pub fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// The bits that are set, ascending.
    pub fn iter(self) -> impl Iterator<Item = usize> {
        let mut left = self.0;
        std::iter::from_fn(move || {
            let bit = left.trailing_zeros() as usize;
            // The lowest bit goes; of zero, which has none, zero is left.
            left &= left.wrapping_sub(1);
            (bit < KEYWORDS_MAX).then_some(bit)
        })
    }
}

impl BitOr for Keywords {
    type Output = Self;

    fn bitor(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}

/// Those of the left that are not in the right.
impl Sub for Keywords {
    type Output = Self;

    fn sub(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }
}
