//! PEM files of certificates and keys: reading them, saying what is wrong with them and what they say.

use crate::tls::{TlsError, provider};
use aws_lc_rs::digest::{SHA256, digest};
use rustls::pki_types::pem::{self, PemObject};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::CertifiedKey;
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use x509_parser::prelude::{FromDer, GeneralName, X509Certificate};

/// The PEM files of one certificate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CertFiles {
    /// The certificate, followed by those that lead to the root.
    pub chain: PathBuf,
    /// The private key.
    pub key: PathBuf,
}

/// What is wrong with the files of a certificate; nothing if it can be used.
pub(crate) fn examine(files: &CertFiles) -> Vec<TlsError> {
    let single = [read_chain(&files.chain).err(), read_key(&files.key).err()];
    let wrong: Vec<TlsError> = single.into_iter().flatten().collect();
    if wrong.is_empty() { read_certificate(files).err().into_iter().collect() } else { wrong }
}

pub(crate) fn read_certificate(files: &CertFiles) -> Result<CertifiedKey, TlsError> {
    let chain = read_chain(&files.chain)?;
    let key = read_key(&files.key)?;
    CertifiedKey::from_der(chain, key, &provider()).map_err(|error| match error {
        rustls::Error::InconsistentKeys(_) => bad_file(
            &files.key,
            format!(
                "the key does not belong to the first certificate in {}; name the key that it was made with, and put the \
                 certificate of this server before those that lead to its root",
                files.chain.display()
            ),
        ),
        error => bad_file(&files.key, error.to_string()),
    })
}

fn read_chain(path: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    const NONE: &str = "the file holds no certificate; it must be PEM, with -----BEGIN CERTIFICATE-----";
    let chain: Vec<CertificateDer<'static>> = CertificateDer::pem_file_iter(path)
        .and_then(Iterator::collect)
        .map_err(|error| unusable(path, &error, NONE))?;
    let leaf = chain.first().ok_or_else(|| bad_file(path, NONE.to_owned()))?;
    read_facts(leaf, path)?;
    Ok(chain)
}

fn read_key(path: &Path) -> Result<PrivateKeyDer<'static>, TlsError> {
    const NONE: &str = "the file holds no private key; it must be PEM, with -----BEGIN PRIVATE KEY-----, and without a \
                        passphrase";
    PrivateKeyDer::from_pem_file(path).map_err(|error| unusable(path, &error, NONE))
}

fn bad_file(path: &Path, why: String) -> TlsError {
    TlsError::File(path.to_owned(), why)
}

/// Says why a PEM file cannot be used, and what to do; `none` if nothing of use is in it.
fn unusable(path: &Path, error: &pem::Error, none: &str) -> TlsError {
    let why = match error {
        pem::Error::NoItemsFound => none.to_owned(),
        pem::Error::Io(error) => match error.kind() {
            io::ErrorKind::NotFound => {
                "the file does not exist; put it there, or name another one".to_owned()
            }
            io::ErrorKind::PermissionDenied => {
                "the file may not be read; let the user of the server read it, and enter \
                                                the directories above it"
                    .to_owned()
            }
            io::ErrorKind::IsADirectory => "this is a directory; name a file in it".to_owned(),
            _ => format!("the file cannot be read: {error}"),
        },
        error => format!("the file is damaged PEM ({error}); copy it anew from where it was made"),
    };
    bad_file(path, why)
}

/// What the first certificate of a PEM file says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CertificateFacts {
    /// Its DNS names in small letters; `*.example.org` as such.
    pub names: Vec<String>,
    /// Seconds since 1970.
    pub not_before: i64,
    pub not_after: i64,
    /// SHA-256 of its public key, as TLSA records of the kind 3 1 1 hold it (RFC 6698 §2.1).
    pub key_digest: [u8; 32],
    /// Who vouches for it, as text.
    pub issuer: String,
    /// Nobody but itself vouches for it.
    pub is_self_signed: bool,
}

impl CertificateFacts {
    /// Whether a client that wants `name` takes it for that (RFC 9525 §6.3).
    pub fn covers(&self, name: &str) -> bool {
        let name = name.to_ascii_lowercase();
        let parent = name.split_once('.').map(|(_, parent)| format!("*.{parent}"));
        self.names.iter().any(|own| *own == name || Some(own) == parent.as_ref())
    }
}

pub(crate) fn read_facts(leaf: &CertificateDer<'_>, file: &Path) -> Result<CertificateFacts, TlsError> {
    let bad =
        |error: &dyn fmt::Display| TlsError::File(file.to_owned(), format!("not a certificate: {error}"));
    let (_, certificate) = X509Certificate::from_der(leaf).map_err(|error| bad(&error))?;
    let alternatives = certificate.subject_alternative_name().map_err(|error| bad(&error))?;
    let names = alternatives.map_or_else(Vec::new, |names| {
        let dns = |name: &GeneralName<'_>| match name {
            GeneralName::DNSName(name) => Some(name.to_ascii_lowercase()),
            _ => None,
        };
        names.value.general_names.iter().filter_map(dns).collect()
    });
    let mut key_digest = [0; 32];
    key_digest.copy_from_slice(digest(&SHA256, certificate.public_key().raw).as_ref());
    Ok(CertificateFacts {
        names,
        not_before: certificate.validity().not_before.timestamp(),
        not_after: certificate.validity().not_after.timestamp(),
        key_digest,
        issuer: certificate.issuer().to_string(),
        is_self_signed: certificate.issuer().as_raw() == certificate.subject().as_raw(),
    })
}

/// What the first certificate of a PEM file says.
pub fn certificate_facts(chain: &Path) -> Result<CertificateFacts, TlsError> {
    let leaf = CertificateDer::from_pem_file(chain)
        .map_err(|error| TlsError::File(chain.to_owned(), error.to_string()))?;
    read_facts(&leaf, chain)
}

/// The DNS names of the first certificate of a PEM file, in small letters; `*.example.org` as such.
pub fn certificate_names(chain: &Path) -> Result<Vec<String>, TlsError> {
    Ok(certificate_facts(chain)?.names)
}

/// SHA-256 of the public key of a PEM file with a private key, as TLSA records of the kind 3 1 1 hold it.
pub fn key_digest(key: &Path) -> Result<[u8; 32], TlsError> {
    let signing = provider().key_provider.load_private_key(read_key(key)?);
    let public = signing.ok().and_then(|key| Some(key.public_key()?.as_ref().to_vec()));
    let public =
        public.ok_or_else(|| bad_file(key, "the key is of a kind that is not known here".to_owned()))?;
    let mut out = [0; 32];
    out.copy_from_slice(digest(&SHA256, &public).as_ref());
    Ok(out)
}
