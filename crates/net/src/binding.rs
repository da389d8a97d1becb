//! What a login can be bound to: data that only the two ends of one TLS connection know.

use rustls::pki_types::CertificateDer;
use rustls::{CommonState, ProtocolVersion, ServerConnection};
use std::sync::Arc;
use x509_parser::oid_registry::{
    OID_NIST_HASH_SHA256, OID_NIST_HASH_SHA384, OID_NIST_HASH_SHA512, OID_PKCS1_RSASSAPSS,
    OID_PKCS1_SHA1WITHRSA, OID_PKCS1_SHA256WITHRSA, OID_PKCS1_SHA384WITHRSA, OID_PKCS1_SHA512WITHRSA,
    OID_SIG_ECDSA_WITH_SHA256, OID_SIG_ECDSA_WITH_SHA384, OID_SIG_ECDSA_WITH_SHA512, Oid,
};
use x509_parser::prelude::{FromDer, X509Certificate};
use x509_parser::signature_algorithm::SignatureAlgorithm;

/// The label of the exporter (RFC 9266 §4).
const LABEL: &[u8] = b"EXPORTER-Channel-Binding";

/// Channel bindings of a connection. Only with TLS 1.3: what TLS 1.2 exports can be the same on two connections.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ChannelBindings {
    /// `tls-exporter` (RFC 9266).
    pub exporter: Option<[u8; 32]>,
    /// `tls-server-end-point` (RFC 5929 §4): a digest of the certificate that was shown.
    pub server_end_point: Option<Arc<[u8]>>,
}

pub(crate) fn of_server(tls: &ServerConnection, shown: Option<&Arc<[u8]>>) -> ChannelBindings {
    if !is_newest(tls) {
        return ChannelBindings::default();
    }
    // `Some` of nothing: for TLS 1.2 `None` would be something else, and the two are easily mixed up.
    let exporter = tls.export_keying_material([0; 32], LABEL, Some(b"")).ok();
    ChannelBindings { exporter, server_end_point: shown.cloned() }
}

pub(crate) fn of_client(tls: &rustls::ClientConnection) -> ChannelBindings {
    if !is_newest(tls) {
        return ChannelBindings::default();
    }
    let exporter = tls.export_keying_material([0; 32], LABEL, Some(b"")).ok();
    let leaf = tls.peer_certificates().and_then(<[CertificateDer<'_>]>::first);
    ChannelBindings { exporter, server_end_point: leaf.and_then(|leaf| end_point(leaf)) }
}

fn is_newest(tls: &CommonState) -> bool {
    tls.protocol_version() == Some(ProtocolVersion::TLSv1_3)
}

/// The digest of a certificate by the hash function of its signature, SHA-256 in place of weaker ones (RFC 5929 §4.1);
/// none where the signature has no hash function of its own, as with Ed25519.
pub(crate) fn end_point(leaf: &CertificateDer<'_>) -> Option<Arc<[u8]>> {
    use aws_lc_rs::digest::{SHA256, SHA384, SHA512, digest};
    let (_, certificate) = X509Certificate::from_der(leaf).ok()?;
    let algorithm = &certificate.signature_algorithm;
    let mut oid: Oid<'_> = algorithm.algorithm.clone();
    if oid == OID_PKCS1_RSASSAPSS {
        let SignatureAlgorithm::RSASSA_PSS(params) = SignatureAlgorithm::try_from(algorithm).ok()? else {
            return None;
        };
        oid = params.hash_algorithm()?.algorithm.to_owned();
    }
    let sha256 =
        [OID_PKCS1_SHA1WITHRSA, OID_PKCS1_SHA256WITHRSA, OID_SIG_ECDSA_WITH_SHA256, OID_NIST_HASH_SHA256];
    let sha384 = [OID_PKCS1_SHA384WITHRSA, OID_SIG_ECDSA_WITH_SHA384, OID_NIST_HASH_SHA384];
    let sha512 = [OID_PKCS1_SHA512WITHRSA, OID_SIG_ECDSA_WITH_SHA512, OID_NIST_HASH_SHA512];
    let hash = if sha256.contains(&oid) {
        &SHA256
    } else if sha384.contains(&oid) {
        &SHA384
    } else if sha512.contains(&oid) {
        &SHA512
    } else {
        return None;
    };
    Some(Arc::from(digest(hash, leaf).as_ref()))
}
