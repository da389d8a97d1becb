//! The one who writes: takes all work that waits, commits once, and answers each. It has a thread of its own, on which the work is done
//! where it stands: a job waits for nothing but the disk.

mod collecting;
mod effects;
mod together;

pub(crate) use effects::Effects;

use crate::desk::{self, Desk, Entry, Inbox, Job, Kind, PackageReply, SettlingReply};
use crate::error::{Error, Result, Trouble};
use crate::hold::{self, Hold};
use crate::ids::Unix;
use crate::known::Known;
use crate::lanes::{LaneOf, Lanes};
use crate::measure;
use crate::package::{Accepted, Package};
use crate::queue::JobEnd;
use crate::quota::{Configured, Quota};
use crate::settle::Settling;
use crate::sql;
use crate::sqlite;
use crate::wake::Wake;
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use rusqlite::Connection;
use std::collections::VecDeque;
use std::panic::AssertUnwindSafe;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};
use tokio::runtime::Handle;
use tokio::sync::{oneshot, watch};
use world::World;

/// After this long a commit takes no further work, so that those who came first are answered.
const BATCH_TIME: Duration = Duration::from_millis(50);
/// What a piece of work adds to the log besides its octets: a guess, for the timing of checkpoints.
const LOG_PER_JOB: u64 = 16 * 1024;
/// After this long without work, what is loose is collected.
const IDLE: Duration = Duration::from_millis(5);
/// While there is work, what is loose is collected no more often than this.
const COLLECT_PAUSE: Duration = Duration::from_millis(100);

/// A transaction in the making: the connection, and what is to happen once it is committed.
pub(crate) struct Tx {
    pub(crate) connection: Connection,
    pub(crate) effects: Effects,
    /// Time of the batch.
    pub(crate) now: Unix,
    /// Jobs in the queue, those of this transaction included.
    pub(crate) queued: u64,
    pub(crate) queue_max: u64,
    /// The limits of accounts that have none of their own.
    pub(crate) quota: Quota,
    pub(crate) sending: crate::sending::DailyLimits,
    /// The names of where queued mail goes.
    pub(crate) lanes: LaneOf,
}

/// What the writer and those around it share.
pub(crate) struct Shared {
    pub(crate) wake: Arc<Wake>,
    /// Octets written to the log since the start, for the checkpointer.
    pub(crate) written: watch::Sender<u64>,
    /// The checkpointer wants the last pages carried over while nobody writes.
    pub(crate) finish_checkpoint: AtomicBool,
    /// Jobs in the queue.
    pub(crate) queued: Arc<AtomicU64>,
    /// Commits since the start.
    pub(crate) commits: Arc<AtomicU64>,
    pub(crate) quota: Arc<Configured>,
    pub(crate) lanes: Arc<Lanes>,
    pub(crate) known: Arc<Known>,
    pub(crate) bodies: PathBuf,
    pub(crate) hold: Arc<Hold>,
}

pub(crate) struct Limits {
    pub(crate) jobs: usize,
    pub(crate) octets: u64,
    pub(crate) queue_max: u64,
}

pub(crate) struct Writer {
    tx: Tx,
    shared: Arc<Shared>,
    limits: Limits,
    world: World,
    collecting: bool,
    collected: Instant,
}

/// Starts the writer, on a thread of its own that waits for the disk; it ends, and closes its connection, when the desk is closed and all
/// its clones are gone.
pub(crate) fn start(
    connection: Connection,
    shared: Arc<Shared>,
    limits: Limits,
    world: World,
) -> Result<(Desk, tokio::task::JoinHandle<()>)> {
    let (desk, inbox) = desk::desk();
    let tx = Tx {
        connection,
        effects: Effects::default(),
        now: 0,
        queued: shared.queued.load(Ordering::SeqCst),
        queue_max: limits.queue_max,
        quota: shared.quota.get(),
        sending: shared.quota.sending(),
        lanes: shared.lanes.get(),
    };
    // Whatever an earlier process left loose is looked at first.
    let writer = Writer { tx, shared, limits, world, collecting: true, collected: Instant::now() };
    let (ended, end) = oneshot::channel();
    let runtime = Handle::current();
    let work = move || {
        runtime.block_on(writer.run(inbox));
        let _ = ended.send(());
    };
    std::thread::Builder::new().name("store-writer".to_owned()).spawn(work)?;
    let watched = async {
        if end.await.is_err() {
            tracing::error!("the writer of the store ended badly");
        }
    };
    Ok((desk, tokio::spawn(watched)))
}

impl Writer {
    async fn run(mut self, mut inbox: Inbox) {
        let mut waiting = VecDeque::new();
        loop {
            if inbox.is_closed() {
                // What is loose can wait for the next start; callers cannot.
                self.collecting = false;
            }
            let mut idle = false;
            if waiting.is_empty() {
                match self.next(&mut inbox).await {
                    Some(Some(entry)) => waiting.push_back(entry),
                    Some(None) => break,
                    None => idle = true,
                }
            }
            while waiting.len() < self.limits.jobs
                && let Some(entry) = inbox.try_next()
            {
                waiting.push_back(entry);
            }
            if !waiting.is_empty() {
                self.batch(&mut waiting).await;
            }
            if self.collecting && (idle || self.collected.elapsed() > COLLECT_PAUSE) {
                self.collect().await;
            }
            if self.shared.finish_checkpoint.swap(false, Ordering::SeqCst)
                && let Err(error) = sqlite::checkpoint(&self.tx.connection)
            {
                tracing::warn!(%error, "checkpoint failed");
            }
        }
        sqlite::close(self.tx.connection);
    }

    /// Waits for work. `None`: there is none, and time to collect; `Some(None)`: there will be no more.
    async fn next(&self, inbox: &mut Inbox) -> Option<Option<Entry>> {
        if self.collecting {
            return tokio::time::timeout(IDLE, inbox.next()).await.ok();
        }
        Some(inbox.next().await)
    }

    async fn batch(&mut self, waiting: &mut VecDeque<Entry>) {
        let begun = Instant::now();
        self.tx.now = self.world.clock.unix();
        self.tx.queued = self.shared.queued.load(Ordering::SeqCst);
        (self.tx.quota, self.tx.sending) = (self.shared.quota.get(), self.shared.quota.sending());
        self.tx.lanes = self.shared.lanes.get();
        if let Err(error) = self.execute("BEGIN IMMEDIATE; SAVEPOINT job").await {
            let _ = self.execute("ROLLBACK").await;
            for entry in waiting.drain(..) {
                entry.kind.refuse(&error);
            }
            return;
        }
        let mut done = Batch::default();
        let (mut octets, mut jobs) = (0, 0);
        while done.broken.is_none()
            && octets < self.limits.octets
            && jobs < self.limits.jobs
            && begun.elapsed() < BATCH_TIME
        {
            let Some(entry) = waiting.pop_front() else { break };
            octets += entry.octets;
            jobs += 1;
            done.since.push(entry.since);
            match entry.kind {
                Kind::Job(job) => self.run_job(job, &mut done).await,
                Kind::Packages(packages, reply) => done.packages.push((packages, reply)),
                Kind::Settling(settling, reply) => done.settlings.push((settling, reply)),
            }
        }
        if done.broken.is_none() {
            self.run_packages(&mut done).await;
        }
        if done.broken.is_none() {
            self.run_settlings(&mut done).await;
        }
        self.finish(done).await;
        let log = octets + jobs as u64 * LOG_PER_JOB;
        self.shared.written.send_modify(|written| *written += log);
    }

    async fn execute(&mut self, statement: &'static str) -> Result<()> {
        sql::query(statement).execute(&mut self.tx.connection).await.map(drop)
    }

    /// Runs one job under a savepoint, so that its failure leaves no trace and its neighbours stand.
    async fn run_job(&mut self, mut job: Box<dyn Job>, done: &mut Batch) {
        let queued = self.tx.queued;
        let outcome = match self.enter(done).await {
            Ok(()) => unless_it_panics(job.run(&mut self.tx)).await,
            Err(error) => Err(error),
        };
        self.leave(&outcome, queued, done).await;
        done.jobs.push(job);
    }

    /// Opens a savepoint for the next piece of work, unless the one that is open has nothing in it.
    async fn enter(&mut self, done: &mut Batch) -> Result<()> {
        if std::mem::replace(&mut done.used, true) {
            let opened = self.execute("RELEASE job; SAVEPOINT job").await;
            if let Err(error) = &opened {
                done.broken.get_or_insert(error.clone());
            }
            return opened;
        }
        Ok(())
    }

    /// Keeps what was done since `enter` (the commit closes the savepoint), or undoes it; there were so many jobs in the queue
    /// before. If that fails SQLite has given up the whole transaction, and the batch is lost.
    async fn leave<T>(&mut self, outcome: &Result<T>, queued: u64, done: &mut Batch) {
        let effects = std::mem::take(&mut self.tx.effects);
        let Err(cause) = outcome else { return done.effects.join(effects) };
        self.tx.queued = queued;
        done.used = false;
        if self.execute("ROLLBACK TO job").await.is_err() {
            // What SQLite gave up for is what all have to hear of.
            done.broken.get_or_insert(cause.clone());
        }
    }

    /// Commits, rings, and answers. Only here is anything promised.
    async fn finish(&mut self, mut done: Batch) {
        let begun = Instant::now();
        let committed = match done.broken.take() {
            Some(error) => Err(error),
            None => self.execute("COMMIT").await,
        };
        measure::commit(&self.world.meter, &done.since, begun);
        if done.effects.accounts {
            self.shared.known.forget();
        }
        if let Err(error) = &committed {
            tracing::error!(%error, "a commit failed");
            // If SQLite has rolled back by itself this one fails, and that is well.
            let _ = self.execute("ROLLBACK").await;
            if !matches!(error, Error::Trouble(Trouble::Full | Trouble::Busy)) {
                // It may be on disk in spite of the error: the files stay, and the next start sweeps.
                done.effects.keep.iter().for_each(|file| file.keep());
            }
        } else {
            self.shared.commits.fetch_add(1, Ordering::Relaxed);
            self.shared.queued.store(self.tx.queued, Ordering::SeqCst);
            self.after_commit(done.effects);
        }
        for job in done.jobs {
            job.answer(committed.clone());
        }
        for (packages, reply, outcome) in done.stored {
            drop(packages);
            let _ = reply.send(committed.clone().and(outcome));
        }
        for (reply, outcome) in done.settled {
            let _ = reply.send(committed.clone().and(outcome));
        }
        for (_, reply) in done.settlings {
            let _ = reply.send(committed.clone().and_then(|()| Err(Error::bug("work was left undone"))));
        }
        for (_, reply) in done.packages {
            let _ = reply.send(committed.clone().and_then(|()| Err(Error::bug("work was left undone"))));
        }
    }

    fn after_commit(&mut self, effects: Effects) {
        effects.keep.iter().for_each(|file| file.keep());
        self.shared.wake.ring(&effects.rings);
        if !effects.unlink.is_empty() {
            hold::remove(self.shared.hold.offer(effects.unlink));
        }
        self.collecting |= effects.loose;
    }
}

/// What became of a batch before its commit.
#[derive(Default)]
struct Batch {
    /// When each piece of work was handed in.
    since: Vec<Instant>,
    jobs: Vec<Box<dyn Job>>,
    packages: Vec<(Vec<Package>, PackageReply)>,
    settlings: Vec<(Settling, SettlingReply)>,
    settled: Vec<(SettlingReply, Result<JobEnd>)>,
    stored: Vec<(Vec<Package>, PackageReply, Result<Vec<Accepted>>)>,
    effects: Effects,
    /// The open savepoint has work in it.
    used: bool,
    /// Why the transaction as a whole is lost.
    broken: Option<Error>,
}

async fn unless_it_panics<T>(work: BoxFuture<'_, Result<T>>) -> Result<T> {
    AssertUnwindSafe(work).catch_unwind().await.unwrap_or_else(|_| {
        tracing::error!("a piece of work for the database panicked");
        Err(Error::bug("the work panicked"))
    })
}
