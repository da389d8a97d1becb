//! Options of the node `submission`.

use config::Arg;
use std::net::{Ipv6Addr, SocketAddr};
use std::time::Duration;

/// Longest banner in octets, so that the greeting fits a reply line (RFC 5321 §4.5.3.1.5).
const BANNER_MAX: usize = 200;

/// Where to listen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listen {
    pub address: SocketAddr,
    pub tls: ListenTls,
}

/// When TLS begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ListenTls {
    /// When the client asks for it (RFC 3207).
    StartTls,
    /// With the first octet (RFC 8314 §3.3).
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
    /// What stands behind the host name in the greeting.
    pub banner: String,
    /// Largest message in octets.
    pub max_message_size: u64,
    /// Most recipients of one message.
    pub max_recipients: usize,
    /// Most messages on one connection.
    pub max_messages: usize,
    /// Most faults of grammar and order on one connection.
    pub max_errors: usize,
    /// Most refusals in a row on one connection.
    pub max_refusals: usize,
    /// Failed logins after which a connection ends.
    pub login_failures: u32,
    /// Pause after the first failed login of a connection; each further one doubles it.
    pub failure_delay: Duration,
    /// How long to wait for a command.
    pub command_timeout: Duration,
    /// How long to wait for the next octets of a message.
    pub data_timeout: Duration,
    /// How long a message may take in all.
    pub message_timeout: Duration,
}

impl Default for Config {
    fn default() -> Self {
        let any = |port, tls| Listen { address: SocketAddr::from((Ipv6Addr::UNSPECIFIED, port)), tls };
        Self {
            listen: vec![any(587, ListenTls::StartTls), any(465, ListenTls::Implicit)],
            insecure_auth: InsecureAuth::Refused,
            banner: "ESMTP".to_owned(),
            max_message_size: 50 * 1024 * 1024,
            max_recipients: 500,
            max_messages: 1000,
            max_errors: 20,
            max_refusals: 100,
            login_failures: 4,
            failure_delay: Duration::from_secs(1),
            command_timeout: Duration::from_secs(300),
            data_timeout: Duration::from_secs(300),
            message_timeout: Duration::from_secs(2 * 3600),
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
    let second = Duration::from_secs(1);
    let hour = Duration::from_secs(3600);
    Config {
        listen: if listen.is_empty() { default.listen } else { listen },
        insecure_auth: if insecure { InsecureAuth::Allowed } else { InsecureAuth::Refused },
        banner: section
            .text("banner", "What stands behind the host name in the greeting.")
            .check(|text| check_banner(text))
            .or(default.banner),
        max_message_size: section
            .size("max-message-size", "Largest message that is taken.")
            .within(64 * 1024..=1 << 32)
            .or(default.max_message_size),
        max_recipients: section
            .count("max-recipients", "Most recipients of one message; the sender brings the rest in another.")
            .within(1..=10_000)
            .or(default.max_recipients),
        max_messages: section
            .count("max-messages", "Most messages on one connection.")
            .within(1..=1_000_000)
            .or(default.max_messages),
        max_errors: section
            .count("max-errors", "Faults of grammar and order after which a connection ends.")
            .within(1..=1000)
            .or(default.max_errors),
        max_refusals: section
            .count("max-refusals", "Refusals in a row after which a connection ends.")
            .within(1..=100_000)
            .or(default.max_refusals),
        login_failures: section
            .count("login-failures", "Failed logins after which a connection ends.")
            .within(1..=100)
            .or(default.login_failures),
        failure_delay: section
            .duration("failure-delay", "Pause after the first failed login; each further one doubles it.")
            .within(Duration::ZERO..=Duration::from_secs(10))
            .or(default.failure_delay),
        command_timeout: section
            .duration("command-timeout", "How long to wait for a command.")
            .within(second..=hour)
            .or(default.command_timeout),
        data_timeout: section
            .duration("data-timeout", "How long to wait for the next piece of a message.")
            .within(second..=hour)
            .or(default.data_timeout),
        message_timeout: section
            .duration("message-timeout", "How long one message may take in all.")
            .within(second..=24 * hour)
            .or(default.message_timeout),
    }
}

fn check_banner(text: &str) -> Result<(), String> {
    if text.len() > BANNER_MAX || text.chars().any(char::is_control) {
        return Err(format!("a banner is one line of at most {BANNER_MAX} octets"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Config, config::Problems> {
        config::Tree::from_text("test", text, &|_| None).decode(decode)
    }

    #[test]
    fn options_are_read() {
        let text = "listen \"127.0.0.1:2587\"\nlisten \"[::1]:2465\" tls=#true\ninsecure-auth #true\n\
                    login-failures 2\nfailure-delay \"0s\"";
        let config = read(text).unwrap();
        assert_eq!(config.listen.len(), 2);
        assert_eq!(config.listen[1].tls, ListenTls::Implicit);
        assert_eq!((config.insecure_auth, config.login_failures), (InsecureAuth::Allowed, 2));
        assert_eq!(config.failure_delay, Duration::ZERO);
        assert_eq!(read("").unwrap(), Config::default());
    }

    #[test]
    fn mistakes_are_told_apart() {
        for text in ["max-recipients 0", "insecure-auth 1", "banner \"a\\nb\"", "listen", "login-failures 0"]
        {
            assert!(read(text).is_err(), "{text}");
        }
        let problems = read("insecure-aut #true").unwrap_err().to_string();
        assert!(problems.contains("insecure-auth"), "{problems}");
    }
}
