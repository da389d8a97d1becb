//! The session between commands: from frames to questions.

use super::layers::ENABLED;
use super::{Mode, Privacy, Question, Session, State, Task, refused, task};
use crate::command::{
    Access, By, Charset, Command, Event, Fetch, FetchItem, Notify, Refusal, RefusalKind, StatusItem, Store,
};
use crate::ext::append;
use crate::ext::metadata::VALUE_MAX;
use crate::frame::{Fault, Frame, Sync};
use crate::parse::{self, Parsed};
use crate::response::{Code, Response, Untagged};
use wire::Step;
use zeroize::Zeroize;

pub(super) const LOG_IN_FIRST: &str = "Log in first.";

impl Session {
    /// Whether the connection was ended for its bad commands: what no honest client does.
    pub fn was_abused(&self) -> bool {
        self.bad >= super::BAD_MAX
    }

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
            Frame::Command(mut octets) => {
                let was_stranger = self.state == State::NotAuthenticated;
                self.on_command(&octets);
                // The password of LOGIN stands in it.
                if was_stranger {
                    octets.zeroize();
                }
            }
            Frame::Literal { head, size, sync } => self.on_literal(&head, size, sync),
            Frame::Piece(piece) if piece.is_empty() => {}
            Frame::Piece(piece) => return Some(Step::Body(piece)),
            Frame::Dropped(head, fault) => self.on_dropped(&head, fault),
        }
        None
    }

    fn on_command(&mut self, octets: &[u8]) {
        if self.mode == Mode::Appending {
            return self.on_append_more(octets, None);
        }
        let Some((tag, body)) = parse::tag(octets) else {
            self.tag.clear();
            return self.refuse(Refusal::bad("A command begins with a tag and a blank."));
        };
        tag.clone_into(&mut self.tag);
        if append::is_verb(body) {
            return self.on_append(body, None);
        }
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
            let name = ENABLED.into_iter().find(|name| name.eq_ignore_ascii_case(word) && self.offers(name));
            let Some(name) = name else { continue };
            self.enable(name);
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

    /// After `ENABLE UIDONLY` message numbers are not known (RFC 9586 §3).
    pub(super) fn check_numbers(&self, used: bool) -> Result<(), Refusal> {
        if used && self.enabled.uid_only {
            let text = "Message numbers are not used after ENABLE UIDONLY.";
            return Err(Refusal { kind: RefusalKind::UidRequired, text });
        }
        Ok(())
    }

    /// Whether the command belongs to the state (RFC 9051 §6).
    fn check_state(&self, command: &Command) -> Result<(), Refusal> {
        self.check_numbers(uses_numbers(command))?;
        match command {
            Command::Noop | Command::Id(_) => Ok(()),
            Command::Login { .. } => self.check_login(),
            _ if self.state == State::NotAuthenticated => Err(Refusal::bad(LOG_IN_FIRST)),
            _ if needs_qresync(command) && !self.enabled.qresync => {
                Err(Refusal::bad("Say ENABLE QRESYNC first."))
            }
            _ if self.enabled.utf8
                && command.search().is_some_and(|search| search.charset != Charset::Known) =>
            {
                // RFC 6855 §3
                Err(Refusal::bad("After ENABLE UTF8=ACCEPT searches are in UTF-8."))
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
            | Command::UidBatches(_)
            | Command::Copy { .. } => self.check_selected(None),
            Command::Expunge(_) | Command::Store(_) | Command::Move { .. } => {
                self.check_selected(Some(Access::ReadWrite))
            }
            _ => Ok(()),
        }
    }

    pub(super) fn check_selected(&self, needed: Option<Access>) -> Result<(), Refusal> {
        match self.state {
            State::Selected(Access::ReadOnly) if needed == Some(Access::ReadWrite) => {
                Err(Refusal { kind: RefusalKind::ReadOnly, text: "The mailbox is selected read-only." })
            }
            State::Selected(_) => Ok(()),
            _ => Err(Refusal::bad("Select a mailbox first.")),
        }
    }

    /// The selected mailbox can be changed from now on, or not any more (RFC 9051 §7.1, READ-ONLY and READ-WRITE).
    pub fn set_access(&mut self, access: Access) {
        if matches!(self.state, State::Selected(_)) {
            self.state = State::Selected(access);
        }
    }

    fn on_literal(&mut self, head: &[u8], size: u64, sync: Sync) {
        if self.mode == Mode::Appending {
            return self.on_append_more(head, Some((size, sync)));
        }
        let Some((tag, body)) = parse::tag(head) else {
            return self.framer.refuse(Fault::Refused);
        };
        if append::is_verb(body) {
            tag.clone_into(&mut self.tag);
            return self.on_append(body, Some((size, sync)));
        }
        let is_login = body.get(..6).is_some_and(|verb| verb.eq_ignore_ascii_case(b"LOGIN "));
        if is_login && let Err(refusal) = self.check_login() {
            tag.clone_into(&mut self.tag);
            self.mode = Mode::Draining(refused(refusal));
            return self.framer.refuse(Fault::Refused);
        }
        let is_metadata = body.get(..12).is_some_and(|verb| verb.eq_ignore_ascii_case(b"SETMETADATA "));
        if is_metadata && self.state != State::NotAuthenticated && size > VALUE_MAX {
            tag.clone_into(&mut self.tag);
            let response = Response::no("The value is too large.").with(Code::MetadataMaxSize(VALUE_MAX));
            self.mode = Mode::Draining(response);
            return self.framer.refuse(Fault::Refused);
        }
        if self.framer.take_literal() && sync == Sync::Waits {
            self.out.extend_from_slice(b"+ OK\r\n");
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
        Command::Notify(Notify::Set { groups, .. }) => {
            let tells = |event: &Event| match event {
                Event::MessageNew(items) => items.contains(&FetchItem::ModSeq),
                _ => false,
            };
            groups.iter().flat_map(|group| &group.events).any(tells)
        }
        _ => false,
    }
}

/// Whether message numbers are used, in what is said or in what is answered (RFC 9586 §3).
fn uses_numbers(command: &Command) -> bool {
    match command {
        Command::Fetch(Fetch { by, .. })
        | Command::Store(Store { by, .. })
        | Command::Copy { by, .. }
        | Command::Move { by, .. } => *by == By::Sequence,
        Command::Select(select) => select.resync.as_ref().is_some_and(|resync| resync.matches.is_some()),
        _ => command.search().is_some_and(|search| search.by == By::Sequence || search.key.has_numbers()),
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
