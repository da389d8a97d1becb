//! Certificates that we make ourselves: self-signed ones, and a throwaway CA for demonstrations and tests.

use crate::certificate_files::{CertFiles, certificate_facts, examine};
use crate::tls::TlsError;
use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose, date_time_ymd,
};
use std::fs;
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;
use world::Clock;

/// How long a certificate that we make is good: clients of Apple take none that is longer.
pub const LEAF_LIFE: Duration = Duration::from_secs(397 * 24 * 3600);
/// How long a throwaway CA is good.
pub const CA_LIFE: Duration = Duration::from_secs(3650 * 24 * 3600);
/// A certificate that ends sooner than this is made anew.
pub const RENEW_BEFORE: Duration = Duration::from_secs(30 * 24 * 3600);
/// Certificates begin in the past, for clients whose clock is behind.
const BACKDATED: Duration = Duration::from_secs(24 * 3600);

/// A throwaway CA and the certificate that it vouches for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DemoCa {
    /// The certificate that clients are to trust.
    pub ca: PathBuf,
    pub leaf: CertFiles,
}

/// A certificate that signs itself, kept in `dir` as `self-signed.pem` and `self-signed.key`, made when it is
/// missing or about to end.
pub fn self_signed(dir: &Path, names: &[String], clock: &dyn Clock) -> Result<CertFiles, TlsError> {
    let files = CertFiles { chain: dir.join("self-signed.pem"), key: dir.join("self-signed.key") };
    if is_good(&files.chain, clock) && files.key.exists() {
        return Ok(files);
    }
    let key = KeyPair::generate().map_err(|error| make(&error))?;
    let params = leaf_params(names, clock)?;
    let certificate = params.self_signed(&key).map_err(|error| make(&error))?;
    store(&files.key, &key.serialize_pem())?;
    store(&files.chain, &certificate.pem())?;
    Ok(files)
}

/// The same at `chain` with a key that is there already.
pub(crate) fn self_signed_with(
    chain: &Path,
    key: &Path,
    names: &[String],
    clock: &dyn Clock,
) -> Result<CertFiles, TlsError> {
    let files = CertFiles { chain: chain.to_owned(), key: key.to_owned() };
    let same_names = certificate_facts(chain).is_ok_and(|facts| facts.names == names);
    if same_names && is_good(chain, clock) && examine(&files).is_empty() {
        return Ok(files);
    }
    let pem = fs::read_to_string(key).map_err(|error| file(key, &error))?;
    let pair = KeyPair::from_pem(&pem).map_err(|error| file(key, &error))?;
    let certificate = leaf_params(names, clock)?.self_signed(&pair).map_err(|error| make(&error))?;
    store(chain, &certificate.pem())?;
    Ok(files)
}

/// A CA and a certificate for localhost, 127.0.0.1, ::1 and `names`, kept in `dir` as `ca.pem`, `ca.key`,
/// `localhost.pem` and `localhost.key`, each made when it is missing or about to end.
pub fn demo_ca(dir: &Path, names: &[String], clock: &dyn Clock) -> Result<DemoCa, TlsError> {
    let ca = CertFiles { chain: dir.join("ca.pem"), key: dir.join("ca.key") };
    let leaf = CertFiles { chain: dir.join("localhost.pem"), key: dir.join("localhost.key") };
    let is_new = !(is_good(&ca.chain, clock) && ca.key.exists());
    if is_new {
        let key = KeyPair::generate().map_err(|error| make(&error))?;
        let certificate = ca_params(clock).self_signed(&key).map_err(|error| make(&error))?;
        store(&ca.key, &key.serialize_pem())?;
        store(&ca.chain, &certificate.pem())?;
    }
    if is_new || !is_good(&leaf.chain, clock) || !leaf.key.exists() {
        let ca_pem = fs::read_to_string(&ca.key).map_err(|error| file(&ca.key, &error))?;
        let ca_key = KeyPair::from_pem(&ca_pem).map_err(|error| file(&ca.key, &error))?;
        let issuer = Issuer::new(ca_params(clock), ca_key);
        let mut all: Vec<String> = ["localhost", "127.0.0.1", "::1"].map(str::to_owned).to_vec();
        all.extend(names.iter().filter(|name| name.as_str() != "localhost").cloned());
        let key = KeyPair::generate().map_err(|error| make(&error))?;
        let certificate = leaf_params(&all, clock)?.signed_by(&key, &issuer).map_err(|error| make(&error))?;
        store(&leaf.key, &key.serialize_pem())?;
        store(&leaf.chain, &certificate.pem())?;
    }
    Ok(DemoCa { ca: ca.chain, leaf })
}

fn leaf_params(names: &[String], clock: &dyn Clock) -> Result<CertificateParams, TlsError> {
    let mut params = CertificateParams::new(names).map_err(|error| make(&error))?;
    if let Some(first) = names.first() {
        params.distinguished_name.push(DnType::CommonName, first.as_str());
    }
    params.is_ca = IsCa::ExplicitNoCa;
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    params.use_authority_key_identifier_extension = true;
    set_life(&mut params, clock, LEAF_LIFE);
    Ok(params)
}

fn ca_params(clock: &dyn Clock) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name.push(DnType::CommonName, "maddy throwaway CA");
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    set_life(&mut params, clock, CA_LIFE);
    params
}

fn set_life(params: &mut CertificateParams, clock: &dyn Clock, life: Duration) {
    let since = Duration::from_secs(u64::try_from(clock.unix()).unwrap_or(0));
    let now = date_time_ymd(1970, 1, 1) + since;
    params.not_before = now - BACKDATED;
    params.not_after = now + life;
}

fn is_good(chain: &Path, clock: &dyn Clock) -> bool {
    let enough = clock.unix().saturating_add(i64::try_from(RENEW_BEFORE.as_secs()).unwrap_or(i64::MAX));
    certificate_facts(chain).is_ok_and(|facts| facts.not_after > enough)
}

/// Writes a file that only we can read, whole or not at all, and on the disk when this returns.
pub(crate) fn store(path: &Path, text: &str) -> Result<(), TlsError> {
    let write = || -> io::Result<()> {
        if let Some(dir) = path.parent() {
            fs::DirBuilder::new().recursive(true).mode(0o700).create(dir)?;
        }
        let mut part = path.as_os_str().to_owned();
        part.push(".part");
        let part = PathBuf::from(part);
        let _ = fs::remove_file(&part);
        let mut file = fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&part)?;
        file.write_all(text.as_bytes())?;
        file.sync_all()?;
        fs::rename(&part, path)?;
        match path.parent() {
            Some(dir) => fs::File::open(dir)?.sync_all(),
            None => Ok(()),
        }
    };
    write().map_err(|error| file(path, &error))
}

fn make(error: &dyn std::fmt::Display) -> TlsError {
    TlsError::Make(error.to_string())
}

fn file(path: &Path, error: &dyn std::fmt::Display) -> TlsError {
    TlsError::File(path.to_owned(), error.to_string())
}
