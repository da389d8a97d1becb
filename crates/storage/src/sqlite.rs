//! Connections to SQLite, and the settings that durability and safety rest on.

use crate::backup;
use crate::config::Config;
use crate::error::{Error, Result, Trouble};
use rusqlite::{Connection, OpenFlags};
use std::fs::{self, File, Permissions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Older releases can damage the database when a checkpoint meets a commit (sqlite.org/wal.html, "WAL-reset bug").
const OLDEST: i32 = 3_051_003;
pub(crate) const OLDEST_TEXT: &str = "3.51.3";

/// How long a statement waits for a lock before it is [`Trouble::Busy`].
pub(crate) const BUSY_WAIT: Duration = Duration::from_secs(5);
/// How long a reader waits for a free connection.
pub(crate) const READER_WAIT: Duration = Duration::from_secs(20);
/// Page cache of the writer in KiB, and of each reader.
const WRITER_CACHE_KIB: u32 = 16 * 1024;
pub(crate) const READER_CACHE_KIB: u32 = 4 * 1024;
/// Page cache in KiB of each connection for hot reads: the envelopes and structures of 10,000 messages fit. Where they do not, every
/// listing reads them from the system's cache again, which takes as long as all the rest.
pub(crate) const HOT_CACHE_KIB: u32 = 12 * 1024;
/// The write-ahead log is cut to this size when it starts anew.
const LOG_KEPT: u64 = 64 * 1024 * 1024;
/// Statements that each connection keeps prepared; more than there are.
const STATEMENTS_KEPT: usize = 256;
/// Size of a database page in octets.
pub(crate) const PAGE: u64 = 4096;

/// Paths of the state directory.
#[derive(Clone, Debug)]
pub(crate) struct Places {
    pub(crate) database: PathBuf,
    /// SQLite's write-ahead log.
    log: PathBuf,
    pub(crate) bodies: PathBuf,
    pub(crate) spool: PathBuf,
    pub(crate) lock: PathBuf,
}

impl Places {
    pub(crate) fn of(dir: &Path) -> Self {
        Self {
            database: dir.join("maddy.db"),
            log: dir.join("maddy.db-wal"),
            bodies: dir.join("bodies"),
            spool: dir.join("tmp"),
            lock: dir.join("maddy.lock"),
        }
    }

    /// Makes what is missing, readable for the owner only, and takes the lock.
    pub(crate) fn prepare(&self, dir: &Path) -> Result<File> {
        let missing: Vec<&Path> = dir.ancestors().take_while(|path| !path.exists()).collect();
        for path in [dir, &self.bodies, &self.spool] {
            fs::DirBuilder::new().recursive(true).mode(0o700).create(path)?;
        }
        let lock = File::options().create(true).truncate(false).write(true).open(&self.lock)?;
        lock.set_permissions(Permissions::from_mode(0o600))?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(fs::TryLockError::WouldBlock) => return Err(Trouble::InUse.into()),
            Err(fs::TryLockError::Error(error)) => return Err(error.into()),
        }
        if dir.join(backup::UNFINISHED).exists() {
            let rule = "a restore was begun here and has not ended: give `maddy restore` again";
            return Err(Error::NotAllowed(rule));
        }
        // SQLite gives its log the mode of the database, so the file is made before SQLite opens it.
        let database = File::options().create(true).truncate(false).write(true).open(&self.database)?;
        database.set_permissions(Permissions::from_mode(0o600))?;
        // The names themselves must outlive a loss of power, those of directories made on the way included.
        File::open(dir)?.sync_all()?;
        let was_there = missing.is_empty();
        for path in [dir].into_iter().chain(missing).filter_map(|path| path.parent()) {
            let path = if path.as_os_str().is_empty() { Path::new(".") } else { path };
            match File::open(path) {
                Ok(above) => above.sync_all()?,
                // The daemon has done it before it gave up the right to (`guard::make_directory`).
                Err(error) if was_there && error.kind() == io::ErrorKind::PermissionDenied => {}
                Err(error) => return Err(error.into()),
            }
        }
        self.flush_what_was_left(&database)?;
        for entry in fs::read_dir(&self.spool)? {
            // What lies here belongs to a process that is dead, for the lock is ours.
            fs::remove_file(entry?.path())?;
        }
        Ok(lock)
    }

    /// A process that was killed may have written a commit and not yet flushed it. SQLite takes it for committed, and
    /// readers will be shown it: from then on it has to outlive a loss of power.
    fn flush_what_was_left(&self, database: &File) -> Result<()> {
        match File::open(&self.log) {
            Ok(log) => log.sync_all()?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error.into()),
        }
        Ok(database.sync_all()?)
    }
}

/// What all connections have in common: patience, and no trust in what a file says of itself.
pub(crate) fn harden(connection: &Connection) -> Result<()> {
    connection.busy_timeout(BUSY_WAIT)?;
    let settings = "PRAGMA trusted_schema = OFF; PRAGMA cell_size_check = ON; PRAGMA temp_store = MEMORY; PRAGMA foreign_keys = ON";
    Ok(connection.execute_batch(settings)?)
}

/// A connection that may write, to a file that is there. What is committed with it is flushed.
pub(crate) fn open(path: &Path) -> Result<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags)?;
    harden(&connection)?;
    connection.execute_batch("PRAGMA synchronous = FULL")?;
    connection.set_prepared_statement_cache_capacity(STATEMENTS_KEPT);
    Ok(connection)
}

/// The one connection that writes.
pub(crate) fn open_writer(places: &Places, config: &Config) -> Result<Connection> {
    let writer = open(&places.database)?;
    check_library(&writer)?;
    // Checkpoints are made beside the writer.
    writer.execute_batch(&format!(
        "PRAGMA journal_mode = WAL; PRAGMA cache_size = -{WRITER_CACHE_KIB}; \
         PRAGMA journal_size_limit = {LOG_KEPT}; PRAGMA wal_autocheckpoint = 0"
    ))?;
    if let Some(octets) = config.database_max {
        writer.execute_batch(&format!("PRAGMA max_page_count = {}", octets / PAGE))?;
    }
    Ok(writer)
}

/// The connection that carries the log over into the database.
pub(crate) fn open_checkpointer(places: &Places) -> Result<Connection> {
    let connection = open(&places.database)?;
    connection.execute_batch("PRAGMA wal_autocheckpoint = 0")?;
    Ok(connection)
}

fn check_library(connection: &Connection) -> Result<()> {
    let text: String = connection.query_row("SELECT sqlite_version()", [], |row| row.get(0))?;
    let mut parts = text.split('.').map(|part| part.parse().unwrap_or(0));
    let mut next = || parts.next().unwrap_or(0);
    let number: i32 = next() * 1_000_000 + next() * 1000 + next();
    if number < OLDEST { Err(Trouble::LibraryTooOld(text).into()) } else { Ok(()) }
}

/// One checkpoint that waits for nobody. Returns the pages in the log, and how many of them are carried over.
pub(crate) fn checkpoint(connection: &Connection) -> Result<(i64, i64)> {
    let read = |row: &rusqlite::Row<'_>| Ok((row.get(1)?, row.get(2)?));
    Ok(connection.query_row("PRAGMA wal_checkpoint(PASSIVE)", [], read)?)
}

/// The last checkpoint: nothing is left in the log. The writer is gone by now. Returns whether it was done.
pub(crate) fn finish(connection: Connection) -> bool {
    // That a reader of another process is in the way is said in the row, and is no error.
    let asked = connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |row| row.get::<_, i64>(0));
    let done = match asked {
        Ok(busy) => busy == 0,
        Err(error) => {
            tracing::warn!(%error, "the last checkpoint failed");
            false
        }
    };
    close(connection);
    done
}

pub(crate) fn close(connection: Connection) {
    if let Err((_, error)) = connection.close() {
        tracing::warn!(%error, "closing the database failed");
    }
}
