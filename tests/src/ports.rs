//! Ports that nobody uses.

use std::net::{Ipv4Addr, TcpListener};
use std::ops::Range;
use std::sync::{Mutex, PoisonError};
use world::Random;

/// The ports of one daemon, and the one on which all fake mail servers of its scene listen.
#[derive(Clone, Copy, Debug)]
pub struct Ports {
    pub smtp: u16,
    pub submission: u16,
    pub submissions: u16,
    pub imap: u16,
    pub imaps: u16,
    pub remote: u16,
}

impl Ports {
    pub(crate) fn pick() -> Self {
        Self {
            smtp: free_port(),
            submission: free_port(),
            submissions: free_port(),
            imap: free_port(),
            imaps: free_port(),
            remote: free_port(),
        }
    }
}

/// Ports are taken from this range: the system hands out none of them by itself (Linux begins at 32768), so that a port
/// that is free stays free until the daemon has it.
const RANGE: Range<u16> = 10_000..32_000;

/// A port that is free on the first few addresses of loopback, and that this process has not been given before.
pub fn free_port() -> u16 {
    static NEXT: Mutex<Option<u16>> = Mutex::new(None);
    let mut next = NEXT.lock().unwrap_or_else(PoisonError::into_inner);
    for _ in RANGE {
        // Test programs that run side by side begin at different places.
        let port = next.unwrap_or_else(|| RANGE.start + any_number() % (RANGE.end - RANGE.start));
        *next = Some(if port + 1 < RANGE.end { port + 1 } else { RANGE.start });
        if (1..=9).all(|n| TcpListener::bind((Ipv4Addr::new(127, 0, 0, n), port)).is_ok()) {
            return port;
        }
    }
    panic!("loopback has no free port");
}

fn any_number() -> u16 {
    let word = world::SystemRandom.u64();
    u16::try_from(word % u64::from(u16::MAX)).unwrap_or(0)
}
