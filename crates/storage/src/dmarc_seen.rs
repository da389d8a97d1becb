//! Counters for the DMARC reports that we owe: by day, domain and kind of mail. Texts are the caller's business.

use crate::error::Result;
use crate::sql::{self, Row};
use crate::store::Store;
use crate::writer::Tx;
use serde_json::json;

/// Most domains of one day; those that come later get no report.
pub const DMARC_DOMAINS_MAX: u32 = 2000;
/// Most kinds of mail of one domain and day.
pub const DMARC_KINDS_MAX: u32 = 500;

/// Messages of one kind.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DmarcSeen {
    /// Days since 1970, UTC.
    pub day: i64,
    /// Where the record stands.
    pub domain: String,
    pub policy: String,
    pub detail: String,
    pub count: u64,
}

/// What is to be told of one day to one domain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DmarcDue {
    pub day: i64,
    pub domain: String,
    pub policy: String,
    /// Kinds of mail and how much of each.
    pub kinds: Vec<(String, u64)>,
}

impl Store {
    /// Adds to the counters.
    pub async fn count_dmarc(&self, seen: Vec<DmarcSeen>) -> Result<()> {
        let octets = seen.iter().map(|one| one.detail.len() + one.policy.len()).sum::<usize>() as u64;
        self.write(octets, move |tx| Box::pin(count(tx, seen))).await
    }

    /// What is to be told of days before `day`, the oldest first, of domains behind the one given.
    pub async fn dmarc_due(&self, day: i64, after: Option<(i64, String)>) -> Result<Option<DmarcDue>> {
        let (after_day, after_domain) = after.unwrap_or((i64::MIN, String::new()));
        let sql = "SELECT day, domain, policy FROM dmarc_domain WHERE day < ?1 AND (day, domain) > (?2, ?3) \
                   ORDER BY day, domain LIMIT 1";
        let query = sql::query(sql).bind(day).bind(after_day).bind(after_domain);
        let Some(row) = query.fetch_optional(self.readers()).await? else { return Ok(None) };
        let (day, domain): (i64, String) = (row.try_get(0)?, row.try_get(1)?);
        let sql = "SELECT detail, count FROM dmarc_seen WHERE day = ?1 AND domain = ?2 ORDER BY detail";
        let rows = sql::query(sql).bind(day).bind(domain.clone()).fetch_all(self.readers()).await?;
        let read = |row: &Row| Ok((row.try_get(0)?, row.try_get::<i64>(1)?.unsigned_abs()));
        let kinds = rows.iter().map(read).collect::<Result<_>>()?;
        Ok(Some(DmarcDue { day, domain, policy: row.try_get(2)?, kinds }))
    }

    /// Lets the counters of a day and a domain go.
    pub async fn forget_dmarc(&self, day: i64, domain: &str) -> Result<()> {
        let domain = domain.to_owned();
        self.write(64, move |tx| {
            Box::pin(async move {
                let sql = "DELETE FROM dmarc_domain WHERE day = ?1 AND domain = ?2";
                sql::query(sql).bind(day).bind(domain).execute(&mut tx.connection).await?;
                Ok(())
            })
        })
        .await
    }
}

async fn count(tx: &mut Tx, seen: Vec<DmarcSeen>) -> Result<()> {
    let rows: Vec<_> = seen
        .into_iter()
        .map(|one| {
            let count = one.count.min(u64::from(u32::MAX));
            json!([one.day, one.domain, one.policy, one.detail, count])
        })
        .collect();
    let rows = json!(rows).to_string();
    let sql = "INSERT INTO dmarc_domain (day, domain, policy) \
               SELECT value ->> 0, value ->> 1, value ->> 2 FROM json_each(?1) \
               WHERE (SELECT count(*) FROM dmarc_domain d WHERE d.day = value ->> 0) < ?2 \
               ON CONFLICT (day, domain) DO UPDATE SET policy = excluded.policy";
    sql::query(sql).bind(rows.clone()).bind(DMARC_DOMAINS_MAX).execute(&mut tx.connection).await?;
    let sql = "INSERT INTO dmarc_seen (day, domain, detail, count) \
               SELECT value ->> 0, value ->> 1, value ->> 3, value ->> 4 FROM json_each(?1) \
               WHERE EXISTS (SELECT 1 FROM dmarc_domain d WHERE d.day = value ->> 0 AND d.domain = value ->> 1) \
               AND (SELECT count(*) FROM dmarc_seen s WHERE s.day = value ->> 0 AND s.domain = value ->> 1) < ?2 \
               ON CONFLICT (day, domain, detail) DO UPDATE SET count = min(count + excluded.count, 4294967295)";
    sql::query(sql).bind(rows).bind(DMARC_KINDS_MAX).execute(&mut tx.connection).await?;
    Ok(())
}
