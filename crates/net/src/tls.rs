//! What both sides of TLS share: the provider, the clock, errors, and the facts of a handshake.

use crate::tls_words;
use rustls::crypto::CryptoProvider;
use rustls::pki_types::UnixTime;
use rustls::time_provider::TimeProvider;
use rustls::{CommonState, ProtocolVersion, ServerConnection};
use std::fmt;
use std::io;
use std::path::PathBuf;
use std::sync::{Arc, LazyLock};
use std::time::{Duration, UNIX_EPOCH};
use world::Clock;
use world::meter::TlsLevel;

/// What [`TlsFacts::version`] says of TLS 1.3.
const TLS13: &str = "TLSv1.3";

/// How long a TLS handshake may take.
pub const HANDSHAKE_PATIENCE: Duration = Duration::from_secs(30);

/// Why TLS cannot be had.
#[derive(Debug)]
pub enum TlsError {
    /// A file of ours is missing or wrong; the text says how.
    File(PathBuf, String),
    /// A certificate could not be made.
    Make(String),
    /// The options cannot be served.
    Options(String),
    /// There are no certificates for this connection.
    NotOffered,
    /// TLS was asked for twice, or while output was waiting.
    OutOfOrder,
    /// The name of the other server cannot be written into a handshake.
    BadName(String),
    /// The client was an authority that looked whether a name is ours, and has seen what it wanted (RFC 8737).
    Proof,
    /// The peer did not finish the handshake in time.
    TimedOut,
    /// The handshake failed.
    Handshake(io::Error),
}

impl fmt::Display for TlsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path, why) => write!(f, "{}: {why}", path.display()),
            Self::Make(why) => write!(f, "cannot make a certificate: {why}"),
            Self::Options(why) => f.write_str(why),
            Self::NotOffered => f.write_str("no certificate is configured here"),
            Self::OutOfOrder => f.write_str("TLS was begun at a moment when it cannot"),
            Self::BadName(name) => write!(f, "{name} is no name for a TLS server"),
            Self::Proof => f.write_str("the client only looked whether the name is ours (acme-tls/1)"),
            Self::TimedOut => {
                write!(f, "the TLS handshake was not finished within {} s", HANDSHAKE_PATIENCE.as_secs())
            }
            Self::Handshake(error) => f.write_str(&tls_words::of_io(error)),
        }
    }
}

impl std::error::Error for TlsError {}

impl From<io::Error> for TlsError {
    fn from(error: io::Error) -> Self {
        Self::Handshake(error)
    }
}

/// What a finished handshake gave.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TlsFacts {
    /// `TLSv1.2` or `TLSv1.3`.
    pub version: &'static str,
    /// The name that IANA gave it: `TLS_AES_256_GCM_SHA384`.
    pub cipher: String,
    /// The server name in the handshake, if the client sent one.
    pub sni: Option<String>,
    /// What is known about the other side's certificate.
    pub peer: Peer,
}

impl TlsFacts {
    /// For those who count.
    pub fn level(&self) -> TlsLevel {
        if self.version == TLS13 { TlsLevel::Tls13 } else { TlsLevel::Tls12 }
    }
}

/// What is known about the certificate of the other side.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Peer {
    /// It showed none (as clients do).
    None,
    /// It showed one that proves nothing; the text says why.
    Unverified { fault: TlsFault, text: String },
    /// Its certificate is for the name that was asked for, and a root that we trust vouches for it.
    Verified,
    /// Its certificate is one that its TLSA records name.
    Dane,
}

/// Why TLS was not had, or proved nothing, in kinds that can be counted (RFC 8460 §4.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum TlsFault {
    /// The certificate is for another name.
    Name,
    Expired,
    /// Nobody who is trusted vouches for the certificate.
    Untrusted,
    /// No TLSA record names the certificate.
    Tlsa,
    /// No certificate is to blame.
    Other,
}

impl TlsError {
    /// What kind of trouble it is.
    pub fn fault(&self) -> TlsFault {
        match self {
            Self::Handshake(error) => tls_words::fault_of_io(error),
            _ => TlsFault::Other,
        }
    }
}

/// The one provider of cryptography. Nothing relies on a process-wide default.
pub(crate) fn provider() -> Arc<CryptoProvider> {
    static PROVIDER: LazyLock<Arc<CryptoProvider>> =
        LazyLock::new(|| Arc::new(rustls::crypto::aws_lc_rs::default_provider()));
    PROVIDER.clone()
}

/// Gives rustls the time that everybody else has.
pub(crate) struct TlsClock(pub(crate) Arc<dyn Clock>);

impl TlsClock {
    pub(crate) fn unix(&self) -> UnixTime {
        UnixTime::since_unix_epoch(self.0.now().duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO))
    }
}

impl fmt::Debug for TlsClock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TlsClock")
    }
}

impl TimeProvider for TlsClock {
    fn current_time(&self) -> Option<UnixTime> {
        Some(self.unix())
    }
}

pub(crate) fn server_facts(tls: &ServerConnection) -> TlsFacts {
    TlsFacts {
        version: version_name(tls),
        cipher: cipher_name(tls),
        sni: tls.server_name().map(str::to_owned),
        peer: Peer::None,
    }
}

pub(crate) fn version_name(tls: &CommonState) -> &'static str {
    match tls.protocol_version() {
        Some(ProtocolVersion::TLSv1_3) => TLS13,
        _ => "TLSv1.2",
    }
}

pub(crate) fn cipher_name(tls: &CommonState) -> String {
    let name = tls.negotiated_cipher_suite().and_then(|suite| suite.suite().as_str()).unwrap_or("unknown");
    // rustls writes the suites of TLS 1.3 in its own way.
    name.strip_prefix("TLS13_").map_or_else(|| name.to_owned(), |rest| format!("TLS_{rest}"))
}
