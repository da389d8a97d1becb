//! Everything that belongs into the DNS, from the configuration and the keys.

use crate::certificates::{self, WEB_HOSTS};
use crate::cli::Trouble;
use crate::config::Config;
use crate::website;
use mail::Domain;
use net::{ListenTls, TlsOptions};
use serde_json::{Value, json};
use std::net::IpAddr;
use std::path::PathBuf;
use world::url::Host;

/// Most octets of one string of a TXT record (RFC 1035 §3.3).
const STRING_MAX: usize = 255;
/// The authority whose word for CAA is known here, and that word.
const LETS_ENCRYPT: (&str, &str) = ("letsencrypt.org", "letsencrypt.org");

/// How much depends on a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Need {
    /// Without it mail does not work, or is not believed.
    Must,
    Should,
    /// It makes life easier.
    May,
}

/// What a record says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Says {
    Address(IpAddr),
    Mx(Domain),
    Txt(String),
    /// The same host as another name.
    Cname(Domain),
    /// SHA-256 of the key of the certificate (3 1 1).
    Tlsa(String),
    Srv {
        port: u16,
        target: Domain,
    },
    Caa(&'static str),
    /// Made by whoever gave us the address.
    Ptr(Domain),
}

/// A record that should be there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Wanted {
    /// Without a dot at the end.
    pub(crate) name: String,
    pub(crate) says: Says,
    pub(crate) need: Need,
    /// What it is for.
    pub(crate) purpose: &'static str,
}

impl Wanted {
    pub(super) fn new(name: impl Into<String>, need: Need, says: Says, purpose: &'static str) -> Self {
        Self { name: name.into(), says, need, purpose }
    }

    pub(crate) fn kind(&self) -> &'static str {
        match self.says {
            Says::Address(IpAddr::V4(_)) => "A",
            Says::Address(IpAddr::V6(_)) => "AAAA",
            Says::Mx(_) => "MX",
            Says::Txt(_) => "TXT",
            Says::Cname(_) => "CNAME",
            Says::Tlsa(_) => "TLSA",
            Says::Srv { .. } => "SRV",
            Says::Caa(_) => "CAA",
            Says::Ptr(_) => "PTR",
        }
    }

    /// As master files write it.
    pub(crate) fn data(&self) -> String {
        match &self.says {
            Says::Address(ip) => ip.to_string(),
            Says::Mx(host) => format!("10 {host}."),
            Says::Txt(text) => strings(text),
            Says::Cname(host) | Says::Ptr(host) => format!("{host}."),
            Says::Tlsa(digest) => format!("3 1 1 {digest}"),
            Says::Srv { port, target } => format!("0 1 {port} {target}."),
            Says::Caa(authority) => format!("0 issue \"{authority}\""),
        }
    }

    /// One line of a master file.
    pub(crate) fn line(&self) -> String {
        format!("{}. IN {} {}", self.name, self.kind(), self.data())
    }

    pub(crate) fn json(&self) -> Value {
        let need = match self.need {
            Need::Must => "must",
            Need::Should => "should",
            Need::May => "may",
        };
        json!({
            "name": self.name, "type": self.kind(), "data": self.data(), "need": need, "purpose": self.purpose,
            "line": self.line(),
        })
    }
}

/// A text in strings of lawful length.
fn strings(text: &str) -> String {
    let octets = text.as_bytes();
    let pieces = octets.chunks(STRING_MAX).map(|piece| {
        let piece = String::from_utf8_lossy(piece).replace('\\', "\\\\").replace('"', "\\\"");
        format!("\"{piece}\"")
    });
    pieces.collect::<Vec<_>>().join(" ")
}

/// What the records are made of besides the configuration. Made by blocking on the disk.
pub(crate) struct Facts {
    /// Under which the world reaches us; empty if nobody knows.
    pub(crate) addresses: Vec<IpAddr>,
    /// The public halves of the keys that sign, by domain.
    dkim: Vec<(Domain, policy::dkim::DnsRecord)>,
    /// Of the key of our host's certificate, if others may rely on it, and of the one that will take its place.
    tlsa: Vec<String>,
}

impl Facts {
    pub(crate) fn gather(config: &Config, addresses: Vec<IpAddr>) -> Result<Self, Trouble> {
        let keys = policy::dkim::records(&config.keys_dir(), &config.domains, &config.dkim.selectors);
        let keys = keys.map_err(|error| Trouble::new(error.to_string()))?;
        let signs = config.dkim.signing.is_on();
        let dkim = keys.into_iter().filter_map(|(domain, record)| Some((domain, record?)));
        let dkim = dkim.filter(|_| signs).collect();
        let digests = key_files(config).into_iter().filter_map(|path| net::key_digest(&path).ok());
        let tlsa =
            digests.map(|digest| digest.iter().map(|octet| format!("{octet:02x}")).collect()).collect();
        Ok(Self { addresses, dkim, tlsa })
    }

    pub(crate) fn dkim_of<'a>(
        &'a self,
        domain: &'a Domain,
    ) -> impl Iterator<Item = &'a policy::dkim::DnsRecord> + 'a {
        self.dkim.iter().filter(move |(of, _)| of == domain).map(|(_, record)| record)
    }
}

/// The key whose certificate our host shows, one that an authority's certificates keep or that came with files; behind it the
/// one that will take its place, if there is one.
fn key_files(config: &Config) -> Vec<PathBuf> {
    match &config.tls {
        TlsOptions::SelfSigned => Vec::new(),
        TlsOptions::Files(files) => files.first().map(|files| files.key.clone()).into_iter().collect(),
        TlsOptions::Acme(_) => {
            let Some(plan) = certificates::plan(config) else { return Vec::new() };
            let Some(name) = plan.names.first() else { return Vec::new() };
            let next = plan.files.next_key(name);
            std::iter::once(plan.files.of(name).key).chain(Some(next).filter(|next| next.exists())).collect()
        }
    }
}

/// All records, those of the host first, then those of each domain.
pub(crate) fn wanted(config: &Config, facts: &Facts) -> Vec<Wanted> {
    let mut list = of_host(config, facts);
    for domain in config.domains.iter().filter(|domain| domain.literal().is_none()) {
        list.extend(of_domain(config, facts, domain));
    }
    list
}

fn of_host(config: &Config, facts: &Facts) -> Vec<Wanted> {
    let host = &config.hostname;
    let mut list: Vec<Wanted> = Vec::new();
    for ip in &facts.addresses {
        list.push(Wanted::new(host.as_str(), Need::Must, Says::Address(*ip), "leads to this server"));
    }
    for ip in &facts.addresses {
        let name = world::DnsName::reverse(*ip).to_string();
        let purpose = "leads back to the name; ask whoever gave you the address for it";
        list.push(Wanted::new(name, Need::Must, Says::Ptr(host.clone()), purpose));
    }
    let spf = Says::Txt("v=spf1 a -all".to_owned());
    list.push(Wanted::new(host.as_str(), Need::Should, spf, "who may call itself by this name"));
    for digest in &facts.tlsa {
        let purpose = "pins the key of the certificate (DANE); only of use where the zone is signed (DNSSEC)";
        list.push(Wanted::new(format!("_25._tcp.{host}"), Need::May, Says::Tlsa(digest.clone()), purpose));
    }
    list
}

fn of_domain(config: &Config, facts: &Facts, domain: &Domain) -> Vec<Wanted> {
    let host = &config.hostname;
    let text = |text: &str| Says::Txt(text.to_owned());
    let mut list = vec![
        Wanted::new(domain.as_str(), Need::Must, Says::Mx(host.clone()), "where mail for the domain goes"),
        Wanted::new(domain.as_str(), Need::Must, text(spf(config)), "who may send in its name (SPF)"),
    ];
    for record in facts.dkim_of(domain) {
        let purpose = "the key that verifies its signatures (DKIM)";
        list.push(Wanted::new(&record.name, Need::Must, text(&record.text), purpose));
    }
    let dmarc = format!("v=DMARC1; p=quarantine; rua=mailto:postmaster@{domain}");
    let purpose = "what to do with mail that only pretends to be from it (DMARC)";
    list.push(Wanted::new(format!("_dmarc.{domain}"), Need::Must, text(&dmarc), purpose));
    let tlsrpt = format!("v=TLSRPTv1; rua=mailto:postmaster@{domain}");
    let purpose = "where others report trouble with TLS (TLSRPT)";
    list.push(Wanted::new(format!("_smtp._tls.{domain}"), Need::Should, text(&tlsrpt), purpose));
    list.extend(of_web(config, domain));
    list.extend(services(config, domain));
    if let Some(authority) = authority(config) {
        let purpose = "who may make certificates for it (CAA)";
        list.push(Wanted::new(domain.as_str(), Need::May, Says::Caa(authority), purpose));
    }
    list
}

/// With a smarthost others send for us, whose addresses nobody knows here.
fn spf(config: &Config) -> &'static str {
    if config.delivery.smarthost.is_some() { "v=spf1 mx ~all" } else { "v=spf1 mx -all" }
}

/// Whether the pages for everybody are on.
pub(crate) fn has_pages(config: &Config) -> bool {
    config.web.listen.iter().any(|entrance| entrance.shows == web::Shows::Pages)
}

fn of_web(config: &Config, domain: &Domain) -> Vec<Wanted> {
    if !has_pages(config) {
        return Vec::new();
    }
    let host = &config.hostname;
    let sts = Says::Txt(format!("v=STSv1; id={}", web::policy_id(&config.web.sts, host)));
    let purpose = "says that there is a policy for TLS, and which (MTA-STS)";
    let mut list = vec![Wanted::new(format!("_mta-sts.{domain}"), Need::Should, sts, purpose)];
    for name in WEB_HOSTS {
        let (need, purpose) = match name {
            "mta-sts" => (Need::Should, "where the policy for TLS is"),
            "autoconfig" => (Need::May, "settings for Thunderbird and others"),
            _ => (Need::May, "settings for Outlook"),
        };
        let at = format!("{name}.{domain}");
        if at != host.as_str() {
            list.push(Wanted::new(at, need, Says::Cname(host.clone()), purpose));
        }
    }
    list
}

/// RFC 6186 §3, RFC 8314 §5.1.
fn services(config: &Config, domain: &Domain) -> Vec<Wanted> {
    let site = website::site(config, None);
    let of = |name: &'static str, services: &[web::Service], tls: ListenTls| {
        services.iter().find(|service| service.tls == tls).map(|service| {
            let says = Says::Srv { port: service.port, target: config.hostname.clone() };
            let purpose = "settings for mail programs that ask the DNS";
            Wanted::new(format!("{name}._tcp.{domain}"), Need::May, says, purpose)
        })
    };
    [
        of("_imaps", &site.imap, ListenTls::Implicit),
        of("_submissions", &site.submission, ListenTls::Implicit),
        of("_imap", &site.imap, ListenTls::StartTls),
        of("_submission", &site.submission, ListenTls::StartTls),
    ]
    .into_iter()
    .flatten()
    .collect()
}

/// What CAA calls the authority that makes our certificates, if that is known.
fn authority(config: &Config) -> Option<&'static str> {
    let TlsOptions::Acme(options) = &config.tls else { return None };
    let Host::Name(host) = options.directory.host() else { return None };
    let (suffix, word) = LETS_ENCRYPT;
    host.as_str().strip_suffix(suffix)?.ends_with('.').then_some(word)
}

/// A zone to paste.
pub(crate) fn zone(config: &Config, facts: &Facts, list: &[Wanted]) -> String {
    let mut text = format!("; what belongs into the DNS for {}\n", config.hostname);
    if facts.addresses.is_empty() {
        text.push_str(&format!(
            "; {}. IN A …   the public address of this server; `--address` fills it in\n",
            config.hostname
        ));
    }
    let mut purpose = "";
    for record in list {
        if record.purpose != purpose {
            purpose = record.purpose;
            let need = match record.need {
                Need::Must => "",
                Need::Should => "recommended: ",
                Need::May => "optional: ",
            };
            text.push_str(&format!("\n; {need}{purpose}\n"));
        }
        // The zone of addresses belongs to somebody else.
        let mark = if matches!(record.says, Says::Ptr(_)) { "; " } else { "" };
        text.push_str(&format!("{mark}{}\n", record.line()));
    }
    text
}
