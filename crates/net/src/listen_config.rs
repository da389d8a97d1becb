//! The node `listen` of every door.

use crate::client_certificate::ClientCertificates;
use crate::proxy::{Others, ProxyOptions};
use config::{Arg, Network, Section};
use std::net::{Ipv6Addr, SocketAddr};

/// Where to listen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listen {
    pub address: SocketAddr,
    pub tls: ListenTls,
    pub certificates: ClientCertificates,
    /// Whose PROXY headers are believed here.
    pub proxy: ProxyOptions,
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
    /// Whether a connection to our address `local` came in here.
    pub fn is_at(&self, local: SocketAddr) -> bool {
        let ip = self.address.ip();
        self.address.port() == local.port() && (ip.is_unspecified() || ip.to_canonical() == local.ip())
    }

    /// All addresses of this machine.
    pub fn anywhere(port: u16, tls: ListenTls) -> Self {
        Self {
            address: SocketAddr::from((Ipv6Addr::UNSPECIFIED, port)),
            tls,
            certificates: ClientCertificates::NotAsked,
            proxy: ProxyOptions::default(),
        }
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
            let proxy = listen.child(
                "proxy",
                "A proxy in front of this address says who the client is (PROXY protocol, versions 1 and 2).",
                decode_proxy,
            );
            let extra = extra(listen);
            address.map(|address| {
                (Listen { address, tls, certificates: ClientCertificates::NotAsked, proxy }, extra)
            })
        });
    listen.into_iter().flatten().collect()
}

/// Reads from a node `listen` of a door where people log in whether they are asked for certificates.
pub fn decode_client_certificates(listen: &mut Section<'_>) -> ClientCertificates {
    let doc =
        "Ask clients for a TLS certificate, with which they may log in (EXTERNAL); some then ask their user.";
    if listen.flag("client-certificates", doc).or(false) {
        ClientCertificates::Asked
    } else {
        ClientCertificates::NotAsked
    }
}

fn decode_proxy(section: &mut Section<'_>) -> ProxyOptions {
    const OTHERS: &[(&str, Others)] = &[("refuse", Others::Refused), ("direct", Others::Direct)];
    let usual = ProxyOptions::default();
    let from = section
        .parsed(
            "from",
            "an address or a network",
            Network::parse,
            "From where each connection begins with a PROXY header, which is believed; may repeat.",
        )
        .many();
    let others = section
        .choice(
            "others",
            OTHERS,
            "Who comes from elsewhere: \"refuse\", or a client of its own (\"direct\").",
        )
        .or(usual.others);
    ProxyOptions { from, others }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Vec<Listen>, String> {
        let tree = config::Tree::from_text("test", text, &|_| None);
        tree.decode(decode_listen).map_err(|problems| problems.to_string())
    }

    #[test]
    fn proxies_are_named() {
        let listen =
            read("listen \"[::]:25\" {\n proxy { from \"192.0.2.0/24\" \"::1\"; others \"direct\"; }\n}")
                .unwrap();
        let from = ["192.0.2.0/24", "::1"].map(|text| Network::parse(text).unwrap()).to_vec();
        assert_eq!(listen[0].proxy, ProxyOptions { from, others: Others::Direct });
        let listen = read("listen \"[::]:25\"\nlisten \"[::]:26\" tls=#true").unwrap();
        assert_eq!(listen[0], Listen::anywhere(25, ListenTls::StartTls));
        assert_eq!(listen[1], Listen::anywhere(26, ListenTls::Implicit));
        assert!(
            read("listen \"[::]:25\" { proxy { from \"192.0.2.1/24\"; }; }")
                .unwrap_err()
                .contains("bits behind")
        );
        assert!(read("listen \"[::]:25\" { proxy { others \"believe\"; }; }").is_err());
    }
}
