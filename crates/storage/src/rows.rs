//! Rows of new messages, written one by one with statements that stay prepared.

use crate::body::{Hash, PLACE_FILE, PLACE_PLAIN, PLACE_ZSTD, Stored};
use crate::error::{Error, Result};
use crate::ids::JobId;
use crate::package::{NewJob, Package};
use crate::queue_row;
use crate::sql;
use crate::writer::Tx;
use mail::Blob;
use rusqlite::{Connection, OptionalExtension, Params};
use std::borrow::Cow;
use std::collections::HashMap;

/// The highest numbers given out so far.
#[derive(Clone, Copy)]
pub(crate) struct Last {
    pub(crate) body: i64,
    pub(crate) content: i64,
    pub(crate) job: i64,
    pub(crate) recipient: i64,
}

/// Bodies that are there, and the numbers to go on from.
pub(crate) struct Rows {
    bodies: HashMap<Hash, i64>,
    pub(crate) last: Last,
    before: Last,
}

/// A message in a mailbox.
pub(crate) struct MessageRow {
    pub(crate) mailbox: i64,
    pub(crate) uid: u32,
    pub(crate) modseq: u64,
    pub(crate) flags: i64,
    pub(crate) keywords: u64,
    pub(crate) received: i64,
    pub(crate) saved: i64,
    pub(crate) size: u64,
}

/// What a mailbox comes to.
pub(crate) struct MailboxRow {
    pub(crate) id: i64,
    pub(crate) uidnext: i64,
    pub(crate) modseq: u64,
    /// Messages more than before.
    pub(crate) messages: i64,
    pub(crate) unseen: i64,
    pub(crate) deleted: i64,
    pub(crate) size: u64,
}

impl Rows {
    pub(crate) fn begin(connection: &Connection) -> Result<Self> {
        let mut last = Last { body: 0, content: 0, job: 0, recipient: 0 };
        for row in sql::query("SELECT name, last FROM sequence").rows(connection)? {
            let number = row.try_get(1)?;
            match row.text(0)? {
                "body" => last.body = number,
                "content" => last.content = number,
                "job" => last.job = number,
                "recipient" => last.recipient = number,
                _ => {}
            }
        }
        Ok(Self { bodies: HashMap::new(), last, before: last })
    }

    /// The number of the package's body; its rows are made if it is new.
    pub(crate) fn body(&mut self, tx: &mut Tx, package: &Package) -> Result<i64> {
        let body = &package.body;
        if let Some(id) = self.bodies.get(&body.hash) {
            return Ok(*id);
        }
        let found = tx
            .connection
            .prepare_cached("SELECT id FROM body WHERE hash = ?1")?
            .query_row([&body.hash], |row| row.get(0))
            .optional()?;
        if let Some(id) = found {
            self.bodies.insert(body.hash, id);
            return Ok(id);
        }
        self.last.body += 1;
        let id = self.last.body;
        let (place, file, kept) = match &body.stored {
            Stored::Plain(blob) => (PLACE_PLAIN, None, Some(blob)),
            Stored::Zstd(blob) => (PLACE_ZSTD, None, Some(blob)),
            Stored::File(guard) => {
                tx.effects.keep.push(guard.clone());
                (PLACE_FILE, Some(guard.name.as_str()), None)
            }
        };
        let (shape, size) = (&body.shape, body.size.cast_signed());
        let row = (id, &body.hash, size, place, file, &*shape.envelope, &*shape.bodystructure, &*shape.parts);
        write(
            &tx.connection,
            "INSERT INTO body (id, hash, size, place, file, envelope, bodystructure, parts) \
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
            row,
        )?;
        if let Some(blob) = kept {
            let sql = "INSERT INTO body_octets (body, octets) VALUES (?1, ?2)";
            write(&tx.connection, sql, (id, &*octets(blob)?))?;
        }
        if !shape.key_fields.is_empty() {
            let sql = "INSERT INTO body_key_fields (body, fields) VALUES (?1, ?2)";
            write(&tx.connection, sql, (id, &*shape.key_fields))?;
        }
        if !body.header.is_empty() {
            let sql = "INSERT INTO body_header (body, octets) VALUES (?1, ?2)";
            write(&tx.connection, sql, (id, &*octets(&body.header)?))?;
        }
        self.bodies.insert(body.hash, id);
        Ok(id)
    }

    /// A message in a mailbox, with the fields in front of its body.
    pub(crate) fn message(
        &mut self,
        connection: &Connection,
        body: i64,
        prefix: &[u8],
        row: &MessageRow,
    ) -> Result<()> {
        self.last.content += 1;
        let content = self.last.content;
        let sql = "INSERT INTO content (id, body, prefix) VALUES (?1, ?2, ?3)";
        write(connection, sql, (content, body, prefix))?;
        let MessageRow { mailbox, uid, modseq, flags, keywords, received, saved, size } = *row;
        let (modseq, keywords, size) = (modseq.cast_signed(), keywords.cast_signed(), size.cast_signed());
        write(
            connection,
            "INSERT INTO message (mailbox, uid, modseq, flags, keywords, received, saved, size, content) \
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)",
            (mailbox, uid, modseq, flags, keywords, received, saved, size, content),
        )
    }

    /// One job with its recipients.
    pub(crate) fn job(&mut self, tx: &Tx, package: &Package, job: &NewJob, body: i64) -> Result<JobId> {
        self.last.job += 1;
        let id = JobId(self.last.job);
        let size = package.body.size + job.prefix.len() as u64;
        queue_row::insert_job(&tx.connection, id, job, size, body)?;
        let priority = job.envelope.params.priority;
        for recipient in &job.envelope.recipients {
            self.last.recipient += 1;
            let lane = (tx.lanes)(&job.envelope.from, recipient.address.domain());
            let order = (job.due, priority, lane.as_str());
            queue_row::insert_recipient(&tx.connection, self.last.recipient, id, recipient, order)?;
        }
        Ok(id)
    }

    /// Writes down which numbers were given out.
    pub(crate) fn end(self, connection: &Connection) -> Result<()> {
        let Self { last, before, .. } = self;
        let numbers = [
            ("body", last.body, before.body),
            ("content", last.content, before.content),
            ("job", last.job, before.job),
            ("recipient", last.recipient, before.recipient),
        ];
        for (name, last, _) in numbers.into_iter().filter(|(_, last, before)| last != before) {
            write(connection, "UPDATE sequence SET last = ?2 WHERE name = ?1", (name, last))?;
        }
        Ok(())
    }
}

/// What a mailbox comes to.
pub(crate) fn mailbox(connection: &Connection, row: &MailboxRow) -> Result<()> {
    let MailboxRow { id, uidnext, modseq, messages, unseen, deleted, size } = *row;
    write(
        connection,
        "UPDATE mailbox SET uidnext = ?2, modseq = ?3, messages = messages + ?4, unseen = unseen + ?5, \
             deleted = deleted + ?6, size = size + ?7 WHERE id = ?1",
        (id, uidnext, modseq.cast_signed(), messages, unseen, deleted, size.cast_signed()),
    )
}

/// The newest mod-sequence of an account.
pub(crate) fn account(connection: &Connection, id: i64, modseq: u64) -> Result<()> {
    write(connection, "UPDATE account SET modseq = ?2 WHERE id = ?1", (id, modseq.cast_signed()))
}

pub(crate) fn write(connection: &Connection, sql: &str, row: impl Params) -> Result<()> {
    connection.prepare_cached(sql)?.execute(row).map(drop).map_err(Error::from)
}

fn octets(blob: &Blob) -> Result<Cow<'_, [u8]>> {
    Ok(match blob.as_memory() {
        Some(octets) => Cow::Borrowed(octets),
        None => Cow::Owned(blob.to_vec()?),
    })
}
