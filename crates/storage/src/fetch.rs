//! Reads messages: rows in pages, and single messages whole.

use crate::error::Result;
use crate::flags::{Flags, Keywords};
use crate::ids::{EmailId, MailboxId, Uid};
use crate::message::{Columns, Row as Message};
use crate::page::Page;
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

/// The numbers that each row begins with.
pub(crate) const HEAD: usize = 9;

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
        // No more than there are, so that the octets of a page are shared by its rows and not by a thousand.
        let count = uids.len().clamp(1, page.clamp(1, PAGE_MAX) as u64);
        let mut reader = self.readers().acquire().await?;
        loop {
            let page = Page::read(&mut reader, mailbox, uids, columns, (count, PAGE_OCTETS / count)).await?;
            let mut rows = page.rows()?;
            let mut ahead: Option<Message> = None;
            let over = page.large()?;
            let mut stream = sqlx::query(statement(columns))
                .bind(mailbox.0)
                .bind(over.to_json())
                .bind(i64::try_from(PAGE_MAX).unwrap_or(i64::MAX))
                .bind(columns.bits())
                .fetch(&mut *reader);
            let mut messages = Vec::new();
            let mut octets = 0;
            let mut missed = false;
            while octets < PAGE_OCTETS
                && let Some(next) = rows.next(self.bodies())?
            {
                let mut message = next.message;
                if !next.fits {
                    while ahead.as_ref().is_none_or(|ahead| ahead.uid < message.uid)
                        && let Some(row) = stream.try_next().await?
                    {
                        ahead = Some(self.read_row(&row, columns)?);
                    }
                    let Some(whole) = ahead.take_if(|ahead| ahead.uid == message.uid) else {
                        // Expunged a moment ago.
                        missed = true;
                        continue;
                    };
                    message = whole;
                }
                octets += weight(&message);
                messages.push(message);
            }
            // Nothing at all would mean that no more are left.
            if !messages.is_empty() || !missed {
                return Ok(messages);
            }
        }
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
        let mut head = [0; HEAD];
        for (at, number) in head.iter_mut().enumerate() {
            *number = row.try_get(at)?;
        }
        let mut message = blank(head);
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

/// A row with its numbers, which are the first columns of each statement, and no values.
pub(crate) fn blank(head: [i64; HEAD]) -> Message {
    let [uid, flags, keywords, modseq, received, saved, size, content, prefix_len] = head;
    Message {
        uid: Uid::try_from(uid).unwrap_or(Uid::MAX),
        flags: Flags::from_bits(u8::try_from(flags).unwrap_or(0)),
        keywords: Keywords::from_bits(keywords.cast_unsigned()),
        modseq: modseq.unsigned_abs(),
        received,
        saved,
        size: size.unsigned_abs(),
        email: EmailId(content),
        prefix_len: prefix_len.unsigned_abs(),
        envelope: None,
        bodystructure: None,
        parts: None,
        prefix: None,
        key_fields: None,
        message: None,
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
