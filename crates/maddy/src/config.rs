//! The whole configuration: the order of its top-level nodes, and what can only be judged when all is known.

mod nodes;

use crate::cli::Trouble;
use crate::login::Logins;
use crate::notifications::Said;
use crate::otlp::OtlpConfig;
use crate::setup::DoctorOptions;
use crate::trace::TraceConfig;
use ::config::{OptionDoc, Problems, Section, Tree};
use delivery::Aliases;
use delivery::reports::ReportsConfig;
use mail::{Address, Domain};
use net::config::{CertificateFiles, decode_tls};
use net::{BanOptions, DnsUpdateOptions, Limits, TlsOptions};
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;
use submission::local::LocalConfig;
use world::DnsOptions;

/// Where the state is when nothing else is said.
const STATE_DIR: &str = "/var/lib/maddy";
/// Name of the control socket in the runtime directory.
const SOCKET: &str = "control.sock";
/// Name of the socket for programs of this machine in the runtime directory.
const SENDMAIL_SOCKET: &str = "sendmail.sock";
/// Name of the node that makes a server for one machine alone.
const NOTIFICATIONS: &str = "notifications";
/// Directory of the signing keys in the state directory.
const KEYS_DIR: &str = "dkim";

/// The checked configuration.
#[derive(Clone, Debug)]
pub(crate) struct Config {
    pub(crate) hostname: Domain,
    /// The domains whose mail ends here; never empty.
    pub(crate) domains: Vec<Domain>,
    pub(crate) tls: TlsOptions,
    pub(crate) postmaster: Option<Address>,
    pub(crate) subaddress: Option<char>,
    pub(crate) aliases: Aliases,
    pub(crate) log: Log,
    pub(crate) trace: TraceConfig,
    pub(crate) otlp: OtlpConfig,
    pub(crate) dns: DnsOptions,
    /// How our own zones are changed.
    pub(crate) dns_update: Option<DnsUpdateOptions>,
    pub(crate) runtime_dir: PathBuf,
    /// Who the process becomes, if root starts it.
    pub(crate) user: Option<String>,
    pub(crate) sandbox: guard::Sandbox,
    /// The directories of its files, and all paths that it names.
    pub(crate) paths: Vec<PathBuf>,
    pub(crate) stop_timeout: Duration,
    pub(crate) smtp: smtp_in::Config,
    pub(crate) checks: policy::Config,
    pub(crate) filters: policy::filter::Filters,
    pub(crate) dkim: policy::SigningConfig,
    pub(crate) reports: ReportsConfig,
    pub(crate) submission: submission::Config,
    pub(crate) sendmail: LocalConfig,
    pub(crate) imap: imap::Config,
    pub(crate) web: web::Config,
    pub(crate) control: web::ControlConfig,
    pub(crate) delivery: delivery::Config,
    pub(crate) limits: Limits,
    pub(crate) bans: BanOptions,
    pub(crate) logins: Logins,
    pub(crate) storage: storage::Config,
    pub(crate) doctor: DoctorOptions,
}

/// How the log looks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Log {
    pub(crate) level: Level,
    pub(crate) format: Format,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Level {
    Error,
    Warn,
    Info,
    Debug,
    Trace,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Format {
    Text,
    Json,
    Journal,
}

impl Default for Log {
    fn default() -> Self {
        Self { level: Level::Info, format: Format::Text }
    }
}

/// Where settings come from: a file, or for commands a state directory alone.
#[derive(Clone, Debug)]
pub(crate) struct Source {
    pub(crate) config: PathBuf,
    pub(crate) state_dir: Option<PathBuf>,
}

/// What a command must know of a mail server: where its daemon listens and where its state is.
#[derive(Clone, Debug)]
pub(crate) struct Place {
    pub(crate) socket: PathBuf,
    pub(crate) storage: storage::Config,
    /// Whose the state is to be, where a configuration tells.
    pub(crate) user: Option<String>,
    /// The domains whose mail ends here, where a configuration tells.
    pub(crate) domains: Option<Vec<Domain>>,
}

impl Source {
    /// Reads the file with all that it includes, and the certificates that it names.
    pub(crate) fn read(&self) -> Result<Config, Problems> {
        let files = CertificateFiles::Examined;
        Config::from_tree(&Tree::read(&self.config, &environment), files)
    }

    /// The same for whoever shows no certificates, and so may not even be able to read them.
    pub(crate) fn read_settings(&self) -> Result<Config, Problems> {
        let files = CertificateFiles::Unread;
        Config::from_tree(&Tree::read(&self.config, &environment), files)
    }

    pub(crate) fn place(&self) -> Result<Place, Trouble> {
        match &self.state_dir {
            Some(dir) if !dir.is_dir() => {
                let dir = dir.display();
                Err(Trouble::usage(format!(
                    "there is no directory {dir}; --state-dir names one that a server made"
                )))
            }
            Some(dir) => Ok(Place {
                socket: dir.join(SOCKET),
                storage: storage::Config::new(dir),
                user: None,
                domains: None,
            }),
            None => Ok(self.read_settings()?.place()),
        }
    }
}

fn environment(name: &str) -> Option<String> {
    std::env::var(name).ok()
}

impl Config {
    pub(crate) fn from_tree(tree: &Tree, files: CertificateFiles) -> Result<Self, Problems> {
        // What is missing was reported, so `None` is never seen together with a tree without problems.
        match tree.decode(|section| decode(section, files))? {
            Some(config) => Ok(config),
            None => Err(Problems(Vec::new())),
        }
    }

    pub(crate) fn place(&self) -> Place {
        Place {
            socket: self.socket(),
            storage: self.storage.clone(),
            user: self.user.clone(),
            domains: Some(self.domains.clone()),
        }
    }

    /// The path of the control socket.
    pub(crate) fn socket(&self) -> PathBuf {
        self.runtime_dir.join(SOCKET)
    }

    /// The path of the socket for `sendmail`.
    pub(crate) fn sendmail_socket(&self) -> PathBuf {
        self.sendmail.socket.clone().unwrap_or_else(|| self.runtime_dir.join(SENDMAIL_SOCKET))
    }

    pub(crate) fn state_dir(&self) -> &Path {
        &self.storage.dir
    }

    /// Where the signing keys are.
    pub(crate) fn keys_dir(&self) -> PathBuf {
        self.dkim.keys.clone().unwrap_or_else(|| self.state_dir().join(KEYS_DIR))
    }
}

/// Every option there is, in the order in which they are read.
pub(crate) fn options() -> Vec<OptionDoc> {
    ::config::describe(|section| decode(section, CertificateFiles::Unread))
}

/// Reads the file. `None` where something that has no default is missing.
fn decode(section: &mut Section<'_>, files: CertificateFiles) -> Option<Config> {
    let hostname = hostname(section);
    let domains = domains(section, hostname.as_ref());
    let tls = decode_certificates(section, files);
    let postmaster = nodes::postmaster(section);
    let subaddress = nodes::subaddress(section);
    let aliases = section.joined("aliases", "Other addresses, and where their mail goes.", |aliases| {
        decode_aliases(aliases, &domains)
    });
    let (state_dir, runtime_dir) = directories(section);
    let (user, sandbox) = nodes::least_privilege(section);
    let stop_timeout = nodes::stop_timeout(section);
    let (log, trace, otlp) = nodes::told(section);
    let (dns, dns_update) = nodes::dns(section);
    nodes::refuse_missing_update(section, &tls, dns_update.as_ref());
    let smtp = section.child("smtp", "The door for mail from other servers.", smtp_in::config::decode);
    let (checks, filters) = nodes::judges(section);
    let dkim = nodes::dkim(section);
    let reports = nodes::reports(section);
    let submission =
        section.child("submission", "The door for mail from our own users.", submission::config::decode);
    let (sendmail, notifications) = nodes::local_programs(section);
    let imap = section.child("imap", "The door for readers.", imap::decode);
    let (web, control) = (nodes::web(section), nodes::control(section));
    let delivery = section.child("delivery", "Mail that goes to other servers.", delivery::config::decode);
    let (limits, bans, logins) = nodes::connections(section);
    let storage = database(section, &state_dir, delivery.daily_limits);
    let doctor = nodes::doctor(section);
    let mut config = Config {
        hostname: hostname?,
        domains: Some(domains).filter(|domains| !domains.is_empty())?,
        tls,
        postmaster,
        subaddress,
        aliases,
        log,
        trace,
        otlp,
        dns,
        dns_update,
        checks,
        filters,
        dkim,
        reports,
        runtime_dir: runtime_dir.unwrap_or(state_dir),
        user,
        sandbox,
        paths: section.paths(),
        stop_timeout,
        smtp,
        submission,
        sendmail,
        imap,
        web,
        control,
        delivery,
        limits,
        bans,
        logins,
        storage,
        doctor,
    };
    if let Some(notifications) = notifications {
        notifications.apply(&mut config, Said::of(section));
    }
    refuse_shared_addresses(section, &config);
    Some(config)
}

/// The database counts what is sent as well, under limits that stand with the deliveries.
fn database(section: &mut Section<'_>, dir: &Path, sending: storage::DailyLimits) -> storage::Config {
    let read = |node: &mut Section<'_>| storage::Config::decode(node, dir.to_owned());
    storage::Config { sending, ..section.child("storage", "The database.", read) }
}

/// Where the state is, and where the control socket is made if elsewhere.
fn directories(section: &mut Section<'_>) -> (PathBuf, Option<PathBuf>) {
    let state_dir =
        section.path("state-dir", "Where mail, accounts and queue are kept.").or(PathBuf::from(STATE_DIR));
    let runtime_dir = section
        .path("runtime-dir", "Where the control socket is made; the state directory if not given.")
        .optional();
    (state_dir, runtime_dir)
}

/// A server for one machine alone needs no certificate that anybody else believes in.
fn decode_certificates(section: &mut Section<'_>, files: CertificateFiles) -> TlsOptions {
    if section.has(NOTIFICATIONS) && !section.has("tls") {
        return TlsOptions::SelfSigned;
    }
    section.child("tls", "Certificates.", |tls| decode_tls(tls, files))
}

fn hostname(section: &mut Section<'_>) -> Option<Domain> {
    section
        .parsed(
            "hostname",
            "a domain name",
            full_name,
            "The name of this server, to which its address in the DNS leads back.",
        )
        .required()
}

/// The aliases, and what is wrong with them among themselves.
fn decode_aliases(section: &mut Section<'_>, domains: &[Domain]) -> Aliases {
    let list = delivery::aliases::decode(section);
    for problem in list.check(domains) {
        section.problem(section.child_span(problem.alias()), problem.to_string(), "");
    }
    list
}

/// The local domains. None at all is a problem, but for a server for one machine alone; so is one that is given twice.
fn domains(section: &mut Section<'_>, hostname: Option<&Domain>) -> Vec<Domain> {
    let list = section
        .parsed(
            "domains",
            "a domain name",
            full_name,
            "The domains whose mail ends here; the first is the main one.",
        )
        .spanned()
        .many();
    let mut known: Vec<Domain> = Vec::new();
    for domain in &list {
        if known.contains(domain) {
            section.problem(domain.span, format!("the domain {} is given twice", domain.value), "remove one");
        } else {
            known.push(domain.value.clone());
        }
    }
    if list.is_empty() && section.has(NOTIFICATIONS) {
        return hostname.cloned().into_iter().collect();
    }
    if list.is_empty() {
        let help = "name the domains whose mail ends here: domains \"example.org\" \"example.net\"";
        section.problem(section.child_span("domains"), "`domains` is missing", help);
    }
    known
}

/// A domain name with a dot in it.
fn full_name(text: &str) -> Result<Domain, String> {
    let domain = Domain::parse(text).map_err(|error| error.to_string())?;
    let name = domain.to_string();
    if name.starts_with('[') || !name.contains('.') && name != "localhost" {
        return Err("write the full name, like mx.example.org".to_owned());
    }
    Ok(domain)
}

/// Two doors cannot share an address.
fn refuse_shared_addresses(section: &Section<'_>, config: &Config) {
    let mut taken: BTreeMap<SocketAddr, &str> = BTreeMap::new();
    for listening in crate::listeners::wanted(config) {
        let door = listening.door.name();
        if listening.address.port() == 0 {
            continue;
        }
        if let Some(other) = taken.insert(listening.address, door) {
            let message = format!("{} is given to {other} and to {door}", listening.address);
            section.problem(section.child_span(door), message, "each address can be listened on once");
        }
    }
}

#[cfg(test)]
#[path = "config_tests.rs"]
mod tests;
