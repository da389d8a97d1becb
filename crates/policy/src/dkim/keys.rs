//! Our own signing keys: made on first use, kept as PEM files, published as DNS text (RFC 6376 §3.6, RFC 8463).

use aws_lc_rs::encoding::{AsDer, Pkcs8V1Der, PublicKeyX509Der};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair as _, RSA_PKCS1_SHA256, RsaKeyPair};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use mail::Domain;
use std::fmt;
use std::fs::{File, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

/// Largest key file that is read, in octets.
const KEY_FILE_MAX: u64 = 64 * 1024;
/// Smallest RSA key that we sign with, in bits (RFC 8301 §3.2).
const RSA_BITS_MIN: usize = 2048;
/// Longest string of a TXT record, in octets (RFC 1035 §3.3).
const TXT_STRING_MAX: usize = 255;
/// Base64 letters on a line of a PEM file (RFC 7468 §2).
const PEM_LINE: usize = 64;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum KeyKind {
    /// 2048 bits, which every verifier knows.
    Rsa,
    /// Short and quick; verifiers that do not know it step over it (RFC 8463).
    Ed25519,
}

impl KeyKind {
    pub const ALL: [Self; 2] = [Self::Rsa, Self::Ed25519];

    /// The word of `a=`.
    pub(crate) fn algorithm(self) -> &'static str {
        match self {
            Self::Rsa => "rsa-sha256",
            Self::Ed25519 => "ed25519-sha256",
        }
    }

    /// The word of `k=`.
    pub fn word(self) -> &'static str {
        match self {
            Self::Rsa => "rsa",
            Self::Ed25519 => "ed25519",
        }
    }
}

/// Why there is no key.
#[derive(Debug)]
pub enum KeyError {
    /// The file cannot be read or written.
    File(PathBuf, io::Error),
    /// The file holds no key that we sign with.
    Content(PathBuf, &'static str),
    /// No key could be made.
    Generate,
    /// What was asked for cannot be done.
    Refused(String),
}

impl fmt::Display for KeyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path, error) => write!(f, "DKIM key {}: {error}", path.display()),
            Self::Content(path, what) => write!(f, "DKIM key {}: {what}", path.display()),
            Self::Generate => f.write_str("no DKIM key could be made"),
            Self::Refused(why) => f.write_str(why),
        }
    }
}

impl std::error::Error for KeyError {}

/// A record to publish in the DNS, so that others can verify what we sign.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DnsRecord {
    /// `selector._domainkey.example.org`
    pub name: String,
    /// `v=DKIM1; k=rsa; p=…`
    pub text: String,
}

impl DnsRecord {
    /// One line of a zone file, the text in strings of lawful length.
    pub fn zone_line(&self) -> String {
        let mut line = format!("{}. IN TXT", self.name);
        let mut rest = self.text.as_str();
        while !rest.is_empty() {
            let (string, after) = rest.split_at(rest.len().min(TXT_STRING_MAX));
            line.push_str(&format!(" \"{string}\""));
            rest = after;
        }
        line
    }
}

enum Private {
    Rsa(Box<RsaKeyPair>),
    Ed25519(Ed25519KeyPair),
}

/// Where a key comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Origin {
    Found,
    /// It was not there and was made a moment ago: nobody has published it yet.
    Made,
}

/// A private key with the name under which its public half is found.
pub(crate) struct Key {
    pub(crate) selector: String,
    pub(crate) origin: Origin,
    private: Private,
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Key({} {}, ***)", self.selector, self.kind().word())
    }
}

impl Key {
    /// Reads the key of a domain and selector from `dir`, or makes it there: a PEM file (0600) and beside it the
    /// DNS record as text.
    pub(crate) fn open(dir: &Path, domain: &Domain, selector: &str, kind: KeyKind) -> Result<Self, KeyError> {
        if let Some(key) = Self::read(dir, domain, selector)? {
            return Ok(key);
        }
        let path = path_of(dir, domain, selector);
        let pem = generate(kind)?;
        let key = Self { origin: Origin::Made, ..Self::from_pem(&path, &pem, selector)? };
        let failed = |error| KeyError::File(path.clone(), error);
        make_dir(dir).map_err(failed)?;
        let record = format!("{}\n", key.record(domain).zone_line());
        write_new(&dns_file(&path), record.as_bytes()).map_err(failed)?;
        write_new(&path, pem.as_bytes()).map_err(failed)?;
        Ok(key)
    }

    /// Whether its file is there, whatever is in it; where that cannot be seen, it is taken to be.
    pub(super) fn is_there(dir: &Path, domain: &Domain, selector: &str) -> bool {
        path_of(dir, domain, selector).try_exists().unwrap_or(true)
    }

    /// Reads the key of a domain and selector; `None` if there is none.
    pub(super) fn read(dir: &Path, domain: &Domain, selector: &str) -> Result<Option<Self>, KeyError> {
        let path = path_of(dir, domain, selector);
        match read_file(&path) {
            Ok(pem) => Self::from_pem(&path, &pem, selector).map(Some),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(KeyError::File(path, error)),
        }
    }

    /// Removes a key, if it is there: the private half first.
    pub(super) fn remove(dir: &Path, domain: &Domain, selector: &str) -> Result<(), KeyError> {
        let path = path_of(dir, domain, selector);
        for path in [path.clone(), dns_file(&path)] {
            match std::fs::remove_file(&path) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => {
                    return Err(KeyError::File(path, error));
                }
                _ => {}
            }
        }
        Ok(())
    }

    fn from_pem(path: &Path, pem: &str, selector: &str) -> Result<Self, KeyError> {
        let bad = |what| KeyError::Content(path.to_owned(), what);
        let (label, der) = read_pem(pem).ok_or_else(|| bad("not a PEM file with a private key"))?;
        let rsa = match label {
            "PRIVATE KEY" => RsaKeyPair::from_pkcs8(&der).ok(),
            "RSA PRIVATE KEY" => RsaKeyPair::from_der(&der).ok(),
            _ => return Err(bad("the key is encrypted or of a kind that is not known")),
        };
        let private = match rsa {
            Some(pair) if pair.public_modulus_len() * 8 < RSA_BITS_MIN => {
                return Err(bad("an RSA key must have at least 2048 bits"));
            }
            Some(pair) => Private::Rsa(Box::new(pair)),
            None => Ed25519KeyPair::from_pkcs8_maybe_unchecked(&der)
                .map(Private::Ed25519)
                .map_err(|_| bad("neither an RSA nor an Ed25519 key"))?,
        };
        Ok(Self { selector: selector.to_owned(), origin: Origin::Found, private })
    }

    pub(crate) fn kind(&self) -> KeyKind {
        match self.private {
            Private::Rsa(_) => KeyKind::Rsa,
            Private::Ed25519(_) => KeyKind::Ed25519,
        }
    }

    /// The record that must stand in the DNS of `domain`.
    pub(crate) fn record(&self, domain: &Domain) -> DnsRecord {
        let public = match &self.private {
            // The usual form with the algorithm in it; verifiers read it, and tools make it.
            Private::Rsa(pair) => {
                let der: Result<PublicKeyX509Der<'_>, _> = pair.public_key().as_der();
                der.map(|der| STANDARD.encode(der.as_ref())).unwrap_or_default()
            }
            Private::Ed25519(pair) => STANDARD.encode(pair.public_key().as_ref()),
        };
        DnsRecord {
            name: record_name(&self.selector, domain),
            text: format!("v=DKIM1; k={}; p={public}", self.kind().word()),
        }
    }

    /// Signs the canonical header.
    pub(crate) fn sign(&self, input: &[u8]) -> io::Result<Vec<u8>> {
        let failed = |_| io::Error::other("the DKIM key does not sign");
        match &self.private {
            Private::Rsa(pair) => {
                let mut signature = vec![0; pair.public_modulus_len()];
                pair.sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), input, &mut signature).map_err(failed)?;
                Ok(signature)
            }
            // Not the text but its hash is signed (RFC 8463 §3).
            Private::Ed25519(pair) => {
                let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, input);
                Ok(pair.try_sign(digest.as_ref()).map_err(failed)?.as_ref().to_vec())
            }
        }
    }
}

/// Where the record of a key stands in the DNS.
pub(super) fn record_name(selector: &str, domain: &Domain) -> String {
    format!("{selector}._domainkey.{domain}")
}

fn path_of(dir: &Path, domain: &Domain, selector: &str) -> PathBuf {
    dir.join(format!("{domain}.{selector}.pem"))
}

/// The record as text, beside its key.
fn dns_file(key: &Path) -> PathBuf {
    key.with_extension("dns")
}

fn generate(kind: KeyKind) -> Result<String, KeyError> {
    let der: Pkcs8V1Der<'static> = match kind {
        KeyKind::Rsa => RsaKeyPair::generate(KeySize::Rsa2048).and_then(|pair| pair.as_der()),
        KeyKind::Ed25519 => Ed25519KeyPair::generate().and_then(|pair| pair.as_der()),
    }
    .map_err(|_| KeyError::Generate)?;
    let text = STANDARD.encode(der.as_ref());
    let mut pem = "-----BEGIN PRIVATE KEY-----\n".to_owned();
    for at in (0..text.len()).step_by(PEM_LINE) {
        pem.push_str(&text[at..text.len().min(at + PEM_LINE)]);
        pem.push('\n');
    }
    pem.push_str("-----END PRIVATE KEY-----\n");
    Ok(pem)
}

/// Label and content of the first PEM block that is a private key.
fn read_pem(pem: &str) -> Option<(&str, Vec<u8>)> {
    let mut lines = pem.lines().map(str::trim);
    let label = lines.find_map(|line| {
        let label = line.strip_prefix("-----BEGIN ")?.strip_suffix("-----")?;
        label.ends_with("PRIVATE KEY").then_some(label)
    })?;
    let body: String = lines.take_while(|line| !line.starts_with("-----END ")).collect();
    Some((label, STANDARD.decode(body).ok()?))
}

pub(super) fn read_file(path: &Path) -> io::Result<String> {
    let mut text = String::new();
    File::open(path)?.take(KEY_FILE_MAX).read_to_string(&mut text)?;
    Ok(text)
}

/// A key whose record is published must outlive a loss of power, and with it the name of its directory.
pub(super) fn make_dir(dir: &Path) -> io::Result<()> {
    let was_there = dir.is_dir();
    std::fs::DirBuilder::new().recursive(true).mode(0o700).create(dir)?;
    match dir.parent().filter(|parent| !parent.as_os_str().is_empty()).map(File::open) {
        Some(Ok(parent)) => parent.sync_all(),
        // The daemon has done it before it gave up the right to look there.
        Some(Err(error)) if !was_there || error.kind() != io::ErrorKind::PermissionDenied => Err(error),
        _ => Ok(()),
    }
}

/// Writes beside the place, flushes, and moves it there, so that no half of a key is ever read.
pub(super) fn write_new(path: &Path, octets: &[u8]) -> io::Result<()> {
    let draft = path.with_extension("new");
    let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&draft)?;
    file.write_all(octets)?;
    file.sync_all()?;
    std::fs::rename(&draft, path)?;
    path.parent().map_or(Ok(()), |dir| File::open(dir)?.sync_all())
}
