//! HTTP/1.1 for everybody: one question at a time, small ones only, and never for long.

use crate::config::Config;
use crate::connection;
use crate::site::{Ask, Found, Page, Site};
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::{Bytes, Incoming};
use hyper::header::{self, HeaderValue};
use hyper::{Request, Response, StatusCode};
use net::Conn;
use std::future::Future;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;
use tracing::debug;

/// Said to whom the limits of connections refuse.
pub const BUSY: &[u8] = b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";

/// Octets of a question's body; Autodiscover has some hundred.
const QUESTION_MAX: usize = 16 * 1024;
/// How long a body may take to come.
const BODY_TIME: Duration = Duration::from_secs(10);
/// How long one connection may last in all, however many questions it brings.
const CONNECTION_TIME: Duration = Duration::from_secs(60);

/// An answer that takes a moment.
pub type Answering<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// What those who run the server can ask.
pub trait Insight: Send + Sync {
    /// All metrics as Prometheus reads them.
    fn metrics(&self) -> Answering<'_, String>;
    /// How it stands, as a page for people.
    fn status(&self) -> Answering<'_, String>;
    /// Nothing if the server works; why not otherwise.
    fn health(&self) -> Answering<'_, Result<(), String>>;
}

/// What is served at the moment.
struct Served {
    config: Config,
    site: Site,
}

/// The door for browsers and machines.
pub struct Door {
    served: RwLock<Arc<Served>>,
    insight: Arc<dyn Insight>,
}

impl Door {
    pub fn new(config: Config, site: Site, insight: Arc<dyn Insight>) -> Self {
        Self { served: RwLock::new(Arc::new(Served { config, site })), insight }
    }

    /// From now on new questions find this.
    pub fn reconfigure(&self, config: Config, site: Site) {
        *self.served.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(Served { config, site });
    }

    /// Serves one connection to its end.
    pub async fn serve(&self, conn: Conn) {
        let sni = conn.tls().and_then(|facts| facts.sni.clone());
        let (sni, local) = (sni.as_deref(), conn.local());
        connection::serve(conn, CONNECTION_TIME, |request| self.respond(request, local, sni)).await;
    }

    async fn respond(
        &self,
        request: Request<Incoming>,
        local: SocketAddr,
        sni: Option<&str>,
    ) -> Response<Full<Bytes>> {
        let (head, body) = request.into_parts();
        let Some(host) = host_of(&head) else {
            return write(Page::status(400, "A question names one host."));
        };
        let wants_body = head.method == hyper::Method::POST;
        let body = match wants_body {
            true => match read(body).await {
                Some(body) => body,
                None => return write(Page::status(413, "The question is too long, or took too long.")),
            },
            false => Bytes::new(),
        };
        let served = self.served.read().unwrap_or_else(PoisonError::into_inner).clone();
        let ask = Ask {
            method: head.method.as_str(),
            host: &host,
            path: head.uri.path(),
            query: head.uri.query().unwrap_or_default(),
            body: &body,
            sni,
            shows: served.config.shown_at(local),
        };
        let page = self.answer(&served.site, &ask).await;
        debug!(method = ask.method, host, path = ?ask.path, status = page.status, "asked");
        write(page)
    }

    async fn answer(&self, site: &Site, ask: &Ask<'_>) -> Page {
        match site.find(ask) {
            Found::Page(page) => page,
            Found::Metrics => {
                Page::new("text/plain; version=0.0.4; charset=utf-8", self.insight.metrics().await)
            }
            Found::Status => Page::new("text/html; charset=utf-8", self.insight.status().await),
            Found::Health => match self.insight.health().await {
                Ok(()) => Page::text("ok\n"),
                Err(why) => Page::status(503, &why),
            },
        }
    }
}

/// The host that is asked, in small letters: of the target if it holds one (RFC 9112 §3.2.2), else of the one field `Host`.
fn host_of(head: &hyper::http::request::Parts) -> Option<String> {
    if let Some(host) = head.uri.host() {
        return Some(host.to_ascii_lowercase());
    }
    let mut fields = head.headers.get_all(header::HOST).iter();
    let (Some(field), None) = (fields.next(), fields.next()) else { return None };
    let text = field.to_str().ok()?;
    let authority: hyper::http::uri::Authority = text.parse().ok()?;
    Some(authority.host().trim_end_matches('.').to_ascii_lowercase())
}

async fn read(body: Incoming) -> Option<Bytes> {
    let whole = tokio::time::timeout(BODY_TIME, Limited::new(body, QUESTION_MAX).collect()).await;
    Some(whole.ok()?.ok()?.to_bytes())
}

fn write(page: Page) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(Bytes::from(page.body)));
    *response.status_mut() = StatusCode::from_u16(page.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let fields = response.headers_mut();
    fields.insert(header::CONTENT_TYPE, HeaderValue::from_static(page.media_type));
    fields.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    fields.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    if let Some(location) = page.location.and_then(|text| HeaderValue::from_str(&text).ok()) {
        fields.insert(header::LOCATION, location);
    }
    if let Some(allow) = page.allow {
        fields.insert(header::ALLOW, HeaderValue::from_static(allow));
    }
    if let Some(value) =
        page.file.and_then(|file| HeaderValue::from_str(&format!("attachment; filename=\"{file}\"")).ok())
    {
        fields.insert(header::CONTENT_DISPOSITION, value);
    }
    response
}
