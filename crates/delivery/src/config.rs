//! The `delivery { … }` node: ports, schedule, smarthost, limits.

use crate::route::Exit;
use crate::schedule::{FACTOR_MAX, Retry};
use crate::tls_config::{self, TlsConfig};
use config::{Arg, Section};
use mail::Domain;
use std::fmt;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;
use storage::FailingRule;

const SECOND: Duration = Duration::from_secs(1);
const HOUR: Duration = Duration::from_secs(3600);
const DAY: Duration = Duration::from_secs(24 * 3600);

/// Checked options of outgoing mail.
#[derive(Clone, Debug, PartialEq)]
pub struct Config {
    /// Whether mail may leave this server at all.
    pub exit: Exit,
    /// Port of the mail hosts that the DNS names.
    pub port: u16,
    /// The name that we say in EHLO; without it, the server's own.
    pub hostname: Option<Domain>,
    /// Takes all mail that leaves, instead of the hosts in the DNS.
    pub smarthost: Option<Smarthost>,
    pub retry: Retry,
    /// Attempts at the same time, in all.
    pub concurrency: usize,
    /// Attempts at the same time to one domain, or to the smarthost.
    pub per_destination: usize,
    /// Most recipients of one transaction (RFC 5321 §4.5.3.1.8 makes each server take 100).
    pub recipients: usize,
    /// How long one connection may take to come about.
    pub connect_timeout: Duration,
    /// How long an idle connection is kept for the next message; zero keeps none.
    pub reuse: Duration,
    /// Addresses to connect from: at most one of each family.
    pub source_addresses: Vec<IpAddr>,
    /// Certificates that are trusted beside the usual ones, as PEM.
    pub ca_file: Option<PathBuf>,
    /// How the way to the hosts that the DNS names is protected.
    pub tls: TlsConfig,
    /// How long running attempts may go on when the server stops.
    pub stop_grace: Duration,
    /// Largest message that a failure notice carries whole, in octets; of a larger one only the header goes back.
    pub notice_max: u64,
    /// How long it is kept what each attempt came to.
    pub keep_attempts: Duration,
    /// When an address that is refused again and again gets no more mail; `None`: never by itself.
    pub suppress: Option<FailingRule>,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            exit: Exit::Open,
            port: 25,
            hostname: None,
            smarthost: None,
            retry: Retry::default(),
            concurrency: 50,
            per_destination: 5,
            recipients: 100,
            connect_timeout: Duration::from_secs(30),
            reuse: Duration::from_secs(5),
            source_addresses: Vec::new(),
            ca_file: None,
            tls: TlsConfig::default(),
            stop_grace: Duration::from_secs(10),
            notice_max: 1024 * 1024,
            keep_attempts: 14 * DAY,
            suppress: Some(FailingRule { after: 3, within: 30 * 24 * 3600, keep: 30 * 24 * 3600 }),
        }
    }
}

/// Another server that takes all mail that leaves.
#[derive(Clone, Debug, PartialEq)]
pub struct Smarthost {
    pub host: Domain,
    pub port: u16,
    pub security: Security,
    pub login: Option<Login>,
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

/// Reads the node.
pub fn decode(section: &mut Section<'_>) -> Config {
    let usual = Config::default();
    let remote = section
        .flag("remote", "Whether mail may leave; without it this server delivers to its own domains only.")
        .or(usual.exit == Exit::Open);
    let (keep_attempts, suppress) = decode_memory(section, &usual);
    Config {
        exit: if remote { Exit::Open } else { Exit::Closed },
        port: section
            .count("port", "Port of the mail hosts that the DNS names.")
            .within(1..=u16::MAX)
            .or(usual.port),
        hostname: section
            .parsed(
                "hostname",
                "a domain name",
                Domain::parse,
                "The name said in EHLO; default: the server's hostname.",
            )
            .optional(),
        smarthost: section
            .child_if_present(
                "smarthost",
                "Another server that takes all mail that leaves.",
                decode_smarthost,
            )
            .flatten(),
        retry: section.child("retry", "When mail that could not be delivered is tried again.", decode_retry),
        concurrency: section
            .count("concurrency", "Deliveries at the same time, in all.")
            .within(1..=10_000)
            .or(usual.concurrency),
        per_destination: section
            .count("concurrency-per-destination", "Deliveries at the same time to one domain.")
            .within(1..=1000)
            .or(usual.per_destination),
        recipients: section
            .count("recipients", "Most recipients of one transaction.")
            .within(1..=10_000)
            .or(usual.recipients),
        connect_timeout: section
            .duration("connect-timeout", "How long a connection may take to come about.")
            .within(SECOND..=HOUR)
            .or(usual.connect_timeout),
        reuse: section
            .duration("reuse", "How long an idle connection is kept for the next message; \"0s\" keeps none.")
            .within(Duration::ZERO..=Duration::from_secs(300))
            .or(usual.reuse),
        source_addresses: decode_sources(section),
        ca_file: section
            .path("ca-file", "Certificates that are trusted beside the usual ones (PEM).")
            .check(|path| readable(path))
            .optional(),
        tls: section.child("tls", "How the way to other servers is protected.", tls_config::decode),
        stop_grace: section
            .duration("stop-grace", "How long running deliveries may go on when the server stops.")
            .within(Duration::ZERO..=HOUR)
            .or(usual.stop_grace),
        notice_max: section
            .size("notice-max", "Largest message that a failure notice carries whole.")
            .within(0..=64 << 20)
            .or(usual.notice_max),
        keep_attempts,
        suppress,
    }
}

fn decode_retry(section: &mut Section<'_>) -> Retry {
    let usual = Retry::default();
    let retry = Retry {
        first: section
            .duration(
                "first",
                "Wait after the first failure; each wait is then `factor` times the one before.",
            )
            .within(SECOND..=DAY)
            .or(usual.first),
        factor: section.number("factor", "Growth of the waits.").within(1.0..=FACTOR_MAX).or(usual.factor),
        max: section.duration("max", "No wait is longer.").within(SECOND..=7 * DAY).or(usual.max),
        delays: section
            .duration(
                "delays",
                "The waits one after the other, the last of them repeated, instead of `first`, `factor` and `max`.",
            )
            .within(SECOND..=7 * DAY)
            .many(),
        give_up: section
            .duration("give-up", "Age at which a message goes back to its sender.")
            .within(SECOND..=30 * DAY)
            .or(usual.give_up),
        delay_notice: Some(
            section
                .duration(
                    "delay-notice",
                    "Age at which the sender is told of the delay; \"0s\" tells nobody.",
                )
                .within(Duration::ZERO..=30 * DAY)
                .or(usual.delay_notice.unwrap_or_default()),
        )
        .filter(|age| !age.is_zero()),
    };
    if !retry.delays.is_empty() && ["first", "factor", "max"].iter().any(|key| section.has(key)) {
        section.problem(
            section.span(),
            "`delays` stands beside `first`, `factor` or `max`",
            "say either all waits one after the other, or how they grow",
        );
    }
    if retry.first > retry.max {
        section.problem(
            section.span(),
            "`first` is longer than `max`",
            "make `max` at least as long as `first`",
        );
    }
    retry
}

/// What is remembered of attempts and of addresses.
fn decode_memory(section: &mut Section<'_>, usual: &Config) -> (Duration, Option<FailingRule>) {
    let keep_attempts = section
        .duration("keep-attempts", "How long it is kept what each attempt came to, for `maddy queue show`.")
        .within(HOUR..=365 * DAY)
        .or(usual.keep_attempts);
    let suppress = section.child(
        "suppress",
        "When an address that hosts refuse again and again gets no more mail.",
        decode_suppress,
    );
    (keep_attempts, suppress)
}

fn decode_suppress(section: &mut Section<'_>) -> Option<FailingRule> {
    let seconds = |time: Duration| i64::try_from(time.as_secs()).unwrap_or(i64::MAX);
    let after = section
        .count("after", "Refusals in a row, with no delivery between, after which it gets no more; 0: never.")
        .within(0..=1000)
        .or(3);
    let within = section
        .duration("within", "Refusals count that lie no further apart than this, from first to last.")
        .within(HOUR..=365 * DAY)
        .or(30 * DAY);
    let keep = section
        .duration("keep", "How long it gets nothing; then it is tried again.")
        .within(HOUR..=365 * DAY)
        .or(30 * DAY);
    (after > 0).then(|| FailingRule { after, within: seconds(within), keep: seconds(keep) })
}

/// Reads host, port, TLS and login of a server that takes mail for others.
pub fn decode_smarthost(section: &mut Section<'_>) -> Option<Smarthost> {
    const DOC: &str = "Name or address, and port (default 587; 465 with tls=\"implicit\").";
    let server = section.parsed(Arg("server"), "a host name and a port", HostPort::parse, DOC).required();
    let implicit = server.as_ref().is_some_and(|server| server.port == Some(465));
    let usual = if implicit { Security::Implicit } else { Security::Required };
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
    let server = server?;
    let port = server.port.unwrap_or(if security == Security::Implicit { 465 } else { 587 });
    Some(Smarthost { host: server.host, port, security, login })
}

fn decode_sources(section: &mut Section<'_>) -> Vec<IpAddr> {
    let addresses =
        section.ip("source-address", "Address to connect from; one of each family may stand here.").many();
    for is_v4 in [true, false] {
        if addresses.iter().filter(|ip| ip.is_ipv4() == is_v4).count() > 1 {
            let family = if is_v4 { "IPv4" } else { "IPv6" };
            section.problem(
                section.span(),
                format!("`source-address` names more than one {family} address"),
                "name one of each family at most",
            );
        }
    }
    addresses
}

fn readable(path: &Path) -> Result<(), String> {
    std::fs::File::open(path)
        .map(drop)
        .map_err(|error| format!("must be readable, but {}: {error}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use config::Tree;

    fn read(text: &str) -> Result<Config, String> {
        Tree::from_text("test", text, &|_| None)
            .decode(|top| top.child("delivery", "", decode))
            .map_err(|problems| problems.to_string())
    }

    #[test]
    fn nothing_gives_the_defaults() {
        assert_eq!(read("").unwrap(), Config::default());
        assert_eq!(read("delivery { }").unwrap(), Config::default());
    }

    #[test]
    fn everything_is_read() {
        let dir = tempfile::tempdir().unwrap();
        let secret = dir.path().join("secret");
        std::fs::write(&secret, "x\n").unwrap();
        let got = read(&format!(
            r#"delivery {{
                remote #false; port 2525
                hostname "Out.example.org"
                smarthost "smtp.relay.example:587" {{ user "me"; password-file "{0}" }}
                retry {{ first "10s"; factor 1.5; max "1h"; give-up "2d"; delay-notice "0s" }}
                concurrency 7; concurrency-per-destination 2; recipients 10
                connect-timeout "5s"; reuse "0s"; stop-grace "1s"; notice-max "10KiB"; keep-attempts "1d"
                suppress {{ after 5; within "7d"; keep "2h" }}
                source-address "192.0.2.1" "2001:db8::1"
                ca-file "{0}"
            }}"#,
            secret.display()
        ));
        let want = Config {
            exit: Exit::Closed,
            port: 2525,
            hostname: Some(Domain::parse("out.example.org").unwrap()),
            smarthost: Some(Smarthost {
                host: Domain::parse("smtp.relay.example").unwrap(),
                port: 587,
                security: Security::Required,
                login: Some(Login { user: "me".into(), password_file: secret.clone() }),
            }),
            retry: Retry {
                first: Duration::from_secs(10),
                factor: 1.5,
                max: HOUR,
                give_up: 2 * DAY,
                delay_notice: None,
                delays: Vec::new(),
            },
            concurrency: 7,
            per_destination: 2,
            recipients: 10,
            connect_timeout: Duration::from_secs(5),
            reuse: Duration::ZERO,
            source_addresses: vec!["192.0.2.1".parse().unwrap(), "2001:db8::1".parse().unwrap()],
            ca_file: Some(secret),
            tls: TlsConfig::default(),
            stop_grace: SECOND,
            notice_max: 10 * 1024,
            keep_attempts: DAY,
            suppress: Some(FailingRule { after: 5, within: 7 * 24 * 3600, keep: 2 * 3600 }),
        };
        assert_eq!(got, Ok(want));
    }

    #[test]
    fn waits_can_be_listed_and_suppression_left_off() {
        let got = read("delivery { retry { delays \"2s\" \"1m\" }; suppress { after 0 } }").unwrap();
        assert_eq!(got.retry.delays, [2 * SECOND, Duration::from_secs(60)]);
        assert_eq!(got.suppress, None);
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
            let smarthost = read(&format!("delivery {{ smarthost {text} }}")).unwrap().smarthost.unwrap();
            let got = format!("{} {} {:?}", smarthost.host, smarthost.port, smarthost.security);
            assert_eq!(got, want, "{text}");
        }
    }

    #[test]
    fn mistakes_are_said() {
        for (text, want) in [
            ("port 0", "`port` must be between 1 and 65535, not 0"),
            ("retry { factor 0.5 }", "`factor` must be between 1 and 10, not 0.5"),
            ("retry { first \"5h\" }", "`first` is longer than `max`"),
            ("retry { delays \"5m\"; factor 3 }", "`delays` stands beside `first`"),
            ("retry { delays \"0s\" }", "`delays` must be between"),
            ("smarthost \"a:b\"", "b is no port"),
            ("smarthost \"a.example\" { user \"x\" }", "`user` needs a `password-file`"),
            ("smarthost \"a.example\" { password-file \"/dev/null\" }", "`password-file` needs a `user`"),
            (
                "smarthost \"a.example\" tls=\"none\" { user \"x\"; password-file \"/dev/null\" }",
                "the password would travel without a verified TLS connection",
            ),
            (
                "source-address \"192.0.2.1\" \"192.0.2.2\"",
                "`source-address` names more than one IPv4 address",
            ),
            ("ca-file \"/nonexistent/ca\"", "must be readable"),
            ("smart \"x\"", "smart"),
        ] {
            let got = read(&format!("delivery {{ {text} }}")).unwrap_err();
            assert!(got.contains(want), "{text}\n{got}");
        }
    }
}
