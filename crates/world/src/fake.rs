//! An outside that does as it is told: a clock that stands, numbers from a seed, DNS from text. For tests.

use crate::resolver::{Answering, DnsError, Mx, Resolver};
use crate::zone::{Answer, Data, Failure, Kind, Zone};
use crate::{Clock, Random, World};
use mail::Domain;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use std::net::IpAddr;
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

    fn ask(&self, name: &str, kind: Kind) -> Result<Vec<Data>, DnsError> {
        let mut served = lock(&self.inner);
        served.asked.push(format!("{name} {kind}"));
        match served.zone.ask(name, kind) {
            Answer::Records(records) => Ok(records
                .into_iter()
                .map(|(_, data)| data)
                .filter(|data| !matches!(data, Data::Cname(_)))
                .collect()),
            Answer::NoName => Err(DnsError::NoName),
            Answer::NoRecord => Err(DnsError::NoRecord),
            Answer::Fails(Failure::ServFail) => Err(DnsError::Trouble("SERVFAIL".to_owned())),
            Answer::Fails(Failure::Timeout) => Err(DnsError::Trouble("no answer in time".to_owned())),
        }
    }

    fn ask_mx(&self, domain: &Domain) -> Result<Vec<Mx>, DnsError> {
        if domain.literal().is_some() {
            return Err(DnsError::NoRecord);
        }
        let found = self.ask(domain.as_str(), Kind::Mx)?;
        let read = |data| match data {
            Data::Mx { preference, exchange } if exchange.is_empty() => {
                Some(Mx { preference, exchange: None })
            }
            Data::Mx { preference, exchange } => {
                Some(Mx { preference, exchange: Some(Domain::parse(&exchange).ok()?) })
            }
            _ => None,
        };
        Ok(found.into_iter().filter_map(read).collect())
    }

    fn ask_addresses(&self, host: &Domain) -> Result<Vec<IpAddr>, DnsError> {
        if let Some(ip) = host.literal() {
            return Ok(vec![ip]);
        }
        let six = self.ask(host.as_str(), Kind::Aaaa);
        let four = self.ask(host.as_str(), Kind::A);
        let found: Vec<IpAddr> = [&six, &four]
            .into_iter()
            .flatten()
            .flatten()
            .filter_map(|data| match data {
                Data::A(ip) => Some(IpAddr::V4(*ip)),
                Data::Aaaa(ip) => Some(IpAddr::V6(*ip)),
                _ => None,
            })
            .collect();
        match (six, four) {
            _ if !found.is_empty() => Ok(found),
            (Err(error), _) if error.is_temporary() => Err(error),
            (_, Err(error)) => Err(error),
            (_, Ok(_)) => Err(DnsError::NoRecord),
        }
    }
}

impl Resolver for FakeResolver {
    fn mx<'a>(&'a self, domain: &'a Domain) -> Answering<'a, Vec<Mx>> {
        Box::pin(std::future::ready(self.ask_mx(domain)))
    }

    fn addresses<'a>(&'a self, host: &'a Domain) -> Answering<'a, Vec<IpAddr>> {
        Box::pin(std::future::ready(self.ask_addresses(host)))
    }

    fn txt<'a>(&'a self, name: &'a str) -> Answering<'a, Vec<String>> {
        let texts = self.ask(name, Kind::Txt).map(|found| {
            found
                .into_iter()
                .filter_map(|data| match data {
                    Data::Txt(strings) => Some(strings.concat()),
                    _ => None,
                })
                .collect()
        });
        Box::pin(std::future::ready(texts))
    }

    fn names(&self, ip: IpAddr) -> Answering<'_, Vec<Domain>> {
        let names = self.ask(&reverse_name(ip), Kind::Ptr).map(|found| {
            found
                .into_iter()
                .filter_map(|data| match data {
                    Data::Ptr(name) => Domain::parse(&name).ok(),
                    _ => None,
                })
                .collect()
        });
        Box::pin(std::future::ready(names))
    }
}

/// Where the PTR records of an address are (RFC 1035 §3.5, RFC 3596 §2.5).
fn reverse_name(ip: IpAddr) -> String {
    match ip {
        IpAddr::V4(v4) => {
            let [a, b, c, d] = v4.octets();
            format!("{d}.{c}.{b}.{a}.in-addr.arpa")
        }
        IpAddr::V6(v6) => {
            let nibbles = v6.octets().into_iter().rev().flat_map(|b| [b & 15, b >> 4]);
            let mut name: String = nibbles.map(|n| format!("{n:x}.")).collect();
            name.push_str("ip6.arpa");
            name
        }
    }
}

/// A world without DNS records, at [`BEGINNING`].
pub fn world(seed: u64) -> World {
    World {
        clock: Arc::new(FakeClock::default()),
        dns: Arc::new(FakeResolver::default()),
        random: Arc::new(FakeRandom::seeded(seed)),
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
}
