//! Names in the DNS: labels of any octets, which compare without regard to the case of ASCII letters.

use mail::Domain;
use std::fmt;
use std::net::IpAddr;

/// Most octets of a label (RFC 1035 §2.3.4).
pub const LABEL_MAX: usize = 63;
/// Most octets of a name as it travels, the root included (RFC 1035 §2.3.4).
pub const NAME_MAX: usize = 255;

/// A full name. Labels may hold any octets (RFC 2181 §11); ASCII letters are lower case here.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub struct DnsName {
    /// As it travels, without the root: each label behind its length.
    wire: Box<[u8]>,
}

/// Why something is not a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NameError {
    EmptyLabel,
    LongLabel,
    LongName,
    /// A backslash with nothing, or with a number above 255, behind it.
    Escape,
}

impl fmt::Display for NameError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::EmptyLabel => "a label is empty",
            Self::LongLabel => "a label is longer than 63 octets",
            Self::LongName => "the name is longer than 255 octets",
            Self::Escape => "a backslash stands before nothing",
        })
    }
}

impl std::error::Error for NameError {}

impl DnsName {
    /// The root.
    pub fn root() -> Self {
        Self::default()
    }

    /// Octets in which only dots divide, and nothing is an escape: how SPF's macros and most programs write names. A dot
    /// at the end is dropped.
    pub fn from_octets(octets: &[u8]) -> Result<Self, NameError> {
        let octets = octets.strip_suffix(b".").unwrap_or(octets);
        if octets.is_empty() {
            return Ok(Self::root());
        }
        Self::from_labels(octets.split(|octet| *octet == b'.'))
    }

    /// Labels, the nearest first.
    pub fn from_labels<L: AsRef<[u8]>>(labels: impl IntoIterator<Item = L>) -> Result<Self, NameError> {
        let mut wire = Vec::new();
        for label in labels {
            let label = label.as_ref();
            match label.len() {
                0 => return Err(NameError::EmptyLabel),
                length @ 1..=LABEL_MAX => wire.extend(u8::try_from(length)),
                _ => return Err(NameError::LongLabel),
            }
            wire.extend(label.iter().map(u8::to_ascii_lowercase));
            // The root takes one more octet.
            if wire.len() >= NAME_MAX {
                return Err(NameError::LongName);
            }
        }
        Ok(Self { wire: wire.into() })
    }

    /// A name as master files write it, with `\.` and `\DDD` (RFC 1035 §5.1).
    pub fn parse(text: &str) -> Result<Self, NameError> {
        let mut labels: Vec<Vec<u8>> = Vec::new();
        let mut label = Vec::new();
        let mut rest = text.as_bytes();
        while let [octet, after @ ..] = rest {
            rest = after;
            match octet {
                b'.' if rest.is_empty() && labels.is_empty() && label.is_empty() => return Ok(Self::root()),
                b'.' => labels.push(std::mem::take(&mut label)),
                b'\\' => {
                    let (escaped, after) = unescape(rest).ok_or(NameError::Escape)?;
                    label.push(escaped);
                    rest = after;
                }
                octet => label.push(*octet),
            }
        }
        if !label.is_empty() {
            labels.push(label);
        }
        Self::from_labels(labels)
    }

    /// The name of a domain; `None` for an address literal.
    pub fn of(domain: &Domain) -> Option<Self> {
        match domain.literal() {
            Some(_) => None,
            None => Self::from_octets(domain.as_str().as_bytes()).ok(),
        }
    }

    /// Where the names of an address are (RFC 1035 §3.5, RFC 3596 §2.5).
    pub fn reverse(ip: IpAddr) -> Self {
        let text = match ip {
            IpAddr::V4(v4) => {
                let [a, b, c, d] = v4.octets();
                format!("{d}.{c}.{b}.{a}.in-addr.arpa")
            }
            IpAddr::V6(v6) => {
                let nibbles = v6.octets().into_iter().rev().flat_map(|b| [b & 15, b >> 4]);
                nibbles.map(|n| format!("{n:x}.")).collect::<String>() + "ip6.arpa"
            }
        };
        // It is always well formed.
        Self::from_octets(text.as_bytes()).unwrap_or_default()
    }

    /// This name below others, as `_25._tcp` below a host.
    pub fn below(&self, labels: &str) -> Result<Self, NameError> {
        let front = Self::from_octets(labels.as_bytes())?;
        Self::from_labels(front.labels().chain(self.labels()))
    }

    /// Labels, the nearest first, without the root.
    pub fn labels(&self) -> impl Iterator<Item = &[u8]> {
        let mut rest = &*self.wire;
        std::iter::from_fn(move || {
            let (length, after) = rest.split_first()?;
            let (label, after) = after.split_at_checked(usize::from(*length))?;
            rest = after;
            Some(label)
        })
    }

    pub fn is_root(&self) -> bool {
        self.wire.is_empty()
    }

    /// The name one label up; `None` for the root.
    pub fn parent(&self) -> Option<Self> {
        let length = usize::from(*self.wire.first()?);
        Some(Self { wire: self.wire.get(length + 1..)?.into() })
    }

    /// Whether this is `other` or below it.
    pub fn is_within(&self, other: &Self) -> bool {
        let mut here = Some(self.clone());
        while let Some(name) = here {
            if name == *other {
                return true;
            }
            here = name.parent();
        }
        false
    }

    /// The name as a domain of mail, where it is one.
    pub fn to_domain(&self) -> Option<Domain> {
        Domain::parse(&self.to_string()).ok()
    }
}

/// One octet behind a backslash, and the rest.
pub(crate) fn unescape(rest: &[u8]) -> Option<(u8, &[u8])> {
    match rest {
        [a @ b'0'..=b'9', b @ b'0'..=b'9', c @ b'0'..=b'9', after @ ..] => {
            let digit = |octet: &u8| u16::from(octet - b'0');
            Some((u8::try_from(digit(a) * 100 + digit(b) * 10 + digit(c)).ok()?, after))
        }
        [octet, after @ ..] => Some((*octet, after)),
        [] => None,
    }
}

/// As master files write it, without the dot at the end; the root is a dot. Never a blank or a control character.
impl fmt::Display for DnsName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_root() {
            return f.write_str(".");
        }
        for (at, label) in self.labels().enumerate() {
            if at > 0 {
                f.write_str(".")?;
            }
            for octet in label {
                match octet {
                    b'.' | b'\\' | b'"' | b'(' | b')' | b';' | b'@' | b'$' => {
                        write!(f, "\\{}", char::from(*octet))?
                    }
                    b'!'..=b'~' => write!(f, "{}", char::from(*octet))?,
                    octet => write!(f, "\\{octet:03}")?,
                }
            }
        }
        Ok(())
    }
}

impl fmt::Debug for DnsName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_hold_any_octets_and_say_so() {
        for (octets, want) in [
            (&b"Example.ORG."[..], "example.org"),
            (b"", "."),
            (b".", "."),
            (b"a b._spf.example", "a\\032b._spf.example"),
            (b"a\"@\\\xff._spf.example", "a\\\"\\@\\\\\\255._spf.example"),
            (b"\xc3\xbc.example", "\\195\\188.example"),
        ] {
            let name = DnsName::from_octets(octets).unwrap();
            assert_eq!(name.to_string(), want);
            assert_eq!(DnsName::parse(want).unwrap(), name);
        }
        assert_eq!(DnsName::parse("a\\.b.example").unwrap().labels().next(), Some(&b"a.b"[..]));
        assert_eq!(DnsName::parse("a.example.").unwrap().to_string(), "a.example");
    }

    #[test]
    fn what_is_no_name_is_refused() {
        let long = "a".repeat(64);
        let full = [&*"a".repeat(63); 3].join(".");
        for (text, want) in [
            ("a..b", NameError::EmptyLabel),
            (".a", NameError::EmptyLabel),
            ("..", NameError::EmptyLabel),
            (&*long, NameError::LongLabel),
            (&format!("{full}.{}", "a".repeat(62)), NameError::LongName),
        ] {
            assert_eq!(DnsName::from_octets(text.as_bytes()), Err(want), "{text}");
            assert_eq!(DnsName::parse(text), Err(want), "{text}");
        }
        assert!(DnsName::from_octets(format!("{full}.{}", "a".repeat(61)).as_bytes()).is_ok());
        for text in ["a\\", "a\\256", "a\\999.b"] {
            assert_eq!(DnsName::parse(text), Err(NameError::Escape), "{text}");
        }
    }

    #[test]
    fn names_stand_below_one_another() {
        let host = DnsName::from_octets(b"mx.example.org").unwrap();
        let tlsa = host.below("_25._tcp").unwrap();
        assert_eq!(tlsa.to_string(), "_25._tcp.mx.example.org");
        assert!(tlsa.is_within(&host) && host.is_within(&host) && !host.is_within(&tlsa));
        assert!(host.is_within(&DnsName::root()));
        assert_eq!(host.parent().unwrap().to_string(), "example.org");
        assert_eq!(DnsName::root().parent(), None);
        assert_eq!(host.to_domain().unwrap().as_str(), "mx.example.org");
        assert_eq!(DnsName::reverse("192.0.2.1".parse().unwrap()).to_string(), "1.2.0.192.in-addr.arpa");
        assert_eq!(DnsName::reverse("::1".parse().unwrap()).labels().count(), 34);
    }
}
