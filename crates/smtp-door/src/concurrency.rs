//! How many messages may be on their way in at the same time: from an address, from a network, of a sender, for a
//! recipient, in all. A message counts from MAIL, for each recipient from RCPT, until it is filed or dropped.

use ::config::Section;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Most keys that are counted at the same time, over all kinds. What finds no room is let in uncounted: each key belongs
/// to a message whose connection is bounded by `limits`, so it takes a crowd to get there.
const KEYS_MAX: usize = 100_000;
/// Greatest bound that can be set.
const MOST_MAX: usize = 1_000_000;

/// By what messages are told apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum By {
    Address,
    Network,
    Sender,
    Recipient,
    All,
}

impl By {
    const ALL: [Self; 5] = [Self::Address, Self::Network, Self::Sender, Self::Recipient, Self::All];

    /// Name of its option, and what that says.
    fn option(self) -> (&'static str, &'static str) {
        match self {
            Self::Address => {
                ("concurrency-per-address", "Messages on their way in from one address at the same time.")
            }
            Self::Network => {
                ("concurrency-per-network", "Messages on their way in from one network at the same time.")
            }
            Self::Sender => (
                "concurrency-per-sender",
                "Messages of one sender on their way in at the same time, senders told apart as above.",
            ),
            Self::Recipient => {
                ("concurrency-per-recipient", "Messages for one recipient on their way in at the same time.")
            }
            Self::All => ("concurrency", "Messages on their way in at the same time, in all."),
        }
    }

    pub(crate) fn words(self) -> &'static str {
        match self {
            Self::Address => "messages from this address",
            Self::Network => "messages from this network",
            Self::Sender => "messages of this sender",
            Self::Recipient => "messages for this recipient",
            Self::All => "messages",
        }
    }
}

/// The checked bounds; what has none is not bounded.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Bounds([Option<usize>; By::ALL.len()]);

impl Bounds {
    /// Reads them from the node `rates`.
    pub(crate) fn decode(section: &mut Section<'_>) -> Self {
        Self(By::ALL.map(|by| {
            let (name, doc) = by.option();
            section.count(name, doc).within(1..=MOST_MAX).optional()
        }))
    }

    fn of(&self, by: By) -> Option<usize> {
        self.0[by as usize]
    }
}

type Key = (By, String);

/// What is on its way in. Clones are one.
#[derive(Clone, Debug, Default)]
pub(crate) struct Present {
    counts: Arc<Mutex<HashMap<Key, usize>>>,
}

/// A message's place among those on their way in; given back when dropped.
#[derive(Debug)]
#[must_use = "the place is given back when this is dropped"]
pub struct Place {
    present: Present,
    keys: Vec<Key>,
}

impl Present {
    /// Counts all of them, or none: the error is what there are too many of.
    pub(crate) fn enter(&self, bounds: &Bounds, events: Vec<Key>) -> Result<Place, By> {
        let bounded: Vec<(Key, usize)> =
            events.into_iter().filter_map(|key| bounds.of(key.0).map(|most| (key, most))).collect();
        let mut counts = self.lock();
        for (key, most) in &bounded {
            if counts.get(key).is_some_and(|count| count >= most) {
                return Err(key.0);
            }
        }
        let mut keys = Vec::with_capacity(bounded.len());
        for (key, _) in bounded {
            if counts.len() < KEYS_MAX || counts.contains_key(&key) {
                *counts.entry(key.clone()).or_default() += 1;
                keys.push(key);
            }
        }
        drop(counts);
        Ok(Place { present: self.clone(), keys })
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Key, usize>> {
        self.counts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut counts = self.present.lock();
        for key in self.keys.drain(..) {
            match counts.get_mut(&key) {
                Some(count) if *count > 1 => *count -= 1,
                _ => {
                    counts.remove(&key);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bounds(text: &str) -> Bounds {
        ::config::Tree::from_text("test", text, &|_| None).decode(Bounds::decode).unwrap()
    }

    fn key(by: By, text: &str) -> Key {
        (by, text.to_owned())
    }

    #[test]
    fn places_are_given_back() {
        let (present, bounds) = (
            Present::default(),
            bounds("concurrency-per-sender 1\nconcurrency-per-recipient 2\nconcurrency 3"),
        );
        let go = |sender: &str| {
            present.enter(&bounds, vec![key(By::All, ""), key(By::Sender, sender), key(By::Address, "x")])
        };
        let to = |recipient: &str| present.enter(&bounds, vec![key(By::Recipient, recipient)]);
        let first = go("a").unwrap();
        assert_eq!(go("a").unwrap_err(), By::Sender);
        let (second, third) = (go("b").unwrap(), go("c").unwrap());
        assert_eq!(go("d").unwrap_err(), By::All);
        // Who was refused holds nothing.
        drop(second);
        let fourth = go("d").unwrap();
        assert_eq!(go("b").unwrap_err(), By::All);
        let (one, two) = (to("r").unwrap(), to("r").unwrap());
        assert_eq!(to("r").unwrap_err(), By::Recipient);
        let other = to("s").unwrap();
        drop((first, third, fourth, one, two, other));
        assert!(present.lock().is_empty());
    }

    #[test]
    fn what_has_no_bound_is_not_counted() {
        let present = Present::default();
        let places: Vec<Place> = (0..1000)
            .map(|_| present.enter(&bounds(""), vec![key(By::All, ""), key(By::Sender, "a")]).unwrap())
            .collect();
        assert!(present.lock().is_empty());
        drop(places);
    }

    #[test]
    fn the_table_has_an_end() {
        let (present, bounds) = (Present::default(), bounds("concurrency-per-recipient 1"));
        let to = |n: usize| present.enter(&bounds, vec![key(By::Recipient, &n.to_string())]);
        let places: Vec<Place> = (0..=KEYS_MAX).map(|n| to(n).unwrap()).collect();
        assert_eq!(present.lock().len(), KEYS_MAX);
        assert_eq!(to(0).unwrap_err(), By::Recipient);
        // The one that found no room takes nothing away from others when it goes.
        let last = to(KEYS_MAX).unwrap();
        drop(last);
        assert_eq!(present.lock().len(), KEYS_MAX);
        drop(places);
        assert!(present.lock().is_empty());
    }

    #[test]
    fn many_threads_never_exceed_a_bound() {
        let (present, bounds) = (Present::default(), bounds("concurrency 7"));
        std::thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| {
                    for _ in 0..2000 {
                        let place = present.enter(&bounds, vec![key(By::All, "")]);
                        assert!(present.lock().values().all(|count| *count <= 7));
                        drop(place);
                    }
                });
            }
        });
        assert!(present.lock().is_empty());
    }
}
