//! What a backup and a check of everything ask of whoever works on the state.

use crate::admin::{Context, Effect, Operation, failure};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use storage::{AccountId, HOLD_MAX, Indexes};
use web::Failure;

/// No body file is removed for ten minutes; to be asked again before they are over.
#[derive(Serialize, Deserialize, JsonSchema)]
pub(crate) struct BackupHold {
    /// Any number of one's own.
    pub(crate) holder: u64,
}

impl Operation for BackupHold {
    const NAME: &'static str = "backup-hold";
    const EFFECT: Effect = Effect::Reads;
    type Answer = ();

    async fn run(self, context: &Context) -> Result<(), Failure> {
        context.store.hold_bodies(self.holder, HOLD_MAX).map_err(failure)
    }
}

/// Body files may be removed again.
#[derive(Serialize, Deserialize, JsonSchema)]
pub(crate) struct BackupRelease {
    pub(crate) holder: u64,
}

impl Operation for BackupRelease {
    const NAME: &'static str = "backup-release";
    const EFFECT: Effect = Effect::Reads;
    type Answer = ();

    async fn run(self, context: &Context) -> Result<(), Failure> {
        context.store.release_bodies(self.holder);
        Ok(())
    }
}

/// Whether the indexes of the database are made anew.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Reindex {
    No,
    Yes,
}

/// Mends what can be mended.
#[derive(Serialize, Deserialize, JsonSchema)]
pub(crate) struct VerifyRepair {
    pub(crate) reindex: Reindex,
    /// Accounts, by number, whose search index is made anew.
    pub(crate) search_indexes: Vec<i64>,
}

/// What was mended.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub(crate) struct Mended {
    pub(crate) what: String,
    pub(crate) rows: u64,
}

impl Operation for VerifyRepair {
    const NAME: &'static str = "verify-repair";
    type Answer = Vec<Mended>;

    async fn run(self, context: &Context) -> Result<Vec<Mended>, Failure> {
        let indexes = match self.reindex {
            Reindex::No => Indexes::Stay,
            Reindex::Yes => Indexes::Anew,
        };
        for number in self.search_indexes {
            context.store.rebuild_index(AccountId::from_number(number)).await.map_err(failure)?;
        }
        // First, for it may be refused.
        let strays = context.store.remove_strays(context.now()).await.map_err(failure)?;
        let mended = context.store.repair(indexes).await.map_err(failure)?;
        let mended = mended.into_iter().map(|one| Mended { what: one.what.to_owned(), rows: one.rows });
        let files = Mended { what: "files that no message used".to_owned(), rows: strays };
        Ok(mended.chain(Some(files).filter(|files| files.rows > 0)).collect())
    }
}
