//! DMARC aggregate reports, in the form of RFC 9990 and in the older one of RFC 7489 ("Appendix C"), which differ in what
//! they add, not in what they mean.

use super::xml::{Event, Reader};
use super::{ROWS_MAX, ReportError, kept};
use std::net::IpAddr;

/// What one receiver saw of mail in the name of one domain.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Aggregate {
    /// Who reports.
    pub organization: String,
    pub email: String,
    pub id: String,
    /// Seconds since 1970; from and to.
    pub begin: i64,
    pub end: i64,
    /// The domain whose policy was found.
    pub domain: String,
    /// What it asks for: none, quarantine or reject.
    pub policy: String,
    pub rows: Vec<Row>,
    /// Rows that were left out, because there were too many.
    pub dropped: u64,
}

/// Mail of one kind.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Row {
    pub source: Option<IpAddr>,
    pub count: u64,
    /// What was done: none, quarantine or reject (or pass, RFC 9990).
    pub disposition: String,
    /// Whether DKIM and SPF passed and were aligned: pass or fail.
    pub dkim: String,
    pub spf: String,
    /// The domain in From.
    pub from: String,
    /// Why something else was done than the policy asks for.
    pub reason: String,
}

pub(super) fn read(octets: &[u8]) -> Result<Aggregate, ReportError> {
    let text = String::from_utf8_lossy(octets);
    let text = text.trim_start_matches('\u{feff}');
    let mut reader = Reader::new(text);
    let mut report = Aggregate::default();
    let mut row = Row::default();
    let mut is_feedback = false;
    while let Some(event) = reader.next()? {
        match event {
            Event::Begin(name) => {
                is_feedback |= name == "feedback";
                if name == "record" {
                    row = Row::default();
                }
            }
            Event::End(name, _) if name == "record" => {
                if report.rows.len() < ROWS_MAX {
                    report.rows.push(std::mem::take(&mut row));
                } else {
                    report.dropped = report.dropped.saturating_add(1);
                }
            }
            Event::End(name, text) => {
                // The last two names are enough to tell what it is.
                let parent = reader.path().next_back().unwrap_or_default();
                note(&mut report, &mut row, (parent, &name), text.trim());
            }
        }
    }
    match () {
        () if !is_feedback => Err(ReportError::Missing("feedback")),
        () if report.domain.is_empty() => Err(ReportError::Missing("domain")),
        () if report.organization.is_empty() && report.email.is_empty() => {
            Err(ReportError::Missing("organization"))
        }
        () if report.end <= 0 || report.end < report.begin => Err(ReportError::Missing("range of dates")),
        () => Ok(report),
    }
}

fn note(report: &mut Aggregate, row: &mut Row, at: (&str, &str), text: &str) {
    let word = || kept(text).to_ascii_lowercase();
    match at {
        ("report_metadata", "org_name") => report.organization = kept(text),
        ("report_metadata", "email") => report.email = kept(text),
        ("report_metadata", "report_id") => report.id = kept(text),
        ("date_range", "begin") => report.begin = seconds(text),
        ("date_range", "end") => report.end = seconds(text),
        ("policy_published", "domain") => report.domain = word(),
        ("policy_published", "p") => report.policy = word(),
        ("row", "source_ip") => row.source = text.parse().ok(),
        // No count is no mail; a number that is too large is as large as can be.
        ("row", "count") => row.count = text.parse().unwrap_or(0).min(u64::from(u32::MAX)),
        ("policy_evaluated", "disposition") => row.disposition = word(),
        ("policy_evaluated", "dkim") => row.dkim = word(),
        ("policy_evaluated", "spf") => row.spf = word(),
        ("reason", "type") => row.reason = word(),
        ("identifiers", "header_from") => row.from = word(),
        _ => {}
    }
}

fn seconds(text: &str) -> i64 {
    text.parse().unwrap_or(0)
}
