//! Reports that others send about mail in our name: DMARC aggregate reports and TLS reports, read with limits.
//!
//! Whoever knows an address can send such a file, so nothing in it may cost more than it is worth: what is unpacked has a
//! limit, so have rows, texts and nesting, and XML brings no entities of its own.

mod aggregate;
pub mod compose;
mod failure;
mod tls;
mod unpack;
mod xml;

pub use aggregate::{Aggregate, Row};
pub use compose::{Owed, PublishedPolicy, Seen, destination, xml};
pub use failure::{FailedMessage, Known};
pub use tls::{TlsFailure, TlsPolicy, TlsReport};
pub use unpack::{PACKED_MAX, UNPACKED_MAX};

use std::fmt;

/// Longest text of a report that is kept, in characters.
pub const TEXT_MAX: usize = 256;
/// Most rows of an aggregate report that are kept.
pub const ROWS_MAX: usize = 5000;
/// Most policies of a TLS report, and most failures of each.
pub const POLICIES_MAX: usize = 100;
pub const FAILURES_MAX: usize = 500;

/// A report, read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Report {
    Aggregate(Aggregate),
    Tls(TlsReport),
}

/// Why a file is no report.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ReportError {
    /// More octets than are read.
    TooLarge,
    /// It unpacks to more than is read: by mistake, or to do harm.
    Bomb,
    /// The gzip or zip file is damaged or of an odd kind.
    Packing(&'static str),
    Xml(&'static str),
    Json(String),
    /// It was read, and lacks what a report must have.
    Missing(&'static str),
    TooMany(&'static str),
}

impl fmt::Display for ReportError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooLarge => write!(f, "it is larger than {PACKED_MAX} octets"),
            Self::Bomb => {
                write!(f, "it unpacks to more than {UNPACKED_MAX} octets, or far too much for its size")
            }
            Self::Packing(why) => write!(f, "it cannot be unpacked: {why}"),
            Self::Xml(why) => write!(f, "its XML is bad: {why}"),
            Self::Json(why) => write!(f, "its JSON is bad: {why}"),
            Self::Missing(what) => write!(f, "it has no {what}"),
            Self::TooMany(what) => write!(f, "it has too many {what}"),
        }
    }
}

impl std::error::Error for ReportError {}

/// Reads a report from a file as it was attached: XML or JSON, plain, in gzip or in zip.
pub fn read(file: &[u8]) -> Result<Report, ReportError> {
    let octets = unpack::unpack(file)?;
    let first = octets.iter().find(|octet| !octet.is_ascii_whitespace() && !b"\xef\xbb\xbf".contains(octet));
    match first {
        Some(b'{') => tls::read(&octets).map(Report::Tls),
        Some(b'<') => aggregate::read(&octets).map(Report::Aggregate),
        _ => Err(ReportError::Missing("report")),
    }
}

/// Text of a stranger's making, without control characters and not too long.
fn kept(text: &str) -> String {
    let clean = text.trim().chars().map(|c| if c.is_control() { ' ' } else { c });
    clean.take(TEXT_MAX).collect()
}

#[cfg(test)]
mod tests;
