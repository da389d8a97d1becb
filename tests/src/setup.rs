//! A scene before the curtain: configuration, accounts, the DNS and the other servers.

use crate::daemon::Daemon;
use crate::name_server::NameServer;
use crate::ports::Ports;
use crate::remote::Remote;
use crate::signed_zones::SignedZones;
use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fmt::Write as _;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use tempfile::TempDir;

/// The password of every account.
pub const PASSWORD: &str = "correct horse battery staple";

/// Everything a daemon needs, in a directory that goes away with it.
pub struct Setup {
    dir: TempDir,
    hostname: String,
    /// As they stand in the configuration.
    domains: String,
    ports: Ports,
    names: NameServer,
    /// Asked in place of `names`.
    signed: Option<SignedZones>,
    /// Asked in place of both.
    resolver: Option<SocketAddr>,
    accounts: Vec<String>,
    /// Lines inside the nodes that the harness writes itself.
    options: BTreeMap<&'static str, Vec<String>>,
    /// In place of the certificate of the scene's own CA.
    tls: Option<String>,
    /// Further nodes of the top level.
    nodes: Vec<String>,
    files_limit: Option<u64>,
    environment: Vec<(&'static str, OsString)>,
    errors_expected: bool,
    /// Whose the daemon is; root must be said.
    user: Option<String>,
}

impl Setup {
    /// The server `mx.example.org` for example.org and example.net, without accounts.
    pub fn new() -> Self {
        Self::named("mx.example.org", &["example.org", "example.net"])
    }

    /// Another server, for other domains.
    pub fn named(hostname: &str, domains: &[&str]) -> Self {
        let dir = TempDir::with_prefix("maddy-story-").unwrap();
        let mut setup = Self {
            dir,
            hostname: hostname.to_owned(),
            domains: domains.iter().map(|domain| format!("{domain:?}")).collect::<Vec<_>>().join(" "),
            ports: Ports::pick(),
            names: NameServer::start(),
            signed: None,
            resolver: None,
            accounts: Vec::new(),
            options: BTreeMap::new(),
            tls: None,
            nodes: Vec::new(),
            files_limit: None,
            environment: Vec::new(),
            errors_expected: false,
            user: nix::unistd::geteuid().is_root().then(|| "root".to_owned()),
        };
        let clock = world::SystemClock;
        let name = std::slice::from_ref(&setup.hostname);
        net::demo_ca(&setup.dir.path().join("tls"), name, &clock).unwrap();
        // Fast enough for a story, slow enough that an attempt is seen before the next.
        setup.option("delivery", r#"retry first="1s" factor=1 max="1s" give-up="2m" delay-notice="1m""#);
        let port = format!("port {}", setup.ports.remote);
        setup.option("delivery", &port);
        setup.option("delivery", r#"connect-timeout "5s""#);
        // The name server of most stories signs nothing.
        setup.option("dns", "dnssec \"off\"");
        setup.option("limits", "exempt-loopback #true");
        setup.option("submission", "insecure-auth #true");
        setup.option("imap", "insecure-auth #true");
        setup
    }

    pub fn dir(&self) -> &Path {
        self.dir.path()
    }

    pub fn ports(&self) -> Ports {
        self.ports
    }

    /// The CA that vouches for the daemon's certificate.
    pub fn ca(&self) -> PathBuf {
        self.dir.path().join("tls/ca.pem")
    }

    /// A certificate of the same CA, for other servers of the scene.
    pub fn certificate(&self) -> net::CertFiles {
        let tls = self.dir.path().join("tls");
        net::CertFiles { chain: tls.join("localhost.pem"), key: tls.join("localhost.key") }
    }

    /// An account whose password is [`PASSWORD`].
    pub fn account(&mut self, name: &str) {
        self.accounts.push(name.to_owned());
    }

    /// A line inside one of the nodes `dns`, `smtp`, `submission`, `imap`, `delivery`, `limits`, `storage`, `log`.
    pub fn option(&mut self, node: &'static str, line: &str) {
        self.options.entry(node).or_default().push(line.to_owned());
    }

    /// Takes the place of the lines of `node` that begin with the same word.
    pub fn replace_option(&mut self, node: &'static str, line: &str) {
        let word = line.split_whitespace().next().unwrap_or_default();
        let lines = self.options.entry(node).or_default();
        lines.retain(|old| old.split_whitespace().next() != Some(word));
        lines.push(line.to_owned());
    }

    /// What the node `tls` holds in place of the certificate of the scene's own CA.
    pub fn tls(&mut self, lines: &str) {
        self.tls = Some(lines.to_owned());
    }

    /// A node of the top level.
    pub fn config(&mut self, node: &str) {
        self.nodes.push(node.to_owned());
    }

    /// Records for the DNS.
    pub fn zone(&self, records: &str) {
        self.names.add(records);
    }

    /// A DNS whose answers are signed, in the place of [`Setup::zone`].
    pub fn signed_zones(&mut self, zones: SignedZones) {
        self.replace_option("dns", "dnssec \"wanted\"");
        self.replace_option("dns", &format!("trust-anchor {:?}", zones.anchor()));
        self.signed = Some(zones);
    }

    /// The name server.
    pub fn names(&self) -> &NameServer {
        &self.names
    }

    /// The daemon asks this name server instead.
    pub fn ask(&mut self, resolver: SocketAddr) {
        self.resolver = Some(resolver);
    }

    /// A mail server of its own address 127.0.0.`n` (2 and up) under `name`.
    pub fn remote(&self, name: &str, n: u8) -> Remote {
        let ip = Ipv4Addr::new(127, 0, 0, n);
        self.names.add(&format!("{name} A {ip}"));
        Remote::start(ip, self.ports.remote)
    }

    /// A mail server of an address whose name stands elsewhere.
    pub fn remote_at(&self, ip: Ipv4Addr) -> Remote {
        Remote::start(ip, self.ports.remote)
    }

    /// No file of the daemon may grow beyond so many octets.
    pub fn limit_files(&mut self, octets: u64) {
        self.files_limit = Some(octets);
    }

    /// A variable of the daemon's environment; commands beside it do not see it.
    pub fn environment(&mut self, name: &'static str, value: impl Into<OsString>) {
        self.environment.push((name, value.into()));
    }

    /// Whom the daemon becomes, if root starts it; `None` leaves it out of the configuration.
    pub fn user(&mut self, name: Option<&str>) {
        self.user = name.map(str::to_owned);
    }

    pub(crate) fn variables(&self) -> &[(&'static str, OsString)] {
        &self.environment
    }

    /// The story is about trouble of the daemon's own: errors in its log are in order. Otherwise they fail it.
    pub fn expect_errors(&mut self) {
        self.errors_expected = true;
    }

    pub(crate) fn are_errors_expected(&self) -> bool {
        self.errors_expected
    }

    pub(crate) fn files_limit(&self) -> Option<u64> {
        self.files_limit
    }

    pub(crate) fn accounts(&self) -> &[String] {
        &self.accounts
    }

    /// Starts the daemon and makes the accounts.
    pub fn start(self) -> Daemon {
        Daemon::start_scene(self)
    }

    /// Writes the configuration.
    pub(crate) fn write_config(&self) {
        std::fs::write(self.config_file(), self.config_text()).unwrap();
    }

    pub fn config_file(&self) -> PathBuf {
        self.dir.path().join("maddy.conf")
    }

    pub fn state_dir(&self) -> PathBuf {
        self.dir.path().join("state")
    }

    fn dns_at(&self) -> SocketAddr {
        if let Some(resolver) = self.resolver {
            return resolver;
        }
        self.signed.as_ref().map_or_else(|| self.names.at(), SignedZones::at)
    }

    /// The whole configuration.
    pub fn config_text(&self) -> String {
        let Ports { smtp, submission, submissions, imap, imaps, .. } = self.ports;
        let files = self.certificate();
        let mut text = format!("hostname {:?}\ndomains {}\n", self.hostname, self.domains);
        let _ = writeln!(text, "state-dir {:?}", self.state_dir());
        if let Some(user) = &self.user {
            let _ = writeln!(text, "user {user:?}");
        }
        let usual = format!("certificate {:?} key={:?}", files.chain, files.key);
        let _ = writeln!(text, "tls {{\n{}\n}}", self.tls.as_ref().unwrap_or(&usual));
        for (node, lines) in [
            ("dns", vec![format!("server \"{}\"", self.dns_at()), "timeout \"1s\"".to_owned()]),
            ("smtp", vec![format!("listen \"127.0.0.1:{smtp}\"")]),
            (
                "submission",
                vec![
                    format!("listen \"127.0.0.1:{submission}\""),
                    format!("listen \"127.0.0.1:{submissions}\" tls=#true"),
                ],
            ),
            (
                "imap",
                vec![
                    format!("listen \"127.0.0.1:{imap}\""),
                    format!("listen \"127.0.0.1:{imaps}\" tls=#true"),
                ],
            ),
            ("delivery", vec![]),
            ("limits", vec![]),
            ("storage", vec![]),
            ("log", vec![]),
        ] {
            let more = self.options.get(node).into_iter().flatten().cloned();
            let lines: Vec<String> = lines.into_iter().chain(more).collect();
            if !lines.is_empty() {
                let _ = writeln!(text, "{node} {{\n    {}\n}}", lines.join("\n    "));
            }
        }
        for node in &self.nodes {
            let _ = writeln!(text, "{node}");
        }
        text
    }
}

impl Default for Setup {
    fn default() -> Self {
        Self::new()
    }
}
