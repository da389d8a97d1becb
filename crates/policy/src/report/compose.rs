//! Writes DMARC aggregate reports (RFC 9990).

use crate::dmarc::{Alignment, Policy, Record};
use flate2::Compression;
use flate2::write::GzEncoder;
use serde::{Deserialize, Serialize};
use std::io::{self, Write};
use std::net::IpAddr;

/// What is told of all mail of one kind.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Seen {
    pub source: IpAddr,
    /// pass, none, quarantine or reject.
    pub disposition: String,
    /// Whether DKIM and SPF vouched for the author's domain: pass or fail.
    pub dkim: String,
    pub spf: String,
    /// Why less was done than the policy asks for; empty if not.
    pub reason: String,
    /// More about that, for people.
    #[serde(default)]
    pub comment: String,
    pub header_from: String,
    /// The domain of MAIL FROM; empty for the null path.
    pub envelope_from: String,
    /// Each signature: domain, selector, result.
    pub signatures: Vec<(String, String, String)>,
    /// Domain and result of SPF, where it was checked.
    pub spf_result: Option<(String, String)>,
}

/// A report, before it is written.
#[derive(Clone, Debug)]
pub struct Owed<'a> {
    pub organization: &'a str,
    pub email: &'a str,
    pub id: &'a str,
    /// Seconds since 1970; from and to.
    pub begin: i64,
    pub end: i64,
    pub domain: &'a str,
    pub policy: &'a PublishedPolicy,
    pub rows: &'a [(Seen, u64)],
}

/// The policy as the domain published it, in the words of its record.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PublishedPolicy {
    pub p: String,
    pub sp: String,
    pub np: String,
    pub adkim: String,
    pub aspf: String,
    pub testing: String,
    /// Where reports go: URIs as written.
    pub rua: Vec<String>,
}

impl PublishedPolicy {
    pub fn of(record: &Record) -> Self {
        let word = |policy: Option<Policy>| policy.map_or_else(String::new, |one| one.word().to_owned());
        let alignment = |one| if one == Alignment::Strict { "s" } else { "r" }.to_owned();
        Self {
            p: word(Some(record.p)),
            sp: word(record.sp),
            np: word(record.np),
            adkim: alignment(record.adkim),
            aspf: alignment(record.aspf),
            testing: if record.testing { "y" } else { "n" }.to_owned(),
            rua: record.rua.clone(),
        }
    }
}

/// How what is counted is kept until the day is over.
pub fn to_text<T: Serialize>(value: &T) -> String {
    serde_json::to_string(value).unwrap_or_default()
}

/// The other way; `None` if it was not written by [`to_text`].
pub fn from_text<T: for<'de> Deserialize<'de>>(text: &str) -> Option<T> {
    serde_json::from_str(text).ok()
}

/// The XML of a report.
pub fn xml(report: &Owed<'_>) -> String {
    let mut out = Writer { text: String::from("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n") };
    out.text.push_str("<feedback xmlns=\"urn:ietf:params:xml:ns:dmarc-2.0\">\n");
    out.leaf("version", "1.0");
    out.within("report_metadata", |out| {
        out.leaf("org_name", report.organization);
        out.leaf("email", report.email);
        out.leaf("report_id", report.id);
        out.within("date_range", |out| {
            out.leaf("begin", &report.begin.to_string());
            out.leaf("end", &report.end.to_string());
        });
        out.leaf("generator", concat!("maddy ", env!("CARGO_PKG_VERSION")));
    });
    out.within("policy_published", |out| {
        out.leaf("domain", report.domain);
        let policy = report.policy;
        let fields = [
            ("p", &policy.p),
            ("sp", &policy.sp),
            ("np", &policy.np),
            ("adkim", &policy.adkim),
            ("aspf", &policy.aspf),
            ("testing", &policy.testing),
        ];
        fields
            .into_iter()
            .filter(|(_, value)| !value.is_empty())
            .for_each(|(name, value)| out.leaf(name, value));
        out.leaf("discovery_method", "treewalk");
    });
    for (seen, count) in report.rows {
        out.within("record", |out| row(out, seen, *count));
    }
    out.text.push_str("</feedback>\n");
    out.text
}

fn row(out: &mut Writer, seen: &Seen, count: u64) {
    out.within("row", |out| {
        out.leaf("source_ip", &seen.source.to_string());
        out.leaf("count", &count.to_string());
        out.within("policy_evaluated", |out| {
            out.leaf("disposition", &seen.disposition);
            out.leaf("dkim", &seen.dkim);
            out.leaf("spf", &seen.spf);
            if !seen.reason.is_empty() {
                out.within("reason", |out| {
                    out.leaf("type", &seen.reason);
                    if !seen.comment.is_empty() {
                        out.leaf("comment", &seen.comment);
                    }
                });
            }
        });
    });
    out.within("identifiers", |out| {
        out.leaf("header_from", &seen.header_from);
        if !seen.envelope_from.is_empty() {
            out.leaf("envelope_from", &seen.envelope_from);
        }
    });
    out.within("auth_results", |out| {
        for (domain, selector, result) in &seen.signatures {
            out.within("dkim", |out| {
                out.leaf("domain", domain);
                out.leaf("selector", selector);
                out.leaf("result", result);
            });
        }
        if let Some((domain, result)) = &seen.spf_result {
            out.within("spf", |out| {
                out.leaf("domain", domain);
                out.leaf("scope", "mfrom");
                out.leaf("result", result);
            });
        }
    });
}

/// The same in gzip (RFC 1952 §2.2).
pub fn gzip(xml: &str) -> io::Result<Vec<u8>> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(xml.as_bytes())?;
    encoder.finish()
}

struct Writer {
    text: String,
}

impl Writer {
    fn leaf(&mut self, name: &str, value: &str) {
        self.text.push_str(&format!("<{name}>{}</{name}>\n", escaped(value)));
    }

    fn within(&mut self, name: &str, inner: impl FnOnce(&mut Self)) {
        self.text.push_str(&format!("<{name}>\n"));
        inner(self);
        self.text.push_str(&format!("</{name}>\n"));
    }
}

/// Much of a report is of a stranger's making.
fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '&' => out.push_str("&amp;"),
            '"' => out.push_str("&quot;"),
            // XML has no way to write these.
            c if c.is_control() || matches!(c, '\u{fffe}' | '\u{ffff}') => out.push(' '),
            c => out.push(c),
        }
    }
    out
}

/// Where reports go: the address of a `mailto:` URI, and the most octets it takes (RFC 7489 §6.2). `None` for any other.
pub fn destination(uri: &str) -> Option<(mail::Address, Option<u64>)> {
    let rest = uri.get(..7).filter(|scheme| scheme.eq_ignore_ascii_case("mailto:")).and(uri.get(7..))?;
    let (address, limit) = match rest.split_once('!') {
        None => (rest, None),
        Some((address, limit)) => {
            let digits = limit.trim_end_matches(|c: char| c.is_ascii_alphabetic());
            let unit = match limit.get(digits.len()..)?.to_ascii_lowercase().as_str() {
                "" => 1,
                "k" => 1 << 10,
                "m" => 1 << 20,
                "g" => 1 << 30,
                "t" => 1 << 40,
                _ => return None,
            };
            (address, Some(digits.parse::<u64>().ok()?.saturating_mul(unit)))
        }
    };
    let address = address.split('?').next().unwrap_or(address);
    // Escapes are rare enough to do without them.
    if address.contains('%') {
        return None;
    }
    Some((mail::Address::parse(address).ok()?, limit))
}
