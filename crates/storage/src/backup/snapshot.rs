//! The database at one moment, as a file of its own, while somebody else writes to it.

use super::pace::{Breath, Pace};
use super::with_path;
use crate::body::Hash;
use crate::error::{Error, Result, Trouble};
use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection};
use sqlx::{ConnectOptions, Connection, Row};
use std::fs::{File, OpenOptions};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::Path;

/// Steps of SQLite between two looks at the clock.
const STEPS: i32 = 5_000;
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

/// Writes the database of a state directory as it is now to a new file. Reads it as any reader does, so that nobody who
/// writes waits for it; only the log grows meanwhile.
pub(super) async fn take(database: &Path, to: &Path, pace: Pace) -> Result<()> {
    let before = plain(database)?;
    // SQLite fills an empty file, which keeps its mode.
    OpenOptions::new().write(true).create_new(true).mode(0o600).open(to)?;
    let options = SqliteConnectOptions::new().filename(database).read_only(true).disable_statement_logging();
    let mut connection = options.connect().await?;
    if pace == Pace::Gentle {
        let mut breath = Breath::new(pace);
        connection.lock_handle().await?.set_progress_handler(STEPS, move || {
            breath.take();
            true
        });
    }
    let name = to.to_str().ok_or(Error::NotAllowed("the name of the directory is not UTF-8"))?.to_owned();
    sqlx::query("VACUUM INTO ?1").bind(name).execute(&mut connection).await?;
    connection.close().await?;
    if plain(database)? != before {
        return Err(Error::NotAllowed("the database was exchanged meanwhile"));
    }
    File::open(to)?.sync_all()?;
    check(to).await
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
pub(super) async fn open(path: &Path) -> Result<SqliteConnection> {
    let options = SqliteConnectOptions::new().filename(path).immutable(true).read_only(true);
    Ok(options.disable_statement_logging().connect().await?)
}

/// Whether a copy is sound.
async fn check(path: &Path) -> Result<()> {
    let mut connection = open(path).await?;
    let lines: Vec<String> = sqlx::query_scalar("PRAGMA quick_check").fetch_all(&mut connection).await?;
    connection.close().await?;
    match lines.as_slice() {
        [ok] if ok == "ok" => Ok(()),
        lines => Err(Trouble::Corrupt(lines.first().cloned().unwrap_or_default()).into()),
    }
}

/// The version of its schema.
pub(super) async fn version(connection: &mut SqliteConnection) -> Result<i64> {
    Ok(sqlx::query_scalar("PRAGMA user_version").fetch_one(connection).await?)
}

/// Bodies that lie in files, by number, behind `after`.
pub(super) async fn file_bodies(connection: &mut SqliteConnection, after: i64) -> Result<Vec<FileBody>> {
    let sql = "SELECT id, hash, size, file FROM body WHERE id > ?1 AND file IS NOT NULL ORDER BY id LIMIT ?2";
    let rows = sqlx::query(sql).bind(after).bind(PAGE).fetch_all(connection).await?;
    let read = |row: &sqlx::sqlite::SqliteRow| {
        let hash = Hash::try_from(row.try_get::<&[u8], _>(1)?);
        let file: String = row.try_get(3)?;
        if file.contains('/') || file.starts_with('.') {
            return Err(Error::corrupt("the name of a body's file leads elsewhere"));
        }
        Ok(FileBody {
            id: row.try_get(0)?,
            hash: hash.map_err(|_| Error::corrupt("a hash of another length"))?,
            size: row.try_get::<i64, _>(2)?.unsigned_abs(),
            file,
        })
    };
    rows.iter().map(read).collect()
}
