//! Rows of new messages in the making: collected as JSON lists and one run of octets, written by one hop to SQLite.

use crate::body::{Hash, PLACE_FILE, PLACE_PLAIN, PLACE_ZSTD, Stored};
use crate::error::{Error, Result};
use crate::ids::JobId;
use crate::lanes::LaneOf;
use crate::package::{NewJob, Package};
use crate::queue_row;
use crate::writer::Tx;
use mail::Blob;
use serde_json::{Value, json};
use sqlx::Row;
use std::collections::HashMap;
use std::io::Read;

/// Octets after which the rows so far are written, within the same transaction: SQLite takes no value of a gigabyte.
const ARENA_MAX: usize = 16 * 1024 * 1024;

/// Rows in the making, as JSON, and the octets they refer to.
#[derive(Default)]
pub(crate) struct Rows {
    bodies: Vec<Value>,
    octets: Vec<Value>,
    key_fields: Vec<Value>,
    headers: Vec<Value>,
    pub(crate) contents: Vec<Value>,
    pub(crate) messages: Vec<Value>,
    pub(crate) mailboxes: Vec<Value>,
    pub(crate) accounts: Vec<Value>,
    jobs: Vec<Value>,
    recipients: Vec<Value>,
    arena: Vec<u8>,
}

impl Rows {
    /// Puts octets into the arena; returns where, as SQL's `substr` counts.
    pub(crate) fn put(&mut self, octets: &[u8]) -> (usize, usize) {
        let at = self.arena.len() + 1;
        self.arena.extend_from_slice(octets);
        (at, octets.len())
    }

    fn put_blob(&mut self, blob: &Blob) -> Result<(usize, usize)> {
        let at = self.arena.len() + 1;
        match blob.as_memory() {
            Some(octets) => self.arena.extend_from_slice(octets),
            None => {
                blob.reader().read_to_end(&mut self.arena)?;
            }
        }
        Ok((at, self.arena.len() + 1 - at))
    }

    /// Whether it is time to write what there is.
    pub(crate) fn are_many(&self) -> bool {
        self.arena.len() > ARENA_MAX
    }

    /// The number of the package's body; its rows are made if it is new.
    pub(crate) fn body(
        &mut self,
        tx: &mut Tx,
        package: &Package,
        bodies: &mut HashMap<Hash, i64>,
        last: &mut Last,
    ) -> Result<i64> {
        let body = &package.body;
        if let Some(id) = bodies.get(&body.hash) {
            return Ok(*id);
        }
        last.body += 1;
        let id = last.body;
        bodies.insert(body.hash, id);
        let (place, file) = match &body.stored {
            Stored::Plain(blob) => {
                let (at, len) = self.put_blob(blob)?;
                self.octets.push(json!([id, at, len]));
                (PLACE_PLAIN, None)
            }
            Stored::Zstd(blob) => {
                let (at, len) = self.put_blob(blob)?;
                self.octets.push(json!([id, at, len]));
                (PLACE_ZSTD, None)
            }
            Stored::File(guard) => {
                tx.effects.keep.push(guard.clone());
                (PLACE_FILE, Some(guard.name.as_str()))
            }
        };
        let hash = blake3::Hash::from_bytes(body.hash).to_hex();
        let envelope = self.put(&body.shape.envelope);
        let structure = self.put(&body.shape.bodystructure);
        let parts = self.put(&body.shape.parts);
        if !body.shape.key_fields.is_empty() {
            let (at, len) = self.put(&body.shape.key_fields);
            self.key_fields.push(json!([id, at, len]));
        }
        if !body.header.is_empty() {
            let (at, len) = self.put_blob(&body.header)?;
            self.headers.push(json!([id, at, len]));
        }
        self.bodies.push(json!([
            id,
            hash.as_str(),
            body.size,
            place,
            file,
            envelope.0,
            envelope.1,
            structure.0,
            structure.1,
            parts.0,
            parts.1
        ]));
        Ok(id)
    }

    /// Makes the rows of one job.
    pub(crate) fn job(
        &mut self,
        lane_of: &LaneOf,
        package: &Package,
        job: &NewJob,
        body: i64,
        last: &mut Last,
    ) -> JobId {
        last.job += 1;
        let id = JobId(last.job);
        let prefix = self.put(&job.prefix);
        let size = package.body.size + job.prefix.len() as u64;
        self.jobs.push(queue_row::job(id, job, size, prefix, body));
        for recipient in &job.envelope.recipients {
            last.recipient += 1;
            let priority = job.envelope.params.priority;
            let lane = lane_of(&job.envelope.from, recipient.address.domain());
            let order = (job.due, priority, lane.as_str());
            self.recipients.push(queue_row::recipient(last.recipient, id, recipient, order));
        }
        id
    }

    /// Writes everything, by one hop.
    pub(crate) async fn write(mut self, tx: &mut Tx, last: &Last) -> Result<()> {
        // No octets at all would be bound as NULL, and with it every empty prefix.
        if self.arena.is_empty() {
            self.arena.push(0);
        }
        // Each statement names ?1, or ?1 and ?2: sqlx numbers the parameters of a statement without gaps.
        const SQL: &str = "
        UPDATE sequence SET last = j.value ->> 1
            FROM json_each(?1, '$.sequences') j WHERE sequence.name = j.value ->> 0;
        INSERT INTO body (id, hash, size, place, file, envelope, bodystructure, parts)
            SELECT value ->> 0, unhex(value ->> 1), value ->> 2, value ->> 3, value ->> 4,
                substr(?2, value ->> 5, value ->> 6), substr(?2, value ->> 7, value ->> 8),
                substr(?2, value ->> 9, value ->> 10)
            FROM json_each(?1, '$.bodies');
        INSERT INTO body_octets (body, octets)
            SELECT value ->> 0, substr(?2, value ->> 1, value ->> 2) FROM json_each(?1, '$.octets');
        INSERT INTO body_key_fields (body, fields)
            SELECT value ->> 0, substr(?2, value ->> 1, value ->> 2) FROM json_each(?1, '$.key_fields');
        INSERT INTO body_header (body, octets)
            SELECT value ->> 0, substr(?2, value ->> 1, value ->> 2) FROM json_each(?1, '$.headers');
        INSERT INTO content (id, body, prefix)
            SELECT value ->> 0, value ->> 1, substr(?2, value ->> 2, value ->> 3) FROM json_each(?1, '$.contents');
        INSERT INTO message (mailbox, uid, modseq, flags, keywords, received, saved, size, content)
            SELECT value ->> 0, value ->> 1, value ->> 2, value ->> 3, value ->> 4, value ->> 5, value ->> 6,
                value ->> 7, value ->> 8
            FROM json_each(?1, '$.messages');
        UPDATE mailbox SET uidnext = j.value ->> 1, modseq = j.value ->> 2,
                messages = messages + (j.value ->> 3), unseen = unseen + (j.value ->> 4),
                deleted = deleted + (j.value ->> 5), size = size + (j.value ->> 6)
            FROM json_each(?1, '$.mailboxes') j WHERE mailbox.id = j.value ->> 0;
        UPDATE account SET modseq = j.value ->> 1
            FROM json_each(?1, '$.accounts') j WHERE account.id = j.value ->> 0;
        INSERT INTO job (id, mail_id, sender, body_type, utf8, ret, envid, require_tls, arrived, size, prefix, body,
                priority, by_seconds, by_mode, release_at, client, release_for)
            SELECT value ->> 0, value ->> 1, value ->> 2, value ->> 3, value ->> 4, value ->> 5, value ->> 6,
                value ->> 7, value ->> 8, value ->> 9, substr(?2, value ->> 10, value ->> 11), value ->> 12,
                value ->> 13, value ->> 14, value ->> 15, value ->> 16, value ->> 17, value ->> 18
            FROM json_each(?1, '$.jobs');
        INSERT INTO job_recipient (id, job, address, domain, notify, orcpt_kind, orcpt, state, due, lease,
                lease_until, attempts, priority, lane)
            SELECT value ->> 0, value ->> 1, value ->> 2, value ->> 3, value ->> 4, value ->> 5, value ->> 6, 0,
                value ->> 7, 0, 0, 0, value ->> 8, value ->> 9
            FROM json_each(?1, '$.recipients');";
        let sequences = json!([
            ["body", last.body],
            ["content", last.content],
            ["job", last.job],
            ["recipient", last.recipient]
        ]);
        let lists = json!({
            "sequences": sequences,
            "bodies": self.bodies,
            "octets": self.octets,
            "key_fields": self.key_fields,
            "headers": self.headers,
            "contents": self.contents,
            "messages": self.messages,
            "mailboxes": self.mailboxes,
            "accounts": self.accounts,
            "jobs": self.jobs,
            "recipients": self.recipients,
        })
        .to_string();
        sqlx::query(SQL).bind(lists).bind(self.arena).execute(&mut tx.connection).await?;
        Ok(())
    }
}

/// The highest numbers given out so far.
pub(crate) struct Last {
    pub(crate) body: i64,
    pub(crate) content: i64,
    pub(crate) job: i64,
    pub(crate) recipient: i64,
}

/// The bodies that are there already, and the numbers to go on from.
pub(crate) async fn find_bodies(
    tx: &mut Tx,
    hashes: impl Iterator<Item = Hash>,
) -> Result<(HashMap<Hash, i64>, Last)> {
    const SQL: &str = "
        SELECT '', id, hash FROM body WHERE hash IN (SELECT unhex(value) FROM json_each(?1))
        UNION ALL SELECT name, last, NULL FROM sequence";
    let list: Vec<String> = hashes.map(|hash| blake3::Hash::from_bytes(hash).to_hex().to_string()).collect();
    let rows = sqlx::query(SQL).bind(json!(list).to_string()).fetch_all(&mut tx.connection).await?;
    let mut bodies = HashMap::new();
    let mut last = Last { body: 0, content: 0, job: 0, recipient: 0 };
    for row in rows {
        let number: i64 = row.try_get(1)?;
        match row.try_get::<&str, _>(0)? {
            "" => {
                let hash = Hash::try_from(row.try_get::<&[u8], _>(2)?);
                bodies.insert(hash.map_err(|_| Error::corrupt("a hash of another length"))?, number);
            }
            "body" => last.body = number,
            "content" => last.content = number,
            "job" => last.job = number,
            "recipient" => last.recipient = number,
            _ => {}
        }
    }
    Ok((bodies, last))
}
