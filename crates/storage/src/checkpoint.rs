//! Carries the write-ahead log over into the database, beside the writer, so that no commit waits for it.

use crate::sqlite::{self, PAGE};
use crate::writer::Shared;
use sqlx::sqlite::SqliteConnection;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

/// When nobody has written for so long, what is in the log is carried over, however little.
const QUIET: Duration = Duration::from_secs(5);
/// Under load the log never comes to an end beside the writer. From this many times its wanted size on the writer carries
/// over the last pages itself, between two commits.
const OVERDUE: u64 = 4;

/// Runs until the writer is gone.
pub(crate) async fn run(mut connection: SqliteConnection, shared: Arc<Shared>, wanted: u64) {
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
        match sqlite::checkpoint(&mut connection).await {
            Ok((log, _)) => {
                carried = now;
                if log.unsigned_abs() * PAGE > wanted * OVERDUE {
                    shared.finish_checkpoint.store(true, Ordering::SeqCst);
                }
            }
            Err(error) => tracing::warn!(%error, "checkpoint failed"),
        }
    }
    sqlite::finish(connection).await;
}
