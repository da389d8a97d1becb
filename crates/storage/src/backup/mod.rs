//! Copies of a whole state directory, made while a daemon works on it, and brought back.
//!
//! A backup is a directory with one directory for each time that it was made (a *generation*): the files of the state (keys,
//! certificates), and a manifest with the hash of each, and of the database as it was at one moment. Its pieces, and the
//! large bodies, lie beside, named by their hashes, and are shared by all generations. A generation gets its name when all
//! of it is on the disk, so that there are no halves.

mod epoch;
mod files;
mod make;
mod manifest;
mod owner;
mod pace;
mod pieces;
mod pool;
mod restore;
mod snapshot;
mod tidy;

pub use files::Extra;
pub use make::{BackupPlan, BackupReport, back_up};
pub use pace::Pace;
pub use restore::{Former, Queued, RestorePlan, RestoreReport, restore};
pub use tidy::{BackupCheck, Generation, check_backup, generations};

use crate::error::{Error, Result};
use std::fs::{self, DirBuilder, File};
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::Path;

/// The manifest of a generation.
const MANIFEST: &str = "manifest";
/// The database of a state directory, and that of a generation until it is in pieces.
const DATABASE: &str = "maddy.db";
/// The other files of the state, and those from elsewhere.
const STATE: &str = "state";
const ELSEWHERE: &str = "elsewhere";
/// Bodies, and pieces of databases, shared by the generations.
const BODIES: &str = "bodies";
const PIECES: &str = "pieces";
/// What a generation is called before it is whole, and when it is taken away.
const NEW: &str = ".new-";
const OLD: &str = ".old-";

/// In a state directory: a restore was begun and has not ended. No daemon starts on it.
pub(crate) const UNFINISHED: &str = "restore-unfinished";
/// In a state directory: who holds the files of bodies, so that this outlives the process.
pub(crate) const HELD: &str = "backup-hold";
/// In a state directory: what was there before a restore.
const SET_ASIDE: &str = "before-restore-";
/// In a state directory: copies of the database from before its schema was changed.
pub(crate) const UPGRADES: &str = "before-upgrade";

/// What is said while work goes on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    pub what: &'static str,
    /// Things done so far, and octets.
    pub done: u64,
    pub octets: u64,
}

/// Is told how far work is.
pub type Watcher<'w> = &'w (dyn Fn(Step) + Sync);

/// What is made is for its owner alone.
fn make_dir(path: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(path)
}

fn flush_dir(path: &Path) -> io::Result<()> {
    File::open(path)?.sync_all()
}

/// Trouble with a file, with its name.
pub(crate) fn with_path(error: io::Error, path: &Path) -> Error {
    match Error::from(error) {
        Error::Trouble(crate::Trouble::Io(why)) => {
            Error::Trouble(crate::Trouble::Io(format!("{}: {why}", path.display())))
        }
        other => other,
    }
}

/// Takes a lock that ends with the process, so that no two work on a backup.
fn lock(dir: &Path) -> Result<File> {
    let path = dir.join("lock");
    let file = File::options().create(true).truncate(false).write(true).open(&path);
    let file = file.map_err(|error| with_path(error, &path))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(fs::TryLockError::WouldBlock) => {
            Err(Error::NotAllowed("another command works on this backup; wait for it to end"))
        }
        Err(fs::TryLockError::Error(error)) => Err(error.into()),
    }
}

/// Work that waits for disks, off the async threads.
async fn blocking<T: Send + 'static>(work: impl FnOnce() -> Result<T> + Send + 'static) -> Result<T> {
    tokio::task::spawn_blocking(work).await.map_err(|error| Error::bug(error.to_string()))?
}
