//! How much of messages may be on its way in at the same time, over all connections of a door.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// Counts octets. Cloning is cheap, and all clones are one.
#[derive(Clone, Debug)]
pub struct Budget {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    most: AtomicU64,
    used: AtomicU64,
}

/// What one message holds of it; given back when dropped.
#[derive(Debug)]
pub struct Held {
    budget: Budget,
    octets: u64,
}

impl Budget {
    pub fn new(most: u64) -> Self {
        Self { inner: Arc::new(Inner { most: AtomicU64::new(most), used: AtomicU64::new(0) }) }
    }

    /// Another bound from now on; what is held stays.
    pub fn set(&self, most: u64) {
        self.inner.most.store(most, Ordering::Relaxed);
    }

    /// Octets that are held.
    pub fn used(&self) -> u64 {
        self.inner.used.load(Ordering::Relaxed)
    }

    /// Whether a message of so many octets would fit now.
    pub(crate) fn has_room(&self, octets: u64) -> bool {
        self.used().saturating_add(octets) <= self.inner.most.load(Ordering::Relaxed)
    }

    pub(crate) fn hold(&self) -> Held {
        Held { budget: self.clone(), octets: 0 }
    }
}

impl Held {
    /// Takes more; false, and nothing is taken, if there is no room.
    pub(crate) fn grow(&mut self, octets: u64) -> bool {
        let inner = &self.budget.inner;
        let most = inner.most.load(Ordering::Relaxed);
        let more = |used: u64| used.checked_add(octets).filter(|sum| *sum <= most);
        let took = inner.used.fetch_update(Ordering::Relaxed, Ordering::Relaxed, more).is_ok();
        if took {
            self.octets += octets;
        }
        took
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.budget.inner.used.fetch_sub(self.octets, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_held_comes_back() {
        let budget = Budget::new(100);
        let (mut one, mut two) = (budget.hold(), budget.hold());
        assert!(one.grow(60) && two.grow(40) && !one.grow(1));
        assert!(!budget.has_room(1));
        drop(two);
        assert_eq!(budget.used(), 60);
        assert!(budget.has_room(40) && !budget.has_room(41) && !one.grow(u64::MAX));
        budget.set(50);
        assert!(!one.grow(0) && !budget.has_room(0));
        drop(one);
        assert_eq!(budget.used(), 0);
    }

    #[test]
    fn many_threads_never_take_too_much() {
        let budget = Budget::new(1000);
        std::thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| {
                    for _ in 0..2000 {
                        let mut held = budget.hold();
                        for _ in 0..10 {
                            held.grow(37);
                            assert!(budget.used() <= 1000);
                        }
                    }
                });
            }
        });
        assert_eq!(budget.used(), 0);
    }
}
