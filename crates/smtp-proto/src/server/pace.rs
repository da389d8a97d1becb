//! How fast a peer is, without a clock: in how many pieces something comes. Who sends in crumbs finds us less
//! patient, so that a line or a message cannot be drawn out for days.

use std::time::Duration;

/// The shortest patience with somebody who sends a line in many small pieces.
const PATIENCE_MIN: Duration = Duration::from_secs(2);
/// Most times that the patience is halved.
const HALVINGS_MAX: u32 = 16;
/// After this many reads of one message the size of the pieces is looked at.
const SLOW_READS: u64 = 128;
/// Pieces smaller than this on average, in octets, cost the sender our patience.
const SLOW_PIECE: u64 = 32;
/// Patience with such a sender.
const SLOW_PATIENCE: Duration = Duration::from_secs(10);

/// The pieces of one line or one message.
#[derive(Debug, Default)]
pub(super) struct Pace {
    reads: u64,
    octets: u64,
}

impl Pace {
    pub(super) fn read(&mut self, octets: usize) {
        self.reads += 1;
        self.octets += octets as u64;
    }

    /// Each piece of a line halves the patience.
    pub(super) fn for_line(&self, patience: Duration) -> Duration {
        let halvings = u32::try_from(self.reads).unwrap_or(u32::MAX).min(HALVINGS_MAX);
        (patience / (1 << halvings)).max(PATIENCE_MIN.min(patience))
    }

    pub(super) fn for_content(&self, patience: Duration) -> Duration {
        let is_slow = self.reads > SLOW_READS && self.octets / self.reads < SLOW_PIECE;
        if is_slow { SLOW_PATIENCE.min(patience) } else { patience }
    }
}
