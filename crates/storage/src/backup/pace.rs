//! How much of the disk a backup takes.

use std::time::{Duration, Instant};

/// Longest rest at a time.
const REST_MAX: Duration = Duration::from_millis(500);
/// Work between two rests, at least.
const WORK_MIN: Duration = Duration::from_millis(20);

/// Whether others come first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Pace {
    /// Rests as long as it works, so that others find the disk free half of the time.
    #[default]
    Gentle,
    Full,
}

/// Work that rests now and then.
#[derive(Debug)]
pub(super) struct Breath {
    pace: Pace,
    since: Instant,
}

impl Breath {
    pub(super) fn new(pace: Pace) -> Self {
        Self { pace, since: Instant::now() }
    }

    /// Rests if it is time to. Blocks its thread.
    pub(super) fn take(&mut self) {
        let worked = self.since.elapsed();
        if self.pace == Pace::Gentle && worked >= WORK_MIN {
            std::thread::sleep(worked.min(REST_MAX));
            self.since = Instant::now();
        }
    }
}
