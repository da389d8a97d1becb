//! Whether a login may be tried now, after what was wrong lately. Pure: what is known comes in, what follows comes out.

use std::fmt;
use std::time::Duration;

/// Failures that are counted beyond a limit; by then each delay is the longest, and more would only be forgotten later.
const BEYOND_MAX: u32 = 16;

/// How many failures there may be, and what follows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GuessLimits {
    /// Failures of one address (of a /64 in IPv6, which is one customer's) before it has to wait.
    pub per_address: u32,
    /// Failures of one network (a /24 of IPv4, a /48 of IPv6) before it has to wait.
    pub per_network: u32,
    /// Failures with one account from everywhere, after which an address that failed with it has to wait.
    pub per_account: u32,
    /// The wait after the first failure too many; each further one doubles it.
    pub delay: Duration,
    pub max_delay: Duration,
    /// Time without failures that makes one of them forgotten.
    pub forget: Duration,
}

impl Default for GuessLimits {
    fn default() -> Self {
        Self {
            per_address: 10,
            per_network: 40,
            per_account: 20,
            delay: Duration::from_secs(10),
            max_delay: Duration::from_secs(15 * 60),
            forget: Duration::from_secs(10 * 60),
        }
    }
}

/// What went wrong under one name.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Mark {
    pub(crate) failures: u32,
    /// When the last of them was, in seconds.
    pub(crate) last: u64,
}

impl Mark {
    /// The failures that are not forgotten yet.
    pub(crate) fn left(self, limits: &GuessLimits, now: u64) -> u32 {
        let quiet = now.saturating_sub(self.last) / limits.forget.as_secs().max(1);
        self.failures.saturating_sub(u32::try_from(quiet).unwrap_or(u32::MAX))
    }

    /// With one failure more.
    pub(crate) fn and_one(self, limits: &GuessLimits, limit: u32, now: u64) -> Self {
        let failures = (self.left(limits, now) + 1).min(limit.saturating_add(BEYOND_MAX));
        Self { failures, last: now }
    }

    /// How long to wait still, if more than `limit` would fail without.
    pub(crate) fn wait(self, limits: &GuessLimits, limit: u32, now: u64) -> Option<Duration> {
        let beyond = self.left(limits, now).checked_sub(limit)?;
        let delay = limits.delay.saturating_mul(1 << beyond.min(BEYOND_MAX)).min(limits.max_delay);
        // Where the clock was set back nobody knows how long ago it was. One try is better than a wait without end.
        let passed = Duration::from_secs(now.checked_sub(self.last)?);
        delay.checked_sub(passed).filter(|wait| !wait.is_zero())
    }
}

/// Whether an account was proven from an address not long ago.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Acquaintance {
    Familiar,
    Stranger,
}

/// All that is known about a login that wants to be tried.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Standing {
    pub(crate) address: Mark,
    pub(crate) network: Mark,
    pub(crate) account: Mark,
    /// This address with this account.
    pub(crate) pair: Mark,
    pub(crate) acquaintance: Acquaintance,
}

/// Why a login is not tried now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TooMany {
    /// How long to wait, at most [`GuessLimits::max_delay`].
    pub wait: Duration,
    pub of: Guesser,
}

/// Who has guessed too often.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Guesser {
    Address,
    Network,
    /// This address, with an account that is being guessed from many.
    Pair,
}

impl fmt::Display for Guesser {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Address => "this address failed too often",
            Self::Network => "this network failed too often",
            Self::Pair => "this address failed with an account that many are guessing",
        })
    }
}

/// Whether the login may be tried. An address from which the account was proven not long ago answers for its own
/// failures with it only, so that neither its neighbours nor people elsewhere can lock the owner out; and a stranger
/// always has a first try with an account, however many guess it elsewhere.
pub(crate) fn decide(limits: &GuessLimits, standing: &Standing, now: u64) -> Result<(), TooMany> {
    let refuse = |mark: Mark, limit: u32, of: Guesser| match mark.wait(limits, limit, now) {
        Some(wait) => Err(TooMany { wait, of }),
        None => Ok(()),
    };
    if standing.acquaintance == Acquaintance::Familiar {
        return refuse(standing.pair, limits.per_address, Guesser::Address);
    }
    refuse(standing.address, limits.per_address, Guesser::Address)?;
    refuse(standing.network, limits.per_network, Guesser::Network)?;
    if standing.account.left(limits, now) >= limits.per_account {
        refuse(standing.pair, 1, Guesser::Pair)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: u64 = 1_000_000;

    /// `failures@age`, or nothing.
    fn mark(text: &str) -> Mark {
        if text == "-" {
            return Mark::default();
        }
        let (failures, age) = text.split_once('@').unwrap();
        Mark { failures: failures.parse().unwrap(), last: NOW - age.parse::<u64>().unwrap() }
    }

    #[test]
    fn what_follows_from_what() {
        // Limits: 10 of an address, 40 of a network, 20 with an account; 10 s doubling to 900 s; 600 s forget one.
        let table = "
            address  network  account  pair   known     => answer
            -        -        -        -      stranger  => go
            9@0      39@0     19@0     9@0    stranger  => go
            10@0     10@0     -        -      stranger  => Address 10
            10@9     -        -        -      stranger  => Address 1
            10@10    -        -        -      stranger  => go
            11@10    -        -        -      stranger  => Address 10
            14@0     -        -        -      stranger  => Address 160
            17@0     -        -        -      stranger  => Address 900
            26@0     -        -        -      stranger  => Address 900
            26@599   -        -        -      stranger  => Address 301
            26@899   -        -        -      stranger  => Address 1
            26@900   -        -        -      stranger  => go
            10@600   -        -        -      stranger  => go
            12@600   -        -        -      stranger  => go
            -        40@0     -        -      stranger  => Network 10
            3@0      42@20    -        -      stranger  => Network 20
            10@0     -        -        -      familiar  => go
            -        40@0     20@0     -      familiar  => go
            -        -        36@0     9@0    familiar  => go
            10@0     -        -        10@0   familiar  => Address 10
            -        -        20@0     -      stranger  => go
            -        -        36@0     -      stranger  => go
            1@0      1@0      20@0     1@0    stranger  => Pair 10
            3@0      3@0      20@0     3@39   stranger  => Pair 1
            3@0      3@0      20@0     3@40   stranger  => go
            3@0      3@0      20@600   3@0    stranger  => go
        ";
        let limits = GuessLimits::default();
        for line in table.lines().map(str::trim).filter(|line| !line.is_empty()).skip(1) {
            let (given, want) = line.split_once(" => ").unwrap();
            let words: Vec<&str> = given.split_whitespace().collect();
            let standing = Standing {
                address: mark(words[0]),
                network: mark(words[1]),
                account: mark(words[2]),
                pair: mark(words[3]),
                acquaintance: match words[4] {
                    "familiar" => Acquaintance::Familiar,
                    _ => Acquaintance::Stranger,
                },
            };
            let got = match decide(&limits, &standing, NOW) {
                Ok(()) => "go".to_owned(),
                Err(TooMany { wait, of }) => format!("{of:?} {}", wait.as_secs()),
            };
            assert_eq!(got, want, "{line}");
        }
    }

    #[test]
    fn failures_are_counted_and_forgotten_one_by_one() {
        let limits = GuessLimits::default();
        let mut mark = Mark::default();
        for n in 1..=30 {
            mark = mark.and_one(&limits, 10, NOW);
            assert_eq!(mark.left(&limits, NOW), n.min(26));
        }
        for (later, left) in [(599, 26), (600, 25), (1200, 24), (26 * 600, 0), (u64::MAX - NOW, 0)] {
            assert_eq!(mark.left(&limits, NOW + later), left, "{later}");
        }
        // The clock was set back: nothing is forgotten, one try is free, and then all is as usual.
        assert_eq!(mark.left(&limits, 5), 26);
        assert_eq!(mark.wait(&limits, 10, 5), None);
        assert_eq!(mark.and_one(&limits, 10, 5).wait(&limits, 10, 5), Some(limits.max_delay));
    }
}
