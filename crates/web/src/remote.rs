//! The control socket's operations over TCP, for whoever shows the token: `POST /v1/<operation>` with
//! `Authorization: Bearer <token>` (RFC 6750 §2.1) and the arguments as JSON.
//!
//! Nothing is read of a body before the token is right. Wrong ones have to wait, longer and longer, by address; the right
//! one never does.

use crate::connection;
use crate::control_config::{ControlConfig, read_token};
use crate::failure::{Failure, Kind};
use crate::server::{Answer, BODY_MAX, Caller, Service};
use auth::{GuessLimits, Guesses, is_same_secret};
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::{Bytes, Incoming};
use hyper::header::{AUTHORIZATION, CONTENT_TYPE, HeaderMap, RETRY_AFTER, WWW_AUTHENTICATE};
use hyper::http::HeaderValue;
use hyper::{Method, Request, Response, StatusCode};
use net::Conn;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, OnceLock, PoisonError, RwLock, Weak};
use std::time::Duration;
use tokio::sync::Semaphore;
use tracing::{info, warn};
use world::{Clock, World};

/// How long the arguments may take to come.
const BODY_TIME: Duration = Duration::from_secs(120);
/// Operations that are taken in at the same time; others wait before their arguments are read.
const AT_ONCE: usize = 8;
/// How long one connection may last in all.
const CONNECTION_TIME: Duration = Duration::from_secs(1800);
/// As whom wrong tokens are counted.
const CALLER: &str = "control";

/// The door for programs elsewhere that look after the server.
pub struct ControlDoor {
    config: RwLock<ControlConfig>,
    guesses: Mutex<Guesses>,
    clock: Arc<dyn Clock>,
    service: OnceLock<Weak<dyn Service>>,
    turns: Semaphore,
}

/// Why a request is not carried out.
enum Denied {
    NoToken,
    WrongToken,
    Wait(Duration),
    Broken(Failure),
}

impl ControlDoor {
    pub fn new(config: ControlConfig, world: &World) -> Self {
        let mut key = [0; 32];
        world.random.fill(&mut key);
        Self {
            config: RwLock::new(config),
            guesses: Mutex::new(Guesses::new(GuessLimits::default(), &key)),
            clock: world.clock.clone(),
            service: OnceLock::new(),
            turns: Semaphore::new(AT_ONCE),
        }
    }

    /// Other options from now on.
    pub fn reconfigure(&self, config: ControlConfig) {
        *self.config.write().unwrap_or_else(PoisonError::into_inner) = config;
    }

    /// Who carries operations out, once it is there; told once.
    pub fn serve_for(&self, service: Weak<dyn Service>) {
        let _ = self.service.set(service);
    }

    /// Serves one connection to its end.
    pub async fn serve(&self, conn: Conn) {
        let peer = conn.peer().ip();
        connection::serve(conn, CONNECTION_TIME, |request| self.respond(request, peer)).await;
    }

    async fn respond(&self, request: Request<Incoming>, peer: IpAddr) -> Response<Full<Bytes>> {
        if let Err(denied) = self.admit(request.headers(), peer).await {
            return refusal(denied);
        }
        match self.answer(request, peer).await {
            Ok(value) => write(StatusCode::OK, &value),
            Err(failure) => failed(&failure),
        }
    }

    /// Whether the token is right.
    async fn admit(&self, headers: &HeaderMap, peer: IpAddr) -> Result<(), Denied> {
        let shown = bearer(headers).ok_or(Denied::NoToken)?;
        let file = self.config.read().unwrap_or_else(PoisonError::into_inner).token_file.clone();
        let unset = || Denied::Broken(Failure::new(Kind::Unavailable, "no token is set here"));
        let file = file.ok_or_else(unset)?;
        let wanted = tokio::task::spawn_blocking(move || read_token(&file)).await;
        let wanted = match wanted.map_err(|error| error.to_string()).flatten() {
            Ok(wanted) => wanted,
            Err(why) => {
                warn!(why, "nobody can use the control port");
                return Err(Denied::Broken(Failure::new(
                    Kind::Unavailable,
                    "the token cannot be compared now",
                )));
            }
        };
        // The right one always passes: it is too long to be guessed, and whoever shares an address with its owner could
        // lock them out otherwise.
        if is_same_secret(shown.as_bytes(), &wanted) {
            return Ok(());
        }
        let now = u64::try_from(self.clock.unix()).unwrap_or_default();
        if let Err(too_many) = self.guesses().ask(CALLER, peer, now) {
            return Err(Denied::Wait(too_many.wait));
        }
        self.guesses().wrong(CALLER, peer, now);
        info!(%peer, "a wrong token at the control port");
        Err(Denied::WrongToken)
    }

    fn guesses(&self) -> std::sync::MutexGuard<'_, Guesses> {
        self.guesses.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn answer(&self, request: Request<Incoming>, peer: IpAddr) -> Answer {
        let nothing =
            || Failure::new(Kind::NotFound, "there is nothing here; operations are POST /v1/<name>");
        let operation = request.uri().path().strip_prefix("/v1/").filter(|name| !name.contains('/'));
        let operation = operation.ok_or_else(nothing)?.to_owned();
        if request.method() != Method::POST {
            return Err(Failure::new(Kind::BadRequest, "operations are POST"));
        }
        let json =
            request.headers().get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
        if !json.starts_with("application/json") {
            return Err(Failure::new(Kind::BadRequest, "the arguments are application/json"));
        }
        let ended = || Failure::new(Kind::Unavailable, "the server is ending");
        let _turn = self.turns.acquire().await.map_err(|_| ended())?;
        let body = Limited::new(request.into_body(), BODY_MAX).collect();
        let body = tokio::time::timeout(BODY_TIME, body).await;
        let body =
            body.map_err(|_| Failure::new(Kind::BadRequest, "the arguments did not come in time"))?.map_err(
                |_| Failure::new(Kind::BadRequest, "the arguments did not come whole, or are too large"),
            )?;
        let arguments = serde_json::from_slice(&body.to_bytes())
            .map_err(|error| Failure::new(Kind::BadRequest, error.to_string()))?;
        let service = self.service.get().and_then(Weak::upgrade).ok_or_else(ended)?;
        service.call(Caller::Token(peer), operation, arguments).await
    }
}

/// The token of a request. Who sends two fields has none.
fn bearer(headers: &HeaderMap) -> Option<&str> {
    let mut fields = headers.get_all(AUTHORIZATION).iter();
    let (Some(field), None) = (fields.next(), fields.next()) else { return None };
    let (scheme, token) = field.to_str().ok()?.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
}

fn refusal(denied: Denied) -> Response<Full<Bytes>> {
    let (status, text, wait) = match denied {
        Denied::Broken(failure) => return failed(&failure),
        Denied::NoToken => (StatusCode::UNAUTHORIZED, "show the token: Authorization: Bearer TOKEN", None),
        Denied::WrongToken => (StatusCode::UNAUTHORIZED, "this is not the token", None),
        Denied::Wait(wait) => (StatusCode::TOO_MANY_REQUESTS, "too many wrong tokens from there", Some(wait)),
    };
    let failure = Failure::new(Kind::Refused, text);
    let mut response = write(status, &serde_json::to_value(failure).unwrap_or_default());
    let headers = response.headers_mut();
    if status == StatusCode::UNAUTHORIZED {
        headers.insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
    }
    if let Some(wait) = wait {
        // Up to the next second, so that who obeys is not early.
        headers.insert(RETRY_AFTER, HeaderValue::from(wait.as_secs() + 1));
    }
    response
}

fn failed(failure: &Failure) -> Response<Full<Bytes>> {
    write(failure.kind.status(), &serde_json::to_value(failure).unwrap_or_default())
}

fn write(status: StatusCode, value: &serde_json::Value) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(Bytes::from(value.to_string())));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_token_in_one_field() {
        let of = |fields: &[&str]| {
            let mut headers = HeaderMap::new();
            for field in fields {
                headers.append(AUTHORIZATION, HeaderValue::from_str(field).unwrap());
            }
            bearer(&headers).map(str::to_owned)
        };
        assert_eq!(of(&["Bearer abc"]), Some("abc".to_owned()));
        assert_eq!(of(&["bearer  abc"]), Some("abc".to_owned()));
        assert_eq!(of(&[]), None);
        assert_eq!(of(&["Basic abc"]), None);
        assert_eq!(of(&["Bearer"]), None);
        assert_eq!(of(&["Bearer a", "Bearer b"]), None);
    }
}
