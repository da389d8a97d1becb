//! Says whether everything is whole: the database, its counters, and every body against its hash.

use crate::blocking::Readers;
use crate::body::{self, Folder};
use crate::error::{Error, Result};
use crate::inspect::BodiesRead;
use crate::sql;
use crate::store::Store;
use rusqlite::Connection;

/// Bodies that are read at once.
const PAGE: i64 = 64;
/// Most findings that are listed.
const FINDINGS_MAX: usize = 1000;

/// Each statement yields one sentence for each row that is wrong.
const CHECKS: &[&str] = &[
    // Counters of mailboxes against a recount.
    "SELECT 'mailbox ' || b.id || ': the counters say ' || b.messages || '/' || b.unseen || '/' || b.deleted || '/' \
        || b.size || ', the messages ' || count(m.uid) || '/' || coalesce(sum(m.flags & 1 = 0), 0) || '/' \
        || coalesce(sum(m.flags & 8 <> 0), 0) || '/' || coalesce(sum(m.size), 0) \
     FROM mailbox b LEFT JOIN message m ON m.mailbox = b.id WHERE b.account IS NOT NULL GROUP BY b.id \
     HAVING b.messages <> count(m.uid) OR b.unseen <> coalesce(sum(m.flags & 1 = 0), 0) \
        OR b.deleted <> coalesce(sum(m.flags & 8 <> 0), 0) OR b.size <> coalesce(sum(m.size), 0)",
    "SELECT 'account ' || a.id || ': the counters say ' || a.used_messages || '/' || a.used_octets || ', the mailboxes ' \
        || coalesce(sum(b.messages), 0) || '/' || coalesce(sum(b.size), 0) \
     FROM account a LEFT JOIN mailbox b ON b.account = a.id GROUP BY a.id \
     HAVING a.used_messages <> coalesce(sum(b.messages), 0) OR a.used_octets <> coalesce(sum(b.size), 0)",
    "SELECT 'mailbox ' || b.id || ': UIDNEXT is not above its UIDs' FROM mailbox b \
     WHERE b.account IS NOT NULL AND b.uidnext <= (SELECT max(uid) FROM message m WHERE m.mailbox = b.id)",
    "SELECT 'mailbox ' || b.id || ': a message has a greater mod-sequence' FROM mailbox b \
     WHERE b.account IS NOT NULL AND b.modseq < (SELECT max(modseq) FROM message m WHERE m.mailbox = b.id)",
    "SELECT 'mailbox ' || b.id || ': its account has a smaller mod-sequence' FROM mailbox b \
     JOIN account a ON a.id = b.account WHERE a.modseq < b.modseq",
    "SELECT 'mailbox ' || v.mailbox || ': UID ' || m.uid || ' is there and has vanished' FROM vanished v \
     JOIN mailbox b ON b.id = v.mailbox AND b.account IS NOT NULL \
     JOIN message m ON m.mailbox = v.mailbox AND m.uid BETWEEN v.first AND v.last",
    // Sizes, and octets that should be there.
    "SELECT 'mailbox ' || m.mailbox || ': UID ' || m.uid || ' has another size than its octets' FROM message m \
     JOIN content c ON c.id = m.content JOIN body b ON b.id = c.body WHERE m.size <> length(c.prefix) + b.size",
    "SELECT 'body ' || b.id || ': its octets are missing' FROM body b WHERE b.place <> 2 \
     AND NOT EXISTS (SELECT 1 FROM body_octets o WHERE o.body = b.id)",
    "SELECT 'content ' || c.id || ': nobody uses it' FROM content c \
     WHERE NOT EXISTS (SELECT 1 FROM message m WHERE m.content = c.id) \
        AND NOT EXISTS (SELECT 1 FROM loose_content l WHERE l.id = c.id)",
    "SELECT 'body ' || b.id || ': nobody uses it' FROM body b \
     WHERE NOT EXISTS (SELECT 1 FROM content c WHERE c.body = b.id) \
        AND NOT EXISTS (SELECT 1 FROM job j WHERE j.body = b.id) \
        AND NOT EXISTS (SELECT 1 FROM loose_body l WHERE l.id = b.id)",
    "SELECT 'job ' || j.id || ': it has no recipient that waits' FROM job j \
     WHERE NOT EXISTS (SELECT 1 FROM job_recipient r WHERE r.job = j.id AND r.state IN (0, 3))",
];

impl Store {
    /// Reads the whole store and lists what is wrong, as sentences; an empty list: all is well. Takes as long as reading
    /// everything takes, beside other work.
    pub async fn verify(&self) -> Result<Vec<String>> {
        let mut findings = database(self.readers()).await?;
        let mut after = 0;
        while findings.len() < FINDINGS_MAX {
            let Some(read) = bodies(self.readers(), self.bodies(), after).await? else { break };
            findings.extend(read.findings);
            after = read.last;
        }
        Ok(findings)
    }
}

/// The database itself, its counters, and what its rows say of each other.
pub(crate) async fn database(readers: &Readers) -> Result<Vec<String>> {
    readers.read(check).await
}

fn check(connection: &Connection) -> Result<Vec<String>> {
    // One moment for all questions.
    let view = connection.unchecked_transaction()?;
    let lines: Vec<String> = sql::query_scalar("PRAGMA integrity_check").values(&view)?;
    let mut findings: Vec<String> =
        lines.into_iter().filter(|line| line != "ok").map(|line| format!("database: {line}")).collect();
    let foreign = sql::query("PRAGMA foreign_key_check").rows(&view)?;
    for row in foreign.iter().take(FINDINGS_MAX) {
        let (table, parent) = (row.text(0)?, row.text(2)?);
        findings.push(format!("database: a row of {table} names a row of {parent} that is not there"));
    }
    for check in CHECKS.iter().copied() {
        findings.extend(sql::query_scalar(check).values::<String>(&view)?);
    }
    findings.truncate(FINDINGS_MAX);
    Ok(findings)
}

/// One page of bodies behind `after`. `None` when there are no more.
pub(crate) async fn bodies(readers: &Readers, folder: &Folder, after: i64) -> Result<Option<BodiesRead>> {
    let sql = "SELECT b.id, b.hash, b.size, b.place, b.file, o.octets FROM body b \
               LEFT JOIN body_octets o ON o.body = b.id WHERE b.id > ?1 ORDER BY b.id LIMIT ?2 + 0";
    let rows = sql::query(sql).bind(after).bind(PAGE).fetch_all(readers).await?;
    let mut read = BodiesRead::default();
    for row in &rows {
        let id: i64 = row.try_get(0)?;
        read.last = id;
        read.bodies += 1;
        read.octets += row.try_get::<i64>(2)?.unsigned_abs();
        let want: Vec<u8> = row.try_get(1)?;
        if row.try_get::<i64>(3)? != body::PLACE_FILE && row.octets(5)?.is_none() {
            // Already told by the checks above.
            continue;
        }
        match folder.read(row, 2) {
            Ok(blob) => {
                let found = tokio::task::spawn_blocking(move || body::hash(&blob))
                    .await
                    .map_err(|error| Error::bug(error.to_string()))??;
                if found.as_slice() != want {
                    read.findings.push(format!("body {id}: its octets have changed"));
                }
            }
            // One that went since the page was read is not damage, but then its row is gone as well.
            Err(error) if has_body(readers, id).await? => read.findings.push(format!("body {id}: {error}")),
            Err(_) => {}
        }
    }
    Ok((read.bodies > 0).then_some(read))
}

async fn has_body(readers: &Readers, id: i64) -> Result<bool> {
    let sql = "SELECT EXISTS (SELECT 1 FROM body WHERE id = ?1)";
    sql::query_scalar(sql).bind(id).fetch_one(readers).await
}
