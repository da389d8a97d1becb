//! Counters for the TLS reports that we owe: by day, domain, policy and kind of outcome. Texts are the caller's business.

use crate::error::Result;
use crate::sql::{self, Row};
use crate::store::Store;
use crate::writer::Tx;
use serde_json::json;

/// Most domains of one day; those that come later get no report.
pub const TLS_DOMAINS_MAX: u32 = 5000;
/// Most kinds of outcome of one domain and day.
pub const TLS_KINDS_MAX: u32 = 200;

/// Connections of one kind.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TlsSeen {
    /// Days since 1970, UTC.
    pub day: i64,
    pub domain: String,
    pub policy: String,
    /// Empty for those that were as the policy wants them.
    pub detail: String,
    pub count: u64,
}

/// What is to be told of one day to one domain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TlsDue {
    pub day: i64,
    pub domain: String,
    /// Policy, kind of outcome, and how many connections; in the order of the policies.
    pub kinds: Vec<(String, String, u64)>,
}

impl Store {
    /// Adds to the counters.
    pub async fn count_tls(&self, seen: Vec<TlsSeen>) -> Result<()> {
        let octets = seen.iter().map(|one| one.detail.len() + one.policy.len()).sum::<usize>() as u64;
        self.write(octets, move |tx| Box::pin(count(tx, seen))).await
    }

    /// What is to be told of days before `day`, the oldest first, of domains behind the one given.
    pub async fn tls_due(&self, day: i64, after: Option<(i64, String)>) -> Result<Option<TlsDue>> {
        let (after_day, after_domain) = after.unwrap_or((i64::MIN, String::new()));
        let sql = "SELECT day, domain FROM tls_domain WHERE day < ?1 AND (day, domain) > (?2, ?3) \
                   ORDER BY day, domain LIMIT 1";
        let query = sql::query(sql).bind(day).bind(after_day).bind(after_domain);
        let Some(row) = query.fetch_optional(self.readers()).await? else { return Ok(None) };
        let (day, domain): (i64, String) = (row.try_get(0)?, row.try_get(1)?);
        let sql = "SELECT policy, detail, count FROM tls_seen WHERE day = ?1 AND domain = ?2 \
                   ORDER BY policy, detail";
        let rows = sql::query(sql).bind(day).bind(domain.clone()).fetch_all(self.readers()).await?;
        let read = |row: &Row| Ok((row.try_get(0)?, row.try_get(1)?, row.try_get::<i64>(2)?.unsigned_abs()));
        let kinds = rows.iter().map(read).collect::<Result<_>>()?;
        Ok(Some(TlsDue { day, domain, kinds }))
    }

    /// Lets the counters of a day and a domain go.
    pub async fn forget_tls(&self, day: i64, domain: &str) -> Result<()> {
        let domain = domain.to_owned();
        self.write(64, move |tx| {
            Box::pin(async move {
                let sql = "DELETE FROM tls_domain WHERE day = ?1 AND domain = ?2";
                sql::query(sql).bind(day).bind(domain).execute(&mut tx.connection).await?;
                Ok(())
            })
        })
        .await
    }
}

async fn count(tx: &mut Tx, seen: Vec<TlsSeen>) -> Result<()> {
    let rows: Vec<_> = seen
        .into_iter()
        .map(|one| {
            let count = one.count.min(u64::from(u32::MAX));
            json!([one.day, one.domain, one.policy, one.detail, count])
        })
        .collect();
    let rows = json!(rows).to_string();
    let sql = "INSERT INTO tls_domain (day, domain) SELECT value ->> 0, value ->> 1 FROM json_each(?1) \
               WHERE (SELECT count(*) FROM tls_domain d WHERE d.day = value ->> 0) < ?2 \
               ON CONFLICT (day, domain) DO NOTHING";
    sql::query(sql).bind(rows.clone()).bind(TLS_DOMAINS_MAX).execute(&mut tx.connection).await?;
    let sql = "INSERT INTO tls_seen (day, domain, policy, detail, count) \
               SELECT value ->> 0, value ->> 1, value ->> 2, value ->> 3, value ->> 4 FROM json_each(?1) \
               WHERE EXISTS (SELECT 1 FROM tls_domain d WHERE d.day = value ->> 0 AND d.domain = value ->> 1) \
               AND (SELECT count(*) FROM tls_seen s WHERE s.day = value ->> 0 AND s.domain = value ->> 1) < ?2 \
               ON CONFLICT (day, domain, policy, detail) DO UPDATE SET count = min(count + excluded.count, 4294967295)";
    sql::query(sql).bind(rows).bind(TLS_KINDS_MAX).execute(&mut tx.connection).await?;
    Ok(())
}
