//! An IMAP session as an order of events: which command is allowed when, what may be told when, where TLS and
//! login begin. What a command does is asked.

mod append;
mod command;
mod exchange;
mod layers;
mod options;
mod telling;

pub use options::{ClearLogin, Options, Privacy, hideable};
pub use telling::Unasked;

use crate::command::{Access, Append, Appended, By, Command, Piece, Refusal, RefusalKind, Secret};
use crate::frame::{Framer, KNOWN};
use crate::parse::Names;
use crate::response::{Code, Response, Untagged, Vanished};
use layers::Enabled;
use std::collections::VecDeque;
use std::time::Duration;
use telling::Held;
use wire::{Machine, Step, UnderWay};

/// Autologout of those who are logged in (RFC 9051 §5.4: at least 30 minutes).
pub const PATIENCE_KNOWN: Duration = Duration::from_secs(30 * 60);
/// Autologout before login.
pub const PATIENCE_STRANGER: Duration = Duration::from_secs(60);
/// How long all of one command may take to come in, and a line of IDLE or AUTHENTICATE.
pub const PATIENCE_COMMAND: Duration = Duration::from_secs(5 * 60);
/// The same for a message of APPEND: at 50 MiB some 7 KiB in a second.
pub const PATIENCE_MESSAGE: Duration = Duration::from_secs(2 * 60 * 60);
/// Most commands in a row that may be refused with BAD before the connection ends.
pub const BAD_MAX: u32 = 50;
/// Octets of output after which [`Session::is_full`] asks the owner to let them go.
pub const OUTPUT_FULL: usize = 64 * 1024;

/// RFC 9051 §3, without logout.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    NotAuthenticated,
    Authenticated,
    Selected(Access),
}

/// What the session asks its owner.
#[derive(Debug, PartialEq, Eq)]
pub enum Question {
    /// Carry it out, tell what is to be told, then [`Session::answer`]. IDLE is answered with [`Answer::Go`].
    Command(Command),
    /// AUTHENTICATE begins, with the initial response in base64 as it came (`=` is an empty one): answered with a
    /// challenge, or done.
    Authenticate { mechanism: String, initial: Option<Secret> },
    /// The client's line after the last challenge: base64, or `*` to cancel.
    Exchange(Secret),
    /// May this message come? [`Answer::Go`], or done with NO. After Go the octets come as [`Step::Body`].
    Append(Append),
    /// May this further message of the same APPEND come (RFC 3502)? The one before is whole. Answered as the first.
    AppendMore(Appended),
    /// The message goes on: may these pieces be added (RFC 4469)? Answered as the first.
    AppendPieces(Vec<Piece>),
    /// The last message is whole.
    AppendEnd,
    /// COMPRESS was promised, and the promise is on its way: all octets after it are compressed. Not to be answered.
    Compress,
    /// IDLE is over: tell what is left, then done.
    IdleEnd,
    /// The output so far has been sent; the answer to the last question is still owed.
    Continue,
}

/// What the owner answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    Done(Response),
    /// A SASL challenge in base64; may be empty.
    Challenge(String),
    /// APPEND: it goes on; send the message. IDLE: waiting begins.
    Go,
}

/// An untagged response that may not be sent now (RFC 9051 §7.5.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TooEarly;

/// What the session is in the middle of.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Mode {
    Greeting,
    /// Between commands.
    Ready,
    /// A question is out.
    Asked(Task),
    /// A line of the SASL exchange is awaited.
    Exchanging,
    /// DONE is awaited.
    Idling,
    /// The message of APPEND comes in.
    Appending,
    /// The rest of a command is dropped, then this is said.
    Draining(Response),
    Closing,
}

/// The command that is being answered, as far as it matters for order.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Task {
    Login,
    Exchange,
    Select(Access),
    Leave,
    Unauthenticate,
    Idle,
    /// IDLE ended by a line that was not DONE.
    IdleSpoiled,
    AppendHead,
    Append,
    /// FETCH, STORE, SEARCH, SORT, THREAD without UID: no EXPUNGE meanwhile.
    Numbered,
    /// None: something is told unasked.
    Told(Held),
    Other,
}

/// One connection, the server's side.
pub struct Session {
    options: Options,
    framer: Framer,
    out: Vec<u8>,
    asks: VecDeque<Question>,
    mode: Mode,
    state: State,
    tag: String,
    names: Names,
    enabled: Enabled,
    append: append::Progress,
    compressing: bool,
    bad: u32,
    start_tls: bool,
    /// Commands, lines and messages that have come in.
    received: u64,
}

impl Session {
    pub fn new(options: Options) -> Self {
        Self {
            options,
            framer: Framer::default(),
            out: Vec::new(),
            asks: VecDeque::new(),
            mode: Mode::Greeting,
            state: State::NotAuthenticated,
            tag: String::new(),
            names: Names::Utf7,
            enabled: Enabled::default(),
            append: append::Progress::default(),
            compressing: false,
            bad: 0,
            start_tls: false,
            received: 0,
        }
    }

    pub fn state(&self) -> State {
        self.state
    }

    /// The tag of the command that is being answered.
    pub fn tag(&self) -> &str {
        &self.tag
    }

    /// Whether `ENABLE IMAP4rev2` was said (RFC 9051 §6.3.1).
    pub fn is_rev2(&self) -> bool {
        self.enabled.rev2
    }

    pub fn is_idling(&self) -> bool {
        self.mode == Mode::Idling
    }

    /// Whether messages of APPEND come in. If not, what came in is to be forgotten.
    pub fn is_appending(&self) -> bool {
        matches!(self.mode, Mode::Appending | Mode::Asked(Task::AppendHead | Task::Append))
    }

    /// Answers the question that was asked last.
    pub fn answer(&mut self, answer: Answer) {
        let Mode::Asked(task) = &self.mode else { return };
        let task = task.clone();
        self.mode = Mode::Ready;
        self.asks.clear();
        match answer {
            Answer::Go => self.go(&task),
            Answer::Challenge(challenge) => self.challenge(&challenge),
            Answer::Done(response) => self.done(task, response),
        }
    }

    /// Whether EXPUNGE may be told now.
    pub fn may_expunge(&self) -> bool {
        match &self.mode {
            Mode::Asked(task) => !matches!(task, Task::Numbered | Task::Told(Held::Between)),
            Mode::Idling => true,
            _ => false,
        }
    }

    /// Says something that belongs to no tag: while a command is answered, or in IDLE.
    pub fn tell(&mut self, untagged: &Untagged) -> Result<(), TooEarly> {
        let expunge = matches!(untagged, Untagged::Expunge(_) | Untagged::Vanished(Vanished::Now, _));
        if expunge && !self.may_expunge() {
            return Err(TooEarly);
        }
        match untagged {
            Untagged::Fetch(told) if self.enabled.uid_only => told.encode_by_uid(&mut self.out),
            _ => untagged.encode(self.names, &mut self.out),
        }
        Ok(())
    }

    /// The output, for FETCH responses that are written piece by piece.
    pub fn output(&mut self) -> &mut Vec<u8> {
        &mut self.out
    }

    /// Whether so much output waits that the owner should drive on (and gets [`Question::Continue`]).
    pub fn is_full(&self) -> bool {
        self.out.len() >= OUTPUT_FULL
    }

    /// The SASL mechanisms that are announced from now on, best first.
    pub fn set_mechanisms(&mut self, mechanisms: Vec<&'static str>) {
        self.options.mechanisms = mechanisms;
    }

    /// TLS has begun: what came in clear is forgotten (RFC 9051 §6.2.1).
    pub fn tls_started(&mut self) {
        self.framer.clear();
        self.options.privacy = Privacy::Tls;
    }

    /// The selected mailbox is no more: from now on none is selected (RFC 9051 §7.1, CLOSED).
    pub fn deselect(&mut self) {
        if matches!(self.state, State::Selected(_)) {
            Response::ok("The selected mailbox is closed.").word("CLOSED").encode("*", &mut self.out);
            self.state = State::Authenticated;
        }
    }

    /// Says BYE and ends the connection: autologout, shutdown, trouble.
    pub fn bye(&mut self, code: Option<&'static str>, text: &'static str) {
        if self.mode != Mode::Closing {
            let bye = Untagged::Bye(code.map(Code::Word), text.into());
            bye.encode(self.names, &mut self.out);
            self.mode = Mode::Closing;
        }
    }

    /// Ends the connection in the middle of a literal that cannot be completed: nothing more can be said.
    pub fn abort(&mut self) {
        self.mode = Mode::Closing;
    }

    /// The tagged end of a command.
    fn finish(&mut self, response: &Response) {
        self.mode = Mode::Ready;
        let tag = if self.tag.is_empty() { "*" } else { &self.tag };
        response.encode(tag, &mut self.out);
        if response.kind != crate::response::Kind::Bad {
            self.bad = 0;
            return;
        }
        self.bad += 1;
        if self.bad >= BAD_MAX {
            self.bye(None, "Too many bad commands.");
        }
    }

    fn refuse(&mut self, refusal: Refusal) {
        let response = refused(refusal);
        self.finish(&response);
    }

    fn greet(&mut self) {
        let capability = Code::Capability(self.capability());
        Response::ok(self.options.greeting.clone()).with(capability).encode("*", &mut self.out);
        self.mode = Mode::Ready;
    }

    fn go(&mut self, task: &Task) {
        match task {
            Task::AppendHead => self.go_on_appending(),
            Task::Idle => {
                self.out.extend_from_slice(b"+ idling\r\n");
                self.mode = Mode::Idling;
            }
            _ => self.finish(&Response::no("The command could not be carried out.").word("SERVERBUG")),
        }
    }

    fn done(&mut self, task: Task, response: Response) {
        let ok = response.kind == crate::response::Kind::Ok;
        let mut response = response;
        match task {
            Task::Login | Task::Exchange if ok => {
                self.state = State::Authenticated;
                self.framer.set_limits(KNOWN);
                response = response.with(Code::Capability(self.capability()));
            }
            Task::Select(_) if ok && response.code == Some(Code::Word("READ-ONLY")) => {
                self.state = State::Selected(Access::ReadOnly);
            }
            Task::Select(access) if ok => self.state = State::Selected(access),
            Task::Leave if ok => self.state = State::Authenticated,
            Task::Unauthenticate => self.forget_login(),
            Task::IdleSpoiled => response = Response::bad("IDLE is ended by DONE."),
            Task::AppendHead => return self.refuse_append(response),
            _ => {}
        }
        self.finish(&response);
    }

    fn ask(&mut self, task: Task, question: Question) {
        self.mode = Mode::Asked(task);
        self.asks.push_back(question);
    }
}

/// What a refusal sounds like.
fn refused(refusal: Refusal) -> Response {
    match refusal.kind {
        RefusalKind::Bad => Response::bad(refusal.text),
        RefusalKind::ReadOnly => Response::no(refusal.text),
        RefusalKind::Limit => Response::no(refusal.text).word("LIMIT"),
        RefusalKind::Cannot => Response::no(refusal.text).word("CANNOT"),
        RefusalKind::PrivacyRequired => Response::no(refusal.text).word("PRIVACYREQUIRED"),
        RefusalKind::UidRequired => Response::bad(refusal.text).word("UIDREQUIRED"),
        RefusalKind::ClientBug => Response::bad(refusal.text).word("CLIENTBUG"),
        RefusalKind::TooFew => Response::no(refusal.text).word("TOOFEW"),
        RefusalKind::TooMany => Response::no(refusal.text).word("TOOMANY"),
    }
}

/// The task behind a command.
fn task(command: &Command) -> Task {
    match command {
        Command::Login { .. } => Task::Login,
        Command::Select(select) => Task::Select(select.access),
        Command::Close | Command::Unselect => Task::Leave,
        Command::Idle => Task::Idle,
        Command::Fetch(fetch) if fetch.by == By::Sequence => Task::Numbered,
        Command::Store(store) if store.by == By::Sequence => Task::Numbered,
        // UID SEARCH as well where it has numbers in it (RFC 7162 §3.2.10.2).
        _ => match command.search() {
            Some(search) if search.by == By::Sequence || search.key.has_numbers() => Task::Numbered,
            _ => Task::Other,
        },
    }
}

impl Machine for Session {
    type Question = Question;

    fn feed(&mut self, octets: &[u8]) {
        self.framer.feed(octets);
    }

    fn step(&mut self) -> Step<Question> {
        if self.mode == Mode::Greeting {
            self.greet();
        }
        loop {
            if !self.out.is_empty() {
                return Step::Write(std::mem::take(&mut self.out));
            }
            if let Some(question) = self.asks.pop_front() {
                return Step::Ask(question);
            }
            match &self.mode {
                Mode::Closing => return Step::Close,
                Mode::Asked(_) => return Step::Ask(Question::Continue),
                _ if std::mem::take(&mut self.start_tls) => return Step::StartTls,
                _ => {}
            }
            if let Some(step) = self.read() {
                return step;
            }
        }
    }

    fn patience(&self) -> Duration {
        if self.state == State::NotAuthenticated { PATIENCE_STRANGER } else { PATIENCE_KNOWN }
    }

    fn under_way(&self) -> Option<UnderWay> {
        let patience = if self.mode == Mode::Appending { PATIENCE_MESSAGE } else { PATIENCE_COMMAND };
        self.framer.is_midway().then_some(UnderWay { number: self.received, patience })
    }
}
