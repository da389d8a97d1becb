//! What is kept of ACME in the state directory: the account, the keys, the certificates.
//!
//! `acme/keys/<name>.key` is made once and used for every certificate of the name, so that its TLSA record (3 1 1) stays
//! true, until another takes its place: `<name>.next.key` is made, its digest published, and it is used when it has been seen in
//! the DNS for a while (`<name>.next.seen`). Accounts and certificates stand in a directory for each authority, so that a test with one does not touch
//! what another gave.

use crate::acme::config::{AcmeName, AcmeOptions};
use crate::acme::error::AcmeError;
use crate::acme::jose::{self, AccountKey};
use crate::certificate::{self, store};
use crate::certificate_files::{CertFiles, certificate_facts, examine};
use crate::tls::TlsError;
use aws_lc_rs::digest::{SHA256, digest};
use rcgen::{CertificateParams, DnType, KeyPair};
use serde::{Deserialize, Serialize};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::UNIX_EPOCH;
use tracing::{info, warn};
use world::Clock;

/// Letters of the digest that tells directories of one host apart.
const DIGEST_LETTERS: usize = 8;
/// Largest file of an account, in octets.
const ACCOUNT_MAX: u64 = 64 * 1024;

/// Where everything is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AcmeFiles {
    keys: PathBuf,
    authority: PathBuf,
    fallback: PathBuf,
}

/// Which key of a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Which {
    Current,
    Next,
}

#[derive(Serialize, Deserialize)]
struct Account {
    directory: String,
    /// Its name at the authority; none before it was registered.
    #[serde(default)]
    url: Option<String>,
    /// PKCS #8, base64url.
    key: String,
}

impl AcmeFiles {
    /// In the directory `acme` of the state directory.
    pub fn new(dir: &Path, options: &AcmeOptions) -> Self {
        let url = options.directory.to_string();
        let host: String = url
            .trim_start_matches("https://")
            .chars()
            .take_while(|c| *c != '/')
            .map(|c| if c.is_ascii_alphanumeric() || c == '.' { c } else { '_' })
            .collect();
        let mark: String =
            digest(&SHA256, url.as_bytes()).as_ref().iter().map(|octet| format!("{octet:02x}")).collect();
        let authority = dir.join(format!("{host}-{}", &mark[..DIGEST_LETTERS]));
        Self { keys: dir.join("keys"), authority, fallback: dir.join("self-signed.pem") }
    }

    /// The files of a name, there or not.
    pub fn of(&self, name: &AcmeName) -> CertFiles {
        let word = name.as_str().replace('*', "_");
        CertFiles {
            chain: self.authority.join(format!("{word}.pem")),
            key: self.keys.join(format!("{word}.key")),
        }
    }

    /// Whether there is a certificate that can be shown.
    pub(crate) fn has(&self, name: &AcmeName) -> bool {
        let files = self.of(name);
        self.end_rollover(name, &files);
        files.chain.exists() && examine(&files).is_empty()
    }

    /// What is shown: the certificates that there are, the first name's first; one that signs itself in its place while
    /// there is none, with the key that its certificate will have.
    pub fn shown(&self, names: &[AcmeName], clock: &dyn Clock) -> Result<Vec<CertFiles>, TlsError> {
        let mut all: Vec<CertFiles> =
            names.iter().filter(|name| self.has(name)).map(|name| self.of(name)).collect();
        let Some(first) = names.first() else { return Ok(all) };
        if !self.has(first) {
            self.key(first)?;
            let key = self.of(first).key;
            let hosts: Vec<String> = names.iter().map(|name| name.as_str().to_owned()).collect();
            info!(name = %first, "there is no certificate yet: one that signs itself is shown, of which clients warn");
            all.insert(0, certificate::self_signed_with(&self.fallback, &key, &hosts, clock)?);
        }
        Ok(all)
    }

    /// The key of a name, made if there is none.
    pub fn key(&self, name: &AcmeName) -> Result<(), TlsError> {
        let path = self.of(name).key;
        match fs::symlink_metadata(&path) {
            Ok(_) => Ok(()),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let key = KeyPair::generate().map_err(|error| TlsError::Make(error.to_string()))?;
                store(&path, &key.serialize_pem())
            }
            Err(error) => Err(TlsError::File(path, error.to_string())),
        }
    }

    /// The key that will take the place of the present one, there or not.
    pub fn next_key(&self, name: &AcmeName) -> PathBuf {
        self.of(name).key.with_extension("next.key")
    }

    fn next_seen(&self, name: &AcmeName) -> PathBuf {
        self.of(name).key.with_extension("next.seen")
    }

    /// Makes the key that will take the place of the present one; whether there was none.
    pub(crate) fn prepare_next(&self, name: &AcmeName) -> Result<bool, TlsError> {
        let path = self.next_key(name);
        if path.exists() {
            return Ok(false);
        }
        // What was seen of an older one says nothing of this one.
        self.forget_seen(name);
        let key = KeyPair::generate().map_err(|error| TlsError::Make(error.to_string()))?;
        store(&path, &key.serialize_pem())?;
        Ok(true)
    }

    /// Since when the DNS shows the digest of the next key, in seconds since 1970.
    pub(crate) fn seen(&self, name: &AcmeName) -> Option<i64> {
        fs::read_to_string(self.next_seen(name)).ok()?.trim().parse().ok()
    }

    pub(crate) fn set_seen(&self, name: &AcmeName, since: i64) -> Result<(), TlsError> {
        store(&self.next_seen(name), &format!("{since}\n"))
    }

    pub(crate) fn forget_seen(&self, name: &AcmeName) {
        let _ = fs::remove_file(self.next_seen(name));
    }

    /// When the present key was made, as its file says, in seconds since 1970.
    pub(crate) fn made(&self, name: &AcmeName) -> Option<i64> {
        let made = fs::metadata(self.of(name).key).ok()?.modified().ok()?;
        i64::try_from(made.duration_since(UNIX_EPOCH).ok()?.as_secs()).ok()
    }

    /// The next key takes the place of the present one, where the certificate is for it already: also what a crash has
    /// left half done.
    fn end_rollover(&self, name: &AcmeName, files: &CertFiles) {
        let next = CertFiles { chain: files.chain.clone(), key: self.next_key(name) };
        if !next.key.exists()
            || !files.chain.exists()
            || examine(files).is_empty()
            || !examine(&next).is_empty()
        {
            return;
        }
        let done = fs::rename(&next.key, &files.key).and_then(|()| fs::File::open(&self.keys)?.sync_all());
        match done {
            Ok(()) => {
                self.forget_seen(name);
                info!(%name, "the new key is in use; the digest of the old one may leave the DNS");
            }
            Err(error) => warn!(%name, %error, "the new key cannot take the place of the old one"),
        }
    }

    /// What is asked of the authority: a certificate for the name and one of its keys (RFC 8555 §7.4).
    pub(crate) fn request(&self, name: &AcmeName, which: Which) -> Result<Vec<u8>, TlsError> {
        self.key(name)?;
        let path = self.key_file(name, which);
        let bad = |error: &dyn std::fmt::Display| TlsError::File(path.clone(), error.to_string());
        let pem = fs::read_to_string(&path).map_err(|error| bad(&error))?;
        let key = KeyPair::from_pem(&pem).map_err(|error| bad(&error))?;
        let mut params = CertificateParams::new([name.as_str().to_owned()])
            .map_err(|error| TlsError::Make(error.to_string()))?;
        params.distinguished_name.remove(DnType::CommonName);
        let request = params.serialize_request(&key).map_err(|error| TlsError::Make(error.to_string()))?;
        Ok(request.der().to_vec())
    }

    fn key_file(&self, name: &AcmeName, which: Which) -> PathBuf {
        match which {
            Which::Current => self.of(name).key,
            Which::Next => self.next_key(name),
        }
    }

    /// Keeps a chain, if it is a certificate for the name and the key. What was there before stays on an error.
    pub(crate) fn keep(&self, name: &AcmeName, chain: &str, which: Which) -> Result<(), TlsError> {
        let files = self.of(name);
        let key = self.key_file(name, which);
        let part = CertFiles { chain: files.chain.with_extension("pem.new"), key };
        store(&part.chain, chain)?;
        let checked = match examine(&part).into_iter().next() {
            Some(error) => Err(error),
            None => certificate_facts(&part.chain),
        };
        let result = match checked {
            Ok(facts) if facts.covers(name.as_str()) => store(&files.chain, chain),
            Ok(_) => Err(TlsError::Make(format!("the authority gave a certificate that is not for {name}"))),
            Err(error) => Err(error),
        };
        let _ = fs::remove_file(&part.chain);
        self.end_rollover(name, &files);
        result
    }

    fn account_file(&self) -> PathBuf {
        self.authority.join("account.json")
    }

    /// The key of our account and its name at the authority. A key is made and kept before anybody hears of it.
    pub(crate) fn account(&self, options: &AcmeOptions) -> Result<(AccountKey, Option<String>), AcmeError> {
        let path = self.account_file();
        let bad = |error: &dyn std::fmt::Display| TlsError::File(path.clone(), error.to_string());
        match fs::metadata(&path) {
            Ok(facts) if facts.len() > ACCOUNT_MAX => return Err(bad(&"the file is too large").into()),
            Ok(_) => {
                let text = fs::read(&path).map_err(|error| bad(&error))?;
                let account: Account = serde_json::from_slice(&text).map_err(|error| bad(&error))?;
                let key = jose::decode(&account.key).and_then(|key| AccountKey::from_pkcs8(&key).ok());
                return Ok((key.ok_or(AcmeError::Key)?, account.url));
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(bad(&error).into()),
        }
        let key = AccountKey::generate().map_err(|_| AcmeError::Key)?;
        self.keep_account(options, &key, None)?;
        Ok((key, None))
    }

    pub(crate) fn keep_account(
        &self,
        options: &AcmeOptions,
        key: &AccountKey,
        url: Option<String>,
    ) -> Result<(), AcmeError> {
        let account =
            Account { directory: options.directory.to_string(), url, key: jose::encode(key.pkcs8()) };
        let text =
            serde_json::to_string_pretty(&account).map_err(|error| AcmeError::Nonsense(error.to_string()))?;
        Ok(store(&self.account_file(), &text)?)
    }
}
