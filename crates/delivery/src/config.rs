//! The `delivery { … }` node: ports, schedule, smarthost, limits.

use crate::daily;
pub use crate::next_host::{Login, Protocol, Security, Smarthost, Tells, decode_smarthost};
use crate::next_host::{decode_next_host, readable};
use crate::route::Exit;
use crate::schedule::{FACTOR_MAX, Retry};
use crate::tls_config::{self, TlsConfig};
use crate::ways;
pub use crate::ways::{Family, Pattern, Route};
use config::Section;
use mail::Domain;
use policy::Rate;
use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;
use storage::{DailyLimits, FailingRule};

const SECOND: Duration = Duration::from_secs(1);
const HOUR: Duration = Duration::from_secs(3600);
const DAY: Duration = Duration::from_secs(24 * 3600);
const TLS: &str = "How the way to other servers is protected.";
const SMARTHOST: &str = "Another server that takes all mail that leaves.";

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
    /// Other ways for some mail.
    pub routes: Vec<Route>,
    /// Which addresses of hosts are tried.
    pub family: Family,
    pub retry: Retry,
    /// Attempts at the same time, in all.
    pub concurrency: usize,
    /// Attempts at the same time to one domain, or to the smarthost.
    pub per_destination: usize,
    /// Attempts at the same time to all domains of one provider.
    pub per_provider: usize,
    /// Messages to one domain, or to the smarthost, in a time; `None`: no limit.
    pub rate: Option<Rate>,
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
    /// What becomes of mail that its own domain's DMARC policy would have refused.
    pub egress_auth: EgressAuth,
    /// What each sender may send in a day.
    pub daily_limits: DailyLimits,
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
            routes: Vec::new(),
            family: Family::Any,
            retry: Retry::default(),
            concurrency: 50,
            per_destination: 5,
            per_provider: 20,
            rate: None,
            recipients: 100,
            connect_timeout: Duration::from_secs(30),
            reuse: Duration::from_secs(5),
            source_addresses: Vec::new(),
            ca_file: None,
            tls: TlsConfig::default(),
            egress_auth: EgressAuth::Report,
            daily_limits: daily::usual_limits(),
            stop_grace: Duration::from_secs(10),
            notice_max: 1024 * 1024,
            keep_attempts: 14 * DAY,
            suppress: Some(FailingRule { after: 3, within: 30 * 24 * 3600, keep: 30 * 24 * 3600 }),
        }
    }
}

/// What becomes of mail that its own domain's DMARC policy would have refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EgressAuth {
    /// It goes out; the log says so.
    Report,
    /// It waits until the records are right.
    Strict,
}

/// Reads the node.
pub fn decode(section: &mut Section<'_>) -> Config {
    let usual = Config::default();
    let remote = section
        .flag("remote", "Whether mail may leave; without it this server delivers to its own domains only.")
        .or(usual.exit == Exit::Open);
    let (keep_attempts, suppress) = decode_memory(section, &usual);
    let (per_provider, rate) = decode_pace(section, &usual);
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
        smarthost: section.child_if_present("smarthost", SMARTHOST, decode_smarthost).flatten(),
        routes: ways::decode(section, decode_next_host),
        family: section
            .choice("family", &Family::WORDS, "Which addresses of mail hosts are tried, and which first.")
            .or(usual.family),
        retry: section.child("retry", "When mail that could not be delivered is tried again.", decode_retry),
        concurrency: section
            .count("concurrency", "Deliveries at the same time, in all.")
            .within(1..=10_000)
            .or(usual.concurrency),
        per_destination: section
            .count("concurrency-per-destination", "Deliveries at the same time to one domain.")
            .within(1..=1000)
            .or(usual.per_destination),
        per_provider,
        rate,
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
        tls: section.child("tls", TLS, tls_config::decode),
        egress_auth: decode_egress_auth(section, usual.egress_auth),
        daily_limits: section.child("daily-limits", daily::DOC, daily::decode),
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

fn decode_egress_auth(section: &mut Section<'_>, usual: EgressAuth) -> EgressAuth {
    const DOC: &str = "What becomes of mail of a domain of ours that would fail the domain's own DMARC policy: it is said in the log, or the mail waits and postmaster is told.";
    let words = [("report", EgressAuth::Report), ("strict", EgressAuth::Strict)];
    section.choice("egress-auth", &words, DOC).or(usual)
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

/// How much others get.
fn decode_pace(section: &mut Section<'_>, usual: &Config) -> (usize, Option<Rate>) {
    let per_provider = section
        .count(
            "concurrency-per-provider",
            "Deliveries at the same time to all domains whose mail one provider takes; fewer while it says 421 or the like.",
        )
        .within(1..=10_000)
        .or(usual.per_provider);
    let rate = section
        .parsed(
            "rate-per-destination",
            "a rate like \"60/1m\"",
            Rate::parse,
            "Messages to one domain, or to the smarthost, as \"600/1m\"; without it there is no limit.",
        )
        .optional();
    (per_provider, rate)
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

pub(crate) fn decode_sources(section: &mut Section<'_>) -> Vec<IpAddr> {
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
                egress-auth "strict"
                remote #false; port 2525
                hostname "Out.example.org"
                smarthost "smtp.relay.example:587" {{ user "me"; password-file "{0}" }}
                retry {{ first "10s"; factor 1.5; max "1h"; give-up "2d"; delay-notice "0s" }}
                concurrency 7; concurrency-per-destination 2; recipients 10; family "ipv4-only"
                concurrency-per-provider 9; rate-per-destination "600/1m"
                connect-timeout "5s"; reuse "0s"; stop-grace "1s"; notice-max "10KiB"; keep-attempts "1d"
                suppress {{ after 5; within "7d"; keep "2h" }}
                daily-limits {{ messages 0; new-recipients 70 }}
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
                protocol: Protocol::Smtp,
                socket: None,
                tells: Tells::Nobody,
            }),
            routes: Vec::new(),
            family: Family::V4Only,
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
            per_provider: 9,
            rate: Some(Rate::parse("600/1m").unwrap()),
            recipients: 10,
            connect_timeout: Duration::from_secs(5),
            reuse: Duration::ZERO,
            source_addresses: vec!["192.0.2.1".parse().unwrap(), "2001:db8::1".parse().unwrap()],
            ca_file: Some(secret),
            tls: TlsConfig::default(),
            egress_auth: EgressAuth::Strict,
            daily_limits: DailyLimits { messages: None, new_recipients: Some(70) },
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
    fn routes_are_read() {
        let got = read(
            r#"delivery {
                route "store" { recipients "example.net" "*.example.net"; to "unix:/run/store/lmtp" }
                route "near" { senders "a@example.org" "<>"; to "192.0.2.9" protocol="lmtp"; concurrency 3 }
                route "six" { recipients "v6.example"; family "ipv6-only"; source-address "2001:db8::5"; rate "5/1s" }
                route "relay" { to "relay.example:25" tls="opportunistic" }
            }"#,
        )
        .unwrap();
        let shown: Vec<String> = got
            .routes
            .iter()
            .map(|route| match &route.to {
                Some(to) => format!("{} {} {:?} {:?}", route.name, to.place(), to.protocol, to.security),
                None => format!(
                    "{} {:?} {:?} {:?}",
                    route.name,
                    route.family,
                    route.source_addresses,
                    route.rate.is_some()
                ),
            })
            .collect();
        assert_eq!(
            shown,
            [
                "store unix:/run/store/lmtp Lmtp None",
                "near [192.0.2.9]:24 Lmtp None",
                "six V6Only [2001:db8::5] true",
                "relay relay.example:25 Smtp Opportunistic",
            ]
        );
        assert_eq!((got.routes[0].recipients.len(), got.routes[1].senders.len()), (2, 2));
        assert_eq!(got.routes[1].concurrency, Some(3));
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
            ("route \"a\" { recipients \"a@b\" }", "a route is for whole domains"),
            ("route \"a\" { }; route \"a\" { }", "two routes are called \"a\""),
            ("route \"a\" { to \"unix:x\" }", "begins with a slash"),
            ("route \"a\" { to \"unix:/x\" tls=\"required\" }", "there is no TLS on a Unix socket"),
            ("smart \"x\"", "smart"),
        ] {
            let got = read(&format!("delivery {{ {text} }}")).unwrap_err();
            assert!(got.contains(want), "{text}\n{got}");
        }
    }
}
