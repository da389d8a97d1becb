//! A conversation in lines, in clear or in TLS, that remembers what was said.

use crate::glob::is_like;
use crate::wait::PATIENCE;
use rustls::pki_types::ServerName;
use rustls::pki_types::pem::PemObject;
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};
use socket2::{Domain, Socket, Type};
use std::fmt::Write as _;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

trait Stream: Read + Write + Send {
    fn tcp(&self) -> &TcpStream;
    /// `tls-exporter` (RFC 9266); only in TLS.
    fn exporter(&self) -> [u8; 32];
    /// Whether an earlier TLS session goes on here; only in TLS.
    fn is_resumed(&self) -> bool;
    /// The socket itself, for a handshake; only in clear.
    fn into_tcp(self: Box<Self>) -> TcpStream;
}

impl Stream for TcpStream {
    fn tcp(&self) -> &TcpStream {
        self
    }

    fn exporter(&self) -> [u8; 32] {
        panic!("nothing to bind to without TLS")
    }

    fn is_resumed(&self) -> bool {
        panic!("no session of TLS")
    }

    fn into_tcp(self: Box<Self>) -> TcpStream {
        *self
    }
}

impl Stream for StreamOwned<ClientConnection, TcpStream> {
    fn tcp(&self) -> &TcpStream {
        &self.sock
    }

    fn exporter(&self) -> [u8; 32] {
        self.conn.export_keying_material([0; 32], b"EXPORTER-Channel-Binding", Some(b"")).unwrap()
    }

    fn is_resumed(&self) -> bool {
        self.conn.handshake_kind() == Some(rustls::HandshakeKind::Resumed)
    }

    fn into_tcp(self: Box<Self>) -> TcpStream {
        panic!("TLS within TLS")
    }
}

/// Our side of a conversation.
pub struct Chat {
    stream: BufReader<Box<dyn Stream>>,
    said: String,
}

impl Chat {
    pub fn connect(port: u16) -> Self {
        let at = SocketAddr::from(([127, 0, 0, 1], port));
        let stream = TcpStream::connect(at).unwrap_or_else(|error| panic!("cannot connect to {at}: {error}"));
        Self::over(stream)
    }

    /// The same to another address of this machine.
    pub fn connect_at(ip: &str, port: u16) -> Self {
        let stream = TcpStream::connect((ip, port));
        Self::over(stream.unwrap_or_else(|error| panic!("cannot connect to {ip}:{port}: {error}")))
    }

    /// The same from another address of this machine: 127.0.0.`n`.
    pub fn connect_from(n: u8, port: u16) -> Self {
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
        socket.bind(&SocketAddr::from(([127, 0, 0, n], 0)).into()).unwrap();
        let at = SocketAddr::from(([127, 0, 0, 1], port));
        socket.connect(&at.into()).unwrap_or_else(|error| panic!("cannot connect to {at}: {error}"));
        Self::over(socket.into())
    }

    fn over(stream: TcpStream) -> Self {
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.set_write_timeout(Some(PATIENCE)).unwrap();
        stream.set_nodelay(true).unwrap();
        Self { stream: BufReader::new(Box::new(stream)), said: String::new() }
    }

    /// A conversation in TLS from the first octet.
    pub fn connect_tls(port: u16, ca: &Path) -> Self {
        Self::connect(port).into_tls(ca)
    }

    /// Begins TLS as the client. Text that came before and was not read is an error.
    #[must_use]
    pub fn into_tls(self, ca: &Path) -> Self {
        self.into_tls_with(&Self::tls_client(ca, None))
    }

    /// How to speak TLS: whom to believe, and which certificate of ours to show. Those who share it resume sessions.
    pub fn tls_client(ca: &Path, ours: Option<&net::CertFiles>) -> Arc<ClientConfig> {
        Self::tls_client_of(ca, ours, rustls::DEFAULT_VERSIONS)
    }

    /// The same with some versions of TLS only.
    pub fn tls_client_of(
        ca: &Path,
        ours: Option<&net::CertFiles>,
        versions: &[&'static rustls::SupportedProtocolVersion],
    ) -> Arc<ClientConfig> {
        let certificate = |file: &Path| rustls::pki_types::CertificateDer::from_pem_file(file).unwrap();
        let mut roots = RootCertStore::empty();
        roots.add(certificate(ca)).unwrap();
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let builder = ClientConfig::builder_with_provider(provider)
            .with_protocol_versions(versions)
            .unwrap()
            .with_root_certificates(roots);
        Arc::new(match ours {
            None => builder.with_no_client_auth(),
            Some(ours) => {
                let key = rustls::pki_types::PrivateKeyDer::from_pem_file(&ours.key).unwrap();
                builder.with_client_auth_cert(vec![certificate(&ours.chain)], key).unwrap()
            }
        })
    }

    /// Begins TLS as such a client.
    #[must_use]
    pub fn into_tls_with(self, config: &Arc<ClientConfig>) -> Self {
        let Self { stream, mut said } = self;
        assert!(stream.buffer().is_empty(), "unread text before TLS\n{said}");
        let name = ServerName::try_from("localhost").unwrap();
        let tls = ClientConnection::new(config.clone(), name).unwrap();
        let mut stream = StreamOwned::new(tls, stream.into_inner().into_tcp());
        stream.conn.complete_io(&mut stream.sock).unwrap_or_else(|error| panic!("no TLS: {error}\n{said}"));
        said.push_str("-- TLS --\n");
        Self { stream: BufReader::new(Box::new(stream)), said }
    }

    /// Whether an earlier TLS session goes on here.
    pub fn is_resumed(&self) -> bool {
        self.stream.get_ref().is_resumed()
    }

    /// What a login in TLS can be bound to: `tls-exporter` (RFC 9266).
    pub fn exporter(&self) -> [u8; 32] {
        self.stream.get_ref().exporter()
    }

    /// Sends a line; CRLF is added.
    pub fn say(&mut self, line: &str) {
        let _ = writeln!(self.said, "C: {line}");
        self.send(format!("{line}\r\n").as_bytes());
    }

    /// Sends octets as they are, without a note of them.
    pub fn send(&mut self, octets: &[u8]) {
        if let Err(error) = self.try_send(octets) {
            panic!("cannot send: {error}\n{}", self.said);
        }
    }

    pub fn try_send(&mut self, octets: &[u8]) -> io::Result<()> {
        let stream = self.stream.get_mut();
        stream.write_all(octets)?;
        stream.flush()
    }

    /// Says that there is no more to come from our side. Below TLS, so only for those who break off.
    pub fn end_ours(&mut self) {
        let _ = self.stream.get_ref().tcp().shutdown(Shutdown::Write);
    }

    /// The next line, without CRLF; `None` at the end of the conversation.
    pub fn try_hear(&mut self) -> io::Result<Option<String>> {
        let mut line = Vec::new();
        self.stream.read_until(b'\n', &mut line)?;
        if line.is_empty() {
            return Ok(None);
        }
        let line = String::from_utf8_lossy(&line).trim_end_matches(['\r', '\n']).to_owned();
        let _ = writeln!(self.said, "S: {line}");
        Ok(Some(line))
    }

    /// The next line; panics when there is none.
    #[track_caller]
    pub fn hear(&mut self) -> String {
        match self.try_hear() {
            Ok(Some(line)) => line,
            Ok(None) => panic!("the conversation has ended\n{}", self.said),
            Err(error) => panic!("heard nothing: {error}\n{}", self.said),
        }
    }

    /// So many octets.
    pub(crate) fn hear_octets(&mut self, n: usize) -> Vec<u8> {
        let mut octets = vec![0; n];
        if let Err(error) = self.stream.read_exact(&mut octets) {
            panic!("heard fewer than {n} octets: {error}\n{}", self.said);
        }
        octets
    }

    /// The next line, which must be like the pattern.
    #[track_caller]
    pub fn expect(&mut self, pattern: &str) -> String {
        let line = self.hear();
        assert!(is_like(&line, pattern), "wanted {pattern}, heard {line}\n{}", self.said);
        line
    }

    /// The other side must end the conversation, and say nothing before.
    #[track_caller]
    pub fn expect_end(&mut self) {
        match self.try_hear() {
            Ok(Some(line)) => panic!("wanted the end, heard {line}\n{}", self.said),
            Ok(None) => {}
            Err(error) if is_time_out(&error) => panic!("wanted the end: {error}\n{}", self.said),
            // A reset is an end as well.
            Err(_) => {}
        }
    }

    /// All lines until the other side ends the conversation, which it must.
    #[track_caller]
    pub fn hear_rest(&mut self) -> Vec<String> {
        let mut lines = Vec::new();
        loop {
            match self.try_hear() {
                Ok(Some(line)) => lines.push(line),
                Ok(None) => return lines,
                Err(error) if is_time_out(&error) => panic!("wanted the end: {error}\n{}", self.said),
                // A reset, or TLS that never came about, is an end as well.
                Err(_) => return lines,
            }
        }
    }

    /// How long the next lines may take.
    pub fn patience(&mut self, patience: Duration) {
        self.stream.get_ref().tcp().set_read_timeout(Some(patience)).unwrap();
    }

    /// All that was said in lines, for messages of panics.
    pub fn said(&self) -> &str {
        &self.said
    }
}

fn is_time_out(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut)
}
