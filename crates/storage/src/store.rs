//! The store: opened once, cloned freely. Reads go to a pool, writes to the one writer.

use crate::backup::HELD;
use crate::blocking::{Blocking, Readers};
use crate::body::{Folder, Prepared};
use crate::checkpoint;
use crate::config::Config;
use crate::desk::{Desk, Room};
use crate::error::Result;
use crate::hold::Hold;
use crate::ids::{AccountId, ModSeq};
use crate::known::Known;
use crate::lanes::Lanes;
use crate::message::Shape;
use crate::package::{Accepted, Package};
use crate::quota::Configured;
use crate::schema;
use crate::search::{Feeder, Indexes};
use crate::sql::Link;
use crate::sqlite::{self, Places};
use crate::upgrade;
use crate::wake::Wake;
use crate::writer::{self, Limits, Shared, Tx};
use futures_util::future::BoxFuture;
use mail::Blob;
use std::fs::File;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use world::World;

/// Letters of the word that marks this process's body files.
const RUN_LETTERS: usize = 10;

/// Accounts, mailboxes and the queue. Cloning is cheap; all clones are one store.
///
/// Every call may be cancelled at any time by dropping its future: what it began is then done whole or not at all.
#[derive(Clone)]
pub struct Store {
    inner: Arc<Inner>,
}

struct Inner {
    places: Places,
    readers: Readers,
    desk: Desk,
    wake: Arc<Wake>,
    bodies: Arc<Folder>,
    queued: Arc<AtomicU64>,
    commits: Arc<AtomicU64>,
    indexes: Arc<Indexes>,
    quota: Arc<Configured>,
    lanes: Arc<Lanes>,
    known: Arc<Known>,
    hold: Arc<Hold>,
    world: World,
    /// What ends when the store is closed, in order.
    tasks: Mutex<Vec<JoinHandle<()>>>,
    lock: Mutex<Option<File>>,
}

impl std::fmt::Debug for Store {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Store({})", self.inner.places.database.display())
    }
}

impl Store {
    /// Opens `<dir>/maddy.db`, and makes it if there is none. Takes `<dir>/maddy.lock`, so that no two processes work
    /// on one state directory ([`crate::Trouble::InUse`]); empties `<dir>/tmp`; sweeps `<dir>/bodies` in the background.
    pub async fn open(config: Config, world: World) -> Result<Self> {
        let places = Places::of(&config.dir);
        let lock = places.prepare(&config.dir)?;
        upgrade::keep_copy(&places, &config, world.clock.unix()).await?;
        let connection = sqlite::open_writer(&places, &config)?;
        schema::migrate(&connection, &places.database).await?;
        let number = |text| connection.query_row(text, [], |row| row.get::<_, i64>(0));
        let queued = Arc::new(AtomicU64::new(number("SELECT count(*) FROM job")?.unsigned_abs()));
        let newest = number("SELECT last FROM sequence WHERE name = 'content'")?;
        let (commits, lanes, known): (Arc<AtomicU64>, Arc<Lanes>, Arc<Known>) = Default::default();
        let quota = Arc::new(Configured::new(config.quota));
        quota.set_sending(config.sending);
        let readers = Arc::new(Blocking::new(places.database.clone(), config.readers, world.meter.clone()));
        let (wake, hold) = (Arc::new(Wake::new()), Hold::resume(config.dir.join(HELD)));
        let shared = Arc::new(Shared {
            wake: Arc::clone(&wake),
            written: watch::Sender::new(0),
            finish_checkpoint: AtomicBool::new(false),
            queued: Arc::clone(&queued),
            commits: Arc::clone(&commits),
            quota: Arc::clone(&quota),
            lanes: Arc::clone(&lanes),
            known: Arc::clone(&known),
            bodies: places.bodies.clone(),
            hold: Arc::clone(&hold),
        });
        let limits =
            Limits { jobs: config.batch_jobs, octets: config.batch_octets, queue_max: config.queue_max };
        let opened = places.clone();
        let checkpointer = Link::open(move || sqlite::open_checkpointer(&opened)).await?;
        let checkpointing =
            tokio::spawn(checkpoint::run(checkpointer, Arc::clone(&shared), config.checkpoint_octets));
        let (desk, writing) = writer::start(connection, shared, limits, world.clone())?;
        let bodies = Arc::new(Folder::new(places.bodies.clone(), world.random.word(RUN_LETTERS)));
        tokio::spawn(sweep(Arc::clone(&bodies), readers.clone(), Arc::clone(&hold)));
        let indexes = Arc::new(Indexes::new(&config.dir, config.search.clone(), newest, Arc::clone(&wake))?);
        let mut tasks = vec![writing, checkpointing];
        if config.search.index {
            let feeder = Feeder {
                indexes: Arc::downgrade(&indexes),
                wake: Arc::downgrade(&wake),
                readers: readers.clone(),
                bodies: Arc::clone(&bodies),
                commits: Arc::clone(&commits),
                seen: AtomicU64::new(0),
            };
            tasks.push(tokio::spawn(feeder.run(wake.watch_changes())));
        }
        let inner = Inner {
            places,
            readers,
            desk,
            wake,
            bodies,
            queued,
            commits,
            indexes,
            quota,
            lanes,
            known,
            hold,
            world,
            tasks: Mutex::new(tasks),
            lock: Mutex::new(Some(lock)),
        };
        Ok(Self { inner: Arc::new(inner) })
    }

    /// Does what still waits, carries the log over, and lets go of the state directory. Later calls answer
    /// [`crate::Trouble::Closed`].
    pub async fn close(&self) {
        self.inner.wake.close();
        self.inner.desk.close();
        let tasks = std::mem::take(&mut *self.inner.tasks.lock().unwrap_or_else(PoisonError::into_inner));
        self.inner.readers.close().await;
        for task in tasks {
            if let Err(error) = task.await {
                tracing::error!(%error, "a task of the store ended badly");
            }
        }
        self.inner.lock.lock().unwrap_or_else(PoisonError::into_inner).take();
    }

    /// Where messages lie while they are received; emptied at start.
    pub fn spool_dir(&self) -> &Path {
        &self.inner.places.spool
    }

    /// The bell of an account: rings after each commit that changed something of it, with the newest mod-sequence.
    /// Take it before the first read, so that nothing can fall between.
    pub fn watch(&self, account: AccountId) -> watch::Receiver<ModSeq> {
        self.inner.wake.watch(account)
    }

    /// Another number than before: the account may have other mailboxes, names, uses of mailboxes or subscriptions. Only for
    /// who holds its bell, and to be taken before the first read.
    pub fn names_version(&self, account: AccountId) -> u64 {
        self.inner.wake.names_version(account)
    }

    /// The bell of the queue: rings when jobs came, or became due earlier.
    pub fn watch_queue(&self) -> watch::Receiver<u64> {
        self.inner.wake.watch_queue()
    }

    /// Commits since the store was opened, for metrics: work divided by it is how many shared one flush.
    pub fn commits(&self) -> u64 {
        self.inner.commits.load(Ordering::Relaxed)
    }

    pub(crate) fn wake(&self) -> &Wake {
        &self.inner.wake
    }

    pub(crate) fn desk(&self) -> &Desk {
        &self.inner.desk
    }

    pub(crate) fn readers(&self) -> &Readers {
        &self.inner.readers
    }

    pub(crate) fn bodies(&self) -> &Folder {
        &self.inner.bodies
    }

    pub(crate) fn indexes(&self) -> &Indexes {
        &self.inner.indexes
    }

    pub(crate) fn configured_quota(&self) -> &Configured {
        &self.inner.quota
    }

    pub(crate) fn known(&self) -> &Known {
        &self.inner.known
    }

    pub(crate) fn lanes(&self) -> &Lanes {
        &self.inner.lanes
    }

    pub(crate) fn body_hold(&self) -> &Arc<Hold> {
        &self.inner.hold
    }

    pub(crate) fn queued(&self) -> &AtomicU64 {
        &self.inner.queued
    }

    pub(crate) fn world(&self) -> &World {
        &self.inner.world
    }

    pub(crate) async fn write<T, F>(&self, octets: u64, work: F) -> Result<T>
    where
        F: for<'a> FnOnce(&'a mut Tx) -> BoxFuture<'a, Result<T>> + Send + 'static,
        T: Send + 'static,
    {
        let room = self.inner.desk.room(octets).await?;
        self.write_in(room, octets, work).await
    }

    /// The same with room that was taken for what it is made of.
    pub(crate) async fn write_in<T, F>(&self, room: Room, octets: u64, work: F) -> Result<T>
    where
        F: for<'a> FnOnce(&'a mut Tx) -> BoxFuture<'a, Result<T>> + Send + 'static,
        T: Send + 'static,
    {
        self.inner.desk.write(octets, room, work).await
    }

    pub(crate) async fn store_packages(&self, packages: Vec<Package>, room: Room) -> Result<Vec<Accepted>> {
        self.inner.desk.store(packages, room).await
    }

    /// What is slow about bodies, and room for the memory that they take.
    pub(crate) async fn prepare(&self, bodies: Vec<(Blob, Shape)>) -> Result<(Vec<Prepared>, Room)> {
        // What lies in a file is copied piece by piece.
        let octets = |(blob, shape): &(Blob, Shape)| match blob.as_memory() {
            Some(octets) => octets.len() as u64 + shape.octets(),
            None => shape.octets(),
        };
        let room = self.inner.desk.room(bodies.iter().map(octets).sum()).await?;
        Ok((self.inner.bodies.prepare(bodies).await?, room))
    }
}

async fn sweep(bodies: Arc<Folder>, readers: Readers, hold: Arc<Hold>) {
    match bodies.sweep(readers, &hold).await {
        Ok(0) => {}
        Ok(swept) => tracing::info!(swept, "removed files of messages that were never accepted"),
        Err(error) => tracing::warn!(%error, "sweeping the bodies failed"),
    }
}
