//! The real outside: the system's clock, its random source and the DNS.

use crate::resolver::{Answering, DnsError, Mx, Resolver};
use crate::{Clock, Random, World};
use hickory_resolver::TokioResolver;
use hickory_resolver::config::{ConnectionConfig, NameServerConfig, ResolveHosts, ResolverConfig};
use hickory_resolver::net::runtime::TokioRuntimeProvider;
use hickory_resolver::net::{DnsError as HickoryDnsError, NetError};
use hickory_resolver::proto::op::ResponseCode;
use hickory_resolver::proto::rr::{Name, RData, RecordType};
use mail::Domain;
use rand::Rng;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

/// The system's clock.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> SystemTime {
        SystemTime::now()
    }
}

/// A generator per thread, seeded and reseeded by the operating system; fit for secrets.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemRandom;

impl Random for SystemRandom {
    fn fill(&self, out: &mut [u8]) {
        rand::rng().fill_bytes(out);
    }
}

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
    /// Most answers that are kept in memory.
    pub cache: u64,
}

impl Default for DnsOptions {
    fn default() -> Self {
        Self {
            servers: Vec::new(),
            timeout: Duration::from_secs(5),
            retries: 2,
            patience: Duration::from_secs(20),
            cache: 10_000,
        }
    }
}

/// Asks recursive name servers and keeps their answers for as long as their TTL allows.
///
/// The hosts file and search domains are never used: mail goes by what the DNS says, as it does everywhere else.
pub struct SystemResolver {
    resolver: TokioResolver,
    patience: Duration,
}

impl SystemResolver {
    /// Fails, with a sentence, when no server was given and the system names none.
    pub fn new(options: &DnsOptions) -> Result<Self, String> {
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
        let resolver = builder.build().map_err(|error| format!("the resolver cannot start: {error}"))?;
        Ok(Self { resolver, patience: options.patience })
    }

    /// Records of one type behind a name, without the CNAMEs on the way.
    async fn ask(&self, name: &str, kind: RecordType) -> Result<Vec<RData>, DnsError> {
        // What cannot be written as a name cannot be in the DNS either.
        let mut name = Name::from_ascii(name).map_err(|_| DnsError::NoName)?;
        name.set_fqdn(true);
        let answer = tokio::time::timeout(self.patience, self.resolver.lookup(name, kind))
            .await
            .map_err(|_| DnsError::Trouble(format!("no answer within {} s", self.patience.as_secs())))?
            .map_err(|error| understand(&error))?;
        let found: Vec<RData> =
            answer.answers().iter().filter(|r| r.record_type() == kind).map(|r| r.data.clone()).collect();
        if found.is_empty() { Err(DnsError::NoRecord) } else { Ok(found) }
    }
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
fn understand(error: &NetError) -> DnsError {
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

impl Resolver for SystemResolver {
    fn mx<'a>(&'a self, domain: &'a Domain) -> Answering<'a, Vec<Mx>> {
        Box::pin(async move {
            if domain.literal().is_some() {
                return Err(DnsError::NoRecord);
            }
            let found = self.ask(domain.as_str(), RecordType::MX).await?;
            let records: Vec<Mx> = found.iter().filter_map(read_mx).collect();
            if records.is_empty() {
                return Err(DnsError::Trouble("no MX record holds a host name".to_owned()));
            }
            Ok(records)
        })
    }

    fn addresses<'a>(&'a self, host: &'a Domain) -> Answering<'a, Vec<IpAddr>> {
        Box::pin(async move {
            if let Some(ip) = host.literal() {
                return Ok(vec![ip]);
            }
            let name = host.as_str();
            let (six, four) = tokio::join!(self.ask(name, RecordType::AAAA), self.ask(name, RecordType::A));
            join_families(six, four)
        })
    }

    fn txt<'a>(&'a self, name: &'a str) -> Answering<'a, Vec<String>> {
        Box::pin(async move {
            let found = self.ask(name, RecordType::TXT).await?;
            Ok(found.iter().filter_map(read_txt).collect())
        })
    }

    fn names(&self, ip: IpAddr) -> Answering<'_, Vec<Domain>> {
        Box::pin(async move {
            let found = self.ask(&Name::from(ip).to_ascii(), RecordType::PTR).await?;
            let names: Vec<Domain> = found
                .iter()
                .filter_map(|data| match data {
                    RData::PTR(name) => Domain::parse(&name.to_ascii()).ok(),
                    _ => None,
                })
                .collect();
            if names.is_empty() { Err(DnsError::NoRecord) } else { Ok(names) }
        })
    }
}

fn read_mx(data: &RData) -> Option<Mx> {
    let RData::MX(mx) = data else { return None };
    let exchange =
        if mx.exchange.is_root() { None } else { Some(Domain::parse(&mx.exchange.to_ascii()).ok()?) };
    Some(Mx { preference: mx.preference, exchange })
}

fn read_txt(data: &RData) -> Option<String> {
    let RData::TXT(txt) = data else { return None };
    Some(String::from_utf8_lossy(&txt.txt_data.concat()).into_owned())
}

/// One family that answers is enough to reach the host; trouble with one counts only when the other has nothing.
fn join_families(
    six: Result<Vec<RData>, DnsError>,
    four: Result<Vec<RData>, DnsError>,
) -> Result<Vec<IpAddr>, DnsError> {
    let found: Vec<IpAddr> =
        [&six, &four].into_iter().flatten().flatten().filter_map(RData::ip_addr).collect();
    if !found.is_empty() {
        return Ok(found);
    }
    match (six.err(), four.err()) {
        (Some(DnsError::Trouble(text)), _) | (_, Some(DnsError::Trouble(text))) => {
            Err(DnsError::Trouble(text))
        }
        (Some(DnsError::NoName), _) | (_, Some(DnsError::NoName)) => Err(DnsError::NoName),
        _ => Err(DnsError::NoRecord),
    }
}

/// A resolver that never asks: for a server that must not touch the DNS. What would need an answer has to wait.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoDns;

impl NoDns {
    fn refuse<T>() -> Result<T, DnsError> {
        Err(DnsError::Trouble("this server is set up not to ask the DNS".to_owned()))
    }
}

impl Resolver for NoDns {
    fn mx<'a>(&'a self, _: &'a Domain) -> Answering<'a, Vec<Mx>> {
        Box::pin(std::future::ready(Self::refuse()))
    }

    fn addresses<'a>(&'a self, host: &'a Domain) -> Answering<'a, Vec<IpAddr>> {
        Box::pin(std::future::ready(host.literal().map_or_else(Self::refuse, |ip| Ok(vec![ip]))))
    }

    fn txt<'a>(&'a self, _: &'a str) -> Answering<'a, Vec<String>> {
        Box::pin(std::future::ready(Self::refuse()))
    }

    fn names(&self, _: IpAddr) -> Answering<'_, Vec<Domain>> {
        Box::pin(std::future::ready(Self::refuse()))
    }
}

/// The system's clock and random source, and the DNS as the options say.
pub fn system(dns: &DnsOptions) -> Result<World, String> {
    Ok(World {
        clock: Arc::new(SystemClock),
        dns: Arc::new(SystemResolver::new(dns)?),
        random: Arc::new(SystemRandom),
    })
}

/// The system's clock and random source, and no DNS at all.
pub fn without_dns() -> World {
    World { clock: Arc::new(SystemClock), dns: Arc::new(NoDns), random: Arc::new(SystemRandom) }
}
