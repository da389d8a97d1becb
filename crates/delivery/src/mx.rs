//! Which hosts take the mail of a domain, and in what order (RFC 5321 §5.1, RFC 7505).

use crate::proven::{Doubt, Validation};
use crate::tls_policy::Known;
use mail::{Domain, Reply, Status};
use std::net::IpAddr;
use world::{Data, DnsError, DnsName, Kind, Mx, Proof, Random, Resolver, Security, World};

/// Most hosts of one domain that an attempt looks at.
pub const HOSTS_MAX: usize = 10;
/// Most addresses of one host that an attempt looks at.
pub const ADDRESSES_MAX: usize = 8;

/// Where the mail of a domain goes next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hop {
    /// The hosts, best first; equal preferences in an order of chance. Never none.
    pub hosts: Vec<Domain>,
    /// How their names are known.
    pub known: Known,
    /// The domain, and where its records stand if it is an alias (CNAME): what certificates of DANE-TA may be for
    /// (RFC 7672 §3.2.2).
    pub names: Vec<Domain>,
}

/// Whether what the DNS says of the way must be proven where it can be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ask {
    Plain,
    Proven,
}

impl Hop {
    /// One host, which needs no proof.
    pub fn certain(host: Domain) -> Self {
        Self { names: vec![host.clone()], hosts: vec![host], known: Known::Certain }
    }
}

/// Why nobody knows the hosts of a domain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lost {
    /// What the queue keeps: a 4xx asks for patience, a 5xx ends the matter.
    pub reply: Reply,
    pub cause: Cause,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cause {
    /// There are none, or there is no answer.
    Usual,
    /// What the DNS says ought to be signed and is not.
    Forged,
}

impl From<Reply> for Lost {
    fn from(reply: Reply) -> Self {
        Self { reply, cause: Cause::Usual }
    }
}

/// The hosts of a domain.
///
/// `us` is the name of this server: where the DNS names it, hosts that are not better than it are left out, so that
/// mail never goes round.
pub async fn hosts(
    domain: &Domain,
    us: &Domain,
    world: &World,
    ask: Ask,
    validation: &Validation,
) -> Result<Hop, Lost> {
    let Some(name) = DnsName::of(domain) else { return Ok(Hop::certain(domain.clone())) };
    let random = world.random.as_ref();
    let Looked { answer, known, cause } = look(&name, world.dns.as_ref(), ask, validation).await;
    match answer {
        Ok((records, owner)) => {
            let names = [Some(domain.clone()), owner.to_domain().filter(|owner| owner != domain)];
            Ok(Hop {
                hosts: order(domain, records, us, random)?,
                known,
                names: names.into_iter().flatten().collect(),
            })
        }
        // The implicit MX.
        Err(DnsError::NoRecord) if domain == us => Err(loops(domain).into()),
        Err(DnsError::NoRecord) => Ok(Hop::certain(domain.clone())),
        Err(DnsError::NoName) => Err(Reply::new(
            550,
            Status::permanent(1, 2),
            format!("The domain {domain} does not exist: please check the address"),
        )
        .into()),
        Err(DnsError::Trouble(text)) => Err(Lost { reply: trouble(domain, &text), cause }),
    }
}

/// The MX records and where they stand, and how far that can be believed.
struct Looked {
    answer: Result<(Vec<Mx>, DnsName), DnsError>,
    known: Known,
    cause: Cause,
}

/// The MX records, where they stand, and how far they are proven. What cannot be proven is asked for once more without
/// proof where there can be none (RFC 7672 §2.2.1).
async fn look(name: &DnsName, dns: &dyn Resolver, ask: Ask, validation: &Validation) -> Looked {
    let mut known = Known::Open;
    let mut answer = None;
    if ask == Ask::Proven {
        let reply = dns.ask(name, Kind::Mx, Proof::Wanted).await;
        let is_answer = !matches!(reply.answer, Err(DnsError::Trouble(_)));
        if is_answer && reply.security != Security::Bogus {
            known = if reply.security == Security::Secure { Known::Proven } else { Known::Open };
            answer = Some(reply.answer);
        } else if validation.doubt(name, dns).await == Doubt::Serious {
            let cause = if reply.security == Security::Bogus { Cause::Forged } else { Cause::Usual };
            return Looked { answer: reply.answer.and_then(|_| Err(unproven())), known, cause };
        }
    }
    let answer = match answer {
        Some(answer) => answer,
        None => dns.ask(name, Kind::Mx, Proof::Usual).await.answer,
    };
    let read = answer.and_then(|records| {
        let found: Vec<Mx> = records.data.into_iter().filter_map(read_mx).collect();
        // There are records, so this is no domain without MX.
        if found.is_empty() {
            return Err(DnsError::Trouble("no MX record holds a host name".to_owned()));
        }
        Ok((found, records.owner))
    });
    Looked { answer: read, known, cause: Cause::Usual }
}

/// Records that should be signed and are not.
fn unproven() -> DnsError {
    DnsError::Trouble("the DNSSEC signatures are wrong or missing".to_owned())
}

fn read_mx(data: Data) -> Option<Mx> {
    let Data::Mx { preference, exchange } = data else { return None };
    let exchange = if exchange.is_root() { None } else { Some(exchange.to_domain()?) };
    Some(Mx { preference, exchange })
}

fn order(domain: &Domain, records: Vec<Mx>, us: &Domain, random: &dyn Random) -> Result<Vec<Domain>, Reply> {
    let ours = records
        .iter()
        .filter(|record| record.exchange.as_ref() == Some(us))
        .map(|record| record.preference)
        .min();
    // A root beside other records means nothing (RFC 7505 §3).
    let mut named: Vec<(u16, u64, Domain)> = records
        .into_iter()
        .filter_map(|record| Some((record.preference, random.u64(), record.exchange?)))
        .collect();
    if named.is_empty() {
        return Err(Reply::new(
            556,
            Status::permanent(1, 10),
            format!("The domain {domain} says that it takes no mail (null MX)"),
        ));
    }
    named.retain(|(preference, ..)| ours.is_none_or(|ours| *preference < ours));
    if named.is_empty() {
        return Err(loops(domain));
    }
    named.sort();
    let mut hosts: Vec<Domain> = Vec::with_capacity(named.len().min(HOSTS_MAX));
    for (_, _, host) in named {
        if hosts.len() < HOSTS_MAX && !hosts.contains(&host) {
            hosts.push(host);
        }
    }
    Ok(hosts)
}

/// The addresses of a host in the order in which the resolver gives them. Never an empty list.
pub async fn addresses(host: &Domain, dns: &dyn Resolver) -> Result<Vec<IpAddr>, Reply> {
    if let Some(ip) = host.literal() {
        return Ok(vec![ip]);
    }
    let found = dns.addresses(host).await.map(|mut found| {
        found.truncate(ADDRESSES_MAX);
        found
    });
    understand(host, found)
}

/// What the queue keeps where a host has no addresses.
pub(crate) fn understand(host: &Domain, found: Result<Vec<IpAddr>, DnsError>) -> Result<Vec<IpAddr>, Reply> {
    found.map_err(|error| match error {
        DnsError::NoName | DnsError::NoRecord => Reply::new(
            550,
            Status::permanent(4, 4),
            format!("The mail host {host} has no address: its domain cannot receive mail"),
        ),
        DnsError::Trouble(text) => trouble(host, &text),
    })
}

/// The mail of a domain leads to us, but the domain is not one of ours.
pub fn loops(domain: &Domain) -> Reply {
    Reply::new(
        550,
        Status::permanent(4, 6),
        format!("The DNS sends the mail of {domain} to this server, which does not serve that domain"),
    )
}

fn trouble(name: &Domain, text: &str) -> Reply {
    Reply::new(451, Status::transient(4, 3), format!("The DNS did not answer for {name}: {text}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    const ZONE: &str = "
        one.ex       MX 10 mx.one.ex
        mx.one.ex    A 192.0.2.1
        mx.one.ex    AAAA 2001:db8::1
        three.ex     MX 30 c.three.ex
        three.ex     MX 10 a.three.ex
        three.ex     MX 20 b.three.ex
        null.ex      MX 0 .
        odd.ex       MX 0 .
        odd.ex       MX 10 mx.one.ex
        plain.ex     A 192.0.2.9
        textonly.ex  TXT \"no address\"
        slow.ex      TIMEOUT
        bad.ex       MX SERVFAIL
        bad.ex       A 192.0.2.8
        deaf.ex      MX 10 slow.ex
        nohost.ex    MX 10 gone.ex
        us1.ex       MX 10 better.ex
        us1.ex       MX 20 us.ex
        us1.ex       MX 20 equal.ex
        us1.ex       MX 30 worse.ex
        us2.ex       MX 10 us.ex
        us2.ex       MX 20 other.ex
        us.ex        A 192.0.2.7
        twice.ex     MX 10 mx.one.ex
        twice.ex     MX 20 mx.one.ex
    ";

    async fn ask(world: &world::World, domain: &str) -> String {
        let (domain, us) = (Domain::parse(domain).unwrap(), Domain::parse("us.ex").unwrap());
        match hosts(&domain, &us, world, Ask::Plain, &Validation::default()).await {
            Err(Lost { reply, .. }) => format!("{} {}", reply.code, reply.status.unwrap()),
            Ok(hop) => hop.hosts.iter().map(Domain::to_string).collect::<Vec<_>>().join(" "),
        }
    }

    #[tokio::test]
    async fn zone_in_hosts_out() {
        let world = world::fake::world_with(1, ZONE).unwrap();
        for (domain, want) in [
            ("one.ex", "mx.one.ex"),
            ("three.ex", "a.three.ex b.three.ex c.three.ex"),
            ("null.ex", "556 5.1.10"),
            ("odd.ex", "mx.one.ex"),
            ("plain.ex", "plain.ex"),
            ("textonly.ex", "textonly.ex"),
            ("gone.ex", "550 5.1.2"),
            ("slow.ex", "451 4.4.3"),
            ("bad.ex", "451 4.4.3"),
            ("us1.ex", "better.ex"),
            ("us2.ex", "550 5.4.6"),
            ("us.ex", "550 5.4.6"),
            ("twice.ex", "mx.one.ex"),
            ("[192.0.2.5]", "[192.0.2.5]"),
        ] {
            assert_eq!(ask(&world, domain).await, want, "{domain}");
        }
    }

    #[tokio::test]
    async fn what_is_proven_of_the_hosts() {
        const SIGNED: &str = "
            ex        SECURE
            open.ex   INSECURE
            good.ex   MX 10 mx.open.ex
            alias.good.ex CNAME good.ex
            bare.good.ex A 192.0.2.1
            open.ex   MX 10 mx.open.ex
            bad.ex    BOGUS
            bad.ex    MX 10 mx.open.ex
            bad.ex    A 192.0.2.1
            odd.open.ex BOGUS
            odd.open.ex MX 10 mx.open.ex
        ";
        let world = world::fake::world_with(1, SIGNED).unwrap();
        let us = Domain::parse("us.ex").unwrap();
        for (domain, ask, want) in [
            ("good.ex", Ask::Proven, "mx.open.ex Proven good.ex"),
            ("good.ex", Ask::Plain, "mx.open.ex Open good.ex"),
            ("alias.good.ex", Ask::Proven, "mx.open.ex Proven alias.good.ex good.ex"),
            ("bare.good.ex", Ask::Proven, "bare.good.ex Certain bare.good.ex"),
            ("open.ex", Ask::Proven, "mx.open.ex Open open.ex"),
            ("bad.ex", Ask::Proven, "451 4.4.3 Forged"),
            ("bad.ex", Ask::Plain, "mx.open.ex Open bad.ex"),
            // Validation fails for a zone that is not signed at all.
            ("odd.open.ex", Ask::Proven, "mx.open.ex Open odd.open.ex"),
            ("[192.0.2.5]", Ask::Proven, "[192.0.2.5] Certain [192.0.2.5]"),
        ] {
            let name = Domain::parse(domain).unwrap();
            let hop = hosts(&name, &us, &world, ask, &Validation::default()).await;
            let words = |list: &[Domain]| list.iter().map(Domain::to_string).collect::<Vec<_>>().join(" ");
            let got = match hop {
                Ok(hop) => format!("{} {:?} {}", words(&hop.hosts), hop.known, words(&hop.names)),
                Err(Lost { reply, cause }) => format!("{} {} {cause:?}", reply.code, reply.status.unwrap()),
            };
            assert_eq!(got, want, "{domain} {ask:?}");
        }
    }

    #[tokio::test]
    async fn zone_in_addresses_out() {
        let world = world::fake::world_with(1, ZONE).unwrap();
        for (host, want) in [
            ("mx.one.ex", "192.0.2.1 2001:db8::1"),
            ("plain.ex", "192.0.2.9"),
            ("textonly.ex", "550 5.4.4"),
            ("gone.ex", "550 5.4.4"),
            ("slow.ex", "451 4.4.3"),
            ("[IPv6:2001:db8::5]", "2001:db8::5"),
        ] {
            let got = match addresses(&Domain::parse(host).unwrap(), world.dns.as_ref()).await {
                Err(reply) => format!("{} {}", reply.code, reply.status.unwrap()),
                Ok(mut found) => {
                    found.sort();
                    found.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ")
                }
            };
            assert_eq!(got, want, "{host}");
        }
    }

    #[tokio::test]
    async fn equal_preferences_come_in_any_order() {
        let records: String = (0..20).map(|n| format!("many.ex MX 10 h{n}.ex\n")).collect();
        let world = world::fake::world_with(5, &records).unwrap();
        let mut seen = BTreeSet::new();
        for _ in 0..10 {
            let hosts = ask(&world, "many.ex").await;
            assert_eq!(hosts.split(' ').count(), HOSTS_MAX);
            seen.insert(hosts);
        }
        assert!(seen.len() > 5, "{seen:?}");
    }
}
