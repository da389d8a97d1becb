//! What changes the connection as a whole after login: what ENABLE brought (RFC 5161), UNAUTHENTICATE (RFC 8437) and
//! COMPRESS (RFC 4978).

use super::options::{COMPRESS, UNAUTHENTICATE};
use super::{Question, Session, State, Task};
use crate::command::{Command, Refusal};
use crate::frame::STRANGER;
use crate::parse::Names;
use crate::response::Response;

/// What the client has said that it understands (RFC 5161).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Enabled {
    pub(super) rev2: bool,
    /// Also by a command that asks for mod-sequences (RFC 7162 §3.1).
    pub(super) condstore: bool,
    pub(super) qresync: bool,
    /// RFC 6855: UTF-8 in quoted strings, and in the headers of what is appended.
    pub(super) utf8: bool,
    /// RFC 9586: messages are named by UID alone.
    pub(super) uid_only: bool,
    /// RFC 5464 §4.1.
    pub(super) metadata: bool,
    /// How many names at the end of [`super::Options::hidden`] are hidden from this account alone.
    pub(super) hidden: usize,
}

/// What can be enabled.
pub(super) const ENABLED: [&str; 7] =
    ["IMAP4rev2", "CONDSTORE", "QRESYNC", "UTF8=ACCEPT", "UIDONLY", "METADATA", "METADATA-SERVER"];

impl Session {
    /// Whether mod-sequences go with flags that are told unasked (RFC 7162 §3.1).
    pub fn is_condstore(&self) -> bool {
        self.enabled.condstore
    }

    /// Whether the client wants to hear of annotations that others change (RFC 5464 §4.1).
    pub fn hears_metadata(&self) -> bool {
        self.enabled.metadata
    }

    /// Whether VANISHED takes the place of EXPUNGE (RFC 7162 §3.2.3).
    pub fn is_qresync(&self) -> bool {
        self.enabled.qresync
    }

    /// Whether UIDFETCH and VANISHED take the place of FETCH and EXPUNGE (RFC 9586 §3).
    pub fn is_uid_only(&self) -> bool {
        self.enabled.uid_only
    }

    /// Whether the client understands UTF-8 in header fields (RFC 6855 §3, RFC 9051 §5.1).
    pub fn is_utf8(&self) -> bool {
        self.enabled.utf8 || self.enabled.rev2
    }

    /// ENABLE of one of [`ENABLED`].
    pub(super) fn enable(&mut self, name: &str) {
        match name {
            "IMAP4rev2" => self.enabled.rev2 = true,
            "UTF8=ACCEPT" => self.enabled.utf8 = true,
            "METADATA" | "METADATA-SERVER" => self.enabled.metadata = true,
            "UIDONLY" => self.enabled.uid_only = true,
            "QRESYNC" => (self.enabled.condstore, self.enabled.qresync) = (true, true),
            _ => self.enabled.condstore = true,
        }
        if self.is_utf8() {
            self.names = Names::Utf8;
        }
    }

    /// NO is not allowed here, so that clients can pipeline the next login. Compression cannot be taken off at a place
    /// that both sides agree on: then the connection ends, as RFC 8437 §3 allows.
    pub(super) fn on_unauthenticate(&mut self) {
        if !self.offers(UNAUTHENTICATE) {
            return self.refuse(Refusal::bad("This command is not known here."));
        }
        if self.state == State::NotAuthenticated {
            return self.refuse(Refusal::bad("Nobody is logged in."));
        }
        if self.compressing {
            return self.bye(None, "Compression cannot be ended; connect again.");
        }
        self.ask(Task::Unauthenticate, Question::Command(Command::Unauthenticate));
    }

    /// All that a login brought is forgotten (RFC 8437 §4.1).
    pub(super) fn forget_login(&mut self) {
        self.state = State::NotAuthenticated;
        let hidden = self.options.hidden.len().saturating_sub(self.enabled.hidden);
        self.options.hidden.truncate(hidden);
        self.enabled = Enabled::default();
        self.names = Names::Utf7;
        self.framer.set_limits(STRANGER);
    }

    /// Nothing may be sent before the answer is there (RFC 4978 §3): what is here already would be clear text.
    pub(super) fn on_compress(&mut self) {
        if !self.offers(COMPRESS) {
            return self.refuse(Refusal::bad("This command is not known here."));
        }
        if self.state == State::NotAuthenticated {
            return self.refuse(Refusal::bad("Log in first."));
        }
        if self.compressing {
            return self.refuse(Refusal::bad("Compression is active already."));
        }
        if !self.framer.is_empty() {
            return self.refuse(Refusal::bad("Nothing may follow COMPRESS before its answer."));
        }
        self.compressing = true;
        self.finish(&Response::ok("Compression begins."));
        self.asks.push_back(Question::Compress);
    }
}
