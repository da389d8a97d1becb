//! Reads messages: rows in pages, and single messages whole.

use crate::error::Result;
use crate::flags::{Flags, Keywords};
use crate::ids::{EmailId, MailboxId, Uid};
use crate::message::{Columns, Row as Message};
use crate::store::Store;
use crate::uidset::UidSet;
use futures_util::TryStreamExt;
use mail::Blob;
use serde_json::json;
use sqlx::Row;
use sqlx::sqlite::SqliteRow;

/// Most rows that one call of [`Store::fetch`] returns.
pub const PAGE_MAX: usize = 1000;
/// After this many octets a page ends, with at least one row.
pub const PAGE_OCTETS: u64 = 4 * 1024 * 1024;
/// What a message in an open file counts for, so that a page holds few of them open.
const FILE_OCTETS: u64 = PAGE_OCTETS / 16;

const FLAT: &str = "SELECT m.uid, m.flags, m.keywords, m.modseq, m.received, m.saved, m.size, m.content, \
    length(c.prefix) \
    FROM json_each(?2) r CROSS JOIN message m JOIN content c ON c.id = m.content \
    WHERE m.mailbox = ?1 AND m.uid BETWEEN r.value ->> 0 AND r.value ->> 1 LIMIT ?3";

/// Without the wide rows of `body`: what search and sort go over.
const KEYS: &str = "SELECT m.uid, m.flags, m.keywords, m.modseq, m.received, m.saved, m.size, m.content, \
    length(c.prefix), CASE WHEN ?4 & 8 THEN c.prefix END, k.fields \
    FROM json_each(?2) r CROSS JOIN message m JOIN content c ON c.id = m.content \
    LEFT JOIN body_key_fields k ON k.body = c.body \
    WHERE m.mailbox = ?1 AND m.uid BETWEEN r.value ->> 0 AND r.value ->> 1 LIMIT ?3";

const DEEP: &str = "SELECT m.uid, m.flags, m.keywords, m.modseq, m.received, m.saved, m.size, m.content, \
    length(c.prefix), CASE WHEN ?4 & 1 THEN b.envelope END, CASE WHEN ?4 & 2 THEN b.bodystructure END, \
    CASE WHEN ?4 & 4 THEN b.parts END, CASE WHEN ?4 & 24 THEN c.prefix END, \
    CASE WHEN ?4 & 32 THEN (SELECT k.fields FROM body_key_fields k WHERE k.body = b.id) END, b.size, b.place, b.file, \
    CASE WHEN ?4 & 16 THEN (SELECT o.octets FROM body_octets o WHERE o.body = b.id) END \
    FROM json_each(?2) r CROSS JOIN message m JOIN content c ON c.id = m.content JOIN body b ON b.id = c.body \
    WHERE m.mailbox = ?1 AND m.uid BETWEEN r.value ->> 0 AND r.value ->> 1 LIMIT ?3";

impl Store {
    /// Rows of `uids`, ascending, at most `page` (up to [`PAGE_MAX`]) and about [`PAGE_OCTETS`]; UIDs that are not there are
    /// skipped. Go on with `uids.after(last)`; an empty answer means that none are left.
    pub async fn fetch(
        &self,
        mailbox: MailboxId,
        uids: &UidSet,
        columns: Columns,
        page: usize,
    ) -> Result<Vec<Message>> {
        let page = page.clamp(1, PAGE_MAX);
        let sql = statement(columns);
        let mut reader = self.readers().acquire().await?;
        let mut rows = sqlx::query(sql)
            .bind(mailbox.0)
            .bind(uids.to_json())
            .bind(i64::try_from(page).unwrap_or(i64::MAX))
            .bind(columns.bits())
            .fetch(&mut *reader);
        let mut messages = Vec::new();
        let mut octets = 0;
        while octets < PAGE_OCTETS
            && let Some(row) = rows.try_next().await?
        {
            let message = self.read_row(&row, columns)?;
            octets += weight(&message);
            messages.push(message);
        }
        Ok(messages)
    }

    /// Adds the key fields of bodies that were filed without them, each by the number of a message that has it; bodies
    /// that have them, and messages that are gone, are passed over.
    pub async fn add_key_fields(&self, found: Vec<(EmailId, Vec<u8>)>) -> Result<()> {
        let rows: Vec<_> = found.iter().map(|(email, fields)| json!([email.0, hex(fields)])).collect();
        let rows = json!(rows).to_string();
        self.write(rows.len() as u64, move |tx| {
            Box::pin(async move {
                let sql = "INSERT OR IGNORE INTO body_key_fields (body, fields) \
                           SELECT c.body, unhex(j.value ->> 1) FROM json_each(?1) j \
                           JOIN content c ON c.id = j.value ->> 0";
                sqlx::query(sql).bind(rows).execute(&mut tx.connection).await?;
                Ok(())
            })
        })
        .await
    }

    /// One message whole: the fields in front as `added`, the octets as received in memory or as an open file that
    /// survives an expunge.
    pub async fn message(&self, mailbox: MailboxId, uid: Uid) -> Result<Option<mail::Message>> {
        let mut rows = self.fetch(mailbox, &UidSet::one(uid), Columns::MESSAGE, 1).await?;
        Ok(rows.pop().and_then(|row| row.message))
    }

    fn read_row(&self, row: &SqliteRow, columns: Columns) -> Result<Message> {
        let number = |at: usize| row.try_get::<i64, _>(at);
        let mut message = Message {
            uid: Uid::try_from(number(0)?).unwrap_or(Uid::MAX),
            flags: Flags::from_bits(u8::try_from(number(1)?).unwrap_or(0)),
            keywords: Keywords::from_bits(number(2)?.cast_unsigned()),
            modseq: number(3)?.unsigned_abs(),
            received: number(4)?,
            saved: number(5)?,
            size: number(6)?.unsigned_abs(),
            email: EmailId(number(7)?),
            prefix_len: number(8)?.unsigned_abs(),
            envelope: None,
            bodystructure: None,
            parts: None,
            prefix: None,
            key_fields: None,
            message: None,
        };
        if columns == Columns::NONE {
            return Ok(message);
        }
        if statement(columns) == KEYS {
            message.prefix = row.try_get(9)?;
            message.key_fields = row.try_get(10)?;
            return Ok(message);
        }
        message.envelope = row.try_get(9)?;
        message.bodystructure = row.try_get(10)?;
        message.parts = row.try_get(11)?;
        let prefix: Option<Vec<u8>> = row.try_get(12)?;
        if columns.contains(Columns::MESSAGE) {
            let received: Blob = self.bodies().read(row, 14)?;
            message.message = Some(mail::Message { added: prefix.clone().unwrap_or_default(), received });
        }
        message.key_fields = row.try_get(13)?;
        if columns.contains(Columns::PREFIX) {
            message.prefix = prefix;
        }
        Ok(message)
    }
}

fn hex(octets: &[u8]) -> String {
    octets.iter().map(|octet| format!("{octet:02x}")).collect()
}

fn statement(columns: Columns) -> &'static str {
    match columns {
        Columns::NONE => FLAT,
        _ if (Columns::KEY_FIELDS | Columns::PREFIX).contains(columns) => KEYS,
        _ => DEEP,
    }
}

/// Octets that a row holds in memory, about.
fn weight(message: &Message) -> u64 {
    let blobs =
        [&message.envelope, &message.bodystructure, &message.parts, &message.prefix, &message.key_fields];
    let blobs: usize = blobs.iter().filter_map(|blob| blob.as_ref()).map(Vec::len).sum();
    let whole = message.message.as_ref().map_or(0, |message| {
        let received = message.received.as_memory().map_or(FILE_OCTETS, |octets| octets.len() as u64);
        message.added.len() as u64 + received
    });
    blobs as u64 + whole
}
