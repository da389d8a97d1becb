//! The grammar of an SPF record; an error anywhere spoils the whole (RFC 7208 §4.5, §4.6, §5, §6).

use super::SpfResult;
use super::macros::{MacroString, Place};
use std::net::{Ipv4Addr, Ipv6Addr};

/// A record, read.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Record {
    pub(super) directives: Vec<Directive>,
    pub(super) redirect: Option<MacroString>,
    pub(super) exp: Option<MacroString>,
}

#[derive(Debug, PartialEq, Eq)]
pub(super) struct Directive {
    /// What the result is if the mechanism matches.
    pub(super) result: SpfResult,
    pub(super) mechanism: Mechanism,
    /// As written.
    pub(super) text: String,
}

#[derive(Debug, PartialEq, Eq)]
pub(super) enum Mechanism {
    All,
    Include(MacroString),
    A { target: Option<MacroString>, prefix: Prefix },
    Mx { target: Option<MacroString>, prefix: Prefix },
    Ptr { target: Option<MacroString> },
    Ip4(Ipv4Addr, u8),
    Ip6(Ipv6Addr, u8),
    Exists(MacroString),
}

impl Mechanism {
    /// The domain that it names.
    pub(super) fn target(&self) -> Option<&MacroString> {
        match self {
            Self::Include(target) | Self::Exists(target) => Some(target),
            Self::A { target, .. } | Self::Mx { target, .. } | Self::Ptr { target } => target.as_ref(),
            Self::All | Self::Ip4(..) | Self::Ip6(..) => None,
        }
    }
}

/// How many leading bits of an address count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Prefix {
    pub(super) v4: u8,
    pub(super) v6: u8,
}

/// Whether a TXT record is an SPF record at all (RFC 7208 §4.5). Letter case does not count in ABNF strings.
pub(super) fn is_spf(text: &str) -> bool {
    let head = text.get(..6).is_some_and(|head| head.eq_ignore_ascii_case("v=spf1"));
    head && matches!(text.as_bytes().get(6), None | Some(b' '))
}

impl Record {
    /// Reads a record that [`is_spf`]. The error says what is wrong.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let mut record = Self { directives: Vec::new(), redirect: None, exp: None };
        for term in text[6..].split(' ').filter(|term| !term.is_empty()) {
            record.read_term(term)?;
        }
        Ok(record)
    }

    fn read_term(&mut self, term: &str) -> Result<(), String> {
        let name_end = term
            .find(|c: char| !(c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.')))
            .unwrap_or(term.len());
        let begins_with_letter = term.starts_with(|c: char| c.is_ascii_alphabetic());
        if begins_with_letter && term[name_end..].starts_with('=') {
            return self.read_modifier(&term[..name_end], &term[name_end + 1..]);
        }
        let (result, mechanism) = split_qualifier(term);
        let mechanism =
            read_mechanism(mechanism).map_err(|error| format!("{error} in the term {}", shown(term)))?;
        self.directives.push(Directive { result, mechanism, text: shown(term) });
        Ok(())
    }

    fn read_modifier(&mut self, name: &str, value: &str) -> Result<(), String> {
        let slot = if name.eq_ignore_ascii_case("redirect") {
            &mut self.redirect
        } else if name.eq_ignore_ascii_case("exp") {
            &mut self.exp
        } else {
            return MacroString::parse(value, Place::Record).map(|_| ());
        };
        let spec = MacroString::parse_domain_spec(value).map_err(|error| format!("{error} in {name}="))?;
        if slot.replace(spec).is_some() {
            return Err(format!("{name}= stands there twice"));
        }
        Ok(())
    }
}

/// Longest piece of a stranger's record that is quoted in a reason, in characters.
const QUOTED_MAX: usize = 80;

/// A term as it may be quoted: short, printable.
fn shown(term: &str) -> String {
    term.chars().take(QUOTED_MAX).map(|c| if c.is_ascii_graphic() { c } else { '?' }).collect()
}

fn split_qualifier(term: &str) -> (SpfResult, &str) {
    let result = match term.as_bytes().first() {
        Some(b'+') => SpfResult::Pass,
        Some(b'-') => SpfResult::Fail,
        Some(b'~') => SpfResult::SoftFail,
        Some(b'?') => SpfResult::Neutral,
        _ => return (SpfResult::Pass, term),
    };
    (result, &term[1..])
}

fn read_mechanism(text: &str) -> Result<Mechanism, String> {
    let end = text.find([':', '/']).unwrap_or(text.len());
    let (name, rest) = text.split_at(end);
    match name.to_ascii_lowercase().as_str() {
        "all" if rest.is_empty() => Ok(Mechanism::All),
        "all" => Err("`all` takes nothing".to_owned()),
        "include" => Ok(Mechanism::Include(required_domain(rest)?)),
        "exists" => Ok(Mechanism::Exists(required_domain(rest)?)),
        "a" => optional_domain_and_prefix(rest).map(|(target, prefix)| Mechanism::A { target, prefix }),
        "mx" => optional_domain_and_prefix(rest).map(|(target, prefix)| Mechanism::Mx { target, prefix }),
        "ptr" if rest.is_empty() => Ok(Mechanism::Ptr { target: None }),
        "ptr" => Ok(Mechanism::Ptr { target: Some(required_domain(rest)?) }),
        "ip4" => read_network(rest, 32).map(|(ip, bits)| Mechanism::Ip4(ip, bits)),
        "ip6" => read_network(rest, 128).map(|(ip, bits)| Mechanism::Ip6(ip, bits)),
        _ => Err("an unknown mechanism".to_owned()),
    }
}

fn required_domain(rest: &str) -> Result<MacroString, String> {
    let spec = rest.strip_prefix(':').ok_or("no domain")?;
    MacroString::parse_domain_spec(spec)
}

/// `[ ":" domain-spec ] [ dual-cidr-length ]`. A domain-spec may have slashes, so the lengths are read from the end.
fn optional_domain_and_prefix(rest: &str) -> Result<(Option<MacroString>, Prefix), String> {
    let mut prefix = Prefix { v4: 32, v6: 128 };
    let mut rest = rest;
    if let Some((head, bits)) = split_length(rest, "//") {
        prefix.v6 = read_length(bits, 128)?;
        rest = head;
    }
    if let Some((head, bits)) = split_length(rest, "/") {
        prefix.v4 = read_length(bits, 32)?;
        rest = head;
    }
    let target = if rest.is_empty() { None } else { Some(required_domain(rest)?) };
    Ok((target, prefix))
}

/// Splits digits after a sign off the end.
fn split_length<'a>(text: &'a str, sign: &str) -> Option<(&'a str, &'a str)> {
    let head = text.trim_end_matches(|c: char| c.is_ascii_digit());
    let digits = &text[head.len()..];
    if digits.is_empty() {
        return None;
    }
    Some((head.strip_suffix(sign)?, digits))
}

fn read_length(digits: &str, most: u8) -> Result<u8, String> {
    let bad = || format!("a bad prefix length /{}", shown(digits));
    if digits.len() > 1 && digits.starts_with('0') {
        return Err(bad());
    }
    digits.parse().ok().filter(|bits| *bits <= most).ok_or_else(bad)
}

fn read_network<T: std::str::FromStr>(rest: &str, bits: u8) -> Result<(T, u8), String> {
    let text = rest.strip_prefix(':').ok_or("no address")?;
    let (ip, length) = match text.split_once('/') {
        Some((ip, digits)) if digits.bytes().all(|b| b.is_ascii_digit()) && !digits.is_empty() => {
            (ip, read_length(digits, bits)?)
        }
        Some(_) => return Err("a bad prefix length".to_owned()),
        None => (text, bits),
    };
    ip.parse().map(|ip| (ip, length)).map_err(|_| "a bad address".to_owned())
}
