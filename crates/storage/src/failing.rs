//! Addresses elsewhere that are refused for good time after time, and those to which nothing is sent any more.

use crate::error::{Error, Result};
use crate::ids::Unix;
use crate::queue::cut;
use crate::sql::{self, Row};
use crate::store::Store;
use crate::writer::Tx;
use serde_json::{Value, json};

/// Most addresses that are remembered for what hosts said of them; the oldest go first.
pub const FAILING_MAX: i64 = 100_000;
/// Most addresses that an administrator may suppress.
pub const SUPPRESSED_MAX: i64 = 100_000;
/// Most addresses that one call of [`Store::suppressions`] returns.
const SUPPRESSED_PAGE_MAX: i64 = 1000;
/// Longest reason that is kept, in octets.
const REASON_KEPT: usize = 512;

/// When an address is suppressed by itself, in seconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FailingRule {
    /// After so many refusals in a row, 1 or more.
    pub after: u32,
    /// Refusals count that lie no further apart than this, from first to last.
    pub within: i64,
    /// For so long.
    pub keep: i64,
}

/// What a host said of an address (given by its [`mail::Address::key`]).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It takes mail: nothing is held against it any more, but for what an administrator wants.
    Reached { address: String },
    /// There is no such address, or it takes no mail.
    Refused { address: String, reason: String, rule: FailingRule },
}

/// An address to which nothing is sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Suppressed {
    pub address: String,
    /// Refusals so far; 0 if nobody but an administrator has anything against it.
    pub failures: u64,
    pub first_at: Unix,
    pub last_at: Unix,
    /// Until then; `None`: an administrator wants it so, for good.
    pub until: Option<Unix>,
    /// What was said last, or what the administrator says.
    pub reason: String,
}

const READ: &str = "SELECT address, failures, first_at, last_at, until, reason FROM failing \
    WHERE (until IS NULL OR until > ?1) AND address";

impl Store {
    /// Whether nothing is to be sent to an address.
    pub async fn suppressed(&self, address: &str) -> Result<Option<Suppressed>> {
        let now = self.world().clock.unix();
        let sql = format!("{READ} = ?2");
        let query = sql::query(sql).bind(now).bind(address.to_owned());
        query.fetch_optional(self.readers()).await?.as_ref().map(read).transpose()
    }

    /// The addresses to which nothing is sent, in their order, some hundreds after `after`.
    pub async fn suppressions(&self, after: &str) -> Result<Vec<Suppressed>> {
        let now = self.world().clock.unix();
        let sql = format!("{READ} > ?2 ORDER BY address LIMIT ?3 + 0");
        let query = sql::query(sql).bind(now).bind(after.to_owned());
        query.bind(SUPPRESSED_PAGE_MAX).fetch_all(self.readers()).await?.iter().map(read).collect()
    }

    /// Nothing is sent to an address from now on, until an administrator says otherwise.
    pub async fn suppress(&self, address: &str, reason: &str) -> Result<()> {
        let (address, reason) = (address.to_owned(), cut(reason, REASON_KEPT).to_owned());
        self.write(0, move |tx| {
            Box::pin(async move {
                let sql = "SELECT count(*) FROM failing WHERE until IS NULL";
                let count: i64 = sql::query_scalar(sql).fetch_one(&mut tx.connection).await?;
                if count >= SUPPRESSED_MAX {
                    return Err(Error::TooMany {
                        what: "suppressed addresses",
                        limit: SUPPRESSED_MAX.unsigned_abs(),
                    });
                }
                let sql = "INSERT INTO failing (address, failures, first_at, last_at, until, reason) \
                           VALUES (?1, 0, ?2, ?2, NULL, ?3) ON CONFLICT (address) \
                           DO UPDATE SET until = NULL, reason = excluded.reason";
                let query = sql::query(sql).bind(address).bind(tx.now).bind(reason);
                query.execute(&mut tx.connection).await?;
                Ok(())
            })
        })
        .await
    }

    /// Mail may be sent to an address again, and nothing is held against it. Returns whether it was suppressed.
    pub async fn unsuppress(&self, address: &str) -> Result<bool> {
        let address = address.to_owned();
        self.write(0, move |tx| {
            Box::pin(async move {
                let sql = "DELETE FROM failing WHERE address = ?1 RETURNING until IS NULL OR until > ?2";
                let query = sql::query_scalar(sql).bind(address).bind(tx.now);
                Ok(query.fetch_optional(&mut tx.connection).await?.unwrap_or(false))
            })
        })
        .await
    }
}

fn read(row: &Row) -> Result<Suppressed> {
    Ok(Suppressed {
        address: row.try_get(0)?,
        failures: row.try_get::<i64>(1)?.unsigned_abs(),
        first_at: row.try_get(2)?,
        last_at: row.try_get(3)?,
        until: row.try_get(4)?,
        reason: row.try_get(5)?,
    })
}

/// Notes which addresses hosts refused.
pub(crate) async fn learn(tx: &mut Tx, verdicts: &[Verdict]) -> Result<()> {
    let mut refused: Vec<Value> = Vec::new();
    for verdict in verdicts {
        // Those who were reached are forgotten with the settlement.
        if let Verdict::Refused { address, reason, rule } = verdict {
            refused.push(json!([address, cut(reason, REASON_KEPT), rule.after, rule.within, rule.keep]));
        }
    }
    if !refused.is_empty() {
        // What lies too far back begins anew; who is suppressed already stays so.
        const COUNT: &str = "INSERT INTO failing (address, failures, first_at, last_at, until, reason) \
            SELECT value ->> 0, coalesce(iif(f.first_at > ?2 - (value ->> 3), f.failures, 0), 0) + 1, \
                coalesce(iif(f.first_at > ?2 - (value ->> 3), f.first_at, ?2), ?2), ?2, \
                CASE WHEN f.id IS NOT NULL AND f.until IS NULL THEN NULL WHEN f.until > ?2 THEN f.until \
                WHEN coalesce(iif(f.first_at > ?2 - (value ->> 3), f.failures, 0), 0) + 1 >= (value ->> 2) \
                THEN ?2 + (value ->> 4) ELSE 0 END, value ->> 1 \
            FROM json_each(?1) LEFT JOIN failing f ON f.address = value ->> 0 WHERE true \
            ON CONFLICT (address) DO UPDATE SET failures = excluded.failures, first_at = excluded.first_at, \
                last_at = excluded.last_at, until = excluded.until, reason = excluded.reason";
        let query = sql::query(COUNT).bind(Value::Array(refused).to_string()).bind(tx.now);
        query.execute(&mut tx.connection).await?;
        // Row numbers only grow, so no more rows can be left than numbers.
        let sql = "DELETE FROM failing WHERE until IS NOT NULL AND id <= (SELECT max(id) FROM failing) - ?1";
        sql::query(sql).bind(FAILING_MAX).execute(&mut tx.connection).await?;
    }
    Ok(())
}
