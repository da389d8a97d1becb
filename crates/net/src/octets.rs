//! A connection whose protocol is spoken by a library: its octets, and what it counts for until it ends.

use crate::conn::Conn;
use crate::limit::Permit;
use crate::stop::Stop;
use crate::stream::Stream;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// The octets of a connection. Time limits are the business of whoever speaks.
pub struct Octets {
    stream: Stream,
    /// It counts in the limits as long as it lasts.
    _permit: Option<Permit>,
}

impl Conn {
    /// Hands the connection over. Output that waits is dropped: call it before anything is said.
    pub fn into_octets(self) -> Octets {
        let (stream, permit) = self.into_stream();
        Octets { stream, _permit: permit }
    }

    /// Hears when the server stops.
    pub fn stop(&self) -> Stop {
        self.stop.clone()
    }
}

impl AsyncRead for Octets {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_read(cx, buf)
    }
}

impl AsyncWrite for Octets {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, octets: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().stream).poll_write(cx, octets)
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_shutdown(cx)
    }
}
