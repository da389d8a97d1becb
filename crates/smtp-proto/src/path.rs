//! Paths of MAIL and RCPT (RFC 5321 §4.1.2, RFC 6531 §3.3).

use crate::command::Fault;
use mail::{Address, Domain, ReversePath};

/// Longest path in octets, brackets included: 256 of RFC 5321 §4.5.3.1.3, and as much again for a domain
/// in UTF-8 or a source route that is thrown away.
pub const PATH_MAX: usize = 1024;

/// Where RCPT points.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ForwardPath {
    Address(Address, Spelling),
    /// `<Postmaster>` without a domain, in any case (RFC 5321 §4.5.1).
    Postmaster,
}

/// How an address was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Spelling {
    Ascii,
    /// With other octets, in the local part or in U-labels.
    Utf8,
}

impl ForwardPath {
    /// The address; `home` is the domain of a postmaster without one.
    pub fn into_address(self, home: &Domain) -> Result<Address, Fault> {
        match self {
            Self::Address(address, _) => Ok(address),
            Self::Postmaster => Address::new("postmaster", home.clone())
                .map_err(|error| Fault::BadRecipient { why: error.to_string() }),
        }
    }

    /// Whether the recipient, as it was written, can only be said with SMTPUTF8 (RFC 6531 §3.2): a domain in U-labels too.
    pub fn needs_utf8(&self) -> bool {
        matches!(self, Self::Address(_, Spelling::Utf8))
    }
}

/// Cuts `<…>` off the front, quotes respected; gives the inside and the rest. Without brackets the path ends
/// at the first blank: forbidden, but sent by old devices, and there is only one way to read it.
fn cut(text: &str) -> Result<(&str, &str), &'static str> {
    const MISSING: &str = "the address stands in angle brackets: <local@domain>";
    let Some(inner) = text.strip_prefix('<') else {
        let end = text.find([' ', '\t']).unwrap_or(text.len());
        let (path, rest) = text.split_at(end);
        if path.is_empty() || path.contains(['<', '>', '"']) {
            return Err(MISSING);
        }
        return Ok((path, rest));
    };
    let mut quoted = false;
    let mut escaped = false;
    for (at, c) in inner.char_indices().take(PATH_MAX) {
        match c {
            _ if escaped => escaped = false,
            '\\' if quoted => escaped = true,
            '"' => quoted = !quoted,
            '>' if !quoted => {
                let rest = &inner[at + 1..];
                if !rest.is_empty() && !rest.starts_with([' ', '\t']) {
                    return Err("a blank must stand behind the closing >");
                }
                return Ok((&inner[..at], rest));
            }
            _ => {}
        }
    }
    Err(MISSING)
}

/// Takes a source route off: `@a,@b:user@c` is `user@c` (RFC 5321 §4.1.1.3, appendix C).
fn without_route(path: &str) -> &str {
    if !path.starts_with('@') {
        return path;
    }
    path.split_once(':').map_or(path, |(_, rest)| rest)
}

/// The reverse path, whether it was all ASCII, and the text behind it.
pub(crate) fn reverse_path(text: &str) -> Result<(ReversePath, bool, &str), Fault> {
    let bad = |why: &str| Fault::BadSender { why: why.to_owned() };
    let (path, rest) = cut(text).map_err(bad)?;
    if path.is_empty() {
        return Ok((ReversePath::Null, true, rest));
    }
    let address = Address::parse(without_route(path)).map_err(|error| bad(&error.to_string()))?;
    Ok((ReversePath::Address(address), path.is_ascii(), rest))
}

pub(crate) fn forward_path(text: &str) -> Result<(ForwardPath, &str), Fault> {
    let bad = |why: &str| Fault::BadRecipient { why: why.to_owned() };
    let (path, rest) = cut(text).map_err(bad)?;
    if path.eq_ignore_ascii_case("postmaster") {
        return Ok((ForwardPath::Postmaster, rest));
    }
    if path.is_empty() {
        return Err(bad("a recipient cannot be empty"));
    }
    let address = Address::parse(without_route(path)).map_err(|error| bad(&error.to_string()))?;
    let spelling = if path.is_ascii() { Spelling::Ascii } else { Spelling::Utf8 };
    Ok((ForwardPath::Address(address, spelling), rest))
}
