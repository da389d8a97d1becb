//! Certificates that TLSA records name (RFC 6698, RFC 7671, RFC 7672): which records can be used, and the verifier that goes by them.

use crate::tls::provider;
use aws_lc_rs::digest::{SHA256, SHA512, digest};
use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{CertificateError, DigitallySignedStruct, Error, OtherError, RootCertStore, SignatureScheme};
use std::fmt;
use std::sync::Arc;
use world::Tlsa;
use x509_parser::prelude::{FromDer, X509Certificate};

/// Most records of one host that are looked at.
pub const RECORDS_MAX: usize = 32;
/// Most certificates of a chain that are looked at.
const CHAIN_MAX: usize = 16;

/// DANE-TA: an authority that the certificate must come from (RFC 7672 §3.1.2).
const TRUST_ANCHOR: u8 = 2;
/// DANE-EE: the certificate itself, whatever it says of names and times (RFC 7672 §3.1.1).
const END_ENTITY: u8 = 3;
const WHOLE: u8 = 0;
const PUBLIC_KEY: u8 = 1;
const EXACT: u8 = 0;
const SHA_256: u8 = 1;
const SHA_512: u8 = 2;

/// The records that can be used for SMTP: usages 2 and 3 (RFC 7672 §3.1.3) with selectors and digests that are known. Of two
/// digests for the same use the weaker is left out (RFC 7671 §9).
///
/// Where there are records and none can be used, TLS is demanded, and any certificate will do (RFC 7672 §2.2).
pub fn usable(records: &[Tlsa]) -> Vec<Tlsa> {
    let good: Vec<&Tlsa> = records.iter().filter(|record| is_usable(record)).take(RECORDS_MAX).collect();
    let has_stronger = |record: &Tlsa| {
        record.matching == SHA_256
            && good.iter().any(|other| {
                (other.usage, other.selector, other.matching) == (record.usage, record.selector, SHA_512)
            })
    };
    good.iter().filter(|record| !has_stronger(record)).map(|record| (*record).clone()).collect()
}

fn is_usable(record: &Tlsa) -> bool {
    let is_known =
        matches!(record.usage, TRUST_ANCHOR | END_ENTITY) && matches!(record.selector, WHOLE | PUBLIC_KEY);
    is_known
        && match (record.matching, record.selector) {
            (SHA_256, _) => record.data.len() == 32,
            (SHA_512, _) => record.data.len() == 64,
            (EXACT, WHOLE) => X509Certificate::from_der(&record.data).is_ok(),
            (EXACT, _) => !record.data.is_empty(),
            _ => false,
        }
}

/// Whether a record names this certificate.
fn names(record: &Tlsa, certificate: &CertificateDer<'_>) -> bool {
    let selected: &[u8] = match record.selector {
        WHOLE => certificate.as_ref(),
        _ => match X509Certificate::from_der(certificate.as_ref()) {
            Ok((_, parsed)) => parsed.tbs_certificate.subject_pki.raw,
            Err(_) => return false,
        },
    };
    match record.matching {
        EXACT => selected == record.data.as_slice(),
        SHA_256 => digest(&SHA256, selected).as_ref() == record.data.as_slice(),
        SHA_512 => digest(&SHA512, selected).as_ref() == record.data.as_slice(),
        _ => false,
    }
}

/// No record names the certificate that was shown.
#[derive(Debug)]
pub(crate) struct NoTlsaMatch;

impl fmt::Display for NoTlsaMatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("its certificate is none of those that its TLSA records name")
    }
}

impl std::error::Error for NoTlsaMatch {}

/// Takes a certificate that one of the records names, and, if `also` is there, only if that takes it too.
pub(crate) struct DaneVerifier {
    records: Vec<Tlsa>,
    /// What a certificate of DANE-TA may be for (RFC 7672 §3.2.3).
    names: Vec<ServerName<'static>>,
    also: Option<Arc<WebPkiServerVerifier>>,
}

impl fmt::Debug for DaneVerifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DaneVerifier").field("names", &self.names).finish_non_exhaustive()
    }
}

impl DaneVerifier {
    pub(crate) fn new(
        records: Vec<Tlsa>,
        names: Vec<ServerName<'static>>,
        also: Option<Arc<WebPkiServerVerifier>>,
    ) -> Self {
        Self { records, names, also }
    }

    fn of_usage(&self, usage: u8) -> impl Iterator<Item = &Tlsa> {
        self.records.iter().filter(move |record| record.usage == usage)
    }

    fn is_named(&self, leaf: &CertificateDer<'_>) -> bool {
        self.of_usage(END_ENTITY).any(|record| names(record, leaf))
    }

    /// The authorities that the records name: in the chain, or in a record that holds the whole certificate.
    fn anchors<'a>(&'a self, others: &'a [CertificateDer<'a>]) -> Vec<CertificateDer<'a>> {
        let mut anchors: Vec<CertificateDer<'a>> = Vec::new();
        for record in self.of_usage(TRUST_ANCHOR) {
            let shown = others.iter().take(CHAIN_MAX).filter(|other| names(record, other));
            anchors.extend(shown.map(|other| CertificateDer::from(other.as_ref())));
            if (record.selector, record.matching) == (WHOLE, EXACT) {
                anchors.push(CertificateDer::from(record.data.as_slice()));
            }
        }
        anchors
    }

    /// Whether an authority vouches for the leaf, under one of the names. The error is the last one.
    fn vouches(
        &self,
        anchor: CertificateDer<'_>,
        leaf: &CertificateDer<'_>,
        others: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<(), Error> {
        let mut roots = RootCertStore::empty();
        roots.add(anchor.into_owned())?;
        let verifier = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider())
            .build()
            .map_err(|error| Error::General(error.to_string()))?;
        let mut failed = Error::InvalidCertificate(CertificateError::NotValidForName);
        for name in &self.names {
            match verifier.verify_server_cert(leaf, others, name, &[], now) {
                Ok(_) => return Ok(()),
                Err(error) => failed = error,
            }
        }
        Err(failed)
    }
}

impl ServerCertVerifier for DaneVerifier {
    fn verify_server_cert(
        &self,
        leaf: &CertificateDer<'_>,
        others: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let mut failed =
            Error::InvalidCertificate(CertificateError::Other(OtherError(Arc::new(NoTlsaMatch))));
        let mut is_good = self.is_named(leaf);
        if !is_good {
            for anchor in self.anchors(others) {
                match self.vouches(anchor, leaf, others, now) {
                    Ok(()) => {
                        is_good = true;
                        break;
                    }
                    Err(error) => failed = error,
                }
            }
        }
        if !is_good {
            return Err(failed);
        }
        match &self.also {
            Some(also) => also.verify_server_cert(leaf, others, name, ocsp, now),
            None => Ok(ServerCertVerified::assertion()),
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &provider().signature_verification_algorithms;
        verify_tls12_signature(message, certificate, signature, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &provider().signature_verification_algorithms;
        verify_tls13_signature(message, certificate, signature, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        provider().signature_verification_algorithms.supported_schemes()
    }
}

#[cfg(test)]
#[path = "dane_tests.rs"]
mod tests;
