//! The options that the nodes `smtp` and `submission` have in common.

use crate::rates::RateOptions;
use ::config::{Network, Section};
use net::{ClientCertificates, Listen, ListenTls, decode_listen_with};
use std::net::SocketAddr;
use std::time::Duration;

/// Longest banner in octets, so that the greeting fits a reply line (RFC 5321 §4.5.3.1.5).
const BANNER_MAX: usize = 200;

/// Where to listen, and what is demanded there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entrance {
    pub listen: Listen,
    pub clear: Clear,
}

/// Whether mail is taken without TLS.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Clear {
    Allowed,
    /// Nothing before STARTTLS but what leads to it (RFC 3207 §4).
    Refused,
}

impl Entrance {
    /// All addresses of this machine.
    pub fn anywhere(port: u16, tls: ListenTls) -> Self {
        Self { listen: Listen::anywhere(port, tls), clear: Clear::Allowed }
    }
}

/// The checked options.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    pub listen: Vec<Entrance>,
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
    /// Most commands in a row that bring no message (NOOP, RSET, EHLO, MAIL, …).
    pub max_idle_commands: usize,
    /// How long a connection may go on without a message.
    pub idle_timeout: Duration,
    /// Octets of messages that may be on their way in, over all connections.
    pub max_in_transit: u64,
    /// Who may speak for other clients with XCLIENT.
    pub xclient_from: Vec<Network>,
    /// Who may name the client of a message with XFORWARD.
    pub xforward_from: Vec<Network>,
    pub rates: RateOptions,
    /// How long to wait for a command.
    pub command_timeout: Duration,
    /// How long to wait for the next octets of a message.
    pub data_timeout: Duration,
    /// How long a message may take in all.
    pub message_timeout: Duration,
}

impl Config {
    /// The defaults of a door that listens there and takes so many recipients.
    pub fn usual(listen: Vec<Entrance>, max_recipients: usize) -> Self {
        Self {
            listen,
            banner: "ESMTP".to_owned(),
            max_message_size: 50 * 1024 * 1024,
            max_recipients,
            max_messages: 1000,
            max_errors: 20,
            max_refusals: 100,
            max_idle_commands: 100,
            idle_timeout: Duration::from_secs(30 * 60),
            max_in_transit: 1 << 30,
            xclient_from: Vec::new(),
            xforward_from: Vec::new(),
            rates: RateOptions::default(),
            command_timeout: Duration::from_secs(300),
            data_timeout: Duration::from_secs(300),
            message_timeout: Duration::from_secs(2 * 3600),
        }
    }

    /// Whether those who came to our address `local` must begin TLS.
    pub(crate) fn demands_tls_at(&self, local: SocketAddr) -> bool {
        let here = |entrance: &&Entrance| entrance.listen.is_at(local);
        self.listen.iter().filter(here).any(|entrance| entrance.clear == Clear::Refused)
    }

    /// Reads them from the node of a door, with its defaults. `certificates` reads from a node `listen` whether clients
    /// are asked for certificates.
    pub fn decode(
        section: &mut Section<'_>,
        usual: Self,
        certificates: fn(&mut Section<'_>) -> ClientCertificates,
    ) -> Self {
        let listen = decode_entrances(section, certificates);
        let idle = Idle::decode(section, &usual);
        let (xclient_from, xforward_from) = decode_trust(section);
        let rates = section.child(
            "rates",
            "How often the door may be used, as \"60/1m\": 60 at once, and then one a second. Without a rate there is no limit.",
            RateOptions::decode,
        );
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
            max_idle_commands: idle.commands,
            idle_timeout: idle.timeout,
            max_in_transit: section
                .size(
                    "max-in-transit",
                    "Messages that may be on their way in, over all connections; who comes beyond it is told to come again.",
                )
                .within(1 << 20..=1 << 40)
                .or(usual.max_in_transit),
            xclient_from,
            xforward_from,
            rates,
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

/// What ends a connection that brings nothing.
struct Idle {
    commands: usize,
    timeout: Duration,
}

impl Idle {
    fn decode(section: &mut Section<'_>, usual: &Config) -> Self {
        let commands = section
            .count("max-idle-commands", "Commands in a row without a message after which a connection ends.")
            .within(10..=100_000)
            .or(usual.max_idle_commands);
        let timeout = section
            .duration("idle-timeout", "How long a connection may go on without a message, whatever it says.")
            .within(Duration::from_secs(1)..=Duration::from_secs(24 * 3600))
            .or(usual.idle_timeout);
        Self { commands, timeout }
    }
}

fn decode_entrances(
    section: &mut Section<'_>,
    certificates: fn(&mut Section<'_>) -> ClientCertificates,
) -> Vec<Entrance> {
    let listen = decode_listen_with(section, |listen| (decode_clear(listen), certificates(listen)));
    let entrance = |(listen, (clear, certificates)): (Listen, (Clear, ClientCertificates))| Entrance {
        listen: Listen { certificates, ..listen },
        clear,
    };
    listen.into_iter().map(entrance).collect()
}

fn decode_clear(listen: &mut Section<'_>) -> Clear {
    let doc = "Take nothing before STARTTLS here. Not for the MX of a domain: some servers have no TLS.";
    if listen.flag("require-tls", doc).or(false) { Clear::Refused } else { Clear::Allowed }
}

fn decode_trust(section: &mut Section<'_>) -> (Vec<Network>, Vec<Network>) {
    let mut networks = |key: &'static str, doc: &str| {
        section.parsed(key, "an address or a network", Network::parse, doc).many()
    };
    let xclient = networks("xclient-from", "Who may speak for other clients (XCLIENT); may repeat.");
    let xforward =
        networks("xforward-from", "Who may say from which client a message is (XFORWARD); may repeat.");
    (xclient, xforward)
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

    fn usual() -> Config {
        Config::usual(vec![Entrance::anywhere(25, ListenTls::StartTls)], 100)
    }

    fn read(text: &str) -> Result<Config, ::config::Problems> {
        ::config::Tree::from_text("test", text, &|_| None)
            .decode(|section| Config::decode(section, usual(), |_| ClientCertificates::NotAsked))
    }

    #[test]
    fn options_are_read() {
        let text =
            "listen \"127.0.0.1:2025\"\nmax-message-size \"1MiB\"\nmax-recipients 5\nbanner \"ESMTP ready\"";
        let config = read(text).unwrap();
        assert_eq!(
            config.listen,
            [Entrance {
                listen: Listen {
                    address: "127.0.0.1:2025".parse().unwrap(),
                    ..Listen::anywhere(0, ListenTls::StartTls)
                },
                clear: Clear::Allowed,
            }]
        );
        let strict = read("listen \"[::]:25\" require-tls=#true\nlisten \"[::]:26\"").unwrap();
        assert!(strict.demands_tls_at("192.0.2.1:25".parse().unwrap()));
        assert!(!strict.demands_tls_at("192.0.2.1:26".parse().unwrap()));
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
