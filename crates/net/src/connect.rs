//! Connections that we begin.

use crate::conn::{ClientIs, Conn, ID_LETTERS, Parts};
use crate::limit::WRITE_STALL;
use crate::stop::Stop;
use std::fmt;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::{TcpSocket, TcpStream, UnixStream};
use world::{Random, World};

/// How long a connection may take to come about (RFC 5321 §4.5.3.2 leaves it to us; Postfix waits 30 s).
pub const CONNECT_PATIENCE: Duration = Duration::from_secs(30);

/// Why there is no connection. All of these may pass.
#[derive(Debug)]
pub enum ConnectError {
    TimedOut(Duration),
    Failed(io::Error),
}

impl fmt::Display for ConnectError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TimedOut(after) => write!(f, "no connection within {} s", after.as_secs()),
            Self::Failed(error) => match error.kind() {
                io::ErrorKind::ConnectionRefused => f.write_str("connection refused"),
                _ => write!(f, "{error}"),
            },
        }
    }
}

impl std::error::Error for ConnectError {}

/// Opens connections to other servers.
#[derive(Clone)]
pub struct Connector {
    random: Arc<dyn Random>,
    patience: Duration,
    source_v4: Option<IpAddr>,
    source_v6: Option<IpAddr>,
}

impl Connector {
    pub fn new(world: &World) -> Self {
        Self { random: world.random.clone(), patience: CONNECT_PATIENCE, source_v4: None, source_v6: None }
    }

    /// How long a connection may take to come about.
    #[must_use]
    pub fn patience(mut self, patience: Duration) -> Self {
        self.patience = patience;
        self
    }

    /// From whatever address the system takes.
    #[must_use]
    pub fn without_sources(mut self) -> Self {
        (self.source_v4, self.source_v6) = (None, None);
        self
    }

    /// The address of ours to connect from, for its family; may be called once for each.
    #[must_use]
    pub fn source(mut self, ip: IpAddr) -> Self {
        match ip {
            IpAddr::V4(_) => self.source_v4 = Some(ip),
            IpAddr::V6(_) => self.source_v6 = Some(ip),
        }
        self
    }

    /// Connects, in clear. The stop signal does not reach such a connection: whoever drives it decides.
    pub async fn connect(&self, to: SocketAddr) -> Result<Conn, ConnectError> {
        let stream = self.stream(to).await?;
        Ok(Conn::new(Parts {
            client_is: ClientIs::Known,
            id: self.random.word(ID_LETTERS),
            peer: to,
            stream,
            server_tls: None,
            stop: Stop::never(),
            permit: None,
            write_stall: WRITE_STALL,
            meter: None,
        }))
    }

    /// Connects to a Unix socket.
    pub async fn connect_local(&self, path: &Path) -> Result<Conn, ConnectError> {
        let stream = tokio::time::timeout(self.patience, UnixStream::connect(path))
            .await
            .map_err(|_| ConnectError::TimedOut(self.patience))?
            .map_err(ConnectError::Failed)?;
        Ok(Conn::with_local(self.random.word(ID_LETTERS), stream, WRITE_STALL))
    }

    /// The bare stream, for whoever speaks a protocol that is no machine of ours.
    pub async fn stream(&self, to: SocketAddr) -> Result<TcpStream, ConnectError> {
        tokio::time::timeout(self.patience, async {
            let (socket, source) = match to {
                SocketAddr::V4(_) => (TcpSocket::new_v4()?, self.source_v4),
                SocketAddr::V6(_) => (TcpSocket::new_v6()?, self.source_v6),
            };
            if let Some(ip) = source {
                socket.bind(SocketAddr::new(ip, 0))?;
            }
            socket.connect(to).await
        })
        .await
        .map_err(|_| ConnectError::TimedOut(self.patience))?
        .map_err(ConnectError::Failed)
    }
}
