//! The DNS of our host: its addresses, the way back, the key of its certificate.

use crate::config::Config;
use crate::setup::compare::{add, join};
use crate::setup::finding::{Finding, State};
use crate::setup::records::{Facts, Says, wanted};
use crate::setup::{is_public, tlsa};
use mail::Domain;
use std::net::IpAddr;
use world::{DnsError, DnsName, Kind, Proof, Security, World};

/// `reached` is where the name of our host leads.
pub(crate) async fn compare(
    config: &Config,
    facts: &Facts,
    reached: &Result<Vec<IpAddr>, DnsError>,
    world: &World,
) -> Vec<Finding> {
    let mut findings = vec![address(config, facts, reached)];
    let known = reached.as_deref().unwrap_or_default();
    let mut ours = if facts.addresses.is_empty() { known.to_vec() } else { facts.addresses.clone() };
    for ip in &config.delivery.source_addresses {
        if !ours.contains(ip) {
            ours.push(*ip);
        }
    }
    for ip in ours {
        findings.push(ptr(config, ip, world).await);
    }
    findings.extend(dnssec(config, world).await);
    findings.extend(tlsa::look(config, facts, world).await);
    findings
}

fn address(config: &Config, facts: &Facts, reached: &Result<Vec<IpAddr>, DnsError>) -> Finding {
    const WHY: &str = "nobody reaches this server by its name";
    let host = &config.hostname;
    let list = wanted(config, facts);
    let is_address =
        |ip: &IpAddr| list.iter().find(|record| record.says == Says::Address(*ip)).map_or(String::new(), add);
    let found = match reached {
        Ok(found) => found,
        Err(error @ DnsError::Trouble(_)) => return Finding::unknown("address", host, error),
        Err(_) => {
            let fix = facts.addresses.first().map_or_else(
                || format!("put the public address of this server into the zone: {host}. IN A …"),
                is_address,
            );
            return Finding::new("address", host, State::Bad, "it has no address in the DNS", WHY, fix);
        }
    };
    let what = format!("it leads to {}", join(found));
    if let Some(missing) = facts.addresses.iter().find(|ip| !found.contains(ip)) {
        let what = format!("{what}, not to {missing}");
        return Finding::new("address", host, State::Bad, what, WHY, is_address(missing));
    }
    if let Some(other) = found.iter().find(|ip| !facts.addresses.is_empty() && !facts.addresses.contains(ip))
    {
        let fix = format!("take {other} out, if it is not this server's");
        return Finding::new("address", host, State::Bad, format!("{what}; {other} is not ours"), WHY, fix);
    }
    if facts.addresses.is_empty() && !found.iter().any(|ip| is_public(*ip)) {
        return Finding::new(
            "address",
            host,
            State::Note,
            format!("{what}, which only this network can reach"),
            WHY,
            "",
        );
    }
    Finding::good("address", host, what)
}

async fn ptr(config: &Config, ip: IpAddr, world: &World) -> Finding {
    const WHY: &str = "many servers refuse mail from an address whose name does not fit (RFC 1912 §2.1)";
    let host = &config.delivery.hostname.clone().unwrap_or_else(|| config.hostname.clone());
    let fix = format!("ask whoever gave you the address {ip} to set its reverse name (PTR) to {host}");
    let names = match world.dns.names(ip).await {
        Ok(names) => names,
        Err(error @ DnsError::Trouble(_)) => return Finding::unknown("ptr", ip, &error),
        Err(_) => return Finding::new("ptr", ip, State::Bad, "the address has no name", WHY, fix),
    };
    let shown: Vec<String> = names.iter().map(ToString::to_string).collect();
    let what = format!("the name of the address is {}", shown.join(", "));
    if !names.contains(host) {
        let what = format!("{what}, and the server calls itself {host}");
        return Finding::new("ptr", ip, State::Bad, what, WHY, fix);
    }
    match world.dns.addresses(host).await {
        Ok(back) if back.contains(&ip) => Finding::good("ptr", ip, what),
        Ok(back) => {
            let what = format!("{what}, which leads to {}, not back", join(&back));
            Finding::new("ptr", ip, State::Bad, what, WHY, format!("let {host} lead to {ip}"))
        }
        Err(error) => Finding::unknown("ptr", ip, &error),
    }
}

/// Whether those who validate can believe what the zones of our host and of our domains say. That nothing can be checked
/// from here is said once.
async fn dnssec(config: &Config, world: &World) -> Vec<Finding> {
    let mut findings = vec![dnssec_of(&config.hostname, Kind::A, world).await];
    for domain in config.domains.iter().filter(|domain| domain.literal().is_none()) {
        let finding = dnssec_of(domain, Kind::Mx, world).await;
        if finding.state != State::Note {
            findings.push(finding);
        }
    }
    findings
}

async fn dnssec_of(host: &Domain, kind: Kind, world: &World) -> Finding {
    let Some(name) = DnsName::of(host) else { return Finding::good("dnssec", host, "no name of the DNS") };
    let reply = world.dns.ask(&name, kind, Proof::Wanted).await;
    match reply.security {
        Security::Secure => Finding::good("dnssec", host, "its zone is signed, and the signatures are good"),
        Security::Insecure => Finding::good("dnssec", host, "its zone is not signed"),
        Security::Unchecked => Finding::new(
            "dnssec",
            host,
            State::Note,
            "signatures in the DNS cannot be checked here",
            "TLSA records of others are not followed, which protect your mail",
            "let `dns { server }` name a resolver that passes signatures on, and `dnssec` be \"wanted\"",
        ),
        // Not every name server passes on what signatures are checked with; then nothing is good, not even the root.
        Security::Bogus if !is_root_proven(world).await => Finding::new(
            "dnssec",
            host,
            State::Note,
            "the name server does not pass on what signatures are checked with",
            "TLSA records of others are not followed, which protect your mail",
            "let `dns { server }` name a resolver that does DNSSEC, like an unbound on this machine",
        ),
        Security::Bogus => Finding::new(
            "dnssec",
            host,
            State::Bad,
            "the signatures of its zone are wrong",
            "everybody who checks them can neither reach you nor believe your mail",
            "have whoever signs the zone sign it anew, or take its DS record away",
        ),
    }
}

async fn is_root_proven(world: &World) -> bool {
    world.dns.ask(&DnsName::root(), Kind::Ns, Proof::Wanted).await.security == Security::Secure
}
