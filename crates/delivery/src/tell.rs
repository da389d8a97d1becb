//! What is counted of connections, for the domains that want to hear of it (RFC 8460 §4.3).

use crate::attempt::Courier;
use crate::dane::Found;
use crate::link::{Link, OpenError, Place};
use crate::protect::{DomainRules, Protection};
use crate::sts::StsTrouble;
use crate::tls_policy::{Inputs, Known, Names, Refusal, Sts, Tlsa, Wish};
use crate::work::Work;
use mail::{Domain, TlsLevel};
use net::TlsFault;
use policy::tlsrpt::{Applied, Failure, FailureKind};
use std::net::IpAddr;
use std::sync::Arc;

/// Said of a host that the policy of the domain does not name.
const MX_MISMATCH: &str = "mx-mismatch";
/// Said of a domain whose MX records cannot be believed.
const BOGUS_MX: &str = "the DNSSEC signatures of the MX records are wrong or missing";
/// Said of a certificate that no TLSA record names.
const TLSA_MISMATCH: &str = "tlsa-mismatch";

/// What is to be told of connections to a host.
#[derive(Clone, Debug)]
pub(crate) struct Told {
    applied: Arc<Applied>,
    /// What is wrong however the connection turns out.
    known: Option<(FailureKind, &'static str)>,
}

impl Told {
    /// `None` where nothing is told: of reports, and of mail for which no policy was asked.
    pub(crate) fn of(
        work: &Work<'_>,
        rules: &DomainRules,
        inputs: &Inputs,
        found: &Found,
        host: &Domain,
    ) -> Option<Self> {
        if !work.is_told || work.wish == Wish::NotRequired {
            return None;
        }
        let goes_by_tlsa = inputs.tlsa != Tlsa::None
            && !(inputs.known == Known::Open && matches!(inputs.sts, Sts::Enforce(_)));
        let (applied, known) = match (found, &rules.looked.policy) {
            (Found::Records { base, records }, _) if goes_by_tlsa => {
                let applied = Applied::tlsa(base, records.iter().map(ToString::to_string).collect());
                (applied, (inputs.tlsa == Tlsa::Unusable).then_some((FailureKind::TlsaInvalid, "")))
            }
            (Found::Unknown, _) => (Applied::tlsa(host, Vec::new()), None),
            (_, Some(held)) => {
                let mx = held.policy.hosts.iter().map(ToString::to_string).collect();
                let applied = Applied::sts(work.domain, &held.text, mx);
                let misses = matches!(inputs.sts, Sts::Testing(Names::OthersOnly));
                (applied, misses.then_some((FailureKind::ValidationFailure, MX_MISMATCH)))
            }
            (_, None) => (Applied::none(work.domain), None),
        };
        Some(Self { applied: Arc::new(applied), known })
    }
}

impl Courier {
    /// Counts a connection, or the failure to make one. What has nothing to do with TLS is not counted.
    pub(crate) fn tell(
        &self,
        work: &Work<'_>,
        place: &Place,
        protection: &Protection,
        opened: &Result<Link, OpenError>,
    ) {
        let Some(told) = &protection.told else { return };
        let failed = match opened {
            Ok(link) => {
                told.known.map(|(kind, reason)| (kind, reason.to_owned())).or_else(|| of_link(link, told))
            }
            Err(OpenError::Handshake { fault, .. }) => Some(of_fault(*fault)),
            Err(OpenError::NoTls(_)) => Some((FailureKind::StarttlsNotSupported, String::new())),
            Err(OpenError::Unreachable(_) | OpenError::Refused(_) | OpenError::Unfit(_)) => return,
        };
        let sending: Option<IpAddr> = opened.as_ref().ok().map(Link::local);
        let failure = failed.map(|(kind, reason)| Failure {
            kind,
            host: place.host.to_string(),
            sending,
            receiving: Some(place.address.ip()),
            reason,
        });
        self.seen.count(work.domain, &told.applied, failure, self.world.clock.unix());
    }

    /// Counts a host that was not even tried.
    pub(crate) fn tell_of_refusal(
        &self,
        work: &Work<'_>,
        told: Option<&Told>,
        refusal: Refusal,
        host: &Domain,
    ) {
        let (kind, reason) = match refusal {
            Refusal::TlsaUnknown => (FailureKind::DnssecInvalid, ""),
            Refusal::NotInPolicy => (FailureKind::ValidationFailure, MX_MISMATCH),
            // Nobody's policy but ours and the sender's.
            Refusal::NotVouched | Refusal::NotVouchedForSender => return,
        };
        let Some(told) = told else { return };
        let (host, reason) = (host.to_string(), reason.to_owned());
        let failure = Failure { kind, host, sending: None, receiving: None, reason };
        self.seen.count(work.domain, &told.applied, Some(failure), self.world.clock.unix());
    }

    /// Counts MX records that ought to be signed and are not: nobody knows the hosts.
    pub(crate) fn tell_of_mx(&self, work: &Work<'_>) {
        if !work.is_told {
            return;
        }
        let failure = Failure {
            kind: FailureKind::DnssecInvalid,
            host: String::new(),
            sending: None,
            receiving: None,
            reason: BOGUS_MX.to_owned(),
        };
        let applied = Arc::new(Applied::none(work.domain));
        self.seen.count(work.domain, &applied, Some(failure), self.world.clock.unix());
    }

    /// Counts a policy that should be there.
    pub(crate) fn tell_of_policy(&self, work: &Work<'_>, trouble: &StsTrouble) {
        if !work.is_told {
            return;
        }
        let kind = match trouble {
            StsTrouble::Fetch(_) => FailureKind::StsPolicyFetchError,
            StsTrouble::Certificate(_) => FailureKind::StsWebpkiInvalid,
            StsTrouble::Invalid(_) => FailureKind::StsPolicyInvalid,
        };
        let applied = Arc::new(Applied::sts(work.domain, "", Vec::new()));
        let (host, reason) = (String::new(), trouble.reason().to_owned());
        let failure = Failure { kind, host, sending: None, receiving: None, reason };
        self.seen.count(work.domain, &applied, Some(failure), self.world.clock.unix());
    }
}

/// What is wrong with a connection that is good enough to be used.
fn of_link(link: &Link, told: &Told) -> Option<(FailureKind, String)> {
    if link.tls().level == TlsLevel::Clear {
        return Some((FailureKind::StarttlsNotSupported, String::new()));
    }
    let fault = link.fault()?;
    told.applied.wants_certificate().then(|| of_fault(fault))
}

/// The kind says it all; what the other side said is not repeated to whoever gets the report.
fn of_fault(fault: TlsFault) -> (FailureKind, String) {
    let (kind, reason) = match fault {
        TlsFault::Name => (FailureKind::CertificateHostMismatch, ""),
        TlsFault::Expired => (FailureKind::CertificateExpired, ""),
        TlsFault::Untrusted => (FailureKind::CertificateNotTrusted, ""),
        TlsFault::Tlsa => (FailureKind::ValidationFailure, TLSA_MISMATCH),
        TlsFault::Other => (FailureKind::ValidationFailure, "the TLS handshake failed"),
    };
    (kind, reason.to_owned())
}
