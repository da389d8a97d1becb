//! Certificates that we show: from PEM files, chosen by the name that the client asks for, replaced while running.

use crate::binding;
use crate::client_certificate::{AnyCertificate, ClientCertificates};
use crate::stop::Stop;
use crate::tls::{TlsClock, TlsError, provider};
use arc_swap::ArcSwap;
use rustls::ServerConfig;
use rustls::crypto::aws_lc_rs::Ticketer;
use rustls::pki_types::pem::{self, PemObject};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::{ClientHello, ProducesTickets, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use std::collections::HashMap;
use std::fmt;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};
use tracing::{error, info, warn};
use world::Clock;
use x509_parser::prelude::{FromDer, GeneralName, X509Certificate};

/// How often the files of the certificates are looked at.
pub const WATCH_PERIOD: Duration = Duration::from_secs(60);
/// How long before its end a certificate is worth a warning.
pub const EXPIRY_WARNING: Duration = Duration::from_secs(14 * 24 * 3600);

/// The PEM files of one certificate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CertFiles {
    /// The certificate, followed by those that lead to the root.
    pub chain: PathBuf,
    /// The private key.
    pub key: PathBuf,
}

/// Certificates to show, the first of them to whoever asks for no name that we know. Cloning is cheap, and all
/// clones see a replacement.
#[derive(Clone)]
pub struct ServerTls {
    config: Arc<ServerConfig>,
    /// The same for clients that are asked for a certificate.
    asking: Arc<ServerConfig>,
    shelf: Arc<Shelf>,
    /// Of either.
    tickets: [Arc<Tickets>; 2],
    clock: Arc<TlsClock>,
}

/// A certificate, and what clients that saw it can bind their logins to.
struct Shown {
    key: Arc<CertifiedKey>,
    end_point: Option<Arc<[u8]>>,
}

/// Keys of the tickets with which sessions are resumed. Other certificates bring other keys: who resumes has seen the
/// certificate that is shown now.
struct Tickets(ArcSwap<Arc<dyn ProducesTickets>>);

/// What handshakes look at.
struct Shelf {
    table: ArcSwap<Table>,
    /// The files behind the table, and how they looked when they were read last, well or badly.
    files: Mutex<Files>,
}

#[derive(Default)]
struct Files {
    of: Vec<CertFiles>,
    stamps: Vec<Stamp>,
}

type Stamp = Option<(SystemTime, u64)>;

#[derive(Default)]
struct Table {
    /// Lower case; `*.example.org` as such. Several certificates of one name differ in their kind of key.
    by_name: HashMap<String, Vec<Arc<Shown>>>,
    default: Vec<Arc<Shown>>,
}

impl ServerTls {
    /// Reads the certificates. TLS 1.2 and 1.3; sessions may be resumed with tickets whose keys change by themselves.
    pub fn from_files(files: &[CertFiles], clock: Arc<dyn Clock>) -> Result<Self, TlsError> {
        let clock = Arc::new(TlsClock(clock));
        let shelf = Arc::new(Shelf { table: ArcSwap::default(), files: Mutex::default() });
        let bad = |error: rustls::Error| TlsError::Options(format!("TLS: {error}"));
        let builder = || {
            ServerConfig::builder_with_details(provider(), clock.clone())
                .with_safe_default_protocol_versions()
        };
        // A session that is resumed brings the client's certificate along: tickets are good only where they were given out.
        let tickets =
            [fresh_tickets()?, fresh_tickets()?].map(|one| Arc::new(Tickets(ArcSwap::from_pointee(one))));
        let finish = |mut config: ServerConfig, tickets: &Arc<Tickets>| {
            config.ticketer = tickets.clone();
            // A client that comes back opens one connection at a time; each ticket costs a quarter of a kilobyte.
            config.send_tls13_tickets = 1;
            Arc::new(config)
        };
        let config = builder().map_err(bad)?.with_no_client_auth().with_cert_resolver(shelf.clone());
        let asking = builder().map_err(bad)?.with_client_cert_verifier(AnyCertificate::new());
        let asking = asking.with_cert_resolver(shelf.clone());
        let (config, asking) = (finish(config, &tickets[0]), finish(asking, &tickets[1]));
        let tls = Self { config, asking, shelf, tickets, clock };
        tls.replace(files)?;
        Ok(tls)
    }

    /// Shows other certificates from now on. On an error all stays as it is.
    pub fn replace(&self, files: &[CertFiles]) -> Result<(), TlsError> {
        let stamps = files.iter().flat_map(|files| [stamp(&files.chain), stamp(&files.key)]).collect();
        let table = self.read(files).and_then(|table| Ok((table, [fresh_tickets()?, fresh_tickets()?])));
        let mut known = self.shelf.files.lock().unwrap_or_else(PoisonError::into_inner);
        match table {
            Ok((table, tickets)) => {
                self.shelf.table.store(Arc::new(table));
                for (kept, fresh) in self.tickets.iter().zip(tickets) {
                    kept.0.store(Arc::new(fresh));
                }
                *known = Files { of: files.to_vec(), stamps };
                Ok(())
            }
            Err(error) => {
                // Bad files are not tried again until they change again.
                if known.of == files {
                    known.stamps = stamps;
                }
                Err(error)
            }
        }
    }

    /// Reads the same files again. On an error the certificates stay as they are.
    pub fn reload(&self) -> Result<(), TlsError> {
        let files = self.shelf.files.lock().unwrap_or_else(PoisonError::into_inner).of.clone();
        self.replace(&files)
    }

    /// Reads the files again if one of them has changed; whether it did.
    pub fn reload_if_changed(&self) -> Result<bool, TlsError> {
        let has_changed = {
            let known = self.shelf.files.lock().unwrap_or_else(PoisonError::into_inner);
            let now = known.of.iter().flat_map(|files| [stamp(&files.chain), stamp(&files.key)]);
            !now.eq(known.stamps.iter().copied())
        };
        if has_changed {
            self.reload()?;
        }
        Ok(has_changed)
    }

    /// Looks at the files once a minute until the server stops. Files that have become bad are told about, once.
    pub async fn watch(self, mut stop: Stop) {
        loop {
            tokio::select! {
                () = stop.wait() => return,
                () = tokio::time::sleep(WATCH_PERIOD) => {}
            }
            let tls = self.clone();
            match tokio::task::spawn_blocking(move || tls.reload_if_changed()).await {
                Ok(Ok(true)) => info!("the certificates have changed and are in use"),
                Ok(Err(error)) => {
                    error!(%error, "the certificates have changed but cannot be used; the old ones stay")
                }
                Ok(Ok(false)) | Err(_) => {}
            }
        }
    }

    pub(crate) fn rustls(&self) -> Arc<ServerConfig> {
        self.config.clone()
    }

    /// The same for a listener that asks clients for certificates, or does not.
    #[must_use]
    pub fn asking(&self, certificates: ClientCertificates) -> Self {
        match certificates {
            ClientCertificates::NotAsked => self.clone(),
            ClientCertificates::Asked => Self { config: self.asking.clone(), ..self.clone() },
        }
    }

    /// What a client of this hello can bind to, besides the keys of its connection.
    pub(crate) fn end_point(&self, hello: &ClientHello<'_>) -> Option<Arc<[u8]>> {
        self.shelf.table.load().choose(hello)?.end_point.clone()
    }

    fn read(&self, files: &[CertFiles]) -> Result<Table, TlsError> {
        let mut table = Table::default();
        for files in files {
            let key = Arc::new(read_certificate(files)?);
            let facts = read_facts(&key.cert[0], &files.chain)?;
            self.warn_of_end(facts.not_after, &files.chain);
            let shown = Arc::new(Shown { end_point: binding::end_point(&key.cert[0]), key });
            if table.default.is_empty() || table.default_names_same(&facts.names) {
                table.default.push(shown.clone());
            }
            for name in facts.names {
                table.by_name.entry(name).or_default().push(shown.clone());
            }
        }
        if table.default.is_empty() {
            return Err(TlsError::Options("TLS needs at least one certificate".to_owned()));
        }
        Ok(table)
    }

    fn warn_of_end(&self, not_after: u64, chain: &Path) {
        let now = self.clock.unix().as_secs();
        if not_after < now {
            error!(file = %chain.display(), "the certificate has expired; clients will refuse it");
        } else if not_after - now < EXPIRY_WARNING.as_secs() {
            let days = (not_after - now) / (24 * 3600);
            warn!(file = %chain.display(), days, "the certificate expires soon");
        }
    }
}

impl Table {
    /// Whether the default certificate is for just these names too: then it is the same one with another key.
    fn default_names_same(&self, names: &[String]) -> bool {
        let is_default = |name: &String| {
            self.by_name
                .get(name)
                .is_some_and(|shown| shown.iter().any(|shown| Arc::ptr_eq(shown, &self.default[0])))
        };
        !names.is_empty() && names.iter().all(is_default)
    }

    fn find(&self, name: &str) -> Option<&Vec<Arc<Shown>>> {
        let name = name.to_ascii_lowercase();
        self.by_name.get(&name).or_else(|| {
            let (_, parent) = name.split_once('.')?;
            self.by_name.get(&format!("*.{parent}"))
        })
    }

    /// What is shown to whoever says this hello.
    fn choose(&self, hello: &ClientHello<'_>) -> Option<&Arc<Shown>> {
        let shown = hello.server_name().and_then(|name| self.find(name)).unwrap_or(&self.default);
        let fits = |shown: &&Arc<Shown>| shown.key.key.choose_scheme(hello.signature_schemes()).is_some();
        shown.iter().find(fits).or_else(|| shown.first())
    }
}

impl ResolvesServerCert for Shelf {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        self.table.load().choose(&hello).map(|shown| shown.key.clone())
    }
}

impl ProducesTickets for Tickets {
    fn enabled(&self) -> bool {
        self.0.load().enabled()
    }

    fn lifetime(&self) -> u32 {
        self.0.load().lifetime()
    }

    fn encrypt(&self, plain: &[u8]) -> Option<Vec<u8>> {
        self.0.load().encrypt(plain)
    }

    fn decrypt(&self, cipher: &[u8]) -> Option<Vec<u8>> {
        self.0.load().decrypt(cipher)
    }
}

impl fmt::Debug for Tickets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Tickets")
    }
}

impl fmt::Debug for Shelf {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Shelf")
    }
}

impl fmt::Debug for ServerTls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ServerTls")
    }
}

fn fresh_tickets() -> Result<Arc<dyn ProducesTickets>, TlsError> {
    Ticketer::new().map_err(|error| TlsError::Options(format!("TLS: {error}")))
}

fn stamp(path: &Path) -> Stamp {
    let facts = fs::metadata(path).ok()?;
    Some((facts.modified().ok()?, facts.len()))
}

/// What is wrong with the files of a certificate; nothing if it can be used.
pub(crate) fn examine(files: &CertFiles) -> Vec<TlsError> {
    let single = [read_chain(&files.chain).err(), read_key(&files.key).err()];
    let wrong: Vec<TlsError> = single.into_iter().flatten().collect();
    if wrong.is_empty() { read_certificate(files).err().into_iter().collect() } else { wrong }
}

fn read_certificate(files: &CertFiles) -> Result<CertifiedKey, TlsError> {
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

struct CertificateFacts {
    names: Vec<String>,
    /// Seconds since 1970.
    not_after: u64,
}

fn read_facts(leaf: &CertificateDer<'_>, file: &Path) -> Result<CertificateFacts, TlsError> {
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
    let not_after = u64::try_from(certificate.validity().not_after.timestamp()).unwrap_or(0);
    Ok(CertificateFacts { names, not_after })
}

/// The DNS names of the first certificate of a PEM file, in small letters; `*.example.org` as such.
pub fn certificate_names(chain: &Path) -> Result<Vec<String>, TlsError> {
    let leaf = CertificateDer::from_pem_file(chain)
        .map_err(|error| TlsError::File(chain.to_owned(), error.to_string()))?;
    Ok(read_facts(&leaf, chain)?.names)
}

/// When the first certificate of a PEM file ends, in seconds since 1970.
pub(crate) fn not_after(chain: &Path) -> Result<u64, TlsError> {
    let leaf = CertificateDer::from_pem_file(chain)
        .map_err(|error| TlsError::File(chain.to_owned(), error.to_string()))?;
    Ok(read_facts(&leaf, chain)?.not_after)
}
