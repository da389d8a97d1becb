//! Whom a connection brings mail from: who connected, or the client for which a trusted peer says that it speaks.

use crate::config::Config;
use ::config::Network;
use mail::Client;
use mail::trace::Greeting;
use net::{ClientIs, Conn};
use policy::Whose;
use smtp_proto::{Behalf, Extension, HelloKind, Told};
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
    /// PROXY or XCLIENT has said that nobody knows who the client is: one of whom nothing is believed.
    is_nameless: bool,
    xclient_from: Vec<Network>,
    xforward_from: Vec<Network>,
    /// Where it came to.
    here: SocketAddr,
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
    pub fn new(conn: &Conn, config: &Config) -> Self {
        Self {
            peer: conn.peer(),
            client: Known::default(),
            forwarded: Known::default(),
            hello: None,
            is_nameless: conn.client_is() == ClientIs::Unknown,
            xclient_from: config.xclient_from.clone(),
            xforward_from: config.xforward_from.clone(),
            here: conn.local(),
        }
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

    /// XCLIENT: for whom the peer speaks from now on. An address that it does not know leaves its own, to be counted by,
    /// and nothing of what its own is trusted with.
    pub fn stands_for(&mut self, behalf: Behalf) {
        match behalf.address {
            Told::Nothing => {}
            Told::Unknown => self.is_nameless = true,
            Told::Is(_) => self.is_nameless = false,
        }
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

    /// Whose address [`Speaker::address`] is.
    pub fn whose(&self) -> Whose {
        if self.is_nameless && self.forwarded.address.is_none() { Whose::Proxy } else { Whose::Client }
    }

    /// Whether the connection is with somebody there.
    fn is_within(&self, networks: &[Network]) -> bool {
        let ip = self.connected().ip();
        !self.is_nameless && networks.iter().any(|network| network.contains(ip))
    }

    /// Whether the message is from there; nobody knows it of one whose client XCLIENT could not name.
    pub fn is_from(&self, networks: &[Network]) -> bool {
        match self.forwarded.address {
            Some(ip) => networks.iter().any(|network| network.contains(ip)),
            None => self.is_within(networks),
        }
    }

    /// Whether XCLIENT or XFORWARD may be said now. A proxy hands on what its client says, so the client must be trusted
    /// itself: else it could call itself whatever it likes.
    pub(crate) fn may_say(&self, extension: Extension) -> bool {
        match extension {
            Extension::Xclient => self.is_within(&self.xclient_from),
            Extension::Xforward => self.is_within(&self.xforward_from),
            _ => true,
        }
    }

    /// How that client called itself.
    pub fn hello(&self) -> Option<&str> {
        if self.forwarded.address.is_some() || self.forwarded.hello.is_some() {
            return self.forwarded.hello.as_deref();
        }
        self.client.hello.as_deref().or(self.hello.as_ref().map(|(_, name)| name.as_str()))
    }

    /// What is kept of the client with its message; `None` where nobody knows who it is. `name` is the one that leads back to
    /// its address, `login` the account that it has proved to be.
    pub fn client(&self, name: Option<&str>, login: Option<&str>) -> Option<Client> {
        if self.whose() == Whose::Proxy {
            return None;
        }
        let port = match self.forwarded.address {
            Some(_) => self.forwarded.port.unwrap_or(0),
            None => self.connected().port(),
        };
        Some(Client {
            address: self.address().to_canonical(),
            port,
            here: Some(self.here),
            hello: self.hello().map(str::to_owned),
            extended: self.greeting() == Greeting::Ehlo,
            name: name.map(str::to_owned),
            login: login.map(str::to_owned),
        })
    }

    pub fn greeting(&self) -> Greeting {
        let said = self.hello.as_ref().map(|(kind, _)| *kind);
        match self.forwarded.kind.or(self.client.kind).or(said) {
            Some(HelloKind::Ehlo) => Greeting::Ehlo,
            Some(HelloKind::Helo) | None => Greeting::Helo,
        }
    }
}
