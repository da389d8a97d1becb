//! An outside that does as it is told: a clock that stands, numbers from a seed, DNS from text. For tests.

use crate::name::DnsName;
use crate::record::{Data, Kind};
use crate::resolver::{Asking, DnsError, Proof, Records, Reply, Resolver, Security, bogus};
use crate::zone::{Answer, Failure, Zone};
use crate::{Clock, Random, World};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// 2026-01-01T00:00:00Z, where fake clocks begin.
pub const BEGINNING: u64 = 1_767_225_600;

/// A clock that stands still until it is set. Clones show the same time.
#[derive(Clone, Debug)]
pub struct FakeClock {
    millis: Arc<AtomicU64>,
}

impl FakeClock {
    /// A clock that stands at `unix` seconds since 1970.
    pub fn at(unix: u64) -> Self {
        Self { millis: Arc::new(AtomicU64::new(unix.saturating_mul(1000))) }
    }

    pub fn set(&self, unix: u64) {
        self.millis.store(unix.saturating_mul(1000), Ordering::SeqCst);
    }

    pub fn advance(&self, by: Duration) {
        let millis = u64::try_from(by.as_millis()).unwrap_or(u64::MAX);
        self.millis.fetch_add(millis, Ordering::SeqCst);
    }
}

impl Default for FakeClock {
    fn default() -> Self {
        Self::at(BEGINNING)
    }
}

impl Clock for FakeClock {
    fn now(&self) -> SystemTime {
        UNIX_EPOCH + Duration::from_millis(self.millis.load(Ordering::SeqCst))
    }
}

/// Numbers from a seed: the same seed, the same numbers. Not fit for secrets.
pub struct FakeRandom {
    generator: Mutex<StdRng>,
}

impl FakeRandom {
    pub fn seeded(seed: u64) -> Self {
        Self { generator: Mutex::new(StdRng::seed_from_u64(seed)) }
    }
}

impl Random for FakeRandom {
    fn fill(&self, out: &mut [u8]) {
        lock(&self.generator).fill_bytes(out);
    }
}

/// Answers from a [`Zone`], and remembers what it was asked. Clones share both.
#[derive(Clone, Default)]
pub struct FakeResolver {
    inner: Arc<Mutex<Served>>,
}

#[derive(Default)]
struct Served {
    zone: Zone,
    asked: Vec<String>,
}

impl FakeResolver {
    /// Serves a zone written as text; the error names the line.
    pub fn zone(text: &str) -> Result<Self, String> {
        let resolver = Self::default();
        resolver.set(text)?;
        Ok(resolver)
    }

    /// Serves another zone from now on.
    pub fn set(&self, text: &str) -> Result<(), String> {
        lock(&self.inner).zone = Zone::parse(text)?;
        Ok(())
    }

    /// The questions so far, in order, as `example.org MX`.
    pub fn asked(&self) -> Vec<String> {
        lock(&self.inner).asked.clone()
    }

    fn reply(&self, name: &DnsName, kind: Kind, proof: Proof) -> Reply {
        let mut served = lock(&self.inner);
        served.asked.push(format!("{name} {kind}"));
        let answer = served.zone.ask(name, kind);
        let security = match proof {
            Proof::Usual => Security::Unchecked,
            Proof::Wanted => security_of(&served.zone, name, kind, &answer),
        };
        let trouble = |text: &str| Reply::failed(DnsError::Trouble(text.to_owned()), Security::Unchecked);
        match answer {
            Answer::Fails(Failure::ServFail) => trouble("SERVFAIL"),
            Answer::Fails(Failure::Refused) => trouble("REFUSED"),
            Answer::Fails(Failure::Timeout) => trouble("no answer in time"),
            Answer::Fails(Failure::Garbage) => trouble("the answer is garbage"),
            _ if security == Security::Bogus => Reply::failed(bogus(), security),
            Answer::NoName => Reply::failed(DnsError::NoName, security),
            Answer::NoRecord => Reply::failed(DnsError::NoRecord, security),
            Answer::Records(found) => {
                let owner = found.last().map_or_else(|| name.clone(), |(owner, _)| owner.clone());
                let data = found.into_iter().map(|(_, data)| data).filter(|data| data.kind() == kind);
                Reply { answer: Ok(Records { data: data.collect(), owner }), security }
            }
        }
    }
}

/// What every name on the way allows to say.
fn security_of(zone: &Zone, name: &DnsName, kind: Kind, answer: &Answer) -> Security {
    let mut names = vec![name];
    if let Answer::Records(found) = answer {
        for (owner, data) in found {
            names.push(owner);
            names.extend(match data {
                // Who asks for the alias itself is told nothing of its target.
                Data::Cname(to) if kind != Kind::Cname => Some(to),
                _ => None,
            });
        }
    }
    names.into_iter().map(|name| zone.security(name)).reduce(Security::lesser).unwrap_or(Security::Unchecked)
}

impl Resolver for FakeResolver {
    fn ask<'a>(&'a self, name: &'a DnsName, kind: Kind, proof: Proof) -> Asking<'a, Reply> {
        Box::pin(std::future::ready(self.reply(name, kind, proof)))
    }
}

/// A world without DNS records, at [`BEGINNING`].
pub fn world(seed: u64) -> World {
    World {
        clock: Arc::new(FakeClock::default()),
        dns: Arc::new(FakeResolver::default()),
        random: Arc::new(FakeRandom::seeded(seed)),
        meter: crate::Meter::default(),
    }
}

/// The same with a zone; the error names the line.
pub fn world_with(seed: u64, zone: &str) -> Result<World, String> {
    Ok(World { dns: Arc::new(FakeResolver::zone(zone)?), ..world(seed) })
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::Mx;
    use mail::Domain;
    use std::net::IpAddr;

    #[test]
    fn the_clock_stands_until_it_is_set() {
        let clock = FakeClock::default();
        let seen = clock.clone();
        assert_eq!(seen.unix(), 1_767_225_600);
        clock.advance(Duration::from_secs(90));
        assert_eq!(seen.unix(), 1_767_225_690);
        clock.set(5);
        assert_eq!(seen.unix(), 5);
    }

    #[test]
    fn the_same_seed_gives_the_same_numbers() {
        let words = |seed| {
            let random = FakeRandom::seeded(seed);
            [random.word(10), random.word(10)]
        };
        assert_eq!(words(7), words(7));
        assert_ne!(words(7), words(8));
        assert_ne!(words(7)[0], words(7)[1]);
    }

    #[tokio::test]
    async fn dns_comes_from_the_zone() {
        let dns = FakeResolver::zone(
            "example.org MX 10 mx.example.org\nexample.org MX 0 .\nmx.example.org A 127.0.0.1\n\
             mx.example.org AAAA ::1\nexample.org TXT \"a\" \"b\"\n1.0.0.127.in-addr.arpa PTR localhost\n\
             half.example A 192.0.2.1\nhalf.example AAAA SERVFAIL\ndown.example TIMEOUT\n\
             1.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.ip6.arpa PTR six.example\n",
        )
        .unwrap();
        let domain = |text| Domain::parse(text).unwrap();
        let mx = dns.mx(&domain("example.org")).await.unwrap();
        assert_eq!(mx[0], Mx { preference: 10, exchange: Some(domain("mx.example.org")) });
        assert_eq!(mx[1], Mx { preference: 0, exchange: None });
        let ips = dns.addresses(&domain("mx.example.org")).await.unwrap();
        assert_eq!(ips, ["::1".parse::<IpAddr>().unwrap(), "127.0.0.1".parse().unwrap()]);
        assert_eq!(
            dns.addresses(&domain("[192.0.2.9]")).await.unwrap(),
            ["192.0.2.9".parse::<IpAddr>().unwrap()]
        );
        assert_eq!(dns.addresses(&domain("half.example")).await.unwrap().len(), 1);
        assert_eq!(dns.txt("example.org").await.unwrap(), ["ab"]);
        assert_eq!(dns.names("127.0.0.1".parse().unwrap()).await.unwrap(), [domain("localhost")]);
        assert_eq!(dns.names("::1".parse().unwrap()).await.unwrap(), [domain("six.example")]);
        assert_eq!(dns.mx(&domain("mx.example.org")).await, Err(DnsError::NoRecord));
        assert_eq!(dns.mx(&domain("gone.example")).await, Err(DnsError::NoName));
        assert!(dns.addresses(&domain("down.example")).await.unwrap_err().is_temporary());
        assert_eq!(dns.asked()[0], "example.org MX");
    }

    #[tokio::test]
    async fn the_zone_says_what_is_proven() {
        let dns = FakeResolver::zone(
            "signed.example SECURE\nsigned.example MX 10 mx.signed.example\nalias.signed.example CNAME open.example\n\
             open.example A 192.0.2.1\nforged.signed.example BOGUS\nforged.signed.example A 192.0.2.2\n\
             _25._tcp.signed.example TLSA 3 1 1 00\n\
             _25._tcp.mx.forged.signed.example TLSA 3 1 1 00\n\
             noise.example GARBAGE\nhalf.signed.example A 192.0.2.3\nhalf.signed.example AAAA TIMEOUT\n",
        )
        .unwrap();
        let shown = async |name: &str, kind, proof| {
            let reply = dns.ask(&DnsName::parse(name).unwrap(), kind, proof).await;
            let answer = match reply.answer {
                Ok(records) => format!("{} {}", records.owner, records.data[0]),
                Err(error) => error.to_string(),
            };
            format!("{}: {answer}", reply.security)
        };
        for (name, kind, want) in [
            ("signed.example", Kind::Mx, "secure: signed.example 10 mx.signed.example"),
            ("gone.signed.example", Kind::A, "secure: the name does not exist"),
            ("signed.example", Kind::Tlsa, "secure: the name has no such record"),
            ("alias.signed.example", Kind::A, "insecure: open.example 192.0.2.1"),
            ("open.example", Kind::A, "insecure: open.example 192.0.2.1"),
            (
                "forged.signed.example",
                Kind::A,
                "bogus: the name server gave no answer: the DNSSEC signatures are wrong or missing",
            ),
            ("noise.example", Kind::A, "unchecked: the name server gave no answer: the answer is garbage"),
        ] {
            assert_eq!(shown(name, kind, Proof::Wanted).await, want);
        }
        assert_eq!(
            shown("forged.signed.example", Kind::A, Proof::Usual).await,
            "unchecked: forged.signed.example 192.0.2.2"
        );
        let tlsa = async |name: &str| {
            let reply = dns.tlsa(&DnsName::parse(name).unwrap()).await;
            format!("{}: {:?}", reply.security, reply.answer.map(|records| records.data.len()))
        };
        assert!(tlsa("a.forged.signed.example").await.starts_with("bogus: Err(Trouble"));
        assert!(tlsa("_25._tcp.mx.forged.signed.example").await.starts_with("bogus: Err(Trouble"));
        assert_eq!(tlsa("_25._tcp.signed.example").await, "secure: Ok(1)");
        let half = dns.families(&DnsName::parse("half.signed.example").unwrap(), Proof::Wanted).await;
        assert_eq!(half.four, Ok(vec!["192.0.2.3".parse().unwrap()]));
        assert!(half.six.is_err_and(|error| error.is_temporary()));
        assert_eq!(half.security, Security::Unchecked);
    }
}
