//! The database at one moment, as a file of its own, while somebody else writes to it.

use super::pace::{Breath, Pace};
use super::{Step, Watcher, blocking, with_path};
use crate::body::Hash;
use crate::error::{Error, Result, Trouble};
use crate::sql::{self, Link, Row};
use crate::sqlite::{PAGE as PAGE_OCTETS, READER_CACHE_KIB};
use rusqlite::backup::{Backup, StepResult};
use rusqlite::{Connection, OpenFlags};
use std::fs::OpenOptions;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::Path;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tokio::time::timeout;

/// Pages that are copied between two rests.
const PAGES: i32 = 256;
/// How often it is told how far the copy is.
const TICK: Duration = Duration::from_millis(500);
/// How often a lock may stand in the way, and the pause each time. Who reads in a transaction meets none.
const REFUSED_MAX: u32 = 100;
const REFUSED_PAUSE: Duration = Duration::from_millis(50);
/// Bodies that are read at once.
const PAGE: i64 = 1000;

/// A body that lies in a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct FileBody {
    pub(super) id: i64,
    pub(super) hash: Hash,
    pub(super) size: u64,
    /// The name of its file in the state directory.
    pub(super) file: String,
}

/// Writes the database of a state directory as it is now to a new file, page by page, each in its place. Reads it as any
/// reader does, so that nobody who writes waits for it; only the log grows meanwhile. The copy is not flushed: it is for
/// reading now.
pub(super) async fn take(database: &Path, to: &Path, pace: Pace, watcher: Watcher<'_>) -> Result<()> {
    let (database, to) = (database.to_owned(), to.to_owned());
    let copied = Arc::new(AtomicU64::new(0));
    let (told, target) = (Arc::clone(&copied), to.clone());
    let mut work = pin!(blocking(move || copy(&database, &target, pace, &told)));
    loop {
        match timeout(TICK, &mut work).await {
            Ok(done) => break done?,
            Err(_) => {
                let done = copied.load(Ordering::Relaxed);
                watcher(Step { what: "copying pages of the database", done, octets: done * PAGE_OCTETS });
            }
        }
    }
    check(&to).await
}

fn copy(database: &Path, to: &Path, pace: Pace, copied: &AtomicU64) -> Result<()> {
    let before = plain(database)?;
    // SQLite fills an empty file, which keeps its mode.
    OpenOptions::new().write(true).create_new(true).mode(0o600).open(to)?;
    let from = crate::blocking::open(database, READER_CACHE_KIB)?;
    // All of it within one transaction that reads: what is written meanwhile is not seen, and has nothing begin anew.
    from.execute_batch("BEGIN")?;
    let _: i64 = from.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0))?;
    let mut out = Connection::open(to)?;
    out.execute_batch("PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF")?;
    let work = Backup::new(&from, &mut out)?;
    let (mut breath, mut refused) = (Breath::new(pace), 0);
    loop {
        match work.step(PAGES)? {
            StepResult::Done => break,
            StepResult::More => {}
            _ if refused < REFUSED_MAX => {
                refused += 1;
                std::thread::sleep(REFUSED_PAUSE);
            }
            _ => return Err(Trouble::Busy.into()),
        }
        let progress = work.progress();
        copied.store((progress.pagecount - progress.remaining).unsigned_abs().into(), Ordering::Relaxed);
        breath.take();
    }
    drop(work);
    out.close().map_err(|(_, error)| error)?;
    from.close().map_err(|(_, error)| error)?;
    if plain(database)? != before {
        return Err(Error::NotAllowed("the database was exchanged meanwhile"));
    }
    Ok(())
}

/// Which file it is: a link, which leads anywhere, is none.
fn plain(path: &Path) -> Result<(u64, u64)> {
    let found = std::fs::symlink_metadata(path).map_err(|error| with_path(error, path))?;
    if !found.is_file() {
        return Err(Error::NotAllowed("the database of the state directory is no plain file"));
    }
    Ok((found.dev(), found.ino()))
}

/// Opens a database that nobody writes to.
pub(super) async fn open(path: &Path) -> Result<Link> {
    const FLAGS: OpenFlags = OpenFlags::SQLITE_OPEN_READ_ONLY
        .union(OpenFlags::SQLITE_OPEN_NO_MUTEX)
        .union(OpenFlags::SQLITE_OPEN_URI);
    let name = path.to_str().ok_or(Error::NotAllowed("the name of the directory is not UTF-8"))?;
    let uri =
        format!("file:{}?immutable=1", name.replace('%', "%25").replace('?', "%3f").replace('#', "%23"));
    Link::open(move || Ok(Connection::open_with_flags(uri, FLAGS)?)).await
}

/// Whether a copy is sound.
async fn check(path: &Path) -> Result<()> {
    let lines: Vec<String> =
        sql::query_scalar("PRAGMA quick_check").fetch_all(&mut open(path).await?).await?;
    match lines.as_slice() {
        [ok] if ok == "ok" => Ok(()),
        lines => Err(Trouble::Corrupt(lines.first().cloned().unwrap_or_default()).into()),
    }
}

/// The version of its schema.
pub(super) async fn version(connection: &mut Link) -> Result<i64> {
    sql::query_scalar("PRAGMA user_version").fetch_one(connection).await
}

/// Bodies that lie in files, by number, behind `after`.
pub(super) async fn file_bodies(connection: &mut Link, after: i64) -> Result<Vec<FileBody>> {
    let sql =
        "SELECT id, hash, size, file FROM body WHERE id > ?1 AND file IS NOT NULL ORDER BY id LIMIT ?2 + 0";
    let rows = sql::query(sql).bind(after).bind(PAGE).fetch_all(connection).await?;
    let read = |row: &Row| {
        let hash = Hash::try_from(row.try_get::<Vec<u8>>(1)?);
        let file: String = row.try_get(3)?;
        if file.contains('/') || file.starts_with('.') {
            return Err(Error::corrupt("the name of a body's file leads elsewhere"));
        }
        Ok(FileBody {
            id: row.try_get(0)?,
            hash: hash.map_err(|_| Error::corrupt("a hash of another length"))?,
            size: row.try_get::<i64>(2)?.unsigned_abs(),
            file,
        })
    };
    rows.iter().map(read).collect()
}
