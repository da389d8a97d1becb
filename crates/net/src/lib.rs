//! The only crate with sockets: listening, connecting, TLS, limits, and octets to and from protocol machines.
//!
//! Floor 2. It knows no protocol: machines ([`wire::Machine`]) do.

pub mod acme;
mod bans;
mod bans_table;
pub mod binding;
pub mod certificate;
mod certificate_files;
mod client_certificate;
pub mod client_tls;
mod cms;
mod compress;
pub mod config;
pub mod conn;
pub mod connect;
pub mod dane;
mod dns_update;
pub mod drive;
pub mod fetch;
mod inherited;
pub mod limit;
pub mod listen;
mod listen_config;
mod local;
mod notify;
mod octets;
mod own_addresses;
mod proxy;
mod proxy_out;
mod public;
mod roster;
pub mod server_tls;
pub mod stop;
mod stream;
pub mod tls;
mod tls_words;

pub use acme::{
    AcmeFiles, AcmeName, AcmeOptions, ChallengeKind, Challenges, Keeper, KeeperHandle, NameState, Plan,
};
pub use bans::{Ban, BanOptions, Bans, Entrance, Offence};
pub use binding::ChannelBindings;
pub use certificate::{DemoCa, demo_ca, self_signed};
pub use certificate_files::{CertFiles, CertificateFacts, certificate_facts, certificate_names, key_digest};
pub use client_certificate::{ClientCertificates, KeyFingerprint, fingerprint_of_file};
pub use client_tls::{BesideDane, ClientTls, Roots};
pub use config::TlsOptions;
pub use conn::{ClientIs, Conn, Silence};
pub use connect::{ConnectError, Connector};
pub use dns_update::{DnsUpdateOptions, DnsUpdater, TextSet, decode_dns_update};
pub use drive::{Closed, Driven};
pub use fetch::{FetchError, FetchLimits, Fetcher, Request, Response};
pub use inherited::{INHERITED_MAX, Inherited};
pub use limit::{Gate, Limits, Loopback, Permit, Refusal};
pub use listen::{BoundSocket, Family, ListenOptions, Listener, Tls};
pub use listen_config::{Listen, ListenTls, decode_client_certificates, decode_listen, decode_listen_with};
pub use local::{LocalListener, connect_local};
pub use notify::{Stage, notify_manager};
pub use octets::Octets;
pub use own_addresses::source_addresses;
pub use proxy::{Others, ProxyOptions, ProxyTrust};
pub use proxy_out::{ProxiedClient, ProxyVersion};
pub use public::{Reach, is_public};
pub use roster::Session;
pub use server_tls::{ServerTls, sign_with};
pub use stop::{Stop, Stopper};
pub use tls::{Peer, TlsError, TlsFacts, TlsFault};
pub use world::url::{self, Url, UrlError};
