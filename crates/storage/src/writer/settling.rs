//! The writer writes down what came of attempts: of all that wait with one set of statements.

use super::{Batch, Writer};
use crate::error::{Error, Result};
use crate::queue::JobEnd;
use crate::settle::{self, Settling};
use futures_util::FutureExt;
use std::panic::AssertUnwindSafe;

impl Writer {
    /// Writes all settlements together; if that fails, one by one.
    pub(super) async fn run_settlings(&mut self, done: &mut Batch) {
        let pending = std::mem::take(&mut done.settlings);
        if pending.is_empty() {
            return;
        }
        let all: Vec<&Settling> = pending.iter().map(|(settling, _)| settling).collect();
        let outcomes = match self.settle(&all, done).await {
            Ok(outcomes) => outcomes,
            Err(error) if all.len() == 1 || done.broken.is_some() => vec![Err(error); all.len()],
            Err(_) => {
                let mut outcomes = Vec::with_capacity(all.len());
                for one in &all {
                    let outcome = match &done.broken {
                        Some(error) => Err(error.clone()),
                        None => self.settle(&[one], done).await.and_then(super::only),
                    };
                    outcomes.push(outcome);
                }
                outcomes
            }
        };
        done.settled.extend(pending.into_iter().map(|(_, reply)| reply).zip(outcomes));
    }

    async fn settle(&mut self, all: &[&Settling], done: &mut Batch) -> Result<Vec<Result<JobEnd>>> {
        let queued = self.tx.queued;
        self.enter(done).await?;
        let work = settle::write(&mut self.tx, all);
        let outcome = AssertUnwindSafe(work).catch_unwind().await.unwrap_or_else(|_| {
            tracing::error!("settling attempts panicked");
            Err(Error::bug("settling attempts panicked"))
        });
        let effects = std::mem::take(&mut self.tx.effects);
        if outcome.is_ok() {
            done.effects.join(effects);
        } else {
            self.tx.queued = queued;
        }
        self.leave(outcome.is_ok(), done).await;
        outcome
    }
}
