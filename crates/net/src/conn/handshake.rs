//! From a connection in clear to one under TLS, as either side.

use super::Conn;
use crate::client_tls::ClientTls;
use crate::stream::Stream;
use crate::tls::{self, HANDSHAKE_PATIENCE, TlsError};
use rustls::server::Acceptor;
use std::io;
use std::mem;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::LazyConfigAcceptor;
use world::meter::{Side, TlsLevel};

impl Conn {
    /// Begins TLS as the server, after [`crate::Driven::StartTls`]. After an error the connection is of no use.
    ///
    /// Octets that came in clear are with the machine, which drops them or ends the connection (RFC 3207 §4.2);
    /// none are kept here.
    pub async fn start_tls(&mut self) -> Result<(), TlsError> {
        let began = self.shake_hands().await;
        let level = match (&began, self.tls()) {
            (Err(TlsError::Proof), _) => return began,
            (Ok(()), Some(facts)) => facts.level(),
            (Ok(()), None) | (Err(_), _) => TlsLevel::Failed,
        };
        if let Some(meter) = &self.meter {
            meter.tls.add(Side::In, level);
        }
        if let (Some(permit), Some(facts)) = (&self.permit, &self.tls) {
            permit.note(|session| session.tls = Some(facts.version));
        }
        began
    }

    async fn shake_hands(&mut self) -> Result<(), TlsError> {
        let server_tls = self.server_tls.clone().ok_or(TlsError::NotOffered)?;
        let stream = self.take_plain()?;
        let shake = async {
            let hello = LazyConfigAcceptor::new(Acceptor::default(), stream).await?;
            if let Some(proof) = server_tls.challenges().handshake(&hello.client_hello()) {
                // The handshake is all there is to it (RFC 8737 §3).
                let mut stream = hello.into_stream(proof).await?;
                let _ = stream.shutdown().await;
                return Ok(None);
            }
            let end_point = server_tls.end_point(&hello.client_hello());
            Ok::<_, io::Error>(Some((hello.into_stream(server_tls.rustls()).await?, end_point)))
        };
        let shaken = timeout(HANDSHAKE_PATIENCE, shake).await.map_err(|_| TlsError::TimedOut)??;
        let (stream, end_point) = shaken.ok_or(TlsError::Proof)?;
        self.end_point = end_point;
        self.tls = Some(Box::new(tls::server_facts(stream.get_ref().1)));
        self.stream = Stream::Server(Box::new(stream));
        Ok(())
    }

    /// Begins TLS as the client. `name` is the host's name (or address): it is sent as SNI, and what an
    /// authenticated certificate must be for. After an error the connection is of no use.
    pub async fn start_tls_client(&mut self, with: &ClientTls, name: &str) -> Result<(), TlsError> {
        let stream = self.take_plain()?;
        let with = with.for_one();
        let server = with.server_name(name, self.peer.ip())?;
        let connect = tokio_rustls::TlsConnector::from(with.rustls()).connect(server.clone(), stream);
        let stream = timeout(HANDSHAKE_PATIENCE, connect).await.map_err(|_| TlsError::TimedOut)??;
        self.tls = Some(Box::new(with.facts(stream.get_ref().1, &server)));
        self.stream = Stream::Client(Box::new(stream));
        Ok(())
    }

    fn take_plain(&mut self) -> Result<TcpStream, TlsError> {
        match mem::replace(&mut self.stream, Stream::Gone) {
            // Output that was queued in clear belongs before the handshake; `drive` has sent it by then.
            Stream::Plain(stream) if self.pending() == 0 => Ok(stream),
            _ => Err(TlsError::OutOfOrder),
        }
    }
}
