//! Connections to read by: a question with all its rows is one trip to a thread where blocking is allowed
//! (docs/decisions/0010-hot-reads.md).

use crate::error::{Error, Result, Trouble};
use crate::sqlite::{self, HOT_CACHE_KIB, READER_WAIT};
use rusqlite::{Connection, OpenFlags};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;
use tokio::sync::Semaphore;
use tokio::time::timeout;
use world::Meter;

/// Statements that each connection keeps prepared; more than there are.
const STATEMENTS_KEPT: usize = 128;

/// Connections to read by, shared by all who read.
pub(crate) type Readers = Arc<Blocking>;

/// Connections that are opened when they are needed, up to a number.
pub(crate) struct Blocking {
    database: PathBuf,
    most: u32,
    room: Arc<Semaphore>,
    idle: Mutex<Vec<Connection>>,
    meter: Meter,
}

impl Blocking {
    /// At most `most` connections at a time.
    pub(crate) fn new(database: PathBuf, most: u32, meter: Meter) -> Self {
        let (room, idle) = (Arc::new(Semaphore::new(most as usize)), Mutex::default());
        Self { database, most, room, idle, meter }
    }

    /// Does `work` where blocking is allowed; it is done to its end even if nobody waits for it any more.
    pub(crate) async fn read<T, F>(self: &Arc<Self>, work: F) -> Result<T>
    where
        F: FnOnce(&Connection) -> Result<T> + Send + 'static,
        T: Send + 'static,
    {
        let begun = Instant::now();
        let room = timeout(READER_WAIT, Arc::clone(&self.room).acquire_owned());
        let room = room.await.map_err(|_| Trouble::Busy)?.map_err(|_| Trouble::Closed)?;
        let blocking = Arc::clone(self);
        let done = tokio::task::spawn_blocking(move || {
            let idle = blocking.idle().pop();
            let connection = match idle {
                Some(connection) => connection,
                None => open(&blocking.database, HOT_CACHE_KIB)?,
            };
            let outcome = work(&connection);
            // One whose work panicked is dropped with it.
            blocking.idle().push(connection);
            drop(room);
            blocking.meter.store_reads.took((), begun.elapsed());
            outcome
        });
        done.await.map_err(|error| Error::bug(format!("reading: {error}")))?
    }

    fn idle(&self) -> MutexGuard<'_, Vec<Connection>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits for what is under way, and lets go of the database. Later calls answer [`Trouble::Closed`].
    pub(crate) async fn close(&self) {
        let all = self.room.acquire_many(self.most).await;
        self.room.close();
        self.idle().clear();
        drop(all);
    }
}

/// A connection that reads, with so much of a page cache.
pub(crate) fn open(database: &Path, cache_kib: u32) -> Result<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(database, flags)?;
    sqlite::harden(&connection)?;
    connection.execute_batch(&format!("PRAGMA query_only = ON; PRAGMA cache_size = -{cache_kib}"))?;
    connection.set_prepared_statement_cache_capacity(STATEMENTS_KEPT);
    Ok(connection)
}
