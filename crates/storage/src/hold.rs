//! Holds back the removal of body files while somebody copies what a snapshot names. Who holds stands in a file, too, so
//! that it goes on when the process is started anew meanwhile.

use crate::error::{Error, Result};
use crate::store::Store;
use std::collections::HashMap;
use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// Most files that are remembered while removal is held back; what goes beyond is swept at the next start.
const WAITING_MAX: usize = 100_000;
/// Longest time for which removal is held back without being asked again.
pub const HOLD_MAX: Duration = Duration::from_secs(600);

/// Most that hold at the same time.
const HOLDERS_MAX: usize = 64;
/// Stands for whoever may hold them.
const UNKNOWN: u64 = 0;
/// Octets that are read of the file: more than so many numbers have.
const NOTE_MAX: u64 = 4096;

/// Whether body files may be removed at the moment, and those that are to go later.
#[derive(Debug)]
pub(crate) struct Hold {
    inner: Mutex<Inner>,
    /// The file with the numbers of those who hold; there is none while nobody does.
    note: PathBuf,
}

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
    /// Those who held when the process before ended hold on, for as long as nobody asks again. Where nobody can say who did,
    /// somebody may have.
    pub(crate) fn resume(note: PathBuf) -> Arc<Self> {
        let until = Instant::now() + HOLD_MAX;
        let noted = read(&note).unwrap_or_else(|error| {
            tracing::warn!(%error, path = %note.display(), "who holds body files cannot be read");
            vec![UNKNOWN]
        });
        let holders = noted.into_iter().map(|holder| (holder, until)).collect();
        let hold = Arc::new(Self { inner: Mutex::new(Inner { holders, waiting: Vec::new() }), note });
        if hold.is_on() {
            tracing::info!("a backup is under way: body files stay");
            hold.watch();
        }
        hold
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
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
        if !inner.holders.contains_key(&holder) {
            if inner.holders.len() >= HOLDERS_MAX {
                return Err(Error::TooMany { what: "backups at the same time", limit: HOLDERS_MAX as u64 });
            }
            // Before it is promised. A loss of power ends the backup as well, so it need not be flushed.
            self.write(inner.holders.keys().copied().chain([holder]))?;
        }
        inner.holders.insert(holder, Instant::now() + time.min(HOLD_MAX));
        Ok(first)
    }

    /// One holds no longer. Returns what may go if it was the last.
    fn end(&self, holder: u64) -> Vec<PathBuf> {
        let mut inner = self.lock();
        inner.holders.remove(&holder);
        self.rewrite(&inner);
        if inner.holders.is_empty() { std::mem::take(&mut inner.waiting) } else { Vec::new() }
    }

    /// How long it is to go on, or what may go if that is over.
    fn left(&self) -> std::result::Result<Duration, Vec<PathBuf>> {
        let mut inner = self.lock();
        let before = inner.holders.len();
        inner.pass();
        if inner.holders.len() < before {
            self.rewrite(&inner);
        }
        match inner.holders.values().max() {
            Some(until) => Ok(until.saturating_duration_since(Instant::now())),
            None => Err(std::mem::take(&mut inner.waiting)),
        }
    }

    /// What is left of those who hold. That the file says too much does no harm: the next process waits a while.
    fn rewrite(&self, inner: &Inner) {
        if let Err(error) = self.write(inner.holders.keys().copied()) {
            tracing::warn!(%error, path = %self.note.display(), "who holds body files cannot be noted");
        }
    }

    fn write(&self, holders: impl Iterator<Item = u64>) -> io::Result<()> {
        let text: String = holders.map(|holder| format!("{holder}\n")).collect();
        if text.is_empty() {
            return match fs::remove_file(&self.note) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
                _ => Ok(()),
            };
        }
        let mut options = File::options();
        let mut file = options.create(true).write(true).truncate(true).mode(0o600).open(&self.note)?;
        file.write_all(text.as_bytes())
    }

    /// Looks when the time of those who hold is over.
    fn watch(self: &Arc<Self>) {
        let hold = Arc::downgrade(self);
        tokio::spawn(async move {
            while let Some(left) = hold.upgrade().map(|hold| hold.left()) {
                match left {
                    Ok(left) => tokio::time::sleep(left).await,
                    Err(gone) => return remove(gone),
                }
            }
        });
    }
}

/// The numbers in the file; what is none is left out.
fn read(note: &Path) -> io::Result<Vec<u64>> {
    let mut octets = Vec::new();
    match File::open(note) {
        Ok(file) => file.take(NOTE_MAX).read_to_end(&mut octets)?,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error),
    };
    let text = String::from_utf8_lossy(&octets);
    Ok(text.lines().filter_map(|line| line.parse().ok()).take(HOLDERS_MAX).collect())
}

impl Store {
    /// For so long (at most [`HOLD_MAX`]) no body file is removed, also by a process that is started anew. May be asked again
    /// before the time is over; `holder` is any number of one's own.
    pub fn hold_bodies(&self, holder: u64, time: Duration) -> Result<()> {
        if self.body_hold().begin(holder, time)? {
            self.body_hold().watch();
        }
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
        if let Err(error) = fs::remove_file(&path) {
            tracing::warn!(%error, path = %path.display(), "removing a body failed");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn files_wait_while_somebody_holds() {
        let dir = tempfile::tempdir().unwrap();
        let note = dir.path().join("note");
        let hold = Hold::resume(note.clone());
        let files = || vec![PathBuf::from("a")];
        assert_eq!(hold.offer(files()), files());
        assert_eq!(hold.begin(1, HOLD_MAX), Ok(true));
        assert_eq!(hold.begin(2, HOLD_MAX), Ok(false));
        assert_eq!(hold.begin(1, HOLD_MAX * 2), Ok(false));
        assert!(hold.offer(files()).is_empty() && hold.is_on());
        assert!(hold.left().unwrap() <= HOLD_MAX);
        assert!(hold.end(1).is_empty(), "another one holds them");
        // Whoever comes after it holds them for the same.
        let next = Hold::resume(note.clone());
        assert!(next.offer(files()).is_empty());
        assert_eq!(next.end(2), files());
        assert_eq!(hold.end(2), files());
        assert!(!hold.is_on() && !note.exists());
        for (text, on) in [("", false), ("x\n-1\n", false), ("7", true)] {
            fs::write(&note, text).unwrap();
            assert_eq!(Hold::resume(note.clone()).is_on(), on, "{text}");
        }
        fs::remove_file(&note).unwrap();
        fs::create_dir(&note).unwrap();
        assert!(Hold::resume(note.clone()).is_on(), "who holds them is not known");
        fs::remove_dir(&note).unwrap();
        for holder in 0..HOLDERS_MAX as u64 {
            hold.begin(holder, Duration::ZERO).unwrap();
        }
        assert!(hold.begin(1000, HOLD_MAX).is_err());
        assert!(hold.offer(files()).is_empty(), "until somebody has looked at the time");
        assert_eq!(hold.left(), Err(files()));
        assert_eq!(hold.begin(1000, HOLD_MAX), Ok(true));
    }
}
