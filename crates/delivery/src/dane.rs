//! What the signed DNS says of a mail host: its addresses, and its TLSA records (RFC 7672 §2.2).

use crate::mx::ADDRESSES_MAX;
use crate::proven::{Doubt, Validation};
use mail::Domain;
use std::net::IpAddr;
use world::{Data, DnsError, DnsName, Kind, Proof, Reply, Resolver, Security, Tlsa};

/// TLSA records of a host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Found {
    /// There are none, or the zone is not signed.
    None,
    /// Signed records, and the name under which they stand (RFC 7672 §2.2.3).
    Records { base: Domain, records: Vec<Tlsa> },
    /// It cannot be found out: mail must not go there now (RFC 7672 §2.1.2).
    Unknown,
}

/// A host as the DNS knows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostFacts {
    /// IPv6 first, [`ADDRESSES_MAX`] at most. Never none.
    pub addresses: Result<Vec<IpAddr>, DnsError>,
    pub tlsa: Found,
}

/// Looks a host up, for TLS at `port`.
pub async fn look_up(host: &Domain, port: u16, dns: &dyn Resolver, validation: &Validation) -> HostFacts {
    if let Some(ip) = host.literal() {
        return HostFacts { addresses: Ok(vec![ip]), tlsa: Found::None };
    }
    let Some(name) = DnsName::of(host) else {
        return HostFacts { addresses: Err(DnsError::NoName), tlsa: Found::None };
    };
    let (six, four) =
        tokio::join!(dns.ask(&name, Kind::Aaaa, Proof::Wanted), dns.ask(&name, Kind::A, Proof::Wanted));
    // A family of which nothing is known makes the other neither better nor worse.
    let is_answer = |reply: &&Reply| {
        reply.security != Security::Bogus && !matches!(reply.answer, Err(DnsError::Trouble(_)))
    };
    let answers: Vec<&Reply> = [&six, &four].into_iter().filter(is_answer).collect();
    let found: Vec<&Reply> = answers.iter().copied().filter(|reply| reply.answer.is_ok()).collect();
    if found.is_empty() && answers.len() < 2 {
        return unproven(host, &name, dns, validation).await;
    }
    let security = found.iter().map(|reply| reply.security).reduce(Security::lesser);
    let owner = found.iter().find_map(|reply| Some(reply.answer.as_ref().ok()?.owner.clone()));
    let owner = owner.unwrap_or_else(|| name.clone());
    let mut addresses: Vec<IpAddr> = found.iter().flat_map(|reply| read_ips(reply)).collect();
    addresses.truncate(ADDRESSES_MAX);
    if addresses.is_empty() {
        let gone = answers.iter().any(|reply| reply.answer == Err(DnsError::NoName));
        let error = if gone { DnsError::NoName } else { DnsError::NoRecord };
        return HostFacts { addresses: Err(error), tlsa: Found::None };
    }
    let bases = match (security, owner == name) {
        (Some(Security::Secure), true) => vec![name],
        (Some(Security::Secure), false) => vec![owner, name],
        // The alias itself may be signed where its target is not (RFC 7672 §2.2.2).
        (_, false) if dns.ask(&name, Kind::Cname, Proof::Wanted).await.security == Security::Secure => {
            vec![name]
        }
        _ => Vec::new(),
    };
    HostFacts { addresses: Ok(addresses), tlsa: tlsa(&bases, port, dns).await }
}

fn read_ips(reply: &Reply) -> Vec<IpAddr> {
    let records = reply.answer.as_ref().map_or(&[][..], |records| &records.data);
    let read = |data: &Data| match data {
        Data::A(ip) => Some((*ip).into()),
        Data::Aaaa(ip) => Some((*ip).into()),
        _ => None,
    };
    records.iter().filter_map(read).collect()
}

/// A host whose addresses cannot be proven: where they should be, it is left alone (RFC 7672 §2.1.2).
async fn unproven(host: &Domain, name: &DnsName, dns: &dyn Resolver, validation: &Validation) -> HostFacts {
    let addresses = dns.addresses(host).await.map(|mut found| {
        found.truncate(ADDRESSES_MAX);
        found
    });
    let tlsa = match validation.doubt(name, dns).await {
        Doubt::Harmless => Found::None,
        Doubt::Serious => Found::Unknown,
    };
    HostFacts { addresses, tlsa }
}

/// The records of the first name that has some.
async fn tlsa(bases: &[DnsName], port: u16, dns: &dyn Resolver) -> Found {
    for base in bases {
        let (Ok(at), Some(domain)) = (base.below(&format!("_{port}._tcp")), base.to_domain()) else {
            continue;
        };
        let Reply { answer, security } = dns.tlsa(&at).await;
        match (answer, security) {
            (Ok(records), Security::Secure) => {
                let read = |data: Data| match data {
                    Data::Tlsa(record) => Some(record),
                    _ => None,
                };
                let records = records.data.into_iter().filter_map(read).collect();
                return Found::Records { base: domain, records };
            }
            (Err(DnsError::Trouble(_)), _) | (_, Security::Bogus) => return Found::Unknown,
            (Ok(_) | Err(DnsError::NoName | DnsError::NoRecord), _) => {}
        }
    }
    Found::None
}

#[cfg(test)]
mod tests {
    use super::*;

    const ZONE: &str = "
        ex                     SECURE
        open.ex                INSECURE
        mx.good.ex             A 192.0.2.1
        mx.good.ex             AAAA 2001:db8::1
        _25._tcp.mx.good.ex    TLSA 3 1 1 00ff
        _26._tcp.mx.good.ex    TLSA 3 1 1 26ff
        four.good.ex           A 192.0.2.2
        four.good.ex           AAAA SERVFAIL
        _25._tcp.four.good.ex  TLSA 3 1 1 04
        none.good.ex           A 192.0.2.3
        fails.good.ex          A 192.0.2.4
        _25._tcp.fails.good.ex SERVFAIL
        alias.good.ex          CNAME mx.good.ex
        own.good.ex            CNAME none.good.ex
        _25._tcp.own.good.ex   TLSA 3 1 1 05
        away.good.ex           CNAME mx.open.ex
        _25._tcp.away.good.ex  TLSA 3 1 1 06
        gone.good.ex           TXT x
        mx.open.ex             A 192.0.2.5
        _25._tcp.mx.open.ex    TLSA 3 1 1 07
        bad.ex                 BOGUS
        mx.bad.ex              A 192.0.2.6
        _25._tcp.mx.bad.ex     TLSA 3 1 1 08
        plain.bad.ex           A 192.0.2.7
        odd.open.ex            BOGUS
        odd.open.ex            A 192.0.2.10
        _25._tcp.odd.open.ex   TLSA 3 1 1 10
        mx.half.ex             A 192.0.2.8
        _25._tcp.mx.half.ex    BOGUS
        _25._tcp.mx.half.ex    TLSA 3 1 1 09
    ";

    #[tokio::test]
    async fn zone_in_facts_out() {
        let world = world::fake::world_with(1, ZONE).unwrap();
        for (host, port, want) in [
            ("mx.good.ex", 25, "2001:db8::1 192.0.2.1; mx.good.ex 3 1 1 00ff"),
            ("mx.good.ex", 26, "2001:db8::1 192.0.2.1; mx.good.ex 3 1 1 26ff"),
            // Trouble with one family does not switch DANE off.
            ("four.good.ex", 25, "192.0.2.2; four.good.ex 3 1 1 04"),
            ("none.good.ex", 25, "192.0.2.3; none"),
            ("fails.good.ex", 25, "192.0.2.4; unknown"),
            ("alias.good.ex", 25, "2001:db8::1 192.0.2.1; mx.good.ex 3 1 1 00ff"),
            ("own.good.ex", 25, "192.0.2.3; own.good.ex 3 1 1 05"),
            ("away.good.ex", 25, "192.0.2.5; away.good.ex 3 1 1 06"),
            ("mx.open.ex", 25, "192.0.2.5; none"),
            ("mx.bad.ex", 25, "192.0.2.6; unknown"),
            // Not even where there seem to be no records: who forges the one can hide the other.
            ("plain.bad.ex", 25, "192.0.2.7; unknown"),
            // Validation fails for a zone that is proven to be unsigned.
            ("odd.open.ex", 25, "192.0.2.10; none"),
            ("mx.half.ex", 25, "192.0.2.8; unknown"),
            ("gone.good.ex", 25, "the name has no such record; none"),
            ("nowhere.ex", 25, "the name does not exist; none"),
            ("[192.0.2.9]", 25, "192.0.2.9; none"),
        ] {
            let facts =
                look_up(&Domain::parse(host).unwrap(), port, world.dns.as_ref(), &Validation::default())
                    .await;
            let addresses = match facts.addresses {
                Ok(found) => found.iter().map(ToString::to_string).collect::<Vec<_>>().join(" "),
                Err(error) => error.to_string(),
            };
            let tlsa = match facts.tlsa {
                Found::None => "none".to_owned(),
                Found::Unknown => "unknown".to_owned(),
                Found::Records { base, records } => format!("{base} {}", records[0]),
            };
            assert_eq!(format!("{addresses}; {tlsa}"), want, "{host}");
        }
    }
}
