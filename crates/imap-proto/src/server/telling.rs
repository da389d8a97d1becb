//! Telling what nobody asked for: between two commands (RFC 5465 §3), and in IDLE.

use super::{Mode, Session, State, Task};

/// What the session was doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Held {
    Idling,
    /// Nothing; EXPUNGE may not be told, since the client may be about to use message numbers.
    Between,
    /// Nothing; EXPUNGE may be told at any time.
    BetweenAny,
}

/// Whether EXPUNGE may be told when no command is under way (RFC 5465 §6.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unasked {
    WithExpunges,
    WithoutExpunges,
}

impl Session {
    /// Whether the session waits for the next command of somebody who is logged in.
    pub fn is_ready(&self) -> bool {
        self.mode == Mode::Ready
            && self.state != State::NotAuthenticated
            && self.asks.is_empty()
            && !self.start_tls
    }

    /// Puts off what comes in until [`Session::release`], so that much can be told meanwhile, piece by piece
    /// ([`crate::Question::Continue`]). Only in IDLE, or where [`Session::is_ready`].
    pub fn hold(&mut self, unasked: Unasked) {
        let held = match unasked {
            _ if self.is_idling() => Held::Idling,
            _ if !self.is_ready() => return,
            Unasked::WithExpunges => Held::BetweenAny,
            Unasked::WithoutExpunges => Held::Between,
        };
        self.mode = Mode::Asked(Task::Told(held));
    }

    /// All is told.
    pub fn release(&mut self) {
        if let Mode::Asked(Task::Told(held)) = self.mode {
            self.mode = if held == Held::Idling { Mode::Idling } else { Mode::Ready };
        }
    }
}
