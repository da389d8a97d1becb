//! Greylisting: who was asked to come again, and did.

use crate::error::Result;
use crate::ids::Unix;
use crate::sql;
use crate::store::Store;
use crate::writer::Tx;

/// Most triplets of client, sender and recipient that are remembered; the oldest go first.
pub const GREYLIST_TRIPLETS_MAX: i64 = 200_000;
/// Most clients that have shown that they come again.
pub const GREYLIST_CLIENTS_MAX: i64 = 100_000;
/// Octets of the hash of a triplet.
const KEY_OCTETS: usize = 16;

/// How long what is remembered, in seconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GreyRule {
    /// A second try counts only so long after the first.
    pub delay: i64,
    /// How long a first try is remembered.
    pub window: i64,
    /// How long one that came again is remembered, since it last came.
    pub keep: i64,
    /// After so many triplets that came again the client is known, and not asked any more.
    pub learn: u32,
}

/// What becomes of a try.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Grey {
    Passed,
    /// It shall come again, after so many seconds.
    Wait(i64),
}

impl Store {
    /// A client (an address, a network or a name for one) brings mail of a sender for a recipient. All that it says is on the
    /// disk when this returns.
    pub async fn greylist(
        &self,
        client: &str,
        sender: &str,
        recipient: &str,
        rule: GreyRule,
    ) -> Result<Grey> {
        let now = self.world().clock.unix();
        let triplet = blake3::hash(format!("{client}\n{sender}\n{recipient}").as_bytes());
        let key = triplet.as_bytes()[..KEY_OCTETS].to_vec();
        let client = client.to_owned();
        self.write(0, move |tx| Box::pin(try_again(tx, client, key, rule, now))).await
    }
}

async fn try_again(tx: &mut Tx, client: String, key: Vec<u8>, rule: GreyRule, now: Unix) -> Result<Grey> {
    let sql = "UPDATE grey_client SET expires = ?3 WHERE client = ?1 AND passes >= ?4 AND expires > ?2";
    let known =
        sql::query(sql).bind(client.clone()).bind(now).bind(now + rule.keep).bind(i64::from(rule.learn));
    if known.execute(&mut tx.connection).await?.rows_affected() > 0 {
        return Ok(Grey::Passed);
    }
    let sql = "SELECT first, passed FROM grey_triplet WHERE triplet = ?1 AND expires > ?2";
    let found = sql::query(sql).bind(key.clone()).bind(now).fetch_optional(&mut tx.connection).await?;
    let Some(row) = found else {
        first_try(tx, key, rule, now).await?;
        return Ok(Grey::Wait(rule.delay));
    };
    let (first, passed): (i64, i64) = (row.try_get(0)?, row.try_get(1)?);
    // A clock that was set back does not make anybody wait longer than once more.
    let waited = now - first;
    if passed == 0 && waited >= 0 && waited < rule.delay {
        return Ok(Grey::Wait(rule.delay - waited));
    }
    let sql = "UPDATE grey_triplet SET passed = 1, expires = ?2 WHERE triplet = ?1";
    sql::query(sql).bind(key).bind(now + rule.keep).execute(&mut tx.connection).await?;
    if passed == 0 {
        learn(tx, client, rule, now).await?;
    }
    Ok(Grey::Passed)
}

async fn first_try(tx: &mut Tx, key: Vec<u8>, rule: GreyRule, now: Unix) -> Result<()> {
    let sql = "DELETE FROM grey_triplet WHERE expires <= ?1 OR triplet = ?2";
    sql::query(sql).bind(now).bind(key.clone()).execute(&mut tx.connection).await?;
    let sql = "INSERT INTO grey_triplet (triplet, first, passed, expires) VALUES (?1, ?2, 0, ?3)";
    sql::query(sql).bind(key).bind(now).bind(now + rule.window).execute(&mut tx.connection).await?;
    // Row numbers only grow, so no more rows can be left than numbers.
    let sql = "DELETE FROM grey_triplet WHERE id <= (SELECT max(id) FROM grey_triplet) - ?1";
    sql::query(sql).bind(GREYLIST_TRIPLETS_MAX).execute(&mut tx.connection).await?;
    Ok(())
}

async fn learn(tx: &mut Tx, client: String, rule: GreyRule, now: Unix) -> Result<()> {
    let sql = "DELETE FROM grey_client WHERE expires <= ?1";
    sql::query(sql).bind(now).execute(&mut tx.connection).await?;
    let sql = "INSERT INTO grey_client (client, passes, expires) VALUES (?1, 1, ?2) \
               ON CONFLICT (client) DO UPDATE SET passes = passes + 1, expires = ?2";
    sql::query(sql).bind(client).bind(now + rule.keep).execute(&mut tx.connection).await?;
    let sql = "DELETE FROM grey_client WHERE id <= (SELECT max(id) FROM grey_client) - ?1";
    sql::query(sql).bind(GREYLIST_CLIENTS_MAX).execute(&mut tx.connection).await?;
    Ok(())
}
