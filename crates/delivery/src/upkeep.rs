//! What is to be done for the queue besides delivering it: old attempts are forgotten, policies kept fresh, and what waits kept in
//! order by the ways that it takes.

use crate::attempt::Courier;
use crate::sts::REFRESH_PERIOD;
use std::sync::Arc;
use std::time::Duration;
use storage::{Claim, Store};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tracing::{info, warn};
use world::World;

/// How often attempts are forgotten that were made too long ago.
const FORGET_EVERY: Duration = Duration::from_secs(3600);

/// How long the start waits until all that waits has its name.
const NAMING_MAX: Duration = Duration::from_secs(1);

/// Does all of it, until what this returns is dropped.
pub(crate) fn start(store: &Store, world: &World, courier: &watch::Receiver<Arc<Courier>>) -> JoinSet<()> {
    let mut tasks = JoinSet::new();
    tasks.spawn(refresh_policies(courier.clone()));
    tasks.spawn(name_lanes(store.clone(), courier.clone()));
    tasks.spawn(forget_attempts(store.clone(), world.clone(), courier.clone()));
    tasks
}

/// From time to time forgets what attempts came to that were made too long ago. Never ends.
async fn forget_attempts(store: Store, world: World, courier: watch::Receiver<Arc<Courier>>) {
    loop {
        let keep = courier.borrow().config.keep_attempts;
        let before = world.clock.unix().saturating_sub_unsigned(keep.as_secs());
        loop {
            match store.forget_attempts(before).await {
                Ok(0) => break,
                Ok(_) => tokio::task::yield_now().await,
                Err(error) => {
                    warn!(%error, "old attempts cannot be forgotten");
                    break;
                }
            }
        }
        tokio::time::sleep(FORGET_EVERY).await;
    }
}

/// Keeps the MTA-STS policies of destinations fresh, for ever.
async fn refresh_policies(courier: watch::Receiver<Arc<Courier>>) {
    loop {
        let sts = courier.borrow().sts.clone();
        if let Some(sts) = sts {
            sts.refresh().await;
        }
        tokio::time::sleep(REFRESH_PERIOD).await;
    }
}

/// Names what waits by the ways that it takes now, as it must be after the start, when other ways may have been set up meanwhile.
/// A very long queue is not waited for: it is named after a while, beside the work.
pub(crate) async fn name_at_start(store: &Store) {
    let naming = tokio::time::timeout(NAMING_MAX, name_once(store.clone()));
    if naming.await.is_err() {
        tokio::spawn(name_once(store.clone()));
    }
}

/// The same after each change of the options. Ends when there are none to come.
async fn name_lanes(store: Store, mut courier: watch::Receiver<Arc<Courier>>) {
    while courier.changed().await.is_ok() {
        name_once(store.clone()).await;
    }
}

/// Gives back claims that nobody began, all at once, so that they share their commits.
pub(crate) async fn give_back(store: &Store, claims: Vec<Claim>) {
    let release = |claim| {
        let store = store.clone();
        async move { store.release(claim).await }
    };
    for given_back in claims.into_iter().map(release).collect::<JoinSet<_>>().join_all().await {
        if let Err(error) = given_back {
            warn!(%error, "a claim could not be given back; it will be free when its lease ends");
        }
    }
}

async fn name_once(store: Store) {
    match store.name_lanes().await {
        Ok(0) => {}
        Ok(recipients) => info!(recipients, "what waits goes another way now"),
        Err(error) => warn!(%error, "what waits keeps the order of earlier ways"),
    }
}
