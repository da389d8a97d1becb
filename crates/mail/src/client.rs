//! Who brought a message to us: told to next hosts that want to judge it by its true client.

use std::net::{IpAddr, SocketAddr};

/// The client of a connection over which a message came.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Client {
    pub address: IpAddr,
    /// 0: not known.
    pub port: u16,
    /// The address and port of ours that it came to.
    pub here: Option<SocketAddr>,
    /// What it called itself.
    pub hello: Option<String>,
    /// It said EHLO, not HELO.
    pub extended: bool,
    /// The name of its address in the DNS, where that was looked up and fits.
    pub name: Option<String>,
    /// As whom it had logged in.
    pub login: Option<String>,
}
