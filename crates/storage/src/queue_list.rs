//! The queue as people see it: listing and showing.

use crate::error::{Error, Result};
use crate::ids::{JobId, RecipientId, Unix};
use crate::queue;
use crate::queue_admin::{self, JOBS, QueueFilter};
use crate::queue_row;
use crate::sql::{self, Row};
use crate::store::Store;
use mail::{MailParams, Recipient, Reply, ReversePath};
use rusqlite::Connection;
use serde_json::json;
use std::sync::atomic::Ordering;

/// Most jobs that one call of [`Store::queue`] returns.
pub const QUEUE_PAGE_MAX: usize = 1000;

/// A message in the queue.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Job {
    pub id: JobId,
    pub mail_id: String,
    pub from: ReversePath,
    pub params: MailParams,
    pub arrived: Unix,
    /// From when on it may be delivered, if its sender wanted that (RFC 4865).
    pub release_at: Option<Unix>,
    /// Since when an administrator holds it.
    pub held: Option<Unix>,
    /// Octets of the whole message.
    pub size: u64,
    /// All of them, those that are done with included.
    pub recipients: Vec<JobRecipient>,
    /// What of it cannot be read, and is left out here. Nobody can send it; it can be removed.
    pub damage: Option<String>,
}

/// One recipient of a job, and how far it got.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JobRecipient {
    pub id: RecipientId,
    pub recipient: Recipient,
    pub state: RecipientState,
    pub attempts: u32,
    pub due: Unix,
    pub last: Option<LastTry>,
    /// When the sender was told that it takes longer.
    pub delay_told: Option<Unix>,
}

/// The last attempt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LastTry {
    pub at: Unix,
    /// Who answered; empty if nobody did.
    pub host: String,
    pub reply: Reply,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RecipientState {
    Waiting,
    /// Somebody is at it.
    Trying,
    Delivered,
    Failed,
    /// An administrator holds it.
    Held,
}

/// Reads `id, address, notify, orcpt_kind, orcpt, state, attempts, due, delay_told, last_at, last_host, last_code,
/// last_status, last_text` from column `at` on. `open` is the state of a row that is not done with.
pub(crate) fn read_recipient(row: &Row, at: usize, open: RecipientState) -> Result<JobRecipient> {
    let last_at: Option<i64> = row.try_get(at + 9)?;
    let host: Option<String> = row.try_get(at + 10)?;
    let last = match (last_at, queue_row::read_reply(row, at + 11)?) {
        (Some(at), Some(reply)) => Some(LastTry { at, host: host.unwrap_or_default(), reply }),
        _ => None,
    };
    Ok(JobRecipient {
        id: RecipientId(row.try_get(at)?),
        recipient: queue_row::read_recipient(row, at + 1)?,
        state: match row.try_get::<i64>(at + 5)? {
            0 => open,
            1 => RecipientState::Delivered,
            3 => RecipientState::Held,
            _ => RecipientState::Failed,
        },
        attempts: u32::try_from(row.try_get::<i64>(at + 6)?).unwrap_or(u32::MAX),
        due: row.try_get(at + 7)?,
        delay_told: row.try_get(at + 8)?,
        last,
    })
}

const RECIPIENTS: &str = "SELECT job, lease, id, address, notify, orcpt_kind, orcpt, state, attempts, due, \
    delay_told, last_at, last_host, last_code, last_status, last_text FROM job_recipient \
    WHERE job IN (SELECT value FROM json_each(?1)) ORDER BY job, id";

impl Store {
    /// Jobs in the order in which they came, up to `page` (at most [`QUEUE_PAGE_MAX`]) after `after`.
    pub async fn queue(&self, after: Option<JobId>, page: usize) -> Result<Vec<Job>> {
        self.queue_matching(&QueueFilter::default(), after, page).await
    }

    /// The same of those that a filter finds.
    pub async fn queue_matching(
        &self,
        filter: &QueueFilter,
        after: Option<JobId>,
        page: usize,
    ) -> Result<Vec<Job>> {
        self.read_jobs(filter, after.map_or(0, |job| job.0), page.clamp(1, QUEUE_PAGE_MAX)).await
    }

    pub async fn job(&self, id: JobId) -> Result<Job> {
        let filter = QueueFilter { job: Some(id), ..QueueFilter::default() };
        let mut jobs = self.read_jobs(&filter, 0, 1).await?;
        jobs.pop().ok_or(Error::NoSuchJob(id))
    }

    /// Messages in the queue.
    pub async fn queue_length(&self) -> Result<u64> {
        Ok(self.queued().load(Ordering::SeqCst))
    }

    /// Makes what waits due at `now`: of one job, or of all ([`Store::hurry`]).
    pub async fn retry_now(&self, job: Option<JobId>, now: Unix) -> Result<u64> {
        self.hurry(QueueFilter { job, ..QueueFilter::default() }, now).await
    }

    /// Takes a job away; nobody is told. Whoever is at it finds that the lease is lost.
    pub async fn remove_job(&self, job: JobId) -> Result<()> {
        self.write(0, move |tx| Box::pin(async move { queue::remove(tx, job).await })).await
    }

    async fn read_jobs(&self, filter: &QueueFilter, after: i64, page: usize) -> Result<Vec<Job>> {
        let page = i64::try_from(page).unwrap_or(i64::MAX);
        let found = queue_admin::bind(JOBS, filter).bind(after).bind(page);
        let read = move |connection: &Connection| {
            // One moment for both.
            let view = connection.unchecked_transaction()?;
            let jobs = found.rows(&view)?.iter().map(read_job).collect::<Result<Vec<_>>>()?;
            let ids: Vec<i64> = jobs.iter().map(|job| job.id.0).collect();
            let rows = sql::query(RECIPIENTS).bind(json!(ids).to_string()).rows(&view)?;
            Ok((jobs, rows))
        };
        let (mut jobs, rows) = self.readers().read(read).await?;
        for row in &rows {
            let id = JobId(row.try_get(0)?);
            let open =
                if row.try_get::<i64>(1)? == 0 { RecipientState::Waiting } else { RecipientState::Trying };
            if let Ok(at) = jobs.binary_search_by_key(&id, |job| job.id) {
                match read_recipient(row, 2, open) {
                    Ok(recipient) => jobs[at].recipients.push(recipient),
                    Err(error) => jobs[at].damage = Some(error.to_string()),
                }
            }
        }
        Ok(jobs)
    }
}

fn read_job(row: &Row) -> Result<Job> {
    let (from, params, damage) = match queue_row::read_sender(row, 2) {
        Ok((from, params)) => (from, params, None),
        Err(error) => (ReversePath::Null, MailParams::default(), Some(error.to_string())),
    };
    Ok(Job {
        id: JobId(row.try_get(0)?),
        mail_id: row.try_get(1)?,
        from,
        params,
        arrived: row.try_get(11)?,
        release_at: row.try_get(12)?,
        held: row.try_get(14)?,
        size: row.try_get::<i64>(13)?.unsigned_abs(),
        recipients: Vec::new(),
        damage,
    })
}
