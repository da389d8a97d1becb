//! Public keys from the DNS (RFC 6376 §3.6, RFC 8463 §4).

use super::{DkimResult, KEY_TIME_MAX, RSA_BITS_MIN};
use crate::tags::{Tags, is_blank, without_blanks};
use mail_auth::common::crypto::Algorithm;
use mail_auth::common::parse::TxtRecordParser;
use mail_auth::common::verify::DomainKey;
use world::{DnsError, Resolver};

/// A key that may be used for the signature it was fetched for.
pub(crate) struct Key {
    pub(crate) public: DomainKey,
    /// `t=y`
    pub(crate) testing: bool,
    /// `t=s`: `i=` must name the very domain of `d=`.
    pub(crate) same_domain: bool,
}

/// Why there is no such key.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct NoKey {
    pub(crate) result: DkimResult,
    pub(crate) reason: String,
}

impl NoKey {
    fn permanent(reason: impl Into<String>) -> Self {
        Self { result: DkimResult::PermError, reason: reason.into() }
    }
}

/// For what a key must be good (`s=`, RFC 6376 §3.6.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Service {
    Mail,
    /// A mail with a TLS report: keys for these alone are good too (RFC 8460 §3).
    TlsReport,
}

impl Service {
    /// Whether a list of services holds one that will do.
    fn is_among(self, list: &str) -> bool {
        let is_right = |word: &str| match word.to_ascii_lowercase().as_str() {
            "email" | "*" => true,
            "tlsrpt" => self == Self::TlsReport,
            _ => false,
        };
        list.split(':').any(|word| is_right(word.trim_matches(is_blank)))
    }
}

/// Fetches the key that `name` has for an algorithm. Of several records the first that can be used counts.
pub(crate) async fn fetch(
    dns: &dyn Resolver,
    name: &str,
    algorithm: Algorithm,
    service: Service,
) -> Result<Key, NoKey> {
    let temporary = |reason: String| NoKey { result: DkimResult::TempError, reason };
    let texts = match tokio::time::timeout(KEY_TIME_MAX, dns.txt(name)).await {
        Ok(Ok(texts)) => texts,
        Ok(Err(DnsError::Trouble(text))) => return Err(temporary(format!("{name} TXT: {text}"))),
        Ok(Err(_)) => return Err(NoKey::permanent(format!("there is no key at {name}"))),
        Err(_) => return Err(temporary(format!("{name} TXT: no answer in time"))),
    };
    let mut first = None;
    for text in &texts {
        match read(text, algorithm, service) {
            Ok(key) => return Ok(key),
            Err(error) => first = first.or(Some(error)),
        }
    }
    Err(first.unwrap_or_else(|| NoKey::permanent(format!("there is no key at {name}"))))
}

fn read(text: &str, algorithm: Algorithm, service: Service) -> Result<Key, NoKey> {
    // Many a key is published with an empty tag in it (`;;`), which does no harm.
    let specs: Vec<&str> = text.split(';').filter(|spec| !spec.trim_matches(is_blank).is_empty()).collect();
    let text = specs.join(";");
    let tags = Tags::parse(&text).map_err(|error| NoKey::permanent(format!("the key record has {error}")))?;
    let version_is_right = match tags.get("v") {
        Some(version) => version == "DKIM1" && tags.first() == "v",
        None => true,
    };
    if !version_is_right {
        return Err(NoKey::permanent("the record is no DKIM key"));
    }
    let lists = |tag: &str, wanted: &str| {
        let has =
            |list: &str| list.split(':').any(|one| one.trim_matches(is_blank).eq_ignore_ascii_case(wanted));
        tags.get(tag).map(has)
    };
    let kind = match algorithm {
        Algorithm::Ed25519Sha256 => "ed25519",
        Algorithm::RsaSha256 | Algorithm::RsaSha1 => "rsa",
    };
    if !tags.get("k").unwrap_or("rsa").eq_ignore_ascii_case(kind) {
        return Err(NoKey::permanent("the key is for another algorithm"));
    }
    if lists("h", "sha256") == Some(false) {
        return Err(NoKey::permanent("the key is not for SHA-256"));
    }
    if tags.get("s").is_some_and(|list| !service.is_among(list)) {
        return Err(NoKey::permanent("the key is not for mail"));
    }
    let public = tags.get("p").ok_or_else(|| NoKey::permanent("the record has no key"))?;
    if without_blanks(public).is_empty() {
        return Err(NoKey::permanent("the key was revoked"));
    }
    let public = DomainKey::parse(text.as_bytes()).map_err(|_| NoKey::permanent("the key cannot be read"))?;
    if kind == "rsa" && public.p.public_key_bits() < RSA_BITS_MIN {
        let reason = format!("an RSA key of {} bits is too weak", public.p.public_key_bits());
        return Err(NoKey { result: DkimResult::Policy, reason });
    }
    let flag = |flag| lists("t", flag) == Some(true);
    Ok(Key { public, testing: flag("y"), same_domain: flag("s") })
}
