//! The socket for programs of this machine: one operation, `POST /v1/sendmail`. Its body is a line of JSON, the order, and
//! behind it the message as it is. Anybody may connect; who it is the system says.

use crate::failure::{Failure, Kind};
use crate::server::Answer;
use axum::Router;
use axum::body::Body;
use axum::extract::connect_info::Connected;
use axum::extract::{ConnectInfo, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use axum::serve::IncomingStream;
use axum::{Json, serve::Listener};
use http_body_util::BodyExt;
use net::{LocalListener, Stop};
use serde_json::Value;
use std::collections::HashMap;
use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::UnixStream;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, timeout, timeout_at};
use tracing::warn;

/// Where a message is handed over.
pub(crate) const SENDMAIL_PATH: &str = "/v1/sendmail";
/// Longest order in octets: the addresses, as a rule.
pub const ORDER_MAX: usize = 512 * 1024;
/// Octets that are read of a message at once. Most are no longer; the rest of a larger one waits for its turn.
const SMALL_MAX: usize = 64 * 1024;
/// Large messages that may come in at the same time.
const AT_ONCE: usize = 8;
/// Large messages of one user that may come in at the same time, so that a slow one is in nobody else's way.
const AT_ONCE_PER_USER: usize = 2;
/// Longest time for the octets of one message to come, from a program on the same machine, once it is its turn.
const BODY_TIME_MAX: Duration = Duration::from_secs(60);
/// Longest wait for the next of them.
const IDLE_MAX: Duration = Duration::from_secs(10);
/// Users whose turns are remembered, before those that nobody waits for are forgotten.
const TURNS_KEPT: usize = 64;
/// Connections that one user of the machine may have at a time; more are closed, and their callers try again.
const CONNECTIONS_PER_USER: usize = 32;
/// Pause after an accept that failed, so that we do not spin.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Whoever takes messages of local programs.
pub trait LocalService: Send + Sync + 'static {
    /// Largest message in octets, at the moment.
    fn size_max(&self) -> usize;

    /// Takes a message from the user with this number.
    fn take(
        &self,
        uid: u32,
        order: Value,
        message: Vec<u8>,
    ) -> Pin<Box<dyn Future<Output = Answer> + Send + '_>>;
}

/// Who connected.
#[derive(Clone, Copy, Debug)]
struct Caller(u32);

struct Local {
    service: Arc<dyn LocalService>,
    turns: Turns,
}

/// Whose turn it is to hand over a large message.
struct Turns {
    all: Arc<Semaphore>,
    users: Mutex<HashMap<u32, Weak<Semaphore>>>,
}

impl Default for Turns {
    fn default() -> Self {
        Self { all: Arc::new(Semaphore::new(AT_ONCE)), users: Mutex::default() }
    }
}

impl Turns {
    /// Waits for a turn of the user's, and then for one of all. It is over when what is given back is dropped.
    async fn take(&self, uid: u32) -> Result<Vec<OwnedSemaphorePermit>, Failure> {
        let ended = |_| Failure::new(Kind::Unavailable, "the server is ending");
        let own = self.of(uid).acquire_owned().await.map_err(ended)?;
        let all = self.all.clone().acquire_owned().await.map_err(ended)?;
        Ok(vec![own, all])
    }

    fn of(&self, uid: u32) -> Arc<Semaphore> {
        let mut users = self.users.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(turns) = users.get(&uid).and_then(Weak::upgrade) {
            return turns;
        }
        if users.len() >= TURNS_KEPT {
            users.retain(|_, turns| turns.strong_count() > 0);
        }
        let turns = Arc::new(Semaphore::new(AT_ONCE_PER_USER));
        users.insert(uid, Arc::downgrade(&turns));
        turns
    }
}

/// What comes of a message.
struct Incoming {
    body: Body,
    octets: Vec<u8>,
    size_max: usize,
}

/// Whether all of it is there.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Come {
    Whole,
    NotYet,
}

impl Incoming {
    /// Reads until there are so many octets or all.
    async fn read(&mut self, until: usize) -> Result<Come, Failure> {
        let late = |_| Failure::new(Kind::BadRequest, "the message did not come in time");
        let end = Instant::now() + BODY_TIME_MAX;
        while self.octets.len() <= until {
            let next = timeout(IDLE_MAX, self.body.frame());
            let Some(frame) = timeout_at(end, next).await.map_err(late)?.map_err(late)? else {
                return Ok(Come::Whole);
            };
            let frame =
                frame.map_err(|_| Failure::new(Kind::BadRequest, "the message did not come whole"))?;
            if let Some(octets) = frame.data_ref() {
                self.octets.extend_from_slice(octets);
            }
            if self.octets.len() > self.size_max.saturating_add(ORDER_MAX) {
                let text = format!("the message is larger than the {} octets that are taken", self.size_max);
                return Err(Failure::new(Kind::BadRequest, text));
            }
        }
        Ok(Come::NotYet)
    }
}

/// Serves the socket until the word to stop; messages under way are finished.
pub async fn serve_local(
    listener: LocalListener,
    service: Arc<dyn LocalService>,
    mut stop: Stop,
) -> io::Result<()> {
    let local = Arc::new(Local { service, turns: Turns::default() });
    let router = Router::new()
        .route(SENDMAIL_PATH, post(take))
        .fallback(|| async { Failure::new(Kind::NotFound, "there is nothing here but POST /v1/sendmail") })
        .with_state(local)
        .into_make_service_with_connect_info::<Caller>();
    let open = Open { listener, users: Arc::default() };
    axum::serve(open, router).with_graceful_shutdown(async move { stop.wait().await }).await
}

async fn take(
    State(local): State<Arc<Local>>,
    ConnectInfo(Caller(uid)): ConnectInfo<Caller>,
    body: Body,
) -> Response {
    match answer(&local, uid, body).await {
        Ok(value) => (StatusCode::OK, Json(value)).into_response(),
        Err(failure) => failure.into_response(),
    }
}

async fn answer(local: &Local, uid: u32, body: Body) -> Answer {
    let mut incoming = Incoming { body, octets: Vec::new(), size_max: local.service.size_max() };
    let _turns = match incoming.read(SMALL_MAX).await? {
        Come::Whole => Vec::new(),
        Come::NotYet => {
            let turns = local.turns.take(uid).await?;
            incoming.read(usize::MAX).await?;
            turns
        }
    };
    let (order, message) = split(&incoming.octets)?;
    local.service.take(uid, order, message).await
}

fn split(octets: &[u8]) -> Result<(Value, Vec<u8>), Failure> {
    let bad = |what: String| Failure::new(Kind::BadRequest, what);
    let end = octets.iter().take(ORDER_MAX).position(|octet| *octet == b'\n');
    let end = end.ok_or_else(|| bad("the order has no end".to_owned()))?;
    let order = serde_json::from_slice(&octets[..end]).map_err(|error| bad(error.to_string()))?;
    Ok((order, octets[end + 1..].to_vec()))
}

/// How many connections each user has.
type Users = Arc<Mutex<HashMap<u32, usize>>>;

/// The listener as axum wants it.
struct Open {
    listener: LocalListener,
    users: Users,
}

/// A place among the connections of a user, given back when it goes.
struct Place {
    users: Users,
    uid: u32,
}

impl Place {
    /// `None` if the user has as many as there may be.
    fn take(users: &Users, uid: u32) -> Option<Self> {
        let mut counts = users.lock().unwrap_or_else(PoisonError::into_inner);
        let count = counts.entry(uid).or_default();
        if *count == CONNECTIONS_PER_USER {
            return None;
        }
        *count += 1;
        Some(Self { users: users.clone(), uid })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut counts = self.users.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = counts.get_mut(&self.uid) {
            *count -= 1;
            if *count == 0 {
                counts.remove(&self.uid);
            }
        }
    }
}

/// A connection and its place.
struct Placed {
    stream: UnixStream,
    _place: Place,
}

impl AsyncRead for Placed {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(context, buffer)
    }
}

impl AsyncWrite for Placed {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        octets: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(context, octets)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

impl Listener for Open {
    type Io = Placed;
    type Addr = Caller;

    async fn accept(&mut self) -> (Placed, Caller) {
        loop {
            match self.listener.accept_anybody().await {
                Ok((stream, uid)) => match Place::take(&self.users, uid) {
                    Some(place) => return (Placed { stream, _place: place }, Caller(uid)),
                    None => warn!(uid, "a user has too many connections to the socket of sendmail"),
                },
                Err(error) => {
                    warn!(%error, "the socket of sendmail takes no connections at the moment");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            }
        }
    }

    fn local_addr(&self) -> io::Result<Caller> {
        Ok(Caller(u32::MAX))
    }
}

impl Connected<IncomingStream<'_, Open>> for Caller {
    fn connect_info(stream: IncomingStream<'_, Open>) -> Self {
        *stream.remote_addr()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_user_cannot_take_the_places_of_others() {
        let users = Users::default();
        let mut held: Vec<Place> = (0..CONNECTIONS_PER_USER).filter_map(|_| Place::take(&users, 7)).collect();
        assert_eq!(held.len(), CONNECTIONS_PER_USER);
        assert!(Place::take(&users, 7).is_none());
        assert!(Place::take(&users, 8).is_some());
        held.pop();
        held.extend(Place::take(&users, 7));
        assert_eq!(held.len(), CONNECTIONS_PER_USER);
        held.clear();
        assert!(users.lock().unwrap().is_empty());
    }

    /// However slow a user's large messages are: others have their turns, and small ones need none.
    #[tokio::test]
    async fn a_slow_user_is_in_nobody_elses_way() {
        let turns = Turns::default();
        let held = [turns.take(7).await.unwrap(), turns.take(7).await.unwrap()];
        let third = timeout(Duration::from_millis(20), turns.take(7)).await;
        assert!(third.is_err(), "a third turn of the same user");
        let others: Vec<_> =
            [turns.take(8).await, turns.take(9).await, turns.take(9).await].into_iter().collect();
        assert!(others.iter().all(Result::is_ok));
        drop(held);
        assert!(turns.take(7).await.is_ok());
        drop(others);
        for uid in 100..100 + 2 * TURNS_KEPT as u32 {
            drop(turns.take(uid).await.unwrap());
        }
        assert!(turns.users.lock().unwrap().len() <= TURNS_KEPT);
    }

    #[tokio::test]
    async fn what_is_small_is_whole_at_once() {
        for (size, want) in [(10, true), (SMALL_MAX, true), (SMALL_MAX + 1, false)] {
            let body = Body::from(vec![b'x'; size]);
            let mut incoming = Incoming { body, octets: Vec::new(), size_max: 100_000 };
            let come = incoming.read(SMALL_MAX).await.unwrap();
            assert_eq!(come == Come::Whole, want, "{size}");
            assert!(incoming.read(usize::MAX).await.is_ok());
            assert_eq!(incoming.octets.len(), size);
        }
        let body = Body::from(vec![b'x'; ORDER_MAX + 101]);
        let mut incoming = Incoming { body, octets: Vec::new(), size_max: 100 };
        assert!(incoming.read(SMALL_MAX).await.is_err());
    }
}
