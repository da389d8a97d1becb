//! Asks name servers: those of the system, or others at any port.

use crate::anchor::{Anchors, Proven};
use crate::dnssec::{self, Dnssec};
use crate::name::DnsName;
use crate::record::{Caa, Data, Kind, Tlsa};
use crate::resolver::{Asking, DnsError, Proof, Records, Reply, Resolver, Security, bogus};
use hickory_resolver::TokioResolver;
use hickory_resolver::config::{ConnectionConfig, NameServerConfig, ResolveHosts, ResolverConfig};
use hickory_resolver::lookup::Lookup;
use hickory_resolver::net::runtime::TokioRuntimeProvider;
use hickory_resolver::net::{DnsError as HickoryDnsError, NetError};
use hickory_resolver::proto::dnssec::TrustAnchors;
use hickory_resolver::proto::op::ResponseCode;
use hickory_resolver::proto::rr::{Name, RData, RecordType};
use rustls::{ClientConfig, RootCertStore};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Mutex;
use tokio::time::Instant;

/// Longest time that a positive answer is believed, whatever its TTL says.
pub const POSITIVE_TTL_MAX: Duration = Duration::from_secs(24 * 3600);
/// Longest time that a negative answer is believed. A domain that was just repaired should not wait for long.
pub const NEGATIVE_TTL_MAX: Duration = Duration::from_secs(900);

/// How the DNS is asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DnsOptions {
    /// Recursive name servers; empty means those of the system (`/etc/resolv.conf`).
    pub servers: Vec<SocketAddr>,
    /// How long one try at one server may take.
    pub timeout: Duration,
    /// Tries after the first, at other servers first if there are any.
    pub retries: usize,
    /// How long one question may take in all.
    pub patience: Duration,
    /// Most answers that are kept in memory, by each of the plain and the validating instance.
    pub cache: u64,
    pub dnssec: Dnssec,
    /// DNSKEY and DS records that are trusted in place of the keys of the root that are built in.
    pub trust_anchor: Option<PathBuf>,
}

impl Default for DnsOptions {
    fn default() -> Self {
        Self {
            servers: Vec::new(),
            timeout: Duration::from_secs(5),
            retries: 2,
            patience: Duration::from_secs(20),
            cache: 10_000,
            dnssec: Dnssec::Wanted,
            trust_anchor: None,
        }
    }
}

/// Shortest time that a negative answer is kept that was validated: without one it would never be.
const PROVEN_NEGATIVE_TTL_MIN: Duration = Duration::from_secs(60);

/// Asks recursive name servers and keeps their answers for as long as their TTL allows.
///
/// The hosts file and search domains are never used: mail goes by what the DNS says, as it does everywhere else.
pub struct SystemResolver {
    plain: TokioResolver,
    validating: Validating,
    options: DnsOptions,
}

/// How long keys are believed that a digest proves, before they are asked for again: a zone may take another.
const PROVEN_KEYS_AGE: Duration = Duration::from_secs(3600);
/// How soon they are asked for again where they are unknown.
const UNKNOWN_KEYS_AGE: Duration = Duration::from_secs(60);

/// The second instance, which validates. It is made when something must be proven for the first time.
struct Validating {
    /// `None`: DNSSEC is off.
    anchors: Option<Anchors>,
    made: Mutex<Option<Made>>,
}

struct Made {
    /// `None`: no key that exists fits a digest that is trusted.
    resolver: Option<TokioResolver>,
    /// The keys that it trusts beside those that are known from the start.
    proven: Vec<Proven>,
    /// When the keys are looked at again.
    until: Option<Instant>,
}

impl SystemResolver {
    /// Fails, with a sentence, when no server was given and the system names none, or when the trust anchors cannot be
    /// read.
    pub fn new(options: &DnsOptions) -> Result<Self, String> {
        let anchors = match options.dnssec {
            Dnssec::Off => None,
            Dnssec::Wanted | Dnssec::All => Some(Anchors::read(options.trust_anchor.as_deref())?),
        };
        Ok(Self {
            plain: build(options, None)?,
            validating: Validating { anchors, made: Mutex::new(None) },
            options: options.clone(),
        })
    }

    async fn look_up(&self, name: &DnsName, kind: Kind, proof: Proof) -> Reply {
        let patience = self.options.patience;
        let asking = async {
            match (self.options.dnssec, proof) {
                (Dnssec::Off, _) | (Dnssec::Wanted, Proof::Usual) => self.ask_plain(name, kind).await,
                (Dnssec::All, _) | (Dnssec::Wanted, Proof::Wanted) => self.ask_proven(name, kind).await,
            }
        };
        tokio::time::timeout(patience, asking).await.unwrap_or_else(|_| {
            let text = format!("no answer within {} s", patience.as_secs());
            Reply::failed(DnsError::Trouble(text), Security::Unchecked)
        })
    }

    async fn ask_plain(&self, name: &DnsName, kind: Kind) -> Reply {
        let looking = async {
            let answer = self.plain.lookup(written(name)?, type_of(kind)).await;
            records(name, kind, &answer.map_err(|error| understand(&error))?)
        };
        Reply { answer: looking.await, security: Security::Unchecked }
    }

    async fn ask_proven(&self, name: &DnsName, kind: Kind) -> Reply {
        let failed = |error| Reply::failed(error, Security::Unchecked);
        let resolver = match self.validating().await {
            Ok(Some(resolver)) => resolver,
            Ok(None) => {
                let text = "no key fits a trust anchor".to_owned();
                return Reply::failed(DnsError::Trouble(text), Security::Bogus);
            }
            Err(error) => return failed(error),
        };
        let name_written = match written(name) {
            Ok(name) => name,
            Err(error) => return failed(error),
        };
        match resolver.lookup(name_written, type_of(kind)).await {
            // Older versions gave bogus records out as if they were good, so the proof of each counts.
            Ok(answer) => match dnssec::of_records(answer.answers()).unwrap_or(Security::Unchecked) {
                Security::Bogus => Reply::failed(bogus(), Security::Bogus),
                security => Reply { answer: records(name, kind, &answer), security },
            },
            Err(error) => {
                let (error, security) = dnssec::of_error(&error, understand);
                Reply::failed(error, security)
            }
        }
    }
}

impl SystemResolver {
    /// The instance that validates. Where digests are trusted, whoever comes first asks for their keys, and the others wait
    /// for him; when the keys are looked at again, the others use those from before.
    async fn validating(&self) -> Result<Option<TokioResolver>, DnsError> {
        let Some(anchors) = &self.validating.anchors else {
            return Err(DnsError::Trouble("DNSSEC is off".to_owned()));
        };
        let mut made = self.validating.made.lock().await;
        if let Some(known) = made.as_mut() {
            if known.until.is_none_or(|until| Instant::now() < until) {
                return Ok(known.resolver.clone());
            }
            known.until = Some(Instant::now() + UNKNOWN_KEYS_AGE);
            if let Some(resolver) = known.resolver.clone() {
                drop(made);
                // What was proven before is as good as it was.
                let Ok(proven) = anchors.prove(&self.plain).await else { return Ok(Some(resolver)) };
                return self.renew(anchors, &mut *self.validating.made.lock().await, proven);
            }
        }
        let proven = anchors.prove(&self.plain).await?;
        self.renew(anchors, &mut made, proven)
    }

    /// Trusts these keys from now on. An instance that trusts the same stays, with its cache.
    fn renew(
        &self,
        anchors: &Anchors,
        made: &mut Option<Made>,
        proven: Vec<Proven>,
    ) -> Result<Option<TokioResolver>, DnsError> {
        let age = if proven.is_empty() { UNKNOWN_KEYS_AGE } else { PROVEN_KEYS_AGE };
        let until = anchors.have_digests().then(|| Instant::now() + age);
        let resolver = match made.take().filter(|made| made.proven == proven) {
            Some(same) => same.resolver,
            None => {
                let made = anchors.with(&proven).map(|keys| build(&self.options, Some(keys))).transpose();
                made.map_err(DnsError::Trouble)?
            }
        };
        *made = Some(Made { resolver: resolver.clone(), proven, until });
        Ok(resolver)
    }
}

/// A resolver that validates if it is given keys to trust.
fn build(options: &DnsOptions, anchors: Option<Arc<TrustAnchors>>) -> Result<TokioResolver, String> {
    let provider = TokioRuntimeProvider::default();
    let mut builder = if options.servers.is_empty() {
        TokioResolver::builder(provider)
            .map_err(|error| format!("no name servers in /etc/resolv.conf: {error}"))?
    } else {
        let servers = options.servers.iter().map(|at| name_server(*at)).collect();
        TokioResolver::builder_with_config(ResolverConfig::from_name_servers(servers), provider)
    };
    let settings = builder.options_mut();
    settings.timeout = options.timeout;
    settings.attempts = options.retries;
    settings.cache_size = options.cache;
    settings.use_hosts_file = ResolveHosts::Never;
    settings.positive_max_ttl = Some(POSITIVE_TTL_MAX);
    settings.negative_max_ttl = Some(NEGATIVE_TTL_MAX);
    settings.try_tcp_on_error = true;
    if let Some(anchors) = anchors {
        settings.validate = true;
        settings.negative_min_ttl = Some(PROVEN_NEGATIVE_TTL_MIN);
        builder = builder.with_trust_anchor(anchors);
    }
    let resolver = builder.with_tls_config(without_authorities()?).build();
    resolver.map_err(|error| format!("the resolver cannot start: {error}"))
}

/// Name servers are asked in clear. Without this hickory would read the certificate authorities of the system for each resolver,
/// and give none where the system has none.
fn without_authorities() -> Result<ClientConfig, String> {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
    let config = config.map_err(|error| format!("the resolver cannot start: {error}"))?;
    Ok(config.with_root_certificates(RootCertStore::empty()).with_no_client_auth())
}

impl Resolver for SystemResolver {
    fn ask<'a>(&'a self, name: &'a DnsName, kind: Kind, proof: Proof) -> Asking<'a, Reply> {
        Box::pin(self.look_up(name, kind, proof))
    }
}

/// The records of one type, and whose they are. CNAMEs may stand anywhere in an answer.
fn records(name: &DnsName, kind: Kind, answer: &Lookup) -> Result<Records, DnsError> {
    let found: Vec<(DnsName, Data)> = answer
        .answers()
        .iter()
        .filter(|record| record.record_type() == type_of(kind))
        .filter_map(|record| Some((read_name(&record.name)?, read_data(&record.data)?)))
        .collect();
    let owner = found.first().map_or_else(|| name.clone(), |(owner, _)| owner.clone());
    let data: Vec<Data> = found.into_iter().map(|(_, data)| data).collect();
    if data.is_empty() { Err(DnsError::NoRecord) } else { Ok(Records { data, owner }) }
}

pub(crate) fn type_of(kind: Kind) -> RecordType {
    match kind {
        Kind::A => RecordType::A,
        Kind::Aaaa => RecordType::AAAA,
        Kind::Mx => RecordType::MX,
        Kind::Txt => RecordType::TXT,
        Kind::Cname => RecordType::CNAME,
        Kind::Ptr => RecordType::PTR,
        Kind::Tlsa => RecordType::TLSA,
        Kind::Ns => RecordType::NS,
        Kind::Srv => RecordType::SRV,
        Kind::Caa => RecordType::CAA,
    }
}

pub(crate) fn read_data(data: &RData) -> Option<Data> {
    Some(match data {
        RData::A(ip) => Data::A(ip.0),
        RData::AAAA(ip) => Data::Aaaa(ip.0),
        RData::MX(mx) => Data::Mx { preference: mx.preference, exchange: read_name(&mx.exchange)? },
        RData::TXT(txt) => Data::Txt(txt.txt_data.iter().map(|text| text.to_vec()).collect()),
        RData::CNAME(name) => Data::Cname(read_name(&name.0)?),
        RData::PTR(name) => Data::Ptr(read_name(&name.0)?),
        RData::SRV(srv) => Data::Srv {
            priority: srv.priority,
            weight: srv.weight,
            port: srv.port,
            target: read_name(&srv.target)?,
        },
        RData::NS(name) => Data::Ns(read_name(&name.0)?),
        RData::TLSA(tlsa) => Data::Tlsa(Tlsa {
            usage: tlsa.cert_usage.into(),
            selector: tlsa.selector.into(),
            matching: tlsa.matching.into(),
            data: tlsa.cert_data.clone(),
        }),
        RData::CAA(caa) => {
            Data::Caa(Caa { flags: caa.flags(), tag: caa.tag.clone(), value: caa.value.clone() })
        }
        _ => return None,
    })
}

pub(crate) fn read_name(name: &Name) -> Option<DnsName> {
    DnsName::from_labels(name.iter()).ok()
}

/// The name as the resolver takes it. Search domains are never tried.
pub(crate) fn written(name: &DnsName) -> Result<Name, DnsError> {
    let mut name = Name::from_labels(name.labels()).map_err(|error| DnsError::Trouble(error.to_string()))?;
    name.set_fqdn(true);
    Ok(name)
}

fn name_server(at: SocketAddr) -> NameServerConfig {
    let mut server = NameServerConfig::udp_and_tcp(at.ip());
    let connections: &mut Vec<ConnectionConfig> = &mut server.connections;
    for connection in connections {
        connection.port = at.port();
    }
    server
}

/// Tells "there is no such name", "no such record" and "nobody knows at the moment" apart.
pub(crate) fn understand(error: &NetError) -> DnsError {
    match error {
        NetError::Dns(HickoryDnsError::NoRecordsFound(no)) => match no.response_code {
            ResponseCode::NXDomain => DnsError::NoName,
            ResponseCode::NoError => DnsError::NoRecord,
            code => DnsError::Trouble(code.to_string()),
        },
        NetError::Dns(HickoryDnsError::ResponseCode(code)) => DnsError::Trouble(code.to_string()),
        other => DnsError::Trouble(other.to_string()),
    }
}

/// A resolver that never asks: for a server that must not touch the DNS. What would need an answer has to wait.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoDns;

impl Resolver for NoDns {
    fn ask<'a>(&'a self, _: &'a DnsName, _: Kind, _: Proof) -> Asking<'a, Reply> {
        let error = DnsError::Trouble("this server is set up not to ask the DNS".to_owned());
        Box::pin(std::future::ready(Reply::failed(error, Security::Unchecked)))
    }
}
