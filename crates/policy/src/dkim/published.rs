//! What the DNS really shows of our keys.

use super::KEY_TIME_MAX;
use super::keys::DnsRecord;
use crate::tags::{Tags, without_blanks};
use world::{DnsError, Resolver};

/// What the DNS shows where the record of a key should stand.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Published {
    Right,
    /// Nothing stands there, in words.
    Absent(String),
    /// Something else, in words.
    Wrong(String),
    /// There is no answer.
    Unknown(String),
}

/// Whether the DNS shows a record, and nothing else beside it: verifiers may take any of several (RFC 6376 §3.6.2.2).
pub async fn published(dns: &dyn Resolver, record: &DnsRecord) -> Published {
    let texts = match tokio::time::timeout(KEY_TIME_MAX, dns.txt(&record.name)).await {
        Ok(Ok(texts)) => texts,
        Ok(Err(DnsError::Trouble(why))) => return Published::Unknown(why),
        Ok(Err(_)) => return Published::Absent("there is no record at this name".to_owned()),
        Err(_) => return Published::Unknown("no answer in time".to_owned()),
    };
    let [text] = texts.as_slice() else {
        return Published::Wrong(format!("there are {} records at this name", texts.len()));
    };
    let Some((kind, key)) = parts(text) else {
        return Published::Wrong("the record there cannot be read".to_owned());
    };
    match parts(&record.text) {
        Some((want, _)) if want != kind => Published::Wrong(format!("the record there is for {kind}")),
        Some((_, want)) if want == key => Published::Right,
        _ if key.is_empty() => Published::Wrong("the record there is a revoked one".to_owned()),
        _ => Published::Wrong("the record there has another key".to_owned()),
    }
}

impl DnsRecord {
    /// Whether a text of the DNS shows the same key, in whatever words.
    pub fn is_shown_by(&self, text: &str) -> bool {
        parts(text).is_some_and(|shown| !shown.1.is_empty() && Some(shown) == parts(&self.text))
    }
}

/// `k=` and `p=` of a record.
fn parts(text: &str) -> Option<(String, String)> {
    let text = text.trim().trim_end_matches(';');
    let tags = Tags::parse(text).ok()?;
    if tags.get("v").is_some_and(|version| version != "DKIM1") {
        return None;
    }
    Some((tags.get("k").unwrap_or("rsa").to_owned(), without_blanks(tags.get("p")?)))
}
