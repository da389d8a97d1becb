//! The PROXY protocol of HAProxy, versions 1 and 2: what a proxy in front of us says about the client behind it.
//!
//! Only octets here: [`Header::take`] looks at what has come, [`header`] reads it from a socket and not one octet more.

use arc_swap::ArcSwap;
use config::Network;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;
use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;
use tokio::time::timeout;
use wire::{Line, take_line};

/// How long a proxy may take for its header: it sends it at once.
const PATIENCE: Duration = Duration::from_secs(5);
/// Longest header of version 1 in octets, with its CRLF: the bound of the protocol.
const V1_MAX: usize = 107;
/// Longest header of version 2 in octets behind its first 16. The addresses need 36; the rest are TLVs, which are passed
/// over. A certificate of the client may stand there.
const V2_MAX: usize = 16 * 1024;
/// What version 2 begins with. No line of any version 1, and no protocol of ours, begins so.
const SIGNATURE: [u8; 12] = *b"\r\n\r\n\0\r\nQUIT\n";
/// The first part of version 2, which says how long the rest is.
const V2_FIXED: usize = 16;

/// Whose PROXY headers are believed on a listener.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProxyOptions {
    /// Each connection from here begins with a header. None: nobody's.
    pub from: Vec<Network>,
    /// Who comes from elsewhere, if there are proxies.
    pub others: Others,
}

/// What becomes of connections that do not come from a proxy. Their headers are never believed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Others {
    Refused,
    /// They are clients of their own.
    Direct,
}

impl Default for ProxyOptions {
    fn default() -> Self {
        Self { from: Vec::new(), others: Others::Refused }
    }
}

/// The same while the listener runs, and its options may change. Clones are one.
#[derive(Clone, Debug, Default)]
pub struct ProxyTrust(Arc<ArcSwap<ProxyOptions>>);

/// What a new connection is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Comer {
    Client,
    Proxy,
    Unwanted,
}

impl ProxyTrust {
    pub fn new(options: ProxyOptions) -> Self {
        Self(Arc::new(ArcSwap::from_pointee(options)))
    }

    /// Other options, for connections from now on.
    pub fn set(&self, options: ProxyOptions) {
        self.0.store(Arc::new(options));
    }

    pub(crate) fn comer(&self, peer: IpAddr) -> Comer {
        let options = self.0.load();
        match options.others {
            _ if options.from.is_empty() => Comer::Client,
            _ if options.from.iter().any(|network| network.contains(peer)) => Comer::Proxy,
            Others::Direct => Comer::Client,
            Others::Refused => Comer::Unwanted,
        }
    }
}

/// What a proxy says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Header {
    /// The client behind it; never an IPv4 address in IPv6 clothes.
    Client(SocketAddr),
    /// It speaks for itself (LOCAL: a health check).
    Itself,
    /// It does not know for whom it speaks (UNKNOWN).
    Unknown,
}

/// What has come so far.
#[derive(Debug, PartialEq, Eq)]
enum Taken {
    /// A whole header, so many octets long.
    Whole(Header, usize),
    /// At least so many octets must be there before more can be said.
    More(usize),
    Bad(&'static str),
}

/// Why there is no header.
#[derive(Debug)]
pub(crate) enum Trouble {
    Silent,
    Gone(io::Error),
    Malformed(&'static str),
}

impl std::fmt::Display for Trouble {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Silent => f.write_str("it did not come in time"),
            Self::Gone(error) => write!(f, "the connection broke: {error}"),
            Self::Malformed(why) => f.write_str(why),
        }
    }
}

/// Reads the header, and leaves what follows it in the socket.
pub(crate) async fn header(stream: &mut TcpStream) -> Result<Header, Trouble> {
    timeout(PATIENCE, read(stream)).await.unwrap_or(Err(Trouble::Silent))
}

async fn read(stream: &mut TcpStream) -> Result<Header, Trouble> {
    let mut seen = Vec::new();
    loop {
        match take(&seen) {
            Taken::Whole(header, _) => return Ok(header),
            Taken::Bad(why) => return Err(Trouble::Malformed(why)),
            Taken::More(least) => {
                // Whatever `take` asks for belongs to the header, so it can be taken out of the socket.
                let had = seen.len();
                seen.resize(least.max(had + 1), 0);
                stream.read_exact(&mut seen[had..]).await.map_err(Trouble::Gone)?;
            }
        }
    }
}

/// What a whole header says, for tests of whoever writes one.
#[cfg(test)]
pub(crate) fn read_all(octets: &[u8]) -> Option<Header> {
    match take(octets) {
        Taken::Whole(header, length) if length == octets.len() => Some(header),
        _ => None,
    }
}

fn take(octets: &[u8]) -> Taken {
    let begun = octets.len().min(SIGNATURE.len());
    if octets[..begun] == SIGNATURE[..begun] && !octets.is_empty() {
        return take_v2(octets);
    }
    take_v1(octets)
}

/// `PROXY TCP4 192.0.2.1 198.51.100.1 56324 25`. It is read octet by octet once its shortest form is there.
fn take_v1(octets: &[u8]) -> Taken {
    const SHORTEST: usize = "PROXY UNKNOWN\r\n".len();
    const BEGIN: &[u8] = b"PROXY ";
    let begun = octets.len().min(BEGIN.len());
    if octets[..begun] != BEGIN[..begun] {
        return Taken::Bad("it does not begin with a PROXY header");
    }
    match take_line(octets, V1_MAX) {
        // The first octet tells the versions apart.
        Line::Partial if octets.is_empty() => Taken::More(1),
        Line::Partial if octets.len() < SHORTEST => Taken::More(SHORTEST),
        Line::Partial => Taken::More(octets.len() + 1),
        Line::Whole(line, used) => match v1(&line) {
            Some(header) => Taken::Whole(header, used),
            None => Taken::Bad("the PROXY line cannot be understood"),
        },
        Line::Bare(_) => Taken::Bad("the PROXY line does not end in CRLF"),
        Line::TooLong => Taken::Bad("the PROXY line is too long"),
    }
}

fn v1(line: &[u8]) -> Option<Header> {
    let line = std::str::from_utf8(line).ok()?;
    let words: Vec<&str> = line.split(' ').collect();
    let [_, family, rest @ ..] = words.as_slice() else { return None };
    if *family == "UNKNOWN" {
        return Some(Header::Unknown);
    }
    let [source, destination, port, local_port] = rest else { return None };
    // The destination is ours: it is checked, and of no other use.
    let read = |text: &str| -> Option<IpAddr> {
        match *family {
            "TCP4" => text.parse::<Ipv4Addr>().ok().map(IpAddr::V4),
            "TCP6" => text.parse::<Ipv6Addr>().ok().map(IpAddr::V6),
            _ => None,
        }
    };
    let (ip, port) = (read(source)?, v1_port(port)?);
    read(destination)?;
    v1_port(local_port)?;
    Some(Header::Client(SocketAddr::new(ip.to_canonical(), port)))
}

/// Decimal, without sign or leading zeros.
fn v1_port(text: &str) -> Option<u16> {
    let is_plain = text.bytes().all(|b| b.is_ascii_digit()) && (text == "0" || !text.starts_with('0'));
    text.parse().ok().filter(|_| is_plain)
}

/// Sixteen octets (signature, version and command, family, length), then addresses and TLVs.
fn take_v2(octets: &[u8]) -> Taken {
    let Some(fixed) = octets.get(..V2_FIXED) else { return Taken::More(V2_FIXED) };
    let length = usize::from(u16::from_be_bytes([fixed[14], fixed[15]]));
    let (version, command) = (fixed[12] >> 4, fixed[12] & 0x0f);
    if version != 2 {
        return Taken::Bad("the PROXY header has an unknown version");
    }
    if length > V2_MAX {
        return Taken::Bad("the PROXY header is too long");
    }
    let Some(rest) = octets.get(V2_FIXED..V2_FIXED + length) else {
        return Taken::More(V2_FIXED + length);
    };
    let header = match (command, fixed[13]) {
        // LOCAL: whatever stands there is not meant.
        (0x0, _) => Some(Header::Itself),
        (0x1, 0x11) => v2_ip4(rest),
        (0x1, 0x21) => v2_ip6(rest),
        // No IP, no TCP: nothing that could be judged. A receiver may take it as unknown.
        (0x1, _) => Some(Header::Unknown),
        _ => None,
    };
    match header {
        Some(header) => Taken::Whole(header, V2_FIXED + length),
        None => Taken::Bad("the PROXY header cannot be understood"),
    }
}

fn v2_ip4(rest: &[u8]) -> Option<Header> {
    let [a, b, c, d, _, _, _, _, p, q, _, _] = *rest.first_chunk::<12>()?;
    Some(Header::Client((Ipv4Addr::new(a, b, c, d), u16::from_be_bytes([p, q])).into()))
}

fn v2_ip6(rest: &[u8]) -> Option<Header> {
    let rest = rest.first_chunk::<36>()?;
    let source = Ipv6Addr::from(*rest.first_chunk::<16>()?);
    let port = u16::from_be_bytes([rest[32], rest[33]]);
    Some(Header::Client(SocketAddr::new(IpAddr::V6(source).to_canonical(), port)))
}

#[cfg(test)]
#[path = "proxy_tests.rs"]
mod tests;
