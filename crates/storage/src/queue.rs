//! The queue at work: what is due is claimed under a lease, and settled with what came of it.

use crate::accept::Acceptance;
use crate::attempt::{self, Attempt};
use crate::error::{Error, Result};
use crate::failing::{self, Verdict};
use crate::ids::{JobId, RecipientId, Unix};
use crate::package::{self, Accepted};
use crate::queue_claim::{self, Cut};
use crate::queue_list::JobRecipient;
use crate::store::Store;
use crate::writer::Tx;
use mail::{Client, Domain, MailParams, Message, Reply, ReversePath};
use serde_json::{Value, json};
use sqlx::Row;
use std::collections::{HashMap, HashSet};
use std::time::Duration;

/// Most claims that one call of [`Store::claim_due`] returns.
pub const CLAIMS_MAX: usize = 1000;
/// Longest text of a reply that is kept, in octets.
const REPLY_KEPT: usize = 4096;

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

    /// As [`Store::claim_due`], but leaves alone what goes to these domains: they have as much work under way as they may have.
    pub async fn claim_due_except(
        &self,
        now: Unix,
        most: usize,
        lease: Duration,
        except: &[Domain],
    ) -> Result<Vec<Claim>> {
        self.claim_fairly(now, most, most, lease, except).await
    }

    /// As [`Store::claim_due_except`], but with at most `each` claims for one domain. The highest priority comes first, and
    /// of one priority the domain whose work is due the longest. Costs the same however much waits.
    pub async fn claim_fairly(
        &self,
        now: Unix,
        most: usize,
        each: usize,
        lease: Duration,
        except: &[Domain],
    ) -> Result<Vec<Claim>> {
        self.claim(now, most, lease, Cut::ByDomain { except: domains(except), each: each.max(1) }).await
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
                sqlx::query(sql).bind(json!(ids).to_string()).bind(until).execute(&mut tx.connection).await?;
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
                let ended = sqlx::query(sql).execute(&mut tx.connection).await?.rows_affected();
                tx.effects.rings.queue |= ended > 0;
                let sql = "UPDATE job_recipient SET state = 3 \
                           WHERE state = 0 AND job IN (SELECT id FROM job WHERE held IS NOT NULL)";
                sqlx::query(sql).execute(&mut tx.connection).await?;
                Ok(ended)
            })
        })
        .await
    }

    /// What was put off, or taken in, by a clock that stood later than `now` would wait until that time comes again: it is due
    /// now instead. Returns how many recipients that are. What its sender wanted released later stays
    /// (RFC 4865), and leases end as they would.
    pub async fn heed_earlier_clock(&self, now: Unix) -> Result<u64> {
        self.write(0, move |tx| {
            Box::pin(async move {
                let sql = "UPDATE job_recipient SET due = ?1 WHERE state IN (0, 3) AND lease = 0 AND due > ?1 \
                           AND (last_at > ?1 OR (last_at IS NULL AND EXISTS (SELECT 1 FROM job \
                           WHERE job.id = job_recipient.job AND arrived > ?1 AND release_at IS NULL)))";
                let due = sqlx::query(sql).bind(now).execute(&mut tx.connection).await?.rows_affected();
                tx.effects.rings.queue |= due > 0;
                Ok(due)
            })
        })
        .await
    }

    /// Writes down what came of a claim, together with the notices about it, in one transaction. Recipients without an
    /// outcome are due again at once. [`Error::LeaseLost`]: nothing was written.
    pub async fn settle(
        &self,
        claim: Claim,
        outcomes: Vec<Outcome>,
        notices: Vec<Acceptance>,
    ) -> Result<Settled> {
        self.settle_all(claim, Settlement { outcomes, notices, ..Settlement::default() }).await
    }

    /// As [`Store::settle`], with what the hosts said.
    pub async fn settle_all(&self, claim: Claim, settlement: Settlement) -> Result<Settled> {
        let Settlement { outcomes, notices, attempts, verdicts } = settlement;
        let (packages, room) = self.pack(notices).await?;
        let octets = packages.iter().map(package::Package::octets).sum();
        self.write_in(room, octets, move |tx| {
            Box::pin(async move {
                let ids = ids(&claim);
                check_lease(tx, &ids, claim.lease).await?;
                end_leases(tx, &ids).await?;
                // Whoever settles knows of the new due times; only what is due at once again is rung for.
                let told: HashSet<i64> = outcomes.iter().map(|outcome| outcome.recipient.0).collect();
                tx.effects.rings.queue |= !ids.iter().all(|id| told.contains(id));
                attempt::write(tx, &claim, &attempts).await?;
                failing::learn(tx, &verdicts).await?;
                write_outcomes(tx, claim.job, &outcomes).await?;
                let job = finish(tx, claim.job).await?;
                let notices = if packages.is_empty() {
                    Vec::new()
                } else {
                    let stored = package::store(tx, &[&packages]).await?;
                    stored.into_iter().next().unwrap_or_else(|| Err(Error::bug("no outcome")))?
                };
                Ok(Settled { job, notices })
            })
        })
        .await
    }

    /// When something is due next, or a lease ends. `None`: nothing waits.
    pub async fn next_due(&self) -> Result<Option<Unix>> {
        self.next_due_except(&[]).await
    }

    /// As [`Store::next_due`], without what goes to these domains.
    pub async fn next_due_except(&self, except: &[Domain]) -> Result<Option<Unix>> {
        let sql = "SELECT next FROM destination WHERE domain NOT IN (SELECT value FROM json_each(?1)) \
                   ORDER BY next LIMIT 1";
        Ok(sqlx::query_scalar(sql).bind(domains(except)).fetch_optional(self.readers()).await?)
    }

    /// The message that a job carries.
    pub async fn job_message(&self, job: JobId) -> Result<Message> {
        let sql = "SELECT j.prefix, b.size, b.place, b.file, o.octets FROM job j JOIN body b ON b.id = j.body \
                   LEFT JOIN body_octets o ON o.body = b.id WHERE j.id = ?1";
        let row = sqlx::query(sql).bind(job.0).fetch_optional(self.readers()).await?;
        let row = row.ok_or(Error::NoSuchJob(job))?;
        Ok(Message { added: row.try_get(0)?, received: self.bodies().read(&row, 1)? })
    }
}

fn domains(list: &[Domain]) -> String {
    json!(list.iter().map(Domain::as_str).collect::<Vec<_>>()).to_string()
}

fn seconds(duration: Duration) -> i64 {
    i64::try_from(duration.as_secs()).unwrap_or(i64::MAX)
}

fn ids(claim: &Claim) -> Vec<i64> {
    claim.recipients.iter().map(|recipient| recipient.id.0).collect()
}

/// Whether all rows still carry our lease.
async fn check_lease(tx: &mut Tx, ids: &[i64], token: i64) -> Result<()> {
    let sql = "SELECT count(*) FROM job_recipient \
               WHERE id IN (SELECT value FROM json_each(?1)) AND lease = ?2 AND state = 0";
    let query = sqlx::query_scalar(sql).bind(json!(ids).to_string()).bind(token);
    let held: i64 = query.fetch_one(&mut tx.connection).await?;
    if held.unsigned_abs() == ids.len() as u64 { Ok(()) } else { Err(Error::LeaseLost) }
}

async fn end_leases(tx: &mut Tx, ids: &[i64]) -> Result<()> {
    let sql =
        "UPDATE job_recipient SET lease = 0, lease_until = 0 WHERE id IN (SELECT value FROM json_each(?1))";
    sqlx::query(sql).bind(json!(ids).to_string()).execute(&mut tx.connection).await?;
    Ok(())
}

async fn write_outcomes(tx: &mut Tx, job: JobId, outcomes: &[Outcome]) -> Result<()> {
    // Each statement names ?1, or ?1 and ?2: sqlx numbers the parameters of a statement without gaps. What is held comes to
    // rest once nobody is at it.
    const SQL: &str = "
        UPDATE job_recipient SET state = t.value ->> 1, due = coalesce(t.value ->> 2, due),
            attempts = attempts + (t.value ->> 9), last_at = coalesce(t.value ->> 3, last_at),
            last_host = coalesce(t.value ->> 4, last_host), last_code = coalesce(t.value ->> 5, last_code),
            last_status = iif(t.value ->> 9, t.value ->> 6, last_status),
            last_text = coalesce(t.value ->> 7, last_text), delay_told = coalesce(t.value ->> 8, delay_told)
            FROM json_each(?2) t WHERE job_recipient.id = t.value ->> 0 AND +job_recipient.job = ?1;
        UPDATE job_recipient SET state = 3 WHERE job = ?1 AND state = 0 AND lease = 0
            AND (SELECT held FROM job WHERE id = ?1) IS NOT NULL;";
    // The plus keeps SQLite from going through all recipients of the job for each outcome.
    // The last word counts if a recipient is named twice.
    let outcomes: HashMap<RecipientId, &Outcome> =
        outcomes.iter().map(|outcome| (outcome.recipient, outcome)).collect();
    let rows: Vec<Value> = outcomes.into_values().map(outcome_row).collect();
    let query = sqlx::query(SQL).bind(job.0).bind(Value::Array(rows).to_string());
    query.execute(&mut tx.connection).await?;
    Ok(())
}

fn outcome_row(outcome: &Outcome) -> Value {
    let (state, due, told) = match outcome.next {
        Next::Delivered => (1, None, None),
        Next::Failed => (2, None, None),
        Next::Again { due } => (0, Some(due), None),
        Next::AgainTold { due } => (0, Some(due), Some(outcome.at)),
        Next::Later { due } => {
            let none = Value::Null;
            return json!([outcome.recipient.0, 0, due, none, none, none, none, none, none, 0]);
        }
    };
    let reply = &outcome.reply;
    json!([
        outcome.recipient.0,
        state,
        due,
        outcome.at,
        outcome.host,
        reply.code,
        reply.status.map(|status| status.to_string()),
        cut(&reply.text, REPLY_KEPT),
        told,
        1
    ])
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
    sqlx::query(sql).bind(job.0).execute(&mut tx.connection).await?;
    Ok(())
}

/// Takes the job away if no recipient waits any more.
async fn finish(tx: &mut Tx, job: JobId) -> Result<JobEnd> {
    let sql = "SELECT EXISTS (SELECT 1 FROM job_recipient WHERE job = ?1 AND state IN (0, 3))";
    if sqlx::query_scalar(sql).bind(job.0).fetch_one(&mut tx.connection).await? {
        return Ok(JobEnd::GoesOn);
    }
    remove(tx, job).await?;
    Ok(JobEnd::Finished)
}

/// Takes a job away, with its recipients, and with its body if nobody else has it.
pub(crate) async fn remove(tx: &mut Tx, job: JobId) -> Result<()> {
    let sql = "DELETE FROM job WHERE id = ?1 RETURNING body";
    let body: Option<i64> = sqlx::query_scalar(sql).bind(job.0).fetch_optional(&mut tx.connection).await?;
    let body = body.ok_or(Error::NoSuchJob(job))?;
    let sql = "INSERT OR IGNORE INTO loose_body (id) VALUES (?1)";
    sqlx::query(sql).bind(body).execute(&mut tx.connection).await?;
    tx.queued = tx.queued.saturating_sub(1);
    tx.effects.loose = true;
    Ok(())
}
