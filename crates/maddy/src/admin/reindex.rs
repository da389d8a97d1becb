//! The search index of an account.

use crate::admin::{Context, Effect, Operation, account_name, failure};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use storage::{Error, IndexStatus};
use web::Failure;

/// What the index holds.
#[derive(Clone, Copy, Debug, Serialize, Deserialize, JsonSchema)]
pub(crate) struct IndexInfo {
    /// Messages that are in the index.
    pub(crate) indexed: u64,
    pub(crate) messages: u64,
    /// Octets on disk.
    pub(crate) size: u64,
}

impl From<IndexStatus> for IndexInfo {
    fn from(status: IndexStatus) -> Self {
        Self { indexed: status.indexed, messages: status.messages, size: status.octets }
    }
}

/// Has the index made anew, in the background.
#[derive(Serialize, Deserialize, JsonSchema)]
pub(crate) struct AcctReindex {
    pub(crate) name: String,
}

impl Operation for AcctReindex {
    const NAME: &'static str = "imap-acct-reindex";
    type Answer = ();

    async fn run(self, context: &Context) -> Result<(), Failure> {
        let account = id(&self.name, context).await?;
        context.store.rebuild_index(account).await.map_err(failure)
    }
}

/// How far the index is.
#[derive(Serialize, Deserialize, JsonSchema)]
pub(crate) struct AcctIndex {
    pub(crate) name: String,
}

impl Operation for AcctIndex {
    const NAME: &'static str = "imap-acct-index";
    const EFFECT: Effect = Effect::Reads;
    type Answer = IndexInfo;

    async fn run(self, context: &Context) -> Result<IndexInfo, Failure> {
        let account = id(&self.name, context).await?;
        context.store.index_status(account).await.map(IndexInfo::from).map_err(failure)
    }
}

async fn id(name: &str, context: &Context) -> Result<storage::AccountId, Failure> {
    let name = account_name(name);
    let account = context.store.account(&name).await.map_err(failure)?;
    account.map(|account| account.id).ok_or_else(|| failure(Error::NoSuchAccount(name)))
}
