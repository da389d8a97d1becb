//! Reads messages: rows in pages, and single messages whole.

use crate::body::Folder;
use crate::error::Result;
use crate::flags::{Flags, Keywords};
use crate::ids::{EmailId, MailboxId, Uid};
use crate::message::{Columns, Row as Message};
use crate::sql;
use crate::store::Store;
use crate::uidset::UidSet;
use rusqlite::Row;
use serde_json::json;

/// Most rows that one call of [`Store::fetch`] returns.
pub const PAGE_MAX: usize = 1000;
/// After this many octets a page ends, with at least one row.
pub const PAGE_OCTETS: u64 = 4 * 1024 * 1024;
/// What a message in an open file counts for, so that a page holds few of them open.
const FILE_OCTETS: u64 = PAGE_OCTETS / 16;

/// The numbers that each row begins with.
const HEAD: usize = 9;

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
        let most = page.clamp(1, PAGE_MAX);
        let count = usize::try_from(uids.len()).unwrap_or(usize::MAX).min(most);
        let uids = uids.to_json();
        let store = self.clone();
        self.readers()
            .read(move |connection| {
                let mut statement = connection.prepare_cached(&statement(columns))?;
                let mut rows = statement.query((mailbox.0, uids, most as i64))?;
                let mut messages = Vec::with_capacity(count);
                let mut octets = 0;
                while octets < PAGE_OCTETS
                    && let Some(row) = rows.next()?
                {
                    let message = read_row(row, store.bodies(), columns)?;
                    octets += weight(&message);
                    messages.push(message);
                }
                Ok(messages)
            })
            .await
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
                sql::query(sql).bind(rows).execute(&mut tx.connection).await?;
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
}

/// The values that `columns` asks for, in their order behind the numbers.
fn statement(columns: Columns) -> String {
    let has = |column| columns.contains(column);
    let mut sql = String::from("SELECT m.uid");
    if !has(Columns::BARE) {
        sql +=
            ", m.flags, m.keywords, m.modseq, m.received, m.saved, m.size, m.content, octet_length(c.prefix)";
    }
    let mut joins = String::new();
    for (column, value) in VALUES {
        if has(column) {
            sql += value;
        }
    }
    if has(Columns::MESSAGE) || VALUES[..3].iter().any(|value| has(value.0)) {
        joins += " CROSS JOIN body b ON b.id = c.body";
    }
    if has(Columns::KEY_FIELDS) {
        joins += " LEFT JOIN body_key_fields k ON k.body = c.body";
    }
    if has(Columns::HEADER) {
        joins += " LEFT JOIN body_header h ON h.body = c.body";
    }
    if has(Columns::MESSAGE) {
        joins += " LEFT JOIN body_octets o ON o.body = c.body";
    }
    // The ranges lead, so that the rows ascend.
    sql + " FROM json_each(?2) r CROSS JOIN message m CROSS JOIN content c ON c.id = m.content"
        + &joins
        + " WHERE m.mailbox = ?1 AND m.uid BETWEEN r.value ->> 0 AND r.value ->> 1 LIMIT ?3 + 0"
}

/// Values of variable length; the first three lie in `body`.
const VALUES: [(Columns, &str); 7] = [
    (Columns::ENVELOPE, ", b.envelope"),
    (Columns::BODYSTRUCTURE, ", b.bodystructure"),
    (Columns::PARTS, ", b.parts"),
    (Columns::PREFIX, ", c.prefix"),
    (Columns::KEY_FIELDS, ", k.fields"),
    (Columns::HEADER, ", h.octets"),
    (Columns::MESSAGE, ", c.prefix, b.size, b.place, b.file, o.octets"),
];

fn read_row(row: &Row<'_>, bodies: &Folder, columns: Columns) -> Result<Message> {
    let mut head = [0; HEAD];
    let mut at = if columns.contains(Columns::BARE) { 1 } else { HEAD };
    for (at, number) in head.iter_mut().enumerate().take(at) {
        *number = row.get(at)?;
    }
    let mut message = blank(head);
    for (column, _) in VALUES {
        if !columns.contains(column) {
            continue;
        }
        let octets = row.get_ref(at)?.as_blob_or_null()?;
        let held = match column {
            Columns::ENVELOPE => &mut message.envelope,
            Columns::BODYSTRUCTURE => &mut message.bodystructure,
            Columns::PARTS => &mut message.parts,
            Columns::PREFIX => &mut message.prefix,
            Columns::KEY_FIELDS => &mut message.key_fields,
            Columns::HEADER => &mut message.header,
            _ => {
                let added = octets.unwrap_or_default().to_vec();
                let size: i64 = row.get(at + 1)?;
                let file = row.get_ref(at + 3)?.as_str_or_null()?;
                let octets = row.get_ref(at + 4)?.as_blob_or_null()?;
                let received = bodies.open(size.unsigned_abs(), row.get(at + 2)?, file, octets)?;
                message.message = Some(mail::Message { added, received });
                continue;
            }
        };
        *held = octets.map(<[u8]>::to_vec);
        at += 1;
    }
    Ok(message)
}

/// A row with its numbers, which are the first columns of each statement, and no values.
fn blank(head: [i64; HEAD]) -> Message {
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
        header: None,
        message: None,
    }
}

fn hex(octets: &[u8]) -> String {
    octets.iter().map(|octet| format!("{octet:02x}")).collect()
}

/// Octets that a row holds in memory, about.
fn weight(message: &Message) -> u64 {
    let blobs = [
        &message.envelope,
        &message.bodystructure,
        &message.parts,
        &message.prefix,
        &message.key_fields,
        &message.header,
    ];
    let blobs: usize = blobs.iter().filter_map(|blob| blob.as_ref()).map(Vec::len).sum();
    let whole = message.message.as_ref().map_or(0, |message| {
        let received = message.received.as_memory().map_or(FILE_OCTETS, |octets| octets.len() as u64);
        message.added.len() as u64 + received
    });
    blobs as u64 + whole
}
