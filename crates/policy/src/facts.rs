//! What a door knows of a transaction when it asks for checks.

use mail::{Domain, ReversePath};
use std::net::IpAddr;

/// The facts of one transaction, as far as checks need them.
#[derive(Clone, Debug)]
pub struct Facts {
    /// The client, or a proxy that does not know its client.
    pub peer: IpAddr,
    pub whose: Whose,
    /// Our address that it came to, if that is known.
    pub local: Option<IpAddr>,
    /// What it called itself, as written.
    pub helo: String,
    pub mail_from: ReversePath,
}

/// Whose address [`Facts::peer`] is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Whose {
    /// The client's.
    #[default]
    Client,
    /// That of a proxy or relay of ours which cannot say for whom it speaks: the address tells nothing of the client.
    Proxy,
}

impl Facts {
    /// The address of the client, if it is known.
    pub fn client(&self) -> Option<IpAddr> {
        match self.whose {
            Whose::Client => Some(self.peer),
            Whose::Proxy => None,
        }
    }

    /// The name in HELO as the DNS knows it: U-labels become A-labels (RFC 5890 §2.3.2.1).
    pub fn helo_name(&self) -> String {
        match Domain::parse(&self.helo) {
            Ok(name) if name.literal().is_none() => name.as_str().to_owned(),
            _ => self.helo.clone(),
        }
    }
}
