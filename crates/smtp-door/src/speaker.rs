//! Whom a connection brings mail from: who connected, or the client for which a trusted peer says that it speaks.

use mail::trace::Greeting;
use net::Conn;
use smtp_proto::{Behalf, HelloKind};
use std::net::{IpAddr, SocketAddr};

/// The client of a connection, as far as it is known.
pub struct Speaker {
    /// Who connected (or whom the PROXY header named): trusted or not by this.
    peer: SocketAddr,
    /// What XCLIENT says, until the next.
    client: Known,
    /// What XFORWARD says, for one message.
    forwarded: Known,
    hello: Option<(HelloKind, String)>,
}

/// What a trusted peer has said of a client.
#[derive(Default)]
struct Known {
    address: Option<IpAddr>,
    port: Option<u16>,
    hello: Option<String>,
    kind: Option<HelloKind>,
}

impl Known {
    fn learn(&mut self, behalf: Behalf) {
        behalf.address.apply_to(&mut self.address);
        behalf.port.apply_to(&mut self.port);
        behalf.hello.apply_to(&mut self.hello);
        behalf.kind.apply_to(&mut self.kind);
    }
}

impl Speaker {
    pub fn new(conn: &Conn) -> Self {
        Self { peer: conn.peer(), client: Known::default(), forwarded: Known::default(), hello: None }
    }

    /// HELO or EHLO.
    pub fn says_hello(&mut self, kind: HelloKind, name: String) {
        self.hello = Some((kind, name));
    }

    /// TLS begins: what was said in clear counts no more (RFC 3207 §4.2).
    pub fn begins_anew(&mut self) {
        self.hello = None;
        self.forwarded = Known::default();
    }

    /// XCLIENT: for whom the peer speaks from now on. An address that it does not know leaves its own.
    pub fn stands_for(&mut self, behalf: Behalf) {
        self.client.learn(behalf);
        self.begins_anew();
    }

    /// XFORWARD: from whom the next message is.
    pub fn forwards(&mut self, behalf: Behalf) {
        self.forwarded.learn(behalf);
    }

    /// The message is over; the next is from somebody else, unless XFORWARD comes again.
    pub fn is_done(&mut self) {
        self.forwarded = Known::default();
    }

    /// As whom the connection counts.
    pub fn connected(&self) -> SocketAddr {
        match self.client.address {
            Some(address) => SocketAddr::new(address, self.client.port.unwrap_or(0)),
            None => self.peer,
        }
    }

    /// From where the message is: what the checks judge and the Received field tells.
    pub fn address(&self) -> IpAddr {
        self.forwarded.address.unwrap_or_else(|| self.connected().ip())
    }

    /// How that client called itself.
    pub fn hello(&self) -> Option<&str> {
        if self.forwarded.address.is_some() || self.forwarded.hello.is_some() {
            return self.forwarded.hello.as_deref();
        }
        self.client.hello.as_deref().or(self.hello.as_ref().map(|(_, name)| name.as_str()))
    }

    pub fn greeting(&self) -> Greeting {
        let said = self.hello.as_ref().map(|(kind, _)| *kind);
        match self.forwarded.kind.or(self.client.kind).or(said) {
            Some(HelloKind::Ehlo) => Greeting::Ehlo,
            Some(HelloKind::Helo) | None => Greeting::Helo,
        }
    }
}
