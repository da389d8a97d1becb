//! What a door knows of a transaction when it asks for checks.

use mail::{Domain, ReversePath};
use std::net::IpAddr;

/// The facts of one transaction, as far as checks need them.
#[derive(Clone, Debug)]
pub struct Facts {
    /// The client.
    pub peer: IpAddr,
    /// Our address that it came to, if that is known.
    pub local: Option<IpAddr>,
    /// What it called itself, as written.
    pub helo: String,
    pub mail_from: ReversePath,
}

impl Facts {
    /// The name in HELO as the DNS knows it: U-labels become A-labels (RFC 5890 §2.3.2.1).
    pub fn helo_name(&self) -> String {
        match Domain::parse(&self.helo) {
            Ok(name) if name.literal().is_none() => name.as_str().to_owned(),
            _ => self.helo.clone(),
        }
    }
}
