//! Time, DNS and randomness: the outside world as three values that are handed in at the top.
//!
//! Floor 1. Only here may code ask the system for them.

pub mod clock;
pub mod fake;
pub mod random;
pub mod resolver;
pub mod system;
pub mod zone;

pub use clock::Clock;
pub use random::Random;
pub use resolver::{DnsError, Mx, Resolver};
pub use system::{DnsOptions, NoDns, SystemClock, SystemRandom, SystemResolver};

use std::sync::Arc;

/// The three values together. Cloning is cheap.
#[derive(Clone)]
pub struct World {
    pub clock: Arc<dyn Clock>,
    pub dns: Arc<dyn Resolver>,
    pub random: Arc<dyn Random>,
}
