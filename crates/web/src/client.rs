//! The command line's side of the control socket.

use crate::failure::Failure;
use crate::local::SENDMAIL_PATH;
use crate::server::BODY_MAX;
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Bytes;
use hyper::header::{CONTENT_TYPE, HOST};
use hyper::{Request, StatusCode};
use hyper_util::rt::TokioIo;
use serde_json::Value;
use std::path::Path;
use std::time::Duration;
use std::{fmt, io};

/// Longest wait for a daemon to take the connection.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// Longest wait for the answer to one operation.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(600);

/// Why a call brought no answer.
#[derive(Debug)]
pub enum CallError {
    /// Nobody listens: there is no daemon, or it is just starting or ending.
    NotListening(io::Error),
    /// Somebody listens and does not answer as it should.
    Broken(String),
    /// The daemon answered that it was not done.
    Failed(Failure),
}

impl fmt::Display for CallError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotListening(error) => error.fmt(f),
            Self::Broken(why) => write!(f, "the daemon does not answer as it should: {why}"),
            Self::Failed(failure) => failure.fmt(f),
        }
    }
}

impl std::error::Error for CallError {}

/// Asks the daemon that listens on a socket for one operation.
pub async fn call(socket: &Path, operation: &str, arguments: &Value) -> Result<Value, CallError> {
    let stream = tokio::time::timeout(CONNECT_TIMEOUT, net::connect_local(socket))
        .await
        .map_err(|_| CallError::Broken("it does not take the connection".to_owned()))?
        .map_err(CallError::NotListening)?;
    let post = Post {
        path: format!("/v1/{operation}"),
        kind: "application/json",
        body: Bytes::from(arguments.to_string()),
    };
    tokio::time::timeout(ANSWER_TIMEOUT, exchange(TokioIo::new(stream), post))
        .await
        .map_err(|_| CallError::Broken("no answer came in time".to_owned()))?
}

/// Hands a message to the socket for programs of this machine, with an order.
pub async fn hand_over(socket: &Path, order: &Value, message: Vec<u8>) -> Result<Value, CallError> {
    let stream = tokio::time::timeout(CONNECT_TIMEOUT, net::connect_local(socket))
        .await
        .map_err(|_| CallError::Broken("it does not take the connection".to_owned()))?
        .map_err(CallError::NotListening)?;
    let mut body = format!("{order}\n").into_bytes();
    body.extend_from_slice(&message);
    let post =
        Post { path: SENDMAIL_PATH.to_owned(), kind: "application/octet-stream", body: Bytes::from(body) };
    tokio::time::timeout(ANSWER_TIMEOUT, exchange(TokioIo::new(stream), post))
        .await
        .map_err(|_| CallError::Broken("no answer came in time".to_owned()))?
}

/// What is asked.
struct Post {
    path: String,
    kind: &'static str,
    body: Bytes,
}

async fn exchange(stream: TokioIo<tokio::net::UnixStream>, post: Post) -> Result<Value, CallError> {
    let broken = |error: &dyn fmt::Display| CallError::Broken(error.to_string());
    let (mut sender, connection) =
        hyper::client::conn::http1::handshake(stream).await.map_err(|error| broken(&error))?;
    let connection = tokio::spawn(connection);
    let request = Request::post(post.path)
        .header(HOST, "localhost")
        .header(CONTENT_TYPE, post.kind)
        .body(Full::new(post.body))
        .map_err(|error| broken(&error))?;
    let response = sender.send_request(request).await.map_err(|error| unanswered(&error))?;
    let status = response.status();
    let body =
        Limited::new(response.into_body(), BODY_MAX).collect().await.map_err(|error| broken(&error))?;
    connection.abort();
    let octets = body.to_bytes();
    if status == StatusCode::OK {
        return serde_json::from_slice(&octets).map_err(|error| broken(&error));
    }
    match serde_json::from_slice::<Failure>(&octets) {
        Ok(failure) => Err(CallError::Failed(failure)),
        Err(_) => Err(CallError::Broken(format!("it said {status}"))),
    }
}

/// What it means that no answer came. A connection is reset where the other side has not read all of the request, so nothing
/// of it was done: the daemon ends, and had not even taken the connection.
fn unanswered(error: &hyper::Error) -> CallError {
    let cause = std::error::Error::source(error).and_then(|source| source.downcast_ref::<io::Error>());
    match cause.map(io::Error::kind) {
        Some(kind @ (io::ErrorKind::ConnectionReset | io::ErrorKind::BrokenPipe)) => {
            CallError::NotListening(kind.into())
        }
        _ => CallError::Broken(error.to_string()),
    }
}
