//! What others meet: ports, certificates, policies, lists; and whether we can get out.

use crate::certificates::{self, WEB_HOSTS};
use crate::config::Config;
use crate::listeners::wanted;
use crate::setup::finding::{Finding, State};
use crate::setup::records::has_pages;
use crate::sts::{Found, Inspector};
use mail::Domain;
use net::{CertFiles, Connector, TlsOptions};
use policy::mtasts::Harm;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;
use world::{Data, DnsError, DnsName, Kind, Proof, World};

/// How long a connection may take to come about.
const PATIENCE: Duration = Duration::from_secs(5);
/// A domain whose hosts always take connections on port 25.
const FAR_AWAY: &str = "gmail.com";
/// Lists that many servers ask, beside those of the configuration.
const LISTS: [&str; 2] = ["zen.spamhaus.org", "bl.spamcop.net"];
/// Days before its end at which a certificate should have been renewed.
const DAYS_LEFT_MIN: i64 = 14;
const DAY: i64 = 24 * 3600;

pub(crate) async fn look(config: &Config, addresses: &[IpAddr], world: &World) -> Vec<Finding> {
    let reached = world.dns.addresses(&config.hostname).await.unwrap_or_default();
    let mut findings = ports(config, &reached, world).await;
    findings.push(outbound(config, world).await);
    findings.extend(certificates(config, world));
    findings.extend(policies(config, world).await);
    let ours = if addresses.is_empty() { &reached[..] } else { addresses };
    for ip in ours {
        findings.extend(lists(config, *ip, world).await);
    }
    findings
}

/// What can be looked at while no name server answers.
pub(crate) async fn look_without_dns(config: &Config, world: &World) -> Vec<Finding> {
    let mut findings = ports(config, &[], world).await;
    findings.extend(certificates(config, world));
    findings
}

/// Each port of ours, from here: by our name where it listens on every address.
async fn ports(config: &Config, reached: &[IpAddr], world: &World) -> Vec<Finding> {
    let connector = Connector::new(world).patience(PATIENCE);
    let mut findings = Vec::new();
    for listening in wanted(config).into_iter().filter(|listening| listening.address.port() != 0) {
        let (at, door) = (listening.address, listening.door.name());
        let about = format!("{door} {}", at.port());
        let local = SocketAddr::new(Ipv4Addr::LOCALHOST.into(), at.port());
        let targets: Vec<SocketAddr> = match at.ip().is_unspecified() {
            true => reached.iter().map(|ip| SocketAddr::new(*ip, at.port())).collect(),
            false => vec![at],
        };
        let first = targets.first().copied().unwrap_or(local);
        findings.push(match connector.stream(first).await {
            Ok(_) => Finding::good("port", about, format!("{first} answers")),
            Err(error) if first != local && connector.stream(local).await.is_ok() => Finding::new(
                "port",
                about,
                State::Note,
                format!("it answers on this machine, and not at {first}: {error}"),
                "others may not reach it either; some routers only keep you from reaching yourself",
                "try from elsewhere; if it fails there, open the port in the firewall and let the router pass it on",
            ),
            Err(error) => Finding::new(
                "port",
                about,
                State::Bad,
                format!("nobody answers at {first}: {error}"),
                "the server does not run, or does not listen there",
                "start it with `maddy run`, and look into its log",
            ),
        });
    }
    findings
}

/// Whether connections to other mail servers come about.
async fn outbound(config: &Config, world: &World) -> Finding {
    const WHY: &str = "mail to others stays in the queue";
    let (hosts, port, about) = match &config.delivery.smarthost {
        Some(smarthost) => (vec![smarthost.host.clone()], smarthost.port, smarthost.host.to_string()),
        None => {
            let Ok(domain) = Domain::parse(FAR_AWAY) else { return Finding::good("outbound", FAR_AWAY, "") };
            match world.dns.mx(&domain).await {
                Ok(found) => {
                    let hosts = found.into_iter().filter_map(|mx| mx.exchange).collect();
                    (hosts, config.delivery.port, FAR_AWAY.to_owned())
                }
                Err(error) => return Finding::unknown("outbound", FAR_AWAY, &error),
            }
        }
    };
    let connector = Connector::new(world).patience(PATIENCE);
    let mut last = "no host has an address".to_owned();
    for host in &hosts {
        for ip in world.dns.addresses(host).await.unwrap_or_default() {
            match connector.stream(SocketAddr::new(ip, port)).await {
                Ok(_) => {
                    return Finding::good(
                        "outbound",
                        about,
                        format!("{host} takes connections on port {port}"),
                    );
                }
                Err(error) => last = format!("{host} ({ip}): {error}"),
            }
        }
    }
    let what = format!("no connection to port {port} of any host comes about; the last: {last}");
    let fix = "many providers block port 25 until they are asked: ask them to open it, or send through a `smarthost`";
    Finding::new("outbound", about, State::Bad, what, WHY, fix)
}

fn certificates(config: &Config, world: &World) -> Vec<Finding> {
    let now = world.clock.unix();
    let host = config.hostname.as_str();
    match &config.tls {
        TlsOptions::SelfSigned => vec![Finding::new(
            "certificate",
            host,
            State::Note,
            "it signs itself",
            "mail programs warn of it or refuse it, and no policy of others can rely on it",
            "write `tls { acme; }`, and it comes by itself",
        )],
        TlsOptions::Files(files) => {
            let mut findings: Vec<Finding> = files.iter().map(|files| life(files, now)).collect();
            findings.extend(names(config));
            findings
        }
        TlsOptions::Acme(_) => {
            let Some(plan) = certificates::plan(config) else { return Vec::new() };
            let of = |name: &net::AcmeName| {
                let files = plan.files.of(name);
                if files.chain.exists() {
                    return life(&files, now);
                }
                let state = if name.as_str() == host { State::Bad } else { State::Note };
                let why = "until it comes, one that signs itself is shown, of which clients warn";
                let fix = "`maddy tls list` says what the authority has said; its proofs need port 443 or 80, or a hook";
                Finding::new("certificate", name, state, "there is none yet from the authority", why, fix)
            };
            plan.names.iter().map(of).collect()
        }
    }
}

/// How long it is good.
fn life(files: &CertFiles, now: i64) -> Finding {
    let about = files.chain.display();
    let why = "clients refuse a certificate that has ended";
    let facts = match net::certificate_facts(&files.chain) {
        Ok(facts) => facts,
        Err(error) => {
            let what = error.to_string();
            return Finding::new("certificate", about, State::Bad, what, why, "put a good one there");
        }
    };
    let end = mail::date::print_iso(facts.not_after);
    let days = (facts.not_after - now) / DAY;
    let fix = "renew it: see `maddy tls list`, or whatever made the file";
    if facts.not_after < now {
        Finding::new("certificate", about, State::Bad, format!("it has ended on {end}"), why, fix)
    } else if facts.not_before > now {
        let what = "it begins in the future: a clock is wrong, here or where it was made";
        Finding::new("certificate", about, State::Bad, what, why, "set the clock")
    } else if days < DAYS_LEFT_MIN && facts.not_after - facts.not_before > 4 * DAYS_LEFT_MIN * DAY {
        Finding::new("certificate", about, State::Bad, format!("it ends in {days} days"), why, fix)
    } else {
        Finding::good("certificate", about, format!("good until {end}"))
    }
}

/// The names that clients look for in it.
fn names(config: &Config) -> Vec<Finding> {
    let covers = |name: &str| match &config.tls {
        TlsOptions::Files(files) => files
            .iter()
            .any(|files| net::certificate_facts(&files.chain).is_ok_and(|facts| facts.covers(name))),
        _ => true,
    };
    let one = |name: &str, state: State| {
        if covers(name) {
            return Finding::good("certificate-name", name, "there is a certificate for it");
        }
        let why = "clients that ask for this name refuse what they are shown";
        let fix = format!("get a certificate for {name} too, and name its files in `tls`");
        Finding::new("certificate-name", name, state, "no certificate is for it", why, fix)
    };
    let mut findings = vec![one(config.hostname.as_str(), State::Bad)];
    if has_pages(config) {
        for domain in config.domains.iter().filter(|domain| domain.literal().is_none()) {
            findings.extend(WEB_HOSTS.iter().map(|host| one(&format!("{host}.{domain}"), State::Note)));
        }
    }
    findings
}

/// What senders find as the MTA-STS policy of each domain, against what is so.
async fn policies(config: &Config, world: &World) -> Vec<Finding> {
    let inspector = match Inspector::of(config, world) {
        Ok(inspector) => inspector,
        Err(error) => {
            let why = "the policies cannot be looked at";
            return vec![Finding::new(
                "mta-sts",
                &config.hostname,
                State::Unknown,
                error.to_string(),
                why,
                "",
            )];
        }
    };
    let mut findings = Vec::new();
    for domain in config.domains.iter().filter(|domain| domain.literal().is_none()) {
        match inspector.inspect(domain).await {
            Found::NoRecord => {}
            Found::Unknown(why) => {
                findings.push(Finding::unknown("mta-sts", domain, &DnsError::Trouble(why)))
            }
            Found::NoPolicy { why, .. } => findings.push(Finding::new(
                "mta-sts",
                domain,
                State::Bad,
                format!("there is a record, and no policy: {why}"),
                "senders that know an old policy hold to it, and may not deliver",
                "turn on the pages (`web { listen … tls=#true; }`), or take the record _mta-sts away",
            )),
            Found::Policy { policy, warnings, .. } if warnings.is_empty() => {
                findings.push(Finding::good(
                    "mta-sts",
                    domain,
                    format!("its policy is true ({})", policy.mode),
                ));
            }
            Found::Policy { warnings, .. } => findings.extend(warnings.into_iter().map(|warning| {
                let (state, why) = match warning.harm {
                    Harm::NoMail => (State::Bad, "senders do not deliver"),
                    Harm::HostUnused => (State::Bad, "senders do not use this host"),
                    Harm::Later => (State::Note, "it protects less than it could, or will do harm one day"),
                };
                let fix = "change `web { mta-sts }`, the MX records or the certificate, so that they fit";
                Finding::new("mta-sts", domain, state, warning.text, why, fix)
            })),
        }
    }
    findings
}

/// Whether lists in the DNS speak against an address.
async fn lists(config: &Config, ip: IpAddr, world: &World) -> Vec<Finding> {
    let reversed = DnsName::reverse(ip).to_string();
    let letters = reversed.trim_end_matches(".in-addr.arpa").trim_end_matches(".ip6.arpa");
    let configured = config.checks.lists.iter().filter(|list| list.score > 0 && list.asked_for.client);
    let configured = configured.map(|list| (list.zone.to_string(), list.name.clone()));
    let mut zones: Vec<(String, String)> = configured.collect();
    for zone in LISTS {
        if !zones.iter().any(|(_, name)| name == zone) {
            zones.push((zone.to_owned(), zone.to_owned()));
        }
    }
    let mut findings = Vec::new();
    for (zone, name) in zones {
        let Ok(question) = DnsName::parse(&format!("{letters}.{zone}")) else { continue };
        let answer = world.dns.ask(&question, Kind::A, Proof::Usual).await.read(|data| match data {
            Data::A(ip) => Some(ip),
            _ => None,
        });
        let about = format!("{ip} {name}");
        findings.push(match answer {
            Ok(codes) if codes.iter().any(|code| speaks_against(*code)) => {
                let codes: Vec<String> = codes.iter().map(ToString::to_string).collect();
                let what = format!("the list holds our address ({})", codes.join(", "));
                let why = "servers that ask the list refuse your mail or put it to junk";
                let fix = format!(
                    "look up why on the web site of {name}, end the cause, then ask there to be taken off"
                );
                Finding::new("dns-list", about, State::Bad, what, why, fix)
            }
            Ok(_) => {
                let what = "the list does not answer the name server that is asked";
                let fix = "ask it through a resolver of your own; large public ones are refused";
                Finding::new(
                    "dns-list",
                    about,
                    State::Unknown,
                    what,
                    "nobody can say whether it holds our address",
                    fix,
                )
            }
            Err(DnsError::NoName | DnsError::NoRecord) => {
                Finding::good("dns-list", about, "it does not hold our address")
            }
            Err(error) => Finding::unknown("dns-list", about, &error),
        });
    }
    findings
}

/// Answers in 127.255.255.0/24 say that the question was not answered (RFC 5782 §2.1 leaves that to the lists).
fn speaks_against(code: Ipv4Addr) -> bool {
    let octets = code.octets();
    octets[0] == 127 && octets[1..3] != [255, 255]
}
