//! What we answer while an authority looks whether a name is ours: a certificate for the handshake of tls-alpn-01
//! (RFC 8737), a text for the page of http-01 (RFC 8555 §8.3).

use crate::tls::{TlsError, provider};
use aws_lc_rs::digest::{SHA256, digest};
use rcgen::{CertificateParams, CustomExtension, KeyPair};
use rustls::ServerConfig;
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::server::ClientHello;
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// The protocol that says in a handshake that it is a look of this kind (RFC 8737 §6.2).
const PROTOCOL: &[u8] = b"acme-tls/1";

/// The answers of the moment. Cloning is cheap, and all clones have the same answers.
#[derive(Clone, Default)]
pub struct Challenges(Arc<Mutex<Answers>>);

/// One entry for each name that is being proven; the keeper proves one at a time.
#[derive(Default)]
struct Answers {
    handshakes: HashMap<String, Arc<ServerConfig>>,
    pages: HashMap<String, String>,
}

/// Takes an answer back when it goes.
pub(crate) struct Standing {
    challenges: Challenges,
    key: String,
}

impl Challenges {
    fn answers(&self) -> MutexGuard<'_, Answers> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What stands at `/.well-known/acme-challenge/<token>`, if that token is looked for at the moment.
    pub fn page(&self, token: &str) -> Option<String> {
        self.answers().pages.get(token).cloned()
    }

    pub(crate) fn set_page(&self, token: &str, text: String) -> Standing {
        self.answers().pages.insert(token.to_owned(), text);
        Standing { challenges: self.clone(), key: token.to_owned() }
    }

    /// Answers handshakes for `name` with the digest of `authorization`.
    pub(crate) fn set_handshake(&self, name: &str, authorization: &str) -> Result<Standing, TlsError> {
        let make = |error: &dyn std::fmt::Display| TlsError::Make(error.to_string());
        let hash = digest(&SHA256, authorization.as_bytes());
        let mut params = CertificateParams::new([name.to_owned()]).map_err(|error| make(&error))?;
        params.custom_extensions = vec![CustomExtension::new_acme_identifier(hash.as_ref())];
        let key = KeyPair::generate().map_err(|error| make(&error))?;
        let certificate = params.self_signed(&key).map_err(|error| make(&error))?;
        let key = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(key.serialize_der()));
        let key = provider().key_provider.load_private_key(key).map_err(|error| make(&error))?;
        // It is not read again: what it is good for is an extension that nobody else knows.
        let shown = SingleCertAndKey::from(CertifiedKey::new(vec![certificate.der().clone()], key));
        let mut config = ServerConfig::builder_with_provider(provider())
            .with_safe_default_protocol_versions()
            .map_err(|error| make(&error))?
            .with_no_client_auth()
            .with_cert_resolver(Arc::new(shown));
        config.alpn_protocols = vec![PROTOCOL.to_vec()];
        self.answers().handshakes.insert(name.to_owned(), Arc::new(config));
        Ok(Standing { challenges: self.clone(), key: name.to_owned() })
    }

    /// How to answer a handshake that is a look: it offers this protocol and no other (RFC 8737 §3).
    pub(crate) fn handshake(&self, hello: &ClientHello<'_>) -> Option<Arc<ServerConfig>> {
        let mut protocols = hello.alpn()?;
        if protocols.next() != Some(PROTOCOL) || protocols.next().is_some() {
            return None;
        }
        let name = hello.server_name()?.to_ascii_lowercase();
        self.answers().handshakes.get(&name).cloned()
    }
}

impl Drop for Standing {
    fn drop(&mut self) {
        let mut answers = self.challenges.answers();
        answers.handshakes.remove(&self.key);
        answers.pages.remove(&self.key);
    }
}

impl std::fmt::Debug for Challenges {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Challenges")
    }
}
