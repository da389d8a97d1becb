//! The life of messages, told while it happens: kept for a time, and never more than so much.

use crate::error::Result;
use crate::ids::Unix;
use crate::rows;
use crate::sql;
use crate::store::Store;
use crate::writer::Tx;
use std::collections::HashSet;

/// Rows that one transaction forgets at most; more than one brings.
const FORGET_AT_ONCE: i64 = 2000;
/// Most events that one call keeps; the rest is left out.
pub const TRACE_BATCH_MAX: usize = 250;
/// Longest name by which a message is found, in octets.
pub const TRACE_NAME_MAX: usize = 320;
/// Most events of one message that are read.
pub const TRACE_READ_MAX: i64 = 2000;
/// Most messages that one name finds.
pub const TRACE_MAILS_MAX: i64 = 50;

/// Something that happened to a message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TraceEvent {
    pub mail_id: String,
    pub at: Unix,
    /// What happened, as JSON.
    pub text: String,
    /// By what the message is found from now on: addresses, a Message-ID, the number of a job.
    pub names: Vec<String>,
}

/// How much is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TraceBounds {
    /// Nothing from before.
    pub oldest: Unix,
    pub rows: i64,
    /// Octets of all texts together.
    pub octets: i64,
}

impl Store {
    /// Keeps events, and forgets what is over the bounds, the oldest first.
    pub async fn add_trace(&self, events: Vec<TraceEvent>, bounds: TraceBounds) -> Result<()> {
        let octets: usize = events.iter().map(|event| event.text.len() + 200).sum();
        self.write(octets as u64, move |tx| Box::pin(add(tx, events, bounds))).await
    }

    /// What happened to a message, oldest first: when, and what as JSON.
    pub async fn trace(&self, mail_id: &str) -> Result<Vec<(Unix, String)>> {
        let sql = "SELECT at, text FROM trace WHERE mail_id = ?1 ORDER BY id LIMIT ?2 + 0";
        let rows = sql::query(sql).bind(mail_id).bind(TRACE_READ_MAX).fetch_all(self.readers()).await?;
        rows.iter().map(|row| Ok((row.try_get(0)?, row.try_get(1)?))).collect()
    }

    /// The messages that a name finds, the newest first.
    pub async fn traced_mails(&self, name: &str) -> Result<Vec<String>> {
        let sql = "SELECT mail_id FROM trace_name WHERE name = ?1 ORDER BY last DESC LIMIT ?2 + 0";
        sql::query_scalar(sql).bind(name).bind(TRACE_MAILS_MAX).fetch_all(self.readers()).await
    }

    /// Events that are kept, and the octets of their texts.
    pub async fn trace_size(&self) -> Result<(u64, u64)> {
        let sql = "SELECT (SELECT count(*) FROM trace), octets FROM trace_size";
        let (rows, octets): (i64, i64) = sql::query_as(sql).fetch_one(self.readers()).await?;
        Ok((rows.unsigned_abs(), octets.unsigned_abs()))
    }
}

async fn add(tx: &mut Tx, events: Vec<TraceEvent>, bounds: TraceBounds) -> Result<()> {
    let before: i64 =
        sql::query_scalar("SELECT coalesce(max(id), 0) FROM trace").fetch_one(&mut tx.connection).await?;
    let mut named = HashSet::new();
    for event in events.iter().take(TRACE_BATCH_MAX) {
        let sql = "INSERT INTO trace (mail_id, at, text) VALUES (?1, ?2, ?3)";
        rows::write(&tx.connection, sql, (&event.mail_id, event.at, &event.text))?;
        let fits = |name: &&String| !name.is_empty() && name.len() <= TRACE_NAME_MAX;
        // What happens to a message names the same again and again.
        for name in event.names.iter().filter(fits).filter(|name| named.insert((*name, &event.mail_id))) {
            let sql = "INSERT INTO trace_name (name, mail_id, last) VALUES (?1, ?2, ?3) \
                       ON CONFLICT (name, mail_id) DO UPDATE SET last = excluded.last";
            rows::write(&tx.connection, sql, (name, &event.mail_id, before + 1))?;
        }
    }
    forget(tx, bounds).await
}

/// Numbers and times grow together, so only the oldest rows need be looked at.
async fn forget(tx: &mut Tx, bounds: TraceBounds) -> Result<()> {
    let sql = "SELECT EXISTS (SELECT 1 FROM trace WHERE id = (SELECT min(id) FROM trace) AND (at < ?1 \
               OR id <= (SELECT max(id) FROM trace) - ?2 OR (SELECT octets FROM trace_size) > ?3))";
    let query = sql::query_scalar(sql).bind(bounds.oldest).bind(bounds.rows).bind(bounds.octets);
    if !query.fetch_one::<bool>(&mut tx.connection).await? {
        return Ok(());
    }
    let sql = "DELETE FROM trace WHERE id < (SELECT min(id) FROM trace) + ?1 AND (at < ?2 \
               OR id <= (SELECT max(id) FROM trace) - ?3 OR (SELECT octets FROM trace_size) > ?4)";
    let gone = sql::query(sql)
        .bind(FORGET_AT_ONCE)
        .bind(bounds.oldest)
        .bind(bounds.rows)
        .bind(bounds.octets)
        .execute(&mut tx.connection)
        .await?
        .rows_affected();
    if gone > 0 {
        let sql = "DELETE FROM trace_name WHERE last < (SELECT coalesce(min(id), 0) FROM trace)";
        sql::query(sql).execute(&mut tx.connection).await?;
    }
    Ok(())
}
