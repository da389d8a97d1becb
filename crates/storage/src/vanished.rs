//! What vanished from a mailbox (RFC 7162 §3.2.5): a log of ranges of UIDs by mod-sequence, as long as it is not too long. Who asks for
//! more than it knows is told of every UID that was given out and is not there any more: clients know how to be told twice.

use crate::error::{Error, Result};
use crate::ids::{MailboxId, ModSeq, Uid};
use crate::sql;
use crate::uidset::UidSet;
use crate::writer::Tx;
use rusqlite::{Connection, OptionalExtension};

/// Entries of the log of one mailbox when it is cut, and how many of them stay at least. What vanished in one transaction stays or
/// goes together.
const ENTRIES_MAX: i64 = 8_192;
const ENTRIES_KEPT: i64 = 4_096;

/// So many entries came to the log of a mailbox. If they are too many by now the oldest go.
pub(crate) async fn note(tx: &mut Tx, mailbox: MailboxId, entries: usize) -> Result<()> {
    let sql = "UPDATE mailbox SET vanished_entries = vanished_entries + ?2 WHERE id = ?1 RETURNING vanished_entries";
    let entries = i64::try_from(entries).unwrap_or(i64::MAX);
    let held: i64 =
        sql::query_scalar(sql).bind(mailbox.0).bind(entries).fetch_one(&mut tx.connection).await?;
    if held <= ENTRIES_MAX {
        return Ok(());
    }
    // The newest entry that goes is the first that there is no room for.
    const SQL: &str = "
        UPDATE mailbox SET forgotten = max(forgotten, coalesce((SELECT modseq FROM vanished WHERE mailbox = ?1
            ORDER BY modseq DESC LIMIT 1 OFFSET ?2), 0)) WHERE id = ?1;
        DELETE FROM vanished WHERE mailbox = ?1
            AND modseq <= (SELECT forgotten FROM mailbox WHERE id = ?1);
        UPDATE mailbox SET vanished_entries = (SELECT count(*) FROM vanished WHERE mailbox = ?1)
            WHERE id = ?1;";
    sql::query(SQL).bind(mailbox.0).bind(ENTRIES_KEPT).execute(&mut tx.connection).await?;
    Ok(())
}

/// What vanished from a mailbox after `since`, and possibly what vanished before.
pub(crate) fn since(view: &Connection, mailbox: MailboxId, since: ModSeq) -> Result<UidSet> {
    let since = i64::try_from(since).unwrap_or(i64::MAX);
    let sql = "SELECT forgotten, uidnext FROM mailbox WHERE id = ?1";
    let known = |row: &rusqlite::Row<'_>| Ok((row.get::<_, i64>(0)?, row.get::<_, i64>(1)?));
    let found = view.prepare_cached(sql)?.query_row([mailbox.0], known).optional()?;
    let (forgotten, uidnext) = found.ok_or_else(|| Error::NoSuchMailbox(mailbox.to_string()))?;
    if since < forgotten {
        return absent(view, mailbox, uid(uidnext));
    }
    let sql = "SELECT first, last FROM vanished WHERE mailbox = ?1 AND modseq > ?2";
    let mut statement = view.prepare_cached(sql)?;
    let mut vanished = UidSet::new();
    let mut rows = statement.query((mailbox.0, since))?;
    while let Some(row) = rows.next()? {
        vanished.insert_range(uid(row.get(0)?), uid(row.get(1)?));
    }
    Ok(vanished)
}

/// All UIDs below `end` that are not there.
fn absent(view: &Connection, mailbox: MailboxId, end: Uid) -> Result<UidSet> {
    let sql = "SELECT uid FROM message WHERE mailbox = ?1 ORDER BY uid";
    let mut statement = view.prepare_cached(sql)?;
    let mut rows = statement.query([mailbox.0])?;
    let mut absent = UidSet::new();
    let mut next: Uid = 1;
    while let Some(row) = rows.next()? {
        let there = uid(row.get(0)?);
        if there > next {
            absent.insert_range(next, there - 1);
        }
        next = there.saturating_add(1);
    }
    if next < end {
        absent.insert_range(next, end - 1);
    }
    Ok(absent)
}

fn uid(number: i64) -> Uid {
    Uid::try_from(number).unwrap_or(Uid::MAX)
}
