//! When a recipient is tried again, told about, or given up: arithmetic without a clock.

use mail::ByMode;
use std::time::Duration;

/// Jitter is given in steps from 0 to this: 0 shortens a wait by a tenth, the last step lengthens it by a tenth.
pub const JITTER_STEPS: u64 = 1000;

/// The retry schedule (RFC 5321 §4.5.4.1). The first try is made at once.
#[derive(Clone, Debug, PartialEq)]
pub struct Retry {
    /// Wait after the first failure; any length down to a second.
    pub first: Duration,
    /// Each wait is this many times the one before; 1 to [`FACTOR_MAX`].
    pub factor: f64,
    /// No wait is longer.
    pub max: Duration,
    /// The waits one after the other, instead of `first`, `factor` and `max`; the last one is repeated. Empty: not used.
    pub delays: Vec<Duration>,
    /// Age of a message at which it is returned; the last try is made at this age.
    pub give_up: Duration,
    /// Age at which the sender is told once that the message still waits; `None` tells nobody.
    pub delay_notice: Option<Duration>,
}

/// Largest growth of the waits.
pub const FACTOR_MAX: f64 = 10.0;

impl Default for Retry {
    /// As the senders of the big mail systems know it: 5 minutes growing to 4 hours, a word after 4 hours,
    /// the end after 5 days.
    fn default() -> Self {
        Self {
            first: Duration::from_secs(5 * 60),
            factor: 2.0,
            max: Duration::from_secs(4 * 3600),
            delays: Vec::new(),
            give_up: Duration::from_secs(5 * 24 * 3600),
            delay_notice: Some(Duration::from_secs(4 * 3600)),
        }
    }
}

impl Retry {
    /// The same for a message that should be delivered in so many seconds after it may first be tried (RFC 2852 §4.1): its sender is
    /// told at that age, or it goes back.
    #[must_use]
    pub fn in_time(mut self, seconds: i64, mode: ByMode) -> Self {
        let left = Duration::from_secs(u64::try_from(seconds).unwrap_or(0));
        match mode {
            ByMode::Notify => {
                self.delay_notice = Some(self.delay_notice.map_or(left, |usual| usual.min(left)))
            }
            ByMode::Return => self.give_up = self.give_up.min(left),
        }
        self
    }

    /// The wait after so many attempts, without jitter.
    pub fn wait(&self, attempts: u32) -> Duration {
        let nth = usize::try_from(attempts.saturating_sub(1)).unwrap_or(usize::MAX);
        if let Some(last) = self.delays.len().checked_sub(1) {
            return self.delays[nth.min(last)];
        }
        let growth = self.factor.clamp(1.0, FACTOR_MAX).powf(f64::from(attempts.saturating_sub(1)));
        let seconds = self.first.as_secs_f64() * growth;
        if seconds >= self.max.as_secs_f64() { self.max } else { Duration::from_secs_f64(seconds) }
    }
}

/// What an attempt came to for one recipient, without the words.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    Delivered,
    Deferred,
    Failed,
}

/// What stands about a recipient before the attempt is counted in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Past {
    /// Attempts so far, the one just made included: 1 or more.
    pub attempts: u32,
    /// Time since the message was accepted.
    pub age: Duration,
    /// Whether the sender has been told of the delay.
    pub told: Told,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Told {
    NotYet,
    Yes,
}

/// What happens next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    /// Nothing more: it is delivered.
    Done,
    /// Another attempt after this wait.
    After(Duration),
    /// The sender is told of the delay, and another attempt after this wait.
    NoticeAndAfter(Duration),
    /// No more attempts: the sender is told of the failure.
    GiveUp,
}

/// What follows from an attempt. `jitter` is a step from 0 to [`JITTER_STEPS`].
pub fn next(fate: Fate, past: Past, retry: &Retry, jitter: u64) -> Next {
    match fate {
        Fate::Delivered => return Next::Done,
        Fate::Failed => return Next::GiveUp,
        Fate::Deferred if past.age >= retry.give_up => return Next::GiveUp,
        Fate::Deferred => {}
    }
    let wait = jittered(retry.wait(past.attempts), jitter);
    // The last try is made when the time is up, not up to one wait before.
    let wait = wait.min(retry.give_up - past.age).max(Duration::from_secs(1));
    let Some(notice_at) = retry.delay_notice.filter(|_| past.told == Told::NotYet) else {
        return Next::After(wait);
    };
    if past.age >= notice_at {
        return Next::NoticeAndAfter(wait);
    }
    // One try falls on the time of the notice, so that it is told when it is promised.
    let until_notice = (notice_at - past.age).max(retry.wait(1));
    Next::After(wait.min(until_notice))
}

/// Shortens or lengthens a wait by up to a tenth, so that what failed together does not come back together.
fn jittered(wait: Duration, jitter: u64) -> Duration {
    let step = jitter.min(JITTER_STEPS) as f64 / JITTER_STEPS as f64;
    wait.mul_f64(0.9 + 0.2 * step)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn span(text: &str) -> Duration {
        let (number, unit) = text.split_at(text.len() - 1);
        let unit = match unit {
            "s" => 1,
            "m" => 60,
            "h" => 3600,
            "d" => 24 * 3600,
            other => panic!("unit {other}"),
        };
        Duration::from_secs_f64(number.parse::<f64>().unwrap() * f64::from(unit))
    }

    fn retry(text: &str) -> Retry {
        let words: Vec<&str> = text.split_whitespace().collect();
        Retry {
            first: span(words[0]),
            factor: words[1].parse().unwrap(),
            max: span(words[2]),
            give_up: span(words[3]),
            delay_notice: (words[4] != "-").then(|| span(words[4])),
            delays: words[5..].iter().map(|word| span(word)).collect(),
        }
    }

    #[test]
    fn who_must_be_in_time_is_told_in_time() {
        use Next::*;
        let past = |age: &str, told| Past { attempts: 1, age: span(age), told };
        for (seconds, mode, age, told, want) in [
            (3600, ByMode::Return, "0s", Told::NotYet, After(span("5m"))),
            (3600, ByMode::Return, "58m", Told::NotYet, After(span("2m"))),
            (3600, ByMode::Return, "1h", Told::NotYet, GiveUp),
            (-5, ByMode::Return, "0s", Told::NotYet, GiveUp),
            (3600, ByMode::Notify, "0s", Told::NotYet, After(span("5m"))),
            (3600, ByMode::Notify, "1h", Told::NotYet, NoticeAndAfter(span("5m"))),
            (3600, ByMode::Notify, "1h", Told::Yes, After(span("5m"))),
            (-5, ByMode::Notify, "0s", Told::NotYet, NoticeAndAfter(span("5m"))),
            // The usual notice does not come later for it.
            (100 * 3600, ByMode::Notify, "4h", Told::NotYet, NoticeAndAfter(span("5m"))),
        ] {
            let retry = Retry::default().in_time(seconds, mode);
            let got = next(Fate::Deferred, past(age, told), &retry, JITTER_STEPS / 2);
            assert_eq!(got, want, "{seconds} {mode:?} {age}");
        }
    }

    #[test]
    fn the_table() {
        use Fate::*;
        use Next::*;
        let usual = "5m 2 4h 5d 4h";
        for (settings, fate, attempts, age, told, want) in [
            (usual, Delivered, 1, "0s", Told::NotYet, Done),
            (usual, Failed, 1, "0s", Told::NotYet, GiveUp),
            (usual, Deferred, 1, "1s", Told::NotYet, After(span("5m"))),
            (usual, Deferred, 2, "5m", Told::NotYet, After(span("10m"))),
            (usual, Deferred, 5, "75m", Told::NotYet, After(span("80m"))),
            // 160 minutes would go past the fourth hour: one try falls on it.
            (usual, Deferred, 6, "155m", Told::NotYet, After(span("85m"))),
            (usual, Deferred, 7, "4h", Told::NotYet, NoticeAndAfter(span("4h"))),
            (usual, Deferred, 8, "8h", Told::Yes, After(span("4h"))),
            (usual, Deferred, 400, "100h", Told::Yes, After(span("4h"))),
            // The last try is made at the fifth day.
            (usual, Deferred, 40, "119h", Told::Yes, After(span("1h"))),
            (usual, Deferred, 41, "5d", Told::Yes, GiveUp),
            (usual, Deferred, 1, "6d", Told::NotYet, GiveUp),
            // Seconds, for tests and impatient networks; no growth; nobody told.
            ("1s 1 1h 1m -", Deferred, 1, "0s", Told::NotYet, After(span("1s"))),
            ("1s 1 1h 1m -", Deferred, 30, "30s", Told::NotYet, After(span("1s"))),
            ("2s 1.5 1h 1m -", Deferred, 3, "5s", Told::NotYet, After(span("4.5s"))),
            // Just before the notice a try is not made sooner than the first wait.
            ("5m 2 4h 5d 4h", Deferred, 6, "239m", Told::NotYet, After(span("5m"))),
            // A list of waits, the last of them again and again.
            ("9s 1 9s 1d - 3s 1m 20m", Deferred, 1, "0s", Told::NotYet, After(span("3s"))),
            ("9s 1 9s 1d - 3s 1m 20m", Deferred, 2, "3s", Told::NotYet, After(span("1m"))),
            ("9s 1 9s 1d - 3s 1m 20m", Deferred, 3, "63s", Told::NotYet, After(span("20m"))),
            ("9s 1 9s 1d - 3s 1m 20m", Deferred, 50, "10h", Told::NotYet, After(span("20m"))),
            // Never at once, however little time is left.
            ("5m 2 4h 1h -", Deferred, 9, "3599.9s", Told::NotYet, After(span("1s"))),
        ] {
            let past = Past { attempts, age: span(age), told };
            let got = next(fate, past, &retry(settings), JITTER_STEPS / 2);
            assert_eq!(got, want, "{settings}: {fate:?} {attempts} {age} {told:?}");
        }
    }

    #[test]
    fn jitter_is_a_tenth_either_way() {
        let past = Past { attempts: 1, age: Duration::ZERO, told: Told::Yes };
        for (jitter, want) in [(0, "270s"), (500, "300s"), (1000, "330s"), (5000, "330s")] {
            assert_eq!(
                next(Fate::Deferred, past, &Retry::default(), jitter),
                Next::After(span(want)),
                "{jitter}"
            );
        }
    }

    #[test]
    fn a_whole_life() {
        let retry = Retry::default();
        let (mut age, mut told, mut notices, mut attempts) = (Duration::ZERO, Told::NotYet, Vec::new(), 0);
        loop {
            attempts += 1;
            match next(Fate::Deferred, Past { attempts, age, told }, &retry, JITTER_STEPS / 2) {
                Next::After(wait) => age += wait,
                Next::NoticeAndAfter(wait) => {
                    notices.push(age);
                    told = Told::Yes;
                    age += wait;
                }
                Next::GiveUp => break,
                Next::Done => panic!("nothing was delivered"),
            }
        }
        assert_eq!(notices, [span("4h")]);
        assert_eq!(age, span("5d"));
        assert_eq!(attempts, 36);
    }
}
