//! The client's side of IMAP, as cheap as it can be: what comes back is not looked into, only its last line.

use rustls::pki_types::ServerName;
use rustls::pki_types::pem::PemObject;
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};
use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tests::PASSWORD;

/// Octets that are read at once.
const READ: usize = 256 * 1024;
/// The same where a line is waited for.
const LINE_READ: usize = 4096;
/// Octets of the end of a response that are kept.
const KEPT: usize = 256 * 1024;
/// How long a server may be silent before the run fails.
const PATIENCE: Duration = Duration::from_secs(300);

trait Stream: Read + Write + Send {}
impl<T: Read + Write + Send> Stream for T {}

/// One connection.
pub(crate) struct Client {
    stream: Box<dyn Stream>,
    buffer: Vec<u8>,
    /// Octets that came behind the last line.
    ahead: Vec<u8>,
    tags: u32,
}

/// What came of a command that was carried out.
pub(crate) struct Reply {
    pub(crate) took: Duration,
    /// Until the first octet came.
    pub(crate) first: Duration,
    pub(crate) octets: u64,
    pub(crate) lines: u64,
    /// All of it, or the end of it.
    pub(crate) text: String,
}

impl Client {
    pub(crate) fn connect(port: u16) -> Self {
        Self::over(Box::new(tcp(port)))
    }

    pub(crate) fn connect_tls(port: u16, tls: &Arc<ClientConfig>) -> Self {
        let name = ServerName::try_from("localhost").unwrap();
        let connection = ClientConnection::new(Arc::clone(tls), name).unwrap();
        Self::over(Box::new(StreamOwned::new(connection, tcp(port))))
    }

    fn over(stream: Box<dyn Stream>) -> Self {
        let mut client = Self { stream, buffer: Vec::new(), ahead: Vec::new(), tags: 0 };
        let greeting = client.line();
        assert!(greeting.starts_with("* OK"), "greeting: {greeting}");
        client
    }

    pub(crate) fn log_in(&mut self, user: &str) {
        self.ask(&format!("LOGIN \"{user}\" \"{PASSWORD}\""));
    }

    /// Says a command, which must be done with OK.
    #[track_caller]
    pub(crate) fn ask(&mut self, command: &str) -> Reply {
        self.ask_with(command.as_bytes())
    }

    /// The same with literals in it.
    #[track_caller]
    pub(crate) fn ask_with(&mut self, command: &[u8]) -> Reply {
        self.tags += 1;
        let tag = format!("t{} ", self.tags);
        let line = [tag.as_bytes(), command, b"\r\n"].concat();
        let begun = Instant::now();
        self.stream.write_all(&line).unwrap();
        let reply = self.reply(&tag, begun);
        let last = reply.text.lines().last().unwrap_or_default();
        let what = String::from_utf8_lossy(&command[..command.len().min(200)]).into_owned();
        assert!(last.starts_with(&format!("{tag}OK")), "{what}: {last}");
        reply
    }

    /// IDLE begins, and is left so.
    pub(crate) fn idle(&mut self) {
        self.stream.write_all(b"i IDLE\r\n").unwrap();
        let line = self.line();
        assert!(line.starts_with('+'), "IDLE: {line}");
    }

    /// Ends IDLE again.
    pub(crate) fn done(&mut self) {
        self.stream.write_all(b"DONE\r\n").unwrap();
        while !self.line().starts_with("i OK") {}
    }

    /// Gives back the room for reading; for those of which there are thousands.
    pub(crate) fn slim(&mut self) {
        self.buffer = Vec::new();
        self.ahead.shrink_to_fit();
    }

    /// One line. Not octet by octet: a greeting with many capabilities would cost more than all the rest of a login.
    fn line(&mut self) -> String {
        loop {
            if let Some(end) = self.ahead.windows(2).position(|two| two == b"\r\n") {
                let rest = self.ahead.split_off(end + 2);
                let line = std::mem::replace(&mut self.ahead, rest);
                return String::from_utf8_lossy(&line).into_owned();
            }
            let mut octets = [0; LINE_READ];
            let n = self.stream.read(&mut octets).unwrap();
            assert!(n > 0, "the server closed the connection");
            self.ahead.extend_from_slice(&octets[..n]);
        }
    }

    fn reply(&mut self, tag: &str, begun: Instant) -> Reply {
        self.buffer.resize(READ, 0);
        let mut tail: Vec<u8> = Vec::with_capacity(KEPT);
        let mut reply =
            Reply { took: Duration::ZERO, first: Duration::ZERO, octets: 0, lines: 0, text: String::new() };
        loop {
            let n = if self.ahead.is_empty() {
                self.stream.read(&mut self.buffer).unwrap()
            } else {
                let n = self.ahead.len();
                self.buffer[..n].copy_from_slice(&std::mem::take(&mut self.ahead));
                n
            };
            assert!(n > 0, "the server closed the connection");
            if reply.octets == 0 {
                reply.first = begun.elapsed();
            }
            let came = &self.buffer[..n];
            reply.octets += n as u64;
            reply.lines += came.iter().map(|octet| u64::from(*octet == b'\n')).sum::<u64>();
            if tail.len() + n > KEPT {
                tail.drain(..tail.len().min(tail.len() + n - KEPT));
            }
            tail.extend_from_slice(came);
            if is_end(&tail, tag.as_bytes()) {
                reply.took = begun.elapsed();
                reply.text = String::from_utf8_lossy(&tail).into_owned();
                return reply;
            }
        }
    }
}

/// Whether the last line is whole and has the tag.
fn is_end(tail: &[u8], tag: &[u8]) -> bool {
    let Some(rest) = tail.strip_suffix(b"\r\n") else { return false };
    let start = rest.iter().rposition(|octet| *octet == b'\n').map_or(0, |at| at + 1);
    rest[start..].starts_with(tag)
}

fn tcp(port: u16) -> TcpStream {
    let stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
    stream.set_nodelay(true).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream
}

/// TLS that trusts one CA. No tickets: each connection shows what a handshake costs.
pub(crate) fn tls(ca: &Path) -> Arc<ClientConfig> {
    let mut roots = RootCertStore::empty();
    for certificate in rustls::pki_types::CertificateDer::pem_file_iter(ca).unwrap() {
        roots.add(certificate.unwrap()).unwrap();
    }
    let mut config = ClientConfig::builder().with_root_certificates(roots).with_no_client_auth();
    config.resumption = rustls::client::Resumption::disabled();
    Arc::new(config)
}
