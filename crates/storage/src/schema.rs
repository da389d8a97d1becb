//! The schema's versions: text that leads from each to the next, one transaction each.

use crate::error::{Error, Result, Trouble};
use crate::sqlite::BUSY_WAIT;
use rusqlite::Connection;
use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection, SqliteSynchronous};
use sqlx::{ConnectOptions, Connection as _};
use std::path::Path;

/// Version `n` is reached by running text `n - 1`. A text that was released is never changed.
const STEPS: &[&str] = &[
    include_str!("../migrations/0001_start.sql"),
    include_str!("../migrations/0002_key_fields.sql"),
    include_str!("../migrations/0003_reports.sql"),
    include_str!("../migrations/0004_dmarc_seen.sql"),
    include_str!("../migrations/0005_logins.sql"),
    include_str!("../migrations/0006_greylist.sql"),
    include_str!("../migrations/0007_quota_metadata.sql"),
    include_str!("../migrations/0008_acl.sql"),
    include_str!("../migrations/0009_imported.sql"),
    include_str!("../migrations/0010_queue.sql"),
    include_str!("../migrations/0011_transport_security.sql"),
    include_str!("../migrations/0012_header.sql"),
    include_str!("../migrations/0013_report_proof.sql"),
    include_str!("../migrations/0014_trace.sql"),
    include_str!("../migrations/0015_sending.sql"),
    include_str!("../migrations/0016_vanished.sql"),
    include_str!("../migrations/0017_lane.sql"),
    include_str!("../migrations/0018_release_for.sql"),
];

/// "mddy": marks a file as a database of this program (`PRAGMA application_id`).
const APPLICATION: i64 = 0x6d64_6479;

/// Brings the database to the newest version, or refuses. The writer is open and idle; it sees the new tables with its next statement.
pub(crate) async fn migrate(writer: &Connection, database: &Path) -> Result<()> {
    let done = usize::try_from(check(writer)?).map_err(|_| Error::from(Trouble::Foreign))?;
    if done == STEPS.len() {
        return Ok(());
    }
    let options = SqliteConnectOptions::new()
        .filename(database)
        .foreign_keys(true)
        .synchronous(SqliteSynchronous::Full)
        .busy_timeout(BUSY_WAIT)
        .pragma("trusted_schema", "OFF")
        .pragma("cell_size_check", "ON")
        .pragma("temp_store", "MEMORY")
        .disable_statement_logging();
    let mut connection = options.connect().await?;
    for (number, text) in STEPS.iter().enumerate().skip(done) {
        step(&mut connection, number + 1, text).await?;
    }
    Ok(connection.close().await?)
}

/// The version of a database; refuses those of other programs and of later versions of this one.
pub(crate) fn check(connection: &Connection) -> Result<i64> {
    let number = |text| connection.query_row(text, [], |row| row.get::<_, i64>(0));
    let application = number("PRAGMA application_id")?;
    let found = number("PRAGMA user_version")?;
    let tables = number("SELECT count(*) FROM sqlite_schema")?;
    let empty = tables == 0 && found == 0;
    if application != APPLICATION && !empty {
        return Err(Trouble::Foreign.into());
    }
    knows(found)?;
    Ok(found)
}

/// Refuses versions that are newer than this program.
pub(crate) fn knows(found: i64) -> Result<()> {
    let known = newest();
    if found > known { Err(Trouble::Newer { found, known }.into()) } else { Ok(()) }
}

/// The version that this program brings a database to.
pub(crate) fn newest() -> i64 {
    STEPS.len() as i64
}

/// The version is written in the same transaction as the change, so a step is done whole or not at all.
async fn step(connection: &mut SqliteConnection, version: usize, text: &'static str) -> Result<()> {
    let mut transaction = connection.begin_with("BEGIN IMMEDIATE").await?;
    sqlx::raw_sql(text).execute(&mut *transaction).await?;
    let mark = format!("PRAGMA application_id = {APPLICATION}; PRAGMA user_version = {version}");
    sqlx::raw_sql(sqlx::AssertSqlSafe(mark)).execute(&mut *transaction).await?;
    transaction.commit().await?;
    tracing::info!(version, "database schema brought up to date");
    Ok(())
}

/// The newest schema, for tests that look at plans.
#[cfg(test)]
pub(crate) fn make(connection: &Connection) -> Result<()> {
    STEPS.iter().try_for_each(|text| Ok(connection.execute_batch(text)?))
}
