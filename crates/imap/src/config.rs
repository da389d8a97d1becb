//! Options of the node `imap`.

use config::Arg;
use std::net::{Ipv6Addr, SocketAddr};
use std::time::Duration;

/// Where to listen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listen {
    pub address: SocketAddr,
    pub tls: ListenTls,
}

/// When TLS begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ListenTls {
    /// When the client asks for it (RFC 9051 §6.2.1).
    StartTls,
    /// With the first octet (RFC 8314 §3.2).
    Implicit,
}

/// Whether logins are taken without TLS.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum InsecureAuth {
    Refused,
    Allowed,
}

/// The checked options.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    pub listen: Vec<Listen>,
    pub insecure_auth: InsecureAuth,
    /// Largest message that APPEND takes, in octets.
    pub append_limit: u64,
    /// Most connections of one account at the same time. A Mac, a phone and a tablet behind one address use
    /// some fifteen.
    pub connections_per_account: usize,
    /// Failed logins after which a connection ends.
    pub login_failures: u32,
    /// Pause after the first failed login of a connection; each further one doubles it.
    pub failure_delay: Duration,
}

impl Default for Config {
    fn default() -> Self {
        let any = |port, tls| Listen { address: SocketAddr::from((Ipv6Addr::UNSPECIFIED, port)), tls };
        Self {
            listen: vec![any(143, ListenTls::StartTls), any(993, ListenTls::Implicit)],
            insecure_auth: InsecureAuth::Refused,
            append_limit: 50 * 1024 * 1024,
            connections_per_account: 50,
            login_failures: 4,
            failure_delay: Duration::from_secs(1),
        }
    }
}

/// Reads the node.
pub fn decode(section: &mut config::Section<'_>) -> Config {
    let default = Config::default();
    let listen =
        section.each("listen", "Address and port to listen on; may stand several times.", |listen| {
            let address = listen.socket(Arg("address"), "IP address and port.").required();
            let implicit = listen.flag("tls", "TLS from the first octet, not by STARTTLS.").or(false);
            let tls = if implicit { ListenTls::Implicit } else { ListenTls::StartTls };
            address.map(|address| Listen { address, tls })
        });
    let listen: Vec<Listen> = listen.into_iter().flatten().collect();
    let insecure =
        section.flag("insecure-auth", "Take logins without TLS: for tools on loopback only.").or(false);
    Config {
        listen: if listen.is_empty() { default.listen } else { listen },
        insecure_auth: if insecure { InsecureAuth::Allowed } else { InsecureAuth::Refused },
        append_limit: section
            .size("append-limit", "Largest message that APPEND takes.")
            .within(1024..=1 << 30)
            .or(default.append_limit),
        connections_per_account: section
            .count("connections-per-account", "Most connections of one account at the same time.")
            .within(1..=10_000)
            .or(default.connections_per_account),
        login_failures: section
            .count("login-failures", "Failed logins after which a connection ends.")
            .within(1..=100)
            .or(default.login_failures),
        failure_delay: section
            .duration("failure-delay", "Pause after the first failed login; each further one doubles it.")
            .within(Duration::ZERO..=Duration::from_secs(10))
            .or(default.failure_delay),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_are_read() {
        let text = "listen \"127.0.0.1:2143\"\nlisten \"[::1]:2993\" tls=#true\ninsecure-auth #true\n\
                    append-limit \"1MiB\"\nfailure-delay \"0s\"";
        let config = config::Tree::from_text("test", text, &|_| None).decode(decode).unwrap();
        assert_eq!(config.listen.len(), 2);
        assert_eq!(config.listen[1].tls, ListenTls::Implicit);
        assert_eq!(config.insecure_auth, InsecureAuth::Allowed);
        assert_eq!(config.append_limit, 1024 * 1024);
        assert_eq!(config.login_failures, Config::default().login_failures);
        let empty = config::Tree::from_text("test", "", &|_| None).decode(decode).unwrap();
        assert_eq!(empty, Config::default());
        assert!(config::Tree::from_text("test", "append-limit 1", &|_| None).decode(decode).is_err());
    }
}
