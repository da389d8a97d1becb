//! A web server on loopback, over TLS: it says what it is told for each host and path, and keeps what is posted.

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ServerConfig, ServerConnection, StreamOwned};
use std::collections::HashMap;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

/// What is said to a question: the status line behind `HTTP/1.1 `, further fields, and the body.
#[derive(Clone, Debug)]
pub struct Page {
    pub status: String,
    pub fields: Vec<String>,
    pub body: String,
}

impl Page {
    /// Plain text.
    pub fn text(body: &str) -> Self {
        Self::of("200 OK", "text/plain", body)
    }

    pub fn of(status: &str, media_type: &str, body: &str) -> Self {
        let fields = vec![format!("Content-Type: {media_type}")];
        Self { status: status.to_owned(), fields, body: body.to_owned() }
    }
}

/// Something that was posted.
#[derive(Clone, Debug)]
pub struct Posted {
    pub host: String,
    pub path: String,
    pub media_type: String,
    pub body: Vec<u8>,
}

#[derive(Default)]
struct State {
    pages: HashMap<String, Page>,
    asked: Vec<String>,
    posted: Vec<Posted>,
}

/// Serves until the process ends.
pub struct Web {
    state: Arc<Mutex<State>>,
}

impl Web {
    /// Listens on a loopback address, with a certificate.
    pub fn start(ip: Ipv4Addr, port: u16, files: &net::CertFiles) -> Self {
        let chain = CertificateDer::pem_file_iter(&files.chain).unwrap().map(Result::unwrap).collect();
        let key = PrivateKeyDer::from_pem_file(&files.key).unwrap();
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(chain, key)
            .unwrap();
        let listener = TcpListener::bind((ip, port))
            .unwrap_or_else(|error| panic!("no web server on {ip}:{port}: {error}"));
        let web = Self { state: Arc::default() };
        let (state, config) = (web.state.clone(), Arc::new(config));
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (state, config) = (state.clone(), config.clone());
                thread::spawn(move || serve(stream, config, &state));
            }
        });
        web
    }

    /// From now on, `host/path` is this.
    pub fn page(&self, place: &str, page: Page) {
        self.state.lock().unwrap().pages.insert(place.to_owned(), page);
    }

    /// What was asked for so far, as `host/path`.
    pub fn asked(&self) -> Vec<String> {
        self.state.lock().unwrap().asked.clone()
    }

    /// What was posted so far.
    pub fn posted(&self) -> Vec<Posted> {
        self.state.lock().unwrap().posted.clone()
    }
}

fn serve(stream: TcpStream, config: Arc<ServerConfig>, state: &Mutex<State>) -> io::Result<()> {
    stream.set_read_timeout(Some(Duration::from_secs(60)))?;
    let tls = ServerConnection::new(config).map_err(io::Error::other)?;
    let mut stream = BufReader::new(StreamOwned::new(tls, stream));
    let mut lines = Vec::new();
    loop {
        let mut line = String::new();
        if stream.read_line(&mut line)? == 0 {
            return Ok(());
        }
        match line.trim_end() {
            "" => break,
            line => lines.push(line.to_owned()),
        }
    }
    let field = |name: &str| {
        let fields = lines.iter().skip(1).filter_map(|line| line.split_once(':'));
        let mut found = fields.filter(|(key, _)| key.eq_ignore_ascii_case(name));
        found.next().map_or_else(String::new, |(_, value)| value.trim().to_owned())
    };
    let first = lines.first().cloned().unwrap_or_default();
    let mut words = first.split(' ');
    let (method, path) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
    let host = field("Host").split(':').next().unwrap_or_default().to_owned();
    let mut body = vec![0; field("Content-Length").parse().unwrap_or(0)];
    stream.read_exact(&mut body)?;
    let place = format!("{host}{path}");
    let page = {
        let mut state = state.lock().unwrap();
        state.asked.push(place.clone());
        if method == "POST" {
            let (path, media_type) = (path.to_owned(), field("Content-Type"));
            state.posted.push(Posted { host, path, media_type, body });
        }
        state.pages.get(&place).cloned().unwrap_or_else(|| Page::of("404 Not Found", "text/plain", "no\n"))
    };
    let Page { status, fields, body } = page;
    let fields: String = fields.iter().map(|field| format!("{field}\r\n")).collect();
    let length = body.len();
    let stream = stream.get_mut();
    write!(
        stream,
        "HTTP/1.1 {status}\r\n{fields}Content-Length: {length}\r\nConnection: close\r\n\r\n{body}"
    )?;
    stream.flush()?;
    stream.conn.send_close_notify();
    stream.flush()
}
