//! TLS reports (RFC 8460 §4.4).

use super::{FAILURES_MAX, POLICIES_MAX, ReportError, kept};
use serde::de::{Error, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};
use std::fmt;
use std::marker::PhantomData;

/// How connections of one sender to one of our domains fared.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TlsReport {
    pub organization: String,
    pub contact: String,
    pub id: String,
    /// Seconds since 1970; from and to.
    pub begin: i64,
    pub end: i64,
    pub policies: Vec<TlsPolicy>,
}

/// What came of one policy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TlsPolicy {
    /// sts, tlsa or no-policy-found.
    pub kind: String,
    pub domain: String,
    pub successes: u64,
    pub failures: u64,
    pub details: Vec<TlsFailure>,
}

/// Sessions that failed in one way.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TlsFailure {
    /// A word of RFC 8460 §4.3, like certificate-expired.
    pub kind: String,
    pub host: String,
    pub count: u64,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct Written {
    #[serde(default)]
    organization_name: String,
    date_range: Option<Range>,
    #[serde(default)]
    contact_info: String,
    #[serde(default)]
    report_id: String,
    #[serde(default, deserialize_with = "bounded::<_, _, POLICIES_MAX>")]
    policies: Vec<Entry>,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct Range {
    start_datetime: String,
    end_datetime: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct Entry {
    policy: Policy,
    #[serde(default)]
    summary: Summary,
    #[serde(default, deserialize_with = "bounded::<_, _, FAILURES_MAX>")]
    failure_details: Vec<Failure>,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct Policy {
    #[serde(default)]
    policy_type: String,
    #[serde(default)]
    policy_domain: String,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "kebab-case")]
struct Summary {
    #[serde(default)]
    total_successful_session_count: u64,
    #[serde(default)]
    total_failure_session_count: u64,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct Failure {
    #[serde(default)]
    result_type: String,
    #[serde(default)]
    receiving_mx_hostname: Option<String>,
    #[serde(default)]
    failed_session_count: u64,
}

/// A list that is refused as soon as it has too many entries.
fn bounded<'de, D: Deserializer<'de>, T: Deserialize<'de>, const MOST: usize>(
    deserializer: D,
) -> Result<Vec<T>, D::Error> {
    struct List<T, const MOST: usize>(PhantomData<T>);

    impl<'de, T: Deserialize<'de>, const MOST: usize> Visitor<'de> for List<T, MOST> {
        type Value = Vec<T>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            write!(f, "a list of at most {MOST}")
        }

        fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Self::Value, A::Error> {
            let mut found = Vec::new();
            while let Some(one) = list.next_element()? {
                if found.len() == MOST {
                    return Err(A::Error::custom(format!("more than {MOST} entries in a list")));
                }
                found.push(one);
            }
            Ok(found)
        }

        fn visit_unit<E: Error>(self) -> Result<Self::Value, E> {
            Ok(Vec::new())
        }
    }

    deserializer.deserialize_any(List::<T, MOST>(PhantomData))
}

pub(super) fn read(octets: &[u8]) -> Result<TlsReport, ReportError> {
    let octets = octets.strip_prefix(b"\xef\xbb\xbf").unwrap_or(octets);
    let written: Written =
        serde_json::from_slice(octets).map_err(|error| ReportError::Json(kept(&error.to_string())))?;
    let range = written.date_range.ok_or(ReportError::Missing("range of dates"))?;
    let date = |text: &str| {
        let stamp = mail::date::parse_iso(text).ok_or(ReportError::Missing("range of dates"))?;
        Ok(stamp.seconds)
    };
    let (begin, end) = (date(&range.start_datetime)?, date(&range.end_datetime)?);
    if written.organization_name.is_empty() && written.contact_info.is_empty() {
        return Err(ReportError::Missing("organization"));
    }
    if written.policies.is_empty() {
        return Err(ReportError::Missing("policy"));
    }
    Ok(TlsReport {
        organization: kept(&written.organization_name),
        contact: kept(&written.contact_info),
        id: kept(&written.report_id),
        begin,
        end,
        policies: written.policies.into_iter().map(read_policy).collect(),
    })
}

fn read_policy(entry: Entry) -> TlsPolicy {
    let details = entry.failure_details.into_iter().map(|failure| TlsFailure {
        kind: kept(&failure.result_type).to_ascii_lowercase(),
        host: kept(&failure.receiving_mx_hostname.unwrap_or_default()).to_ascii_lowercase(),
        count: failure.failed_session_count,
    });
    TlsPolicy {
        kind: kept(&entry.policy.policy_type).to_ascii_lowercase(),
        domain: kept(&entry.policy.policy_domain).to_ascii_lowercase(),
        successes: entry.summary.total_successful_session_count,
        failures: entry.summary.total_failure_session_count,
        details: details.collect(),
    }
}
