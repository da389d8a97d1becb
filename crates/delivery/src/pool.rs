//! Connections that are kept for the next message to the same destination.

use crate::link::Link;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::task::JoinSet;
use tokio::time::Instant;

/// Most transactions over one connection.
pub(crate) const USES_MAX: u32 = 100;
/// Oldest connection that is used once more. What a host must show is judged when a connection is made: after this time a policy
/// or a TLSA record that has appeared since holds for the next message.
const LIFE_MAX: Duration = Duration::from_secs(60);
/// Most idle connections in all.
const IDLE_MAX: usize = 50;
/// Most idle connections to one destination.
const IDLE_PER_DESTINATION: usize = 5;

/// How long farewells may take when the server stops.
const FAREWELL_MAX: Duration = Duration::from_secs(2);

/// A link, and how often it has been used.
pub(crate) struct Kept {
    pub link: Box<Link>,
    pub uses: u32,
    since: Instant,
}

impl Kept {
    /// A connection that was just made.
    pub(crate) fn fresh(link: Link) -> Self {
        Self { link: Box::new(link), uses: 0, since: Instant::now() }
    }

    fn is_old(&self) -> bool {
        self.since.elapsed() >= LIFE_MAX
    }
}

/// Idle connections by destination. Cloning is cheap; clones share them.
#[derive(Clone, Default)]
pub(crate) struct Pool {
    shelf: Arc<Mutex<Shelf>>,
}

#[derive(Default)]
struct Shelf {
    idle: HashMap<String, Vec<(u64, Kept)>>,
    count: usize,
    next: u64,
}

impl Pool {
    /// The connection to this destination that was used last, if there is one.
    pub(crate) fn take(&self, destination: &str) -> Option<Kept> {
        loop {
            let mut kept = self.take_any(destination)?;
            if !kept.is_old() {
                return Some(kept);
            }
            tokio::spawn(async move { kept.link.quit().await });
        }
    }

    fn take_any(&self, destination: &str) -> Option<Kept> {
        let mut shelf = self.lock();
        let links = shelf.idle.get_mut(destination)?;
        let kept = links.pop().map(|(_, kept)| kept);
        if links.is_empty() {
            shelf.idle.remove(destination);
        }
        shelf.count -= usize::from(kept.is_some());
        kept
    }

    /// Keeps a connection for a while, then says QUIT. One too many is ended at once.
    pub(crate) fn put(&self, destination: &str, kept: Kept, stay: Duration) {
        let is_done = stay.is_zero() || kept.uses >= USES_MAX || kept.is_old();
        let placed = if is_done { Err(kept) } else { self.shelve(destination, kept) };
        let (pool, destination) = (self.clone(), destination.to_owned());
        match placed {
            Ok(number) => {
                tokio::spawn(async move {
                    tokio::time::sleep(stay).await;
                    if let Some(mut kept) = pool.remove(&destination, number) {
                        kept.link.quit().await;
                    }
                });
            }
            Err(mut kept) => {
                tokio::spawn(async move { kept.link.quit().await });
            }
        }
    }

    fn shelve(&self, destination: &str, kept: Kept) -> Result<u64, Kept> {
        let mut shelf = self.lock();
        let here = shelf.idle.get(destination).map_or(0, Vec::len);
        if shelf.count >= IDLE_MAX || here >= IDLE_PER_DESTINATION {
            return Err(kept);
        }
        let number = shelf.next;
        shelf.next += 1;
        shelf.count += 1;
        shelf.idle.entry(destination.to_owned()).or_default().push((number, kept));
        Ok(number)
    }

    fn remove(&self, destination: &str, number: u64) -> Option<Kept> {
        let mut shelf = self.lock();
        let links = shelf.idle.get_mut(destination)?;
        let at = links.iter().position(|(one, _)| *one == number)?;
        let (_, kept) = links.remove(at);
        if links.is_empty() {
            shelf.idle.remove(destination);
        }
        shelf.count -= 1;
        Some(kept)
    }

    /// Ends all idle connections; waits for their farewells, but not for long.
    pub(crate) async fn clear(&self) {
        let idle = {
            let mut shelf = self.lock();
            shelf.count = 0;
            std::mem::take(&mut shelf.idle)
        };
        let mut farewells = JoinSet::new();
        for (_, mut kept) in idle.into_values().flatten() {
            farewells.spawn(async move { kept.link.quit().await });
        }
        let _ = tokio::time::timeout(FAREWELL_MAX, farewells.join_all()).await;
    }

    fn lock(&self) -> MutexGuard<'_, Shelf> {
        self.shelf.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
