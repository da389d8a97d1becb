//! How fast each provider takes our mail: fewer connections when it says 421 or the like, more again when it is content.
//!
//! A provider is who runs the mail hosts of a domain, or of thousands of domains: told by the name of the best host.

use mail::{Domain, Reply};
use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// Most providers that are remembered, and most domains whose provider is.
const REMEMBERED_MAX: usize = 10_000;
/// Longest pause after a provider has sent us away, in seconds.
const PAUSE_MAX: i64 = 600;
/// Longest first pause, in seconds; each further one in a row is twice as long.
const PAUSE_FIRST: i64 = 30;
/// Wait for a place where all that a provider gets are taken, in seconds.
const PLACE_WAIT: i64 = 5;

/// What is known of providers. Cloning is cheap; clones share it. Times are seconds since 1970.
#[derive(Clone)]
pub(crate) struct Pace {
    most: usize,
    pause_first: i64,
    known: Arc<Mutex<Known>>,
}

#[derive(Default)]
struct Known {
    providers: HashMap<String, Provider>,
    domains: HashMap<Domain, String>,
}

#[derive(Debug)]
struct Provider {
    /// Attempts that it may have at the same time now.
    allowed: usize,
    running: usize,
    /// Nothing begins before.
    until: i64,
    /// Times in a row that it has sent us away.
    streak: u32,
    /// Messages taken since `allowed` has changed.
    taken: usize,
}

/// A place among the attempts of a provider; given back when it is dropped.
pub(crate) struct Place {
    pace: Pace,
    provider: String,
}

impl Drop for Place {
    fn drop(&mut self) {
        if let Some(provider) = self.pace.lock().providers.get_mut(&self.provider) {
            provider.running = provider.running.saturating_sub(1);
        }
    }
}

impl Pace {
    /// At most so many attempts at the same time for one provider. `first_retry` is the shortest wait before a message comes
    /// again: no first pause is longer than half of that.
    pub(crate) fn new(most: usize, first_retry: Duration) -> Self {
        let half = i64::try_from(first_retry.as_secs() / 2).unwrap_or(PAUSE_FIRST);
        Self { most: most.max(1), pause_first: half.min(PAUSE_FIRST), known: Arc::default() }
    }

    /// Who takes the mail of a domain, if that is known.
    pub(crate) fn provider_of(&self, domain: &Domain) -> Option<String> {
        self.lock().domains.get(domain).cloned()
    }

    /// Remembers who takes the mail of a domain, by its hosts in their order.
    pub(crate) fn learn(&self, domain: &Domain, hosts: &[Domain]) -> Option<String> {
        let provider = provider(hosts.first()?);
        let mut known = self.lock();
        if known.domains.len() >= REMEMBERED_MAX {
            known.domains.clear();
        }
        known.domains.insert(domain.clone(), provider.clone());
        Some(provider)
    }

    /// A place for one more attempt, or until when to wait.
    pub(crate) fn enter(&self, provider: &str, now: i64) -> Result<Place, i64> {
        let mut known = self.lock();
        if known.providers.len() >= REMEMBERED_MAX {
            known.providers.retain(|_, one| one.running > 0 || one.until > now);
        }
        let most = self.most;
        let fresh = || Provider { allowed: most, running: 0, until: 0, streak: 0, taken: 0 };
        let one = known.providers.entry(provider.to_owned()).or_insert_with(fresh);
        // A clock that was set back makes nobody wait longer than the longest pause.
        if one.until > now && one.until - now <= PAUSE_MAX {
            return Err(one.until);
        }
        if one.running >= one.allowed {
            return Err(now + PLACE_WAIT);
        }
        one.running += 1;
        Ok(Place { pace: self.clone(), provider: provider.to_owned() })
    }

    fn lock(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Forgets all pauses.
    pub(crate) fn forgive(&self) {
        self.lock().providers.values_mut().for_each(|one| (one.until, one.streak) = (0, 0));
    }
}

impl Place {
    /// The provider has said something: whether it is slowed down by it.
    pub(crate) fn heard(&self, reply: &Reply, now: i64) {
        let mut known = self.pace.lock();
        let Some(one) = known.providers.get_mut(&self.provider) else { return };
        if reply.is_done() {
            one.streak = 0;
            one.taken += 1;
            if one.taken > one.allowed && one.allowed < self.pace.most {
                (one.allowed, one.taken) = (one.allowed + 1, 0);
            }
        } else if asks_to_slow_down(reply) && one.until <= now {
            // What was under way together counts once.
            one.allowed = (one.allowed.min(one.running.max(1)) / 2).max(1);
            one.taken = 0;
            let doubled = self.pace.pause_first.saturating_mul(1 << one.streak.min(10));
            one.until = now + doubled.min(PAUSE_MAX);
            one.streak = one.streak.saturating_add(1);
        }
    }
}

/// Whether a reply is about how much we send, or about the host, and not about the message or its recipient.
pub(crate) fn asks_to_slow_down(reply: &Reply) -> bool {
    /// RFC 3463 §3.4 and §3.5, RFC 7372 §3: not accepting messages, congestion, too many.
    const STATUS: [(u16, u16); 4] = [(3, 2), (4, 5), (7, 28), (3, 1)];
    const WORDS: [&str; 6] = ["rate limit", "too many", "throttl", "slow down", "too fast", "too much mail"];
    if reply.code == 421 {
        return true;
    }
    if !(400..500).contains(&reply.code) {
        return false;
    }
    let text = reply.text.to_ascii_lowercase();
    reply.status.is_some_and(|status| STATUS.contains(&(status.subject, status.detail)))
        || WORDS.iter().any(|words| text.contains(words))
}

/// The registered part of a host's name, as far as its form tells: `google.com` for `aspmx.l.google.com`.
fn provider(host: &Domain) -> String {
    let labels: Vec<&str> = host.as_str().split('.').collect();
    let is_address = host.literal().is_some();
    let count = match labels.as_slice() {
        [.., second, top] if top.len() == 2 && second.len() <= 3 => 3,
        _ => 2,
    };
    if is_address || labels.len() <= count {
        return host.to_string();
    }
    labels[labels.len() - count..].join(".")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reply(text: &str) -> Reply {
        let mut words = text.splitn(3, ' ');
        let code = words.next().unwrap().parse().unwrap();
        let status = words.next().and_then(mail::Status::parse);
        Reply { code, status, text: words.next().unwrap_or("x").to_owned() }
    }

    #[test]
    fn hosts_tell_their_provider() {
        for (host, want) in [
            ("aspmx.l.google.com", "google.com"),
            ("example-com.mail.protection.outlook.com", "outlook.com"),
            ("mx.example.co.uk", "example.co.uk"),
            ("mx1.example.org", "example.org"),
            ("example.org", "example.org"),
            ("mx.de", "mx.de"),
            ("[192.0.2.1]", "[192.0.2.1]"),
        ] {
            assert_eq!(provider(&Domain::parse(host).unwrap()), want);
        }
    }

    #[test]
    fn what_asks_to_slow_down() {
        for (text, want) in [
            ("421", true),
            ("421 4.7.0 try later", true),
            ("450 4.7.28 unusual rate", true),
            ("452 4.3.1 no room", true),
            ("451 4.4.5 busy", true),
            ("451 4.7.1 Too many messages from you", true),
            ("451 4.7.1 greylisted", false),
            ("450 4.2.1 mailbox busy", false),
            ("452 4.2.2 mailbox full", false),
            ("550 5.7.28 too many", false),
            ("250 2.0.0 ok", false),
        ] {
            assert_eq!(asks_to_slow_down(&reply(text)), want, "{text}");
        }
    }

    #[test]
    fn a_provider_that_sends_us_away_gets_less_and_then_more_again() {
        let pace = Pace::new(8, Duration::from_secs(300));
        let places: Vec<Place> =
            (0..8).map(|_| pace.enter("p", 1000).unwrap_or_else(|_| panic!("no place"))).collect();
        assert_eq!(pace.enter("p", 1000).err(), Some(1000 + PLACE_WAIT));
        assert!(pace.enter("other", 1000).is_ok());
        places[0].heard(&reply("421"), 1000);
        places[1].heard(&reply("421"), 1001);
        drop(places);
        assert_eq!(pace.enter("p", 1029).err(), Some(1030), "two at the same time count once");
        let places: Vec<Place> = (0..4).filter_map(|_| pace.enter("p", 1030).ok()).collect();
        assert_eq!(places.len(), 4);
        assert!(pace.enter("p", 1030).is_err(), "half as many as before");
        places[0].heard(&reply("421"), 1030);
        assert_eq!(pace.enter("p", 1089).err(), Some(1090), "the second pause is longer");
        for _ in 0..3 {
            places[0].heard(&reply("250 2.0.0 ok"), 1090);
        }
        drop(places);
        let places: Vec<Place> = (0..9).filter_map(|_| pace.enter("p", 1090).ok()).collect();
        assert_eq!(places.len(), 3, "one more after some that went well");
        places[0].heard(&reply("421"), 1090);
        assert_eq!(pace.enter("p", 1091).err(), Some(1120), "and the pauses begin anew");
        pace.forgive();
        drop(places);
        assert!(pace.enter("p", 1091).is_ok());
    }

    #[test]
    fn pauses_are_shorter_than_the_first_wait_of_a_message() {
        let pace = Pace::new(2, Duration::from_secs(1));
        let Ok(place) = pace.enter("p", 1000) else { panic!("no place") };
        place.heard(&reply("421"), 1000);
        assert!(pace.enter("q", 1000).is_ok());
        drop(place);
        assert!(pace.enter("p", 1000).is_ok());
        for n in 0..20 {
            let Ok(place) = pace.enter("p", 2000 + n * 1000) else { panic!("no place") };
            place.heard(&reply("421"), 2000 + n * 1000);
        }
    }
}
