//! Where callers hand in work for the writer, and wait for their answers. What waits is bounded, in number and in octets.

use crate::error::{Error, Result, Trouble};
use crate::package::{Accepted, Package};
use crate::queue::JobEnd;
use crate::settle::Settling;
use crate::writer::Tx;
use futures_util::future::BoxFuture;
use std::sync::Arc;
use std::time::Instant;
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore, mpsc, oneshot};

/// Pieces of work that may wait for the writer; beyond that callers wait for room.
const WAITING_MAX: usize = 4096;
/// Octets, in KiB, that waiting work may hold in memory.
const WAITING_KIB_MAX: u32 = 128 * 1024;

/// Work of any kind, its answer hidden.
pub(crate) trait Job: Send {
    fn run<'a>(&'a mut self, tx: &'a mut Tx) -> BoxFuture<'a, Result<()>>;
    /// Tells the caller what came of it; `Err` if the batch as a whole failed.
    fn answer(self: Box<Self>, batch: std::result::Result<(), Error>);
}

struct Work<F, T> {
    work: Option<F>,
    outcome: Result<T>,
    reply: oneshot::Sender<Result<T>>,
}

impl<F, T> Job for Work<F, T>
where
    F: for<'a> FnOnce(&'a mut Tx) -> BoxFuture<'a, Result<T>> + Send,
    T: Send,
{
    fn run<'a>(&'a mut self, tx: &'a mut Tx) -> BoxFuture<'a, Result<()>> {
        Box::pin(async move {
            let Some(work) = self.work.take() else { return Ok(()) };
            self.outcome = Err(Error::bug("the work panicked"));
            self.outcome = work(tx).await;
            self.outcome.as_ref().map(|_| ()).map_err(Clone::clone)
        })
    }

    fn answer(self: Box<Self>, batch: std::result::Result<(), Error>) {
        // A caller that has gone does not want the answer.
        let _ = self.reply.send(batch.and(self.outcome));
    }
}

pub(crate) type PackageReply = oneshot::Sender<Result<Vec<Accepted>>>;

pub(crate) type SettlingReply = oneshot::Sender<Result<JobEnd>>;

pub(crate) enum Kind {
    Job(Box<dyn Job>),
    /// Messages that come in: all that wait are stored with the same few statements.
    Packages(Vec<Package>, PackageReply),
    /// What came of attempts: written in the same way.
    Settling(Settling, SettlingReply),
}

pub(crate) struct Entry {
    pub(crate) kind: Kind,
    pub(crate) octets: u64,
    /// When it was handed in.
    pub(crate) since: Instant,
    _room: Room,
}

/// Room in memory for work that waits; given back on drop.
pub(crate) struct Room {
    _permit: OwnedSemaphorePermit,
}

/// The callers' end of the writer.
#[derive(Clone)]
pub(crate) struct Desk {
    entries: mpsc::Sender<Entry>,
    room: Arc<Semaphore>,
    closing: Arc<Notify>,
}

impl Desk {
    /// Room for work that is to hold so many octets in memory. Taken before the memory is.
    pub(crate) async fn room(&self, octets: u64) -> Result<Room> {
        let kib = u32::try_from(octets / 1024).unwrap_or(u32::MAX).clamp(1, WAITING_KIB_MAX);
        let permit = Arc::clone(&self.room).acquire_many_owned(kib).await.map_err(|_| Trouble::Closed)?;
        Ok(Room { _permit: permit })
    }

    async fn submit(&self, kind: Kind, octets: u64, room: Room) -> Result<()> {
        let entry = Entry { kind, octets, since: Instant::now(), _room: room };
        self.entries.send(entry).await.map_err(|_| Trouble::Closed.into())
    }

    /// Runs `work` within the next commit, and returns once that is on disk. `octets` is about what it writes.
    pub(crate) async fn write<T, F>(&self, octets: u64, room: Room, work: F) -> Result<T>
    where
        F: for<'a> FnOnce(&'a mut Tx) -> BoxFuture<'a, Result<T>> + Send + 'static,
        T: Send + 'static,
    {
        let (reply, answer) = oneshot::channel();
        let work = Work { work: Some(work), outcome: Err(Trouble::Closed.into()), reply };
        self.submit(Kind::Job(Box::new(work)), octets, room).await?;
        answer.await.unwrap_or_else(|_| Err(Trouble::Closed.into()))
    }

    /// Stores all of `packages` in one commit, or none; `room` was taken before they were made.
    pub(crate) async fn store(&self, packages: Vec<Package>, room: Room) -> Result<Vec<Accepted>> {
        let octets = packages.iter().map(Package::octets).sum();
        let (reply, answer) = oneshot::channel();
        self.submit(Kind::Packages(packages, reply), octets, room).await?;
        answer.await.unwrap_or_else(|_| Err(Trouble::Closed.into()))
    }

    /// Writes down what came of an attempt, in the next commit.
    pub(crate) async fn settle(&self, settling: Settling, octets: u64, room: Room) -> Result<JobEnd> {
        let (reply, answer) = oneshot::channel();
        self.submit(Kind::Settling(settling, reply), octets, room).await?;
        answer.await.unwrap_or_else(|_| Err(Trouble::Closed.into()))
    }

    /// No further work; what waits is still done.
    pub(crate) fn close(&self) {
        self.room.close();
        self.closing.notify_one();
    }
}

/// The writer's end.
pub(crate) struct Inbox {
    entries: mpsc::Receiver<Entry>,
    room: Arc<Semaphore>,
    closing: Arc<Notify>,
}

/// Both ends.
pub(crate) fn desk() -> (Desk, Inbox) {
    let (entries, inbox) = mpsc::channel(WAITING_MAX);
    let closing = Arc::new(Notify::new());
    let room = Arc::new(Semaphore::new(WAITING_KIB_MAX as usize));
    let desk = Desk { entries, room: Arc::clone(&room), closing: Arc::clone(&closing) };
    (desk, Inbox { entries: inbox, room, closing })
}

impl Inbox {
    /// Whether the desk is closed; what waits is still to be done.
    pub(crate) fn is_closed(&mut self) -> bool {
        if self.room.is_closed() {
            self.entries.close();
        }
        self.room.is_closed()
    }

    /// Work that waits at this moment.
    pub(crate) fn try_next(&mut self) -> Option<Entry> {
        self.entries.try_recv().ok()
    }

    /// Waits for work. `None`: there will be no more.
    pub(crate) async fn next(&mut self) -> Option<Entry> {
        loop {
            tokio::select! {
                entry = self.entries.recv() => return entry,
                () = self.closing.notified() => self.entries.close(),
            }
        }
    }
}

impl Kind {
    /// Answers work that was not begun.
    pub(crate) fn refuse(self, error: &Error) {
        match self {
            Self::Job(job) => job.answer(Err(error.clone())),
            Self::Packages(_, reply) => {
                let _ = reply.send(Err(error.clone()));
            }
            Self::Settling(_, reply) => {
                let _ = reply.send(Err(error.clone()));
            }
        }
    }
}
