//! The options that the nodes `smtp` and `submission` have in common.

use ::config::Section;
use net::{Listen, decode_listen};
use std::time::Duration;

/// Longest banner in octets, so that the greeting fits a reply line (RFC 5321 §4.5.3.1.5).
const BANNER_MAX: usize = 200;

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

impl Config {
    /// The defaults of a door that listens there and takes so many recipients.
    pub fn usual(listen: Vec<Listen>, max_recipients: usize) -> Self {
        Self {
            listen,
            banner: "ESMTP".to_owned(),
            max_message_size: 50 * 1024 * 1024,
            max_recipients,
            max_messages: 1000,
            max_errors: 20,
            max_refusals: 100,
            command_timeout: Duration::from_secs(300),
            data_timeout: Duration::from_secs(300),
            message_timeout: Duration::from_secs(2 * 3600),
        }
    }

    /// Reads them from the node of a door, with its defaults.
    pub fn decode(section: &mut Section<'_>, usual: Self) -> Self {
        let listen = decode_listen(section);
        let second = Duration::from_secs(1);
        let hour = Duration::from_secs(3600);
        Self {
            listen: if listen.is_empty() { usual.listen } else { listen },
            banner: section
                .text("banner", "What stands behind the host name in the greeting.")
                .check(|text| check_banner(text))
                .or(usual.banner),
            max_message_size: section
                .size("max-message-size", "Largest message that is taken.")
                .within(64 * 1024..=1 << 32)
                .or(usual.max_message_size),
            max_recipients: section
                .count(
                    "max-recipients",
                    "Most recipients of one message; the sender brings the rest in another.",
                )
                .within(1..=10_000)
                .or(usual.max_recipients),
            max_messages: section
                .count("max-messages", "Most messages on one connection.")
                .within(1..=1_000_000)
                .or(usual.max_messages),
            max_errors: section
                .count("max-errors", "Faults of grammar and order after which a connection ends.")
                .within(1..=1000)
                .or(usual.max_errors),
            max_refusals: section
                .count(
                    "max-refusals",
                    "Refusals in a row, of recipients as a rule, after which a connection ends.",
                )
                .within(1..=100_000)
                .or(usual.max_refusals),
            command_timeout: section
                .duration("command-timeout", "How long to wait for a command.")
                .within(second..=hour)
                .or(usual.command_timeout),
            data_timeout: section
                .duration("data-timeout", "How long to wait for the next piece of a message.")
                .within(second..=hour)
                .or(usual.data_timeout),
            message_timeout: section
                .duration("message-timeout", "How long one message may take in all.")
                .within(second..=24 * hour)
                .or(usual.message_timeout),
        }
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
    use net::ListenTls;

    fn usual() -> Config {
        Config::usual(vec![Listen::anywhere(25, ListenTls::StartTls)], 100)
    }

    fn read(text: &str) -> Result<Config, ::config::Problems> {
        ::config::Tree::from_text("test", text, &|_| None).decode(|section| Config::decode(section, usual()))
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
        assert_eq!(read("").unwrap(), usual());
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
