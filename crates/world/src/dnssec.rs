//! DNSSEC: which keys are trusted, and what is proven of an answer (RFC 4033 §3, RFC 4035 §5).

use crate::resolver::{DnsError, Security, bogus};
use hickory_resolver::net::{DnsError as HickoryDnsError, NetError};
use hickory_resolver::proto::dnssec::{Proof, TrustAnchors};
use hickory_resolver::proto::op::ResponseCode;
use hickory_resolver::proto::rr::{Record, RecordType};
use std::io::Read;
use std::path::Path;
use std::sync::Arc;

/// Largest file of trust anchors that is read, in octets.
const ANCHORS_MAX: u64 = 64 * 1024;

/// How far DNSSEC is validated.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default)]
pub enum Dnssec {
    /// Nothing is: no host is known by TLSA records.
    Off,
    /// What must be proven ([`crate::Proof::Wanted`]); nothing is made for it before that is asked.
    #[default]
    Wanted,
    /// Every answer. What is bogus counts as no answer, for SPF, DKIM and DMARC as well.
    All,
}

/// Keys that are trusted: those of the root that are built in, or DNSKEY records from a file in place of them.
pub(crate) fn anchors(file: Option<&Path>) -> Result<Arc<TrustAnchors>, String> {
    let Some(path) = file else { return Ok(Arc::new(TrustAnchors::default())) };
    let shown = path.display();
    let mut text = String::new();
    std::fs::File::open(path)
        .and_then(|file| file.take(ANCHORS_MAX).read_to_string(&mut text))
        .map_err(|error| format!("the trust anchors {shown} cannot be read: {error}"))?;
    let records = keys_of(&text)?.ok_or_else(|| {
        format!("the file {shown} holds no trust anchor: it needs DNSKEY records (a DS record is not enough)")
    })?;
    let anchors: TrustAnchors =
        records.parse().map_err(|error| format!("the trust anchors {shown} make no sense: {error}"))?;
    Ok(Arc::new(anchors))
}

/// The DNSKEY records of a file, one a line, without the comments that tools put behind them.
fn keys_of(text: &str) -> Result<Option<String>, String> {
    let mut records = String::new();
    for line in text.lines() {
        let line = line.split(';').next().unwrap_or_default().trim();
        let words: Vec<&str> = line.split_ascii_whitespace().collect();
        if words.iter().any(|word| word.eq_ignore_ascii_case("DNSKEY")) {
            // Only full names have a meaning here, and the parser wants the dot.
            let name = words.first().copied().unwrap_or_default();
            let dot = if name.ends_with('.') { "" } else { "." };
            let rest: Vec<&str> = words.iter().skip(1).copied().collect();
            records.push_str(&format!("{name}{dot} {}\n", rest.join(" ")));
        } else if words.contains(&"(") {
            return Err("a trust anchor stands on more than one line".to_owned());
        }
    }
    Ok(Some(records).filter(|records| !records.is_empty()))
}

/// What is proven of records, signatures aside.
pub(crate) fn of_records<'a>(records: impl IntoIterator<Item = &'a Record>) -> Option<Security> {
    let signed = records.into_iter().filter(|record| record.record_type() != RecordType::RRSIG);
    signed.map(|record| read(record.proof)).reduce(Security::lesser)
}

fn read(proof: Proof) -> Security {
    match proof {
        Proof::Secure => Security::Secure,
        Proof::Insecure => Security::Insecure,
        Proof::Bogus => Security::Bogus,
        Proof::Indeterminate => Security::Unchecked,
    }
}

/// What a validating resolver means by an error, and what is proven of it.
pub(crate) fn of_error(error: &NetError, understand: impl Fn(&NetError) -> DnsError) -> (DnsError, Security) {
    match error {
        NetError::Dns(HickoryDnsError::DnssecBogus) => (bogus(), Security::Bogus),
        NetError::Dns(HickoryDnsError::NoRecordsFound(no)) => {
            let authorities = no.authorities.iter().flat_map(|records| records.iter());
            // Without any proof it came through the validation because the zone is unsigned.
            match of_records(authorities).unwrap_or(Security::Insecure) {
                Security::Bogus => (bogus(), Security::Bogus),
                security => (understand(error), security),
            }
        }
        NetError::Dns(HickoryDnsError::Nsec { response, proof, .. }) => {
            match (read(*proof), response.response_code) {
                (Security::Bogus, _) => (bogus(), Security::Bogus),
                (security, ResponseCode::NXDomain) => (DnsError::NoName, security),
                (security, ResponseCode::NoError) => (DnsError::NoRecord, security),
                (_, code) => (DnsError::Trouble(code.to_string()), Security::Unchecked),
            }
        }
        other => (understand(other), Security::Unchecked),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn anchors_are_read_as_tools_write_them() {
        let dir = std::env::temp_dir().join(format!("maddy-anchors-{}", std::process::id()));
        std::fs::create_dir_all(&dir).unwrap();
        let file = dir.join("root.key");
        let key = "257 3 8 AwEAAaz/tAm8yTn4Mfeh5eyI96WSVexTBAvkMgJzkKTOiW1vkIbzxeF3+/4RgWOq7HrxRixHlFlExOLAJr5emLvN7SWXgnLh4+B5xQlNVz8Og8kvArMtNROxVQuCaSnIDdD5LKyWbRd2n9WGe2R8PzgCmr3EgVLrjyBxWezF0jLHwVN8efS3rCj/EWgvIWgb9tarpVUDK/b58Da+sqqls3eNbuv7pr+eoZG+SrDK6nWeL3c6H5Apxz7LjVc1uTIdsIXxuOLYA4/ilBmSVIzuDWfdRUfhHdY6+cn8HFRm+2hM8AnXGXws9555KrUB5qihylGa8subX2Nn6UwNR1AkUTV74bU=";
        for (text, want) in [
            (format!("; autotrust\n. 172800 IN DNSKEY {key} ;{{id = 20326 (ksk)}} ;;state=2\n"), Ok(1)),
            (format!("test IN DNSKEY {key}\n"), Ok(0)),
            (String::new(), Err("it needs DNSKEY")),
            (". IN DS 20326 8 2 E06D44B8\n".to_owned(), Err("it needs DNSKEY")),
            (". IN DNSKEY 257 3 8 !!!\n".to_owned(), Err("make no sense")),
        ] {
            std::fs::write(&file, &text).unwrap();
            match (anchors(Some(&file)), want) {
                (Ok(anchors), Ok(of_root)) => assert_eq!(anchors.len(), of_root, "{text}"),
                (Err(error), Err(part)) => assert!(error.contains(part), "{error}"),
                (got, want) => panic!("{text}: {:?}, not {want:?}", got.map(|anchors| anchors.len())),
            }
        }
        assert!(anchors(Some(&dir.join("gone"))).is_err());
        assert_eq!(anchors(None).unwrap().len(), 2);
        std::fs::remove_dir_all(&dir).unwrap();
    }
}
