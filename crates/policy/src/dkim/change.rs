//! What happens to signing keys, in words for the log and the command line.

use super::keys::DnsRecord;
use super::ring::Stage;
use mail::Domain;
use std::fmt;

/// Something that happened to a key, or that somebody has to do. `Display` is a sentence.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyChange {
    pub domain: Domain,
    pub selector: String,
    pub what: What,
    /// The record that it is about.
    pub record: DnsRecord,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum What {
    /// A key was made; its record has to be published.
    Made(Stage),
    /// It is still waited for: what the DNS shows instead.
    Missing(String),
    /// The DNS gave no answer.
    Unanswered(String),
    /// The DNS shows the record.
    Seen,
    /// The DNS shows something else in the place of its record. It signs on until that has lasted.
    Doubted(String),
    /// The DNS shows its record again.
    Confirmed,
    /// It signs no more, for the DNS shows something else in the place of its record.
    Contradicted(String),
    /// It signs from now on.
    Signs,
    /// It signs no more, and stays published.
    Retiring,
    /// It is gone for good, and with it the use of this record; `None` if the key was lost before.
    Retired(Option<DnsRecord>),
}

impl fmt::Display for KeyChange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.what {
            What::Made(Stage::Prepared) => {
                f.write_str("a DKIM key was made for later: publish its record in the DNS")
            }
            What::Made(_) => f.write_str(
                "a DKIM key was made: publish its record in the DNS; it signs when the record is there",
            ),
            What::Missing(shown) => {
                write!(
                    f,
                    "a new DKIM key waits for its record, which has to be published in the DNS: {shown}"
                )
            }
            What::Unanswered(why) => {
                write!(f, "the DNS does not say whether the DKIM record is there: {why}")
            }
            What::Seen => f.write_str("the DNS shows the record of the new DKIM key"),
            What::Doubted(shown) => write!(
                f,
                "the DNS shows another record in the place of that of a DKIM key that signs; it signs no more if that \
                 lasts: {shown}"
            ),
            What::Confirmed => f.write_str("the DNS shows the record of the DKIM key again"),
            What::Contradicted(shown) => write!(
                f,
                "a DKIM key signs no more until the DNS shows its record, which is another one there: {shown}"
            ),
            What::Signs => f.write_str("the DKIM key signs from now on"),
            What::Retiring => f.write_str("the DKIM key signs no more; its record must stay for a while"),
            What::Retired(_) => f.write_str(
                "the DKIM key is retired: take its record out of the DNS, or revoke it with this one",
            ),
        }
    }
}
