//! Questions to the DNS, as a value that is handed in.

use crate::name::DnsName;
use crate::record::{Data, Kind, Mx};
use mail::Domain;
use std::fmt;
use std::future::Future;
use std::net::IpAddr;
use std::pin::Pin;

/// A future without a name, so that resolvers can stand behind a pointer.
pub type Asking<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;
/// The same where only the records matter.
pub type Answering<'a, T> = Asking<'a, Result<T, DnsError>>;

/// Whether an answer must be proven (RFC 4035 §5).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Proof {
    /// As the server is configured; usually not. Right for SPF, DKIM, DMARC and the MX records of opportunistic TLS.
    Usual,
    /// DNSSEC is validated, unless it was switched off: then the answer is [`Security::Unchecked`].
    Wanted,
}

/// What DNSSEC says of an answer (RFC 4035 §4.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Security {
    /// A chain of signatures leads from a trust anchor to every record of the answer, or proves that there is none.
    Secure,
    /// The zone is proven to be unsigned.
    Insecure,
    /// The zone should be signed, and the signatures are wrong or missing. The answer is a [`DnsError::Trouble`].
    Bogus,
    /// Nobody looked, or it could not be found out.
    Unchecked,
}

impl Security {
    pub fn word(self) -> &'static str {
        match self {
            Self::Secure => "secure",
            Self::Insecure => "insecure",
            Self::Bogus => "bogus",
            Self::Unchecked => "unchecked",
        }
    }

    /// What can be said of two answers together.
    pub fn lesser(self, other: Self) -> Self {
        let rank = |security| match security {
            Self::Secure => 3,
            Self::Insecure => 2,
            Self::Unchecked => 1,
            Self::Bogus => 0,
        };
        if rank(self) <= rank(other) { self } else { other }
    }
}

/// Why a bogus answer is none.
pub(crate) fn bogus() -> DnsError {
    DnsError::Trouble("the DNSSEC signatures are wrong or missing".to_owned())
}

impl fmt::Display for Security {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

/// What came back: records or why there are none, and how far that is proven.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reply {
    pub answer: Result<Records, DnsError>,
    pub security: Security,
}

/// Records of the type that was asked for. Never none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Records {
    pub data: Vec<Data>,
    /// The name that has the records: the last of the CNAMEs, or the name that was asked for.
    pub owner: DnsName,
}

impl Reply {
    pub fn failed(error: DnsError, security: Security) -> Self {
        Self { answer: Err(error), security }
    }

    /// What `read` makes of each record; no record where it makes nothing of any.
    pub fn read<T>(self, read: impl FnMut(Data) -> Option<T>) -> Result<Vec<T>, DnsError> {
        let found: Vec<T> = self.answer?.data.into_iter().filter_map(read).collect();
        if found.is_empty() { Err(DnsError::NoRecord) } else { Ok(found) }
    }
}

/// Why there is no answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DnsError {
    /// The name does not exist (NXDOMAIN).
    NoName,
    /// The name exists, but has no record of this type.
    NoRecord,
    /// Time-out, SERVFAIL, refused, garbage, a broken signature: ask again later. The text is for the log.
    Trouble(String),
}

impl DnsError {
    /// Whether the same question may have an answer later.
    pub fn is_temporary(&self) -> bool {
        matches!(self, Self::Trouble(_))
    }
}

impl fmt::Display for DnsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoName => f.write_str("the name does not exist"),
            Self::NoRecord => f.write_str("the name has no such record"),
            Self::Trouble(text) => write!(f, "the name server gave no answer: {text}"),
        }
    }
}

impl std::error::Error for DnsError {}

/// The addresses of a host by family, which may fail apart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Addresses {
    pub six: Result<Vec<IpAddr>, DnsError>,
    pub four: Result<Vec<IpAddr>, DnsError>,
    /// The lesser of the two.
    pub security: Security,
    /// Where the addresses stand: the last of the CNAMEs, or the host.
    pub owner: DnsName,
}

impl Addresses {
    /// IPv6 first. One family that answers is enough to reach the host; trouble with one counts only when the other has
    /// nothing.
    pub fn joined(self) -> Result<Vec<IpAddr>, DnsError> {
        let found: Vec<IpAddr> = [&self.six, &self.four].into_iter().flatten().flatten().copied().collect();
        if !found.is_empty() {
            return Ok(found);
        }
        match (self.six.err(), self.four.err()) {
            (Some(DnsError::Trouble(text)), _) | (_, Some(DnsError::Trouble(text))) => {
                Err(DnsError::Trouble(text))
            }
            (Some(DnsError::NoName), _) | (_, Some(DnsError::NoName)) => Err(DnsError::NoName),
            _ => Err(DnsError::NoRecord),
        }
    }
}

/// Asks the DNS. Every question ends within the resolver's time limit.
///
/// There is one question, [`Resolver::ask`]; all else is made of it.
pub trait Resolver: Send + Sync {
    /// Records of one type behind a name, CNAMEs followed.
    fn ask<'a>(&'a self, name: &'a DnsName, kind: Kind, proof: Proof) -> Asking<'a, Reply>;

    /// Records as they came, without those whose host is no domain name; order and null MX are the caller's business.
    /// Never an empty list.
    fn mx<'a>(&'a self, domain: &'a Domain) -> Answering<'a, Vec<Mx>> {
        Box::pin(async move {
            let Some(name) = DnsName::of(domain) else { return Err(DnsError::NoRecord) };
            let records = self.ask(&name, Kind::Mx, Proof::Usual).await.answer?;
            let found: Vec<Mx> = records.data.into_iter().filter_map(read_mx).collect();
            // There are records, so this is no domain without MX.
            if found.is_empty() {
                return Err(DnsError::Trouble("no MX record holds a host name".to_owned()));
            }
            Ok(found)
        })
    }

    /// IPv6 (AAAA) and IPv4 (A) addresses of a host, CNAMEs followed. Never an empty list.
    fn addresses<'a>(&'a self, host: &'a Domain) -> Answering<'a, Vec<IpAddr>> {
        Box::pin(async move {
            if let Some(ip) = host.literal() {
                return Ok(vec![ip]);
            }
            let Some(name) = DnsName::of(host) else { return Err(DnsError::NoName) };
            self.families(&name, Proof::Usual).await.joined()
        })
    }

    /// The addresses of a host, each family by itself.
    fn families<'a>(&'a self, host: &'a DnsName, proof: Proof) -> Asking<'a, Addresses> {
        Box::pin(async move {
            let (six, four) = tokio::join!(self.ask(host, Kind::Aaaa, proof), self.ask(host, Kind::A, proof));
            let owner =
                [&six, &four].into_iter().find_map(|reply| Some(reply.answer.as_ref().ok()?.owner.clone()));
            Addresses {
                security: six.security.lesser(four.security),
                owner: owner.unwrap_or_else(|| host.clone()),
                six: six.read(read_ip),
                four: four.read(read_ip),
            }
        })
    }

    /// TXT records, the strings of each joined, octets that are no UTF-8 replaced. Only dots divide `name`; a name that
    /// cannot be in the DNS does not exist.
    fn txt<'a>(&'a self, name: &'a str) -> Answering<'a, Vec<String>> {
        Box::pin(async move {
            let name = DnsName::from_octets(name.as_bytes()).map_err(|_| DnsError::NoName)?;
            self.ask(&name, Kind::Txt, Proof::Usual).await.read(|data| match data {
                Data::Txt(strings) => Some(String::from_utf8_lossy(&strings.concat()).into_owned()),
                _ => None,
            })
        })
    }

    /// The TLSA records of a name, proven (RFC 7672 §2.2). A bogus answer is none: whether it counts is the asker's business.
    fn tlsa<'a>(&'a self, name: &'a DnsName) -> Asking<'a, Reply> {
        self.ask(name, Kind::Tlsa, Proof::Wanted)
    }

    /// Names of an address (PTR), without those that are no domain names.
    fn names(&self, ip: IpAddr) -> Answering<'_, Vec<Domain>> {
        Box::pin(async move {
            let reply = self.ask(&DnsName::reverse(ip), Kind::Ptr, Proof::Usual).await;
            reply.read(|data| match data {
                Data::Ptr(name) => name.to_domain(),
                _ => None,
            })
        })
    }
}

fn read_mx(data: Data) -> Option<Mx> {
    let Data::Mx { preference, exchange } = data else { return None };
    let exchange = if exchange.is_root() { None } else { Some(exchange.to_domain()?) };
    Some(Mx { preference, exchange })
}

fn read_ip(data: Data) -> Option<IpAddr> {
    match data {
        Data::A(ip) => Some(ip.into()),
        Data::Aaaa(ip) => Some(ip.into()),
        _ => None,
    }
}
