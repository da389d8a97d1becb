//! The writer takes away what is loose, between two batches.

use super::{LOG_PER_JOB, Writer};
use crate::collect;
use crate::error::Result;
use std::time::Instant;

impl Writer {
    /// Takes away one slice of what is loose, in a commit of its own.
    pub(super) async fn collect(&mut self) {
        self.collected = Instant::now();
        let outcome = self.collect_slice().await;
        let effects = std::mem::take(&mut self.tx.effects);
        match outcome {
            Ok(more) => {
                self.collecting = more;
                self.after_commit(effects);
            }
            Err(error) => {
                let _ = self.execute("ROLLBACK").await;
                // Tried again when something else becomes loose, or at the next start.
                self.collecting = false;
                tracing::warn!(%error, "collecting what is loose failed");
            }
        }
    }

    async fn collect_slice(&mut self) -> Result<bool> {
        if !collect::needed(&mut self.tx).await? {
            return Ok(false);
        }
        self.execute("BEGIN IMMEDIATE").await?;
        let more = collect::slice(&mut self.tx, &self.shared.bodies).await?;
        self.execute("COMMIT").await?;
        self.shared.written.send_modify(|written| *written += LOG_PER_JOB);
        Ok(more)
    }
}
