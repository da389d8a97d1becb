//! The parameters of MAIL and RCPT (RFC 5321 §4.1.2), and the two encodings that they use.

use crate::command::Fault;
use crate::ext::{Extension, ExtensionSet};
use mail::{Body, ByMode, DeliverBy, MailParams, Notify, OriginalRecipient, Priority, Release, Ret, date};

/// Longest ENVID in octets, encoded (RFC 3461 §4.4).
pub const ENVID_MAX: usize = 100;
/// Longest ORCPT in octets, encoded (RFC 3461 §4.2).
pub const ORCPT_MAX: usize = 500;
/// Most parameters of one command.
pub const PARAMS_MAX: usize = 32;

/// The parameters of one MAIL command.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MailArgs {
    pub params: MailParams,
    /// SIZE=, in octets (RFC 1870 §6).
    pub size: Option<u64>,
}

/// The parameters of one RCPT command.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RcptArgs {
    pub notify: Notify,
    pub original: Option<OriginalRecipient>,
}

impl Default for RcptArgs {
    fn default() -> Self {
        Self { notify: Notify::Default, original: None }
    }
}

/// Splits the text behind the path into keywords (in capitals) and values; no keyword may come twice.
fn split(text: &str) -> Result<Vec<(String, Option<&str>)>, Fault> {
    let mut out: Vec<(String, Option<&str>)> = Vec::new();
    for word in text.split_ascii_whitespace() {
        let (keyword, value) = match word.split_once('=') {
            Some((keyword, value)) => (keyword, Some(value)),
            None => (word, None),
        };
        let starts_well = keyword.starts_with(|c: char| c.is_ascii_alphanumeric());
        if !starts_well || !keyword.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-') {
            return Err(Fault::BadParameter { what: "a parameter is written as KEYWORD or KEYWORD=value" });
        }
        let keyword = keyword.to_ascii_uppercase();
        if out.len() == PARAMS_MAX || out.iter().any(|(known, _)| *known == keyword) {
            return Err(Fault::BadParameter { what: "the same parameter is given twice" });
        }
        out.push((keyword, value));
    }
    Ok(out)
}

impl MailArgs {
    /// Reads the parameters; one whose extension is not in `offered` is unknown.
    pub fn parse(text: &str, offered: ExtensionSet) -> Result<Self, Fault> {
        let mut args = Self::default();
        for (keyword, value) in split(text)? {
            args.take(&keyword, value, offered)?;
        }
        Ok(args)
    }

    fn take(&mut self, keyword: &str, value: Option<&str>, offered: ExtensionSet) -> Result<(), Fault> {
        match (keyword, value) {
            ("SIZE", Some(value)) if offered.has(Extension::Size) => self.size = Some(number(value)?),
            ("BODY", Some(value)) => self.params.body = body(value, offered)?,
            ("SMTPUTF8", None) if offered.has(Extension::SmtpUtf8) => self.params.utf8 = true,
            ("REQUIRETLS", None) if offered.has(Extension::RequireTls) => self.params.require_tls = true,
            ("RET", Some(value)) if offered.has(Extension::Dsn) => {
                self.params.ret = Some(match value.to_ascii_uppercase().as_str() {
                    "FULL" => Ret::Full,
                    "HDRS" => Ret::Headers,
                    _ => return Err(Fault::BadParameter { what: "RET is FULL or HDRS" }),
                });
            }
            ("ENVID", Some(value)) if offered.has(Extension::Dsn) => {
                self.params.envid = Some(envid(value)?);
            }
            ("MT-PRIORITY", Some(value)) if offered.has(Extension::MtPriority) => {
                self.params.priority = priority(value)?;
            }
            ("HOLDFOR" | "HOLDUNTIL", Some(_))
                if offered.has(Extension::FutureRelease) && self.params.release.is_some() =>
            {
                return Err(Fault::BadParameter { what: "HOLDFOR and HOLDUNTIL exclude each other" });
            }
            ("HOLDFOR", Some(value)) if offered.has(Extension::FutureRelease) => {
                self.params.release = Some(hold_for(value)?);
            }
            ("HOLDUNTIL", Some(value)) if offered.has(Extension::FutureRelease) => {
                self.params.release = Some(hold_until(value)?);
            }
            ("BY", Some(value)) if offered.has(Extension::DeliverBy) => {
                self.params.by = Some(deliver_by(value)?);
            }
            // RFC 4954 §5: who submitted it first. Read, so that nobody who sends it is refused; not
            // believed, since only a trusted peer could say so.
            ("AUTH", Some(value)) if offered.has(Extension::Auth) => {
                from_xtext(value).ok_or(Fault::BadParameter { what: "AUTH= is not valid xtext" })?;
            }
            _ => return Err(Fault::UnknownParameter { keyword: keyword.to_owned() }),
        }
        Ok(())
    }
}

impl RcptArgs {
    /// Reads the parameters; one whose extension is not in `offered` is unknown.
    pub fn parse(text: &str, offered: ExtensionSet) -> Result<Self, Fault> {
        let mut args = Self::default();
        for (keyword, value) in split(text)? {
            match (keyword.as_str(), value) {
                ("NOTIFY", Some(value)) if offered.has(Extension::Dsn) => args.notify = notify(value)?,
                ("ORCPT", Some(value)) if offered.has(Extension::Dsn) => {
                    args.original = Some(original(value)?);
                }
                _ => return Err(Fault::UnknownParameter { keyword }),
            }
        }
        Ok(args)
    }
}

/// Up to 20 digits (RFC 1870 §6). What does not fit 64 bits is as good as endless.
pub(crate) fn number(value: &str) -> Result<u64, Fault> {
    if value.is_empty() || value.len() > 20 || !value.bytes().all(|b| b.is_ascii_digit()) {
        return Err(Fault::BadParameter { what: "a size is a number of octets, at most 20 digits" });
    }
    Ok(value.parse().unwrap_or(u64::MAX))
}

fn body(value: &str, offered: ExtensionSet) -> Result<Body, Fault> {
    match value.to_ascii_uppercase().as_str() {
        "7BIT" => Ok(Body::SevenBit),
        "8BITMIME" if offered.has(Extension::EightBitMime) => Ok(Body::EightBitMime),
        "BINARYMIME" if offered.has(Extension::BinaryMime) => Ok(Body::BinaryMime),
        _ => Err(Fault::BadParameter { what: "BODY has a value that is not offered here" }),
    }
}

/// RFC 6710 §4
fn priority(value: &str) -> Result<Priority, Fault> {
    let digits = value.strip_prefix('-').unwrap_or(value);
    let is_written_well = digits.len() == 1 && digits.as_bytes()[0].is_ascii_digit() && value != "-0";
    let number = value.parse().ok().filter(|_| is_written_well).and_then(Priority::new);
    number.ok_or(Fault::BadParameter { what: "MT-PRIORITY is a number from -9 to 9" })
}

/// Seconds, of at most nine digits (RFC 4865 §4, RFC 2852 §4).
fn seconds(digits: &str) -> Option<u32> {
    let is_number = (1..=9).contains(&digits.len()) && digits.bytes().all(|b| b.is_ascii_digit());
    digits.parse().ok().filter(|_| is_number)
}

fn hold_for(value: &str) -> Result<Release, Fault> {
    const WHAT: &str = "HOLDFOR is a number of seconds above 0, of at most nine digits";
    let number = seconds(value).filter(|number| *number > 0);
    number.map(Release::After).ok_or(Fault::BadParameter { what: WHAT })
}

fn hold_until(value: &str) -> Result<Release, Fault> {
    const WHAT: &str = "HOLDUNTIL is a time as 2026-12-24T18:00:00Z";
    // RFC 3339 §5.6: a date, a time, and where it counts. Whoever leaves the last out may mean any of a day's hours.
    let (_, time) = value.split_once(['T', 't']).ok_or(Fault::BadParameter { what: WHAT })?;
    let stamp = date::parse_iso(value).filter(|_| time.contains(['Z', 'z', '+', '-']));
    stamp.map(|stamp| Release::At(stamp.seconds)).ok_or(Fault::BadParameter { what: WHAT })
}

/// RFC 2852 §4
fn deliver_by(value: &str) -> Result<DeliverBy, Fault> {
    const FAULT: Fault =
        Fault::BadParameter { what: "BY is seconds;N or seconds;R, with T behind it to have the way told" };
    let (time, mode) = value.split_once(';').ok_or(FAULT)?;
    let (sign, digits) = match time.strip_prefix('-') {
        Some(digits) => (-1, digits),
        None => (1, time.strip_prefix('+').unwrap_or(time)),
    };
    let seconds = sign * i64::from(seconds(digits).ok_or(FAULT)?);
    let (mode, trace) = match mode.to_ascii_uppercase().as_str() {
        "N" => (ByMode::Notify, false),
        "NT" => (ByMode::Notify, true),
        "R" => (ByMode::Return, false),
        "RT" => (ByMode::Return, true),
        _ => return Err(FAULT),
    };
    if mode == ByMode::Return && seconds <= 0 {
        return Err(Fault::BadParameter { what: "BY with R needs a time above 0" });
    }
    Ok(DeliverBy { seconds, mode, trace })
}

fn envid(value: &str) -> Result<String, Fault> {
    const WHAT: &str = "ENVID is xtext of printable ASCII, at most 100 octets";
    let text = from_xtext(value).filter(|_| value.len() <= ENVID_MAX);
    // RFC 3461 §4.4: before encoding it consists of printable US-ASCII.
    text.filter(|text| text.bytes().all(|b| (b' '..=b'~').contains(&b)))
        .ok_or(Fault::BadParameter { what: WHAT })
}

fn notify(value: &str) -> Result<Notify, Fault> {
    if value.eq_ignore_ascii_case("NEVER") {
        return Ok(Notify::Never);
    }
    let (mut success, mut failure, mut delay) = (false, false, false);
    for word in value.split(',') {
        match word.to_ascii_uppercase().as_str() {
            "SUCCESS" => success = true,
            "FAILURE" => failure = true,
            "DELAY" => delay = true,
            _ => {
                let what = "NOTIFY is NEVER, or some of SUCCESS, FAILURE, DELAY with commas between";
                return Err(Fault::BadParameter { what });
            }
        }
    }
    Ok(Notify::On { success, failure, delay })
}

fn original(value: &str) -> Result<OriginalRecipient, Fault> {
    const FAULT: Fault = Fault::BadParameter { what: "ORCPT is type;address in xtext, at most 500 octets" };
    let (kind, text) = value.split_once(';').ok_or(FAULT)?;
    let kind_is_atom = !kind.is_empty() && kind.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-');
    if value.len() > ORCPT_MAX || !kind_is_atom || text.is_empty() {
        return Err(FAULT);
    }
    let address = if kind.eq_ignore_ascii_case("utf-8") { from_unitext(text) } else { from_xtext(text) };
    let address = address.filter(|address| !address.chars().any(char::is_control)).ok_or(FAULT)?;
    Ok(OriginalRecipient { kind: kind.to_owned(), address })
}

/// Decodes xtext (RFC 3461 §4); `None` where the text is none, or is no UTF-8 behind it.
pub fn from_xtext(text: &str) -> Option<String> {
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((first, tail)) = rest.split_first() {
        rest = tail;
        match first {
            b'+' => {
                let (hex, tail) = rest.split_at_checked(2)?;
                rest = tail;
                out.push(hex_digit(hex[0])? << 4 | hex_digit(hex[1])?);
            }
            b'!'..=b'<' | b'>'..=b'~' => out.push(*first),
            _ => return None,
        }
    }
    String::from_utf8(out).ok()
}

/// Only capitals (RFC 3461 §4, "hexchar"); small letters are let pass, since some senders write them.
fn hex_digit(digit: u8) -> Option<u8> {
    char::from(digit).to_digit(16).and_then(|value| u8::try_from(value).ok())
}

/// Encodes as xtext (RFC 3461 §4).
pub fn to_xtext(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for octet in text.bytes() {
        match octet {
            b'!'..=b'*' | b','..=b'<' | b'>'..=b'~' => out.push(char::from(octet)),
            _ => out.push_str(&format!("+{octet:02X}")),
        }
    }
    out
}

/// Decodes utf-8-addr-xtext and utf-8-addr-unitext (RFC 6533 §3).
pub fn from_unitext(text: &str) -> Option<String> {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(c) = rest.chars().next() {
        if let Some(tail) = rest.strip_prefix("\\x{") {
            let (hex, tail) = tail.split_once('}')?;
            let fits = (2..=6).contains(&hex.len()) && hex.bytes().all(|b| b.is_ascii_hexdigit());
            let point = u32::from_str_radix(hex, 16).ok().filter(|_| fits)?;
            out.push(char::from_u32(point)?);
            rest = tail;
        } else {
            if c.is_control() || matches!(c, ' ' | '\\' | '=') {
                return None;
            }
            // `+` should not stand here, but plain subaddresses do get sent like this.
            out.push(c);
            rest = &rest[c.len_utf8()..];
        }
    }
    Some(out)
}

/// Encodes as utf-8-addr-xtext (RFC 6533 §3), safe for any peer.
pub fn to_unitext(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '!'..='*' | ','..='<' | '>'..='[' | ']'..='~' => out.push(c),
            _ => out.push_str(&format!("\\x{{{:02X}}}", u32::from(c))),
        }
    }
    out
}
