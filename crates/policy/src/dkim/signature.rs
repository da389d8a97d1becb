//! The DKIM-Signature field, read as strictly as RFC 6376 §6.1.1 wants it.

use crate::tags::{Tags, is_blank, without_blanks};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use mail::Domain;
use mail_auth::common::crypto::Algorithm;
use mail_auth::dkim::Canonicalization;

/// Most names in `h=`.
const NAMES_MAX: usize = 1000;
/// Longest `i=` that is kept, in octets.
const IDENTITY_MAX: usize = 320;
/// How much of `b=` tells one signature from another (RFC 6008 §4).
const MARK_LEN: usize = 8;

/// A signature, read.
#[derive(Debug)]
pub(crate) struct Signature {
    pub(crate) algorithm: Algorithm,
    pub(crate) octets: Vec<u8>,
    pub(crate) body_hash: Vec<u8>,
    pub(crate) header_form: Canonicalization,
    pub(crate) body_form: Canonicalization,
    pub(crate) domain: Domain,
    pub(crate) selector: String,
    /// Names of the signed fields, lower case.
    pub(crate) names: Vec<String>,
    pub(crate) identity: Option<String>,
    /// The domain of `i=`, or that of `d=`.
    pub(crate) identity_domain: Domain,
    pub(crate) body_length: Option<u64>,
    pub(crate) made_at: Option<u64>,
    pub(crate) expires_at: Option<u64>,
    pub(crate) mark: String,
}

impl Signature {
    /// Reads the value of the field. The error says what is wrong.
    pub(crate) fn parse(value: &[u8]) -> Result<Self, String> {
        let text = std::str::from_utf8(value).map_err(|_| "it is not UTF-8")?;
        let tags = Tags::parse(text)?;
        if tags.required("v")? != "1" {
            return Err("its version is not 1".to_owned());
        }
        let domain = read_domain(&tags)?;
        let (identity, identity_domain) = read_identity(tags.get("i"), &domain)?;
        Ok(Self { identity, identity_domain, ..Self::of_tags(&tags, domain)? })
    }

    /// The tags that DKIM shares with ARC (RFC 8617 §4.1.2): all but `v=` and `i=`, which the caller reads.
    pub(crate) fn of_tags(tags: &Tags<'_>, domain: Domain) -> Result<Self, String> {
        let query = tags.get("q").unwrap_or("dns/txt");
        if !query.split(':').any(|method| method.trim_matches(is_blank).eq_ignore_ascii_case("dns/txt")) {
            return Err("its key is not in the DNS".to_owned());
        }
        let (header_form, body_form) = read_forms(tags.get("c").unwrap_or("simple/simple"))?;
        let selector = read_selector(tags)?;
        let made_at = tags.get("t").map(read_number).transpose()?;
        let expires_at = tags.get("x").map(read_number).transpose()?;
        if let (Some(made), Some(expires)) = (made_at, expires_at)
            && expires <= made
        {
            return Err("it expires before it was made".to_owned());
        }
        let mark: String = without_blanks(tags.required("b")?).chars().take(MARK_LEN).collect();
        Ok(Self {
            algorithm: read_algorithm(tags.required("a")?)?,
            octets: read_base64(tags.required("b")?)?,
            body_hash: read_base64(tags.required("bh")?)?,
            header_form,
            body_form,
            identity: None,
            identity_domain: domain.clone(),
            domain,
            selector,
            names: read_names(tags.required("h")?)?,
            body_length: tags.get("l").map(read_number).transpose()?,
            made_at,
            expires_at,
            mark,
        })
    }
}

/// `d=`
pub(crate) fn read_domain(tags: &Tags<'_>) -> Result<Domain, String> {
    Domain::parse(tags.required("d")?)
        .ok()
        .filter(|domain| domain.literal().is_none())
        .ok_or_else(|| "d= is no domain".to_owned())
}

/// `s=`
pub(crate) fn read_selector(tags: &Tags<'_>) -> Result<String, String> {
    let selector = Domain::parse(tags.required("s")?).map_err(|_| "s= is no selector")?;
    Ok(selector.as_str().to_owned())
}

pub(crate) fn read_algorithm(text: &str) -> Result<Algorithm, String> {
    Algorithm::parse(text.as_bytes()).ok_or_else(|| "its algorithm is not known".to_owned())
}

fn read_forms(text: &str) -> Result<(Canonicalization, Canonicalization), String> {
    let form = |word: &str| match word.trim_matches(is_blank).to_ascii_lowercase().as_str() {
        "simple" => Ok(Canonicalization::Simple),
        "relaxed" => Ok(Canonicalization::Relaxed),
        _ => Err("its canonical form is not known".to_owned()),
    };
    let (header, body) = text.split_once('/').unwrap_or((text, "simple"));
    Ok((form(header)?, form(body)?))
}

/// `i=` must be at or below `d=` (RFC 6376 §6.1.1).
fn read_identity(text: Option<&str>, domain: &Domain) -> Result<(Option<String>, Domain), String> {
    let Some(text) = text else { return Ok((None, domain.clone())) };
    let (_, name) = text.rsplit_once('@').ok_or("i= has no domain")?;
    let name = Domain::parse(name).map_err(|_| "i= has no domain")?;
    if !name.is_within(domain) {
        return Err("i= is not within d=".to_owned());
    }
    if text.len() > IDENTITY_MAX {
        return Err("i= is too long".to_owned());
    }
    Ok((Some(text.to_owned()), name))
}

fn read_names(text: &str) -> Result<Vec<String>, String> {
    let names: Vec<String> = text
        .split(':')
        .map(|name| name.trim_matches(is_blank).to_ascii_lowercase())
        .take(NAMES_MAX + 1)
        .collect();
    if names.len() > NAMES_MAX {
        return Err("it names too many fields".to_owned());
    }
    if names.iter().any(String::is_empty) {
        return Err("h= has an empty name".to_owned());
    }
    if !names.iter().any(|name| name == "from") {
        return Err("From is not signed".to_owned());
    }
    Ok(names)
}

pub(crate) fn read_base64(text: &str) -> Result<Vec<u8>, String> {
    let octets = STANDARD.decode(without_blanks(text)).map_err(|_| "bad base64")?;
    if octets.is_empty() { Err("an empty signature or hash".to_owned()) } else { Ok(octets) }
}

fn read_number(text: &str) -> Result<u64, String> {
    if text.is_empty() || !text.bytes().all(|b| b.is_ascii_digit()) {
        return Err("a bad number".to_owned());
    }
    // Up to 76 digits are lawful for l= (RFC 6376 §3.5); none of them needs more than this.
    Ok(text.parse().unwrap_or(u64::MAX))
}

/// The value of the field with an empty `b=`, without its last line break (RFC 6376 §3.7).
pub(crate) fn without_signature(value: &[u8]) -> Vec<u8> {
    let value = value.strip_suffix(b"\n").unwrap_or(value);
    let value = value.strip_suffix(b"\r").unwrap_or(value);
    let mut out = Vec::with_capacity(value.len());
    for (at, spec) in value.split(|b| *b == b';').enumerate() {
        if at > 0 {
            out.push(b';');
        }
        let equals = spec.iter().position(|b| *b == b'=');
        match equals {
            Some(equals) if spec[..equals].trim_ascii() == b"b" => out.extend_from_slice(&spec[..=equals]),
            _ => out.extend_from_slice(spec),
        }
    }
    out
}
