//! Time, DNS and randomness: the outside world as values that are handed in at the top, with the numbers that are counted.
//!
//! Floor 1. Only here may code ask the system for them.

mod anchor;
pub mod clock;
pub mod dnssec;
pub mod fake;
mod master;
pub mod meter;
pub mod name;
pub mod name_server;
pub mod random;
pub mod record;
pub mod resolver;
pub mod system;
pub mod update;
pub mod url;
pub mod zone;

pub use clock::Clock;
pub use dnssec::Dnssec;
pub use meter::Meter;
pub use name::DnsName;
pub use name_server::{DnsOptions, NoDns, SystemResolver};
pub use random::Random;
pub use record::{Caa, Data, Kind, Mx, Tlsa};
pub use resolver::{DnsError, Proof, Reply, Resolver, Security};
pub use system::{SystemClock, SystemRandom};
pub use url::Url;

use std::sync::Arc;

/// The values together. Cloning is cheap.
#[derive(Clone)]
pub struct World {
    pub clock: Arc<dyn Clock>,
    pub dns: Arc<dyn Resolver>,
    pub random: Arc<dyn Random>,
    /// What is counted of all that happens with this world.
    pub meter: Meter,
}
