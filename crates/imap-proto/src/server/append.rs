//! APPEND and REPLACE as an order of events: messages and pieces that come in, URLs between them, and where a command
//! that is refused ends.

use super::command::LOG_IN_FIRST;
use super::{Mode, Question, Session, State, Task, refused};
use crate::command::{Access, Refusal};
use crate::ext::append::{self, End, Event, Inside, Segment};
use crate::frame::{Fault, Sync};
use crate::lex::Lexed;
use crate::response::Response;
use std::collections::VecDeque;

/// A command of which some came in.
#[derive(Debug, Default)]
pub(super) struct Progress {
    /// What is still to be asked before the next literal, or the end.
    ahead: VecDeque<Question>,
    /// Where the literal stands that comes in, or came last.
    inside: Option<Inside>,
    /// Whether the message takes the place of another one.
    replacing: bool,
}

impl Session {
    /// The first segment, and how the literal behind it comes, if there is one.
    pub(super) fn on_append(&mut self, body: &[u8], literal: Option<(u64, Sync)>) {
        self.append = Progress::default();
        let segment = match self.state {
            State::NotAuthenticated => Err(Refusal::bad(LOG_IN_FIRST)),
            _ => append::first(body, literal.map(|(size, _)| size), self.names),
        };
        self.on_segment(segment, literal);
    }

    /// What stands behind a literal.
    pub(super) fn on_append_more(&mut self, between: &[u8], literal: Option<(u64, Sync)>) {
        let inside = self.append.inside.unwrap_or(Inside::Message);
        self.on_segment(append::next(between, literal.map(|(size, _)| size), inside), literal);
    }

    fn on_segment(&mut self, segment: Lexed<Segment>, literal: Option<(u64, Sync)>) {
        let segment = match segment.and_then(|segment| self.check_segment(segment)) {
            Ok(segment) => segment,
            Err(refusal) => return self.refuse_append(refused(refusal)),
        };
        match segment.end {
            End::Argument => {
                // It is read again when the name or the URL is there.
                let waits = literal.is_some_and(|(_, sync)| sync == Sync::Waits);
                if self.framer.take_literal() && waits {
                    self.out.extend_from_slice(b"+ OK\r\n");
                }
                return;
            }
            End::Literal(inside) => self.append.inside = Some(inside),
            End::Command => self.append.inside = None,
        }
        self.append.ahead = segment.events.into_iter().map(question).collect();
        if segment.end == End::Command {
            self.append.ahead.push_back(Question::AppendEnd);
        }
        self.go_on_appending();
    }

    fn check_segment(&mut self, segment: Segment) -> Lexed<Segment> {
        for event in &segment.events {
            match event {
                Event::Begin(append) if append.replaces.is_some() => {
                    self.check_selected(Some(Access::ReadWrite))?;
                    self.check_numbers(append.replaces.is_some_and(|(by, _)| by == crate::By::Sequence))?;
                    self.append.replacing = true;
                }
                Event::More(_) if self.append.replacing => {
                    return Err(Refusal::bad("REPLACE takes one message."));
                }
                _ => {}
            }
        }
        Ok(segment)
    }

    /// The next question; if there is none, the literal may come.
    pub(super) fn go_on_appending(&mut self) {
        match self.append.ahead.pop_front() {
            Some(Question::AppendEnd) => self.ask(Task::Append, Question::AppendEnd),
            Some(question) => self.ask(Task::AppendHead, question),
            None => {
                if self.framer.waits() {
                    self.out.extend_from_slice(b"+ OK\r\n");
                }
                self.framer.stream_literal();
                self.received += 1;
                self.mode = Mode::Appending;
            }
        }
    }

    /// The client hears why once it has sent what it had announced.
    pub(super) fn refuse_append(&mut self, response: Response) {
        self.append = Progress::default();
        if self.framer.has_literal() {
            self.mode = Mode::Draining(response);
            self.framer.refuse(Fault::Refused);
        } else {
            self.finish(&response);
        }
    }
}

fn question(event: Event) -> Question {
    match event {
        Event::Begin(append) => Question::Append(append),
        Event::More(message) => Question::AppendMore(message),
        Event::Pieces(pieces) => Question::AppendPieces(pieces),
    }
}
