//! The one face of every protocol, on both sides: octets in, steps out. No socket, no clock.

use std::time::Duration;

/// What a machine wants next.
#[derive(Debug)]
pub enum Step<Q> {
    /// More octets are needed: call [`Machine::feed`], then [`Machine::step`] again.
    Read,
    /// Octets to send.
    Write(Vec<u8>),
    /// A decision is needed. The owner calls the machine's own `answer` exactly once before the next `step`.
    Ask(Q),
    /// Octets of a message (DATA, BDAT, APPEND), decoded, in order, in pieces of bounded size.
    Body(Vec<u8>),
    /// All output so far is to be sent, then TLS begins. The owner then says so to the machine.
    StartTls,
    /// All output so far is to be sent, then the connection ends.
    Close,
}

/// One thing that may come in many pieces: a line, a reply, a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UnderWay {
    /// Another one for each thing.
    pub number: u64,
    /// How long all of it may take from the first time that more of it is waited for.
    pub patience: Duration,
}

/// A protocol as an order of events.
///
/// A machine knows order, limits, pipelining and grammar. It never knows *whether* somebody may do a thing:
/// that is asked.
pub trait Machine {
    type Question;

    /// Takes octets from the peer. A machine holds no more than its limits: the owner reads only on
    /// [`Step::Read`], in pieces of at most [`READ_MAX`] octets.
    fn feed(&mut self, octets: &[u8]);

    /// What comes next. Must be called until it says [`Step::Read`] or [`Step::Close`].
    fn step(&mut self) -> Step<Self::Question>;

    /// How long a [`Step::Read`] may take: a fact of the protocol (RFC 5321 §4.5.3.2, RFC 9051 §5.4).
    fn patience(&self) -> Duration;

    /// What the peer has begun to send and must bring to its end in time. [`Machine::patience`] begins anew with
    /// every octet; without this, a peer that sends one now and then could hold its place for months.
    fn under_way(&self) -> Option<UnderWay> {
        None
    }
}

/// Most octets that are fed at once.
pub const READ_MAX: usize = 16 * 1024;
