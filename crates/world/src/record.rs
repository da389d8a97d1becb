//! Records of the DNS: their types, and what they say.

use crate::name::DnsName;
use mail::Domain;
use std::fmt;
use std::net::{Ipv4Addr, Ipv6Addr};

/// Types of records that may be asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    A,
    Aaaa,
    Mx,
    Txt,
    Cname,
    Ptr,
    /// RFC 6698 §2.
    Tlsa,
    Ns,
    /// RFC 2782.
    Srv,
    /// RFC 8659 §4.
    Caa,
}

impl Kind {
    /// Every type, with its word.
    pub const ALL: [(Self, &'static str); 10] = [
        (Self::A, "A"),
        (Self::Aaaa, "AAAA"),
        (Self::Mx, "MX"),
        (Self::Txt, "TXT"),
        (Self::Cname, "CNAME"),
        (Self::Ptr, "PTR"),
        (Self::Tlsa, "TLSA"),
        (Self::Ns, "NS"),
        (Self::Srv, "SRV"),
        (Self::Caa, "CAA"),
    ];

    /// The word of master files.
    pub fn word(self) -> &'static str {
        Self::ALL.iter().find(|(kind, _)| *kind == self).map_or("", |(_, word)| *word)
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

/// What one record says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Data {
    A(Ipv4Addr),
    Aaaa(Ipv6Addr),
    /// The root as exchange is a null MX if it is the only record (RFC 7505 §3).
    Mx {
        preference: u16,
        exchange: DnsName,
    },
    /// The strings of one record, in octets.
    Txt(Vec<Vec<u8>>),
    Cname(DnsName),
    Ptr(DnsName),
    Tlsa(Tlsa),
    Ns(DnsName),
    /// The root as target says that there is no such service (RFC 2782).
    Srv {
        priority: u16,
        weight: u16,
        port: u16,
        target: DnsName,
    },
    Caa(Caa),
}

impl Data {
    pub fn kind(&self) -> Kind {
        match self {
            Self::A(_) => Kind::A,
            Self::Aaaa(_) => Kind::Aaaa,
            Self::Mx { .. } => Kind::Mx,
            Self::Txt(_) => Kind::Txt,
            Self::Cname(_) => Kind::Cname,
            Self::Ptr(_) => Kind::Ptr,
            Self::Tlsa(_) => Kind::Tlsa,
            Self::Ns(_) => Kind::Ns,
            Self::Srv { .. } => Kind::Srv,
            Self::Caa(_) => Kind::Caa,
        }
    }
}

/// As master files write it; strings of TXT are joined and shown as UTF-8.
impl fmt::Display for Data {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::A(ip) => write!(f, "{ip}"),
            Self::Aaaa(ip) => write!(f, "{ip}"),
            Self::Mx { preference, exchange } => write!(f, "{preference} {exchange}"),
            Self::Txt(strings) => write!(f, "\"{}\"", String::from_utf8_lossy(&strings.concat())),
            Self::Cname(name) | Self::Ptr(name) | Self::Ns(name) => write!(f, "{name}"),
            Self::Tlsa(tlsa) => write!(f, "{tlsa}"),
            Self::Srv { priority, weight, port, target } => write!(f, "{priority} {weight} {port} {target}"),
            Self::Caa(caa) => write!(f, "{caa}"),
        }
    }
}

/// Which certificate a host has (RFC 6698 §2.1). The numbers are as they came; not every one has a meaning.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tlsa {
    pub usage: u8,
    pub selector: u8,
    pub matching: u8,
    pub data: Vec<u8>,
}

impl fmt::Display for Tlsa {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} {} ", self.usage, self.selector, self.matching)?;
        self.data.iter().try_for_each(|octet| write!(f, "{octet:02x}"))
    }
}

/// Who may make certificates (RFC 8659 §4.1).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Caa {
    /// 128: who does not understand the tag makes no certificate.
    pub flags: u8,
    /// `issue`, `issuewild` and others; as it came.
    pub tag: String,
    pub value: Vec<u8>,
}

impl fmt::Display for Caa {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} \"{}\"", self.flags, self.tag, String::from_utf8_lossy(&self.value))
    }
}

/// One MX record (RFC 5321 §5.1).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mx {
    pub preference: u16,
    /// `None` is the root: a null MX if it is the only record (RFC 7505 §3).
    pub exchange: Option<Domain>,
}
