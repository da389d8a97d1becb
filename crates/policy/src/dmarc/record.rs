//! The DMARC record: its version strictly, everything else as far as it can be read (RFC 9989, "DMARC Policy Record
//! Format"; RFC 7489 §6.3).

use crate::tags::is_blank;
use std::fmt;

/// Most report addresses that are kept of one tag.
const ADDRESSES_MAX: usize = 10;

/// What a domain wants done with mail that fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Policy {
    None,
    Quarantine,
    Reject,
}

impl Policy {
    pub fn word(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Quarantine => "quarantine",
            Self::Reject => "reject",
        }
    }

    fn read(value: &str) -> Option<Self> {
        [Self::None, Self::Quarantine, Self::Reject]
            .into_iter()
            .find(|one| value.eq_ignore_ascii_case(one.word()))
    }

    /// What is asked for while the domain is testing.
    pub fn one_step_milder(self) -> Self {
        match self {
            Self::Reject => Self::Quarantine,
            Self::Quarantine | Self::None => Self::None,
        }
    }
}

impl fmt::Display for Policy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

/// How closely an identifier must match the domain in From.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Alignment {
    /// The same organizational domain.
    Relaxed,
    /// The same domain.
    Strict,
}

/// Whether names are registered below a domain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Psd {
    /// A public suffix domain: the organizational domain is one label below.
    Yes,
    /// An organizational domain, whatever stands above it.
    No,
    Unsaid,
}

/// Of which failures of DMARC a domain wants to hear at once (RFC 9989, `fo`). `d` and `s` ask for reports of other kinds
/// (RFC 6651, RFC 6652), which are not made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FailureOptions {
    /// `0`, the default: neither DKIM nor SPF vouched for the author.
    All,
    /// `1`: one of them did not.
    Any,
    Never,
}

impl FailureOptions {
    /// What cannot be read is left out; nothing at all is the default.
    fn read(list: Option<&str>) -> Self {
        let words = || list.unwrap_or_default().split(':').map(|one| one.trim_matches(is_blank));
        let has = |wanted: &str| words().any(|one| one.eq_ignore_ascii_case(wanted));
        match () {
            () if has("1") => Self::Any,
            () if !has("0") && (has("d") || has("s")) => Self::Never,
            () => Self::All,
        }
    }
}

/// A record, read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// For the domain itself.
    pub p: Policy,
    /// For names below it, if said.
    pub sp: Option<Policy>,
    /// For names below it that do not exist, if said.
    pub np: Option<Policy>,
    pub adkim: Alignment,
    pub aspf: Alignment,
    pub psd: Psd,
    /// `t=y`
    pub testing: bool,
    /// Where aggregate reports go: URIs as written.
    pub rua: Vec<String>,
    /// Where failure reports go: URIs as written.
    pub ruf: Vec<String>,
    /// Of which failures.
    pub fo: FailureOptions,
}

impl Record {
    /// Reads a TXT record; `None` if it is no DMARC record, or one that asks for nothing that can be understood.
    ///
    /// A bad `p`, `sp` or `np` makes all of them `none` where the domain wants reports, and spoils the record
    /// where it does not (RFC 9989, "DMARC Policy Discovery"). Of a tag that stands twice the first counts.
    pub fn parse(text: &str) -> Option<Self> {
        let mut specs = text.split(';').map(|spec| {
            let (name, value) = spec.split_once('=').unwrap_or((spec, ""));
            (name.trim_matches(is_blank), value.trim_matches(is_blank))
        });
        if specs.next() != Some(("v", "DMARC1")) {
            return None;
        }
        let specs: Vec<(&str, &str)> = specs.collect();
        let tag = |wanted: &str| specs.iter().find(|(name, _)| *name == wanted).map(|(_, value)| *value);
        let flag = |wanted: &str, value: &str| tag(wanted).is_some_and(|got| got.eq_ignore_ascii_case(value));
        let alignment = |name: &str| if flag(name, "s") { Alignment::Strict } else { Alignment::Relaxed };
        let rua = addresses(tag("rua"));
        let policies = [tag("p"), tag("sp"), tag("np")].map(|value| value.map(Policy::read));
        let (p, sp, np) = match policies.map(|one| one.map_or(Ok(None), |read| read.map(Some).ok_or(()))) {
            [Ok(p), Ok(sp), Ok(np)] => (p.unwrap_or(Policy::None), sp, np),
            _ if rua.is_empty() => return None,
            _ => (Policy::None, None, None),
        };
        let psd = if flag("psd", "y") {
            Psd::Yes
        } else if flag("psd", "n") {
            Psd::No
        } else {
            Psd::Unsaid
        };
        Some(Self {
            p,
            sp,
            np,
            adkim: alignment("adkim"),
            aspf: alignment("aspf"),
            psd,
            testing: flag("t", "y"),
            rua,
            ruf: addresses(tag("ruf")),
            fo: FailureOptions::read(tag("fo")),
        })
    }
}

/// URIs of a list. A size limit (`!10m`, RFC 7489 §6.2) stays with its URI.
pub(super) fn addresses(list: Option<&str>) -> Vec<String> {
    let is_uri = |text: &&str| {
        let (scheme, rest) = text.split_once(':').unwrap_or(("", ""));
        scheme.starts_with(|c: char| c.is_ascii_alphabetic())
            && scheme.bytes().all(|b| b.is_ascii_alphanumeric() || b"+-.".contains(&b))
            && !rest.is_empty()
            && rest.bytes().all(|b| b.is_ascii_graphic())
    };
    let uris = list.unwrap_or_default().split(',').map(|uri| uri.trim_matches(is_blank));
    uris.filter(is_uri).take(ADDRESSES_MAX).map(str::to_owned).collect()
}
