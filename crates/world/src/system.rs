//! The real outside: the system's clock, its random source and the DNS.

use crate::name_server::{DnsOptions, NoDns, SystemResolver};
use crate::{Clock, Meter, Random, World};
use rand::Rng;
use std::sync::Arc;
use std::time::SystemTime;

/// The system's clock.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> SystemTime {
        SystemTime::now()
    }
}

/// A generator per thread, seeded and reseeded by the operating system; fit for secrets.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemRandom;

impl Random for SystemRandom {
    fn fill(&self, out: &mut [u8]) {
        rand::rng().fill_bytes(out);
    }
}

/// The system's clock and random source, and the DNS as the options say.
pub fn system(dns: &DnsOptions) -> Result<World, String> {
    Ok(World {
        clock: Arc::new(SystemClock),
        dns: Arc::new(SystemResolver::new(dns)?),
        random: Arc::new(SystemRandom),
        meter: Meter::default(),
    })
}

/// The system's clock and random source, and no DNS at all.
pub fn without_dns() -> World {
    World {
        clock: Arc::new(SystemClock),
        dns: Arc::new(NoDns),
        random: Arc::new(SystemRandom),
        meter: Meter::default(),
    }
}
