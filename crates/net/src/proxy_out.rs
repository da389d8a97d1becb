//! The PROXY protocol of HAProxy from the side of the proxy: what we say to a next host about the client for which we speak.

use crate::conn::Conn;
use crate::drive::Closed;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// What version 2 begins with.
const SIGNATURE: [u8; 12] = *b"\r\n\r\n\0\r\nQUIT\n";
/// Version 2 and the command LOCAL: we speak for ourselves.
const LOCAL: u8 = 0x20;
/// Version 2 and the command PROXY.
const PROXY: u8 = 0x21;
/// TCP over IPv4, over IPv6.
const FAMILIES: [u8; 2] = [0x11, 0x21];

/// Which of the two forms.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProxyVersion {
    /// A line of text.
    V1,
    /// Octets.
    V2,
}

/// A client, and where it had connected to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ProxiedClient {
    pub client: SocketAddr,
    /// `None`: not known.
    pub here: Option<SocketAddr>,
}

impl Conn {
    /// Says for whom this connection is, before anything else is said; without a client we speak for ourselves.
    pub async fn speak_for(
        &mut self,
        version: ProxyVersion,
        client: Option<ProxiedClient>,
    ) -> Result<(), Closed> {
        let octets = header(version, client, (self.local(), self.peer()));
        self.push(octets).map_err(|error| Closed::Broken(error.to_string()))?;
        self.flush().await
    }
}

/// `ours` are the two ends of the connection itself.
fn header(version: ProxyVersion, client: Option<ProxiedClient>, ours: (SocketAddr, SocketAddr)) -> Vec<u8> {
    let (source, destination) = match client {
        Some(ProxiedClient { client, here }) => {
            let client = SocketAddr::new(client.ip().to_canonical(), client.port());
            (client, beside(client.ip(), here, ours.1))
        }
        // Version 1 knows no word for it: what is true of the connection says the same.
        None if version == ProxyVersion::V1 => ours,
        None => {
            let mut octets = SIGNATURE.to_vec();
            octets.extend_from_slice(&[LOCAL, 0, 0, 0]);
            return octets;
        }
    };
    match version {
        ProxyVersion::V1 => v1(source, destination),
        ProxyVersion::V2 => v2(source, destination),
    }
}

/// A destination of the same family as the source: the header has room for one family only.
fn beside(source: IpAddr, here: Option<SocketAddr>, peer: SocketAddr) -> SocketAddr {
    let known = here.into_iter().chain([peer]).map(|at| SocketAddr::new(at.ip().to_canonical(), at.port()));
    let mut fits = known.filter(|at| at.is_ipv4() == source.is_ipv4());
    fits.next().unwrap_or_else(|| match source {
        IpAddr::V4(_) => SocketAddr::new(Ipv4Addr::UNSPECIFIED.into(), 0),
        IpAddr::V6(_) => SocketAddr::new(Ipv6Addr::UNSPECIFIED.into(), 0),
    })
}

fn v1(source: SocketAddr, destination: SocketAddr) -> Vec<u8> {
    let family = if source.is_ipv4() { "TCP4" } else { "TCP6" };
    let (from, to) = (source.ip(), destination.ip());
    format!("PROXY {family} {from} {to} {} {}\r\n", source.port(), destination.port()).into_bytes()
}

fn v2(source: SocketAddr, destination: SocketAddr) -> Vec<u8> {
    let mut addresses = Vec::with_capacity(36);
    for at in [source, destination] {
        match at.ip() {
            IpAddr::V4(ip) => addresses.extend_from_slice(&ip.octets()),
            IpAddr::V6(ip) => addresses.extend_from_slice(&ip.octets()),
        }
    }
    for at in [source, destination] {
        addresses.extend_from_slice(&at.port().to_be_bytes());
    }
    let mut octets = SIGNATURE.to_vec();
    octets.push(PROXY);
    octets.push(FAMILIES[usize::from(source.is_ipv6())]);
    // 12 or 36.
    octets.extend_from_slice(&[0, addresses.len() as u8]);
    octets.extend_from_slice(&addresses);
    octets
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proxy::{Header, read_all};

    fn at(text: &str) -> SocketAddr {
        text.parse().unwrap()
    }

    /// What our own reader makes of each header.
    #[test]
    fn what_is_written_is_read() {
        let ours = (at("198.51.100.1:40000"), at("198.51.100.2:25"));
        let ours6 = (at("[2001:db8::1]:40000"), at("[2001:db8::2]:25"));
        for (client, here, ours, line) in [
            (
                "192.0.2.1:4711",
                Some("198.51.100.9:587"),
                ours,
                "PROXY TCP4 192.0.2.1 198.51.100.9 4711 587\r\n",
            ),
            ("192.0.2.1:0", None, ours, "PROXY TCP4 192.0.2.1 198.51.100.2 0 25\r\n"),
            ("192.0.2.1:4711", None, ours6, "PROXY TCP4 192.0.2.1 0.0.0.0 4711 0\r\n"),
            ("[2001:db8::7]:1", Some("198.51.100.9:587"), ours, "PROXY TCP6 2001:db8::7 :: 1 0\r\n"),
            ("[2001:db8::7]:1", None, ours6, "PROXY TCP6 2001:db8::7 2001:db8::2 1 25\r\n"),
            ("[::ffff:192.0.2.1]:4711", None, ours, "PROXY TCP4 192.0.2.1 198.51.100.2 4711 25\r\n"),
        ] {
            let proxied = ProxiedClient { client: at(client), here: here.map(at) };
            let written = header(ProxyVersion::V1, Some(proxied), ours);
            assert_eq!(String::from_utf8(written.clone()).unwrap(), line);
            let source = at(client);
            let want = Header::Client(SocketAddr::new(source.ip().to_canonical(), source.port()));
            assert_eq!(read_all(&written), Some(want), "{client}");
            assert_eq!(read_all(&header(ProxyVersion::V2, Some(proxied), ours)), Some(want), "{client}");
        }
        assert_eq!(read_all(&header(ProxyVersion::V2, None, ours)), Some(Header::Itself));
        assert_eq!(read_all(&header(ProxyVersion::V1, None, ours)), Some(Header::Client(ours.0)));
    }
}
