//! Listening sockets, and a task for each session that comes in through them.

use crate::bans::Entrance;
use crate::conn::{ClientIs, Conn, ID_LETTERS, Parts, canonical};
use crate::inherited::Inherited;
use crate::limit::{Gate, Permit, Refusal};
use crate::proxy::{self, Header, ProxyTrust};
use crate::roster::Session;
use crate::server_tls::ServerTls;
use crate::stop::Stop;
use crate::tls::TlsError;
use socket2::{Domain, Protocol, SockRef, Socket, Type};
use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tracing::{Instrument, debug, error, info, info_span, warn};
use world::meter::{Door, Label, TurnedAway};
use world::{Clock, Meter, Random, World};

/// Connections that the system keeps for us until we accept them.
pub const BACKLOG: i32 = 1024;
/// Pause after an accept that failed for want of handles or memory, so that we do not spin.
pub const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// When TLS begins.
#[derive(Clone)]
pub enum Tls {
    /// Never.
    None,
    /// When the client asks for it.
    StartTls(ServerTls),
    /// With the first octet.
    Implicit(ServerTls),
}

/// Which families a socket on an IPv6 address serves.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Family {
    /// `[::]` also takes IPv4.
    #[default]
    Both,
    /// Only the family of the address. Wanted when `0.0.0.0` with the same port is bound too.
    Own,
}

/// Where to listen, and how.
#[derive(Clone)]
pub struct ListenOptions {
    /// Names the door in the log: `smtp`, `submission`, `imap`.
    pub name: &'static str,
    pub address: SocketAddr,
    pub family: Family,
    pub tls: Tls,
    /// Whose PROXY headers are believed.
    pub proxy: ProxyTrust,
    /// Said in clear to whom the limits refuse, with its CRLF; nothing on a port where TLS begins at once.
    pub busy: &'static [u8],
}

/// A socket that is bound and listens, and that nobody accepts from yet: what root must do before it is nobody.
#[derive(Debug)]
pub struct BoundSocket(std::net::TcpListener);

impl BoundSocket {
    /// Binds and listens (SO_REUSEADDR, so that a restart need not wait for old connections).
    pub fn bind(address: SocketAddr, family: Family) -> io::Result<Self> {
        bind_socket(address, family).map(Self)
    }
}

/// A listening socket.
pub struct Listener {
    socket: TcpListener,
    stop: Stop,
    porter: Arc<Porter>,
}

/// Lets connections in.
struct Porter {
    options: ListenOptions,
    gate: Arc<Gate>,
    random: Arc<dyn Random>,
    clock: Arc<dyn Clock>,
    meter: Meter,
    stop: Stop,
}

/// Somebody at the door, who may still be a proxy that has to say for whom it speaks.
struct Comer {
    stream: TcpStream,
    peer: SocketAddr,
    permit: Permit,
    is_proxy: bool,
}

impl Listener {
    /// Binds and listens (SO_REUSEADDR, so that a restart need not wait for old connections). Needs tokio's reactor.
    pub fn bind(options: ListenOptions, gate: Arc<Gate>, world: &World, stop: Stop) -> io::Result<Self> {
        let socket = BoundSocket::bind(options.address, options.family)?;
        Self::on(socket, options, gate, world, stop)
    }

    /// The same on a socket that the service manager has bound to the address, if it has and means it for this door:
    /// one that it does not call by the name of another of `doors`.
    pub fn inherit(
        inherited: &Inherited,
        doors: &[&str],
        options: ListenOptions,
        gate: Arc<Gate>,
        world: &World,
        stop: Stop,
    ) -> io::Result<Option<Self>> {
        let Some(socket) = inherited.find(options.name, doors, options.address)? else { return Ok(None) };
        let both = options.family == Family::Both && options.address.ip().is_unspecified();
        if both && options.address.is_ipv6() && SockRef::from(&socket).only_v6().unwrap_or(false) {
            let (door, address) = (options.name, options.address);
            warn!(door, %address, "this socket of the service manager takes no IPv4: set BindIPv6Only=both there");
        }
        Self::on(BoundSocket(socket), options, gate, world, stop).map(Some)
    }

    /// Listens on a socket that was bound before. Needs tokio's reactor.
    pub fn on(
        socket: BoundSocket,
        options: ListenOptions,
        gate: Arc<Gate>,
        world: &World,
        stop: Stop,
    ) -> io::Result<Self> {
        let BoundSocket(socket) = socket;
        let (random, clock, meter) = (world.random.clone(), world.clock.clone(), world.meter.clone());
        let porter = Porter { options, gate, random, clock, meter, stop: stop.clone() };
        Ok(Self { socket: TcpListener::from_std(socket)?, stop, porter: Arc::new(porter) })
    }

    /// Where it listens: the port is the real one if 0 was asked for.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.socket.local_addr()
    }

    /// Accepts until the server stops. Each session runs in a task and a log span of its own; TLS that begins at
    /// once is done there, before `serve` sees the connection. A panic ends one session only.
    ///
    /// Dropping the future closes the listening socket; sessions go on.
    pub async fn run<F, S>(mut self, serve: F)
    where
        F: Fn(Conn) -> S + Send + Sync + 'static,
        S: Future<Output = ()> + Send,
    {
        let serve = Arc::new(serve);
        loop {
            let accepted = tokio::select! {
                () = self.stop.wait() => return,
                accepted = self.socket.accept() => accepted,
            };
            match accepted {
                Ok((stream, peer)) => self.porter.begin(stream, canonical(peer), serve.clone()),
                Err(error) if is_of_one_connection(&error) => {}
                Err(error) => {
                    warn!(door = self.porter.options.name, %error, "cannot accept connections at the moment");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            }
        }
    }

    /// One connection, ready to be served; those that are refused or fail the handshake are passed over.
    pub async fn accept(&self) -> io::Result<Conn> {
        loop {
            let (stream, peer) = self.socket.accept().await?;
            let Some(comer) = self.porter.admit(stream, canonical(peer)) else { continue };
            let Some(mut conn) = self.porter.identify(comer).await else { continue };
            if self.porter.make_ready(&mut conn).await.is_ok() {
                return Ok(conn);
            }
        }
    }
}

impl Porter {
    fn begin<F, S>(self: &Arc<Self>, stream: TcpStream, peer: SocketAddr, serve: Arc<F>)
    where
        F: Fn(Conn) -> S + Send + Sync + 'static,
        S: Future<Output = ()> + Send,
    {
        let Some(comer) = self.admit(stream, peer) else { return };
        let porter = self.clone();
        tokio::spawn(async move {
            let Some(mut conn) = porter.identify(comer).await else { return };
            let (peer, door) = (conn.peer().ip(), porter.options.name);
            let span = info_span!("conn", id = conn.id(), %peer, door);
            let session = async move {
                let _watch = PanicWatch;
                if let Err(error) = porter.make_ready(&mut conn).await {
                    debug!(%error, "the TLS handshake failed");
                    return;
                }
                serve(conn).await;
            };
            session.instrument(span).await;
        });
    }

    async fn make_ready(&self, conn: &mut Conn) -> Result<(), TlsError> {
        match self.options.tls {
            Tls::Implicit(_) => conn.start_tls().await,
            Tls::None | Tls::StartTls(_) => Ok(()),
        }
    }

    fn admit(&self, stream: TcpStream, peer: SocketAddr) -> Option<Comer> {
        let what = self.options.proxy.comer(peer.ip());
        let admitted = match what {
            proxy::Comer::Client => self.gate.admit(peer.ip(), self.entrance()),
            proxy::Comer::Proxy => self.gate.admit_unknown(self.entrance()),
            proxy::Comer::Unwanted => {
                info!(door = self.options.name, peer = %peer.ip(), "connection refused: it does not come from a proxy");
                self.meter.turned_away.add(self.door(), TurnedAway::Proxy);
                return None;
            }
        };
        match admitted {
            Ok(permit) => Some(Comer { stream, peer, permit, is_proxy: what == proxy::Comer::Proxy }),
            Err(refusal) => {
                self.refuse(&stream, peer, refusal);
                None
            }
        }
    }

    /// The connection with whom it is really with.
    async fn identify(&self, comer: Comer) -> Option<Conn> {
        let Comer { mut stream, mut peer, mut permit, is_proxy } = comer;
        let mut client_is = ClientIs::Known;
        if is_proxy {
            let (door, mut stop) = (self.options.name, self.stop.clone());
            let header = tokio::select! {
                () = stop.wait() => return None,
                header = proxy::header(&mut stream) => header,
            };
            match header {
                Ok(Header::Client(client)) => {
                    debug!(door, proxy = %peer, client = %client, "a proxy speaks for a client");
                    peer = client;
                }
                Ok(Header::Itself) => {}
                Ok(Header::Unknown) => {
                    debug!(door, proxy = %peer, "a proxy speaks for a client that it does not know");
                    client_is = ClientIs::Unknown;
                }
                Err(error) => {
                    info!(door, proxy = %peer, %error, "connection refused: no PROXY header");
                    self.meter.turned_away.add(self.door(), TurnedAway::Proxy);
                    return None;
                }
            }
            if let Err(refusal) = permit.count_as(peer.ip()) {
                self.refuse(&stream, peer, refusal);
                return None;
            }
        }
        let server_tls = match &self.options.tls {
            Tls::None => None,
            Tls::StartTls(tls) | Tls::Implicit(tls) => Some(tls.clone()),
        };
        let id = self.random.word(ID_LETTERS);
        self.meter.connections.add(self.door(), ());
        permit.present(Session {
            id: id.clone(),
            door: self.options.name,
            peer: peer.ip(),
            since: self.clock.unix(),
            tls: None,
            account: None,
        });
        Some(Conn::new(Parts {
            id,
            peer,
            client_is,
            stream,
            server_tls,
            stop: self.stop.clone(),
            permit: Some(permit),
            write_stall: self.gate.write_stall(),
            meter: Some(self.meter.clone()),
        }))
    }

    /// As what the door is counted.
    fn door(&self) -> Door {
        Door::ALL.iter().copied().find(|door| door.word() == self.options.name).unwrap_or(Door::Web)
    }

    /// What is behind the door, before anything is known of what a connection wants.
    fn entrance(&self) -> Entrance {
        match self.door() {
            Door::Submission | Door::Imap => Entrance::Logins,
            _ => Entrance::Public,
        }
    }

    /// One line into the empty send buffer, and no waiting: a flood of connections must cost us nothing.
    fn refuse(&self, stream: &TcpStream, peer: SocketAddr, refusal: Refusal) {
        debug!(door = self.options.name, peer = %peer.ip(), reason = refusal.as_str(), "connection refused");
        let reason = match refusal {
            Refusal::Full => TurnedAway::Full,
            Refusal::Address => TurnedAway::Address,
            Refusal::Network => TurnedAway::Network,
            Refusal::Banned => TurnedAway::Banned,
        };
        self.meter.turned_away.add(self.door(), reason);
        // Who is banned hears nothing, and costs nothing.
        if refusal != Refusal::Banned && !matches!(self.options.tls, Tls::Implicit(_)) {
            let _ = SockRef::from(stream).send(self.options.busy);
        }
    }
}

/// Says in the session's own log span that it ended in a panic.
struct PanicWatch;

impl Drop for PanicWatch {
    fn drop(&mut self) {
        if std::thread::panicking() {
            error!("the session ended in a panic; this is a bug, please report it");
        }
    }
}

/// Errors that concern the connection that was to be accepted, not us (accept(2)).
fn is_of_one_connection(error: &io::Error) -> bool {
    use io::ErrorKind::{
        ConnectionAborted, ConnectionReset, HostUnreachable, Interrupted, NetworkUnreachable,
    };
    matches!(
        error.kind(),
        ConnectionAborted | ConnectionReset | Interrupted | HostUnreachable | NetworkUnreachable
    )
}

fn bind_socket(address: SocketAddr, family: Family) -> io::Result<std::net::TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    socket.set_reuse_address(true)?;
    if address.is_ipv6() {
        let is_any = address.ip().is_unspecified();
        socket.set_only_v6(family == Family::Own || !is_any)?;
    }
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    Ok(socket.into())
}
