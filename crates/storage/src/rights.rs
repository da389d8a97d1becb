//! Rights on a mailbox (RFC 4314 §2.1), and how those of several entries come together.

use crate::flags::{Flags, Keywords};
use std::fmt;
use std::ops::{BitAnd, BitOr, Sub};
use std::str::FromStr;

/// A set of rights.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Rights(u16);

impl Rights {
    pub const NONE: Self = Self(0);
    /// `l`: see it in LIST.
    pub const LOOKUP: Self = Self(1);
    /// `r`: select it, ask for its STATUS.
    pub const READ: Self = Self(1 << 1);
    /// `s`: change \Seen.
    pub const SEEN: Self = Self(1 << 2);
    /// `w`: change flags other than \Seen and \Deleted.
    pub const WRITE: Self = Self(1 << 3);
    /// `i`: put messages into it.
    pub const INSERT: Self = Self(1 << 4);
    /// `p`: send mail to its address; nothing here asks for it.
    pub const POST: Self = Self(1 << 5);
    /// `k`: make mailboxes below it.
    pub const CREATE: Self = Self(1 << 6);
    /// `x`: delete or rename it.
    pub const DELETE: Self = Self(1 << 7);
    /// `t`: change \Deleted.
    pub const DELETE_MESSAGES: Self = Self(1 << 8);
    /// `e`: expunge.
    pub const EXPUNGE: Self = Self(1 << 9);
    /// `a`: change who has which rights.
    pub const ADMINISTER: Self = Self(1 << 10);
    pub const ALL: Self = Self((1 << 11) - 1);
    /// What a login that may only read has at most.
    pub const READ_ONLY: Self = Self(Self::LOOKUP.0 | Self::READ.0);
    /// What the owner of a mailbox cannot lose.
    pub const OWNER: Self = Self(Self::LOOKUP.0 | Self::ADMINISTER.0);

    const LETTERS: &'static str = "lrswipkxtea";

    /// Both together, in a constant.
    #[must_use]
    pub const fn or(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    pub fn contains(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }

    /// Whether at least one of these is there.
    pub fn has_any(self, of: Self) -> bool {
        self.0 & of.0 != 0
    }

    pub fn is_empty(self) -> bool {
        self.0 == 0
    }

    pub(crate) fn bits(self) -> i64 {
        i64::from(self.0)
    }

    pub(crate) fn from_bits(bits: i64) -> Self {
        Self(u16::try_from(bits).unwrap_or(0)) & Self::ALL
    }

    /// The flags that these rights allow to be changed (RFC 4314 §4); keywords go with [`Rights::WRITE`].
    pub fn flags(self) -> Flags {
        let others = Flags::ALL - Flags::SEEN - Flags::DELETED;
        let of = |right, flags| if self.contains(right) { flags } else { Flags::NONE };
        of(Self::SEEN, Flags::SEEN) | of(Self::DELETE_MESSAGES, Flags::DELETED) | of(Self::WRITE, others)
    }

    /// Of these flags and keywords those that may be set.
    pub fn keep(self, flags: Flags, keywords: Keywords) -> (Flags, Keywords) {
        let keywords = if self.contains(Self::WRITE) { keywords } else { Keywords::NONE };
        (flags & self.flags(), keywords)
    }

    /// With the letters that older clients look for (RFC 4314 §2.1.1): `c` where `k` or `x` is, `d` where `t` or `e` is.
    pub fn with_obsolete(self) -> String {
        let mut letters = self.to_string();
        if self.has_any(Self::CREATE | Self::DELETE) {
            letters.push('c');
        }
        if self.has_any(Self::DELETE_MESSAGES | Self::EXPUNGE) {
            letters.push('d');
        }
        letters
    }
}

impl BitOr for Rights {
    type Output = Self;

    fn bitor(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}

impl BitAnd for Rights {
    type Output = Self;

    fn bitand(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }
}

impl Sub for Rights {
    type Output = Self;

    fn sub(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }
}

impl fmt::Display for Rights {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let letters = Self::LETTERS.chars().enumerate();
        f.write_str(&letters.filter(|(bit, _)| self.0 & (1 << bit) != 0).map(|(_, c)| c).collect::<String>())
    }
}

/// Reads letters; `c` is `k` and `x`, `d` is `t` and `e`. The error is the letter that stands for nothing.
impl FromStr for Rights {
    type Err = char;

    fn from_str(text: &str) -> Result<Self, char> {
        text.chars().try_fold(Self::NONE, |rights, letter| {
            let more = match letter {
                'c' => Self::CREATE | Self::DELETE,
                'd' => Self::DELETE_MESSAGES | Self::EXPUNGE,
                _ => Self(1 << Self::LETTERS.find(letter).ok_or(letter)?),
            };
            Ok(rights | more)
        })
    }
}

/// Whose rights an entry is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Sign {
    /// These are granted.
    Positive,
    /// These are taken away, whatever other entries grant (RFC 4314 §2).
    Negative,
}

/// The rights that come of all entries that concern one account: `own` and `anyone` say what is granted to each, the
/// negative ones what is taken away. An owner without an entry has all, and keeps [`Rights::OWNER`] in any case.
pub(crate) fn effective(
    is_owner: bool,
    own: Option<Rights>,
    anyone: Option<Rights>,
    negative: Rights,
) -> Rights {
    let base = own.unwrap_or(if is_owner { Rights::ALL } else { Rights::NONE });
    let rights = (base | anyone.unwrap_or_default()) - negative;
    if is_owner { rights | Rights::OWNER } else { rights }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn letters_go_both_ways() {
        for text in ["", "l", "lrs", "lrswipkxtea"] {
            assert_eq!(text.parse::<Rights>().unwrap().to_string(), text);
        }
        assert_eq!("cd".parse::<Rights>().unwrap().to_string(), "kxte");
        assert_eq!("lrq".parse::<Rights>(), Err('q'));
        assert_eq!("L".parse::<Rights>(), Err('L'));
        assert_eq!("lrx".parse::<Rights>().unwrap().with_obsolete(), "lrxc");
        assert_eq!(Rights::ALL.with_obsolete(), "lrswipkxteacd");
        assert_eq!(Rights::from_bits(Rights::ALL.bits()), Rights::ALL);
        assert_eq!(Rights::from_bits(-1), Rights::NONE);
    }

    #[test]
    fn flags_go_with_their_rights() {
        for (rights, want) in [
            ("", Flags::NONE),
            ("lripkxea", Flags::NONE),
            ("s", Flags::SEEN),
            ("t", Flags::DELETED),
            ("w", Flags::ANSWERED | Flags::FLAGGED | Flags::DRAFT),
            ("swt", Flags::ALL),
        ] {
            let rights: Rights = rights.parse().unwrap();
            assert_eq!(rights.flags(), want, "{rights}");
            let keywords = Keywords::NONE.with(3);
            let kept = if rights.contains(Rights::WRITE) { keywords } else { Keywords::NONE };
            assert_eq!(rights.keep(Flags::ALL, keywords), (want, kept), "{rights}");
        }
    }

    #[test]
    fn entries_come_together() {
        let rights = |text: &str| text.parse::<Rights>().unwrap();
        for (is_owner, own, anyone, negative, want) in [
            (true, None, None, "", "lrswipkxtea"),
            (true, Some("lr"), None, "", "lra"),
            (true, None, None, "la", "lrswipkxtea"),
            (true, Some(""), Some("s"), "", "lsa"),
            (false, None, None, "", ""),
            (false, None, Some("lr"), "", "lr"),
            (false, Some("lrs"), Some("w"), "", "lrsw"),
            (false, Some("lrs"), Some("w"), "rw", "ls"),
        ] {
            let got = effective(is_owner, own.map(rights), anyone.map(rights), rights(negative));
            assert_eq!(got, rights(want), "{is_owner} {own:?} {anyone:?} {negative}");
        }
    }
}
