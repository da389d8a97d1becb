//! What came of attempts, written down: states, attempts and jobs that are done with, of many claims with the same few statements,
//! so that the cost of a statement is shared by all who settle at the same time.

use crate::attempt;
use crate::error::{Error, Result};
use crate::failing::{self, Verdict};
use crate::ids::JobId;
use crate::package::{self, Package};
use crate::queue::{Claim, JobEnd, Next, Outcome, REPLY_KEPT, Settled, Settlement, cut, ids};
use crate::sql;
use crate::store::Store;
use crate::writer::Tx;
use mail::Reply;
use serde_json::{Value, json};
use std::collections::{HashMap, HashSet};

/// One settlement, with all that can be made of it before the writer sees it.
pub(crate) struct Settling {
    job: JobId,
    lease: i64,
    /// The recipients of the claim.
    ids: Vec<i64>,
    /// What becomes of recipients, as the statement below takes it.
    recipients: Vec<Value>,
    attempts: Vec<Value>,
    /// Addresses that take mail.
    reached: Vec<String>,
    /// Some are due again at once.
    rings: bool,
}

impl Settling {
    fn new(
        claim: &Claim,
        outcomes: Vec<Outcome>,
        attempts: &[attempt::Attempt],
        verdicts: &[Verdict],
    ) -> Self {
        let ids = ids(claim);
        // The last word counts if a recipient is named twice.
        let outcomes: HashMap<i64, Outcome> =
            outcomes.into_iter().map(|outcome| (outcome.recipient.0, outcome)).collect();
        let untold = ids.iter().filter(|id| !outcomes.contains_key(id));
        let mut recipients: Vec<Value> = untold.map(|id| json!([id, claim.job.0, 1])).collect();
        let rings = !recipients.is_empty();
        let held: HashSet<i64> = ids.iter().copied().collect();
        for (id, outcome) in &outcomes {
            recipients.push(outcome_row(claim.job, outcome, i64::from(held.contains(id))));
        }
        let reached = verdicts.iter().filter_map(|verdict| match verdict {
            Verdict::Reached { address } => Some(address.clone()),
            Verdict::Refused { .. } => None,
        });
        Self {
            job: claim.job,
            lease: claim.lease,
            recipients,
            attempts: attempts.iter().map(|attempt| attempt::row(claim, attempt)).collect(),
            reached: reached.collect(),
            rings,
            ids,
        }
    }

    /// About how much it writes.
    fn octets(&self) -> u64 {
        500 * (self.recipients.len() + self.attempts.len()) as u64
    }
}

impl Store {
    /// Writes down what came of a claim, together with the notices about it, in one transaction. Recipients without an
    /// outcome are due again at once. [`Error::LeaseLost`]: nothing was written.
    pub async fn settle(
        &self,
        claim: Claim,
        outcomes: Vec<Outcome>,
        notices: Vec<crate::Acceptance>,
    ) -> Result<Settled> {
        self.settle_all(claim, Settlement { outcomes, notices, ..Settlement::default() }).await
    }

    /// As [`Store::settle`], with what the hosts said.
    pub async fn settle_all(&self, claim: Claim, settlement: Settlement) -> Result<Settled> {
        let Settlement { outcomes, notices, attempts, verdicts } = settlement;
        let settling = Settling::new(&claim, outcomes, &attempts, &verdicts);
        let refused: Vec<Verdict> =
            verdicts.into_iter().filter(|verdict| matches!(verdict, Verdict::Refused { .. })).collect();
        if notices.is_empty() && refused.is_empty() {
            let job = self.write_settling(settling).await?;
            return Ok(Settled { job, notices: Vec::new() });
        }
        let (packages, room) = self.pack(notices).await?;
        let octets = packages.iter().map(Package::octets).sum::<u64>() + settling.octets();
        self.write_in(room, octets, move |tx| {
            Box::pin(async move {
                let ended = write(tx, &[&settling]).await?;
                let job = ended.into_iter().next().unwrap_or_else(|| Err(Error::bug("no outcome")))?;
                failing::learn(tx, &refused).await?;
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

    async fn write_settling(&self, settling: Settling) -> Result<JobEnd> {
        let octets = settling.octets();
        let room = self.desk().room(octets).await?;
        self.desk().settle(settling, octets, room).await
    }
}

/// `[id, job, ours, state, due, at, host, code, status, text, told, attempts]`; what is missing at the end stays as it was.
fn outcome_row(job: JobId, outcome: &Outcome, ours: i64) -> Value {
    let (state, due, told) = match outcome.next {
        Next::Delivered => (1, None, None),
        Next::Failed => (2, None, None),
        Next::Again { due } => (0, Some(due), None),
        Next::AgainTold { due } => (0, Some(due), Some(outcome.at)),
        Next::Later { due } => return json!([outcome.recipient.0, job.0, ours, 0, due]),
    };
    let Reply { code, status, text } = &outcome.reply;
    json!([
        outcome.recipient.0,
        job.0,
        ours,
        state,
        due,
        outcome.at,
        outcome.host,
        code,
        status.map(|status| status.to_string()),
        cut(text, REPLY_KEPT),
        told,
        1
    ])
}

/// Writes all that still hold their leases; the others are told that theirs are lost. `Err` is trouble for all.
pub(crate) async fn write(tx: &mut Tx, all: &[&Settling]) -> Result<Vec<Result<JobEnd>>> {
    // What is held comes to rest once nobody is at it. The plus keeps SQLite from going through all recipients of a job for each outcome.
    const SQL: &str = "
        INSERT INTO attempt (mail_id, job, at, domain, recipients, recipient_count, host, address, tls, result, code,
                status, text)
            SELECT value ->> 0, value ->> 1, value ->> 2, value ->> 3, value ->> 4, value ->> 5, value ->> 6,
                value ->> 7, value ->> 8, value ->> 9, value ->> 10, value ->> 11, value ->> 12
            FROM json_each(?1, '$.attempts');
        DELETE FROM attempt WHERE id IN (SELECT a.id FROM json_each(?1, '$.jobs') t CROSS JOIN attempt a
            ON a.job = t.value AND a.id <= (SELECT id FROM attempt WHERE job = t.value ORDER BY id DESC
                LIMIT 1 OFFSET json_extract(?1, '$.attempts_max')));
        DELETE FROM failing WHERE until IS NOT NULL
            AND address IN (SELECT value FROM json_each(?1, '$.reached'));
        UPDATE job_recipient SET lease = iif(t.value ->> 2, 0, lease), lease_until = iif(t.value ->> 2, 0, lease_until),
            state = coalesce(t.value ->> 3, state), due = coalesce(t.value ->> 4, due),
            attempts = attempts + coalesce(t.value ->> 11, 0), last_at = coalesce(t.value ->> 5, last_at),
            last_host = coalesce(t.value ->> 6, last_host), last_code = coalesce(t.value ->> 7, last_code),
            last_status = iif(t.value ->> 11, t.value ->> 8, last_status),
            last_text = coalesce(t.value ->> 9, last_text), delay_told = coalesce(t.value ->> 10, delay_told)
            FROM json_each(?1, '$.recipients') t
            WHERE job_recipient.id = t.value ->> 0 AND +job_recipient.job = t.value ->> 1;
        UPDATE job_recipient SET state = 3 WHERE job IN (SELECT value FROM json_each(?1, '$.jobs'))
            AND state = 0 AND lease = 0 AND (SELECT held FROM job WHERE id = job_recipient.job) IS NOT NULL;
        INSERT OR IGNORE INTO loose_body (id) SELECT body FROM job
            WHERE id IN (SELECT value FROM json_each(?1, '$.jobs'))
            AND NOT EXISTS (SELECT 1 FROM job_recipient r WHERE r.job = job.id AND r.state IN (0, 3));
        DELETE FROM job WHERE id IN (SELECT value FROM json_each(?1, '$.jobs'))
            AND NOT EXISTS (SELECT 1 FROM job_recipient r WHERE r.job = job.id AND r.state IN (0, 3))
            RETURNING id;";
    let ours = held(tx, all).await?;
    let mine: Vec<&&Settling> =
        all.iter().zip(&ours).filter(|(_, ours)| **ours).map(|(one, _)| one).collect();
    let join =
        |list: fn(&Settling) -> &[Value]| -> Vec<&Value> { mine.iter().flat_map(|one| list(one)).collect() };
    let jobs: HashSet<i64> = mine.iter().map(|one| one.job.0).collect();
    let lists = json!({
        "recipients": join(|one| &one.recipients),
        "attempts": join(|one| &one.attempts),
        "reached": mine.iter().flat_map(|one| &one.reached).collect::<Vec<_>>(),
        "jobs": jobs,
        "attempts_max": attempt::ATTEMPTS_PER_JOB_MAX,
    });
    let mut finished = HashSet::new();
    if !mine.is_empty() {
        let rows = sql::query(SQL).bind(lists.to_string()).fetch_all(&mut tx.connection).await?;
        for row in rows {
            finished.insert(row.try_get::<i64>(0)?);
        }
    }
    tx.queued = tx.queued.saturating_sub(finished.len() as u64);
    tx.effects.loose |= !finished.is_empty();
    // Whoever settles knows of the new due times; only what is due at once again is rung for.
    tx.effects.rings.queue |= mine.iter().any(|one| one.rings);
    let end = |one: &&Settling| match finished.contains(&one.job.0) {
        true => JobEnd::Finished,
        false => JobEnd::GoesOn,
    };
    Ok(all
        .iter()
        .zip(ours)
        .map(|(one, ours)| if ours { Ok(end(one)) } else { Err(Error::LeaseLost) })
        .collect())
}

/// Which of them still hold the leases of all their recipients; of two for the same recipient, only the first does.
async fn held(tx: &mut Tx, all: &[&Settling]) -> Result<Vec<bool>> {
    const HELD: &str = "SELECT t.key, count(*) FROM json_each(?1) t CROSS JOIN json_each(t.value ->> 1) i \
        CROSS JOIN job_recipient r ON r.id = i.value WHERE r.lease = t.value ->> 0 AND r.state = 0 GROUP BY t.key";
    let list: Vec<Value> = all.iter().map(|one| json!([one.lease, one.ids])).collect();
    let query = sql::query_as(HELD).bind(Value::Array(list).to_string());
    let counts: Vec<(i64, i64)> = query.fetch_all(&mut tx.connection).await?;
    let counts: HashMap<i64, i64> = counts.into_iter().collect();
    let count = |at: usize| i64::try_from(at).ok().and_then(|at| counts.get(&at)).copied().unwrap_or(0);
    let mut seen = HashSet::new();
    let mut is_held = |(at, one): (usize, &&Settling)| {
        count(at).unsigned_abs() == one.ids.len() as u64 && one.ids.iter().all(|id| seen.insert(*id))
    };
    Ok(all.iter().enumerate().map(&mut is_held).collect())
}
