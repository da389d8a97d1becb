//! Mends what can be known from the rest: counters, numbers that must grow, index rows, what nobody uses.

use crate::error::Result;
use crate::sql;
use crate::store::Store;

/// Whether the indexes of the database are made anew too.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Indexes {
    Stay,
    Anew,
}

/// What was mended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Repaired {
    pub what: &'static str,
    pub rows: u64,
}

/// In this order: sizes before sums, mailboxes before accounts.
const REPAIRS: [(&str, &str); 11] = [
    (
        "sizes of messages",
        "UPDATE message SET size = w.size FROM (SELECT c.id, length(c.prefix) + b.size AS size FROM content c \
         JOIN body b ON b.id = c.body) w WHERE w.id = message.content AND message.size <> w.size",
    ),
    (
        "counters of mailboxes",
        "UPDATE mailbox SET messages = w.messages, unseen = w.unseen, deleted = w.deleted, size = w.size \
         FROM (SELECT b.id, count(m.uid) AS messages, coalesce(sum(m.flags & 1 = 0), 0) AS unseen, \
             coalesce(sum(m.flags & 8 <> 0), 0) AS deleted, coalesce(sum(m.size), 0) AS size \
             FROM mailbox b LEFT JOIN message m ON m.mailbox = b.id WHERE b.account IS NOT NULL GROUP BY b.id) w \
         WHERE w.id = mailbox.id AND (mailbox.messages, mailbox.unseen, mailbox.deleted, mailbox.size) \
             <> (w.messages, w.unseen, w.deleted, w.size)",
    ),
    (
        "counters of accounts",
        "UPDATE account SET used_messages = w.messages, used_octets = w.size \
         FROM (SELECT a.id, coalesce(sum(b.messages), 0) AS messages, coalesce(sum(b.size), 0) AS size \
             FROM account a LEFT JOIN mailbox b ON b.account = a.id GROUP BY a.id) w \
         WHERE w.id = account.id AND (account.used_messages, account.used_octets) <> (w.messages, w.size)",
    ),
    (
        "UIDNEXT of mailboxes",
        "UPDATE mailbox SET uidnext = w.uid + 1 \
         FROM (SELECT mailbox AS id, max(uid) AS uid FROM message GROUP BY mailbox) w \
         WHERE w.id = mailbox.id AND mailbox.uidnext <= w.uid",
    ),
    (
        "mod-sequences of mailboxes",
        "UPDATE mailbox SET modseq = w.modseq \
         FROM (SELECT mailbox AS id, max(modseq) AS modseq FROM message GROUP BY mailbox) w \
         WHERE w.id = mailbox.id AND mailbox.modseq < w.modseq",
    ),
    (
        "mod-sequences of accounts",
        "UPDATE account SET modseq = w.modseq \
         FROM (SELECT account AS id, max(modseq) AS modseq FROM mailbox WHERE account IS NOT NULL GROUP BY account) w \
         WHERE w.id = account.id AND account.modseq < w.modseq",
    ),
    (
        "notes that something had vanished that is there",
        "DELETE FROM vanished WHERE EXISTS (SELECT 1 FROM message m \
         WHERE m.mailbox = vanished.mailbox AND m.uid BETWEEN vanished.first AND vanished.last)",
    ),
    (
        "messages of the queue that wait for nobody",
        "DELETE FROM job WHERE NOT EXISTS \
         (SELECT 1 FROM job_recipient r WHERE r.job = job.id AND r.state IN (0, 3))",
    ),
    (
        "contents that nobody uses",
        "INSERT OR IGNORE INTO loose_content SELECT id FROM content c \
         WHERE NOT EXISTS (SELECT 1 FROM message m WHERE m.content = c.id)",
    ),
    (
        "bodies that nobody uses",
        "INSERT OR IGNORE INTO loose_body SELECT id FROM body b \
         WHERE NOT EXISTS (SELECT 1 FROM content c WHERE c.body = b.id) \
             AND NOT EXISTS (SELECT 1 FROM job j WHERE j.body = b.id)",
    ),
    ("numbers given out", SEQUENCES),
];

const SEQUENCES: &str = "UPDATE sequence SET last = w.last FROM (\
    SELECT 'content' AS name, coalesce(max(id), 0) AS last FROM content \
    UNION ALL SELECT 'body', coalesce(max(id), 0) FROM body \
    UNION ALL SELECT 'job', coalesce(max(id), 0) FROM job \
    UNION ALL SELECT 'recipient', coalesce(max(id), 0) FROM job_recipient \
    UNION ALL SELECT 'uidvalidity', coalesce(max(uidvalidity), 0) FROM mailbox) w \
    WHERE w.name = sequence.name AND sequence.last < w.last";

impl Store {
    /// Mends what can be mended, in one transaction. What it cannot mend, [`Store::verify`] goes on to say.
    pub async fn repair(&self, indexes: Indexes) -> Result<Vec<Repaired>> {
        self.write(0, move |tx| {
            Box::pin(async move {
                let mut done = Vec::new();
                if indexes == Indexes::Anew {
                    sql::query("REINDEX").execute(&mut tx.connection).await?;
                    done.push(Repaired { what: "indexes, made anew", rows: 0 });
                }
                for (what, sql) in REPAIRS {
                    let rows = sql::query(sql).execute(&mut tx.connection).await?.rows_affected();
                    if rows > 0 {
                        done.push(Repaired { what, rows });
                    }
                }
                let jobs: i64 =
                    sql::query_scalar("SELECT count(*) FROM job").fetch_one(&mut tx.connection).await?;
                tx.queued = jobs.unsigned_abs();
                tx.effects.loose = true;
                // What readers keep of mailboxes in memory is looked at anew.
                tx.effects.rings.rights |= !done.is_empty();
                Ok(done)
            })
        })
        .await
    }
}
