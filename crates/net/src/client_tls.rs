//! TLS towards other servers: opportunistic, or with a certificate that proves who they are.

use crate::dane::{self, DaneVerifier};
use crate::tls::{Peer, TlsClock, TlsError, TlsFacts, TlsFault, cipher_name, provider, version_name};
use crate::tls_words;
use mail::Domain;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{Resumption, WebPkiServerVerifier};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{ClientConfig, ClientConnection, DigitallySignedStruct, Error, RootCertStore, SignatureScheme};
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use world::{Clock, Tlsa};

/// Who may vouch for certificates.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Roots {
    /// The roots that Mozilla trusts.
    WebPki,
    /// The PEM certificates of a file.
    File(PathBuf),
    /// Both.
    WebPkiAndFile(PathBuf),
}

/// How to do TLS as a client. Cloning is cheap.
///
/// Sessions are never resumed: resumption would pass over the verifier.
#[derive(Clone)]
pub struct ClientTls {
    config: Arc<ClientConfig>,
    verifier: Arc<WebPkiServerVerifier>,
    clock: Arc<TlsClock>,
    demand: Demand,
    /// For one connection that takes any certificate: whether the peer has shown that it has the certificate's key.
    signed: Arc<AtomicBool>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Demand {
    Encrypted,
    Authenticated,
    Dane,
}

/// Whether an authority that is trusted must vouch for a certificate as well that TLSA records name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BesideDane {
    Nobody,
    TrustedRoot,
}

impl ClientTls {
    /// Takes any certificate, for without it the mail would go in clear (RFC 7435 §3). The facts of the
    /// connection say whether it would have passed.
    pub fn opportunistic(roots: &Roots, clock: Arc<dyn Clock>) -> Result<Self, TlsError> {
        Self::new(roots, clock, Demand::Encrypted)
    }

    /// Takes only a certificate for the name asked for, from a root that is trusted.
    pub fn authenticated(roots: &Roots, clock: Arc<dyn Clock>) -> Result<Self, TlsError> {
        Self::new(roots, clock, Demand::Authenticated)
    }

    fn new(roots: &Roots, clock: Arc<dyn Clock>, demand: Demand) -> Result<Self, TlsError> {
        let clock = Arc::new(TlsClock(clock));
        let verifier = WebPkiServerVerifier::builder_with_provider(Arc::new(read_roots(roots)?), provider())
            .build()
            .map_err(|error| unfit(&error))?;
        let config = match demand {
            Demand::Authenticated => configure(verifier.clone(), &clock)?,
            Demand::Encrypted | Demand::Dane => configure(Arc::new(AnyCertificate::default()), &clock)?,
        };
        Ok(Self { config, verifier, clock, demand, signed: Arc::default() })
    }

    /// The same clock and roots, for a host with TLSA records: takes only a certificate that one of them names.
    ///
    /// `names` are those that a certificate from a named authority may be for (RFC 7672 §3.2.3). Records that cannot be used
    /// are left out ([`dane::usable`]); where none is left, no certificate passes.
    pub fn dane(&self, records: &[Tlsa], names: &[Domain], beside: BesideDane) -> Result<Self, TlsError> {
        let names = names.iter().filter_map(|name| ServerName::try_from(name.to_string()).ok()).collect();
        let also = (beside == BesideDane::TrustedRoot).then(|| self.verifier.clone());
        let config = configure(Arc::new(DaneVerifier::new(dane::usable(records), names, also)), &self.clock)?;
        let (verifier, clock) = (self.verifier.clone(), self.clock.clone());
        Ok(Self { config, verifier, clock, demand: Demand::Dane, signed: Arc::default() })
    }

    /// The same for one connection alone, of which the facts can then be told.
    pub(crate) fn for_one(&self) -> Self {
        if self.demand != Demand::Encrypted {
            return self.clone();
        }
        let signed = Arc::new(AtomicBool::new(false));
        let mut config = ClientConfig::clone(&self.config);
        config.dangerous().set_certificate_verifier(Arc::new(AnyCertificate { signed: signed.clone() }));
        Self { config: Arc::new(config), signed, ..self.clone() }
    }

    pub(crate) fn rustls(&self) -> Arc<ClientConfig> {
        self.config.clone()
    }

    /// What to call the server. A host name that no certificate can carry (an underscore, say) is no reason to
    /// go without encryption; then the address stands for it.
    pub(crate) fn server_name(&self, name: &str, ip: IpAddr) -> Result<ServerName<'static>, TlsError> {
        match (ServerName::try_from(name.to_owned()), self.demand) {
            (Ok(name), _) => Ok(name),
            (Err(_), Demand::Encrypted | Demand::Dane) => Ok(ServerName::IpAddress(ip.into())),
            (Err(_), Demand::Authenticated) => Err(TlsError::BadName(name.to_owned())),
        }
    }

    pub(crate) fn facts(&self, tls: &ClientConnection, name: &ServerName<'_>) -> TlsFacts {
        TlsFacts {
            version: version_name(tls),
            cipher: cipher_name(tls),
            sni: match name {
                ServerName::DnsName(name) => Some(name.as_ref().to_owned()),
                _ => None,
            },
            peer: match self.demand {
                Demand::Authenticated => Peer::Verified,
                Demand::Dane => Peer::Dane,
                Demand::Encrypted => self.judge(tls.peer_certificates().unwrap_or_default(), name),
            },
        }
    }

    fn judge(&self, chain: &[CertificateDer<'_>], name: &ServerName<'_>) -> Peer {
        let Some((leaf, others)) = chain.split_first() else { return Peer::None };
        match self.verifier.verify_server_cert(leaf, others, name, &[], self.clock.unix()) {
            // Anybody can show the certificate of somebody else.
            Ok(_) if !self.signed.load(Ordering::Acquire) => {
                let text = "its handshake is not signed with the certificate's key".to_owned();
                Peer::Unverified { fault: TlsFault::Untrusted, text }
            }
            Ok(_) => Peer::Verified,
            Err(error) => Peer::Unverified { fault: tls_words::fault(&error), text: tls_words::of(&error) },
        }
    }
}

/// No session is remembered.
fn configure(
    verifier: Arc<dyn ServerCertVerifier>,
    clock: &Arc<TlsClock>,
) -> Result<Arc<ClientConfig>, TlsError> {
    let mut config = ClientConfig::builder_with_details(provider(), clock.clone())
        .with_safe_default_protocol_versions()
        .map_err(|error| unfit(&error))?
        .dangerous()
        .with_custom_certificate_verifier(verifier)
        .with_no_client_auth();
    config.resumption = Resumption::disabled();
    Ok(Arc::new(config))
}

fn unfit(error: &dyn std::fmt::Display) -> TlsError {
    TlsError::Options(format!("TLS to other servers: {error}"))
}

fn read_roots(roots: &Roots) -> Result<RootCertStore, TlsError> {
    let mut store = RootCertStore::empty();
    let file: Option<&Path> = match roots {
        Roots::WebPki => None,
        Roots::File(path) | Roots::WebPkiAndFile(path) => Some(path),
    };
    if !matches!(roots, Roots::File(_)) {
        store.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned());
    }
    if let Some(path) = file {
        let bad = |error: &dyn std::fmt::Display| TlsError::File(path.to_owned(), error.to_string());
        let mut found = 0;
        for root in CertificateDer::pem_file_iter(path).map_err(|error| bad(&error))? {
            store.add(root.map_err(|error| bad(&error))?).map_err(|error| bad(&error))?;
            found += 1;
        }
        if found == 0 {
            return Err(bad(&"the file holds no certificate"));
        }
    }
    Ok(store)
}

/// Takes what comes, without a good signature too: a key that rustls finds too weak, or a certificate that is too old for it,
/// still keeps out those who only listen. It is noted whether there was a good one.
#[derive(Debug, Default)]
struct AnyCertificate {
    signed: Arc<AtomicBool>,
}

impl AnyCertificate {
    fn note(&self, checked: Result<HandshakeSignatureValid, Error>) -> HandshakeSignatureValid {
        self.signed.store(checked.is_ok(), Ordering::Release);
        HandshakeSignatureValid::assertion()
    }
}

impl ServerCertVerifier for AnyCertificate {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &provider().signature_verification_algorithms;
        Ok(self.note(rustls::crypto::verify_tls12_signature(message, certificate, signature, algorithms)))
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &provider().signature_verification_algorithms;
        Ok(self.note(rustls::crypto::verify_tls13_signature(message, certificate, signature, algorithms)))
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        provider().signature_verification_algorithms.supported_schemes()
    }
}
