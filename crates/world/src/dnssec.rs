//! DNSSEC: what is proven of an answer (RFC 4033 §3, RFC 4035 §5).

use crate::resolver::{DnsError, Security, bogus};
use hickory_resolver::net::{DnsError as HickoryDnsError, NetError};
use hickory_resolver::proto::dnssec::Proof;
use hickory_resolver::proto::op::ResponseCode;
use hickory_resolver::proto::rr::{Record, RecordType};

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
