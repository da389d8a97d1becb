//! The queue at work: what is due is claimed under a lease, and settled with what came of it.

use crate::accept::Acceptance;
use crate::error::{Error, Result};
use crate::ids::{JobId, RecipientId, Unix};
use crate::package::{self, Accepted};
use crate::queue_list::{JobRecipient, RecipientState};
use crate::queue_row;
use crate::store::Store;
use crate::writer::Tx;
use mail::{Domain, MailParams, Message, Reply, ReversePath};
use serde_json::{Value, json};
use sqlx::Row;
use sqlx::sqlite::SqliteRow;
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
    /// Octets of the whole message.
    pub size: u64,
    /// Of the first recipient, if they are at several.
    pub domain: Domain,
    pub recipients: Vec<JobRecipient>,
    lease: i64,
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

/// How jobs are cut into claims.
enum Cut {
    /// One for each domain; those of the JSON list `except` are left alone.
    ByDomain {
        except: String,
    },
    Whole,
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
        self.claim(now, most, lease, Cut::ByDomain { except: domains(except) }).await
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
        self.write(0, move |tx| Box::pin(async move { claim(tx, now, most, until, token, &cut).await })).await
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
                end_leases(tx, &ids).await
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
                Ok(ended)
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
        let sql = "SELECT max(due, lease_until) FROM job_recipient WHERE state = 0 \
                   AND domain NOT IN (SELECT value FROM json_each(?1)) ORDER BY max(due, lease_until) LIMIT 1";
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

async fn claim(
    tx: &mut Tx,
    now: Unix,
    most: usize,
    until: Unix,
    token: i64,
    cut: &Cut,
) -> Result<Vec<Claim>> {
    // The first rows by due time say which jobs and domains; of those all that is due is taken along.
    const FIND: &str = "SELECT DISTINCT job, domain FROM (SELECT job, domain FROM job_recipient \
        WHERE state = 0 AND max(due, lease_until) <= ?1 \
        AND domain NOT IN (SELECT value FROM json_each(?3)) ORDER BY max(due, lease_until), id LIMIT ?2)";
    const FIND_WHOLE: &str = "SELECT DISTINCT job, domain FROM job_recipient \
        WHERE state = 0 AND max(due, lease_until) <= ?1 AND job IN (SELECT job FROM job_recipient \
        WHERE state = 0 AND max(due, lease_until) <= ?1 ORDER BY max(due, lease_until), id LIMIT ?2) \
        ORDER BY job";
    const TAKE: &str = "UPDATE job_recipient SET lease = ?2, lease_until = ?3 FROM json_each(?4) t \
        WHERE job_recipient.job = t.value ->> 0 AND domain = t.value ->> 1 \
        AND state = 0 AND max(due, lease_until) <= ?1";
    const READ: &str = "SELECT j.id, j.mail_id, j.sender, j.body_type, j.utf8, j.ret, j.envid, j.require_tls, \
        j.arrived, j.size, r.domain, r.id, r.address, r.notify, r.orcpt_kind, r.orcpt, r.state, r.attempts, r.due, \
        r.delay_told, r.last_at, r.last_host, r.last_code, r.last_status, r.last_text \
        FROM json_each(?2) t CROSS JOIN job_recipient r ON r.job = t.value ->> 0 AND r.domain = t.value ->> 1 \
        JOIN job j ON j.id = r.job WHERE r.lease = ?1 ORDER BY t.key, r.id";
    let most = i64::try_from(most).unwrap_or(i64::MAX);
    let find = match cut {
        Cut::ByDomain { except } => sqlx::query_as(FIND).bind(now).bind(most).bind(except.clone()),
        Cut::Whole => sqlx::query_as(FIND_WHOLE).bind(now).bind(most),
    };
    let groups: Vec<(i64, String)> = find.fetch_all(&mut tx.connection).await?;
    if groups.is_empty() {
        return Ok(Vec::new());
    }
    let list = json!(groups).to_string();
    let take = sqlx::query(TAKE).bind(now).bind(token).bind(until).bind(list.clone());
    take.execute(&mut tx.connection).await?;
    let rows = sqlx::query(READ).bind(token).bind(list).fetch_all(&mut tx.connection).await?;
    let mut claims: Vec<Claim> = Vec::with_capacity(groups.len());
    for row in &rows {
        let job = JobId(row.try_get(0)?);
        let domain: &str = row.try_get(10)?;
        let is_same =
            |last: &Claim| last.job == job && (matches!(cut, Cut::Whole) || last.domain.as_str() == domain);
        let open = claims.last_mut().filter(|last| is_same(last));
        let read = crate::queue_list::read_recipient(row, 11, RecipientState::Trying);
        let read = match (open, read) {
            (Some(last), Ok(recipient)) => {
                last.recipients.push(recipient);
                Ok(())
            }
            (None, Ok(recipient)) => {
                read_claim(row, job, domain, recipient, token).map(|claim| claims.push(claim))
            }
            (_, Err(error)) => Err(error),
        };
        if let Err(error) = read {
            // It stays leased, and is told of again when that has run out; the rest of the queue goes on.
            tracing::error!(%job, %error, "a row of the queue cannot be read");
        }
    }
    Ok(claims)
}

fn read_claim(
    row: &SqliteRow,
    job: JobId,
    domain: &str,
    recipient: JobRecipient,
    token: i64,
) -> Result<Claim> {
    let (from, params) = queue_row::read_sender(row, 2)?;
    Ok(Claim {
        job,
        mail_id: row.try_get(1)?,
        from,
        params,
        arrived: row.try_get(8)?,
        size: row.try_get::<i64, _>(9)?.unsigned_abs(),
        domain: Domain::parse(domain)
            .map_err(|error| Error::corrupt(format!("domain {domain:?} in the queue: {error}")))?,
        recipients: vec![recipient],
        lease: token,
    })
}

async fn write_outcomes(tx: &mut Tx, job: JobId, outcomes: &[Outcome]) -> Result<()> {
    const SQL: &str = "UPDATE job_recipient SET state = t.value ->> 1, due = coalesce(t.value ->> 2, due), \
        attempts = attempts + 1, last_at = t.value ->> 3, last_host = t.value ->> 4, last_code = t.value ->> 5, \
        last_status = t.value ->> 6, last_text = t.value ->> 7, delay_told = coalesce(t.value ->> 8, delay_told) \
        FROM json_each(?2) t WHERE job_recipient.id = t.value ->> 0 AND +job_recipient.job = ?1";
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
    };
    let reply = &outcome.reply;
    let mut end = REPLY_KEPT.min(reply.text.len());
    while !reply.text.is_char_boundary(end) {
        end -= 1;
    }
    json!([
        outcome.recipient.0,
        state,
        due,
        outcome.at,
        outcome.host,
        reply.code,
        reply.status.map(|status| status.to_string()),
        &reply.text[..end],
        told
    ])
}

/// Takes the job away if no recipient waits any more.
async fn finish(tx: &mut Tx, job: JobId) -> Result<JobEnd> {
    let sql = "SELECT EXISTS (SELECT 1 FROM job_recipient WHERE job = ?1 AND state = 0)";
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
