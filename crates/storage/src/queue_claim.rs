//! Who is next: lanes by priority and due time, then the first of each, whatever else waits there.

use crate::error::{Error, Result};
use crate::ids::{JobId, Unix};
use crate::queue::Claim;
use crate::queue_list::{JobRecipient, RecipientState, read_recipient};
use crate::queue_row;
use crate::sql::{self, Row};
use crate::writer::Tx;
use mail::Domain;
use serde_json::json;
use std::collections::{HashMap, HashSet};

/// How jobs are cut into claims.
pub(crate) enum Cut {
    /// One for each domain, at most `each` of one lane; those of the JSON list `except` are left alone.
    ByDomain {
        except: String,
        each: usize,
    },
    Whole,
}

/// What is claimed, and how it is held.
pub(crate) struct Terms {
    pub(crate) now: Unix,
    pub(crate) most: usize,
    pub(crate) until: Unix,
    pub(crate) token: i64,
}

/// A job and a domain, as they will be claimed together.
type Group = (i64, String);

/// A group as it is found: when its job was held, and where it goes.
type Found = (i64, String, Option<i64>, String);

/// The priorities in use, highest first: one step down an index for each. Rows come in the order of the loops.
macro_rules! levels {
    ($rest:literal) => {
        concat!(
            "WITH RECURSIVE level(p) AS (SELECT max(priority) FROM lane UNION ALL ",
            "SELECT (SELECT max(priority) FROM lane WHERE priority < level.p) FROM level ",
            "WHERE level.p IS NOT NULL) ",
            $rest
        )
    };
}

pub(crate) const LANES: &str = levels!(
    "SELECT d.name, d.priority FROM level CROSS JOIN lane d INDEXED BY lane_next \
     ON d.priority = level.p AND d.next <= ?1 \
     WHERE d.name NOT IN (SELECT value FROM json_each(?3)) LIMIT ?2 + 0"
);
pub(crate) const FIRST: &str = "SELECT r.job, r.domain, (SELECT held FROM job WHERE id = r.job), r.lane FROM json_each(?2) t \
     CROSS JOIN job_recipient r ON r.id IN (SELECT x.id FROM job_recipient x INDEXED BY job_recipient_lane \
     WHERE x.lane = t.value ->> 0 AND x.priority = t.value ->> 1 AND x.state = 0 \
     AND max(x.due, x.lease_until) <= ?1 ORDER BY max(x.due, x.lease_until), x.id LIMIT ?3 + 0) \
     ORDER BY t.key, max(r.due, r.lease_until), r.id";
pub(crate) const WHOLE: &str = levels!(
    "SELECT r.job FROM level CROSS JOIN job_recipient r INDEXED BY job_recipient_due \
     ON r.priority = level.p AND r.state = 0 AND max(r.due, r.lease_until) <= ?1 LIMIT ?2 + 0"
);
const WHOLE_DOMAINS: &str = "SELECT DISTINCT r.job, r.domain, (SELECT held FROM job WHERE id = r.job), r.lane, t.key \
     FROM json_each(?2) t CROSS JOIN job_recipient r ON r.job = t.value \
     WHERE r.state = 0 AND max(r.due, r.lease_until) <= ?1 ORDER BY t.key, r.domain";
const TAKE: &str = "UPDATE job_recipient SET lease = ?2, lease_until = ?3 FROM json_each(?4) t \
     WHERE job_recipient.job = t.value ->> 0 AND domain = t.value ->> 1 \
     AND state = 0 AND max(due, lease_until) <= ?1";
const READ: &str = "SELECT j.id, j.mail_id, j.sender, j.body_type, j.utf8, j.ret, j.envid, j.require_tls, \
     j.priority, j.by_seconds, j.by_mode, j.arrived, j.release_at, j.size, r.domain, r.id, r.address, r.notify, \
     r.orcpt_kind, r.orcpt, r.state, r.attempts, r.due, r.delay_told, r.last_at, r.last_host, r.last_code, \
     r.last_status, r.last_text, j.client, j.release_for \
     FROM json_each(?2) t CROSS JOIN job_recipient r ON r.job = t.value ->> 0 AND r.domain = t.value ->> 1 \
     JOIN job j ON j.id = r.job WHERE r.lease = ?1 ORDER BY t.key, r.id";

pub(crate) async fn claim(tx: &mut Tx, terms: &Terms, cut: &Cut) -> Result<Vec<Claim>> {
    let groups = match cut {
        Cut::ByDomain { except, each } => by_domain(tx, terms, except, *each).await?,
        Cut::Whole => whole(tx, terms).await?,
    };
    if groups.is_empty() {
        return Ok(Vec::new());
    }
    let list = json!(groups).to_string();
    let take = sql::query(TAKE).bind(terms.now).bind(terms.token).bind(terms.until).bind(list.clone());
    take.execute(&mut tx.connection).await?;
    let rows = sql::query(READ).bind(terms.token).bind(list).fetch_all(&mut tx.connection).await?;
    let mut claims: Vec<Claim> = Vec::with_capacity(groups.len());
    for row in &rows {
        let job = JobId(row.try_get(0)?);
        let domain = row.text(14)?;
        let is_same =
            |last: &Claim| last.job == job && (matches!(cut, Cut::Whole) || last.domain.as_str() == domain);
        let open = claims.last_mut().filter(|last| is_same(last));
        let read = read_recipient(row, 15, RecipientState::Trying);
        let read = match (open, read) {
            (Some(last), Ok(recipient)) => {
                last.recipients.push(recipient);
                Ok(())
            }
            (None, Ok(recipient)) => {
                read_claim(row, job, domain, recipient, terms.token).map(|claim| claims.push(claim))
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

fn limit(number: usize) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

/// The first jobs of each lane: a round of one each, then the second of each, and so on.
async fn by_domain(tx: &mut Tx, terms: &Terms, except: &str, each: usize) -> Result<Vec<Group>> {
    let find = sql::query_as(LANES).bind(terms.now).bind(limit(terms.most)).bind(except.to_owned());
    let places: Vec<(String, i64)> = find.fetch_all(&mut tx.connection).await?;
    if places.is_empty() {
        return Ok(Vec::new());
    }
    let each = each.min(terms.most);
    let find = sql::query_as(FIRST).bind(terms.now).bind(json!(places).to_string()).bind(limit(each));
    let rows: Vec<Found> = find.fetch_all(&mut tx.connection).await?;
    let mut ranks: HashMap<String, usize> = HashMap::new();
    let mut ranked: Vec<(usize, Group)> = Vec::new();
    for (group, lane) in free(tx, rows).await? {
        let rank = ranks.entry(lane).or_default();
        *rank += 1;
        ranked.push((*rank, group));
    }
    ranked.sort_by_key(|(rank, _)| *rank);
    Ok(ranked.into_iter().map(|(_, group)| group).take(terms.most).collect())
}

async fn whole(tx: &mut Tx, terms: &Terms) -> Result<Vec<Group>> {
    let find = sql::query_scalar(WHOLE).bind(terms.now).bind(limit(terms.most));
    let found: Vec<i64> = find.fetch_all(&mut tx.connection).await?;
    let mut seen = HashSet::new();
    let jobs: Vec<i64> = found.into_iter().filter(|job| seen.insert(*job)).collect();
    if jobs.is_empty() {
        return Ok(Vec::new());
    }
    let find = sql::query_as(WHOLE_DOMAINS).bind(terms.now).bind(json!(jobs).to_string());
    let rows: Vec<(i64, String, Option<i64>, String, i64)> = find.fetch_all(&mut tx.connection).await?;
    let rows = rows.into_iter().map(|(job, domain, held, lane, _)| (job, domain, held, lane)).collect();
    Ok(free(tx, rows).await?.into_iter().map(|(group, _)| group).collect())
}

/// Each group once, with where it goes, without those of jobs that are held: whoever was at these has not come back, and they come to rest now.
async fn free(tx: &mut Tx, rows: Vec<Found>) -> Result<Vec<(Group, String)>> {
    let (mut groups, mut held): (Vec<(Group, String)>, Vec<i64>) = (Vec::new(), Vec::new());
    let mut seen = HashSet::new();
    for (job, domain, since, lane) in rows {
        if since.is_some() {
            held.push(job);
        } else if seen.insert((job, domain.clone())) {
            groups.push(((job, domain), lane));
        }
    }
    if !held.is_empty() {
        let sql = "UPDATE job_recipient SET state = 3, lease = 0, lease_until = 0 \
                   WHERE state = 0 AND lease_until <= ?2 AND job IN (SELECT value FROM json_each(?1))";
        let rest = sql::query(sql).bind(json!(held).to_string()).bind(tx.now);
        rest.execute(&mut tx.connection).await?;
    }
    Ok(groups)
}

fn read_claim(row: &Row, job: JobId, domain: &str, recipient: JobRecipient, token: i64) -> Result<Claim> {
    let (from, params) = queue_row::read_sender(row, 2)?;
    let (arrived, release_at) = (row.try_get(11)?, row.try_get::<Option<i64>>(12)?);
    Ok(Claim {
        job,
        mail_id: row.try_get(1)?,
        from,
        params,
        arrived,
        released: release_at.unwrap_or(arrived),
        release: queue_row::read_release(release_at, row.try_get(30)?),
        size: row.try_get::<i64>(13)?.unsigned_abs(),
        domain: Domain::parse(domain)
            .map_err(|error| Error::corrupt(format!("domain {domain:?} in the queue: {error}")))?,
        recipients: vec![recipient],
        client: queue_row::read_client(row.try_get::<Option<String>>(29)?.as_deref()),
        lease: token,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    /// How SQLite would answer, a step a line.
    fn plan(text: &str) -> String {
        let connection = rusqlite::Connection::open_in_memory().unwrap();
        crate::schema::make(&connection).unwrap();
        let query = sql::query(format!("EXPLAIN QUERY PLAN {text}"));
        let rows = query.bind(1).bind("[]").bind("[]").bind("[]").rows(&connection).unwrap();
        rows.iter().map(|row| row.text(3).unwrap().replace("COVERING ", "") + "\n").collect()
    }

    /// However much waits, only what is taken is looked at: each step is down an index, and nothing is sorted before a limit.
    #[test]
    fn the_next_is_found_by_indexes_alone() {
        let destinations = plan(LANES);
        assert!(
            destinations.contains("SEARCH d USING INDEX lane_next (priority=? AND next<?)"),
            "{destinations}"
        );
        assert!(!destinations.contains("SCAN d") && !destinations.contains("TEMP B-TREE"), "{destinations}");
        assert!(!destinations.contains("SCAN lane"), "{destinations}");
        let first = plan(FIRST);
        let index = "SEARCH x USING INDEX job_recipient_lane (lane=? AND priority=? AND <expr><?)";
        assert!(first.contains(index), "{first}");
        assert!(first.contains("SEARCH r USING INTEGER PRIMARY KEY"), "{first}");
        // What is sorted in the end is what is taken; within a destination nothing is.
        assert_eq!(first.matches("TEMP B-TREE").count(), 1, "{first}");
        assert!(first.trim_end().ends_with("USE TEMP B-TREE FOR ORDER BY"), "{first}");
        let whole = plan(WHOLE);
        assert!(
            whole.contains("SEARCH r USING INDEX job_recipient_due (priority=? AND <expr><?)"),
            "{whole}"
        );
        assert!(!whole.contains("TEMP B-TREE") && !whole.contains("SCAN r"), "{whole}");
        let next = plan(
            "SELECT next FROM lane WHERE name NOT IN (SELECT value FROM json_each(?1)) ORDER BY next LIMIT 1",
        );
        assert!(next.contains("lane_first") && !next.contains("FOR ORDER BY"), "{next}");
        let take = plan(TAKE);
        assert!(take.contains("job_recipient_job (job=? AND domain=?)"), "{take}");
    }
}
