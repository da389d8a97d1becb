//! Certificates that clients show: any is taken, for what counts is the key. Whether a key lets somebody in is decided
//! elsewhere.

use crate::tls::{TlsError, provider};
use aws_lc_rs::digest::{SHA256, digest};
use rustls::client::danger::HandshakeSignatureValid;
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, UnixTime};
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::{DigitallySignedStruct, DistinguishedName, Error, SignatureScheme};
use std::fmt;
use std::path::Path;
use std::sync::Arc;
use x509_parser::prelude::{FromDer, X509Certificate};

/// Whether clients are asked for a certificate of theirs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum ClientCertificates {
    #[default]
    NotAsked,
    /// They may show one.
    Asked,
}

/// SHA-256 of a public key as it stands in a certificate (SubjectPublicKeyInfo): it stays when a certificate is renewed
/// for the same key.
pub type KeyFingerprint = [u8; 32];

/// The fingerprint of the key in a certificate; `None` if it cannot be read.
pub(crate) fn fingerprint(certificate: &CertificateDer<'_>) -> Option<KeyFingerprint> {
    let (_, certificate) = X509Certificate::from_der(certificate).ok()?;
    let mut octets = KeyFingerprint::default();
    for (to, from) in
        octets.iter_mut().zip(digest(&SHA256, certificate.tbs_certificate.subject_pki.raw).as_ref())
    {
        *to = *from;
    }
    Some(octets)
}

/// The fingerprint of the first certificate in a PEM file.
pub fn fingerprint_of_file(path: &Path) -> Result<KeyFingerprint, TlsError> {
    let bad = |why: String| TlsError::File(path.to_owned(), why);
    let certificate = CertificateDer::from_pem_file(path)
        .map_err(|error| bad(format!("no certificate in PEM can be read: {error}")))?;
    fingerprint(&certificate).ok_or_else(|| bad("this is no certificate".to_owned()))
}

/// Takes any certificate whose key the client has.
pub(crate) struct AnyCertificate(Arc<CryptoProvider>);

impl AnyCertificate {
    pub(crate) fn new() -> Arc<Self> {
        Arc::new(Self(provider()))
    }
}

impl fmt::Debug for AnyCertificate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("AnyCertificate")
    }
}

impl ClientCertVerifier for AnyCertificate {
    fn client_auth_mandatory(&self) -> bool {
        false
    }

    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &[]
    }

    /// Who signed it and until when says nothing here: its key is registered or not.
    fn verify_client_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        Ok(ClientCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, certificate, signature, &self.0.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, certificate, signature, &self.0.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rcgen::{CertificateParams, KeyPair};

    fn certificate(key: &KeyPair, name: &str) -> CertificateDer<'static> {
        let params = CertificateParams::new(vec![name.to_owned()]).unwrap();
        params.self_signed(key).unwrap().der().clone()
    }

    #[test]
    fn the_key_counts_and_not_what_is_said_of_it() {
        let (one, other) = (KeyPair::generate().unwrap(), KeyPair::generate().unwrap());
        let first = fingerprint(&certificate(&one, "first.example")).unwrap();
        assert_eq!(fingerprint(&certificate(&one, "renewed.example")), Some(first));
        assert_ne!(fingerprint(&certificate(&other, "first.example")), Some(first));
        assert_eq!(fingerprint(&CertificateDer::from(vec![0x30, 0x82, 0xff])), None);
    }

    #[test]
    fn files_without_a_certificate_are_told_of() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("x.pem");
        assert!(fingerprint_of_file(&file).is_err());
        std::fs::write(&file, "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n").unwrap();
        assert!(fingerprint_of_file(&file).unwrap_err().to_string().contains("this is no certificate"));
    }
}
