//! How fast the sender of a message is, without a clock: in how many pieces it comes. Who sends it in crumbs finds us
//! less patient. Lines need none of this: each has a time limit as a whole.

use std::time::Duration;

/// After this many reads of one message the size of the pieces is looked at.
const SLOW_READS: u64 = 128;
/// Pieces smaller than this on average, in octets, cost the sender our patience.
const SLOW_PIECE: u64 = 32;
/// Patience with such a sender.
const SLOW_PATIENCE: Duration = Duration::from_secs(10);

/// The pieces of one message.
#[derive(Debug, Default)]
pub(super) struct Pace {
    of: u64,
    reads: u64,
    octets: u64,
}

impl Pace {
    /// A piece of the thing with that number.
    pub(super) fn read(&mut self, number: u64, octets: usize) {
        if self.of != number {
            *self = Self { of: number, ..Self::default() };
        }
        self.reads += 1;
        self.octets += octets as u64;
    }

    pub(super) fn for_content(&self, patience: Duration) -> Duration {
        let is_slow = self.reads > SLOW_READS && self.octets / self.reads < SLOW_PIECE;
        if is_slow { SLOW_PATIENCE.min(patience) } else { patience }
    }
}
