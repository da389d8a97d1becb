//! Options of the node `imap`.

use imap_proto::server::hideable;
use net::{Listen, ListenTls, decode_client_certificates, decode_listen_with};
use std::fmt;
use std::net::SocketAddr;
use std::time::Duration;

/// Where to listen, and what is not announced there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entrance {
    pub listen: Listen,
    /// Capabilities that are not announced here, besides those of [`Config::hide`].
    pub hide: Vec<Capability>,
}

/// The name of a capability that can be hidden, as it is announced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Capability(&'static str);

impl Capability {
    /// Reads a name in any case.
    pub fn parse(name: &str) -> Result<Self, &'static str> {
        const WHY: &str = "Only capabilities can be hidden that this server has and a client can do without.";
        hideable(name).map(Self).ok_or(WHY)
    }
}

impl fmt::Display for Capability {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

/// What one account does not see after login.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HiddenFrom {
    /// As accounts are kept: see [`mail::Address::key`].
    pub account: String,
    pub hide: Vec<Capability>,
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
    pub listen: Vec<Entrance>,
    pub insecure_auth: InsecureAuth,
    /// Largest message that APPEND takes, in octets.
    pub append_limit: u64,
    /// Octets of messages that may be on their way in by APPEND, over all connections; a quarter of it for one account.
    pub max_in_transit: u64,
    /// Most messages that one command works on (RFC 9738). Far above any mailbox: clients that do not know the limit
    /// would take what is left for gone.
    pub message_limit: u32,
    /// How often clients hear how far a command has come that takes its time (RFC 9585).
    pub progress_interval: Duration,
    /// Most connections of one account at the same time. A Mac, a phone and a tablet behind one address use
    /// some fifteen.
    pub connections_per_account: usize,
    /// Failed logins after which a connection ends.
    pub login_failures: u32,
    /// Pause after the first failed login of a connection; each further one doubles it.
    pub failure_delay: Duration,
    /// Capabilities that are announced nowhere, to please broken clients.
    pub hide: Vec<Capability>,
    /// Capabilities that are hidden from some accounts.
    pub hide_from: Vec<HiddenFrom>,
    /// How to reach the administrator, as a URI: the annotation /shared/admin (RFC 5464 §3.2.1.1).
    pub server_admin: Option<String>,
    /// A note about the server: the annotation /shared/comment.
    pub server_comment: Option<String>,
}

impl Config {
    /// What is hidden from those who came to our address `local`.
    pub(crate) fn hidden_at(&self, local: SocketAddr) -> Vec<&'static str> {
        let here = |entrance: &&Entrance| entrance.listen.is_at(local);
        let listen = self.listen.iter().filter(here).flat_map(|entrance| &entrance.hide);
        self.hide.iter().chain(listen).map(|capability| capability.0).collect()
    }

    /// What is hidden from an account, besides.
    pub(crate) fn hidden_from(&self, account: &str) -> Vec<&'static str> {
        let is_it = |one: &&HiddenFrom| one.account == account;
        let hidden = self.hide_from.iter().filter(is_it).flat_map(|one| &one.hide);
        hidden.map(|capability| capability.0).collect()
    }
}

impl Default for Config {
    fn default() -> Self {
        let any = |port, tls| Entrance { listen: Listen::anywhere(port, tls), hide: Vec::new() };
        Self {
            listen: vec![any(143, ListenTls::StartTls), any(993, ListenTls::Implicit)],
            insecure_auth: InsecureAuth::Refused,
            append_limit: 50 * 1024 * 1024,
            max_in_transit: 1 << 30,
            message_limit: 1_000_000,
            progress_interval: Duration::from_secs(10),
            connections_per_account: 50,
            login_failures: 4,
            failure_delay: Duration::from_secs(1),
            hide: Vec::new(),
            hide_from: Vec::new(),
            server_admin: None,
            server_comment: None,
        }
    }
}

/// Reads the node.
pub fn decode(section: &mut config::Section<'_>) -> Config {
    let default = Config::default();
    let listen = decode_listen_with(section, |listen| {
        let certificates = decode_client_certificates(listen);
        (certificates, hide(listen, "Capabilities that are not announced to those who come here."))
    });
    let listen = listen.into_iter().map(|(listen, (certificates, hide))| {
        let listen = Listen { certificates, ..listen };
        Entrance { listen, hide }
    });
    let listen: Vec<Entrance> = listen.collect();
    let insecure =
        section.flag("insecure-auth", "Take logins without TLS: for tools on loopback only.").or(false);
    Config {
        listen: if listen.is_empty() { default.listen } else { listen },
        insecure_auth: if insecure { InsecureAuth::Allowed } else { InsecureAuth::Refused },
        append_limit: section
            .size("append-limit", "Largest message that APPEND takes.")
            .within(1024..=1 << 30)
            .or(default.append_limit),
        max_in_transit: section
            .size(
                "max-in-transit",
                "Messages that may be on their way in by APPEND, over all connections, and a quarter of it for one account; what comes beyond it is refused for now.",
            )
            .within(1 << 20..=1 << 40)
            .or(default.max_in_transit),
        message_limit: section
            .count("message-limit", "Most messages that one command works on.")
            .within(1000..=1 << 30)
            .or(default.message_limit),
        progress_interval: section
            .duration("progress-interval", "How often clients hear how far a long command has come.")
            .within(Duration::from_secs(1)..=Duration::from_secs(60))
            .or(default.progress_interval),
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
        hide: hide(section, "Capabilities that are announced nowhere, to please broken clients."),
        hide_from: section
            .each("account", "Capabilities that one account does not see once it has logged in.", hidden_from)
            .into_iter()
            .flatten()
            .collect(),
        server_admin: section
            .text(
                "server-admin",
                "How clients can reach the administrator, as a URI (METADATA /shared/admin).",
            )
            .optional(),
        server_comment: section
            .text("server-comment", "A note about the server for its users (METADATA /shared/comment).")
            .optional(),
    }
}

fn hidden_from(section: &mut config::Section<'_>) -> Option<HiddenFrom> {
    let account = section.text(config::Arg("name"), "The name of the account.").required();
    let hide = hide(section, "The capabilities.");
    let account = account?;
    let account = mail::Address::parse(&account).map_or_else(|_| account.to_lowercase(), |name| name.key());
    Some(HiddenFrom { account, hide })
}

fn hide(section: &mut config::Section<'_>, doc: &str) -> Vec<Capability> {
    section.parsed("hide", "a capability", Capability::parse, doc).many()
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
        assert_eq!(config.listen[1].listen.tls, ListenTls::Implicit);
        assert_eq!(config.insecure_auth, InsecureAuth::Allowed);
        assert_eq!(config.append_limit, 1024 * 1024);
        assert_eq!(config.login_failures, Config::default().login_failures);
        let empty = config::Tree::from_text("test", "", &|_| None).decode(decode).unwrap();
        assert_eq!(empty, Config::default());
        let text = "listen \"[::]:143\" { hide \"idle\"; }\nlisten \"[::1]:993\"\nhide \"compress=deflate\" \"MOVE\"";
        let config = config::Tree::from_text("test", text, &|_| None).decode(decode).unwrap();
        let at = |local: &str| config.hidden_at(local.parse().unwrap());
        assert_eq!(at("192.0.2.1:143"), ["COMPRESS=DEFLATE", "MOVE", "IDLE"]);
        assert_eq!(at("[::1]:993"), ["COMPRESS=DEFLATE", "MOVE"]);
        let text = "hide \"MOVE\"\naccount \"Ann@Example.ORG\" { hide \"idle\" \"sort\"; }\naccount \"bob\" { hide \"SORT\"; }";
        let config = config::Tree::from_text("test", text, &|_| None).decode(decode).unwrap();
        assert_eq!(config.hidden_from("ann@example.org"), ["IDLE", "SORT"]);
        assert_eq!(config.hidden_from("bob"), ["SORT"]);
        assert!(config.hidden_from("carol").is_empty());
        for wrong in ["account { hide \"IDLE\"; }", "account \"a@b.c\" { hide \"LOGINDISABLED\"; }"] {
            assert!(config::Tree::from_text("test", wrong, &|_| None).decode(decode).is_err(), "{wrong}");
        }
        for wrong in ["hide \"IMAP4rev1\"", "hide \"STARTTLS\"", "hide \"XLIST\"", "hide"] {
            assert!(config::Tree::from_text("test", wrong, &|_| None).decode(decode).is_err(), "{wrong}");
        }
        assert!(config::Tree::from_text("test", "append-limit 1", &|_| None).decode(decode).is_err());
    }
}
