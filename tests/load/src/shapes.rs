//! The shapes: what is asked of a server, and what of it is measured.

use crate::client::{Client, Reply};
use crate::mails;
use crate::memory::resident;
use crate::options::Options;
use crate::server::Server;
use crate::{idle, many, neighbour};
use std::fmt;
use std::time::Duration;

/// One kind of work.
pub(crate) struct Shape {
    pub(crate) name: &'static str,
    pub(crate) what: &'static str,
    work: Work,
}

impl fmt::Debug for Shape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name)
    }
}

enum Work {
    /// A command in the selected mailbox.
    Command(&'static str),
    Mailbox(fn(&mut Session) -> Sample),
    /// What the server holds in memory.
    Resident,
    /// Without a mailbox of a given size; several lines may come of it.
    Server(fn(&dyn Server, &Options) -> Vec<(String, Sample)>),
}

/// What one measurement gave.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Sample {
    /// Less is better. The first octet of the answer came after the second figure.
    Time(Duration, Duration),
    /// In a second; more is better.
    Rate(f64),
    /// Octets; less is better.
    Memory(u64),
}

impl Sample {
    fn of(reply: &Reply) -> Self {
        Self::Time(reply.took, reply.first)
    }
}

/// Somebody logged in, with INBOX selected.
pub(crate) struct Session {
    pub(crate) client: Client,
    pub(crate) port: u16,
    /// The first process of the server.
    pid: u32,
    pub(crate) user: String,
    pub(crate) messages: usize,
    /// How many measurements there were: what is done once is undone the next time.
    pub(crate) round: usize,
}

pub(crate) const SHAPES: &[Shape] = &[
    Shape { name: "select", what: "SELECT", work: Work::Command("SELECT INBOX") },
    Shape { name: "flags", what: "UID FETCH 1:* (FLAGS)", work: Work::Command("UID FETCH 1:* (FLAGS)") },
    Shape { name: "uid-flags", what: "FETCH 1:* (UID FLAGS)", work: Work::Command("FETCH 1:* (UID FLAGS)") },
    Shape { name: "envelope", what: "FETCH 1:* (ENVELOPE)", work: Work::Command("FETCH 1:* (ENVELOPE)") },
    Shape {
        name: "structure",
        what: "FETCH 1:* (BODYSTRUCTURE)",
        work: Work::Command("FETCH 1:* (BODYSTRUCTURE)"),
    },
    Shape {
        name: "listing",
        what: "what a mail client lists: FLAGS, size, date, some header fields",
        work: Work::Command(
            "UID FETCH 1:* (FLAGS RFC822.SIZE INTERNALDATE \
             BODY.PEEK[HEADER.FIELDS (FROM TO CC SUBJECT DATE MESSAGE-ID REFERENCES)])",
        ),
    },
    Shape {
        name: "headers",
        what: "FETCH 1:* (BODY.PEEK[HEADER])",
        work: Work::Command("FETCH 1:* (BODY.PEEK[HEADER])"),
    },
    Shape { name: "bodies", what: "FETCH 1:* (BODY.PEEK[])", work: Work::Command("FETCH 1:* (BODY.PEEK[])") },
    Shape {
        name: "search-text",
        what: "SEARCH TEXT, a word of one message in a hundred",
        work: Work::Command("SEARCH TEXT needle"),
    },
    Shape { name: "search-subject", what: "SEARCH SUBJECT", work: Work::Command("SEARCH SUBJECT zebra") },
    Shape { name: "search-flag", what: "SEARCH FLAGGED", work: Work::Command("SEARCH FLAGGED") },
    Shape {
        name: "search-date",
        what: "SEARCH SINCE",
        work: Work::Command("SEARCH SINCE 10-Jan-2024 BEFORE 20-Jan-2024"),
    },
    Shape { name: "sort", what: "SORT (SUBJECT)", work: Work::Command("SORT (SUBJECT) UTF-8 ALL") },
    Shape {
        name: "sort-date",
        what: "SORT (REVERSE DATE)",
        work: Work::Command("SORT (REVERSE DATE) UTF-8 ALL"),
    },
    Shape { name: "thread", what: "THREAD REFERENCES", work: Work::Command("THREAD REFERENCES UTF-8 ALL") },
    Shape { name: "status", what: "STATUS of another mailbox", work: Work::Mailbox(status) },
    Shape {
        name: "change",
        what: "NOOP after another client changed a message",
        work: Work::Mailbox(change),
    },
    Shape { name: "store", what: "STORE 1:* ±FLAGS (\\Answered)", work: Work::Mailbox(store) },
    Shape {
        name: "store-silent",
        what: "STORE 1:* ±FLAGS.SILENT (\\Draft)",
        work: Work::Mailbox(store_silent),
    },
    Shape { name: "copy", what: "COPY 1:*", work: Work::Mailbox(copy) },
    Shape { name: "move", what: "MOVE 1:*", work: Work::Mailbox(move_all) },
    Shape {
        name: "append",
        what: "APPEND of as many messages in one command, at most 10,000",
        work: Work::Mailbox(append),
    },
    Shape { name: "resident", what: "memory of the whole server by then", work: Work::Resident },
    Shape { name: "append-one", what: "200 APPENDs one after the other", work: Work::Mailbox(append_one) },
    Shape { name: "resync", what: "SELECT with QRESYNC after 10 changes", work: Work::Mailbox(resync) },
    Shape {
        name: "mixed",
        what: "mixed commands of clients that stay logged in",
        work: Work::Server(many::mixed),
    },
    Shape { name: "logins", what: "the same, logging in for each dozen", work: Work::Server(many::logins) },
    Shape {
        name: "neighbour",
        what: "small fetches beside a search of somebody else",
        work: Work::Server(neighbour::latency),
    },
    Shape { name: "idle", what: "memory of sessions in IDLE, in TLS", work: Work::Server(idle::memory) },
];

impl Shape {
    /// Whether it is measured in a mailbox of a given size.
    pub(crate) fn is_of_a_mailbox(&self) -> bool {
        !matches!(self.work, Work::Server(_))
    }

    pub(crate) fn in_mailbox(&self, session: &mut Session) -> Option<Sample> {
        session.round += 1;
        match self.work {
            Work::Command(command) => Some(Sample::of(&session.client.ask(command))),
            Work::Mailbox(work) => Some(work(session)),
            Work::Resident => Some(Sample::Memory(resident(session.pid))),
            Work::Server(_) => None,
        }
    }

    pub(crate) fn at_server(&self, server: &dyn Server, options: &Options) -> Vec<(String, Sample)> {
        match self.work {
            Work::Server(work) => work(server, options),
            _ => Vec::new(),
        }
    }
}

impl Session {
    pub(crate) fn open(server: &dyn Server, user: &str, messages: usize) -> Self {
        let port = server.imap();
        let mut client = Client::connect(port);
        client.log_in(user);
        let pid = server.pid();
        Self { client, port, pid, user: user.to_owned(), messages, round: 0 }
    }

    /// `+` and `-` in turn.
    fn sign(&self) -> char {
        if self.round % 2 == 1 { '+' } else { '-' }
    }

    /// An empty mailbox of this name.
    fn fresh(&mut self, name: &str) {
        if self.client.ask(&format!("LIST \"\" {name}")).text.contains("* LIST") {
            self.client.ask(&format!("DELETE {name}"));
        }
        self.client.ask(&format!("CREATE {name}"));
    }
}

fn status(session: &mut Session) -> Sample {
    if session.round == 1 {
        session.fresh("Status");
    }
    Sample::of(&session.client.ask("STATUS Status (MESSAGES UIDNEXT UNSEEN UIDVALIDITY)"))
}

/// The session learns what another one did.
fn change(session: &mut Session) -> Sample {
    let mut other = Client::connect(session.port);
    other.log_in(&session.user);
    other.ask("SELECT INBOX");
    let (at, sign) = (session.messages / 2, session.sign());
    other.ask(&format!("STORE {at} {sign}FLAGS.SILENT (\\Flagged)"));
    let reply = session.client.ask("NOOP");
    assert!(reply.text.contains(" FETCH ("), "{}", reply.text);
    Sample::of(&reply)
}

fn store(session: &mut Session) -> Sample {
    let command = format!("STORE 1:* {}FLAGS (\\Answered)", session.sign());
    let reply = session.client.ask(&command);
    assert!(reply.lines > session.messages as u64, "{command} told {} lines", reply.lines);
    Sample::of(&reply)
}

fn store_silent(session: &mut Session) -> Sample {
    let command = format!("STORE 1:* {}FLAGS.SILENT (\\Draft)", session.sign());
    Sample::of(&session.client.ask(&command))
}

fn copy(session: &mut Session) -> Sample {
    session.fresh("Copied");
    Sample::of(&session.client.ask("COPY 1:* Copied"))
}

/// There, and the next time back again.
fn move_all(session: &mut Session) -> Sample {
    let (from, to) = if session.round % 2 == 1 { ("INBOX", "Moved") } else { ("Moved", "INBOX") };
    if session.round == 1 {
        session.fresh("Moved");
    }
    session.client.ask(&format!("SELECT {from}"));
    let sample = Sample::of(&session.client.ask(&format!("MOVE 1:* {to}")));
    if from == "Moved" {
        session.client.ask("SELECT INBOX");
    }
    sample
}

/// MULTIAPPEND, literals without waiting.
fn append(session: &mut Session) -> Sample {
    let count = session.messages.min(10_000);
    session.fresh("Appended");
    let reply = session.client.ask_with(&append_command("Appended", 0..count));
    Sample::of(&reply)
}

fn append_one(session: &mut Session) -> Sample {
    const COUNT: usize = 200;
    session.fresh("Single");
    let mut took = Duration::ZERO;
    for number in 0..COUNT {
        took += session.client.ask_with(&append_command("Single", number..number + 1)).took;
    }
    Sample::Rate(COUNT as f64 / took.as_secs_f64())
}

/// APPEND of these messages to a mailbox. One in ten is flagged, three in five are seen.
pub(crate) fn append_command(mailbox: &str, numbers: std::ops::Range<usize>) -> Vec<u8> {
    let mut command = format!("APPEND {mailbox}").into_bytes();
    for number in numbers {
        let mail = mails::mail(number);
        let seen = if number % 5 < 3 { "\\Seen" } else { "" };
        let flagged = if number % 10 == 4 { "\\Flagged" } else { "" };
        let head = format!(" ({seen}{flagged}) \"{}\" {{{}+}}\r\n", mails::internal_date(number), mail.len());
        command.extend_from_slice(head.as_bytes());
        command.extend_from_slice(mail.as_bytes());
    }
    command
}

/// Ten messages are changed by another client, then the mailbox is selected by one that knows what was before.
fn resync(session: &mut Session) -> Sample {
    let text = session.client.ask("SELECT INBOX (CONDSTORE)").text;
    let code = |name: &str| {
        let rest = text.split(&format!("[{name} ")).nth(1).expect("SELECT tells it");
        rest.split(']').next().unwrap_or_default().to_owned()
    };
    let (validity, modseq) = (code("UIDVALIDITY"), code("HIGHESTMODSEQ"));
    let sign = session.sign();
    for number in 0..10 {
        let uid = 1 + number * session.messages / 10;
        session.client.ask(&format!("STORE {uid} {sign}FLAGS.SILENT (changed)"));
    }
    let mut other = Client::connect(session.port);
    other.log_in(&session.user);
    other.ask("ENABLE QRESYNC");
    let reply = other.ask(&format!("SELECT INBOX (QRESYNC ({validity} {modseq}))"));
    assert!(reply.text.matches(" FETCH (").count() == 10, "{}", reply.text);
    Sample::of(&reply)
}
