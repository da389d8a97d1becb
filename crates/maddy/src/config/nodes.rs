//! Nodes of the configuration with what they are for.

use super::{Log, NOTIFICATIONS};
use crate::login::Logins;
use crate::notifications::Notifications;
use crate::otlp::OtlpConfig;
use crate::setup::{DoctorOptions, decode_doctor};
use crate::trace::TraceConfig;
use ::config::Section;
use delivery::reports::ReportsConfig;
use mail::Address;
use net::{BanOptions, DnsUpdateOptions, Limits, TlsOptions, decode_dns_update};
use std::time::Duration;
use submission::local::LocalConfig;
use world::DnsOptions;

/// How long sessions and deliveries may go on when the server stops.
const STOP_TIMEOUT: Duration = Duration::from_secs(20);

/// What is told of what happens, and to whom.
pub(super) fn told(section: &mut Section<'_>) -> (Log, TraceConfig, OtlpConfig) {
    let log = section.child("log", "The log, on standard error.", crate::logging::decode);
    let trace = section.child(
        "trace",
        "What happens to each message, kept for `maddy trace` (docs/trace.md).",
        crate::trace::decode,
    );
    let otlp = section.child(
        "otlp",
        "A collector that gets what is logged, and the spans around it (OpenTelemetry, OTLP over HTTP with JSON).",
        crate::otlp::decode,
    );
    (log, trace, otlp)
}

/// Whose the process is, and what it may do.
pub(super) fn least_privilege(section: &mut Section<'_>) -> (Option<String>, guard::Sandbox) {
    let user = section
        .text(
            "user",
            "Who the server is once its ports are open, if root starts it; without it root is refused. \"root\" keeps root.",
        )
        .optional();
    let sandbox = section.child(
        "sandbox",
        "What the kernel keeps the server from: other files, and calls that it has no use for (docs/security.md).",
        guard::config::decode,
    );
    (user, sandbox)
}

/// How many may come, who may not, and how often they may guess.
pub(super) fn connections(section: &mut Section<'_>) -> (Limits, BanOptions, Logins) {
    let limits = section.child("limits", "How many connections there may be.", net::config::decode_limits);
    let bans = section.child(
        "bans",
        "Who is not let in for a while: who guesses passwords, or is sent away for errors too often (docs/security.md).",
        net::config::decode_bans,
    );
    let logins = section.child("logins", "How often passwords may be guessed.", Logins::decode);
    (limits, bans, logins)
}

pub(super) fn stop_timeout(section: &mut Section<'_>) -> Duration {
    section
        .duration("stop-timeout", "How long sessions and deliveries may go on when the server stops.")
        .within(Duration::ZERO..=Duration::from_secs(600))
        .or(STOP_TIMEOUT)
}

pub(super) fn reports(section: &mut Section<'_>) -> ReportsConfig {
    section.child(
        "reports",
        "What others report about our domains (DMARC, TLS): `maddy reports` shows it.",
        ReportsConfig::decode,
    )
}

/// The judges of what comes from elsewhere: our own checks, and filters.
pub(super) fn judges(section: &mut Section<'_>) -> (policy::Config, policy::filter::Filters) {
    let checks = section.child(
        "checks",
        "What is checked of mail from other servers, and what follows: \"none\", \"mark\" (a field X-Junk-Reason), \"quarantine\" (to Junk, with the field), \"reject\", \"defer\".",
        policy::config::decode,
    );
    let filters = section.child(
        "filters",
        "Filters of your own: each is asked about every message from other servers.",
        policy::filter::decode,
    );
    (checks, filters)
}

pub(super) fn local_programs(section: &mut Section<'_>) -> (LocalConfig, Option<Notifications>) {
    let sendmail = section.child(
        "sendmail",
        "Mail from programs of this machine, which call `sendmail` (docs/sending.md).",
        submission::local::decode_local,
    );
    let notifications = section.child_if_present(
        NOTIFICATIONS,
        "Makes this a server that carries the notices of one machine to a few people, through another server, and does nothing else.",
        crate::notifications::decode,
    );
    (sendmail, notifications.flatten())
}

pub(super) fn web(section: &mut Section<'_>) -> web::Config {
    section.child(
        "web",
        "Pages for mail programs and other servers, proofs for certificates, metrics. Off without `listen`.",
        web::decode,
    )
}

pub(super) fn doctor(section: &mut Section<'_>) -> DoctorOptions {
    section.child(
        "doctor",
        "How the server looks after itself while it runs: what `maddy doctor` finds, in the log and for postmaster (docs/setup.md).",
        decode_doctor,
    )
}

/// How the DNS is asked, and how our own zones are changed.
pub(super) fn dns(section: &mut Section<'_>) -> (DnsOptions, Option<DnsUpdateOptions>) {
    section.child("dns", "How the DNS is asked, and how our own zones are changed.", |dns| {
        let options = crate::dns::decode(dns);
        let doc = "Where changes of our zones are asked for: by `maddy dns apply`, for new signing keys, and by certificates with `dns-update`.";
        (options, dns.child_if_present("update", doc, decode_dns_update).flatten())
    })
}

/// What one node says of changes to zones, another must make possible.
pub(super) fn refuse_missing_update(
    section: &Section<'_>,
    tls: &TlsOptions,
    update: Option<&DnsUpdateOptions>,
) {
    if let TlsOptions::Acme(options) = tls
        && options.dns_update
        && update.is_none()
    {
        let help = "name the name server of your zones: dns { update \"192.0.2.1:53\" { key \"maddy\" secret=\"…\"; }; }";
        section.problem(section.child_span("tls"), "`acme { dns-update }` needs `dns { update }`", help);
    }
}

pub(super) fn control(section: &mut Section<'_>) -> web::ControlConfig {
    section.child(
        "control",
        "What `maddy` commands do, over TCP for programs elsewhere, with a token (docs/control.md). Off without `listen`.",
        web::decode_control,
    )
}

pub(super) fn dkim(section: &mut Section<'_>) -> policy::SigningConfig {
    section.child("dkim", "Signatures on what our own users send.", policy::config::decode_signing)
}

pub(super) fn postmaster(section: &mut Section<'_>) -> Option<Address> {
    section
        .parsed(
            "postmaster",
            "an address",
            Address::parse,
            "Who gets the mail to postmaster; the first account if not given.",
        )
        .optional()
}

pub(super) fn subaddress(section: &mut Section<'_>) -> Option<char> {
    section
        .parsed(
            "subaddress",
            "one character, or \"\" for none",
            Separator::parse,
            "What divides name and tag in name+tag@domain.",
        )
        .or(Separator(Some('+')))
        .0
}

/// The character of subaddresses, if they are on.
struct Separator(Option<char>);

impl Separator {
    fn parse(text: &str) -> Result<Self, String> {
        let mut chars = text.chars();
        match (chars.next(), chars.next()) {
            (None, _) => Ok(Self(None)),
            (Some(c), None) if "+-_=.#!~".contains(c) => Ok(Self(Some(c))),
            _ => Err("use one of + - _ = . # ! ~".to_owned()),
        }
    }
}

impl std::fmt::Display for Separator {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.map_or(Ok(()), |c| write!(f, "{c}"))
    }
}
