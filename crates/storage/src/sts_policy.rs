//! Policies of MTA-STS that were fetched. Their texts are the caller's business.

use crate::error::Result;
use crate::ids::Unix;
use crate::sql::{self, Row};
use crate::store::Store;

/// Most policies that are kept; those that were used longest ago go first.
pub const STS_POLICIES_MAX: u32 = 20_000;
/// Most policies that one call of [`Store::sts_to_refresh`] returns.
pub const STS_REFRESH_MAX: u32 = 200;

/// A policy that is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StsPolicyRow {
    pub domain: String,
    /// The id in the record of the domain when it was fetched.
    pub version: String,
    pub policy: String,
    pub fetched: Unix,
    pub expires: Unix,
    /// When mail last went by it.
    pub used: Unix,
    /// When it was last looked for a newer one.
    pub tried: Unix,
}

const COLUMNS: &str = "domain, version, policy, fetched, expires, used, tried";

fn read(row: &Row) -> Result<StsPolicyRow> {
    Ok(StsPolicyRow {
        domain: row.try_get(0)?,
        version: row.try_get(1)?,
        policy: row.try_get(2)?,
        fetched: row.try_get(3)?,
        expires: row.try_get(4)?,
        used: row.try_get(5)?,
        tried: row.try_get(6)?,
    })
}

impl Store {
    /// The policy of a domain, if one is kept; it may have expired.
    pub async fn sts_policy(&self, domain: &str) -> Result<Option<StsPolicyRow>> {
        let sql = format!("SELECT {COLUMNS} FROM sts_policy WHERE domain = ?1");
        let query = sql::query(sql).bind(domain.to_owned());
        query.fetch_optional(self.readers()).await?.as_ref().map(read).transpose()
    }

    /// Keeps a policy in the place of the one before.
    pub async fn keep_sts_policy(&self, row: StsPolicyRow) -> Result<()> {
        let octets = (row.policy.len() + row.domain.len()) as u64;
        self.write(octets, move |tx| {
            Box::pin(async move {
                let sql = "INSERT INTO sts_policy (domain, version, policy, fetched, expires, used, tried) \
                           VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7) ON CONFLICT (domain) DO UPDATE SET \
                           version = ?2, policy = ?3, fetched = ?4, expires = ?5, used = max(used, ?6), tried = ?7";
                let query = sql::query(sql).bind(row.domain).bind(row.version).bind(row.policy);
                let query = query.bind(row.fetched).bind(row.expires).bind(row.used).bind(row.tried);
                query.execute(&mut tx.connection).await?;
                let sql = "DELETE FROM sts_policy WHERE domain IN (SELECT domain FROM sts_policy \
                           ORDER BY used DESC LIMIT -1 OFFSET ?1)";
                sql::query(sql).bind(STS_POLICIES_MAX).execute(&mut tx.connection).await?;
                Ok(())
            })
        })
        .await
    }

    /// Mail goes by the policy at `used`.
    pub async fn use_sts_policy(&self, domain: &str, used: Unix) -> Result<()> {
        self.mark_sts_policy("UPDATE sts_policy SET used = ?2 WHERE domain = ?1", domain, used).await
    }

    /// It was looked for a newer one at `tried`, and none was had.
    pub async fn try_sts_policy(&self, domain: &str, tried: Unix) -> Result<()> {
        self.mark_sts_policy("UPDATE sts_policy SET tried = ?2 WHERE domain = ?1", domain, tried).await
    }

    async fn mark_sts_policy(&self, sql: &'static str, domain: &str, at: Unix) -> Result<()> {
        let domain = domain.to_owned();
        self.write(0, move |tx| {
            Box::pin(async move {
                sql::query(sql).bind(domain).bind(at).execute(&mut tx.connection).await?;
                Ok(())
            })
        })
        .await
    }

    /// Policies that hold at `now`, were looked for last before `tried`, and were used since `used`; those that end first
    /// come first.
    pub async fn sts_to_refresh(&self, now: Unix, tried: Unix, used: Unix) -> Result<Vec<StsPolicyRow>> {
        let sql = format!(
            "SELECT {COLUMNS} FROM sts_policy WHERE expires > ?1 AND tried < ?2 AND used >= ?3 \
             ORDER BY expires LIMIT ?4 + 0"
        );
        let query = sql::query(sql).bind(now).bind(tried).bind(used);
        let rows = query.bind(STS_REFRESH_MAX).fetch_all(self.readers()).await?;
        rows.iter().map(read).collect()
    }

    /// Lets go of what has expired.
    pub async fn forget_expired_sts(&self, now: Unix) -> Result<u64> {
        self.write(0, move |tx| {
            Box::pin(async move {
                let query = sql::query("DELETE FROM sts_policy WHERE expires <= ?1").bind(now);
                Ok(query.execute(&mut tx.connection).await?.rows_affected())
            })
        })
        .await
    }
}
