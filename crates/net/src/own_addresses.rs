//! The addresses from which this machine reaches the world.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};

/// Addresses far away (RFC 5737 §3, RFC 3849 §2): nothing is ever sent there.
const FAR_V4: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1));
const FAR_V6: IpAddr = IpAddr::V6(Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1));
/// The port of a service that throws away what it gets; nothing is sent.
const PORT: u16 = 9;

/// At most one of each family: what the system would take as the source of a connection to the world. Asks the table of
/// routes only.
pub fn source_addresses() -> Vec<IpAddr> {
    let ask = |any: IpAddr, far: IpAddr| {
        let socket = UdpSocket::bind(SocketAddr::new(any, 0)).ok()?;
        socket.connect(SocketAddr::new(far, PORT)).ok()?;
        socket.local_addr().ok().map(|at| at.ip()).filter(|ip| !ip.is_unspecified())
    };
    let v4 = ask(Ipv4Addr::UNSPECIFIED.into(), FAR_V4);
    let v6 = ask(Ipv6Addr::UNSPECIFIED.into(), FAR_V6);
    v4.into_iter().chain(v6).collect()
}
