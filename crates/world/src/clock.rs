//! What time it is, as a value that is handed in.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Tells the time of day. Waiting is done with tokio's timers; this is for what is written down and compared.
pub trait Clock: Send + Sync {
    fn now(&self) -> SystemTime;

    /// Whole seconds since 1970-01-01T00:00:00Z; 0 if the clock stands before it.
    fn unix(&self) -> i64 {
        let since = self.now().duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO);
        i64::try_from(since.as_secs()).unwrap_or(i64::MAX)
    }
}
