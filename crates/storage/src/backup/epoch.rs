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
use crate::sqlite;
use rusqlite::{Connection, TransactionBehavior};
use std::fs::File;
use std::path::Path;

/// Numbers that are passed over: so many at least, and so many for each second since the backup.
const NUMBERS_MIN: i64 = 1_000_000;
const NUMBERS_PER_SECOND: i64 = 10_000;
/// UIDVALIDITY follows the clock, but mailboxes made in one second count on from it.
const UIDVALIDITY_MARGIN: i64 = 100_000;

/// Begins a new epoch in a database that nobody uses.
pub(super) async fn begin(database: &Path, made: Unix, now: Unix, queued: Queued) -> Result<()> {
    let database = database.to_owned();
    super::blocking(move || begin_in(&database, made, now, queued)).await
}

fn begin_in(database: &Path, made: Unix, now: Unix, queued: Queued) -> Result<()> {
    let mut connection = sqlite::open(database)?;
    connection.execute_batch("PRAGMA journal_mode = DELETE")?;
    schema::check(&connection)?;
    let passed = (now - made).max(0).saturating_mul(NUMBERS_PER_SECOND).saturating_add(NUMBERS_MIN);
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    renumber(&transaction, passed, now)?;
    transaction.execute_batch(match queued {
        Queued::Dropped => "INSERT OR IGNORE INTO loose_body SELECT body FROM job; DELETE FROM job;",
        Queued::Kept => "UPDATE job_recipient SET lease = 0, lease_until = 0",
    })?;
    transaction.commit()?;
    connection.close().map_err(|(_, error)| error)?;
    Ok(File::open(database)?.sync_all()?)
}

fn renumber(connection: &Connection, passed: i64, now: Unix) -> Result<()> {
    let sql = "UPDATE sequence SET last = max(last, ?1) + ?2 WHERE name = 'uidvalidity'";
    connection.execute(sql, (now.max(0), UIDVALIDITY_MARGIN))?;
    let sql = "UPDATE mailbox SET uidvalidity = n.number + (SELECT last FROM sequence WHERE name = 'uidvalidity') \
               FROM (SELECT id, row_number() OVER (ORDER BY id) AS number FROM mailbox) n WHERE mailbox.id = n.id";
    connection.execute(sql, [])?;
    let sql = "UPDATE sequence SET last = last + (SELECT count(*) FROM mailbox) WHERE name = 'uidvalidity'";
    connection.execute(sql, [])?;
    for sql in [
        "UPDATE sequence SET last = last + ?1 WHERE name IN ('content', 'job', 'recipient')",
        "UPDATE sqlite_sequence SET seq = seq + ?1 WHERE name IN ('mailbox', 'account')",
        "UPDATE account SET modseq = modseq + ?1",
    ] {
        connection.execute(sql, [passed])?;
    }
    let sql = "UPDATE mailbox SET modseq = (SELECT modseq FROM account a WHERE a.id = mailbox.account) \
               WHERE account IS NOT NULL";
    connection.execute(sql, [])?;
    Ok(())
}
