//! TLS reporting: who wants to hear how connections fared, what is told, and how it is written (RFC 8460).
//!
//! Everything here is a pure function; who asks the DNS, counts and sends is up to the caller.

use crate::tags::is_blank;
use mail::{Address, Domain, date};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::fmt;
use std::net::IpAddr;

/// Addresses of one domain that get a report.
pub const DESTINATIONS_MAX: usize = 4;
/// Longest text of somebody else's making that is told, in characters.
const TEXT_MAX: usize = 256;
/// Most lines of a policy that are told.
const LINES_MAX: usize = 120;

/// Where the record of a domain is (RFC 8460 §3).
pub fn record_name(domain: &Domain) -> String {
    format!("_smtp._tls.{domain}")
}

/// Where a report goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Destination {
    Mail(Address),
    /// A URL that begins with `https://`.
    Https(String),
}

impl fmt::Display for Destination {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Mail(address) => write!(f, "mailto:{address}"),
            Self::Https(url) => f.write_str(url),
        }
    }
}

/// Who gets the reports, by the TXT records of `_smtp._tls`; nobody where there is no record, or more than one
/// (RFC 8460 §3).
pub fn destinations(texts: &[String]) -> Vec<Destination> {
    let mut records = texts.iter().filter(|text| {
        text.strip_prefix("v=TLSRPTv1").is_some_and(|rest| rest.trim_start_matches(is_blank).starts_with(';'))
    });
    let (Some(record), None) = (records.next(), records.next()) else { return Vec::new() };
    let mut fields = record.split(';').skip(1).filter_map(|field| field.split_once('='));
    let Some((_, list)) = fields.find(|(name, _)| name.trim_matches(is_blank) == "rua") else {
        return Vec::new();
    };
    list.split(',').filter_map(|uri| destination(uri.trim_matches(is_blank))).take(DESTINATIONS_MAX).collect()
}

fn destination(uri: &str) -> Option<Destination> {
    let scheme_is = |scheme: &str| uri.get(..scheme.len()).is_some_and(|s| s.eq_ignore_ascii_case(scheme));
    if scheme_is("https://") {
        return Some(Destination::Https(uri.to_owned()));
    }
    let rest = scheme_is("mailto:").then(|| uri.get(7..)).flatten()?;
    let address = rest.split('?').next().unwrap_or(rest);
    // Escapes are rare enough to do without them.
    if address.contains('%') {
        return None;
    }
    Address::parse(address).ok().map(Destination::Mail)
}

/// What decided how connections to a host had to be (RFC 8460 §4.4).
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Applied {
    pub kind: AppliedKind,
    /// Whose policy it is: the recipients' domain, or the host that has the TLSA records.
    pub domain: String,
    /// Its lines, or its records.
    pub text: Vec<String>,
    /// The hosts that it names.
    pub mx: Vec<String>,
}

/// Kinds of policies.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub enum AppliedKind {
    Tlsa,
    Sts,
    None,
}

impl AppliedKind {
    fn word(self) -> &'static str {
        match self {
            Self::Tlsa => "tlsa",
            Self::Sts => "sts",
            Self::None => "no-policy-found",
        }
    }
}

impl Applied {
    /// Of a policy as it was fetched.
    pub fn sts(domain: &Domain, text: &str, mx: Vec<String>) -> Self {
        let lines = text.lines().map(shown).filter(|line| !line.is_empty()).take(LINES_MAX);
        Self { kind: AppliedKind::Sts, domain: domain.to_string(), text: lines.collect(), mx }
    }

    /// Of records, each the four fields of its data as a master file writes them (RFC 8460 §4.5).
    pub fn tlsa(base: &Domain, records: Vec<String>) -> Self {
        Self { kind: AppliedKind::Tlsa, domain: base.to_string(), text: records, mx: Vec::new() }
    }

    /// Whether it wants a certificate that an authority vouches for.
    pub fn wants_certificate(&self) -> bool {
        self.kind == AppliedKind::Sts
    }

    pub fn none(domain: &Domain) -> Self {
        Self { kind: AppliedKind::None, domain: domain.to_string(), text: Vec::new(), mx: Vec::new() }
    }
}

/// What went wrong with connections (RFC 8460 §4.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub enum FailureKind {
    StarttlsNotSupported,
    CertificateHostMismatch,
    CertificateExpired,
    CertificateNotTrusted,
    ValidationFailure,
    TlsaInvalid,
    DnssecInvalid,
    StsPolicyFetchError,
    StsPolicyInvalid,
    StsWebpkiInvalid,
}

impl FailureKind {
    pub fn word(self) -> &'static str {
        match self {
            Self::StarttlsNotSupported => "starttls-not-supported",
            Self::CertificateHostMismatch => "certificate-host-mismatch",
            Self::CertificateExpired => "certificate-expired",
            Self::CertificateNotTrusted => "certificate-not-trusted",
            Self::ValidationFailure => "validation-failure",
            Self::TlsaInvalid => "tlsa-invalid",
            Self::DnssecInvalid => "dnssec-invalid",
            Self::StsPolicyFetchError => "sts-policy-fetch-error",
            Self::StsPolicyInvalid => "sts-policy-invalid",
            Self::StsWebpkiInvalid => "sts-webpki-invalid",
        }
    }
}

/// Connections that failed in one way.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Failure {
    pub kind: FailureKind,
    /// The host; empty if it did not come that far.
    pub host: String,
    /// From where, and to where.
    pub sending: Option<IpAddr>,
    pub receiving: Option<IpAddr>,
    /// More about it; may be empty.
    pub reason: String,
}

/// How many connections there were of one kind.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Counted {
    pub applied: Applied,
    /// `None`: they were as the policy wants them.
    pub failure: Option<Failure>,
    pub count: u64,
}

/// A report, before it is written.
#[derive(Clone, Debug)]
pub struct Owed<'a> {
    pub organization: &'a str,
    pub contact: &'a str,
    pub id: &'a str,
    /// Seconds since 1970; from and to.
    pub begin: i64,
    pub end: i64,
    /// Those of one policy stand together.
    pub counted: &'a [Counted],
}

/// The JSON of a report (RFC 8460 §4.4).
pub fn write(report: &Owed<'_>) -> String {
    let policies: Vec<Value> = report
        .counted
        .chunk_by(|one, next| one.applied == next.applied)
        .filter_map(|rows| rows.first().map(|first| policy(&first.applied, rows)))
        .collect();
    json!({
        "organization-name": report.organization,
        "date-range": {
            "start-datetime": date::print_iso(report.begin),
            "end-datetime": date::print_iso(report.end),
        },
        "contact-info": report.contact,
        "report-id": report.id,
        "policies": policies,
    })
    .to_string()
}

fn policy(applied: &Applied, rows: &[Counted]) -> Value {
    let sum = |failed: bool| {
        let of_kind = rows.iter().filter(|row| row.failure.is_some() == failed);
        of_kind.fold(0_u64, |sum, row| sum.saturating_add(row.count))
    };
    let mut what = json!({ "policy-type": applied.kind.word(), "policy-domain": applied.domain });
    if applied.kind != AppliedKind::None {
        what["policy-string"] = json!(applied.text);
    }
    if !applied.mx.is_empty() {
        what["mx-host"] = json!(applied.mx);
    }
    let failures = rows.iter().filter_map(|row| row.failure.as_ref().map(|one| failure(one, row.count)));
    json!({
        "policy": what,
        "summary": {
            "total-successful-session-count": sum(false),
            "total-failure-session-count": sum(true),
        },
        "failure-details": failures.collect::<Vec<Value>>(),
    })
}

fn failure(one: &Failure, count: u64) -> Value {
    let mut told = json!({ "result-type": one.kind.word(), "failed-session-count": count });
    let ips = [("sending-mta-ip", one.sending), ("receiving-ip", one.receiving)];
    for (name, ip) in ips {
        if let Some(ip) = ip {
            told[name] = json!(ip.to_string());
        }
    }
    let texts = [("receiving-mx-hostname", &one.host), ("failure-reason-code", &one.reason)];
    for (name, text) in texts {
        if !text.is_empty() {
            told[name] = json!(shown(text));
        }
    }
    told
}

/// Text of somebody else's making, without control characters and not too long.
fn shown(text: &str) -> String {
    let clean = text.trim().chars().map(|c| if c.is_control() { ' ' } else { c });
    clean.take(TEXT_MAX).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::{Report, read};

    #[test]
    fn who_wants_reports() {
        let told = |texts: &[&str]| {
            let texts: Vec<String> = texts.iter().map(|text| (*text).to_owned()).collect();
            let told = destinations(&texts).into_iter().map(|one| match one {
                Destination::Mail(address) => format!("mail {address}"),
                Destination::Https(url) => format!("post {url}"),
            });
            told.collect::<Vec<_>>().join(", ")
        };
        for (texts, want) in [
            (&["v=TLSRPTv1; rua=mailto:reports@example.com"][..], "mail reports@example.com"),
            (&["v=TLSRPTv1;rua=https://r.example.com/v1/tlsrpt;"], "post https://r.example.com/v1/tlsrpt"),
            (
                &["v=TLSRPTv1 ; x=y; rua = MAILTO:a@b.example?subject=x , HTTPS://c.example/"],
                "mail a@b.example, post HTTPS://c.example/",
            ),
            (&["v=spf1 -all", "v=TLSRPTv1; rua=mailto:a@b.example"], "mail a@b.example"),
            (&["v=TLSRPTv1; rua=mailto:a@b.example", "v=TLSRPTv1; rua=mailto:a@b.example"], ""),
            (&["v=TLSRPTv1"], ""),
            (&["v=TLSRPTv12; rua=mailto:a@b.example"], ""),
            (&["v=TLSRPTv1; rua=http://c.example/, mailto:nobody, mailto:a%40@b.example, ftp:x"], ""),
            (&[], ""),
        ] {
            assert_eq!(told(texts), want, "{texts:?}");
        }
        let many = format!("v=TLSRPTv1; rua={}", ["mailto:a@b.example"; 9].join(","));
        assert_eq!(destinations(&[many]).len(), DESTINATIONS_MAX);
    }

    #[test]
    fn a_report_is_written_and_can_be_read() {
        let domain = Domain::parse("company-y.example").unwrap();
        let sts = Applied::sts(
            &domain,
            "version: STSv1\r\nmode: testing\r\nmx: *.mail.company-y.example\r\nmax_age: 86400\r\n",
            vec!["*.mail.company-y.example".to_owned()],
        );
        let failure = |kind, reason: &str| Failure {
            kind,
            host: "mx1.mail.company-y.example".to_owned(),
            sending: Some("2001:db8:abcd:12::1".parse().unwrap()),
            receiving: None,
            reason: reason.to_owned(),
        };
        let row = |applied: &Applied, failure, count| Counted { applied: applied.clone(), failure, count };
        let none = Applied::none(&domain);
        let counted = [
            row(&sts, None, 5326),
            row(&sts, Some(failure(FailureKind::CertificateExpired, "")), 100),
            row(&sts, Some(failure(FailureKind::ValidationFailure, "mx\r\nmismatch")), 203),
            row(&none, None, 1),
        ];
        let report = Owed {
            organization: "Company-X",
            contact: "sts-reporting@company-x.example",
            id: "5065427c-23d3",
            begin: 1_459_468_800,
            end: 1_459_555_199,
            counted: &counted,
        };
        let text = write(&report);
        let value: Value = serde_json::from_str(&text).unwrap();
        assert_eq!(value["date-range"]["start-datetime"], "2016-04-01T00:00:00Z");
        assert_eq!(value["date-range"]["end-datetime"], "2016-04-01T23:59:59Z");
        let first = &value["policies"][0];
        assert_eq!(first["policy"]["policy-type"], "sts");
        assert_eq!(first["policy"]["policy-string"][1], "mode: testing");
        assert_eq!(first["policy"]["mx-host"][0], "*.mail.company-y.example");
        assert_eq!(first["failure-details"][0]["sending-mta-ip"], "2001:db8:abcd:12::1");
        assert_eq!(first["failure-details"][1]["failure-reason-code"], "mx  mismatch");
        assert_eq!(value["policies"][1]["policy"].get("policy-string"), None);
        let Ok(Report::Tls(read)) = read(text.as_bytes()) else { panic!("{text}") };
        assert_eq!((read.begin, read.end, read.policies.len()), (report.begin, report.end, 2));
        assert_eq!((read.policies[0].successes, read.policies[0].failures), (5326, 303));
        assert_eq!(read.policies[0].details[0].kind, "certificate-expired");
    }
}
