//! Where each recipient of the queue goes: the name by which the queue keeps its order, so that all that shares one turn has one place
//! in it. What the names are is the matter of whoever sends; until they are told, each domain is its own.

use crate::error::Result;
use crate::ids::JobId;
use crate::sql;
use crate::store::Store;
use crate::writer::Tx;
use mail::{Address, Domain, ReversePath};
use serde_json::{Value, json};
use std::sync::{Arc, PoisonError, RwLock};

/// The name of where mail of a sender to a domain goes.
pub type LaneOf = Arc<dyn Fn(&ReversePath, &Domain) -> String + Send + Sync>;

/// Rows that are looked at together while all are named anew.
const PAGE: i64 = 1000;

/// How mail is named at the moment.
pub(crate) struct Lanes {
    of: RwLock<LaneOf>,
}

impl Default for Lanes {
    fn default() -> Self {
        Self { of: RwLock::new(Arc::new(|_, domain| domain.to_string())) }
    }
}

impl Lanes {
    pub(crate) fn get(&self) -> LaneOf {
        self.of.read().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// A recipient that waits: its number, the sender, its domain, and its name.
type Named = (i64, String, String, String);

impl Store {
    /// Names what is queued from now on. What waits already keeps its names until [`Store::name_lanes`].
    pub fn set_lanes(&self, of: LaneOf) {
        *self.lanes().of.write().unwrap_or_else(PoisonError::into_inner) = of;
    }

    /// Names all that waits as it would be named now; piece by piece, so that nobody waits for it. Returns how many had another
    /// name. A name that is out of date costs nothing but its place in the order.
    pub async fn name_lanes(&self) -> Result<u64> {
        const WAITING: &str = "SELECT r.id, j.sender, r.domain, r.lane FROM job_recipient r JOIN job j ON j.id = r.job \
            WHERE r.id > ?1 AND r.state IN (0, 3) ORDER BY r.id LIMIT ?2 + 0";
        let (mut after, mut named) = (0, 0);
        loop {
            let page = sql::query_as(WAITING).bind(after).bind(PAGE);
            let page: Vec<Named> = page.fetch_all(self.readers()).await?;
            let Some(last) = page.last() else { return Ok(named) };
            after = last.0;
            let changes = changes(&self.lanes().get(), &page);
            if changes.is_empty() {
                continue;
            }
            named += changes.len() as u64;
            self.write(0, move |tx| {
                Box::pin(async move {
                    tx.effects.rings.queue = true;
                    rename(tx, changes).await
                })
            })
            .await?;
        }
    }
}

/// Those whose name is another, as `[id, domain, name]`.
fn changes(of: &LaneOf, page: &[Named]) -> Vec<Value> {
    let mut changes = Vec::new();
    for (id, sender, domain, lane) in page {
        // What cannot be read cannot be sent either; whoever claims it says so.
        let (Some(from), Ok(to)) = (sender_of(sender), Domain::parse(domain)) else { continue };
        let name = of(&from, &to);
        if name != *lane {
            changes.push(json!([id, domain, name]));
        }
    }
    changes
}

fn sender_of(text: &str) -> Option<ReversePath> {
    match text {
        "" => Some(ReversePath::Null),
        text => Address::parse(text).ok().map(ReversePath::Address),
    }
}

/// One that was changed meanwhile has been named with that.
async fn rename(tx: &mut Tx, changes: Vec<Value>) -> Result<()> {
    let sql = "UPDATE job_recipient SET lane = t.value ->> 2 FROM json_each(?1) t \
               WHERE job_recipient.id = t.value ->> 0 AND +job_recipient.domain = t.value ->> 1";
    sql::query(sql).bind(Value::Array(changes).to_string()).execute(&mut tx.connection).await?;
    Ok(())
}

/// Names the recipients of a job whose sender or recipients were changed.
pub(crate) async fn name_job(tx: &mut Tx, job: JobId) -> Result<()> {
    let sql = "SELECT r.id, j.sender, r.domain, r.lane FROM job_recipient r JOIN job j ON j.id = r.job WHERE r.job = ?1";
    let rows: Vec<Named> = sql::query_as(sql).bind(job.0).fetch_all(&mut tx.connection).await?;
    let changes = changes(&tx.lanes, &rows);
    if changes.is_empty() { Ok(()) } else { rename(tx, changes).await }
}
