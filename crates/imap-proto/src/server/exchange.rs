//! The two places where a client sends lines that are no commands: AUTHENTICATE and IDLE.

use super::{Mode, Question, Session, Task};
use crate::command::Secret;
use crate::frame::Fault;
use crate::response::Response;
use wire::Step;

impl Session {
    pub(super) fn challenge(&mut self, challenge: &str) {
        self.out.extend_from_slice(b"+ ");
        self.out.extend_from_slice(challenge.as_bytes());
        self.out.extend_from_slice(b"\r\n");
        self.mode = Mode::Exchanging;
    }

    /// One line, whatever it holds (RFC 9051 §6.2.2).
    pub(super) fn read_exchange(&mut self) -> Option<Step<Question>> {
        let line = match self.framer.line() {
            None => return Some(Step::Read),
            Some(line) => line,
        };
        self.received += 1;
        match line {
            Ok(line) => self.ask(Task::Exchange, Question::Exchange(Secret(line))),
            Err(Fault::TooLong) => self.bye(None, "The line is too long."),
            Err(_) => self.finish(&Response::bad("Lines must end in CRLF; a bare CR or LF was found.")),
        }
        None
    }

    /// DONE in any case; anything else ends IDLE as well, but badly (RFC 9051 §6.3.13).
    pub(super) fn read_idle(&mut self) -> Option<Step<Question>> {
        let line = match self.framer.line() {
            None => return Some(Step::Read),
            Some(line) => line,
        };
        self.received += 1;
        match line {
            // As before a command: some clients send an empty line first.
            Ok(line) if line.is_empty() => {}
            Ok(line) if line.eq_ignore_ascii_case(b"DONE") => self.ask(Task::Other, Question::IdleEnd),
            Err(Fault::TooLong) => self.bye(None, "The line is too long."),
            _ => self.ask(Task::IdleSpoiled, Question::IdleEnd),
        }
        None
    }
}
