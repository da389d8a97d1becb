//! Turns the crank of a protocol machine over a connection until its owner has to do something.

use crate::compress::Compression;
use crate::conn::Conn;
use crate::tls_words;
use std::fmt;
use std::future::poll_fn;
use std::io;
use std::mem::MaybeUninit;
use std::pin::Pin;
use std::task::{Poll, ready};
use std::time::Duration;
use tokio::io::{AsyncRead, ReadBuf};
use tokio::time::{Instant, sleep_until, timeout};
use wire::{Machine, READ_MAX, Step};

/// Output that waits before the machine may go on making more of it, in octets.
pub const WRITE_HIGH: usize = 64 * 1024;

/// Longest wait for what a peer may have said that takes no more of us.
const LAST_WORDS_WAIT: Duration = Duration::from_millis(200);

/// Why [`Conn::drive`] came back.
#[derive(Debug)]
pub enum Driven<Q> {
    /// The machine asks; its `answer` is to be called once.
    Ask(Q),
    /// Octets of a message.
    Body(Vec<u8>),
    /// All output is sent; TLS is to begin, and the machine is to be told.
    StartTls,
    /// It is over.
    Closed(Closed),
    /// The peer was silent for longer than the machine's patience. The machine may still say farewell.
    TimedOut,
    /// The server is stopping. Told once, and only while the machine waits for input; it may still say farewell.
    Stopping,
}

/// How a connection ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Closed {
    /// The machine said so; its last words are sent.
    Done,
    /// The peer ended it.
    ByPeer,
    /// It broke: reset, TLS alert and the like. The text is for the log and for queue entries.
    Broken(String),
    /// The peer did not take our output in time.
    SlowReader,
}

impl fmt::Display for Closed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Done => f.write_str("closed"),
            Self::ByPeer => f.write_str("the peer closed the connection"),
            Self::Broken(text) => write!(f, "the connection broke: {text}"),
            Self::SlowReader => f.write_str("the peer was too slow to take what was sent"),
        }
    }
}

/// What the machine wanted when output had to be sent first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Due {
    StartTls,
    Close,
}

impl Conn {
    /// Feeds and steps `machine` until there is something to do for its owner.
    ///
    /// Cancel-safe: when the future is dropped nothing is lost, and the next call goes on from there. All output is
    /// sent before input is waited for. Patience runs from the peer's last octet, or from the last time this
    /// function came back; a cancelled call does not prolong it. What the machine says to be under way has a time
    /// limit of its own, however many octets come.
    pub async fn drive<M: Machine>(&mut self, machine: &mut M) -> Driven<M::Question> {
        let driven = self.turn(machine).await;
        self.waiting_since = None;
        driven
    }

    async fn turn<M: Machine>(&mut self, machine: &mut M) -> Driven<M::Question> {
        loop {
            if (self.due.is_some() || self.pending() >= WRITE_HIGH)
                && let Err(closed) = self.flush().await
            {
                self.hear_last_words(machine).await;
                return Driven::Closed(closed);
            }
            match self.due {
                Some(Due::StartTls) => {
                    self.due = None;
                    return Driven::StartTls;
                }
                Some(Due::Close) => {
                    self.close().await;
                    return Driven::Closed(Closed::Done);
                }
                None => {}
            }
            match machine.step() {
                Step::Read => {
                    if let Some(driven) = self.wait_for_input(machine).await {
                        return driven;
                    }
                }
                Step::Write(octets) => {
                    if let Err(error) = self.push(octets) {
                        return Driven::Closed(Closed::Broken(error.to_string()));
                    }
                }
                Step::Ask(question) => return Driven::Ask(question),
                Step::Body(octets) => return Driven::Body(octets),
                Step::StartTls => self.due = Some(Due::StartTls),
                Step::Close => self.due = Some(Due::Close),
            }
        }
    }

    /// Output cannot be sent: what the peer had to say about that may have come before it hung up.
    async fn hear_last_words<M: Machine>(&mut self, machine: &mut M) {
        let Self { stream, compression, .. } = self;
        let _ = timeout(LAST_WORDS_WAIT, feed(stream, compression.as_deref_mut(), machine)).await;
    }

    /// Sends all, then feeds once. `None` when the machine was fed.
    async fn wait_for_input<M: Machine>(&mut self, machine: &mut M) -> Option<Driven<M::Question>> {
        if let Err(closed) = self.flush().await {
            self.hear_last_words(machine).await;
            return Some(Driven::Closed(closed));
        }
        let since = *self.waiting_since.get_or_insert_with(Instant::now);
        let until = self.bounded(since + machine.patience(), machine);
        let Self { stream, compression, stop, stop_told, .. } = self;
        let told = *stop_told;
        let stopping = async {
            if told {
                std::future::pending::<()>().await;
            }
            stop.wait().await;
        };
        tokio::select! {
            biased;
            () = stopping => {
                self.stop_told = true;
                Some(Driven::Stopping)
            }
            fed = feed(stream, compression.as_deref_mut(), machine) => match fed {
                Ok(true) => {
                    self.waiting_since = None;
                    None
                }
                Ok(false) => Some(Driven::Closed(Closed::ByPeer)),
                Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => {
                    Some(Driven::Closed(Closed::ByPeer))
                }
                Err(error) => Some(Driven::Closed(Closed::Broken(tls_words::of_io(&error)))),
            },
            () = sleep_until(until) => Some(Driven::TimedOut),
        }
    }

    /// The end of a wait, brought forward to the end of the time for what is under way.
    fn bounded<M: Machine>(&mut self, until: Instant, machine: &M) -> Instant {
        let Some(under_way) = machine.under_way() else {
            self.under_way = None;
            return until;
        };
        let since = match self.under_way {
            Some((number, since)) if number == under_way.number => since,
            _ => Instant::now(),
        };
        self.under_way = Some((under_way.number, since));
        until.min(since + under_way.patience)
    }
}

/// Reads once into the machine; false at the end of the stream. The buffer lives only while there is something to
/// read, so an idle connection holds none.
async fn feed<S, M>(
    stream: &mut S,
    mut compression: Option<&mut Compression>,
    machine: &mut M,
) -> io::Result<bool>
where
    S: AsyncRead + Unpin,
    M: Machine,
{
    poll_fn(|cx| {
        loop {
            if let Some(compression) = compression.as_deref_mut() {
                let mut space = [0; READ_MAX];
                let unpacked = compression.unpack(&mut space)?;
                if unpacked > 0 {
                    machine.feed(&space[..unpacked]);
                    return Poll::Ready(Ok(true));
                }
            }
            let mut space = [const { MaybeUninit::uninit() }; READ_MAX];
            let mut buffer = ReadBuf::uninit(&mut space);
            ready!(Pin::new(&mut *stream).poll_read(cx, &mut buffer))?;
            let octets = buffer.filled();
            if octets.is_empty() {
                return Poll::Ready(Ok(false));
            }
            match compression.as_deref_mut() {
                Some(compression) => compression.take_in(octets),
                None => {
                    machine.feed(octets);
                    return Poll::Ready(Ok(true));
                }
            }
        }
    })
    .await
}
