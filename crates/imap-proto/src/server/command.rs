//! The session between commands: from frames to questions.

use super::{Mode, Privacy, Question, Session, State, Task, refused, task};
use crate::command::{Access, Command, FetchItem, Refusal, RefusalKind, StatusItem};
use crate::ext::append;
use crate::frame::{Fault, Frame, Sync};
use crate::parse::{self, Names, Parsed};
use crate::response::{Response, Untagged};
use wire::Step;

const LOG_IN_FIRST: &str = "Log in first.";

impl Session {
    /// Reads on; `None` means: look again at what is to be done.
    pub(super) fn read(&mut self) -> Option<Step<Question>> {
        match self.mode {
            Mode::Exchanging => return self.read_exchange(),
            Mode::Idling => return self.read_idle(),
            _ => {}
        }
        let frame = self.framer.next_frame();
        self.received += u64::from(matches!(frame, Frame::Command(_) | Frame::Dropped(..)));
        match frame {
            Frame::Partial => return Some(Step::Read),
            Frame::Command(octets) => self.on_command(&octets),
            Frame::Literal { head, size, sync } => self.on_literal(&head, size, sync),
            Frame::Piece(piece) if piece.is_empty() => {}
            Frame::Piece(piece) => return Some(Step::Body(piece)),
            Frame::Dropped(head, fault) => self.on_dropped(&head, fault),
        }
        None
    }

    fn on_command(&mut self, octets: &[u8]) {
        if self.mode == Mode::Appending {
            return self.end_append(octets);
        }
        let Some((tag, body)) = parse::tag(octets) else {
            self.tag.clear();
            return self.refuse(Refusal::bad("A command begins with a tag and a blank."));
        };
        tag.clone_into(&mut self.tag);
        match parse::command(octets, body, self.names) {
            Err(refusal) => self.refuse(refusal),
            Ok(parsed) => self.on_parsed(parsed),
        }
    }

    fn on_parsed(&mut self, parsed: Parsed) {
        match parsed {
            Parsed::Capability => {
                Untagged::Capability(self.capability()).encode(self.names, &mut self.out);
                self.finish(&Response::ok("That is all."));
            }
            Parsed::Logout => {
                Untagged::Bye(None, "Good bye.".into()).encode(self.names, &mut self.out);
                self.finish(&Response::ok("Logged out."));
                self.mode = Mode::Closing;
            }
            Parsed::StartTls => self.on_start_tls(),
            Parsed::Enable(words) => self.on_enable(&words),
            Parsed::Unauthenticate => self.on_unauthenticate(),
            Parsed::Compress => self.on_compress(),
            Parsed::Authenticate { mechanism, initial } => match self.check_login() {
                Err(refusal) => self.refuse(refusal),
                Ok(()) => self.ask(Task::Exchange, Question::Authenticate { mechanism, initial }),
            },
            Parsed::Select(select, condstore) => {
                let command = Command::Select(select);
                match self.check_state(&command) {
                    Err(refusal) => self.refuse(refusal),
                    Ok(()) => {
                        self.enabled.condstore |= condstore;
                        self.start(command);
                    }
                }
            }
            Parsed::Command(command) => match self.check_state(&command) {
                Err(refusal) => self.refuse(refusal),
                Ok(()) => self.start(command),
            },
        }
    }

    fn start(&mut self, command: Command) {
        self.enabled.condstore |= asks_modseq(&command);
        if matches!(command, Command::Select(_)) && matches!(self.state, State::Selected(_)) {
            // RFC 9051 §7.1: CLOSED parts what is told about the old mailbox from what is about the new one.
            Response::ok("The mailbox that was selected is closed.")
                .word("CLOSED")
                .encode("*", &mut self.out);
            self.state = State::Authenticated;
        }
        self.ask(task(&command), Question::Command(command));
    }

    /// RFC 9051 §6.2.1: nothing may follow STARTTLS before TLS has begun; who sends it all the same is cut off.
    fn on_start_tls(&mut self) {
        if self.state != State::NotAuthenticated || self.options.privacy != Privacy::StartTls {
            return self.refuse(Refusal::bad("STARTTLS is not offered here."));
        }
        if !self.framer.is_empty() {
            self.refuse(Refusal::bad("Nothing may follow STARTTLS in clear text."));
            return self.bye(None, "Text followed STARTTLS.");
        }
        self.finish(&Response::ok("Begin TLS now."));
        self.start_tls = true;
    }

    fn on_enable(&mut self, words: &[String]) {
        if self.state == State::NotAuthenticated {
            return self.refuse(Refusal::bad(LOG_IN_FIRST));
        }
        let mut enabled: Vec<String> = Vec::new();
        for word in words {
            let name = match word.as_str() {
                word if !["IMAP4rev2", "CONDSTORE", "QRESYNC"]
                    .iter()
                    .any(|name| name.eq_ignore_ascii_case(word) && self.offers(name)) =>
                {
                    continue;
                }
                "IMAP4REV2" => {
                    self.enabled.rev2 = true;
                    self.names = Names::Utf8;
                    "IMAP4rev2"
                }
                "CONDSTORE" => {
                    self.enabled.condstore = true;
                    "CONDSTORE"
                }
                "QRESYNC" => {
                    self.enabled.condstore = true;
                    self.enabled.qresync = true;
                    "QRESYNC"
                }
                _ => continue,
            };
            if !enabled.iter().any(|known| known == name) {
                enabled.push(name.to_owned());
            }
        }
        Untagged::Enabled(enabled).encode(self.names, &mut self.out);
        self.ask(Task::Other, Question::Command(Command::Enable));
    }

    fn check_login(&self) -> Result<(), Refusal> {
        if self.state != State::NotAuthenticated {
            return Err(Refusal::bad("You are logged in already."));
        }
        if self.may_login() {
            return Ok(());
        }
        let text = match self.options.privacy {
            Privacy::StartTls => "Begin TLS with STARTTLS before you log in.",
            _ => "Logins need TLS.",
        };
        Err(Refusal { kind: RefusalKind::PrivacyRequired, text })
    }

    /// Whether the command belongs to the state (RFC 9051 §6).
    fn check_state(&self, command: &Command) -> Result<(), Refusal> {
        match command {
            Command::Noop | Command::Id(_) => Ok(()),
            Command::Login { .. } => self.check_login(),
            _ if self.state == State::NotAuthenticated => Err(Refusal::bad(LOG_IN_FIRST)),
            _ if needs_qresync(command) && !self.enabled.qresync => {
                Err(Refusal::bad("Say ENABLE QRESYNC first."))
            }
            Command::MultiSearch(search) if !search.needs_selected() => Ok(()),
            Command::Check
            | Command::Close
            | Command::Unselect
            | Command::Search(_)
            | Command::MultiSearch(_)
            | Command::CancelUpdate(_)
            | Command::Sort(_)
            | Command::Thread(_)
            | Command::Fetch(_)
            | Command::Copy { .. } => self.check_selected(None),
            Command::Expunge(_) | Command::Store(_) | Command::Move { .. } => {
                self.check_selected(Some(Access::ReadWrite))
            }
            _ => Ok(()),
        }
    }

    fn check_selected(&self, needed: Option<Access>) -> Result<(), Refusal> {
        match self.state {
            State::Selected(Access::ReadOnly) if needed == Some(Access::ReadWrite) => {
                Err(Refusal { kind: RefusalKind::ReadOnly, text: "The mailbox is selected read-only." })
            }
            State::Selected(_) => Ok(()),
            _ => Err(Refusal::bad("Select a mailbox first.")),
        }
    }

    fn on_literal(&mut self, head: &[u8], size: u64, sync: Sync) {
        if self.mode == Mode::Appending {
            return self.on_append_more(head, size);
        }
        let Some((tag, body)) = parse::tag(head) else {
            return self.framer.refuse(Fault::Refused);
        };
        if append::is_message_next(body) {
            tag.clone_into(&mut self.tag);
            return self.on_append(body, size);
        }
        let is_login = body.get(..6).is_some_and(|verb| verb.eq_ignore_ascii_case(b"LOGIN "));
        if is_login && let Err(refusal) = self.check_login() {
            tag.clone_into(&mut self.tag);
            self.mode = Mode::Draining(refused(refusal));
            return self.framer.refuse(Fault::Refused);
        }
        if self.framer.take_literal() && sync == Sync::Waits {
            self.out.extend_from_slice(b"+ OK\r\n");
        }
    }

    fn on_append(&mut self, body: &[u8], size: u64) {
        let head = match append::head(body, size, self.names) {
            _ if self.state == State::NotAuthenticated => Err(Refusal::bad(LOG_IN_FIRST)),
            Some(head) => head,
            None => Err(Refusal::bad("APPEND is not well formed.")),
        };
        let allowed = head.and_then(|head| match head.replaces {
            Some(_) => self.check_selected(Some(Access::ReadWrite)).map(|()| head),
            None => Ok(head),
        });
        match allowed {
            Ok(head) => {
                self.replacing = head.replaces.is_some();
                self.ask(Task::AppendHead, Question::Append(head));
            }
            Err(refusal) => self.refuse_append(refused(refusal)),
        }
    }

    /// A literal behind the message of APPEND is another message (RFC 3502).
    fn on_append_more(&mut self, between: &[u8], size: u64) {
        if self.replacing {
            return self.refuse_append(Response::bad("REPLACE takes one message."));
        }
        match append::more(between, size) {
            Ok(message) => self.ask(Task::AppendHead, Question::AppendMore(message)),
            Err(refusal) => self.refuse_append(refused(refusal)),
        }
    }

    /// The client hears why once it has sent what it had announced.
    pub(super) fn refuse_append(&mut self, response: Response) {
        self.mode = Mode::Draining(response);
        self.framer.refuse(Fault::Refused);
    }

    pub(super) fn start_append(&mut self) {
        if self.framer.waits() {
            self.out.extend_from_slice(b"+ OK\r\n");
        }
        self.framer.stream_literal();
        self.received += 1;
        self.mode = Mode::Appending;
    }

    fn end_append(&mut self, rest: &[u8]) {
        if rest.is_empty() {
            self.ask(Task::Append, Question::AppendEnd);
        } else {
            self.finish(&Response::bad("Nothing may follow the message of APPEND."));
        }
    }

    fn on_dropped(&mut self, head: &[u8], fault: Fault) {
        let draining = std::mem::replace(&mut self.mode, Mode::Ready);
        if !matches!(draining, Mode::Draining(_) | Mode::Appending) {
            self.tag.clear();
            if let Some((tag, _)) = parse::tag(head) {
                tag.clone_into(&mut self.tag);
            }
        }
        let response = match (fault, draining) {
            (Fault::Refused, Mode::Draining(response)) => response,
            (Fault::TooLong, _) => Response::bad("The command is too long."),
            (Fault::BareLineEnd, _) => Response::bad("Lines must end in CRLF; a bare CR or LF was found."),
            (Fault::Refused, _) => Response::bad("A command begins with a tag and a blank."),
            (Fault::Endless, _) => return self.bye(None, "The command has no end."),
        };
        self.finish(&response);
    }
}

/// Whether a command makes the client one that knows mod-sequences (RFC 7162 §3.1).
fn asks_modseq(command: &Command) -> bool {
    match command {
        Command::Fetch(fetch) => fetch.changed_since.is_some() || fetch.items.contains(&FetchItem::ModSeq),
        Command::Store(store) => store.unchanged_since.is_some(),
        Command::Search(search) => search.key.has_modseq(),
        Command::Status { items, .. } => items.contains(&StatusItem::HighestModSeq),
        _ => false,
    }
}

/// RFC 7162 §3.2.3.
fn needs_qresync(command: &Command) -> bool {
    match command {
        Command::Select(select) => select.resync.is_some(),
        Command::Fetch(fetch) => fetch.vanished,
        _ => false,
    }
}
