//! The node `listen` of every door.

use config::{Arg, Section};
use std::net::{Ipv6Addr, SocketAddr};

/// Where to listen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listen {
    pub address: SocketAddr,
    pub tls: ListenTls,
}

/// When TLS begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ListenTls {
    /// When the client asks for it (RFC 3207, RFC 9051 §6.2.1).
    StartTls,
    /// With the first octet (RFC 8314 §3).
    Implicit,
}

impl Listen {
    /// All addresses of this machine.
    pub fn anywhere(port: u16, tls: ListenTls) -> Self {
        Self { address: SocketAddr::from((Ipv6Addr::UNSPECIFIED, port)), tls }
    }
}

/// Reads the nodes `listen`, which may be none.
pub fn decode_listen(section: &mut Section<'_>) -> Vec<Listen> {
    decode_listen_with(section, |_| ()).into_iter().map(|(listen, ())| listen).collect()
}

/// The same for a door that has options of its own in them.
pub fn decode_listen_with<E>(
    section: &mut Section<'_>,
    mut extra: impl FnMut(&mut Section<'_>) -> E,
) -> Vec<(Listen, E)> {
    let listen =
        section.each("listen", "Address and port to listen on; may stand several times.", |listen| {
            let address = listen.socket(Arg("address"), "IP address and port.").required();
            let implicit = listen.flag("tls", "TLS from the first octet, not by STARTTLS.").or(false);
            let tls = if implicit { ListenTls::Implicit } else { ListenTls::StartTls };
            let extra = extra(listen);
            address.map(|address| (Listen { address, tls }, extra))
        });
    listen.into_iter().flatten().collect()
}
