//! A mail address: the local part without its quotes, and a domain.

use crate::domain::{Domain, DomainError};
use std::fmt;

/// Longest local part in octets. RFC 5321 §4.5.3.1.1 makes everybody take 64; return paths of mailing services and of
/// forwarders are longer than that, so all is taken that fits into a path (§4.5.3.1.3).
pub const LOCAL_MAX: usize = 252;

/// An address as the envelope has it. The local part is kept without quotes and in the case it was
/// written in; the domain is in its one form. `Display` adds quotes where the grammar wants them.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Address {
    local: String,
    domain: Domain,
}

/// Why a text is not an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AddressError {
    NoAt,
    EmptyLocal,
    /// The local part is over [`LOCAL_MAX`] octets.
    LocalTooLong,
    /// A character that needs quotes and has none, a bad dot, or a control character.
    BadLocal,
    Domain(DomainError),
}

impl fmt::Display for AddressError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoAt => f.write_str("the address has no @"),
            Self::EmptyLocal => f.write_str("nothing stands before the @"),
            Self::LocalTooLong => f.write_str("the part before the @ is too long"),
            Self::BadLocal => {
                f.write_str("the part before the @ has a character or a dot where the grammar allows none")
            }
            Self::Domain(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for AddressError {}

impl From<DomainError> for AddressError {
    fn from(error: DomainError) -> Self {
        Self::Domain(error)
    }
}

impl Address {
    /// Joins a local part (unquoted) and a domain.
    pub fn new(local: &str, domain: Domain) -> Result<Self, AddressError> {
        if local.is_empty() {
            return Err(AddressError::EmptyLocal);
        }
        if local.len() > LOCAL_MAX {
            return Err(AddressError::LocalTooLong);
        }
        if local.chars().any(is_never_shown) {
            return Err(AddressError::BadLocal);
        }
        Ok(Self { local: local.to_owned(), domain })
    }

    /// Reads `local@domain`, the local part as dot-string or quoted string (RFC 5321 §4.1.2, RFC 6531 §3.3).
    pub fn parse(text: &str) -> Result<Self, AddressError> {
        let (local, rest) = if text.starts_with('"') { split_quoted(text)? } else { split_plain(text)? };
        let domain = rest.strip_prefix('@').ok_or(AddressError::NoAt)?;
        Self::new(&local, Domain::parse(domain)?)
    }

    /// The part before the `@`, without quotes, in the case it was written in.
    pub fn local(&self) -> &str {
        &self.local
    }

    pub fn domain(&self) -> &Domain {
        &self.domain
    }

    /// The form under which accounts and aliases are kept: local part in lower case, domain in its one form.
    pub fn key(&self) -> String {
        format!("{}@{}", self.local.to_lowercase(), self.domain)
    }

    /// The address without its subaddress: `user+tag@d` becomes `user@d` (RFC 5233). `None` if it has none.
    pub fn without_tag(&self, separator: char) -> Option<Self> {
        let (head, _) = self.local.split_once(separator)?;
        Self::new(head, self.domain.clone()).ok()
    }

    /// Whether the local part needs SMTPUTF8 (RFC 6531 §3.2). A domain never does: it travels as A-labels.
    pub fn needs_utf8(&self) -> bool {
        !self.local.is_ascii()
    }
}

/// Splits `"quoted"@rest` into the text within the quotes, escapes resolved, and the rest.
fn split_quoted(text: &str) -> Result<(String, &str), AddressError> {
    let mut local = String::new();
    let mut chars = text.char_indices().skip(1);
    while let Some((at, c)) = chars.next() {
        match c {
            '"' => return Ok((local, &text[at + 1..])),
            '\\' => match chars.next() {
                Some((_, escaped)) if !escaped.is_control() => local.push(escaped),
                _ => return Err(AddressError::BadLocal),
            },
            c if c.is_control() => return Err(AddressError::BadLocal),
            c => local.push(c),
        }
    }
    Err(AddressError::BadLocal)
}

fn split_plain(text: &str) -> Result<(String, &str), AddressError> {
    let at = text.rfind('@').ok_or(AddressError::NoAt)?;
    let local = &text[..at];
    if local.is_empty() {
        return Err(AddressError::EmptyLocal);
    }
    if !is_dot_string(local) {
        return Err(AddressError::BadLocal);
    }
    Ok((local.to_owned(), &text[at..]))
}

/// Dot-string of RFC 5321 §4.1.2 with the UTF-8 of RFC 6531 §3.3.
fn is_dot_string(local: &str) -> bool {
    local.split('.').all(|atom| !atom.is_empty() && atom.chars().all(is_atext))
}

/// Characters that break a line or turn the reading direction round: in a log or a header what follows them would not
/// be seen as what it is.
fn is_never_shown(c: char) -> bool {
    c.is_control() || matches!(c, '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

fn is_atext(c: char) -> bool {
    if c.is_ascii() {
        c.is_ascii_alphanumeric() || "!#$%&'*+-/=?^_`{|}~".contains(c)
    } else {
        !c.is_control() && !c.is_whitespace()
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if is_dot_string(&self.local) {
            return write!(f, "{}@{}", self.local, self.domain);
        }
        f.write_str("\"")?;
        for c in self.local.chars() {
            if c == '"' || c == '\\' {
                f.write_str("\\")?;
            }
            write!(f, "{c}")?;
        }
        write!(f, "\"@{}", self.domain)
    }
}

impl fmt::Debug for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl std::str::FromStr for Address {
    type Err = AddressError;

    fn from_str(text: &str) -> Result<Self, AddressError> {
        Self::parse(text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_and_prints() {
        for (input, local, printed) in [
            ("alice@Example.org", "alice", "alice@example.org"),
            ("A.B+c@example.org", "A.B+c", "A.B+c@example.org"),
            ("\"a b\"@example.org", "a b", "\"a b\"@example.org"),
            ("\"a\\\"b\"@example.org", "a\"b", "\"a\\\"b\"@example.org"),
            ("\"plain\"@example.org", "plain", "plain@example.org"),
            ("\"a@b\"@example.org", "a@b", "\"a@b\"@example.org"),
            ("ü@bücher.example", "ü", "ü@xn--bcher-kva.example"),
            ("a@[192.0.2.1]", "a", "a@[192.0.2.1]"),
        ] {
            let address = Address::parse(input).unwrap();
            assert_eq!(address.local(), local, "{input}");
            assert_eq!(address.to_string(), printed, "{input}");
            assert_eq!(Address::parse(printed).unwrap(), address, "{input}");
        }
    }

    #[test]
    fn refuses() {
        use AddressError::*;
        for (input, want) in [
            ("alice", NoAt),
            ("@example.org", EmptyLocal),
            ("a..b@example.org", BadLocal),
            (".a@example.org", BadLocal),
            ("a b@example.org", BadLocal),
            ("\"a@example.org", BadLocal),
            ("\"a\"example.org", NoAt),
            ("a\u{7}@example.org", BadLocal),
            ("\"a\u{2028}b\"@example.org", BadLocal),
            ("a\u{202e}b@example.org", BadLocal),
            ("a@", Domain(DomainError::Empty)),
            ("a@-b.c", Domain(DomainError::BadLabel)),
        ] {
            assert_eq!(Address::parse(input), Err(want), "{input}");
        }
        assert_eq!(Address::parse(&format!("{}@a.b", "x".repeat(LOCAL_MAX + 1))), Err(LocalTooLong));
    }

    #[test]
    fn key_and_tag() {
        let address = Address::parse("Alice+Shop@Example.org").unwrap();
        assert_eq!(address.key(), "alice+shop@example.org");
        assert_eq!(address.without_tag('+').unwrap().to_string(), "Alice@example.org");
        assert_eq!(Address::parse("+x@example.org").unwrap().without_tag('+'), None);
    }
}
