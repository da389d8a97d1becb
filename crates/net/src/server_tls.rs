//! Certificates that we show: from PEM files, chosen by the name that the client asks for, replaced while running.

use crate::acme::Challenges;
use crate::binding;
use crate::certificate_files::{read_certificate, read_facts};
use crate::client_certificate::{AnyCertificate, ClientCertificates};
use crate::cms;
use crate::stop::Stop;
use crate::tls::{TlsClock, TlsError, provider};
use arc_swap::ArcSwap;
use rustls::ServerConfig;
use rustls::crypto::aws_lc_rs::Ticketer;
use rustls::server::{ClientHello, ProducesTickets, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use std::collections::HashMap;
use std::fmt;
use std::fs;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};
use tracing::{error, info, warn};
use world::Clock;

pub use crate::certificate_files::CertFiles;

/// How often the files of the certificates are looked at.
pub const WATCH_PERIOD: Duration = Duration::from_secs(60);
/// How long before its end a certificate is worth a warning.
pub const EXPIRY_WARNING: Duration = Duration::from_secs(14 * 24 * 3600);

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
    challenges: Challenges,
}

/// A certificate, and what clients that saw it can bind their logins to.
struct Shown {
    key: Arc<CertifiedKey>,
    /// Whether somebody else vouches for it.
    is_vouched: bool,
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
        let tls = Self { config, asking, shelf, tickets, clock, challenges: Challenges::default() };
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

    /// How it is proven to an authority that names are ours.
    pub fn challenges(&self) -> &Challenges {
        &self.challenges
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

    /// The same for a listener of several protocols, each of which a client may name in its hello (ALPN, RFC 7301). Who names
    /// none is taken as well; who names others only is not.
    #[must_use]
    pub fn offering(&self, protocols: &[&str]) -> Self {
        let with = |config: &Arc<ServerConfig>| {
            let mut config = ServerConfig::clone(config);
            config.alpn_protocols = protocols.iter().map(|name| name.as_bytes().to_vec()).collect();
            Arc::new(config)
        };
        Self { config: with(&self.config), asking: with(&self.asking), ..self.clone() }
    }

    /// `content` signed with the key of the certificate for `name`, with both inside (CMS, DER). `None` where nobody vouches
    /// for that certificate, or its key is of a kind that is not used for this.
    pub fn sign(&self, name: &str, content: &[u8]) -> Option<Vec<u8>> {
        let table = self.shelf.table.load();
        let now = i64::try_from(self.clock.unix().as_secs()).ok()?;
        let vouched = |shown: &&Arc<Shown>| shown.is_vouched;
        table.find(name)?.iter().filter(vouched).find_map(|shown| cms::sign(&shown.key, content, now))
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
            let shown = Arc::new(Shown {
                end_point: binding::end_point(&key.cert[0]),
                is_vouched: !facts.is_self_signed,
                key,
            });
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

    fn warn_of_end(&self, not_after: i64, chain: &Path) {
        let not_after = u64::try_from(not_after).unwrap_or(0);
        let now = self.clock.unix().as_secs();
        if not_after < now {
            error!(file = %chain.display(), "the certificate has expired; clients will refuse it");
        } else if not_after - now < EXPIRY_WARNING.as_secs() {
            let days = (not_after - now) / (24 * 3600);
            warn!(file = %chain.display(), days, "the certificate expires soon");
        }
    }
}

/// The same as [`ServerTls::sign`] with files, for whoever shows no certificates.
pub fn sign_with(files: &CertFiles, content: &[u8], clock: &dyn Clock) -> Option<Vec<u8>> {
    let key = read_certificate(files).ok()?;
    let facts = read_facts(key.cert.first()?, &files.chain).ok()?;
    (!facts.is_self_signed).then(|| cms::sign(&key, content, clock.unix())).flatten()
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
