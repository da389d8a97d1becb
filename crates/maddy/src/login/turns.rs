//! Whose password is hashed next: each address has one place in the queue, so that nobody waits behind a flood.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Hashes at the same time, for each processor: each costs 19 MiB and some 10 ms.
const HASHES_PER_CORE: usize = 2;
/// Most logins of one address that wait for each other.
const WAITING_MAX: usize = 64;
/// Longest wait for a turn.
const TURN_TIMEOUT: Duration = Duration::from_secs(10);

/// The turns of all doors.
pub(super) struct Turns {
    hashes: Arc<Semaphore>,
    lanes: Arc<Lanes>,
}

/// The addresses that have something to be hashed.
#[derive(Default)]
struct Lanes(Mutex<HashMap<IpAddr, Lane>>);

struct Lane {
    semaphore: Arc<Semaphore>,
    users: usize,
}

/// The right to have one password hashed; given back when dropped.
pub(super) struct Turn {
    _hash: OwnedSemaphorePermit,
    _place: Option<Place>,
}

/// A place in the lane of an address.
struct Place {
    lanes: Arc<Lanes>,
    source: IpAddr,
    permit: Option<OwnedSemaphorePermit>,
}

impl Turns {
    pub(super) fn new() -> Self {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        Self::of(cores * HASHES_PER_CORE)
    }

    pub(super) fn of(hashes: usize) -> Self {
        Self { hashes: Arc::new(Semaphore::new(hashes)), lanes: Arc::default() }
    }

    /// Waits for a turn: first among those of the same source, if there is one, then among the sources, in the order in
    /// which they came. `None` if too many wait or it takes too long.
    pub(super) async fn take(&self, source: Option<IpAddr>) -> Option<Turn> {
        tokio::time::timeout(TURN_TIMEOUT, self.wait(source)).await.ok().flatten()
    }

    /// Everything there is, so that nothing can be hashed.
    #[cfg(test)]
    pub(super) async fn take_all(&self) -> OwnedSemaphorePermit {
        let most = u32::try_from(self.hashes.available_permits()).unwrap();
        self.hashes.clone().acquire_many_owned(most).await.unwrap()
    }

    async fn wait(&self, source: Option<IpAddr>) -> Option<Turn> {
        let place = match source {
            Some(source) => Some(self.lanes.enter(source).await?),
            None => None,
        };
        let hash = self.hashes.clone().acquire_owned().await.ok()?;
        Some(Turn { _hash: hash, _place: place })
    }
}

impl Lanes {
    fn lock(&self) -> MutexGuard<'_, HashMap<IpAddr, Lane>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn enter(self: &Arc<Self>, source: IpAddr) -> Option<Place> {
        let (mut place, semaphore) = {
            let mut lanes = self.lock();
            let lane = lanes
                .entry(source)
                .or_insert_with(|| Lane { semaphore: Arc::new(Semaphore::new(1)), users: 0 });
            if lane.users >= WAITING_MAX {
                return None;
            }
            lane.users += 1;
            (Place { lanes: self.clone(), source, permit: None }, lane.semaphore.clone())
        };
        place.permit = Some(semaphore.acquire_owned().await.ok()?);
        Some(place)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut lanes = self.lanes.lock();
        if let Some(lane) = lanes.get_mut(&self.source) {
            lane.users -= 1;
            if lane.users == 0 {
                lanes.remove(&self.source);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::Ipv4Addr;
    use tokio::time::timeout;

    fn from(n: u8) -> Option<IpAddr> {
        Some(Ipv4Addr::new(192, 0, 2, n).into())
    }

    /// What is there without a wait.
    async fn at_once(taking: impl Future<Output = Option<Turn>>) -> Option<Turn> {
        timeout(Duration::ZERO, taking).await.ok().flatten()
    }

    #[tokio::test]
    async fn a_flood_of_one_address_has_one_place() {
        let turns = Turns::of(2);
        let first = turns.take(from(1)).await.unwrap();
        let mut flood: Vec<_> = (1..WAITING_MAX).map(|_| Box::pin(turns.take(from(1)))).collect();
        for waiting in &mut flood {
            assert!(at_once(waiting).await.is_none());
        }
        assert!(turns.take(from(1)).await.is_none(), "the lane is full");
        // Another is not behind them.
        let other = at_once(turns.take(from(2))).await.unwrap();
        assert!(at_once(turns.take(from(3))).await.is_none(), "both hashes are taken");
        drop(other);
        assert!(at_once(turns.take(None)).await.is_some());
        drop(first);
        let mut rest = flood.split_off(1);
        let next = flood.remove(0).await.unwrap();
        assert!(at_once(&mut rest[0]).await.is_none());
        drop(next);
        drop(rest);
        assert!(turns.lanes.lock().is_empty());
    }
}
