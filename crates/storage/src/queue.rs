//! The queue at work: what is due is claimed under a lease, and settled with what came of it (`settle.rs`).

use crate::accept::Acceptance;
use crate::attempt::Attempt;
use crate::error::{Error, Result};
use crate::failing::Verdict;
use crate::ids::{JobId, RecipientId, Unix};
use crate::package::Accepted;
use crate::queue_admin::Hold;
use crate::queue_claim::{self, Cut};
use crate::queue_list::JobRecipient;
use crate::sql;
use crate::store::Store;
use crate::writer::Tx;
use mail::{Client, Domain, MailParams, Message, Release, Reply, ReversePath};
use serde_json::json;
use std::time::Duration;

/// Most claims that one call of [`Store::claim_due`] returns.
pub const CLAIMS_MAX: usize = 1000;
/// Longest text of a reply that is kept, in octets.
pub(crate) const REPLY_KEPT: usize = 4096;

/// Recipients of one job, to be tried by whoever holds the claim, until its lease runs out: those at one domain, or all
/// ([`Store::claim_due_whole`]).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Claim {
    pub job: JobId,
    pub mail_id: String,
    pub from: ReversePath,
    pub params: MailParams,
    pub arrived: Unix,
    /// From when on it may be delivered, and its age counts: later than it arrived if its sender wanted that.
    pub released: Unix,
    /// What its sender wanted of that (RFC 4865 §3).
    pub release: Option<Release>,
    /// Octets of the whole message.
    pub size: u64,
    /// Of the first recipient, if they are at several.
    pub domain: Domain,
    pub recipients: Vec<JobRecipient>,
    /// Who brought the message; `None`: it is our own.
    pub client: Option<Client>,
    pub(crate) lease: i64,
}

/// What an attempt came to for one recipient.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outcome {
    pub recipient: RecipientId,
    pub at: Unix,
    /// Who answered; empty if nobody did.
    pub host: String,
    /// What was answered, or what we say instead.
    pub reply: Reply,
    pub next: Next,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    Delivered,
    Failed,
    Again {
        due: Unix,
    },
    /// And the sender was told of the delay.
    AgainTold {
        due: Unix,
    },
    /// No attempt was made: nothing is counted, and what was said last stays.
    Later {
        due: Unix,
    },
}

/// All that is written down of an attempt, in one transaction.
#[derive(Clone, Debug, Default)]
pub struct Settlement {
    /// Recipients without an outcome are due again at once.
    pub outcomes: Vec<Outcome>,
    /// Notices about it, or messages that it became.
    pub notices: Vec<Acceptance>,
    /// What each host said.
    pub attempts: Vec<Attempt>,
    /// What is known of addresses now.
    pub verdicts: Vec<Verdict>,
}

/// Whether a job lives on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum JobEnd {
    /// All its recipients are done with, and it is gone.
    Finished,
    GoesOn,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settled {
    pub job: JobEnd,
    /// As the notices.
    pub notices: Vec<Accepted>,
}

impl Store {
    /// Takes up to `most` claims of what is due at `now`, the longest due first, each for `lease`. After that anybody may take
    /// them again, so that the work of a dead process is not lost.
    pub async fn claim_due(&self, now: Unix, most: usize, lease: Duration) -> Result<Vec<Claim>> {
        self.claim_due_except(now, most, lease, &[]).await
    }

    /// As [`Store::claim_due`], but leaves alone what goes these ways ([`crate::LaneOf`]): they have as much work under way as they may have.
    pub async fn claim_due_except(
        &self,
        now: Unix,
        most: usize,
        lease: Duration,
        except: &[String],
    ) -> Result<Vec<Claim>> {
        self.claim_fairly(now, most, most, lease, except).await
    }

    /// As [`Store::claim_due_except`], but with at most `each` claims for one lane. The highest priority comes first, and
    /// of one priority the lane whose work is due the longest. Costs the same however much waits.
    pub async fn claim_fairly(
        &self,
        now: Unix,
        most: usize,
        each: usize,
        lease: Duration,
        except: &[String],
    ) -> Result<Vec<Claim>> {
        self.claim(now, most, lease, Cut::ByDomain { except: json!(except).to_string(), each: each.max(1) })
            .await
    }

    /// As [`Store::claim_due`], but a claim holds all of a job that is due, whatever the domains: for those who send everything
    /// to one host.
    pub async fn claim_due_whole(&self, now: Unix, most: usize, lease: Duration) -> Result<Vec<Claim>> {
        self.claim(now, most, lease, Cut::Whole).await
    }

    async fn claim(&self, now: Unix, most: usize, lease: Duration, cut: Cut) -> Result<Vec<Claim>> {
        let most = most.min(CLAIMS_MAX);
        let until = now.saturating_add(seconds(lease));
        // Odd enough that no two claims in the life of a row are the same; never 0.
        let token = (self.world().random.u64() >> 1).cast_signed().max(1);
        self.write(0, move |tx| {
            Box::pin(async move {
                let terms = queue_claim::Terms { now, most, until, token };
                queue_claim::claim(tx, &terms, &cut).await
            })
        })
        .await
    }

    /// Holds a claim for `lease` from `now` on. [`Error::LeaseLost`] if it was not ours any more.
    pub async fn renew(&self, claim: &Claim, now: Unix, lease: Duration) -> Result<()> {
        let (ids, token) = (ids(claim), claim.lease);
        let until = now.saturating_add(seconds(lease));
        self.write(0, move |tx| {
            Box::pin(async move {
                check_lease(tx, &ids, token).await?;
                let sql = "UPDATE job_recipient SET lease_until = ?2 \
                           WHERE id IN (SELECT value FROM json_each(?1))";
                sql::query(sql).bind(json!(ids).to_string()).bind(until).execute(&mut tx.connection).await?;
                Ok(())
            })
        })
        .await
    }

    /// Gives a claim back untouched: it is due again at once.
    pub async fn release(&self, claim: Claim) -> Result<()> {
        let ids = ids(&claim);
        self.write(0, move |tx| {
            Box::pin(async move {
                check_lease(tx, &ids, claim.lease).await?;
                tx.effects.rings.queue = true;
                end_leases(tx, &ids).await?;
                rest_if_held(tx, claim.job).await
            })
        })
        .await
    }

    /// Ends all leases: for the start of the one worker, when whoever held them is dead. Returns how many there were.
    pub async fn recover_queue(&self) -> Result<u64> {
        self.write(0, |tx| {
            Box::pin(async move {
                let sql = "UPDATE job_recipient SET lease = 0, lease_until = 0 WHERE lease <> 0";
                let ended = sql::query(sql).execute(&mut tx.connection).await?.rows_affected();
                tx.effects.rings.queue |= ended > 0;
                let sql = "UPDATE job_recipient SET state = 3 \
                           WHERE state = 0 AND job IN (SELECT id FROM job WHERE held IS NOT NULL)";
                sql::query(sql).execute(&mut tx.connection).await?;
                Ok(ended)
            })
        })
        .await
    }

    /// What was put off, or taken in, by a clock that stood later than `now` would wait until that time comes again: it is due
    /// now instead. Returns how many recipients that are. What its sender wanted released later stays (RFC 4865). Who is at
    /// work holds on to it, but nobody for longer than `lease` from now on.
    pub async fn heed_earlier_clock(&self, now: Unix, lease: Duration) -> Result<u64> {
        let until = now.saturating_add(seconds(lease));
        self.write(0, move |tx| {
            Box::pin(async move {
                let sql = "UPDATE job_recipient SET lease_until = ?1 WHERE lease <> 0 AND lease_until > ?1";
                let cut = sql::query(sql).bind(until).execute(&mut tx.connection).await?.rows_affected();
                let sql = "UPDATE job_recipient SET due = ?1 WHERE state IN (0, 3) AND lease = 0 AND due > ?1 \
                           AND (last_at > ?1 OR (last_at IS NULL AND EXISTS (SELECT 1 FROM job \
                           WHERE job.id = job_recipient.job AND arrived > ?1 AND release_at IS NULL)))";
                let due = sql::query(sql).bind(now).execute(&mut tx.connection).await?.rows_affected();
                tx.effects.rings.queue |= due + cut > 0;
                Ok(due)
            })
        })
        .await
    }

    /// When something is due next, or a lease ends. `None`: nothing waits.
    pub async fn next_due(&self) -> Result<Option<Unix>> {
        self.next_due_except(&[]).await
    }

    /// As [`Store::next_due`], without what goes these ways.
    pub async fn next_due_except(&self, except: &[String]) -> Result<Option<Unix>> {
        let sql = "SELECT next FROM lane WHERE name NOT IN (SELECT value FROM json_each(?1)) \
                   ORDER BY next LIMIT 1";
        sql::query_scalar(sql).bind(json!(except).to_string()).fetch_optional(self.readers()).await
    }

    /// The message that a job carries.
    pub async fn job_message(&self, job: JobId) -> Result<Message> {
        Ok(self.carried(job).await?.0)
    }

    /// The same, and whether an administrator holds the job.
    pub async fn carried(&self, job: JobId) -> Result<(Message, Hold)> {
        const SQL: &str = "SELECT j.prefix, b.size, b.place, b.file, o.octets, j.held IS NOT NULL FROM job j \
            JOIN body b ON b.id = j.body LEFT JOIN body_octets o ON o.body = b.id WHERE j.id = ?1";
        let store = self.clone();
        self.readers()
            .read(move |connection| {
                let mut statement = connection.prepare_cached(SQL)?;
                let mut rows = statement.query((job.0,))?;
                let row = rows.next()?.ok_or(Error::NoSuchJob(job))?;
                let (size, place): (i64, i64) = (row.get(1)?, row.get(2)?);
                let (file, octets) = (row.get_ref(3)?.as_str_or_null()?, row.get_ref(4)?.as_blob_or_null()?);
                let received = store.bodies().open(size.unsigned_abs(), place, file, octets)?;
                let hold = if row.get(5)? { Hold::Held } else { Hold::Free };
                Ok((Message { added: row.get(0)?, received }, hold))
            })
            .await
    }
}

fn seconds(duration: Duration) -> i64 {
    i64::try_from(duration.as_secs()).unwrap_or(i64::MAX)
}

pub(crate) fn ids(claim: &Claim) -> Vec<i64> {
    claim.recipients.iter().map(|recipient| recipient.id.0).collect()
}

/// Whether all rows still carry our lease.
async fn check_lease(tx: &mut Tx, ids: &[i64], token: i64) -> Result<()> {
    let sql = "SELECT count(*) FROM job_recipient \
               WHERE id IN (SELECT value FROM json_each(?1)) AND lease = ?2 AND state = 0";
    let query = sql::query_scalar(sql).bind(json!(ids).to_string()).bind(token);
    let held: i64 = query.fetch_one(&mut tx.connection).await?;
    if held.unsigned_abs() == ids.len() as u64 { Ok(()) } else { Err(Error::LeaseLost) }
}

async fn end_leases(tx: &mut Tx, ids: &[i64]) -> Result<()> {
    let sql =
        "UPDATE job_recipient SET lease = 0, lease_until = 0 WHERE id IN (SELECT value FROM json_each(?1))";
    sql::query(sql).bind(json!(ids).to_string()).execute(&mut tx.connection).await?;
    Ok(())
}

/// At most so many octets of a text, whole characters only.
pub(crate) fn cut(text: &str, most: usize) -> &str {
    let mut end = most.min(text.len());
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    &text[..end]
}

/// What nobody is at any more comes to rest if its job is held.
async fn rest_if_held(tx: &mut Tx, job: JobId) -> Result<()> {
    let sql = "UPDATE job_recipient SET state = 3 WHERE job = ?1 AND state = 0 AND lease = 0 \
               AND (SELECT held FROM job WHERE id = ?1) IS NOT NULL";
    sql::query(sql).bind(job.0).execute(&mut tx.connection).await?;
    Ok(())
}

/// Takes a job away, with its recipients, and with its body if nobody else has it.
pub(crate) async fn remove(tx: &mut Tx, job: JobId) -> Result<()> {
    let sql = "DELETE FROM job WHERE id = ?1 RETURNING body";
    let body: Option<i64> = sql::query_scalar(sql).bind(job.0).fetch_optional(&mut tx.connection).await?;
    let body = body.ok_or(Error::NoSuchJob(job))?;
    let sql = "INSERT OR IGNORE INTO loose_body (id) VALUES (?1)";
    sql::query(sql).bind(body).execute(&mut tx.connection).await?;
    tx.queued = tx.queued.saturating_sub(1);
    tx.effects.loose = true;
    Ok(())
}
