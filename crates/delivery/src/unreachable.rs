//! Addresses that could not be reached a moment ago, so that a queue full of mail for a dead host does not wait for it
//! message by message (RFC 5321 §4.5.4.1).

use crate::link::Place;
use mail::Reply;
use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// Longest time for which a failure is remembered, in seconds. It is always much shorter than the wait before a retry.
const REMEMBERED_MAX: u64 = 60;
/// Most addresses that are remembered.
const ADDRESSES_MAX: usize = 1000;

/// What is known of addresses that did not answer. Times are seconds since 1970.
pub(crate) struct Unreachable {
    remembered: i64,
    places: Mutex<HashMap<String, (i64, Reply)>>,
}

impl Unreachable {
    /// `first_retry` is the shortest wait before the same message comes again: by then all is forgotten.
    pub(crate) fn new(first_retry: Duration) -> Self {
        let remembered = REMEMBERED_MAX.min(first_retry.as_secs() / 2);
        Self { remembered: remembered.cast_signed(), places: Mutex::default() }
    }

    /// Why the address was not reached, if that is not long ago.
    pub(crate) fn recall(&self, place: &Place, now: i64) -> Option<Reply> {
        let mut places = self.lock();
        let address = place.to_string();
        let (since, reply) = places.get(&address)?;
        if self.is_recent(*since, now) {
            return Some(reply.clone());
        }
        places.remove(&address);
        None
    }

    pub(crate) fn remember(&self, place: &Place, reply: Reply, now: i64) {
        let mut places = self.lock();
        if places.len() >= ADDRESSES_MAX {
            places.retain(|_, (since, _)| self.is_recent(*since, now));
        }
        if places.len() < ADDRESSES_MAX {
            places.insert(place.to_string(), (now, reply));
        }
    }

    /// Forgets all.
    pub(crate) fn forgive(&self) {
        self.lock().clear();
    }

    /// A clock that was set back makes nothing recent.
    fn is_recent(&self, since: i64, now: i64) -> bool {
        (0..self.remembered).contains(&(now - since))
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<String, (i64, Reply)>> {
        self.places.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use mail::Status;

    fn place(address: &str) -> Place {
        let host = mail::Domain::parse("mx.e.ex").unwrap();
        Place { host, address: address.parse().unwrap(), socket: None }
    }

    fn reply() -> Reply {
        Reply::new(451, Status::transient(4, 1), "connection refused")
    }

    #[test]
    fn failures_are_remembered_for_a_while() {
        let address = &place("192.0.2.1:25");
        for (first_retry, after, known) in [
            (300, 0, true),
            (300, 59, true),
            (300, 60, false),
            (300, -1, false),
            (10, 4, true),
            (10, 5, false),
            (1, 0, false),
        ] {
            let unreachable = Unreachable::new(Duration::from_secs(first_retry));
            assert_eq!(unreachable.recall(address, 1000), None);
            unreachable.remember(address, reply(), 1000);
            let want = known.then(reply);
            assert_eq!(unreachable.recall(address, 1000 + after), want, "{first_retry} s, after {after} s");
        }
    }

    #[test]
    fn there_is_an_end_to_remembering() {
        let unreachable = Unreachable::new(Duration::from_secs(300));
        let address = |n: usize| place(&format!("192.0.{}.{}:25", n >> 8, n & 255));
        for n in 0..ADDRESSES_MAX + 10 {
            unreachable.remember(&address(n), reply(), 1000);
        }
        assert_eq!(unreachable.lock().len(), ADDRESSES_MAX);
        unreachable.remember(&address(5000), reply(), 1060);
        assert_eq!(unreachable.lock().len(), 1);
    }
}
