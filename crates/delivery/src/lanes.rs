//! Whose turn it is: what goes to each destination at the moment, what waits for a place there, and which destinations are down.

use crate::schedule::Retry;
use mail::Reply;
use policy::{Meter, Rate};
use std::collections::{HashMap, VecDeque};
use std::time::Duration;
use tokio::time::Instant;

/// Most destinations of which it is remembered that they are down.
const DOWN_MAX: usize = 10_000;
/// Longest time between two looks whether a destination is up again.
const PROBE_EVERY_MAX: Duration = Duration::from_secs(3600);
/// A destination is looked at before a message that waits for it by its own schedule is due: jitter takes up to a tenth.
const PROBE_EARLIER: f64 = 0.85;

/// What one destination may have.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Terms {
    /// Attempts at the same time.
    pub concurrency: usize,
    /// Messages in a time; `None`: no limit.
    pub rate: Option<Rate>,
}

/// What is to become of a claim.
#[derive(Debug)]
pub(crate) enum Turn {
    Attempt,
    /// Nobody has answered there a moment ago: it is put off with what was said then.
    Down(Reply),
    /// It waits until then, in seconds since 1970.
    Later(i64),
}

/// What an attempt says about its destination.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Contact {
    /// Nobody was asked.
    None,
    /// Some host has answered, whatever it said.
    Answered,
    /// No host could be reached.
    Unreached(Reply),
    /// Its provider takes no more until then, in seconds since 1970.
    Paused(i64),
}

/// What goes to one destination at the moment.
struct Lane<T> {
    running: usize,
    /// Claimed, but more than may run now.
    waiting: VecDeque<(T, Instant)>,
    /// Nothing begins before, in seconds since 1970.
    opens: i64,
}

/// A destination where nobody answered.
#[derive(Debug)]
struct Down {
    failures: u32,
    /// When one attempt is made to see, in seconds since 1970.
    probe_at: i64,
    reply: Reply,
}

/// All destinations that something goes to.
pub(crate) struct Lanes<T> {
    lanes: HashMap<String, Lane<T>>,
    down: HashMap<String, Down>,
    meter: Meter,
    waiting: usize,
}

impl<T> Default for Lane<T> {
    fn default() -> Self {
        Self { running: 0, waiting: VecDeque::new(), opens: 0 }
    }
}

impl<T> Default for Lanes<T> {
    fn default() -> Self {
        Self { lanes: HashMap::new(), down: HashMap::new(), meter: Meter::default(), waiting: 0 }
    }
}

impl<T> Lanes<T> {
    /// Claims that wait for a place.
    pub(crate) fn waiting(&self) -> usize {
        self.waiting
    }

    pub(crate) fn claims(&self) -> impl Iterator<Item = &T> {
        self.lanes.values().flat_map(|lane| &lane.waiting).map(|(claim, _)| claim)
    }

    /// Destinations that have as much as they may have now, and as much again that waits, so that one look at the queue serves
    /// for many messages.
    pub(crate) fn busy(&self, terms: impl Fn(&str) -> Terms, now: i64) -> Vec<String> {
        let names = self.lanes.keys().filter(|name| self.is_full(name, terms(name), now));
        names.cloned().collect()
    }

    /// Whether nothing more is to be claimed for a destination now.
    pub(crate) fn is_full(&self, destination: &str, terms: Terms, now: i64) -> bool {
        let places = self.places(destination, terms, now);
        self.lanes.get(destination).is_some_and(|lane| lane.opens > now || lane.waiting.len() >= places)
    }

    /// Until when nothing goes to a destination, in seconds since 1970; `None`: it is open.
    pub(crate) fn closed_until(&self, destination: &str, now: i64) -> Option<i64> {
        let opens = self.lanes.get(destination).map_or(0, |lane| lane.opens);
        let probe = self.down.get(destination).map_or(0, |down| down.probe_at);
        Some(opens.max(probe)).filter(|until| *until > now)
    }

    /// How many attempts a destination may have now: one to see whether it is up again, or all.
    fn places(&self, destination: &str, terms: Terms, now: i64) -> usize {
        match self.down.get(destination) {
            Some(down) if down.probe_at <= now => 1,
            _ => terms.concurrency,
        }
    }

    /// A claim has come: its turn if that is now, else it waits and comes out of [`Lanes::next`] later.
    pub(crate) fn take(
        &mut self,
        destination: &str,
        claim: T,
        terms: Terms,
        now: i64,
    ) -> Option<(T, Instant, Turn)> {
        let lane = self.lanes.entry(destination.to_owned()).or_default();
        lane.waiting.push_back((claim, Instant::now()));
        self.waiting += 1;
        self.next(destination, terms, now)
    }

    /// The next claim of a destination whose turn it is.
    pub(crate) fn next(&mut self, destination: &str, terms: Terms, now: i64) -> Option<(T, Instant, Turn)> {
        let places = self.places(destination, terms, now);
        let lane = self.lanes.get_mut(destination)?;
        lane.waiting.front()?;
        let turn = match self.down.get(destination) {
            Some(down) if down.probe_at > now => Turn::Down(down.reply.clone()),
            _ if lane.opens > now => Turn::Later(lane.opens),
            _ if lane.running >= places => return None,
            _ => match terms.rate.map_or(Ok(()), |rate| self.meter.ask(rate, destination, now)) {
                Ok(()) => Turn::Attempt,
                Err(wait) => {
                    Turn::Later(now + i64::try_from(wait.as_millis().div_ceil(1000)).unwrap_or(1).max(1))
                }
            },
        };
        if let (Turn::Attempt, Some(rate)) = (&turn, terms.rate) {
            self.meter.count(rate, destination, now);
        }
        if let Turn::Later(until) = turn {
            lane.opens = lane.opens.max(until);
        }
        let (claim, since) = lane.waiting.pop_front()?;
        self.waiting -= 1;
        lane.running += 1;
        Some((claim, since, turn))
    }

    /// An attempt is over. Says whether a destination is up again that was down.
    pub(crate) fn ended(&mut self, destination: &str, contact: Contact, retry: &Retry, now: i64) -> Again {
        let mut again = Again::No;
        match contact {
            Contact::None => {}
            Contact::Answered => {
                if let Some(down) = self.down.remove(destination) {
                    again = if down.failures > 0 { Again::Up } else { Again::No };
                }
            }
            Contact::Unreached(reply) => self.unreached(destination, reply, retry, now),
            Contact::Paused(until) => {
                if let Some(lane) = self.lanes.get_mut(destination) {
                    lane.opens = lane.opens.max(until);
                }
            }
        }
        if let Some(lane) = self.lanes.get_mut(destination) {
            lane.running = lane.running.saturating_sub(1);
        }
        again
    }

    /// What was under way together counts as one failure.
    fn unreached(&mut self, destination: &str, reply: Reply, retry: &Retry, now: i64) {
        if self.down.len() >= DOWN_MAX && !self.down.contains_key(destination) {
            self.down.retain(|_, down| down.probe_at > now);
        }
        if self.down.len() >= DOWN_MAX && !self.down.contains_key(destination) {
            return;
        }
        let fresh = || Down { failures: 0, probe_at: 0, reply: reply.clone() };
        let down = self.down.entry(destination.to_owned()).or_insert_with(fresh);
        if down.probe_at > now {
            return;
        }
        down.failures = down.failures.saturating_add(1);
        let wait = retry.wait(down.failures).min(PROBE_EVERY_MAX).mul_f64(PROBE_EARLIER);
        down.probe_at = now + i64::try_from(wait.as_secs()).unwrap_or(i64::MAX / 2);
        down.reply = reply;
    }

    /// Lets go of a destination that has nothing to do.
    pub(crate) fn leave(&mut self, destination: &str, now: i64) {
        let is_idle = |lane: &Lane<T>| lane.running == 0 && lane.waiting.is_empty() && lane.opens <= now;
        if self.lanes.get(destination).is_some_and(is_idle) {
            self.lanes.remove(destination);
        }
    }

    /// When the first destination opens again that is closed now, in seconds since 1970. Those that are open and idle are let go.
    pub(crate) fn opens(&mut self, now: i64) -> Option<i64> {
        self.lanes.retain(|_, lane| lane.running > 0 || !lane.waiting.is_empty() || lane.opens > now);
        self.lanes.values().map(|lane| lane.opens).filter(|opens| *opens > now).min()
    }

    /// Forgets who is down and who is closed: somebody wants everything tried at once.
    pub(crate) fn forgive(&mut self) {
        self.down.clear();
        self.lanes.values_mut().for_each(|lane| lane.opens = 0);
    }

    /// All that waits.
    pub(crate) fn drain(&mut self) -> Vec<T> {
        self.waiting = 0;
        self.lanes.drain().flat_map(|(_, lane)| lane.waiting).map(|(claim, _)| claim).collect()
    }
}

/// Whether a destination that was down has answered again: what waits for it is tried at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Again {
    Up,
    No,
}

#[cfg(test)]
mod tests {
    use super::*;
    use mail::Status;

    const NOW: i64 = 1_000_000;
    const TERMS: Terms = Terms { concurrency: 2, rate: None };

    fn take(lanes: &mut Lanes<u32>, number: u32, terms: Terms, now: i64) -> String {
        shown(lanes.take("e.ex", number, terms, now))
    }

    fn reply() -> Reply {
        Reply::new(451, Status::transient(4, 1), "connection refused")
    }

    fn shown(turn: Option<(u32, Instant, Turn)>) -> String {
        match turn {
            None => "waits".to_owned(),
            Some((claim, _, Turn::Attempt)) => format!("{claim} goes"),
            Some((claim, _, Turn::Down(_))) => format!("{claim} is put off"),
            Some((claim, _, Turn::Later(until))) => format!("{claim} later +{}", until - NOW),
        }
    }

    #[test]
    fn so_many_go_and_the_others_wait_in_order() {
        let mut lanes = Lanes::default();
        let turns: Vec<String> = (1..5).map(|n| take(&mut lanes, n, TERMS, NOW)).collect();
        assert_eq!(turns, ["1 goes", "2 goes", "waits", "waits"]);
        assert_eq!(lanes.waiting(), 2);
        assert_eq!(lanes.busy(|_| TERMS, NOW), ["e.ex"], "two go, and two wait");
        lanes.ended("e.ex", Contact::Answered, &Retry::default(), NOW);
        assert_eq!(shown(lanes.next("e.ex", TERMS, NOW)), "3 goes");
        assert!(lanes.busy(|_| TERMS, NOW).is_empty(), "one more may come");
        assert_eq!(shown(lanes.next("e.ex", TERMS, NOW)), "waits");
        assert_eq!(lanes.drain().len(), 1);
        assert!(lanes.busy(|_| TERMS, NOW).is_empty());
    }

    #[test]
    fn who_is_down_is_looked_at_by_one_and_then_by_all() {
        let mut lanes = Lanes::default();
        let retry = Retry::default();
        for n in 1..4 {
            take(&mut lanes, n, TERMS, NOW);
        }
        lanes.ended("e.ex", Contact::Unreached(reply()), &retry, NOW);
        // The third waited; nobody tries it now. The second, under way, does not count a second time.
        assert_eq!(shown(lanes.next("e.ex", TERMS, NOW)), "3 is put off");
        lanes.ended("e.ex", Contact::Unreached(reply()), &retry, NOW + 1);
        lanes.ended("e.ex", Contact::None, &retry, NOW + 1);
        lanes.leave("e.ex", NOW + 1);
        assert_eq!(take(&mut lanes, 4, TERMS, NOW + 254), "4 is put off");
        lanes.ended("e.ex", Contact::None, &retry, NOW + 254);
        // Five minutes, less what jitter may take.
        assert_eq!(take(&mut lanes, 5, TERMS, NOW + 255), "5 goes");
        assert_eq!(take(&mut lanes, 6, TERMS, NOW + 255), "waits");
        assert_eq!(lanes.ended("e.ex", Contact::Unreached(reply()), &retry, NOW + 260), Again::No);
        assert_eq!(shown(lanes.next("e.ex", TERMS, NOW + 260)), "6 is put off");
        lanes.ended("e.ex", Contact::None, &retry, NOW + 260);
        // Ten minutes then.
        assert_eq!(take(&mut lanes, 7, TERMS, NOW + 769), "7 is put off");
        lanes.ended("e.ex", Contact::None, &retry, NOW + 769);
        assert_eq!(take(&mut lanes, 8, TERMS, NOW + 770), "8 goes");
        assert_eq!(take(&mut lanes, 9, TERMS, NOW + 770), "waits");
        assert_eq!(lanes.ended("e.ex", Contact::Answered, &retry, NOW + 771), Again::Up);
        assert_eq!(shown(lanes.next("e.ex", TERMS, NOW + 771)), "9 goes");
        assert_eq!(take(&mut lanes, 10, TERMS, NOW + 771), "10 goes");
        assert_eq!(lanes.ended("e.ex", Contact::Answered, &retry, NOW + 772), Again::No);
    }

    #[test]
    fn no_more_go_than_the_rate_allows() {
        let terms = Terms { concurrency: 5, rate: Some(Rate::parse("2/1m").unwrap()) };
        let mut lanes = Lanes::default();
        let turns: Vec<String> = (1..4).map(|n| take(&mut lanes, n, terms, NOW)).collect();
        assert_eq!(turns, ["1 goes", "2 goes", "3 later +30"]);
        for _ in 0..3 {
            lanes.ended("e.ex", Contact::Answered, &Retry::default(), NOW);
        }
        lanes.leave("e.ex", NOW);
        assert_eq!(lanes.opens(NOW), Some(NOW + 30));
        assert_eq!(lanes.closed_until("e.ex", NOW), Some(NOW + 30));
        assert_eq!(lanes.closed_until("e.ex", NOW + 30), None);
        assert_eq!(lanes.busy(|_| terms, NOW).len(), 1);
        assert_eq!(lanes.opens(NOW + 30), None);
        assert_eq!(take(&mut lanes, 4, terms, NOW + 30), "4 goes");
    }

    #[test]
    fn a_pause_of_the_provider_holds_the_destination() {
        let mut lanes = Lanes::default();
        take(&mut lanes, 1, TERMS, NOW);
        lanes.ended("e.ex", Contact::Paused(NOW + 20), &Retry::default(), NOW);
        assert_eq!(take(&mut lanes, 2, TERMS, NOW), "2 later +20");
        lanes.forgive();
        assert_eq!(take(&mut lanes, 3, TERMS, NOW), "3 goes");
    }
}
