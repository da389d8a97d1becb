//! How well the way to another server was protected, and why just so: for the log and for the history of a message.

use std::fmt;
use std::str::FromStr;

/// What a connection gave, the least first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum TlsLevel {
    /// No TLS.
    Clear,
    /// TLS with a certificate that proves nothing: keeps out those who only listen (RFC 7435 §3).
    Encrypted,
    /// The certificate is for the name of the host, and an authority that is trusted vouches for it.
    Verified,
    /// The certificate is the one that signed TLSA records name (RFC 7672 §2.2).
    Dane,
}

impl TlsLevel {
    const ALL: [Self; 4] = [Self::Clear, Self::Encrypted, Self::Verified, Self::Dane];

    pub fn word(self) -> &'static str {
        match self {
            Self::Clear => "none",
            Self::Encrypted => "encrypted",
            Self::Verified => "verified",
            Self::Dane => "dane",
        }
    }
}

impl fmt::Display for TlsLevel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

/// What decided how a connection had to be protected.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum TlsWhy {
    /// Nobody demands anything: TLS where it is offered.
    Opportunistic,
    /// Nobody demands anything, and TLS was tried and failed.
    Fallback,
    /// The configuration, for this destination.
    Local,
    /// The configuration of a next hop that takes the place of the DNS.
    Smarthost,
    /// The policy of the destination, in `enforce` (RFC 8461 §5).
    MtaSts,
    /// The policy of the destination, in `testing`: failures are only reported.
    MtaStsTesting,
    /// TLSA records of the host (RFC 7672 §2.2).
    Dane,
    /// TLSA records that nobody can use demand encryption and no more (RFC 7672 §2.2).
    DaneUnusable,
    /// The sender demands it (RFC 8689 §4.2.1).
    RequireTls,
    /// The sender would rather have it delivered than protected (RFC 8689 §4.2.2).
    TlsRequiredNo,
}

impl TlsWhy {
    const ALL: [Self; 10] = [
        Self::Opportunistic,
        Self::Fallback,
        Self::Local,
        Self::Smarthost,
        Self::MtaSts,
        Self::MtaStsTesting,
        Self::Dane,
        Self::DaneUnusable,
        Self::RequireTls,
        Self::TlsRequiredNo,
    ];

    pub fn word(self) -> &'static str {
        match self {
            Self::Opportunistic => "opportunistic",
            Self::Fallback => "fallback",
            Self::Local => "local-policy",
            Self::Smarthost => "smarthost",
            Self::MtaSts => "mta-sts",
            Self::MtaStsTesting => "mta-sts-testing",
            Self::Dane => "dane",
            Self::DaneUnusable => "dane-unusable",
            Self::RequireTls => "requiretls",
            Self::TlsRequiredNo => "tls-required-no",
        }
    }
}

impl fmt::Display for TlsWhy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

/// The protection of one connection. Its text can be read back: `verified TLSv1.3 mta-sts`, `none opportunistic`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct TlsUsed {
    pub level: TlsLevel,
    /// `TLSv1.2` or `TLSv1.3`; empty in clear.
    pub version: String,
    pub why: TlsWhy,
}

impl fmt::Display for TlsUsed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.version.as_str() {
            "" => write!(f, "{} {}", self.level, self.why),
            version => write!(f, "{} {version} {}", self.level, self.why),
        }
    }
}

/// A text is no protection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BadTlsUsed;

impl fmt::Display for BadTlsUsed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("it does not say how a connection was protected")
    }
}

impl std::error::Error for BadTlsUsed {}

impl FromStr for TlsUsed {
    type Err = BadTlsUsed;

    fn from_str(text: &str) -> Result<Self, BadTlsUsed> {
        let words: Vec<&str> = text.split(' ').collect();
        let (level, version, why) = match words.as_slice() {
            [level, why] => (level, "", why),
            [level, version, why] if !version.is_empty() => (level, *version, why),
            _ => return Err(BadTlsUsed),
        };
        let level = TlsLevel::ALL.into_iter().find(|one| one.word() == *level).ok_or(BadTlsUsed)?;
        let why = TlsWhy::ALL.into_iter().find(|one| one.word() == *why).ok_or(BadTlsUsed)?;
        Ok(Self { level, version: version.to_owned(), why })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_can_be_read() {
        for level in TlsLevel::ALL {
            for why in TlsWhy::ALL {
                for version in ["", "TLSv1.3"] {
                    let used = TlsUsed { level, version: version.to_owned(), why };
                    assert_eq!(used.to_string().parse(), Ok(used));
                }
            }
        }
        for text in ["", "none", "dane  dane", "dane TLSv1.3 dane more", "good mta-sts", "none good"] {
            assert_eq!(text.parse::<TlsUsed>(), Err(BadTlsUsed), "{text}");
        }
        assert!(TlsLevel::Clear < TlsLevel::Encrypted && TlsLevel::Verified < TlsLevel::Dane);
    }
}
