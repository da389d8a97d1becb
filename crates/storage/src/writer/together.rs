//! The writer does work of one kind with one set of statements for all who wait for it; if that fails, one by one.

use super::{Batch, Tx, Writer, unless_it_panics};
use crate::error::{Error, Result};
use crate::package::{self, Accepted, Package};
use crate::queue::JobEnd;
use crate::settle::{self, Settling};
use futures_util::future::BoxFuture;
use std::slice::from_ref;

/// Does all of it; what comes of each stands in the answer, unless none of it could be done.
type Together<W, T> = for<'a> fn(&'a mut Tx, &'a [W]) -> BoxFuture<'a, Result<Vec<Result<T>>>>;

impl Writer {
    /// Stores all packages.
    pub(super) async fn run_packages(&mut self, done: &mut Batch) {
        let pending = std::mem::take(&mut done.packages);
        let groups: Vec<&[Package]> = pending.iter().map(|(packages, _)| packages.as_slice()).collect();
        let outcomes = self.together(&groups, store, done).await;
        for ((packages, reply), outcome) in pending.into_iter().zip(outcomes) {
            done.stored.push((packages, reply, outcome));
        }
    }

    /// Writes down what came of attempts.
    pub(super) async fn run_settlings(&mut self, done: &mut Batch) {
        let pending = std::mem::take(&mut done.settlings);
        let all: Vec<&Settling> = pending.iter().map(|(settling, _)| settling).collect();
        let outcomes = self.together(&all, settle, done).await;
        done.settled.extend(pending.into_iter().map(|(_, reply)| reply).zip(outcomes));
    }

    async fn together<W: Sync, T>(
        &mut self,
        all: &[W],
        work: Together<W, T>,
        done: &mut Batch,
    ) -> Vec<Result<T>> {
        if all.is_empty() {
            return Vec::new();
        }
        match self.at_once(all, work, done).await {
            Ok(outcomes) => return outcomes,
            Err(error) if all.len() == 1 || done.broken.is_some() => {
                return all.iter().map(|_| Err(error.clone())).collect();
            }
            Err(_) => {}
        }
        let mut outcomes = Vec::with_capacity(all.len());
        for one in all {
            outcomes.push(match &done.broken {
                Some(error) => Err(error.clone()),
                None => self.at_once(from_ref(one), work, done).await.and_then(only),
            });
        }
        outcomes
    }

    async fn at_once<W: Sync, T>(
        &mut self,
        all: &[W],
        work: Together<W, T>,
        done: &mut Batch,
    ) -> Result<Vec<Result<T>>> {
        let queued = self.tx.queued;
        self.enter(done).await?;
        let outcome = unless_it_panics(work(&mut self.tx, all)).await;
        self.leave(&outcome, queued, done).await;
        outcome
    }
}

fn store<'a>(tx: &'a mut Tx, groups: &'a [&[Package]]) -> BoxFuture<'a, Result<Vec<Result<Vec<Accepted>>>>> {
    Box::pin(package::store(tx, groups))
}

fn settle<'a>(tx: &'a mut Tx, all: &'a [&Settling]) -> BoxFuture<'a, Result<Vec<Result<JobEnd>>>> {
    Box::pin(settle::write(tx, all))
}

fn only<T>(outcomes: Vec<Result<T>>) -> Result<T> {
    outcomes.into_iter().next().unwrap_or_else(|| Err(Error::bug("no outcome")))
}
