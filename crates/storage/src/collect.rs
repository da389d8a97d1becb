//! Takes away, bit by bit, what nobody uses any more: messages of deleted mailboxes, contents, bodies.
//!
//! Whoever takes away the last use only notes that something *may* be loose. What is loose is decided here, from the
//! rows themselves and in the one writer's transaction, so no count can drift and no new use can slip between.

use crate::error::Result;
use crate::sql;
use crate::writer::Tx;
use std::path::Path;

/// Most rows of each kind that one slice takes.
const SLICE: i64 = 500;
/// Octets of the bodies that one slice takes besides the first: what lies in the database costs by its pages.
const BODIES_OCTETS: i64 = 2 * 1024 * 1024;

/// Whether there is anything to look at.
pub(crate) async fn needed(tx: &mut Tx) -> Result<bool> {
    let sql = "SELECT EXISTS (SELECT 1 FROM mailbox WHERE account IS NULL) \
               OR EXISTS (SELECT 1 FROM loose_content) OR EXISTS (SELECT 1 FROM loose_body)";
    sql::query_scalar(sql).fetch_one(&mut tx.connection).await
}

/// Takes one slice away. Returns whether there may be more.
pub(crate) async fn slice(tx: &mut Tx, bodies: &Path) -> Result<bool> {
    empty_mailboxes(tx).await?;
    drop_contents(tx).await?;
    drop_bodies(tx, bodies).await?;
    needed(tx).await
}

/// Messages of mailboxes that are gone, then the mailboxes.
async fn empty_mailboxes(tx: &mut Tx) -> Result<()> {
    const SQL: &str = "
        CREATE TEMP TABLE IF NOT EXISTS gone (mailbox INTEGER, uid INTEGER, content INTEGER);
        INSERT INTO gone SELECT m.mailbox, m.uid, m.content
            FROM mailbox b CROSS JOIN message m ON m.mailbox = b.id WHERE b.account IS NULL LIMIT ?1 + 0;
        INSERT OR IGNORE INTO loose_content SELECT content FROM gone;
        DELETE FROM message WHERE (mailbox, uid) IN (SELECT mailbox, uid FROM gone);
        DELETE FROM mailbox WHERE account IS NULL
            AND NOT EXISTS (SELECT 1 FROM message WHERE message.mailbox = mailbox.id);
        DELETE FROM gone;";
    sql::query(SQL).bind(SLICE).execute(&mut tx.connection).await?;
    Ok(())
}

async fn drop_contents(tx: &mut Tx) -> Result<()> {
    const SQL: &str = "
        CREATE TEMP TABLE IF NOT EXISTS unused (id INTEGER PRIMARY KEY, body INTEGER);
        INSERT INTO unused SELECT c.id, c.body
            FROM (SELECT id FROM loose_content ORDER BY id LIMIT ?1 + 0) l JOIN content c ON c.id = l.id
            WHERE NOT EXISTS (SELECT 1 FROM message WHERE content = c.id);
        INSERT OR IGNORE INTO loose_body SELECT body FROM unused;
        DELETE FROM content WHERE id IN (SELECT id FROM unused);
        DELETE FROM loose_content WHERE id IN (SELECT id FROM loose_content ORDER BY id LIMIT ?1 + 0);
        DELETE FROM unused;";
    sql::query(SQL).bind(SLICE).execute(&mut tx.connection).await?;
    Ok(())
}

/// Bodies that no content and no job names. Their files go once the rows are gone for good.
async fn drop_bodies(tx: &mut Tx, bodies: &Path) -> Result<()> {
    const SQL: &str = "
        CREATE TEMP TABLE IF NOT EXISTS unused_body (id INTEGER PRIMARY KEY);
        INSERT INTO unused_body SELECT id FROM (SELECT l.id, sum(iif(b.place = 2, 0, b.size)) OVER (ORDER BY l.id
                ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING) AS before
            FROM (SELECT id FROM loose_body ORDER BY id LIMIT ?1 + 0) l LEFT JOIN body b ON b.id = l.id)
            WHERE coalesce(before, 0) <= ?2;
        DELETE FROM body WHERE id IN (SELECT id FROM unused_body)
            AND NOT EXISTS (SELECT 1 FROM content WHERE content.body = body.id)
            AND NOT EXISTS (SELECT 1 FROM job WHERE job.body = body.id)
            RETURNING file;
        DELETE FROM loose_body WHERE id IN (SELECT id FROM unused_body);
        DELETE FROM unused_body;";
    let rows = sql::query(SQL).bind(SLICE).bind(BODIES_OCTETS).fetch_all(&mut tx.connection).await?;
    for row in rows {
        if let Some(file) = row.try_get::<Option<String>>(0)? {
            tx.effects.unlink.push(crate::body::path(bodies, file.as_str()));
        }
    }
    Ok(())
}
