//! `maddy check`: one check as arriving mail goes through it, with what was asked of the DNS. The first line is the
//! bare result, for scripts.

use crate::cli::args::{Asking, CheckCommand, DkimFile, Global, Listed, MailFile};
use crate::cli::recording::{Recorded, Recording};
use crate::cli::{Trouble, dane, output, selfcheck, source, spf, sts};
use crate::config;
use crate::sts::Inspector;
use delivery::probe::Prober;
use mail::{Address, Blob, Domain, Message, ReversePath, header};
use net::Roots;
use policy::arc;
use policy::author::Author;
use policy::dkim::{self, DkimResult};
use policy::dnslist::{self, List, Listing, Subjects};
use policy::{Config, Facts, Finding, Pipeline, Switch};
use serde_json::{Value, json};
use std::io::{self, Read};
use std::net::{IpAddr, Ipv4Addr};
use std::path::Path;
use std::sync::Arc;
use world::{DnsOptions, Dnssec, Security, World};

/// Largest message that is read, in octets.
const MESSAGE_MAX: u64 = 256 * 1024 * 1024;

pub(crate) async fn run(command: &CheckCommand, global: &Global) -> Result<(), Trouble> {
    let Some(asking) = command.asking() else { return selfcheck::run(global).await };
    let scene = Scene::set(asking, global)?;
    let said = match command {
        CheckCommand::Spf(sender) => spf::check(sender, &scene.hostname, &scene.world).await?,
        CheckCommand::Dkim(file) => scene.dkim(file).await?,
        CheckCommand::Dmarc(mail) => scene.dmarc(mail).await?,
        CheckCommand::MtaSts(domain) => {
            sts::check(&domain.domain, &scene.inspector()?.at_port(domain.port)).await?
        }
        CheckCommand::Dane(host) => dane::check(&host.host, host.port, &scene.prober()?).await?,
        CheckCommand::Arc(file) => scene.arc(file).await?,
        CheckCommand::Dnsbl(listed) => scene.dnsbl(listed).await?,
        CheckCommand::Egress => return selfcheck::run(global).await,
    };
    said.print(&scene.asked.lookups(), global)
}

/// Whom the checks ask, and in whose name.
struct Scene {
    asked: Arc<Recording>,
    world: World,
    hostname: Domain,
    /// Where there is a configuration.
    config: Option<config::Config>,
}

/// What came of a check.
pub(crate) struct Said {
    pub(crate) result: &'static str,
    /// Why, line by line.
    pub(crate) reasons: Vec<String>,
    /// More for programs.
    pub(crate) more: Value,
}

impl Said {
    fn print(self, lookups: &[Recorded], global: &Global) -> Result<(), Trouble> {
        if global.json {
            let asked = lookups.iter().map(|Recorded { lookup, security }| {
                json!({
                    "name": lookup.name,
                    "type": lookup.kind,
                    "answer": lookup.answer,
                    "security": security.word(),
                })
            });
            let mut value = json!({
                "result": self.result,
                "reasons": self.reasons,
                "lookups": asked.collect::<Vec<_>>(),
            });
            if let (Value::Object(all), Value::Object(more)) = (&mut value, self.more) {
                all.extend(more);
            }
            return output::json(&value);
        }
        let mut text = format!("{}\n", self.result);
        for reason in &self.reasons {
            text.push_str(&format!("{}\n", output::printable(reason)));
        }
        for Recorded { lookup, security } in lookups {
            let shown = output::printable(&lookup.to_string());
            text.push_str(&match security {
                Security::Unchecked => format!("asked {shown}\n"),
                security => format!("asked {shown} [{security}]\n"),
            });
        }
        output::octets(text.as_bytes())
    }
}

impl Scene {
    /// Asks the name server that is given, or those of the configuration, or those of the system.
    fn set(asking: &Asking, global: &Global) -> Result<Self, Trouble> {
        let config = match asking.resolver {
            None if global.names_config() || global.config().exists() => {
                Some(source(global).read_settings()?)
            }
            Some(_) if global.names_config() => Some(source(global).read_settings()?),
            _ => None,
        };
        let (mut dns, hostname) = match &config {
            Some(config) => (config.dns.clone(), config.hostname.clone()),
            None => {
                let servers = asking.resolver.into_iter().collect();
                let localhost =
                    Domain::parse("localhost").map_err(|error| Trouble::new(error.to_string()))?;
                (DnsOptions { servers, ..DnsOptions::default() }, localhost)
            }
        };
        if let Some(resolver) = asking.resolver {
            dns.servers = vec![resolver];
        }
        if asking.dnssec || asking.trust_anchor.is_some() {
            dns.dnssec = Dnssec::All;
        }
        if asking.trust_anchor.is_some() {
            dns.trust_anchor.clone_from(&asking.trust_anchor);
        }
        let system = world::system::system(&dns).map_err(Trouble::new)?;
        let asked = Arc::new(Recording::new(system.dns.clone()));
        let world = World { dns: asked.clone(), ..system };
        Ok(Self { asked, world, hostname, config })
    }

    /// Who looks at MTA-STS policies: knows the certificates of this server where there is a configuration.
    fn inspector(&self) -> Result<Inspector, Trouble> {
        let made = match &self.config {
            Some(config) => Inspector::of(config, &self.world),
            None => Inspector::new(&self.world, &Roots::WebPki, self.hostname.clone(), Vec::new()),
        };
        made.map_err(|error| Trouble::new(error.to_string()))
    }

    /// Who looks at mail hosts, with the authorities of the configuration.
    fn prober(&self) -> Result<Prober, Trouble> {
        let ca_file = self.config.as_ref().and_then(|config| config.delivery.ca_file.clone());
        let roots = ca_file.map_or(Roots::WebPki, Roots::WebPkiAndFile);
        Prober::new(self.hostname.clone(), &roots, &self.world)
            .map_err(|error| Trouble::new(error.to_string()))
    }

    async fn dkim(&self, file: &DkimFile) -> Result<Said, Trouble> {
        let message = read_message(&file.file)?;
        let author = author_of(&message)?;
        let outcomes = dkim::verify(&message, author.domains(), &self.world).await?;
        let mut reasons: Vec<String> = outcomes.iter().map(about_signature).collect();
        if reasons.is_empty() {
            reasons.push("the message has no signature".to_owned());
        }
        let signatures: Vec<Value> = outcomes
            .iter()
            .map(|one| {
                json!({
                    "result": one.result.word(),
                    "reason": one.reason,
                    "domain": one.domain.as_ref().map(Domain::as_str),
                    "selector": one.selector,
                    "identity": one.identity,
                    "algorithm": one.algorithm,
                    "testing": one.testing,
                })
            })
            .collect();
        Ok(Said { result: best(&outcomes), reasons, more: json!({ "signatures": signatures }) })
    }

    async fn dmarc(&self, mail: &MailFile) -> Result<Said, Trouble> {
        let message = read_message(&mail.file)?;
        let mail_from = typed_path(mail.sender.from.as_deref())?;
        let helo = match (&mail.sender.helo, mail_from.address()) {
            (Some(helo), _) => helo.clone(),
            (None, Some(from)) => from.domain().to_string(),
            (None, None) => String::new(),
        };
        let facts =
            Facts { whose: policy::Whose::Client, peer: mail.sender.ip, local: None, helo, mail_from };
        let checks =
            Config { iprev: Switch::Off, helo: Switch::Off, sender: Switch::Off, ..Config::default() };
        let pipeline = Pipeline::new(checks, self.hostname.clone(), self.world.clone());
        let findings = pipeline.examine_all(&facts, &message).await?;
        let dmarc = findings.iter().find_map(|finding| match finding {
            Finding::Dmarc(one) => Some(one),
            _ => None,
        });
        let Some(dmarc) = dmarc else { return Err(Trouble::new("DMARC was not checked")) };
        let mut reasons = vec![dmarc.reason.clone()];
        if let (Some(published), Some(at)) = (dmarc.published, &dmarc.record_at) {
            reasons.push(format!(
                "{at} publishes p={published} for this author, which asks for {} now",
                dmarc.wanted
            ));
        }
        let others = findings.iter().filter(|finding| !matches!(finding, Finding::Dmarc(_)));
        reasons.extend(others.map(ToString::to_string));
        let more = json!({
            "author": dmarc.author.as_ref().map(Domain::as_str),
            "published": dmarc.published.map(|policy| policy.to_string()),
            "wanted": dmarc.wanted.to_string(),
            "record": dmarc.record_at.as_ref().map(Domain::as_str),
        });
        Ok(Said { result: dmarc.result.word(), reasons, more })
    }

    /// The checks of the configuration: its lists and trusted sealers.
    fn checks(&self) -> Config {
        self.config.as_ref().map(|config| config.checks.clone()).unwrap_or_default()
    }

    async fn arc(&self, file: &DkimFile) -> Result<Said, Trouble> {
        let message = read_message(&file.file)?;
        let author = author_of(&message)?;
        let nobody = IpAddr::V4(Ipv4Addr::UNSPECIFIED);
        let Some(outcome) = arc::verify(&message, nobody, &self.world).await? else {
            let reasons = vec!["the message has no ARC chain".to_owned()];
            return Ok(Said { result: "none", reasons, more: json!({ "sets": [] }) });
        };
        let mut reasons = vec![outcome.reason.clone()];
        reasons.extend(outcome.sets.iter().rev().map(about_set));
        let checks = self.checks();
        let trusted = &checks.rules.trusted_sealers;
        let vouching = match author.domains() {
            [author] => arc::vouching(&outcome, author, trusted),
            _ => None,
        };
        reasons.extend(vouching.iter().map(|one| format!("{} is trusted and saw {}", one.sealer, one.claim)));
        let sets = outcome.sets.iter().map(|set| {
            json!({
                "instance": set.instance,
                "sealer": set.sealer.as_str(),
                "selector": set.selector,
                "claims": set.claims.iter().map(ToString::to_string).collect::<Vec<_>>(),
                "remote-ip": set.remote_ip.map(|ip| ip.to_string()),
            })
        });
        let more = json!({
            "oldest-pass": outcome.oldest_pass,
            "unanswered": outcome.is_unanswered,
            "sets": sets.collect::<Vec<_>>(),
            "trusted": vouching.map(|one| one.sealer.to_string()),
        });
        Ok(Said { result: outcome.result.word(), reasons, more })
    }

    async fn dnsbl(&self, listed: &Listed) -> Result<Said, Trouble> {
        let lists = if listed.list.is_empty() {
            self.checks().lists
        } else {
            let mut zones = listed.list.clone();
            zones.sort();
            zones.dedup();
            zones.iter().map(|zone| list_named(zone)).collect::<Result<Vec<_>, _>>()?
        };
        if lists.is_empty() {
            return Err(Trouble::usage(
                "there are no lists: give --list, or put some into checks { dnsbl { … } }",
            ));
        }
        let mail_from = reverse_path(listed.from.as_deref())?;
        let helo = listed.helo.clone().unwrap_or_default();
        let facts = Facts { whose: policy::Whose::Client, peer: listed.ip, local: None, helo, mail_from };
        let outcome = dnslist::check(&lists, &facts, &dnslist::Known::default(), &self.world).await;
        let listing = |one: &Listing| format!("{:+} {}: {one}", one.score, one.subject);
        let mut reasons: Vec<String> = outcome.listings.iter().map(listing).collect();
        reasons.extend(outcome.troubles.iter().cloned());
        if reasons.is_empty() {
            reasons.push(format!("{} is in none of the lists", listed.ip));
        }
        let listings = outcome.listings.iter().map(|one| {
            json!({
                "list": one.list,
                "subject": one.subject.to_string(),
                "what": one.what,
                "codes": one.codes.iter().map(ToString::to_string).collect::<Vec<_>>(),
                "score": one.score,
                "text": one.text,
            })
        });
        let more = json!({
            "score": outcome.score(),
            "listings": listings.collect::<Vec<_>>(),
            "troubles": outcome.troubles,
        });
        let result = match (outcome.score(), outcome.listings.is_empty(), outcome.troubles.is_empty()) {
            (score, _, _) if score > 0 => "listed",
            (_, false, _) => "pass",
            (_, true, false) => "temperror",
            (_, true, true) => "none",
        };
        Ok(Said { result, reasons, more })
    }
}

/// A list as nobody configured it: asked about all there is, each listing counts 1.
fn list_named(zone: &str) -> Result<List, Trouble> {
    let zone = Domain::parse(zone).map_err(|error| Trouble::usage(format!("{zone} is no zone: {error}")))?;
    let asked_for = Subjects { client: true, helo: true, sender: true };
    Ok(List { name: zone.to_string(), zone, asked_for, score: 1, codes: Vec::new() })
}

fn about_set(set: &arc::Set) -> String {
    let claims: Vec<String> = set.claims.iter().map(ToString::to_string).collect();
    let saw = if claims.is_empty() { "nothing pass".to_owned() } else { claims.join(", ") };
    format!("i={} d={} s={}: saw {saw}", set.instance, set.sealer, set.selector)
}

fn reverse_path(from: Option<&str>) -> Result<ReversePath, Trouble> {
    match bare(from.unwrap_or_default()) {
        "" => Ok(ReversePath::Null),
        text => match Address::parse(text) {
            Ok(address) => Ok(ReversePath::Address(address)),
            Err(error) => Err(Trouble::usage(format!("{text} is no address: {error}"))),
        },
    }
}

/// The same where a domain alone is taken for its postmaster, and a local part that must stand in quotes for one that does
/// (RFC 7208 §4.3).
fn typed_path(from: Option<&str>) -> Result<ReversePath, Trouble> {
    let typed = bare(from.unwrap_or_default());
    let (local, domain) = typed.rsplit_once('@').unwrap_or(("", typed));
    let meant = match local {
        _ if typed.is_empty() || Address::parse(typed).is_ok() => typed.to_owned(),
        "" => format!("postmaster@{domain}"),
        local => format!("\"{}\"@{domain}", local.replace('\\', "\\\\").replace('"', "\\\"")),
    };
    match Address::parse(&meant) {
        Ok(address) => Ok(ReversePath::Address(address)),
        Err(_) => reverse_path(Some(typed)),
    }
}

/// An address without the brackets around it.
pub(crate) fn bare(path: &str) -> &str {
    path.strip_prefix('<').and_then(|rest| rest.strip_suffix('>')).unwrap_or(path)
}

fn about_signature(one: &dkim::Outcome) -> String {
    let text = |text: Option<&str>| text.unwrap_or("?").to_owned();
    format!(
        "{} d={} s={} a={}: {}",
        one.result,
        text(one.domain.as_ref().map(Domain::as_str)),
        text(one.selector.as_deref()),
        text(one.algorithm),
        one.reason
    )
}

/// One good signature is enough; where there is none, a second look may find one if the DNS gave no answer. Else what says
/// most of the message: that it was changed, before that a key or a signature is of no use.
fn best(outcomes: &[dkim::Outcome]) -> &'static str {
    let rank = |one: &&dkim::Outcome| match one.result {
        DkimResult::Pass => 0,
        DkimResult::TempError => 1,
        DkimResult::Fail => 2,
        DkimResult::Policy => 3,
        DkimResult::PermError => 4,
        DkimResult::Neutral => 5,
    };
    outcomes.iter().min_by_key(rank).map_or("none", |one| one.result.word())
}

fn author_of(message: &Message) -> Result<Author, Trouble> {
    Ok(Author::of(&header::read(&mut message.received.reader())?))
}

/// A message from a file, or from standard input for `-`. Files of messages often have lines that end in LF alone:
/// then all of them are taken for CR LF, as they travelled.
fn read_message(path: &Path) -> Result<Message, Trouble> {
    let mut octets = Vec::new();
    let trouble =
        |error: io::Error| Trouble::new(format!("the message {} cannot be read: {error}", path.display()));
    if path == Path::new("-") {
        io::stdin().lock().take(MESSAGE_MAX).read_to_end(&mut octets).map_err(trouble)?;
    } else {
        let file = std::fs::File::open(path).map_err(trouble)?;
        file.take(MESSAGE_MAX).read_to_end(&mut octets).map_err(trouble)?;
    }
    if !octets.windows(2).any(|pair| pair == b"\r\n") {
        octets = octets.split(|octet| *octet == b'\n').collect::<Vec<_>>().join(&b"\r\n"[..]);
    }
    Ok(Message::new(Blob::from_bytes(octets)))
}
