//! What the writer measures.

use std::time::Instant;
use world::Meter;

/// A commit that took from `begun` until now, for work that was handed in at these times.
pub(crate) fn commit(meter: &Meter, since: &[Instant], begun: Instant) {
    let now = Instant::now();
    meter.commits.took((), now.duration_since(begun));
    meter.batches.note((), since.len() as u64);
    for since in since {
        meter.store_writes.took((), now.duration_since(*since));
    }
}
