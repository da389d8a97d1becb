//! One connection that speaks HTTP/1.1, served to its end: small heads, which must not take long, and not for ever.

use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::{TokioIo, TokioTimer};
use net::Conn;
use std::convert::Infallible;
use std::pin::pin;
use std::time::Duration;
use tracing::debug;

/// Octets of the head of a question, and fields in it.
const HEAD_MAX: usize = 16 * 1024;
const FIELDS_MAX: usize = 64;
/// How long a head may take to come, also after the answer before it.
const HEAD_TIME: Duration = Duration::from_secs(10);

/// Answers with what `respond` makes of each question, for `time` at most. At the word to stop the answer under way is the last.
pub(crate) async fn serve<F>(conn: Conn, time: Duration, respond: impl Fn(Request<Incoming>) -> F)
where
    F: Future<Output = Response<Full<Bytes>>>,
{
    let mut stop = conn.stop();
    let service = service_fn(|request| {
        let response = respond(request);
        async move { Ok::<_, Infallible>(response.await) }
    });
    let connection = hyper::server::conn::http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIME)
        .max_buf_size(HEAD_MAX)
        .max_headers(FIELDS_MAX)
        .serve_connection(TokioIo::new(conn.into_octets()), service);
    let served = async {
        let mut connection = pin!(connection);
        tokio::select! {
            ended = &mut connection => return ended,
            () = stop.wait() => connection.as_mut().graceful_shutdown(),
        }
        connection.await
    };
    match tokio::time::timeout(time, served).await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => debug!(%error, "the connection ended badly"),
        Err(_) => debug!("the connection lasted too long"),
    }
}
