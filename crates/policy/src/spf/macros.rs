//! Macro strings: read once, expanded as often as needed (RFC 7208 §7).

use std::net::IpAddr;

/// A macro letter with its transformers (RFC 7208 §7.1).
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Macro {
    /// Lower case.
    pub(super) letter: u8,
    escape: Escape,
    /// How many parts from the right are used; all if `None`.
    keep: Option<usize>,
    order: Order,
    delimiters: Vec<u8>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Escape {
    Plain,
    /// The letter was upper case.
    Url,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Order {
    AsIs,
    Reversed,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Piece {
    Text(String),
    Macro(Macro),
    /// `%%`, `%_` and `%-`, which end a domain-spec as a macro does.
    Escape(&'static str),
}

/// Pieces of a macro-string, a domain-spec or an explain-string.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct MacroString {
    pub(super) pieces: Vec<Piece>,
}

/// Where a macro string stands, which says what it may contain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// In the record: no blanks, no `c`, `r`, `t`.
    Record,
    /// The text that `exp=` names.
    Explanation,
}

/// What the letters stand for. `p` is `None` unless the string [`MacroString::needs_name`].
pub(super) struct Values<'a> {
    pub(super) local: &'a str,
    pub(super) sender_domain: &'a str,
    pub(super) domain: &'a str,
    pub(super) ip: IpAddr,
    pub(super) helo: &'a str,
    pub(super) receiver: &'a str,
    pub(super) validated: Option<&'a str>,
    pub(super) now: i64,
}

impl MacroString {
    pub(super) fn parse(text: &str, place: Place) -> Result<Self, String> {
        let mut pieces = Vec::new();
        let mut plain = String::new();
        let mut rest = text;
        while let Some(c) = rest.chars().next() {
            if c != '%' {
                let lawful = matches!(c, '\x21'..='\x7e') || (c == ' ' && place == Place::Explanation);
                if !lawful {
                    return Err(format!("a character that is not allowed in {text:?}"));
                }
                plain.push(c);
                rest = &rest[1..];
                continue;
            }
            let (piece, after) =
                read_percent(&rest[1..], place).ok_or_else(|| format!("a bad macro in {text:?}"))?;
            if !plain.is_empty() {
                pieces.push(Piece::Text(std::mem::take(&mut plain)));
            }
            pieces.push(piece);
            rest = after;
        }
        if !plain.is_empty() {
            pieces.push(Piece::Text(plain));
        }
        Ok(Self { pieces })
    }

    /// A domain-spec ends in a macro or in a dot and a top label (RFC 7208 §7.1).
    pub(super) fn parse_domain_spec(text: &str) -> Result<Self, String> {
        let parsed = Self::parse(text, Place::Record)?;
        match parsed.pieces.last() {
            None => Err("an empty domain".to_owned()),
            Some(Piece::Text(tail)) if !ends_in_top_label(tail) => Err(format!("{text:?} is not a domain")),
            Some(_) => Ok(parsed),
        }
    }

    /// Whether the validated name of the client must be found first.
    pub(super) fn needs_name(&self) -> bool {
        self.pieces.iter().any(|piece| matches!(piece, Piece::Macro(m) if m.letter == b'p'))
    }

    /// Whether it names the local part of the sender.
    pub(super) fn names_local(&self) -> bool {
        self.pieces.iter().any(|piece| matches!(piece, Piece::Macro(m) if matches!(m.letter, b's' | b'l')))
    }

    pub(super) fn expand(&self, values: &Values<'_>) -> String {
        let mut out = String::new();
        for piece in &self.pieces {
            match piece {
                Piece::Text(text) => out.push_str(text),
                Piece::Escape(text) => out.push_str(text),
                Piece::Macro(one) => out.push_str(&one.expand(values)),
            }
        }
        out
    }
}

/// Reads what follows a `%`; gives it and the rest.
fn read_percent(rest: &str, place: Place) -> Option<(Piece, &str)> {
    let simple = match rest.as_bytes().first()? {
        b'%' => Some("%"),
        b'_' => Some(" "),
        b'-' => Some("%20"),
        b'{' => None,
        _ => return None,
    };
    if let Some(text) = simple {
        return Some((Piece::Escape(text), &rest[1..]));
    }
    let end = rest.find('}')?;
    let inner = &rest.as_bytes()[1..end];
    Some((Piece::Macro(read_macro(inner, place)?), &rest[end + 1..]))
}

fn read_macro(inner: &[u8], place: Place) -> Option<Macro> {
    let (first, transformers) = inner.split_first()?;
    let letter = first.to_ascii_lowercase();
    let known = match place {
        Place::Record => b"slodiphv".contains(&letter),
        Place::Explanation => b"slodiphvcrt".contains(&letter),
    };
    if !known {
        return None;
    }
    let digits = transformers.iter().take_while(|b| b.is_ascii_digit()).count();
    let keep = match std::str::from_utf8(&transformers[..digits]).ok()? {
        "" => None,
        number => Some(number.parse().unwrap_or(usize::MAX)),
    };
    if keep == Some(0) {
        return None;
    }
    let (order, delimiters) = match transformers[digits..].split_first() {
        Some((b'r' | b'R', rest)) => (Order::Reversed, rest),
        _ => (Order::AsIs, &transformers[digits..]),
    };
    if !delimiters.iter().all(|b| b".-+,/_=".contains(b)) {
        return None;
    }
    let escape = if first.is_ascii_uppercase() { Escape::Url } else { Escape::Plain };
    Some(Macro { letter, escape, keep, order, delimiters: delimiters.to_vec() })
}

impl Macro {
    fn expand(&self, values: &Values<'_>) -> String {
        let value = self.transform(&value_of(self.letter, values));
        match self.escape {
            Escape::Plain => value,
            Escape::Url => url_escape(&value),
        }
    }

    /// Splits, reverses, keeps the parts on the right, joins with dots (RFC 7208 §7.3).
    fn transform(&self, value: &str) -> String {
        if self.keep.is_none() && self.order == Order::AsIs && self.delimiters.is_empty() {
            return value.to_owned();
        }
        let splits = |c: char| match u8::try_from(c) {
            Ok(b) if self.delimiters.is_empty() => b == b'.',
            Ok(b) => self.delimiters.contains(&b),
            Err(_) => false,
        };
        let mut parts: Vec<&str> = value.split(splits).collect();
        if self.order == Order::Reversed {
            parts.reverse();
        }
        let from = parts.len().saturating_sub(self.keep.unwrap_or(usize::MAX));
        parts[from..].join(".")
    }
}

fn value_of(letter: u8, values: &Values<'_>) -> String {
    match letter {
        b's' => format!("{}@{}", values.local, values.sender_domain),
        b'l' => values.local.to_owned(),
        b'o' => values.sender_domain.to_owned(),
        b'd' => values.domain.to_owned(),
        b'i' => dotted(values.ip),
        b'p' => values.validated.unwrap_or("unknown").to_owned(),
        b'v' if values.ip.is_ipv4() => "in-addr".to_owned(),
        b'v' => "ip6".to_owned(),
        b'h' => values.helo.to_owned(),
        b'c' => values.ip.to_string(),
        b'r' => values.receiver.to_owned(),
        // Only `t` is left: `read_macro` lets no other letter through.
        _ => values.now.to_string(),
    }
}

/// Dotted quads, or nibbles with dots for IPv6 (RFC 7208 §7.3).
fn dotted(ip: IpAddr) -> String {
    match ip {
        IpAddr::V4(v4) => v4.to_string(),
        IpAddr::V6(v6) => {
            let nibbles = v6.octets().into_iter().flat_map(|b| [b >> 4, b & 15]);
            nibbles.map(|n| format!("{n:x}")).collect::<Vec<_>>().join(".")
        }
    }
}

fn url_escape(value: &str) -> String {
    let mut out = String::with_capacity(value.len());
    for b in value.bytes() {
        if b.is_ascii_alphanumeric() || b"-._~".contains(&b) {
            out.push(char::from(b));
        } else {
            out.push_str(&format!("%{b:02X}"));
        }
    }
    out
}

/// `"." toplabel [ "." ]` at the end (RFC 7208 §7.1).
fn ends_in_top_label(text: &str) -> bool {
    let text = text.strip_suffix('.').unwrap_or(text);
    let Some((_, top)) = text.rsplit_once('.') else { return false };
    let lawful = top.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-');
    let has_letter_or_hyphen = top.bytes().any(|b| b.is_ascii_alphabetic() || b == b'-');
    lawful && has_letter_or_hyphen && !top.starts_with('-') && !top.ends_with('-')
}
