//! One index as a database: its tables, and what is written to it. SQLite's FTS5 finds the texts that have all trigrams of
//! a term; positions are not stored, so what it finds is a superset.

use crate::blocking;
use crate::error::{Error, Result};
use crate::ids::{MailboxId, ModSeq, Uid};
use crate::search::query::Stored;
use crate::sql::{self, Link};
use crate::sqlite;
use rusqlite::{Connection, OpenFlags, TransactionBehavior};
use serde_json::{Value, json};
use std::collections::{HashMap, HashSet};
use std::path::Path;

/// To be raised when the tables, or what `mail::mime::SearchText` makes of a message, change.
const VERSION: i64 = 1;
/// "mdsx": marks a file as a search index of this program (`PRAGMA application_id`).
const APPLICATION: i64 = 0x6d64_7378;
/// Page caches in KiB.
const WRITER_CACHE_KIB: u32 = 8 * 1024;
const READER_CACHE_KIB: u32 = 4 * 1024;
/// The write-ahead log is cut to this size when it starts anew.
const LOG_KEPT: u64 = 4 * 1024 * 1024;

/// `doc.id` is the number of a content of the store, which is never used again. `octets` is NULL for what the index
/// cannot hold: such messages have to be read. `place` says which message has which content; messages up to
/// `mailbox.uid` are in it. `loose` has contents that may have lost their last place.
const SCHEMA: &str = "
    CREATE TABLE doc (id INTEGER PRIMARY KEY, size INTEGER NOT NULL, packed INTEGER NOT NULL, octets BLOB) STRICT;
    CREATE INDEX doc_unread ON doc (id) WHERE octets IS NULL;
    CREATE TABLE place (mailbox INTEGER NOT NULL, uid INTEGER NOT NULL, content INTEGER NOT NULL,
        PRIMARY KEY (mailbox, uid)) STRICT, WITHOUT ROWID;
    CREATE INDEX place_content ON place (content, mailbox, uid);
    CREATE TABLE mailbox (id INTEGER PRIMARY KEY, uid INTEGER NOT NULL, modseq INTEGER NOT NULL) STRICT;
    CREATE TABLE loose (id INTEGER PRIMARY KEY) STRICT;
    CREATE VIRTUAL TABLE trigrams USING fts5 (text, content = '', contentless_delete = 1, detail = none,
        tokenize = 'trigram case_sensitive 1');";

/// To ask. `None`: it is being made.
pub(super) fn open_reader(path: &Path) -> Result<Option<rusqlite::Connection>> {
    let connection = blocking::open(path, READER_CACHE_KIB)?;
    let pragma = |name: &str| connection.pragma_query_value(None, name, |row| row.get::<_, i64>(0));
    match (pragma("application_id")?, pragma("user_version")?) {
        (APPLICATION, VERSION) => Ok(Some(connection)),
        (0, 0) => Ok(None),
        _ => Err(Error::corrupt("a search index of another version")),
    }
}

/// To write. Makes the tables if the file is empty.
fn open_writer(path: &Path) -> Result<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let mut connection = Connection::open_with_flags(path, flags)?;
    sqlite::harden(&connection)?;
    // What is lost with the power is found again.
    connection.execute_batch(&format!(
        "PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL; PRAGMA cache_size = -{WRITER_CACHE_KIB}; \
         PRAGMA journal_size_limit = {LOG_KEPT}"
    ))?;
    let pragma = |name: &str| connection.pragma_query_value(None, name, |row| row.get::<_, i64>(0));
    match (pragma("application_id")?, pragma("user_version")?) {
        (APPLICATION, VERSION) => {}
        (0, 0) => {
            let transaction = connection.transaction()?;
            transaction.execute_batch(SCHEMA)?;
            let mark = format!("PRAGMA application_id = {APPLICATION}; PRAGMA user_version = {VERSION}");
            transaction.execute_batch(&mark)?;
            transaction.commit()?;
        }
        _ => return Err(Error::corrupt("a search index of another version")),
    }
    Ok(connection)
}

/// Up to where a mailbox is in the index.
#[derive(Clone, Copy, Default)]
pub(super) struct Reached {
    pub(super) uid: Uid,
    pub(super) modseq: ModSeq,
}

/// One index, to be written to.
pub(super) struct Database {
    connection: Link,
}

/// A text that comes into the index. `None`: the index cannot hold it.
pub(super) struct NewText {
    pub(super) content: i64,
    pub(super) text: Option<(String, Stored)>,
}

impl Database {
    /// Opens the file, and makes the tables if it is empty.
    pub(super) async fn open(path: &Path) -> Result<Self> {
        let path = path.to_owned();
        Ok(Self { connection: Link::open(move || open_writer(&path)).await? })
    }

    pub(super) async fn close(self) {
        match self.connection.end(Connection::close).await {
            Ok(None | Some(Ok(()))) => {}
            Ok(Some(Err((_, error)))) => tracing::debug!(%error, "closing a search index failed"),
            Err(error) => tracing::debug!(%error, "closing a search index failed"),
        }
    }

    /// The mailboxes that the index knows.
    pub(super) async fn reached(&mut self) -> Result<HashMap<MailboxId, Reached>> {
        let rows = sql::query("SELECT id, uid, modseq FROM mailbox").fetch_all(&mut self.connection).await?;
        let mut reached = HashMap::new();
        for row in rows {
            let uid = Uid::try_from(row.try_get::<i64>(1)?).unwrap_or(0);
            let modseq = row.try_get::<i64>(2)?.unsigned_abs();
            reached.insert(MailboxId(row.try_get(0)?), Reached { uid, modseq });
        }
        Ok(reached)
    }

    /// Those of `contents` whose texts are not there.
    pub(super) async fn missing(&mut self, contents: &[i64]) -> Result<HashSet<i64>> {
        let sql =
            "SELECT j.value FROM json_each(?1) j WHERE NOT EXISTS (SELECT 1 FROM doc WHERE id = j.value)";
        let rows: Vec<i64> =
            sql::query_scalar(sql).bind(json!(contents).to_string()).fetch_all(&mut self.connection).await?;
        Ok(rows.into_iter().collect())
    }

    /// Adds texts, and the messages that have them: all or nothing.
    pub(super) async fn add(
        &mut self,
        mailbox: MailboxId,
        texts: Vec<NewText>,
        places: &[(Uid, i64)],
        reached: Reached,
    ) -> Result<()> {
        const SQL: &str = "
            INSERT OR IGNORE INTO doc (id, size, packed, octets)
                SELECT value ->> 0, value ->> 1, value ->> 2, substr(?2, value ->> 3, value ->> 4)
                FROM json_each(?1, '$.texts');
            INSERT OR IGNORE INTO doc (id, size, packed, octets)
                SELECT value, 0, 0, NULL FROM json_each(?1, '$.unread');
            INSERT INTO trigrams (rowid, text)
                SELECT value ->> 0, CAST(substr(?2, value ->> 5, value ->> 6) AS TEXT)
                FROM json_each(?1, '$.texts');
            INSERT OR REPLACE INTO place (mailbox, uid, content)
                SELECT ?1 ->> '$.mailbox', value ->> 0, value ->> 1 FROM json_each(?1, '$.places');
            INSERT OR REPLACE INTO mailbox (id, uid, modseq)
                VALUES (?1 ->> '$.mailbox', ?1 ->> '$.uid', ?1 ->> '$.modseq');";
        // Never empty: no octets at all would be bound as NULL.
        let mut arena = vec![0];
        let mut put = |octets: &[u8]| {
            let at = arena.len() + 1;
            arena.extend_from_slice(octets);
            (at, octets.len())
        };
        let (mut rows, mut unread) = (Vec::<Value>::new(), Vec::<i64>::new());
        for new in texts {
            match new.text {
                Some((text, stored)) => {
                    let (at, len) = put(&stored.octets);
                    let (text_at, text_len) = put(text.as_bytes());
                    let packed = i64::from(stored.packed);
                    rows.push(json!([new.content, stored.size, packed, at, len, text_at, text_len]));
                }
                None => unread.push(new.content),
            }
        }
        let lists = json!({
            "texts": rows,
            "unread": unread,
            "places": places,
            "mailbox": mailbox.0,
            "uid": reached.uid,
            "modseq": reached.modseq,
        });
        self.run(SQL, lists, Some(arena)).await
    }

    /// At most `most` messages of the index whose UIDs are in these ranges.
    pub(super) async fn places(&mut self, mailbox: MailboxId, ranges: &str, most: i64) -> Result<Vec<Uid>> {
        let sql = "SELECT p.uid FROM json_each(?2) r CROSS JOIN place p WHERE p.mailbox = ?1 \
                   AND p.uid BETWEEN r.value ->> 0 AND r.value ->> 1 LIMIT ?3 + 0";
        let rows: Vec<i64> = sql::query_scalar(sql)
            .bind(mailbox.0)
            .bind(ranges)
            .bind(most)
            .fetch_all(&mut self.connection)
            .await?;
        Ok(rows.into_iter().filter_map(|uid| Uid::try_from(uid).ok()).collect())
    }

    /// Takes messages out. Their texts go with [`Self::drop_loose`], if no other message has them.
    pub(super) async fn take_places(&mut self, mailbox: MailboxId, uids: &[Uid]) -> Result<()> {
        const SQL: &str = "
            INSERT OR IGNORE INTO loose SELECT p.content FROM json_each(?1, '$.uids') j CROSS JOIN place p
                WHERE p.mailbox = ?1 ->> '$.mailbox' AND p.uid = j.value;
            DELETE FROM place WHERE mailbox = ?1 ->> '$.mailbox'
                AND uid IN (SELECT value FROM json_each(?1, '$.uids'));";
        self.run(SQL, json!({ "mailbox": mailbox.0, "uids": uids }), None).await
    }

    /// The mailbox is gone, and has no places any more.
    pub(super) async fn drop_mailbox(&mut self, mailbox: MailboxId) -> Result<()> {
        self.run("DELETE FROM mailbox WHERE id = ?1 ->> '$.mailbox'", json!({ "mailbox": mailbox.0 }), None)
            .await
    }

    /// Takes away at most `most` texts that no message has any more. To be called when every mailbox was followed, or a
    /// text would go that is only needed somewhere else by now. Returns whether there may be more.
    pub(super) async fn drop_loose(&mut self, most: i64) -> Result<bool> {
        let sql = "SELECT id FROM loose ORDER BY id LIMIT ?1 + 0";
        let ids: Vec<i64> = sql::query_scalar(sql).bind(most).fetch_all(&mut self.connection).await?;
        if ids.is_empty() {
            return Ok(false);
        }
        let sql = "SELECT j.value FROM json_each(?1) j \
                   WHERE NOT EXISTS (SELECT 1 FROM place WHERE content = j.value)";
        let gone: Vec<i64> =
            sql::query_scalar(sql).bind(json!(ids).to_string()).fetch_all(&mut self.connection).await?;
        const SQL: &str = "
            DELETE FROM trigrams WHERE rowid IN (SELECT j.value FROM json_each(?1, '$.gone') j
                JOIN doc d ON d.id = j.value WHERE d.octets IS NOT NULL);
            DELETE FROM doc WHERE id IN (SELECT value FROM json_each(?1, '$.gone'));
            DELETE FROM loose WHERE id IN (SELECT value FROM json_each(?1, '$.ids'));";
        self.run(SQL, json!({ "gone": gone, "ids": ids }), None).await?;
        Ok(ids.len() as i64 == most)
    }

    async fn run(&mut self, sql: &'static str, lists: Value, arena: Option<Vec<u8>>) -> Result<()> {
        let query = sql::query(sql).bind(lists.to_string());
        let query = match arena {
            Some(arena) => query.bind(arena),
            None => query,
        };
        self.connection
            .with(move |connection| {
                let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
                query.run(&transaction)?;
                Ok(transaction.commit()?)
            })
            .await
    }
}
