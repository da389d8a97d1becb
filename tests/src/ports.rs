//! Ports that nobody uses.

use std::net::{Ipv4Addr, TcpListener};

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
        // All are held until the last is found, so that no two are the same.
        let held: Vec<TcpListener> = (0..6).map(|_| bind(Ipv4Addr::LOCALHOST)).collect();
        let port = |n: usize| held[n].local_addr().unwrap().port();
        Self {
            smtp: port(0),
            submission: port(1),
            submissions: port(2),
            imap: port(3),
            imaps: port(4),
            remote: port(5),
        }
    }
}

/// A port on 127.0.0.1 that was free a moment ago.
pub fn free_port() -> u16 {
    bind(Ipv4Addr::LOCALHOST).local_addr().unwrap().port()
}

fn bind(ip: Ipv4Addr) -> TcpListener {
    TcpListener::bind((ip, 0)).expect("loopback has a free port")
}
