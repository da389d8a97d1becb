//! What each attempt came to: who was asked, how well the way was protected, and what was said.

use crate::error::Result;
use crate::ids::{JobId, Unix};
use crate::queue::{Claim, cut};
use crate::queue_row;
use crate::sql::{self, Row};
use crate::store::Store;
use mail::Reply;
use serde_json::{Value, json};

/// Most attempts that are kept of one job; the oldest go first.
pub const ATTEMPTS_PER_JOB_MAX: i64 = 200;
/// Most attempts that are kept in all.
pub const ATTEMPTS_MAX: i64 = 1_000_000;
/// Most attempts of one message that are read at once.
const ATTEMPTS_PAGE: i64 = 1000;
/// Longest list of recipients that is kept, in octets.
const RECIPIENTS_KEPT: usize = 1024;
/// Longest text of a reply that is kept, in octets.
const TEXT_KEPT: usize = 1024;
/// Longest name of a host, and of a level of TLS, in octets.
const NAME_KEPT: usize = 255;
/// Attempts that one transaction forgets.
const FORGET_AT_ONCE: i64 = 5000;

/// How far an attempt came for the recipients that it names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AttemptResult {
    /// The message was not offered: nobody was reached, or the host sent us away.
    NoWay,
    Delivered,
    Deferred,
    Failed,
}

/// One thing that one host said (or that was found out about it), to all recipients who heard the same.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Attempt {
    pub at: Unix,
    /// The domain whose mail it was.
    pub domain: String,
    /// Addresses divided by blanks, as many as are kept.
    pub recipients: String,
    /// How many there were.
    pub recipient_count: u64,
    /// The name of the host; empty if none was found.
    pub host: String,
    /// Its address and port; empty if none was found.
    pub address: String,
    /// How the connection was protected, as a word or more; empty if there was none.
    pub tls: String,
    pub result: AttemptResult,
    pub reply: Reply,
}

/// An attempt that was kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeptAttempt {
    pub id: i64,
    pub mail_id: String,
    pub job: JobId,
    pub attempt: Attempt,
}

const READ: &str = "SELECT id, mail_id, job, at, domain, recipients, recipient_count, host, address, tls, result, \
    code, status, text FROM attempt";

impl Store {
    /// The attempts of a job, oldest first; also after it is gone, as long as they are kept.
    pub async fn attempts(&self, job: JobId) -> Result<Vec<KeptAttempt>> {
        let sql = format!("{READ} WHERE job = ?1 ORDER BY id LIMIT ?2 + 0");
        let query = sql::query(sql).bind(job.0).bind(ATTEMPTS_PAGE);
        query.fetch_all(self.readers()).await?.iter().map(read).collect()
    }

    /// The attempts of all jobs of a message, by the id that the log names, oldest first.
    pub async fn attempts_of_mail(&self, mail_id: &str) -> Result<Vec<KeptAttempt>> {
        let sql = format!("{READ} WHERE mail_id = ?1 ORDER BY id LIMIT ?2 + 0");
        let query = sql::query(sql).bind(mail_id.to_owned()).bind(ATTEMPTS_PAGE);
        query.fetch_all(self.readers()).await?.iter().map(read).collect()
    }

    /// Forgets attempts that were made before `before`, and those beyond [`ATTEMPTS_MAX`], some thousands at once. Returns
    /// how many; until it is 0 there may be more.
    pub async fn forget_attempts(&self, before: Unix) -> Result<u64> {
        self.write(0, move |tx| {
            Box::pin(async move {
                let sql = "DELETE FROM attempt WHERE id IN (SELECT id FROM attempt WHERE at < ?1 ORDER BY at LIMIT ?2 + 0)";
                let query = sql::query(sql).bind(before).bind(FORGET_AT_ONCE);
                let old = query.execute(&mut tx.connection).await?.rows_affected();
                let sql = "DELETE FROM attempt WHERE id IN (SELECT id FROM attempt \
                           WHERE id <= (SELECT max(id) FROM attempt) - ?1 ORDER BY id LIMIT ?2 + 0)";
                let query = sql::query(sql).bind(ATTEMPTS_MAX).bind(FORGET_AT_ONCE);
                Ok(old + query.execute(&mut tx.connection).await?.rows_affected())
            })
        })
        .await
    }
}

fn read(row: &Row) -> Result<KeptAttempt> {
    let result = match row.try_get::<i64>(10)? {
        1 => AttemptResult::Delivered,
        2 => AttemptResult::Deferred,
        3 => AttemptResult::Failed,
        _ => AttemptResult::NoWay,
    };
    let reply = queue_row::read_reply(row, 11)?;
    Ok(KeptAttempt {
        id: row.try_get(0)?,
        mail_id: row.try_get(1)?,
        job: JobId(row.try_get(2)?),
        attempt: Attempt {
            at: row.try_get(3)?,
            domain: row.try_get(4)?,
            recipients: row.try_get(5)?,
            recipient_count: row.try_get::<i64>(6)?.unsigned_abs(),
            host: row.try_get(7)?,
            address: row.try_get(8)?,
            tls: row.try_get(9)?,
            result,
            reply: reply.unwrap_or_else(|| Reply::bare(451, "")),
        },
    })
}

/// The row of an attempt of a claim.
pub(crate) fn row(claim: &Claim, attempt: &Attempt) -> Value {
    let result = match attempt.result {
        AttemptResult::NoWay => 0,
        AttemptResult::Delivered => 1,
        AttemptResult::Deferred => 2,
        AttemptResult::Failed => 3,
    };
    let mut recipients = cut(&attempt.recipients, RECIPIENTS_KEPT);
    if recipients.len() < attempt.recipients.len() {
        // Whole addresses only.
        recipients = recipients.rsplit_once(' ').map_or(recipients, |(whole, _)| whole);
    }
    json!([
        claim.mail_id,
        claim.job.0,
        attempt.at,
        attempt.domain,
        recipients,
        attempt.recipient_count,
        cut(&attempt.host, NAME_KEPT),
        cut(&attempt.address, NAME_KEPT),
        cut(&attempt.tls, NAME_KEPT),
        result,
        attempt.reply.code,
        attempt.reply.status.map(|status| status.to_string()),
        cut(&attempt.reply.text, TEXT_KEPT)
    ])
}
