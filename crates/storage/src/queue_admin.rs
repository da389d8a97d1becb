//! What administrators do to the queue: find, hurry, hold, release, change and take away.

use crate::error::{Error, Result};
use crate::ids::{JobId, Unix};
use crate::lanes;
use crate::sql::{self, Query};
use crate::store::Store;
use crate::writer::Tx;
use mail::{Address, Priority, ReversePath};
use std::sync::atomic::Ordering;

/// Which jobs are meant; what is `None` does not matter. Addresses may have `*` for any text, and their case is ignored.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct QueueFilter {
    pub job: Option<JobId>,
    /// The id that the log names.
    pub mail_id: Option<String>,
    /// The sender; the empty text is the null sender.
    pub from: Option<String>,
    /// One of the recipients.
    pub to: Option<String>,
    /// The domain of one of the recipients.
    pub domain: Option<String>,
    /// Arrived then or earlier.
    pub arrived_until: Option<Unix>,
    pub hold: Option<Hold>,
}

/// Whether an administrator holds a job.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hold {
    Held,
    Free,
}

/// What of a job is changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Edit {
    Sender(Address),
    Recipient { old: Address, new: Address },
    Priority(Priority),
}

/// The condition of a filter, on rows of `job`, with the parameters 1 to 7.
macro_rules! matching {
    ($head:literal, $tail:literal) => {
        concat!(
            $head,
            " (?1 IS NULL OR job.id = ?1) AND (?2 IS NULL OR job.mail_id = ?2) \
             AND (?3 IS NULL OR job.sender LIKE ?3 ESCAPE '\\') \
             AND (?4 IS NULL OR EXISTS (SELECT 1 FROM job_recipient m WHERE m.job = job.id AND m.address LIKE ?4 ESCAPE '\\')) \
             AND (?5 IS NULL OR EXISTS (SELECT 1 FROM job_recipient m WHERE m.job = job.id AND m.domain = ?5)) \
             AND (?6 IS NULL OR job.arrived <= ?6) AND (?7 IS NULL OR (job.held IS NOT NULL) = ?7) ",
            $tail
        )
    };
}

pub(crate) const JOBS: &str = matching!(
    "SELECT id, mail_id, sender, body_type, utf8, ret, envid, require_tls, priority, by_seconds, by_mode, arrived, \
     release_at, size, held FROM job WHERE id > ?8 AND",
    "ORDER BY id LIMIT ?9 + 0"
);

/// A statement with the parameters 1 to 7.
pub(crate) fn bind(sql: &'static str, filter: &QueueFilter) -> Query {
    sql::query(sql)
        .bind(filter.job.map(|job| job.0))
        .bind(filter.mail_id.clone())
        .bind(filter.from.as_deref().map(like))
        .bind(filter.to.as_deref().map(like))
        .bind(filter.domain.clone())
        .bind(filter.arrived_until)
        .bind(filter.hold.map(|hold| hold == Hold::Held))
}

/// A pattern of LIKE for a text in which `*` stands for any text.
fn like(pattern: &str) -> String {
    let mut out = String::with_capacity(pattern.len());
    for letter in pattern.chars() {
        match letter {
            '*' => out.push('%'),
            '%' | '_' | '\\' => out.extend(['\\', letter]),
            _ => out.push(letter),
        }
    }
    out
}

impl Store {
    /// How many jobs a filter finds.
    pub async fn count_jobs(&self, filter: &QueueFilter) -> Result<u64> {
        const COUNT: &str = matching!("SELECT count(*) FROM job WHERE", "");
        let row = bind(COUNT, filter).fetch_one(self.readers()).await?;
        Ok(row.try_get::<i64>(0)?.unsigned_abs())
    }

    /// Makes what waits due at `now`, and has the worker forget what it knows of hosts that did not answer. Returns how many
    /// recipients that are. What somebody is at is left to them; what is held, or was to be delivered later, stays.
    pub async fn hurry(&self, filter: QueueFilter, now: Unix) -> Result<u64> {
        const HURRY: &str = matching!(
            "UPDATE job_recipient SET due = ?8 WHERE state = 0 AND lease_until <= ?8 AND job IN (SELECT id FROM job WHERE",
            "AND (release_at IS NULL OR release_at <= ?8 OR id = ?1))"
        );
        self.write(0, move |tx| {
            Box::pin(async move {
                check_job(tx, &filter).await?;
                let hurried = bind(HURRY, &filter).bind(now).execute(&mut tx.connection).await?;
                tx.effects.rings.queue = true;
                tx.effects.rings.hurry = true;
                Ok(hurried.rows_affected())
            })
        })
        .await
    }

    /// Makes due at `now` what waits in a lane because nobody could be reached there (status 4.4.x, in our own words), whatever its
    /// domains. Returns how many recipients that are.
    pub async fn hurry_unreached(&self, lane: &str, now: Unix) -> Result<u64> {
        let lane = lane.to_owned();
        self.write(0, move |tx| {
            Box::pin(async move {
                let sql = "UPDATE job_recipient SET due = ?2 WHERE lane = ?1 AND state = 0 AND lease_until <= ?2 \
                           AND due > ?2 AND last_host = '' AND last_status LIKE '4.4._'";
                let hurried = sql::query(sql).bind(lane).bind(now).execute(&mut tx.connection).await?;
                tx.effects.rings.queue = true;
                Ok(hurried.rows_affected())
            })
        })
        .await
    }

    /// Holds jobs at `now`: nobody begins an attempt until they are released. An attempt that is under way goes on, and what it
    /// has not delivered is held then. Returns how many jobs that are.
    pub async fn hold(&self, filter: QueueFilter, now: Unix) -> Result<u64> {
        const HOLD: &str = matching!("UPDATE job SET held = ?8 WHERE held IS NULL AND", "");
        self.write(0, move |tx| {
            Box::pin(async move {
                check_job(tx, &filter).await?;
                let held = bind(HOLD, &filter).bind(now).execute(&mut tx.connection).await?.rows_affected();
                let sql = "UPDATE job_recipient SET state = 3 WHERE state = 0 AND lease = 0 \
                           AND job IN (SELECT id FROM job WHERE held IS NOT NULL)";
                sql::query(sql).execute(&mut tx.connection).await?;
                Ok(held)
            })
        })
        .await
    }

    /// Lets jobs go that were held; they are tried when they would have been. Returns how many there were.
    pub async fn unhold(&self, filter: QueueFilter) -> Result<u64> {
        const WAKE: &str = matching!(
            "UPDATE job_recipient SET state = 0 WHERE state = 3 AND job IN (SELECT id FROM job WHERE held IS NOT NULL AND",
            ")"
        );
        const FREE: &str = matching!("UPDATE job SET held = NULL WHERE held IS NOT NULL AND", "");
        self.write(0, move |tx| {
            Box::pin(async move {
                check_job(tx, &filter).await?;
                bind(WAKE, &filter).execute(&mut tx.connection).await?;
                tx.effects.rings.queue = true;
                Ok(bind(FREE, &filter).execute(&mut tx.connection).await?.rows_affected())
            })
        })
        .await
    }

    /// Takes jobs away; nobody is told. Whoever is at one finds that the lease is lost. Returns how many there were.
    pub async fn remove_jobs(&self, filter: QueueFilter) -> Result<u64> {
        const LOOSE: &str = matching!("INSERT OR IGNORE INTO loose_body (id) SELECT body FROM job WHERE", "");
        const REMOVE: &str = matching!("DELETE FROM job WHERE", "");
        self.write(0, move |tx| {
            Box::pin(async move {
                check_job(tx, &filter).await?;
                bind(LOOSE, &filter).execute(&mut tx.connection).await?;
                let gone = bind(REMOVE, &filter).execute(&mut tx.connection).await?.rows_affected();
                tx.queued = tx.queued.saturating_sub(gone);
                tx.effects.loose = true;
                Ok(gone)
            })
        })
        .await
    }

    /// Changes a job at `now`. A recipient can be changed while it waits or is held, a sender while nobody is at the job;
    /// what is delivered or failed cannot, and a notice (which has no sender) gets none. A recipient that is changed begins
    /// anew, and remembers whom its sender wrote to (RFC 3461 §5.2.1). [`Error::NotEditable`] says what is in the way.
    pub async fn edit_job(&self, job: JobId, edit: Edit, now: Unix) -> Result<()> {
        self.write(0, move |tx| {
            Box::pin(async move {
                check_job(tx, &QueueFilter { job: Some(job), ..QueueFilter::default() }).await?;
                match edit {
                    Edit::Sender(sender) => edit_sender(tx, job, &ReversePath::Address(sender)).await,
                    Edit::Recipient { old, new } => edit_recipient(tx, job, &old, &new, now).await,
                    Edit::Priority(priority) => edit_priority(tx, job, priority).await,
                }
            })
        })
        .await
    }

    /// Grows whenever an administrator wants waiting mail tried at once.
    pub fn hurries(&self) -> u64 {
        self.wake().hurries().load(Ordering::SeqCst)
    }
}

/// Of a job that is named, that it is there.
async fn check_job(tx: &mut Tx, filter: &QueueFilter) -> Result<()> {
    let Some(job) = filter.job else { return Ok(()) };
    let sql = "SELECT EXISTS (SELECT 1 FROM job WHERE id = ?1)";
    match sql::query_scalar(sql).bind(job.0).fetch_one(&mut tx.connection).await? {
        true => Ok(()),
        false => Err(Error::NoSuchJob(job)),
    }
}

async fn edit_sender(tx: &mut Tx, job: JobId, sender: &ReversePath) -> Result<()> {
    let sql = "SELECT EXISTS (SELECT 1 FROM job_recipient WHERE job = ?1 AND lease <> 0 AND state = 0), sender = '' \
               FROM job WHERE id = ?1";
    let (is_tried, is_notice): (bool, bool) =
        sql::query_as(sql).bind(job.0).fetch_one(&mut tx.connection).await?;
    if is_notice {
        return Err(Error::NotEditable("it is a notice, and must not have a sender"));
    }
    if is_tried {
        return Err(Error::NotEditable("an attempt is under way: hold it, and come again when it is over"));
    }
    let sql = "UPDATE job SET sender = ?2 WHERE id = ?1";
    sql::query(sql).bind(job.0).bind(sender.to_string()).execute(&mut tx.connection).await?;
    lanes::name_job(tx, job).await
}

async fn edit_recipient(tx: &mut Tx, job: JobId, old: &Address, new: &Address, now: Unix) -> Result<()> {
    let sql = "SELECT id, state, lease <> 0 FROM job_recipient WHERE job = ?1 AND address = ?2 COLLATE NOCASE \
               ORDER BY state IN (1, 2) LIMIT 1";
    let query = sql::query_as(sql).bind(job.0).bind(old.to_string());
    let found: Option<(i64, i64, bool)> = query.fetch_optional(&mut tx.connection).await?;
    let id = match found {
        None => return Err(Error::NotEditable("it has no such recipient")),
        Some((_, 1 | 2, _)) => return Err(Error::NotEditable("the recipient is done with")),
        Some((_, _, true)) => {
            return Err(Error::NotEditable(
                "an attempt is under way: hold it, and come again when it is over",
            ));
        }
        Some((id, _, false)) => id,
    };
    let sql = "SELECT EXISTS (SELECT 1 FROM job_recipient WHERE job = ?1 AND address = ?2 AND id <> ?3)";
    let query = sql::query_scalar(sql).bind(job.0).bind(new.to_string()).bind(id);
    if query.fetch_one(&mut tx.connection).await? {
        return Err(Error::NotEditable("the new address is a recipient already"));
    }
    let kind = if old.needs_utf8() { "utf-8" } else { "rfc822" };
    let sql = "UPDATE job_recipient SET orcpt_kind = coalesce(orcpt_kind, ?4), orcpt = coalesce(orcpt, address), \
               address = ?2, domain = ?3, attempts = 0, \
               due = max(?5, coalesce((SELECT release_at FROM job WHERE id = job), 0)) WHERE id = ?1";
    let query = sql::query(sql).bind(id).bind(new.to_string()).bind(new.domain().as_str().to_owned());
    query.bind(kind).bind(now).execute(&mut tx.connection).await?;
    tx.effects.rings.queue = true;
    lanes::name_job(tx, job).await
}

async fn edit_priority(tx: &mut Tx, job: JobId, priority: Priority) -> Result<()> {
    let number = i64::from(priority.get());
    let sql = "UPDATE job SET priority = ?2 WHERE id = ?1";
    sql::query(sql).bind(job.0).bind(number).execute(&mut tx.connection).await?;
    let sql = "UPDATE job_recipient SET priority = ?2 WHERE job = ?1";
    sql::query(sql).bind(job.0).bind(number).execute(&mut tx.connection).await?;
    Ok(())
}
