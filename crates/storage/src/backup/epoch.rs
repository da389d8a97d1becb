//! What a restored database must not say again. Readers saw numbers that were given out after the backup was made, and
//! would take other messages for those.
//!
//! Every mailbox gets a new UIDVALIDITY, so that readers forget what they know (RFC 9051 §2.3.1.1): the same numbers could
//! stand for other messages, flags went back, and what was expunged has come back, which nothing else in IMAP can tell.
//! MAILBOXID and EMAILID (RFC 8474 §4, RFC 8474 §5.1) are for ever, so the numbers that they are made of go on far above
//! those that may have been given out.

use super::restore::Queued;
use crate::error::Result;
use crate::ids::Unix;
use crate::schema;
use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection, SqliteJournalMode, SqliteSynchronous};
use sqlx::{ConnectOptions, Connection};
use std::fs::File;
use std::path::Path;

/// Numbers that are passed over: so many at least, and so many for each second since the backup.
const NUMBERS_MIN: i64 = 1_000_000;
const NUMBERS_PER_SECOND: i64 = 10_000;
/// UIDVALIDITY follows the clock, but mailboxes made in one second count on from it.
const UIDVALIDITY_MARGIN: i64 = 100_000;

/// Begins a new epoch in a database that nobody uses.
pub(super) async fn begin(database: &Path, made: Unix, now: Unix, queued: Queued) -> Result<()> {
    let options = SqliteConnectOptions::new()
        .filename(database)
        .foreign_keys(true)
        .journal_mode(SqliteJournalMode::Delete)
        .synchronous(SqliteSynchronous::Full)
        .disable_statement_logging();
    let mut connection = options.connect().await?;
    schema::check(&mut connection).await?;
    let passed = (now - made).max(0).saturating_mul(NUMBERS_PER_SECOND).saturating_add(NUMBERS_MIN);
    let mut transaction = connection.begin_with("BEGIN IMMEDIATE").await?;
    renumber(&mut transaction, passed, now).await?;
    if queued == Queued::Dropped {
        const SQL: &str = "INSERT OR IGNORE INTO loose_body SELECT body FROM job; DELETE FROM job;";
        sqlx::raw_sql(SQL).execute(&mut *transaction).await?;
    } else {
        sqlx::raw_sql("UPDATE job_recipient SET lease = 0, lease_until = 0")
            .execute(&mut *transaction)
            .await?;
    }
    transaction.commit().await?;
    connection.close().await?;
    Ok(File::open(database)?.sync_all()?)
}

async fn renumber(connection: &mut SqliteConnection, passed: i64, now: Unix) -> Result<()> {
    let sql = "UPDATE sequence SET last = max(last, ?1) + ?2 WHERE name = 'uidvalidity'";
    sqlx::query(sql).bind(now.max(0)).bind(UIDVALIDITY_MARGIN).execute(&mut *connection).await?;
    let sql = "UPDATE mailbox SET uidvalidity = n.number + (SELECT last FROM sequence WHERE name = 'uidvalidity') \
               FROM (SELECT id, row_number() OVER (ORDER BY id) AS number FROM mailbox) n WHERE mailbox.id = n.id";
    sqlx::query(sql).execute(&mut *connection).await?;
    let sql = "UPDATE sequence SET last = last + (SELECT count(*) FROM mailbox) WHERE name = 'uidvalidity'";
    sqlx::query(sql).execute(&mut *connection).await?;
    for sql in [
        "UPDATE sequence SET last = last + ?1 WHERE name IN ('content', 'job', 'recipient')",
        "UPDATE sqlite_sequence SET seq = seq + ?1 WHERE name IN ('mailbox', 'account')",
        "UPDATE account SET modseq = modseq + ?1",
    ] {
        sqlx::query(sql).bind(passed).execute(&mut *connection).await?;
    }
    let sql = "UPDATE mailbox SET modseq = (SELECT modseq FROM account a WHERE a.id = mailbox.account) \
               WHERE account IS NOT NULL";
    sqlx::query(sql).execute(&mut *connection).await?;
    Ok(())
}
