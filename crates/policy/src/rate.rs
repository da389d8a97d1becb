//! How often something may happen: a leaky bucket for each of many keys, in a table that never grows beyond its bound.
//!
//! Time is an argument, in seconds since 1970.

use std::collections::HashMap;
use std::fmt;
use std::hash::{BuildHasher, Hash, RandomState};
use std::time::Duration;

/// Most keys of one meter. Each costs some 24 octets.
pub const KEYS_MAX: usize = 100_000;
/// Longest time of a rate.
const PER_MAX: Duration = Duration::from_secs(7 * 24 * 3600);
const MICROS: u64 = 1_000_000;

/// So many in such a time, at once or spread out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate {
    count: u32,
    per: Duration,
}

impl Rate {
    /// Reads `60/1m`.
    pub fn parse(text: &str) -> Result<Self, String> {
        let (count, per) = text.split_once('/').ok_or("write a number and a time, like \"60/1m\"")?;
        let count = count.parse().ok().filter(|count| *count > 0);
        let count = count.ok_or("the number must be a whole one, from 1 on")?;
        let per = config::parse_duration(per)?;
        if per < Duration::from_secs(1) || per > PER_MAX {
            return Err("the time must be between a second and seven days".to_owned());
        }
        Ok(Self { count, per })
    }

    fn per_micros(self) -> u64 {
        self.per.as_secs() * MICROS + u64::from(self.per.subsec_micros())
    }

    /// After how long one more may happen, if they come evenly.
    fn interval(self) -> u64 {
        (self.per_micros() / u64::from(self.count)).max(1)
    }
}

impl fmt::Display for Rate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.count, config::print_duration(&self.per))
    }
}

/// What has happened lately, by key. Of a key only its hash is kept.
#[derive(Debug)]
pub struct Meter {
    /// When the bucket of a key will be empty, in microseconds. One that is in the past is as good as none.
    empty_at: HashMap<u64, u64>,
    hasher: RandomState,
    most: usize,
}

impl Default for Meter {
    fn default() -> Self {
        Self::with_room(KEYS_MAX)
    }
}

impl Meter {
    /// A meter for so many keys.
    pub fn with_room(most: usize) -> Self {
        Self { empty_at: HashMap::new(), hasher: RandomState::new(), most: most.max(2) }
    }

    /// Whether one more may happen; an error says after how long. Nothing is counted.
    pub fn ask(&self, rate: Rate, key: &(impl Hash + ?Sized), now: i64) -> Result<(), Duration> {
        let now = micros(now);
        let level = self.level(rate, self.hasher.hash_one(key), now);
        let excess = (level + rate.interval()).saturating_sub(rate.per_micros());
        if excess == 0 { Ok(()) } else { Err(Duration::from_micros(excess)) }
    }

    /// Counts one.
    pub fn count(&mut self, rate: Rate, key: &(impl Hash + ?Sized), now: i64) {
        let now = micros(now);
        let key = self.hasher.hash_one(key);
        let level = self.level(rate, key, now);
        if !self.empty_at.contains_key(&key) && self.empty_at.len() >= self.most {
            self.make_room(now);
        }
        self.empty_at.insert(key, now + level + rate.interval());
    }

    /// Keys that are remembered.
    pub fn len(&self) -> usize {
        self.empty_at.len()
    }

    pub fn is_empty(&self) -> bool {
        self.empty_at.is_empty()
    }

    /// How full the bucket is. A clock that was set back does not make anybody wait longer than the whole time.
    fn level(&self, rate: Rate, key: u64, now: u64) -> u64 {
        let empty_at = self.empty_at.get(&key).copied().unwrap_or(0);
        empty_at.saturating_sub(now).min(rate.per_micros())
    }

    /// Forgets buckets that are empty, and if that is not enough the half that has done the least.
    fn make_room(&mut self, now: u64) {
        self.empty_at.retain(|_, empty_at| *empty_at > now);
        if self.empty_at.len() * 4 < self.most * 3 {
            return;
        }
        let mut levels: Vec<u64> = self.empty_at.values().copied().collect();
        let middle = levels.len() / 2;
        let (_, median, _) = levels.select_nth_unstable(middle);
        let median = *median;
        // Of those that are just in the middle any will do.
        let busier = self.empty_at.values().filter(|empty_at| **empty_at > median).count();
        let mut spare = (self.most / 2).saturating_sub(busier);
        self.empty_at.retain(|_, empty_at| {
            let has_luck = *empty_at == median && spare > 0;
            spare -= usize::from(has_luck);
            *empty_at > median || has_luck
        });
    }
}

fn micros(unix: i64) -> u64 {
    u64::try_from(unix).unwrap_or(0).saturating_mul(MICROS)
}

#[cfg(test)]
mod tests {
    use super::*;
    use world::Random;

    fn rate(text: &str) -> Rate {
        Rate::parse(text).unwrap()
    }

    #[test]
    fn rates_are_written_as_people_do() {
        for text in ["60/1m", "1/1s", "1000/1d", "3/1h30m"] {
            assert_eq!(rate(text).to_string(), text);
        }
        for text in ["", "60", "0/1m", "-1/1m", "60/", "60/1ms", "60/8d", "x/1m", "1/1m/1"] {
            assert!(Rate::parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_burst_is_allowed_and_then_a_trickle() {
        let (mut meter, rate) = (Meter::default(), rate("3/1m"));
        let mut go = |key: &str, now| {
            let answer = meter.ask(rate, key, now).map_err(|wait| wait.as_secs());
            if answer.is_ok() {
                meter.count(rate, key, now);
            }
            answer
        };
        for (key, now, want) in [
            ("a", 1000, Ok(())),
            ("a", 1000, Ok(())),
            ("a", 1000, Ok(())),
            ("a", 1000, Err(20)),
            ("b", 1000, Ok(())),
            ("a", 1015, Err(5)),
            ("a", 1020, Ok(())),
            ("a", 1020, Err(20)),
            ("a", 1200, Ok(())),
            ("a", 1200, Ok(())),
            ("a", 1200, Ok(())),
            ("a", 1200, Err(20)),
            // The clock is set back.
            ("a", 100, Err(20)),
        ] {
            assert_eq!(go(key, now), want, "{key} {now}");
        }
    }

    #[test]
    fn the_table_stays_within_its_bound() {
        let seed = 7;
        println!("seed {seed}");
        let random = world::fake::FakeRandom::seeded(seed);
        for most in [2, 3, 64, 1000] {
            let (mut meter, rate) = (Meter::with_room(most), rate("100/1h"));
            let mut now = 1_000_000;
            for _ in 0..20_000 {
                let mut octets = [0; 3];
                random.fill(&mut octets);
                now += i64::from(octets[0] % 3);
                meter.count(rate, &octets[1..], now);
                assert!(meter.len() <= most, "{} of {most}", meter.len());
            }
        }
    }

    #[test]
    fn who_has_done_much_is_not_forgotten_for_many_who_did_little() {
        let (mut meter, rate) = (Meter::with_room(100), rate("10/1h"));
        for _ in 0..10 {
            meter.count(rate, "busy", 1000);
        }
        for n in 0..10_000 {
            meter.count(rate, &n, 1000);
        }
        assert!(meter.ask(rate, "busy", 1000).is_err());
    }
}
