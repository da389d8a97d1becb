//! One question to a web server: for introspection of tokens, MTA-STS policies, filters that speak HTTP.
//!
//! One connection for each question, HTTP/1.1, no redirects, no cookies, no compression, no proxy.

use crate::client_tls::ClientTls;
use crate::connect::{ConnectError, Connector};
use crate::public::Reach;
use crate::tls::TlsError;
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Bytes;
use hyper::header::{CONNECTION, CONTENT_TYPE, HOST, HeaderName, HeaderValue, USER_AGENT};
use hyper_util::rt::TokioIo;
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use world::url::{Host, Scheme, Url};
use world::{DnsError, Resolver};

/// Addresses of one host that are tried in turn.
pub const ADDRESSES_MAX: usize = 4;
/// Most octets of an answer's header, and most fields in it.
pub const HEAD_MAX: usize = 32 * 1024;
pub const FIELDS_MAX: usize = 64;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Method {
    Get,
    Post,
}

/// What is asked.
#[derive(Clone)]
pub struct Request {
    method: Method,
    url: Url,
    fields: Vec<(String, Secret)>,
    body: Vec<u8>,
}

/// A field's value; often a token, so it is never shown.
#[derive(Clone)]
struct Secret(String);

impl Request {
    pub fn get(url: Url) -> Self {
        Self { method: Method::Get, url, fields: Vec::new(), body: Vec::new() }
    }

    pub fn post(url: Url, content_type: &str, body: Vec<u8>) -> Self {
        Self { method: Method::Post, url, fields: Vec::new(), body }
            .field(CONTENT_TYPE.as_str(), content_type)
    }

    /// One more field. `Host`, `Connection` and `Content-Length` are ours to write.
    #[must_use]
    pub fn field(mut self, name: &str, value: &str) -> Self {
        self.fields.push((name.to_owned(), Secret(value.to_owned())));
        self
    }

    fn build(&self) -> Result<hyper::Request<Full<Bytes>>, FetchError> {
        let bad = |what: &str| FetchError::Request(format!("{what} cannot stand in an HTTP request"));
        let method = match self.method {
            Method::Get => hyper::Method::GET,
            Method::Post => hyper::Method::POST,
        };
        let mut request = hyper::Request::builder()
            .method(method)
            .uri(self.url.target())
            .header(HOST, self.url.authority())
            .header(USER_AGENT, "maddy")
            .header(CONNECTION, "close");
        for (name, value) in &self.fields {
            let field = HeaderName::from_bytes(name.as_bytes()).map_err(|_| bad(name))?;
            let mut value = HeaderValue::from_str(&value.0).map_err(|_| bad(name))?;
            value.set_sensitive(true);
            request = request.header(field, value);
        }
        request.body(Full::new(Bytes::from(self.body.clone()))).map_err(|_| bad("the URL"))
    }
}

impl fmt::Debug for Request {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} {} ({} octets)", self.method, self.url, self.body.len())
    }
}

/// What one question may cost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FetchLimits {
    /// From the look-up of the name to the last octet of the answer.
    pub time: Duration,
    /// Octets of the answer's body.
    pub octets: usize,
}

/// What was answered; any status counts as an answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Response {
    pub status: u16,
    /// Names in small letters, in order of arrival.
    pub fields: Vec<(String, String)>,
    pub body: Vec<u8>,
}

impl Response {
    /// The first field of that name; case does not matter.
    pub fn field(&self, name: &str) -> Option<&str> {
        self.fields.iter().find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
    }

    /// The media type in small letters, without its parameters (RFC 9110 §8.3).
    pub fn media_type(&self) -> Option<String> {
        let value = self.field(CONTENT_TYPE.as_str())?;
        Some(value.split(';').next().unwrap_or(value).trim().to_ascii_lowercase())
    }
}

/// Why there is no answer.
#[derive(Debug)]
pub enum FetchError {
    /// The request could not be written; it is ours to put right.
    Request(String),
    Dns(DnsError),
    Connect(ConnectError),
    Tls(TlsError),
    /// The name leads to no address that may be asked, or the port is not one of theirs.
    OutOfReach,
    /// What came is no HTTP, or ended too early.
    Broken(String),
    /// The answer is longer than this many octets.
    TooLong(usize),
    TimedOut(Duration),
}

impl fmt::Display for FetchError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Request(why) | Self::Broken(why) => f.write_str(why),
            Self::Dns(error) => error.fmt(f),
            Self::Connect(error) => error.fmt(f),
            Self::Tls(error) => error.fmt(f),
            Self::OutOfReach => f.write_str("it is not on the public Internet, or at another port"),
            Self::TooLong(octets) => write!(f, "the answer is longer than {octets} octets"),
            Self::TimedOut(after) => write!(f, "no answer within {} s", after.as_secs_f32()),
        }
    }
}

impl std::error::Error for FetchError {}

/// Asks web servers. Cloning is cheap.
#[derive(Clone)]
pub struct Fetcher {
    resolver: Arc<dyn Resolver>,
    connector: Connector,
    tls: ClientTls,
    /// `None`: every address may be asked.
    reach: Option<Reach>,
}

impl Fetcher {
    /// `tls` must be [`ClientTls::authenticated`]: what `https` says is only worth its certificate.
    pub fn new(resolver: Arc<dyn Resolver>, connector: Connector, tls: ClientTls) -> Self {
        Self { resolver, connector, tls, reach: None }
    }

    /// For names that strangers choose: only these addresses and ports are asked.
    #[must_use]
    pub fn within(&self, reach: Reach) -> Self {
        Self { reach: Some(reach), ..self.clone() }
    }

    /// Asks, and gives whatever was answered, redirects included: they are never followed.
    pub async fn fetch(&self, request: &Request, limits: FetchLimits) -> Result<Response, FetchError> {
        let built = request.build()?;
        tokio::time::timeout(limits.time, self.exchange(&request.url, built, limits.octets))
            .await
            .unwrap_or(Err(FetchError::TimedOut(limits.time)))
    }

    async fn exchange(
        &self,
        url: &Url,
        request: hyper::Request<Full<Bytes>>,
        most: usize,
    ) -> Result<Response, FetchError> {
        let (ip, stream) = self.connect(url).await?;
        if url.scheme() == Scheme::Http {
            return speak(stream, request, most).await;
        }
        let name = match url.host() {
            Host::Name(name) => name.as_str().to_owned(),
            Host::Address(ip) => ip.to_string(),
        };
        let name = self.tls.server_name(&name, ip).map_err(FetchError::Tls)?;
        let stream = tokio_rustls::TlsConnector::from(self.tls.rustls())
            .connect(name, stream)
            .await
            .map_err(|error| FetchError::Tls(TlsError::Handshake(error)))?;
        speak(stream, request, most).await
    }

    /// The first address that answers.
    async fn connect(&self, url: &Url) -> Result<(IpAddr, tokio::net::TcpStream), FetchError> {
        let addresses = match url.host() {
            Host::Address(ip) => vec![*ip],
            // RFC 6761 §6.3: never asked from a name server.
            Host::Name(name) if name.as_str() == "localhost" => {
                vec![IpAddr::V4(Ipv4Addr::LOCALHOST), IpAddr::V6(Ipv6Addr::LOCALHOST)]
            }
            Host::Name(name) => self.resolver.addresses(name).await.map_err(FetchError::Dns)?,
        };
        let is_allowed = |ip: &IpAddr| self.reach.as_ref().is_none_or(|reach| reach.allows(*ip, url.port()));
        let mut last = FetchError::Dns(DnsError::NoRecord);
        if !addresses.is_empty() && !addresses.iter().any(is_allowed) {
            return Err(FetchError::OutOfReach);
        }
        for ip in addresses.into_iter().filter(is_allowed).take(ADDRESSES_MAX) {
            match self.connector.stream(SocketAddr::new(ip, url.port())).await {
                Ok(stream) => return Ok((ip, stream)),
                Err(error) => last = FetchError::Connect(error),
            }
        }
        Err(last)
    }
}

async fn speak(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    request: hyper::Request<Full<Bytes>>,
    most: usize,
) -> Result<Response, FetchError> {
    let (mut sender, connection) = hyper::client::conn::http1::Builder::new()
        .max_buf_size(HEAD_MAX)
        .max_headers(FIELDS_MAX)
        .handshake(TokioIo::new(stream))
        .await
        .map_err(|error| broken(&error))?;
    let answered = async {
        let response = sender.send_request(request).await.map_err(|error| broken(&error))?;
        let (head, body) = response.into_parts();
        let body = Limited::new(body, most).collect().await.map_err(|error| {
            match error.downcast::<hyper::Error>() {
                Ok(error) => broken(&error),
                Err(_) => FetchError::TooLong(most),
            }
        })?;
        let fields = head.headers.iter().map(|(name, value)| {
            (name.as_str().to_owned(), String::from_utf8_lossy(value.as_bytes()).into_owned())
        });
        Ok(Response {
            status: head.status.as_u16(),
            fields: fields.collect(),
            body: body.to_bytes().to_vec(),
        })
    };
    // Both in this task: a caller that stops waiting leaves nothing behind.
    let mut answered = std::pin::pin!(answered);
    let mut connection = std::pin::pin!(connection);
    tokio::select! {
        biased;
        answer = &mut answered => return answer,
        ended = &mut connection => if let Err(error) = ended { return Err(broken(&error)) },
    }
    answered.await
}

fn broken(error: &hyper::Error) -> FetchError {
    use std::error::Error;
    match error.source() {
        Some(source) => FetchError::Broken(format!("{error}: {source}")),
        None => FetchError::Broken(error.to_string()),
    }
}
