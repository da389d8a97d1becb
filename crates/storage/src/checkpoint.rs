//! Carries the write-ahead log over into the database, beside the writer, so that no commit waits for it.

use crate::error::Result;
use crate::sql::Link;
use crate::sqlite::{self, PAGE};
use crate::writer::Shared;
use rusqlite::Connection;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

/// When nobody has written for so long, what is in the log is carried over, however little.
const QUIET: Duration = Duration::from_secs(5);
/// Under load the log never comes to an end beside the writer. From this many times its wanted size on the writer carries
/// over the last pages itself, between two commits.
const OVERDUE: u64 = 4;
/// What came meanwhile is carried over beside the writer as well, time after time, until it is no more than so many pages,
const LAST_PAGES: i64 = 256;
/// but no more than so many times.
const ROUNDS_MAX: usize = 8;

/// Runs until the writer is gone.
pub(crate) async fn run(mut connection: Link, shared: Arc<Shared>, wanted: u64) {
    let mut written = shared.written.subscribe();
    // The writer holds the sender: only this end must not, or it would never learn of the end.
    let weak = Arc::downgrade(&shared);
    drop(shared);
    let mut carried = 0;
    loop {
        let changed = tokio::time::timeout(QUIET, written.changed()).await;
        let Some(shared) = weak.upgrade() else { break };
        let now = *written.borrow_and_update();
        let quiet = changed.is_err();
        if matches!(changed, Ok(Err(_))) {
            break;
        }
        if now == carried || (!quiet && now - carried < wanted) {
            continue;
        }
        let limit = i64::try_from(wanted * OVERDUE / PAGE).unwrap_or(i64::MAX);
        match connection.with(move |connection| carry(connection, limit)).await {
            Ok(pages) => {
                carried = now;
                if pages > limit {
                    shared.finish_checkpoint.store(true, Ordering::SeqCst);
                }
            }
            Err(error) => tracing::warn!(%error, "checkpoint failed"),
        }
    }
    if let Err(error) = connection.end(sqlite::finish).await {
        tracing::warn!(%error, "the last checkpoint failed");
    }
}

/// Carries over what there is. Returns the pages of the log; of more than `limit` pages only few are left to be carried over, so that the
/// writer is not held up by the rest.
fn carry(connection: &Connection, limit: i64) -> Result<i64> {
    let (mut pages, _) = sqlite::checkpoint(connection)?;
    for _ in 0..ROUNDS_MAX {
        if pages <= limit {
            break;
        }
        let (now, _) = sqlite::checkpoint(connection)?;
        let more = now - pages;
        pages = now;
        if more <= LAST_PAGES {
            break;
        }
    }
    Ok(pages)
}
