//! A look at every row and every octet of the store.

use crate::admin::{Context, Effect, Operation, failure};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use web::Failure;

/// Reads the whole store. Takes as long as that takes, beside other work.
#[derive(Serialize, Deserialize, JsonSchema)]
pub(crate) struct StoreVerify {}

impl Operation for StoreVerify {
    const NAME: &'static str = "store-verify";
    const EFFECT: Effect = Effect::Reads;
    /// What is wrong, as sentences.
    type Answer = Vec<String>;

    async fn run(self, context: &Context) -> Result<Vec<String>, Failure> {
        context.store.verify().await.map_err(failure)
    }
}
