//! Who failed lately, in tables of bounded size, for all doors together.

use crate::guess::{Acquaintance, GuessLimits, Mark, Standing, TooMany, decide};
use aws_lc_rs::hmac::{self, HMAC_SHA256, Key};
use std::collections::HashMap;
use std::hash::Hash;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::Duration;

/// Most marks in each of the two tables: of addresses and networks, and of accounts.
pub const MARKS_MAX: usize = 65_536;
/// Most pairs of account and address that are remembered as proven.
pub const FAMILIAR_MAX: usize = 65_536;
/// How long such a pair is remembered after the last proof, in seconds: 30 days.
const FAMILIAR_TIME: u64 = 30 * 24 * 3600;

/// A keyed digest in place of a name: short, and nobody outside can make two that fall together.
type Tag = [u8; 16];

/// From where somebody failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Source {
    /// An address, or the /64 of IPv6 that begins with it.
    Address(IpAddr),
    /// The /24 of IPv4 or /48 of IPv6 that begins with it.
    Network(IpAddr),
}

/// What is counted under one name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Count {
    /// Failures that are not forgotten yet.
    pub failures: u32,
    /// When the last of them was, in seconds.
    pub last: u64,
    /// How long the next try has to wait; for an account, that of an address that failed with it.
    pub wait: Duration,
}

/// Remembers failed logins, and from where accounts were proven. Holds no names of accounts and no passwords: what
/// people type for a name can be a password by mistake.
pub struct Guesses {
    limits: GuessLimits,
    key: Key,
    sources: HashMap<Source, Mark>,
    accounts: HashMap<Tag, Mark>,
    familiar: HashMap<Tag, u64>,
}

/// The tags under which a login is counted.
struct Tags {
    address: Source,
    network: Source,
    account: Tag,
    pair: Tag,
}

impl Guesses {
    /// The key must be random, and should be new for each process.
    pub fn new(limits: GuessLimits, key: &[u8; 32]) -> Self {
        Self {
            limits,
            key: Key::new(HMAC_SHA256, key),
            sources: HashMap::new(),
            accounts: HashMap::new(),
            familiar: HashMap::new(),
        }
    }

    /// Other limits from now on; what was counted stays.
    pub fn set(&mut self, limits: GuessLimits) {
        self.limits = limits;
    }

    /// Whether a password for `user` may be tried now. `now` is in seconds, here and below.
    pub fn ask(&self, user: &str, from: IpAddr, now: u64) -> Result<(), TooMany> {
        let tags = self.tags(user, from);
        let from_there = |source: &Source| self.sources.get(source).copied().unwrap_or_default();
        let with = |tag: &Tag| self.accounts.get(tag).copied().unwrap_or_default();
        let proven = self.familiar.get(&tags.pair);
        let standing = Standing {
            address: from_there(&tags.address),
            network: from_there(&tags.network),
            account: with(&tags.account),
            pair: with(&tags.pair),
            acquaintance: match proven {
                Some(last) if now.saturating_sub(*last) < FAMILIAR_TIME => Acquaintance::Familiar,
                _ => Acquaintance::Stranger,
            },
        };
        decide(&self.limits, &standing, now)
    }

    /// The password was wrong, or there is no such user.
    pub fn wrong(&mut self, user: &str, from: IpAddr, now: u64) {
        let tags = self.tags(user, from);
        let limits = self.limits;
        count(&mut self.sources, tags.address, &limits, limits.per_address, now);
        count(&mut self.sources, tags.network, &limits, limits.per_network, now);
        count(&mut self.accounts, tags.account, &limits, limits.per_account, now);
        count(&mut self.accounts, tags.pair, &limits, limits.per_address, now);
    }

    /// The password was right. What was wrong at this address with others stays counted: who has an account here may
    /// not buy guesses with it.
    pub fn right(&mut self, user: &str, from: IpAddr, now: u64) {
        let pair = self.tags(user, from).pair;
        self.accounts.remove(&pair);
        if self.familiar.len() >= FAMILIAR_MAX && !self.familiar.contains_key(&pair) {
            keep_the_strongest(&mut self.familiar, |last| *last);
        }
        self.familiar.insert(pair, now);
    }

    /// What is counted of addresses and networks, the worst first, those as bad in the order of their addresses.
    pub fn counts(&self, now: u64) -> Vec<(Source, Count)> {
        let limit = |source: &Source| match source {
            Source::Address(_) => self.limits.per_address,
            Source::Network(_) => self.limits.per_network,
        };
        let counts =
            self.sources.iter().map(|(source, mark)| (*source, self.count(*mark, limit(source), now)));
        let mut counts: Vec<_> = counts.filter(|(_, count)| count.failures > 0).collect();
        counts.sort_by_key(|(source, count)| {
            (std::cmp::Reverse(count.failures), std::cmp::Reverse(count.last), *source)
        });
        counts
    }

    /// What is counted of an account, if anything.
    pub fn count_of(&self, user: &str, now: u64) -> Option<Count> {
        let mark = self.accounts.get(&self.tag("account", user, ""))?;
        let count = self.count(*mark, self.limits.per_account, now);
        (count.failures > 0).then_some(count)
    }

    fn count(&self, mark: Mark, limit: u32, now: u64) -> Count {
        let wait = mark.wait(&self.limits, limit, now).unwrap_or_default();
        Count { failures: mark.left(&self.limits, now), last: mark.last, wait }
    }

    /// Forgets what an address did, with its network, and with these accounts; whether there was anything.
    pub fn lift(&mut self, from: IpAddr, users: &[String]) -> bool {
        let address = self.sources.remove(&Source::Address(source_of(from))).is_some();
        let network = self.sources.remove(&Source::Network(network_of(from))).is_some();
        for user in users {
            let pair = self.tags(user, from).pair;
            self.accounts.remove(&pair);
        }
        address || network
    }

    /// Forgets what was tried with an account, from everywhere; whether there was anything.
    pub fn lift_account(&mut self, user: &str) -> bool {
        let sources: Vec<Source> = self.sources.keys().copied().collect();
        for source in sources {
            if let Source::Address(ip) = source {
                let pair = self.tags(user, ip).pair;
                self.accounts.remove(&pair);
            }
        }
        let account = self.tag("account", user, "");
        self.accounts.remove(&account).is_some()
    }

    fn tags(&self, user: &str, from: IpAddr) -> Tags {
        let source = source_of(from).to_string();
        Tags {
            address: Source::Address(source_of(from)),
            network: Source::Network(network_of(from)),
            account: self.tag("account", user, ""),
            pair: self.tag("pair", user, &source),
        }
    }

    fn tag(&self, kind: &str, name: &str, at: &str) -> Tag {
        let mut context = hmac::Context::with_key(&self.key);
        // No part holds a NUL: user names have no control characters.
        for part in [kind, name, at] {
            context.update(part.as_bytes());
            context.update(&[0]);
        }
        let mut tag = Tag::default();
        for (to, from) in tag.iter_mut().zip(context.sign().as_ref()) {
            *to = *from;
        }
        tag
    }
}

/// Whom an address stands for: itself, or the /64 of IPv6, in which one machine can take any address it likes.
pub fn source_of(ip: IpAddr) -> IpAddr {
    match ip.to_canonical() {
        IpAddr::V6(v6) if !v6.is_loopback() => {
            Ipv6Addr::from_bits(v6.to_bits() & !u128::from(u64::MAX)).into()
        }
        other => other,
    }
}

/// The network around it: a /24, or a /48 of IPv6.
fn network_of(ip: IpAddr) -> IpAddr {
    match ip.to_canonical() {
        IpAddr::V4(v4) => Ipv4Addr::from_bits(v4.to_bits() & !0xff).into(),
        IpAddr::V6(v6) => Ipv6Addr::from_bits(v6.to_bits() & !(u128::MAX >> 48)).into(),
    }
}

fn count<K: Copy + Eq + Hash>(
    table: &mut HashMap<K, Mark>,
    key: K,
    limits: &GuessLimits,
    limit: u32,
    now: u64,
) {
    if table.len() >= MARKS_MAX && !table.contains_key(&key) {
        make_room(table, limits, now);
    }
    let mark = table.entry(key).or_default();
    *mark = mark.and_one(limits, limit, now);
}

/// Drops what is forgotten, and if that is nothing, the least of what is left.
fn make_room<K: Copy + Eq + Hash>(table: &mut HashMap<K, Mark>, limits: &GuessLimits, now: u64) {
    table.retain(|_, mark| mark.left(limits, now) > 0);
    if table.len() >= MARKS_MAX {
        keep_the_strongest(table, |mark| (mark.left(limits, now), mark.last));
    }
}

/// Drops a quarter, the weakest; so that a full table is not sorted for each entry.
fn keep_the_strongest<K: Copy + Eq + Hash, V, S: Ord>(table: &mut HashMap<K, V>, strength: impl Fn(&V) -> S) {
    let mut order: Vec<(S, K)> = table.iter().map(|(key, value)| (strength(value), *key)).collect();
    let quarter = order.len() / 4;
    if quarter == 0 {
        return;
    }
    order.select_nth_unstable_by(quarter, |a, b| a.0.cmp(&b.0));
    for (_, key) in order.iter().take(quarter) {
        table.remove(key);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::guess::Guesser;

    fn guesses() -> Guesses {
        Guesses::new(GuessLimits::default(), &[7; 32])
    }

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    /// Fails as often as it may at once, and tells how often that was.
    fn guess(guesses: &mut Guesses, user: &str, from: &str, now: u64) -> u32 {
        for n in 0.. {
            if guesses.ask(user, ip(from), now).is_err() {
                return n;
            }
            guesses.wrong(user, ip(from), now);
        }
        0
    }

    #[test]
    fn an_address_is_stopped_and_its_victim_is_not() {
        let mut guesses = guesses();
        guesses.right("alice", ip("198.51.100.1"), 0);
        assert_eq!(guess(&mut guesses, "alice", "192.0.2.1", 100), 10);
        assert_eq!(guess(&mut guesses, "bob", "192.0.2.1", 100), 0);
        assert_eq!(guess(&mut guesses, "bob", "::ffff:192.0.2.1", 109), 0);
        assert_eq!(guess(&mut guesses, "bob", "192.0.2.1", 110), 1);
        assert_eq!(guess(&mut guesses, "bob", "192.0.2.1", 129), 0);
        assert_eq!(guess(&mut guesses, "bob", "192.0.2.1", 130), 1);
        // Three more of the same /24 use up what the network has.
        assert_eq!(guess(&mut guesses, "carol", "192.0.2.2", 130), 10);
        assert_eq!(guess(&mut guesses, "dora", "192.0.2.3", 130), 10);
        assert_eq!(guess(&mut guesses, "emil", "192.0.2.4", 130), 8);
        assert_eq!(guesses.ask("zoe", ip("192.0.2.5"), 130).unwrap_err().of, Guesser::Network);
        // Alice where she was before, where she never was, and her neighbours.
        for from in ["198.51.100.1", "203.0.113.1"] {
            assert_eq!(guesses.ask("alice", ip(from), 130), Ok(()), "{from}");
        }
    }

    #[test]
    fn an_account_that_many_guess_stays_open_for_its_owner() {
        let mut guesses = guesses();
        guesses.right("alice", ip("198.51.100.1"), 0);
        let tries: u32 =
            (1..=100).map(|n| guess(&mut guesses, "alice", &format!("2001:db8:{n:x}::1"), 50)).sum();
        // Two whole addresses, then one try each.
        assert_eq!(tries, 2 * 10 + 98);
        assert_eq!(guesses.ask("alice", ip("203.0.113.1"), 50), Ok(()));
        assert_eq!(guess(&mut guesses, "alice", "198.51.100.1", 50), 10);
        assert_eq!(guess(&mut guesses, "bob", "203.0.113.1", 50), 10);
    }

    #[test]
    fn a_familiar_owner_beside_a_guesser_comes_in() {
        let mut guesses = guesses();
        guesses.right("alice", ip("192.0.2.1"), 0);
        assert_eq!(guess(&mut guesses, "bob", "192.0.2.1", 10), 10);
        assert_eq!(guesses.ask("alice", ip("192.0.2.1"), 10), Ok(()));
        // A right login buys nothing for others.
        guesses.right("alice", ip("192.0.2.1"), 10);
        assert_eq!(guess(&mut guesses, "bob", "192.0.2.1", 10), 0);
        // And a month later it is no more than any other.
        assert_eq!(guess(&mut guesses, "carl", "192.0.2.1", FAMILIAR_TIME + 11), 10);
        assert!(guesses.ask("alice", ip("192.0.2.1"), FAMILIAR_TIME + 11).is_err());
    }

    #[test]
    fn addresses_of_one_subscriber_are_one() {
        let mut guesses = guesses();
        assert_eq!(guess(&mut guesses, "a", "2001:db8:1:2::1", 0), 10);
        assert_eq!(guess(&mut guesses, "a", "2001:db8:1:2:ffff::9", 0), 0);
        assert_eq!(guess(&mut guesses, "a", "2001:db8:1:3::1", 0), 10);
    }

    #[test]
    fn what_is_counted_can_be_seen_and_lifted() {
        let mut guesses = guesses();
        assert_eq!(guess(&mut guesses, "alice", "192.0.2.1", 100), 10);
        guesses.wrong("bob", ip("2001:db8:1:2::5"), 103);
        let shown: Vec<String> = guesses
            .counts(104)
            .iter()
            .map(|(source, count)| format!("{source:?} {} {}", count.failures, count.wait.as_secs()))
            .collect();
        assert_eq!(
            shown,
            [
                "Address(192.0.2.1) 10 6",
                "Network(192.0.2.0) 10 0",
                "Address(2001:db8:1:2::) 1 0",
                "Network(2001:db8:1::) 1 0"
            ][..]
                .iter()
                .map(|line| (*line).to_owned())
                .collect::<Vec<_>>(),
        );
        assert_eq!(guesses.count_of("alice", 104).unwrap().failures, 10);
        assert_eq!(guesses.count_of("carol", 104), None);
        assert!(guesses.lift(ip("192.0.2.1"), &["alice".to_owned()]));
        assert!(!guesses.lift(ip("192.0.2.1"), &[]));
        assert_eq!(guess(&mut guesses, "alice", "192.0.2.1", 104), 10);
        assert!(guesses.lift_account("alice"));
        assert!(!guesses.lift_account("alice"));
        assert_eq!(guesses.count_of("alice", 104), None);
        assert!(guesses.ask("alice", ip("192.0.2.1"), 104).is_err(), "the address still has to wait");
    }

    #[test]
    fn tables_are_bounded_and_keep_the_worst() {
        let mut guesses = guesses();
        assert_eq!(guess(&mut guesses, "alice", "192.0.2.1", 0), 10);
        for n in 0..80_000_u32 {
            let from = IpAddr::from(Ipv4Addr::from_bits(0x0a00_0000 + n));
            guesses.wrong(&format!("u{n}"), from, 1);
        }
        assert!(guesses.sources.len() <= MARKS_MAX && guesses.accounts.len() <= MARKS_MAX);
        assert!(guesses.ask("alice", ip("192.0.2.1"), 1).is_err());
        for n in 0..70_000_u32 {
            guesses.right("alice", IpAddr::from(Ipv4Addr::from_bits(0x0a00_0000 + n)), u64::from(n));
        }
        assert!(guesses.familiar.len() <= FAMILIAR_MAX);
    }
}
