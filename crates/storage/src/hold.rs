//! Holds back the removal of body files while somebody copies what a snapshot names.

use crate::error::{Error, Result};
use crate::store::Store;
use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// Most files that are remembered while removal is held back; what goes beyond is swept at the next start.
const WAITING_MAX: usize = 100_000;
/// Longest time for which removal is held back without being asked again.
pub const HOLD_MAX: Duration = Duration::from_secs(600);

/// Most that hold at the same time.
const HOLDERS_MAX: usize = 64;

/// Whether body files may be removed at the moment, and those that are to go later.
#[derive(Debug, Default)]
pub(crate) struct Hold(Mutex<Inner>);

#[derive(Debug, Default)]
struct Inner {
    /// Who holds them, and until when.
    holders: HashMap<u64, Instant>,
    waiting: Vec<PathBuf>,
}

impl Inner {
    /// Those whose time is over do not hold any more.
    fn pass(&mut self) {
        let now = Instant::now();
        self.holders.retain(|_, until| *until > now);
    }
}

impl Hold {
    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The files of `gone` that may be removed now: all, or none and they wait.
    pub(crate) fn offer(&self, gone: Vec<PathBuf>) -> Vec<PathBuf> {
        let mut inner = self.lock();
        if inner.holders.is_empty() {
            return gone;
        }
        let room = WAITING_MAX - inner.waiting.len();
        inner.waiting.extend(gone.into_iter().take(room));
        Vec::new()
    }

    pub(crate) fn is_on(&self) -> bool {
        !self.lock().holders.is_empty()
    }

    /// Holds, or goes on to; `true`: nobody held before.
    fn begin(&self, holder: u64, time: Duration) -> Result<bool> {
        let mut inner = self.lock();
        let first = inner.holders.is_empty();
        if inner.holders.len() >= HOLDERS_MAX && !inner.holders.contains_key(&holder) {
            return Err(Error::TooMany { what: "backups at the same time", limit: HOLDERS_MAX as u64 });
        }
        inner.holders.insert(holder, Instant::now() + time.min(HOLD_MAX));
        Ok(first)
    }

    /// One holds no longer. Returns what may go if it was the last.
    fn end(&self, holder: u64) -> Vec<PathBuf> {
        let mut inner = self.lock();
        inner.holders.remove(&holder);
        if inner.holders.is_empty() { std::mem::take(&mut inner.waiting) } else { Vec::new() }
    }

    /// How long it is to go on, or what may go if that is over.
    fn left(&self) -> std::result::Result<Duration, Vec<PathBuf>> {
        let mut inner = self.lock();
        inner.pass();
        match inner.holders.values().max() {
            Some(until) => Ok(until.saturating_duration_since(Instant::now())),
            None => Err(std::mem::take(&mut inner.waiting)),
        }
    }
}

impl Store {
    /// For so long (at most [`HOLD_MAX`]) no body file is removed. May be asked again before the time is over; `holder` is
    /// any number of one's own.
    pub fn hold_bodies(&self, holder: u64, time: Duration) -> Result<()> {
        if !self.body_hold().begin(holder, time)? {
            return Ok(());
        }
        let hold = Arc::downgrade(self.body_hold());
        tokio::spawn(async move {
            while let Some(left) = hold.upgrade().map(|hold| hold.left()) {
                match left {
                    Ok(left) => tokio::time::sleep(left).await,
                    Err(gone) => return remove(gone),
                }
            }
        });
        Ok(())
    }

    /// One who held does so no longer. What waits goes when nobody else holds.
    pub fn release_bodies(&self, holder: u64) {
        remove(self.body_hold().end(holder));
    }
}

/// Removes files of bodies that nobody uses any more.
pub(crate) fn remove(gone: Vec<PathBuf>) {
    for path in gone {
        if let Err(error) = std::fs::remove_file(&path) {
            tracing::warn!(%error, path = %path.display(), "removing a body failed");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_wait_while_somebody_holds() {
        let hold = Hold::default();
        let files = || vec![PathBuf::from("a")];
        assert_eq!(hold.offer(files()), files());
        assert_eq!(hold.begin(1, HOLD_MAX), Ok(true));
        assert_eq!(hold.begin(2, HOLD_MAX), Ok(false));
        assert_eq!(hold.begin(1, HOLD_MAX * 2), Ok(false));
        assert!(hold.offer(files()).is_empty() && hold.is_on());
        assert!(hold.left().unwrap() <= HOLD_MAX);
        assert!(hold.end(1).is_empty(), "another one holds them");
        assert_eq!(hold.end(2), files());
        assert!(!hold.is_on());
        for holder in 0..HOLDERS_MAX as u64 {
            hold.begin(holder, Duration::ZERO).unwrap();
        }
        assert!(hold.begin(1000, HOLD_MAX).is_err());
        assert!(hold.offer(files()).is_empty(), "until somebody has looked at the time");
        assert_eq!(hold.left(), Err(files()));
        assert_eq!(hold.begin(1000, HOLD_MAX), Ok(true));
    }
}
