//! Options of the node `smtp`.

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
    /// With the first octet: for private networks; strangers do not know of it.
    Implicit,
}

/// The checked options.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    pub listen: Vec<Listen>,
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
    /// How long to wait for a command.
    pub command_timeout: Duration,
    /// How long to wait for the next octets of a message.
    pub data_timeout: Duration,
    /// How long a message may take in all.
    pub message_timeout: Duration,
}

impl Default for Config {
    fn default() -> Self {
        let any = SocketAddr::from((Ipv6Addr::UNSPECIFIED, 25));
        Self {
            listen: vec![Listen { address: any, tls: ListenTls::StartTls }],
            banner: "ESMTP".to_owned(),
            max_message_size: 50 * 1024 * 1024,
            max_recipients: 100,
            max_messages: 1000,
            max_errors: 20,
            max_refusals: 100,
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
    let second = Duration::from_secs(1);
    let hour = Duration::from_secs(3600);
    Config {
        listen: if listen.is_empty() { default.listen } else { listen },
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
            .count(
                "max-refusals",
                "Refusals in a row, of recipients as a rule, after which a connection ends.",
            )
            .within(1..=100_000)
            .or(default.max_refusals),
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
        let text =
            "listen \"127.0.0.1:2025\"\nmax-message-size \"1MiB\"\nmax-recipients 5\nbanner \"ESMTP ready\"";
        let config = read(text).unwrap();
        assert_eq!(
            config.listen,
            [Listen { address: "127.0.0.1:2025".parse().unwrap(), tls: ListenTls::StartTls }]
        );
        assert_eq!((config.max_message_size, config.max_recipients), (1024 * 1024, 5));
        assert_eq!(config.banner, "ESMTP ready");
        assert_eq!(read("").unwrap(), Config::default());
    }

    #[test]
    fn mistakes_are_told_apart() {
        for text in
            ["max-recipients 0", "max-message-size 1", "banner \"a\\nb\"", "listen", "command-timeout \"0s\""]
        {
            assert!(read(text).is_err(), "{text}");
        }
        let problems = read("max-recipient 5").unwrap_err().to_string();
        assert!(problems.contains("max-recipients"), "{problems}");
    }
}
