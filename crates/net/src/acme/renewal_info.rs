//! When the authority itself wants a certificate to be renewed (ARI, RFC 9773): in time before it revokes many, or to spread
//! its load.

use crate::acme::error::{AcmeError, shorten};
use crate::acme::jose;
use crate::certificate_files::CertFiles;
use crate::fetch::{FetchLimits, Fetcher, Request};
use mail::date;
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject;
use serde::Deserialize;
use std::time::Duration;
use world::Url;
use x509_parser::prelude::{FromDer, ParsedExtension, X509Certificate};

/// One question and its answer.
const LIMITS: FetchLimits = FetchLimits { time: Duration::from_secs(30), octets: 64 * 1024 };
/// How soon it is asked again, if the authority does not say; and between which bounds it may say (RFC 9773 §4.3.2).
pub(crate) const PAUSE: Duration = Duration::from_secs(6 * 3600);
const PAUSE_MIN: Duration = Duration::from_secs(60);
const PAUSE_MAX: Duration = Duration::from_secs(24 * 3600);

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Directory {
    renewal_info: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Info {
    suggested_window: Window,
}

#[derive(Debug, Deserialize)]
struct Window {
    start: String,
    end: String,
}

/// What the authority suggests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Suggestion {
    /// Between these times, in seconds since 1970, `from` before `to`.
    pub(crate) from: i64,
    pub(crate) to: i64,
    /// When to ask again.
    pub(crate) again: Duration,
}

/// By what a certificate is known there (RFC 9773 §4.1): the key of who made it, and its number.
pub(crate) fn id(files: &CertFiles) -> Option<String> {
    let leaf = CertificateDer::from_pem_file(&files.chain).ok()?;
    let (_, facts) = X509Certificate::from_der(&leaf).ok()?;
    let key = facts.extensions().iter().find_map(|extension| match extension.parsed_extension() {
        ParsedExtension::AuthorityKeyIdentifier(key) => Some(key.key_identifier.as_ref()?.0.to_vec()),
        _ => None,
    })?;
    Some(format!("{}.{}", jose::encode(&key), jose::encode(facts.raw_serial())))
}

/// Asks; `None` where the authority suggests nothing.
pub(crate) async fn ask(
    fetcher: &Fetcher,
    directory: &Url,
    id: &str,
) -> Result<Option<Suggestion>, AcmeError> {
    let nonsense = |why: &dyn std::fmt::Display| AcmeError::Nonsense(shorten(&why.to_string()));
    let place = fetcher.fetch(&Request::get(directory.clone()), LIMITS).await?;
    let place: Directory = serde_json::from_slice(&place.body).map_err(|error| nonsense(&error))?;
    let Some(place) = place.renewal_info else { return Ok(None) };
    let url =
        Url::parse(&format!("{}/{id}", place.trim_end_matches('/'))).map_err(|error| nonsense(&error))?;
    let response = fetcher.fetch(&Request::get(url), LIMITS).await?;
    if !(200..300).contains(&response.status) {
        return Err(nonsense(&format!("it answers {} when asked about renewal", response.status)));
    }
    let again = response.field("retry-after").and_then(|text| text.trim().parse().ok());
    let again = again.map_or(PAUSE, Duration::from_secs).clamp(PAUSE_MIN, PAUSE_MAX);
    let info: Info = serde_json::from_slice(&response.body).map_err(|error| nonsense(&error))?;
    let window = info.suggested_window;
    let seconds = |text: &str| date::parse_iso(text).map(|stamp| stamp.seconds);
    match (seconds(&window.start), seconds(&window.end)) {
        (Some(from), Some(to)) if from < to => Ok(Some(Suggestion { from, to, again })),
        _ => Err(nonsense(&"its window for renewal is none")),
    }
}
