//! The extensions of SMTP by name: what a server offers, and what a client reads out of an EHLO reply.

use std::fmt;

/// Most words of one EHLO line that are looked at.
const WORDS_MAX: usize = 64;

/// An extension that this crate knows, on one side or both.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum Extension {
    /// RFC 2920
    Pipelining = 1 << 0,
    /// RFC 6152
    EightBitMime = 1 << 1,
    /// RFC 6531
    SmtpUtf8 = 1 << 2,
    /// RFC 1870
    Size = 1 << 3,
    /// RFC 2034
    EnhancedStatusCodes = 1 << 4,
    /// RFC 3030
    Chunking = 1 << 5,
    /// RFC 3030
    BinaryMime = 1 << 6,
    /// RFC 3207
    StartTls = 1 << 7,
    /// RFC 4954
    Auth = 1 << 8,
    /// RFC 9422
    Limits = 1 << 9,
    /// RFC 3461
    Dsn = 1 << 10,
    /// RFC 8689
    RequireTls = 1 << 11,
    /// Of Postfix, without an RFC: a trusted peer names the client for which it speaks.
    Xclient = 1 << 12,
    /// The same for one message.
    Xforward = 1 << 13,
    /// RFC 6710
    MtPriority = 1 << 14,
    /// RFC 4865
    FutureRelease = 1 << 15,
    /// RFC 2852
    DeliverBy = 1 << 16,
}

impl Extension {
    /// In the order in which they are announced.
    pub const ALL: [Self; 17] = [
        Self::Pipelining,
        Self::Size,
        Self::StartTls,
        Self::Auth,
        Self::EightBitMime,
        Self::SmtpUtf8,
        Self::EnhancedStatusCodes,
        Self::Chunking,
        Self::BinaryMime,
        Self::Dsn,
        Self::RequireTls,
        Self::MtPriority,
        Self::FutureRelease,
        Self::DeliverBy,
        Self::Limits,
        Self::Xclient,
        Self::Xforward,
    ];

    /// The EHLO keyword.
    pub fn keyword(self) -> &'static str {
        match self {
            Self::Pipelining => "PIPELINING",
            Self::EightBitMime => "8BITMIME",
            Self::SmtpUtf8 => "SMTPUTF8",
            Self::Size => "SIZE",
            Self::EnhancedStatusCodes => "ENHANCEDSTATUSCODES",
            Self::Chunking => "CHUNKING",
            Self::BinaryMime => "BINARYMIME",
            Self::StartTls => "STARTTLS",
            Self::Auth => "AUTH",
            Self::Limits => "LIMITS",
            Self::Dsn => "DSN",
            Self::RequireTls => "REQUIRETLS",
            Self::Xclient => "XCLIENT",
            Self::Xforward => "XFORWARD",
            Self::MtPriority => "MT-PRIORITY",
            Self::FutureRelease => "FUTURERELEASE",
            Self::DeliverBy => "DELIVERBY",
        }
    }

    fn parse(keyword: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|known| known.keyword().eq_ignore_ascii_case(keyword))
    }
}

/// Some of the extensions.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
pub struct ExtensionSet(u32);

impl ExtensionSet {
    pub const EMPTY: Self = Self(0);

    /// What a server of ours offers unless told otherwise: all that it can do without asking its owner more
    /// than the usual questions. STARTTLS and AUTH are announced by their own options.
    pub fn usual() -> Self {
        Self::EMPTY
            .with(Extension::Pipelining)
            .with(Extension::EightBitMime)
            .with(Extension::SmtpUtf8)
            .with(Extension::Size)
            .with(Extension::EnhancedStatusCodes)
            .with(Extension::Chunking)
            .with(Extension::BinaryMime)
            .with(Extension::Dsn)
            .with(Extension::Limits)
    }

    pub fn has(self, extension: Extension) -> bool {
        self.0 & extension as u32 != 0
    }

    #[must_use]
    pub fn with(self, extension: Extension) -> Self {
        Self(self.0 | extension as u32)
    }

    #[must_use]
    pub fn without(self, extension: Extension) -> Self {
        Self(self.0 & !(extension as u32))
    }
}

impl fmt::Debug for ExtensionSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names = Extension::ALL.into_iter().filter(|one| self.has(*one)).map(Extension::keyword);
        f.debug_set().entries(names).finish()
    }
}

/// What a peer said in its EHLO reply; all empty for one that knows only HELO.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Offers {
    pub set: ExtensionSet,
    /// The largest message in octets; `None` if the peer names no limit (RFC 1870 §4).
    pub size: Option<u64>,
    /// SASL mechanisms, in capitals, in the peer's order.
    pub auth: Vec<String>,
    /// Most recipients of one transaction (RFC 9422).
    pub rcpt_max: Option<usize>,
    /// Most transactions on one connection (RFC 9422).
    pub mail_max: Option<usize>,
    /// Attributes of XCLIENT, in capitals.
    pub xclient: Vec<String>,
    /// The shortest time for `BY=…;R`, in seconds (RFC 2852 §3).
    pub by_min: Option<i64>,
}

impl Offers {
    /// Reads the lines of an EHLO reply; the first is the greeting (RFC 5321 §4.1.1.1).
    pub fn parse(text: &str) -> Self {
        let mut offers = Self::default();
        for line in text.split('\n').skip(1) {
            offers.take(line);
        }
        offers
    }

    pub fn has(&self, extension: Extension) -> bool {
        self.set.has(extension)
    }

    pub fn has_mechanism(&self, name: &str) -> bool {
        self.auth.iter().any(|one| one == name)
    }

    fn take(&mut self, line: &str) {
        let mut words = line.split_ascii_whitespace().take(WORDS_MAX);
        let Some(first) = words.next() else { return };
        // Old servers write `AUTH=PLAIN LOGIN`, some beside the right form.
        let (keyword, glued) = match first.split_once('=') {
            Some((keyword, value)) if keyword.eq_ignore_ascii_case("AUTH") => (keyword, Some(value)),
            _ => (first, None),
        };
        let Some(extension) = Extension::parse(keyword) else { return };
        self.set = self.set.with(extension);
        match extension {
            Extension::Size => self.size = words.next().and_then(|n| n.parse().ok()).filter(|n| *n > 0),
            Extension::Auth => {
                for name in glued.into_iter().chain(words).map(str::to_ascii_uppercase) {
                    if !name.is_empty() && !self.auth.contains(&name) {
                        self.auth.push(name);
                    }
                }
            }
            Extension::Xclient => self.xclient = words.map(str::to_ascii_uppercase).collect(),
            Extension::Limits => words.for_each(|word| self.take_limit(word)),
            Extension::DeliverBy => {
                self.by_min = words.next().and_then(|word| word.split(',').next()?.parse().ok());
            }
            _ => {}
        }
    }

    fn take_limit(&mut self, word: &str) {
        let Some((name, value)) = word.split_once('=') else { return };
        let value = value.parse().ok().filter(|n: &usize| *n > 0);
        match name.to_ascii_uppercase().as_str() {
            "RCPTMAX" => self.rcpt_max = value,
            "MAILMAX" => self.mail_max = value,
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_an_ehlo_reply() {
        let offers = Offers::parse(
            "mx.example.org PIPELINING\nsize 1000\nAUTH plain LOGIN\nAUTH=LOGIN XOAUTH2\n8BITMIME\nX-OWN 1\n\
             LIMITS RCPTMAX=20 MAILMAX=3 NEW=1\nDELIVERBY 60,later\nMT-PRIORITY MIXER\n",
        );
        assert_eq!(offers.by_min, Some(60));
        assert!(offers.has(Extension::MtPriority) && !offers.has(Extension::FutureRelease));
        assert!(!offers.has(Extension::Pipelining), "the first line is a greeting");
        assert!(offers.has(Extension::EightBitMime));
        assert_eq!(offers.size, Some(1000));
        assert_eq!(offers.auth, ["PLAIN", "LOGIN", "XOAUTH2"]);
        assert_eq!((offers.rcpt_max, offers.mail_max), (Some(20), Some(3)));
    }

    #[test]
    fn size_without_a_number_is_no_limit() {
        for line in ["SIZE", "SIZE 0", "SIZE x", "SIZE 99999999999999999999999"] {
            let offers = Offers::parse(&format!("mx\n{line}"));
            assert!(offers.has(Extension::Size));
            assert_eq!(offers.size, None, "{line}");
        }
    }
}
