//! Questions to the DNS, as a value that is handed in.

use mail::Domain;
use std::fmt;
use std::future::Future;
use std::net::IpAddr;
use std::pin::Pin;

/// A future without a name, so that resolvers can stand behind a pointer.
pub type Answering<'a, T> = Pin<Box<dyn Future<Output = Result<T, DnsError>> + Send + 'a>>;

/// One MX record (RFC 5321 §5.1).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mx {
    pub preference: u16,
    /// `None` is the root: a null MX if it is the only record (RFC 7505).
    pub exchange: Option<Domain>,
}

/// Why there is no answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DnsError {
    /// The name does not exist (NXDOMAIN).
    NoName,
    /// The name exists, but has no record of this type.
    NoRecord,
    /// Time-out, SERVFAIL, refused, garbage: ask again later. The text is for the log.
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

/// Asks the DNS. Every call ends within the resolver's time limit.
pub trait Resolver: Send + Sync {
    /// Records as they came; order and null MX are the caller's business. Never an empty list.
    fn mx<'a>(&'a self, domain: &'a Domain) -> Answering<'a, Vec<Mx>>;

    /// IPv6 (AAAA) and IPv4 (A) addresses of a host, CNAMEs followed. Never an empty list.
    fn addresses<'a>(&'a self, host: &'a Domain) -> Answering<'a, Vec<IpAddr>>;

    /// TXT records, the strings of each joined.
    fn txt<'a>(&'a self, name: &'a str) -> Answering<'a, Vec<String>>;

    /// Names of an address (PTR).
    fn names(&self, ip: IpAddr) -> Answering<'_, Vec<Domain>>;
}
