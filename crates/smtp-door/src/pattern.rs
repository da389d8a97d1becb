//! Addresses as options name them: one, all of a domain, or any.

use mail::{Address, Domain};
use std::fmt;

/// `a@example.org`, `@example.org` for all of a domain (without those below it), `*` for any.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Pattern {
    One(Address),
    Domain(Domain),
    Any,
}

impl Pattern {
    pub fn parse(text: &str) -> Result<Self, String> {
        if text == "*" {
            return Ok(Self::Any);
        }
        let domain = text.strip_prefix("*@").or_else(|| text.strip_prefix('@'));
        match domain {
            Some(domain) => Domain::parse(domain).map(Self::Domain).map_err(|error| error.to_string()),
            None => Address::parse(text).map(Self::One).map_err(|error| error.to_string()),
        }
    }

    /// Case counts nowhere.
    pub fn matches(&self, address: &Address) -> bool {
        match self {
            Self::One(one) => one.key() == address.key(),
            Self::Domain(domain) => domain == address.domain(),
            Self::Any => true,
        }
    }
}

impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::One(address) => address.fmt(f),
            Self::Domain(domain) => write!(f, "@{domain}"),
            Self::Any => f.write_str("*"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_form_means_its_own() {
        let address = |text: &str| Address::parse(text).unwrap();
        for (pattern, yes, no) in [
            ("A@Example.org", "a@example.ORG", "b@example.org"),
            ("@example.org", "x@EXAMPLE.org", "x@sub.example.org"),
            ("*@example.org", "x@example.org", "x@example.com"),
            ("@b\u{fc}cher.example", "x@xn--bcher-kva.example", "x@bucher.example"),
        ] {
            let pattern = Pattern::parse(pattern).unwrap();
            assert!(pattern.matches(&address(yes)) && !pattern.matches(&address(no)), "{pattern}");
        }
        assert!(Pattern::parse("*").unwrap().matches(&address("x@y.example")));
        for bad in ["", "x", "@", "a@", "a@*"] {
            assert!(Pattern::parse(bad).is_err(), "{bad}");
        }
    }
}
