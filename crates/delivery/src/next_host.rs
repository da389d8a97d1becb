//! A next host that is named in the configuration: a smarthost, or the end of a route.

use config::{Arg, Section};
use mail::Domain;
use net::ProxyVersion;
pub use smtp_proto::client::Protocol;
use std::fmt;
use std::net::IpAddr;
use std::path::{Path, PathBuf};

/// A server that mail is handed to without a look into the DNS for its domain.
#[derive(Clone, Debug, PartialEq)]
pub struct Smarthost {
    pub host: Domain,
    pub port: u16,
    pub security: Security,
    pub login: Option<Login>,
    pub protocol: Protocol,
    /// A Unix socket instead of host and port.
    pub socket: Option<PathBuf>,
    pub tells: Tells,
}

/// How it hears who brought a message.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Tells {
    #[default]
    Nobody,
    /// By XCLIENT, which it must offer.
    Xclient,
    /// By a PROXY header in front of the connection.
    Proxy(ProxyVersion),
}

impl Tells {
    const WORDS: [(&'static str, Self); 4] = [
        ("none", Self::Nobody),
        ("xclient", Self::Xclient),
        ("proxy-v1", Self::Proxy(ProxyVersion::V1)),
        ("proxy-v2", Self::Proxy(ProxyVersion::V2)),
    ];
}

impl Smarthost {
    /// Where it is, in one word.
    pub(crate) fn place(&self) -> String {
        match &self.socket {
            Some(path) => format!("unix:{}", path.display()),
            None => format!("{}:{}", self.host, self.port),
        }
    }
}

/// How the way to a smarthost is protected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Security {
    /// TLS from the first octet, with a certificate that verifies.
    Implicit,
    /// STARTTLS, with a certificate that verifies.
    Required,
    /// STARTTLS where it is offered, with any certificate.
    Opportunistic,
    /// No TLS.
    None,
}

impl Security {
    /// Whether nobody but the right server can be at the other end.
    pub fn is_verified(self) -> bool {
        matches!(self, Self::Implicit | Self::Required)
    }
}

/// Name and password at a smarthost. The file is read for each connection, so that a new password needs no reload.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Login {
    pub user: String,
    pub password_file: PathBuf,
}

/// A host and a port, as `smtp.relay.example:587`, `192.0.2.1` or `[2001:db8::1]:25`.
#[derive(Clone, Debug, PartialEq, Eq)]
struct HostPort {
    host: Domain,
    port: Option<u16>,
}

impl fmt::Display for HostPort {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.port {
            Some(port) => write!(f, "{}:{port}", self.host),
            None => self.host.fmt(f),
        }
    }
}

impl HostPort {
    fn parse(text: &str) -> Result<Self, String> {
        let bracket = text.rfind(']').map_or(0, |at| at + 1);
        let (host, port) = match text[bracket..].rfind(':') {
            Some(colon) => {
                let (host, port) = text.split_at(bracket + colon);
                let port = port[1..].parse().map_err(|_| format!("{} is no port", &port[1..]))?;
                (host, Some(port))
            }
            None => (text, None),
        };
        let bare = host.trim_start_matches('[').trim_end_matches(']');
        let host = match bare.parse::<IpAddr>() {
            Ok(ip) => Domain::from_ip(ip),
            Err(_) => Domain::parse(host).map_err(|error| error.to_string())?,
        };
        Ok(Self { host, port })
    }
}

/// Reads host, port, TLS and login of a server that takes mail for others.
pub fn decode_smarthost(section: &mut Section<'_>) -> Option<Smarthost> {
    decode_host(section, Offered::Smtp)
}

/// `to "smtp.example.net:25"`, `to "127.0.0.1:24" protocol="lmtp"` or `to "unix:/run/store/lmtp"`.
pub(crate) fn decode_next_host(section: &mut Section<'_>) -> Option<Smarthost> {
    decode_host(section, Offered::Lmtp)
}

/// What may be spoken with a next host.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Offered {
    Smtp,
    Lmtp,
}

/// Where a next host is.
#[derive(Clone, Debug, PartialEq, Eq)]
enum At {
    Host(HostPort),
    Socket(PathBuf),
}

impl fmt::Display for At {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Host(host) => host.fmt(f),
            Self::Socket(path) => write!(f, "unix:{}", path.display()),
        }
    }
}

impl At {
    fn parse(text: &str) -> Result<Self, String> {
        match text.strip_prefix("unix:") {
            Some(path) if path.starts_with('/') => Ok(Self::Socket(PathBuf::from(path))),
            Some(_) => Err("the path of a socket begins with a slash".to_owned()),
            None => HostPort::parse(text).map(Self::Host),
        }
    }
}

fn decode_host(section: &mut Section<'_>, offered: Offered) -> Option<Smarthost> {
    const DOC: &str = "Name or address, and port (default 587; 465 with tls=\"implicit\").";
    const DOC_LMTP: &str = "Name or address, and port (default 587; 465 with tls=\"implicit\", 24 with LMTP); or \"unix:\" and the path of a socket.";
    let (server, protocol) = match offered {
        Offered::Smtp => {
            let server =
                section.parsed(Arg("server"), "a host name and a port", HostPort::parse, DOC).required();
            (server.map(At::Host), Protocol::Smtp)
        }
        Offered::Lmtp => {
            let server =
                section.parsed(Arg("server"), "a host name and a port", At::parse, DOC_LMTP).required();
            let usual = if matches!(server, Some(At::Socket(_))) { Protocol::Lmtp } else { Protocol::Smtp };
            let protocols = [("smtp", Protocol::Smtp), ("lmtp", Protocol::Lmtp)];
            let doc = "What is spoken there; on a Unix socket the default is \"lmtp\" (RFC 2033).";
            (server, section.choice("protocol", &protocols, doc).or(usual))
        }
    };
    let port = match &server {
        Some(At::Host(server)) => server.port,
        _ => None,
    };
    let is_local = matches!(server, Some(At::Socket(_))) || protocol == Protocol::Lmtp;
    let usual = match port {
        _ if is_local => Security::None,
        Some(465) => Security::Implicit,
        _ => Security::Required,
    };
    let levels = [
        ("implicit", Security::Implicit),
        ("required", Security::Required),
        ("opportunistic", Security::Opportunistic),
        ("none", Security::None),
    ];
    let security = section
        .choice("tls", &levels, "How the way is protected; on port 465 the default is \"implicit\".")
        .or(usual);
    let user = section.text("user", "Name to log in with.").optional();
    let password_file = section
        .path("password-file", "File whose first line is the password.")
        .check(|path| readable(path))
        .optional();
    let login = decode_login(section, user, password_file, security);
    let tells = section
        .choice(
            "client",
            &Tells::WORDS,
            "How it hears who brought a message: XCLIENT, or a PROXY header; it must trust this server in that.",
        )
        .or(Tells::Nobody);
    if matches!(server, Some(At::Socket(_))) && security != Security::None {
        section.problem(section.span(), "there is no TLS on a Unix socket", "leave `tls` out");
    }
    let usual_port = match (protocol, security) {
        (Protocol::Lmtp, _) => 24,
        (Protocol::Smtp, Security::Implicit) => 465,
        (Protocol::Smtp, _) => 587,
    };
    let (host, port, socket) = match server? {
        At::Host(server) => (server.host, server.port.unwrap_or(usual_port), None),
        At::Socket(path) => (Domain::from_ip(IpAddr::from([127, 0, 0, 1])), 0, Some(path)),
    };
    Some(Smarthost { host, port, security, login, protocol, socket, tells })
}

fn decode_login(
    section: &mut Section<'_>,
    user: Option<String>,
    password_file: Option<PathBuf>,
    security: Security,
) -> Option<Login> {
    let login = match (user, password_file) {
        (Some(user), Some(password_file)) => Some(Login { user, password_file }),
        (None, None) => None,
        // One that cannot be read was reported.
        (Some(_), None) if section.has("password-file") => None,
        (Some(_), None) => {
            section.problem(
                section.span(),
                "`user` needs a `password-file`",
                "name the file that holds the password",
            );
            None
        }
        (None, Some(_)) => {
            section.problem(section.span(), "`password-file` needs a `user`", "name the user to log in as");
            None
        }
    };
    if login.is_some() && matches!(security, Security::Opportunistic | Security::None) {
        section.problem(
            section.span(),
            "the password would travel without a verified TLS connection",
            "use tls=\"required\" or tls=\"implicit\"; `ca-file` names a certificate authority of your own",
        );
    }
    login
}

pub(crate) fn readable(path: &Path) -> Result<(), String> {
    std::fs::File::open(path)
        .map(drop)
        .map_err(|error| format!("must be readable, but {}: {error}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use config::Tree;

    fn read(text: &str) -> Result<Option<Smarthost>, String> {
        Tree::from_text("test", text, &|_| None)
            .decode(|top| top.child_if_present("smarthost", "", decode_smarthost).flatten())
            .map_err(|problems| problems.to_string())
    }

    #[test]
    fn smarthosts() {
        for (text, want) in [
            ("\"relay.example\"", "relay.example 587 Required"),
            ("\"relay.example:465\"", "relay.example 465 Implicit"),
            ("\"relay.example\" tls=\"implicit\"", "relay.example 465 Implicit"),
            ("\"relay.example:25\" tls=\"none\"", "relay.example 25 None"),
            ("\"192.0.2.1\" tls=\"opportunistic\"", "[192.0.2.1] 587 Opportunistic"),
            ("\"[2001:db8::1]:26\"", "[IPv6:2001:db8::1] 26 Required"),
            ("\"[IPv6:2001:db8::1]\"", "[IPv6:2001:db8::1] 587 Required"),
        ] {
            let smarthost = read(&format!("smarthost {text}")).unwrap().unwrap();
            assert_eq!(smarthost.tells, Tells::Nobody);
            let got = format!("{} {} {:?}", smarthost.host, smarthost.port, smarthost.security);
            assert_eq!(got, want, "{text}");
        }
    }

    #[test]
    fn what_a_next_host_hears() {
        for (word, want) in Tells::WORDS {
            let smarthost = read(&format!("smarthost \"relay.example\" client=\"{word}\"")).unwrap().unwrap();
            assert_eq!(smarthost.tells, want);
        }
        assert!(read("smarthost \"relay.example\" client=\"proxy\"").is_err());
    }
}
