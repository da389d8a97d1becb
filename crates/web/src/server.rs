//! The daemon's side of the control socket: `POST /v1/<operation>` with the arguments as JSON.

use crate::failure::{Failure, Kind};
use axum::extract::connect_info::Connected;
use axum::extract::{ConnectInfo, DefaultBodyLimit, Path, State};
use axum::http::StatusCode;
use axum::routing::post;
use axum::serve::IncomingStream;
use axum::{Json, Router};
use net::{LocalListener, Stop};
use serde_json::Value;
use std::future::Future;
use std::net::IpAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;
use std::{fmt, io};
use tokio::net::UnixStream;
use tracing::warn;

/// Largest request and largest answer in octets: a message of 64 MiB in base64 and a little.
pub const BODY_MAX: usize = 96 * 1024 * 1024;

/// Pause after an accept that failed, so that we do not spin.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// What becomes of an operation.
pub type Answer = Result<Value, Failure>;

/// Who asks for an operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Caller {
    /// A user of this machine, by the number that the system tells.
    User(u32),
    /// Whoever has the token, from an address.
    Token(IpAddr),
}

impl fmt::Display for Caller {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::User(uid) => write!(f, "uid {uid}"),
            Self::Token(ip) => write!(f, "token from {ip}"),
        }
    }
}

/// Whoever carries out the operations.
pub trait Service: Send + Sync + 'static {
    /// Carries out one operation.
    fn call(
        &self,
        caller: Caller,
        operation: String,
        arguments: Value,
    ) -> Pin<Box<dyn Future<Output = Answer> + Send + '_>>;
}

/// Serves the socket until the word to stop; requests under way are finished.
pub async fn serve(listener: LocalListener, service: Arc<dyn Service>, mut stop: Stop) -> io::Result<()> {
    let router = Router::new()
        .route("/v1/{operation}", post(answer))
        .fallback(|| async {
            Failure::new(Kind::NotFound, "there is nothing here; operations are POST /v1/<name>")
        })
        .layer(DefaultBodyLimit::max(BODY_MAX))
        .with_state(service)
        .into_make_service_with_connect_info::<Caller>();
    axum::serve(Socket(listener), router).with_graceful_shutdown(async move { stop.wait().await }).await
}

async fn answer(
    State(service): State<Arc<dyn Service>>,
    ConnectInfo(caller): ConnectInfo<Caller>,
    Path(operation): Path<String>,
    arguments: Result<Json<Value>, axum::extract::rejection::JsonRejection>,
) -> Result<(StatusCode, Json<Value>), Failure> {
    let Json(arguments) = arguments.map_err(|error| Failure::new(Kind::BadRequest, error.body_text()))?;
    let value = service.call(caller, operation, arguments).await?;
    Ok((StatusCode::OK, Json(value)))
}

/// The listener as axum wants it.
struct Socket(LocalListener);

impl axum::serve::Listener for Socket {
    type Io = UnixStream;
    type Addr = Caller;

    async fn accept(&mut self) -> (UnixStream, Caller) {
        loop {
            match self.0.accept().await {
                Ok((stream, uid)) => return (stream, Caller::User(uid)),
                Err(error) => {
                    warn!(%error, "the control socket takes no connections at the moment");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            }
        }
    }

    fn local_addr(&self) -> io::Result<Caller> {
        Ok(Caller::User(u32::MAX))
    }
}

impl Connected<IncomingStream<'_, Socket>> for Caller {
    fn connect_info(stream: IncomingStream<'_, Socket>) -> Self {
        *stream.remote_addr()
    }
}
