//! A domain name or address literal, in the one form that all comparisons use.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Longest domain name in octets, as A-labels (RFC 5321 §4.5.3.1.2).
pub const DOMAIN_MAX: usize = 255;
/// Longest label of a domain name in octets (RFC 1035 §2.3.4).
pub const LABEL_MAX: usize = 63;

/// A domain name, kept lower case and as A-labels, or an address literal (`[192.0.2.1]`, RFC 5321 §4.1.3).
///
/// Two values are equal exactly when they name the same place, so `Bücher.example`
/// and `xn--bcher-kva.EXAMPLE` are one domain.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Domain {
    ascii: String,
    literal: Option<IpAddr>,
}

/// Why a text is not a domain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DomainError {
    Empty,
    TooLong,
    /// A label is empty, too long, or begins or ends with a hyphen.
    BadLabel,
    /// A character that no domain name has, or a name that IDNA refuses (RFC 5891).
    BadCharacter,
    /// An address literal that holds no IPv4 or IPv6 address.
    BadLiteral,
}

impl fmt::Display for DomainError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Empty => "the domain is empty",
            Self::TooLong => "the domain is longer than 255 octets",
            Self::BadLabel => {
                "a label of the domain is empty, over 63 octets, or begins or ends with a hyphen"
            }
            Self::BadCharacter => "the domain has a character that domain names cannot have",
            Self::BadLiteral => "the address literal holds no IPv4 or IPv6 address",
        })
    }
}

impl std::error::Error for DomainError {}

impl Domain {
    /// Reads a domain name (ASCII or Unicode, a dot at the end is dropped) or an address literal in brackets.
    pub fn parse(text: &str) -> Result<Self, DomainError> {
        if let Some(inner) = text.strip_prefix('[') {
            let inner = inner.strip_suffix(']').ok_or(DomainError::BadLiteral)?;
            return Self::parse_literal(inner);
        }
        let text = text.strip_suffix('.').unwrap_or(text);
        if text.is_empty() {
            return Err(DomainError::Empty);
        }
        // Four octets of UTF-8 for each character is the most that can still fit.
        if text.len() > DOMAIN_MAX * 4 {
            return Err(DomainError::TooLong);
        }
        let ascii = if text.is_ascii() {
            text.to_ascii_lowercase()
        } else {
            idna::domain_to_ascii(text).map_err(|_| DomainError::BadCharacter)?
        };
        Self::check_labels(&ascii)?;
        Ok(Self { ascii, literal: None })
    }

    /// The literal form of an address, as in `user@[192.0.2.1]`.
    pub fn from_ip(ip: IpAddr) -> Self {
        let ascii = match ip {
            IpAddr::V4(v4) => format!("[{v4}]"),
            IpAddr::V6(v6) => format!("[IPv6:{v6}]"),
        };
        Self { ascii, literal: Some(ip) }
    }

    fn parse_literal(inner: &str) -> Result<Self, DomainError> {
        let is_v6 = inner.get(..5).is_some_and(|tag| tag.eq_ignore_ascii_case("ipv6:"));
        let ip = if is_v6 {
            inner[5..].parse::<Ipv6Addr>().map(IpAddr::V6).ok()
        } else {
            inner.parse::<Ipv4Addr>().map(IpAddr::V4).ok()
        };
        ip.map(Self::from_ip).ok_or(DomainError::BadLiteral)
    }

    fn check_labels(ascii: &str) -> Result<(), DomainError> {
        if ascii.is_empty() {
            return Err(DomainError::Empty);
        }
        if ascii.len() > DOMAIN_MAX {
            return Err(DomainError::TooLong);
        }
        for label in ascii.split('.') {
            if label.is_empty() || label.len() > LABEL_MAX || label.starts_with('-') || label.ends_with('-') {
                return Err(DomainError::BadLabel);
            }
            // The underscore is no host name letter, but names with it do send mail.
            if !label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_') {
                return Err(DomainError::BadCharacter);
            }
        }
        Ok(())
    }

    /// Lower case and A-labels; brackets around an address literal.
    pub fn as_str(&self) -> &str {
        &self.ascii
    }

    /// The address, if this is an address literal.
    pub fn literal(&self) -> Option<IpAddr> {
        self.literal
    }

    /// U-labels, for people (RFC 5890 §2.3.2.1). Falls back to A-labels where IDNA refuses.
    pub fn to_unicode(&self) -> String {
        if self.literal.is_some() || !self.ascii.contains("xn--") {
            return self.ascii.clone();
        }
        let (text, result) = idna::domain_to_unicode(&self.ascii);
        if result.is_ok() { text } else { self.ascii.clone() }
    }

    /// Whether this is `other` or a name below it.
    pub fn is_within(&self, other: &Self) -> bool {
        self.ascii == other.ascii
            || self.ascii.strip_suffix(other.ascii.as_str()).is_some_and(|head| head.ends_with('.'))
    }
}

impl fmt::Display for Domain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.ascii)
    }
}

impl fmt::Debug for Domain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.ascii)
    }
}

impl std::str::FromStr for Domain {
    type Err = DomainError;

    fn from_str(text: &str) -> Result<Self, DomainError> {
        Self::parse(text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_form_for_equal_names() {
        for (input, want) in [
            ("Example.ORG", "example.org"),
            ("example.org.", "example.org"),
            ("Bücher.example", "xn--bcher-kva.example"),
            ("xn--BCHER-kva.example", "xn--bcher-kva.example"),
            ("localhost", "localhost"),
            ("[192.0.2.1]", "[192.0.2.1]"),
            ("[ipv6:2001:DB8::1]", "[IPv6:2001:db8::1]"),
        ] {
            assert_eq!(Domain::parse(input).unwrap().as_str(), want, "{input}");
        }
    }

    #[test]
    fn refuses_what_is_no_domain() {
        use DomainError::*;
        for (input, want) in [
            ("", Empty),
            (".", Empty),
            ("a..b", BadLabel),
            ("-a.b", BadLabel),
            ("a-.b", BadLabel),
            ("a b.c", BadCharacter),
            ("a@b", BadCharacter),
            ("[300.1.1.1]", BadLiteral),
            ("[192.0.2.1", BadLiteral),
            ("[ipv6:zz]", BadLiteral),
        ] {
            assert_eq!(Domain::parse(input), Err(want), "{input}");
        }
        assert_eq!(Domain::parse(&"a".repeat(64)), Err(BadLabel));
        assert_eq!(Domain::parse(&"abc.".repeat(70)), Err(TooLong));
    }

    #[test]
    fn unicode_is_for_people() {
        assert_eq!(Domain::parse("xn--bcher-kva.example").unwrap().to_unicode(), "bücher.example");
    }

    #[test]
    fn within() {
        let d = |s| Domain::parse(s).unwrap();
        assert!(d("a.example.org").is_within(&d("example.org")));
        assert!(d("example.org").is_within(&d("example.org")));
        assert!(!d("badexample.org").is_within(&d("example.org")));
    }
}
