//! One connection: who it is with, what protects it, and what is still to be sent.

mod handshake;

use crate::bans::Offence;
use crate::binding::{self, ChannelBindings};
use crate::client_certificate::{self, KeyFingerprint};
use crate::compress::Compression;
use crate::drive::{Closed, Due};
use crate::limit::{Permit, Refusal};
use crate::server_tls::ServerTls;
use crate::stop::Stop;
use crate::stream::Stream;
use crate::tls::TlsFacts;
use crate::tls_words;
use socket2::{SockRef, TcpKeepalive};
use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpStream, UnixStream};
use tokio::time::{Instant, timeout, timeout_at};
use world::Meter;

/// The slowest that a peer may read, in octets a second: what is to be sent has this much more time.
pub const WRITE_RATE_MIN: u64 = 512;
/// How long a connection that we end waits for the peer to end it too, so that our last words arrive.
pub const LINGER: Duration = Duration::from_secs(2);
/// Most octets that are read and dropped while lingering.
pub const LINGER_MAX: usize = 256 * 1024;
/// When a silent peer is first asked by the system whether it is still there. Keeps the memory of NATs awake too.
pub const KEEPALIVE: Duration = Duration::from_secs(300);
/// Letters of a connection's id.
pub const ID_LETTERS: usize = 10;
/// Room for output that stays with a connection while it is idle.
const OUT_KEPT: usize = 1024;

/// A connection. Dropping it ends it at once; [`Conn::close`] ends it politely.
pub struct Conn {
    id: String,
    peer: SocketAddr,
    client_is: ClientIs,
    local: SocketAddr,
    pub(crate) stream: Stream,
    tls: Option<Box<TlsFacts>>,
    /// A digest of the certificate that we have shown.
    end_point: Option<Arc<[u8]>>,
    pub(crate) compression: Option<Box<Compression>>,
    server_tls: Option<ServerTls>,
    pub(crate) stop: Stop,
    /// The machine's owner has been told to stop; it is not told again.
    pub(crate) stop_told: bool,
    out: Vec<u8>,
    /// Octets at the front of `out` that are sent.
    sent: usize,
    /// While output is being sent: since when.
    writing: Option<Writing>,
    /// How long output may wait for a peer that takes none of it.
    write_stall: Duration,
    /// When the present wait for input began.
    pub(crate) waiting_since: Option<Instant>,
    /// What the peer has begun to send, by its number, and since when more of it is waited for.
    pub(crate) under_way: Option<(u64, Instant)>,
    /// What is to be told once the output is sent.
    pub(crate) due: Option<Due>,
    permit: Option<Permit>,
    meter: Option<Meter>,
}

/// When the present output began to be sent, and when the peer last took some of it.
#[derive(Clone, Copy)]
struct Writing {
    since: Instant,
    progress: Instant,
}

/// What a peer did while it should have waited.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Silence {
    Kept,
    /// It has sent something.
    Broken,
    /// It has ended the connection.
    Gone,
}

/// Whether the other end of a connection is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClientIs {
    Known,
    /// A proxy speaks for somebody whom it does not know: nothing follows from [`Conn::peer`].
    Unknown,
}

/// What a new connection is made of.
pub(crate) struct Parts {
    pub(crate) id: String,
    pub(crate) peer: SocketAddr,
    pub(crate) client_is: ClientIs,
    pub(crate) stream: TcpStream,
    pub(crate) server_tls: Option<ServerTls>,
    pub(crate) stop: Stop,
    pub(crate) permit: Option<Permit>,
    pub(crate) write_stall: Duration,
    /// What counts the connections that come in.
    pub(crate) meter: Option<Meter>,
}

/// The same without its stream.
struct Rest {
    id: String,
    peer: SocketAddr,
    client_is: ClientIs,
    local: SocketAddr,
    server_tls: Option<ServerTls>,
    stop: Stop,
    permit: Option<Permit>,
    write_stall: Duration,
    meter: Option<Meter>,
}

impl Conn {
    pub(crate) fn new(parts: Parts) -> Self {
        let local = parts.stream.local_addr().map_or(parts.peer, canonical);
        // Neither matters enough to refuse a connection for it.
        let _ = parts.stream.set_nodelay(true);
        let _ = SockRef::from(&parts.stream).set_tcp_keepalive(&TcpKeepalive::new().with_time(KEEPALIVE));
        let Parts { id, peer, client_is, stream, server_tls, stop, permit, write_stall, meter } = parts;
        let peer = canonical(peer);
        let rest = Rest { id, peer, client_is, local, server_tls, stop, permit, write_stall, meter };
        Self::over(Stream::Plain(stream), rest)
    }

    /// A connection with a process on this machine; it has no addresses.
    pub(crate) fn with_local(id: String, stream: UnixStream, write_stall: Duration) -> Self {
        let nowhere = SocketAddr::from(([0, 0, 0, 0], 0));
        let (server_tls, stop, permit, client_is) = (None, Stop::never(), None, ClientIs::Known);
        let (peer, local, meter) = (nowhere, nowhere, None);
        let rest = Rest { id, peer, client_is, local, server_tls, stop, permit, write_stall, meter };
        Self::over(Stream::Local(stream), rest)
    }

    fn over(stream: Stream, parts: Rest) -> Self {
        Self {
            id: parts.id,
            peer: parts.peer,
            client_is: parts.client_is,
            local: parts.local,
            stream,
            tls: None,
            end_point: None,
            compression: None,
            server_tls: parts.server_tls,
            stop: parts.stop,
            stop_told: false,
            out: Vec::new(),
            sent: 0,
            writing: None,
            write_stall: parts.write_stall,
            waiting_since: None,
            under_way: None,
            due: None,
            permit: parts.permit,
            meter: parts.meter,
        }
    }

    pub(crate) fn into_stream(self) -> (Stream, Option<Permit>) {
        (self.stream, self.permit)
    }

    /// Ten letters that name the connection in the log.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// The other side; never an IPv4 address in IPv6 clothes.
    pub fn peer(&self) -> SocketAddr {
        self.peer
    }

    /// Whether [`Conn::peer`] is the client, as far as one can see.
    pub fn client_is(&self) -> ClientIs {
        self.client_is
    }

    /// The peer speaks for a client elsewhere, as whom it counts from now on: [`Conn::peer`] and the limits.
    ///
    /// Only for peers that are trusted to say so. On an error the client has no room, and the connection should end.
    pub fn stands_for(&mut self, client: SocketAddr) -> Result<(), Refusal> {
        if let Some(permit) = &mut self.permit {
            permit.count_as(client.ip())?;
        }
        self.peer = canonical(client);
        self.client_is = ClientIs::Known;
        Ok(())
    }

    /// The peer did something that counts against it, wherever it comes from. Of a client whom its proxy does not know
    /// nothing is counted.
    pub fn blame(&self, offence: Offence) {
        let bans = self.permit.as_ref().and_then(|permit| permit.gate().bans());
        if let Some(bans) = bans
            && self.client_is == ClientIs::Known
        {
            bans.report(self.peer.ip(), offence);
        }
    }

    /// Has the connection go through to where the accounts are; who guessed passwords may not.
    ///
    /// # Errors
    /// Why it must end.
    pub fn goes_to_logins(&mut self) -> Result<(), Refusal> {
        match &mut self.permit {
            Some(permit) if self.client_is == ClientIs::Known => permit.goes_to_logins(self.peer.ip()),
            _ => Ok(()),
        }
    }

    /// Whether the peer sends something (or ends the connection) within that time, although it was told nothing yet.
    /// What it sends stays where it is. Only in clear: under TLS this says [`Silence::Kept`] at once. It does so too
    /// when the server stops: the conversation then ends as others do.
    pub async fn silence(&self, wait: Duration) -> Silence {
        let Stream::Plain(stream) = &self.stream else { return Silence::Kept };
        let (mut octet, mut stop) = ([0; 1], self.stop.clone());
        let seen = tokio::select! {
            biased;
            () = stop.wait() => return Silence::Kept,
            seen = timeout(wait, stream.peek(&mut octet)) => seen,
        };
        match seen {
            Err(_) => Silence::Kept,
            Ok(Ok(n)) if n > 0 => Silence::Broken,
            Ok(_) => Silence::Gone,
        }
    }

    /// Our side.
    pub fn local(&self) -> SocketAddr {
        self.local
    }

    /// What TLS gives; `None` while the connection is in clear.
    pub fn tls(&self) -> Option<&TlsFacts> {
        self.tls.as_deref()
    }

    /// What a login on this connection can be bound to.
    pub fn channel_bindings(&self) -> ChannelBindings {
        match &self.stream {
            Stream::Server(stream) => binding::of_server(stream.get_ref().1, self.end_point.as_ref()),
            Stream::Client(stream) => binding::of_client(stream.get_ref().1),
            Stream::Plain(_) | Stream::Local(_) | Stream::Gone => ChannelBindings::default(),
        }
    }

    /// The key of the certificate that the client has shown, if it was asked and has; also when its session is resumed.
    pub fn client_key(&self) -> Option<KeyFingerprint> {
        let Stream::Server(stream) = &self.stream else { return None };
        let leaf = stream.get_ref().1.peer_certificates()?.first()?;
        client_certificate::fingerprint(leaf)
    }

    /// The protocol that the client has named in its hello, of those that were offered ([`ServerTls::offering`]).
    pub fn protocol(&self) -> Option<&[u8]> {
        let Stream::Server(stream) = &self.stream else { return None };
        stream.get_ref().1.alpn_protocol()
    }

    /// Whether [`Conn::start_tls`] can be promised: we are the server, in clear, and have certificates.
    pub fn offers_tls(&self) -> bool {
        self.tls.is_none() && self.server_tls.is_some()
    }

    /// Who has logged in on it, for the list of sessions; `None`: nobody any more.
    pub fn belongs_to(&self, account: Option<&str>) {
        if let Some(permit) = &self.permit {
            permit.note(|session| session.account = account.map(str::to_owned));
        }
    }

    /// From now on all octets of both sides are compressed by DEFLATE (RFC 4978); output that waits already goes as it is.
    /// Costs some 50 KiB as long as the connection lasts.
    pub fn start_compression(&mut self) {
        self.compression = Some(Box::new(Compression::new()));
    }

    /// Sends what waits to be sent. [`Conn::drive`] does it by itself before it waits for input; this is for
    /// an owner whose answer takes long. Cancel-safe.
    pub async fn flush(&mut self) -> Result<(), Closed> {
        if self.pending() == 0 {
            return Ok(());
        }
        let now = Instant::now();
        let times = *self.writing.get_or_insert(Writing { since: now, progress: now });
        let slowest = Duration::from_secs(self.pending() as u64 / WRITE_RATE_MIN);
        let last = times.since + self.write_stall + slowest;
        while let Some(times) = self.writing {
            match timeout_at(last.min(times.progress + self.write_stall), self.write_some()).await {
                Ok(Ok(())) => {}
                Ok(Err(error)) => return Err(Closed::Broken(tls_words::of_io(&error))),
                Err(_) => return Err(Closed::SlowReader),
            }
        }
        Ok(())
    }

    /// One step of sending; `writing` is `None` once all is sent.
    async fn write_some(&mut self) -> io::Result<()> {
        if self.sent < self.out.len() {
            let n = self.stream.write(&self.out[self.sent..]).await?;
            if n == 0 {
                return Err(io::ErrorKind::WriteZero.into());
            }
            self.sent += n;
            if let Some(times) = &mut self.writing {
                times.progress = Instant::now();
            }
            return Ok(());
        }
        // TLS may still hold records; they count as unsent until this is through.
        self.stream.flush().await?;
        self.out.clear();
        self.out.shrink_to(OUT_KEPT);
        self.sent = 0;
        self.writing = None;
        if let Some(compression) = &mut self.compression {
            compression.rest();
        }
        Ok(())
    }

    /// Octets that wait to be sent.
    pub(crate) fn pending(&self) -> usize {
        self.out.len()
    }

    pub(crate) fn push(&mut self, octets: Vec<u8>) -> io::Result<()> {
        if let Some(compression) = &mut self.compression {
            return compression.pack(&octets, &mut self.out);
        }
        if self.out.is_empty() {
            self.out = octets;
        } else {
            self.out.extend_from_slice(&octets);
        }
        Ok(())
    }

    /// Sends what waits, ends TLS and our side, and waits shortly for the peer to end its own.
    /// Without that wait, input that nobody read would make the system reset the connection, and our last words
    /// could be lost with it.
    pub async fn close(&mut self) {
        let _ = timeout(LINGER, self.linger()).await;
    }

    async fn linger(&mut self) {
        if self.flush().await.is_err() || self.stream.shutdown().await.is_err() {
            return;
        }
        let mut left = LINGER_MAX;
        let mut sink = [0; 1024];
        while left > 0 {
            match self.stream.read(&mut sink).await {
                Ok(n) if n > 0 => left = left.saturating_sub(n),
                _ => return,
            }
        }
    }
}

/// IPv4 addresses as such, also on a socket that serves both families.
pub(crate) fn canonical(at: SocketAddr) -> SocketAddr {
    SocketAddr::new(at.ip().to_canonical(), at.port())
}

impl fmt::Debug for Conn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Conn")
            .field("id", &self.id)
            .field("peer", &self.peer)
            .field("local", &self.local)
            .field("tls", &self.tls)
            .finish_non_exhaustive()
    }
}
