//! What a door knows of a transaction when it asks for checks.

use mail::ReversePath;
use std::net::IpAddr;

/// The facts of one transaction, as far as checks need them.
#[derive(Clone, Debug)]
pub struct Facts {
    /// The client.
    pub peer: IpAddr,
    /// What it called itself, as written.
    pub helo: String,
    pub mail_from: ReversePath,
}
