//! What single pieces of work cost, one after the other in one run: parsers, and the store. `cargo bench -p load` prints the figures
//! and ratios between them; nothing fails because it is slow. `cargo bench -p load -- store` runs those whose name has the word.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a tool for engineers fails by panicking, with a sentence"
)]

use imap_proto::Response;
use imap_proto::server::{Answer, ClearLogin, Options, Privacy, Session};
use mail::{Blob, Message, header, mime};
use smtp_proto::ExtensionSet;
use std::hint::black_box;
use std::time::{Duration, Instant};
use storage::{Columns, FlagChange, FlagMode, Flags, MailboxId, NewMessage, Shape, Store, UidSet};
use tempfile::TempDir;
use tokio::runtime::Runtime;
use wire::{Machine, Step};
use world::fake;

/// How long each piece of work is repeated, after as long a time to warm up.
const TIME: Duration = Duration::from_millis(300);
/// Rounds of which the fastest counts: whatever else the machine does only ever makes a round slower.
const ROUNDS: u32 = 5;
/// Messages in the mailbox of the store.
const MESSAGES: u32 = 10_000;

struct Bench {
    wanted: Vec<String>,
    /// The figure that the next ratio is told against.
    last: Option<f64>,
}

impl Bench {
    /// Prints what `work` takes that does so many things of one kind.
    fn run(&mut self, name: &str, things: u32, mut work: impl FnMut()) {
        if !self.wanted.is_empty() && !self.wanted.iter().any(|word| name.contains(word.as_str())) {
            return;
        }
        let mut repeat = |time: Duration| {
            let begun = Instant::now();
            let mut times = 0_u32;
            while times == 0 || begun.elapsed() < time {
                work();
                times += 1;
            }
            begun.elapsed().as_secs_f64() / f64::from(times)
        };
        repeat(TIME);
        let best = (0..ROUNDS).map(|_| repeat(TIME / ROUNDS)).fold(f64::INFINITY, f64::min);
        let each = best / f64::from(things) * 1e6;
        let ratio = self.last.map_or(String::new(), |last| format!("{:>8.2}x", each / last));
        println!("{name:<44} {each:>12.3} µs {ratio}");
        self.last = Some(each);
    }

    /// What follows is not compared with what was before.
    fn part(&mut self, title: &str) {
        self.last = None;
        println!("\n{title:<44} {:>15} {:>9}", "each", "to the one before");
    }
}

fn main() {
    // Cargo adds --bench.
    let wanted = std::env::args().skip(1).filter(|word| !word.starts_with("--")).collect();
    let mut bench = Bench { wanted, last: None };
    parsers(&mut bench);
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    let dir = tempfile::tempdir().unwrap();
    let store = runtime.block_on(open(&dir));
    accepting(&mut bench, &runtime, &store);
    reading(&mut bench, &runtime, &store);
    runtime.block_on(store.0.close());
}

fn parsers(bench: &mut Bench) {
    bench.part("SMTP commands");
    let offered = ExtensionSet::usual();
    for (name, line) in [
        ("smtp NOOP", "NOOP"),
        ("smtp RCPT", "RCPT TO:<somebody@example.org>"),
        (
            "smtp MAIL with parameters",
            "MAIL FROM:<somebody@example.org> SIZE=12345 BODY=8BITMIME RET=HDRS ENVID=abc",
        ),
    ] {
        bench.run(name, 1, || {
            drop(black_box(smtp_proto::Command::parse(black_box(line.as_bytes()), offered)))
        });
    }
    bench.part("IMAP commands, with their answers");
    let mut session = selected();
    for (name, line) in [
        ("imap NOOP", "a NOOP\r\n"),
        (
            "imap UID SEARCH",
            "a UID SEARCH OR (FROM \"ann\" SINCE 1-Jan-2024) (UNSEEN NOT DELETED TEXT \"report\")\r\n",
        ),
        (
            "imap UID FETCH as clients list",
            "a UID FETCH 1:* (FLAGS RFC822.SIZE INTERNALDATE \
             BODY.PEEK[HEADER.FIELDS (FROM TO CC SUBJECT DATE MESSAGE-ID REFERENCES)])\r\n",
        ),
    ] {
        bench.run(name, 1, || say(&mut session, black_box(line)));
    }
    bench.part("Messages of 2 KB and 256 KB");
    let short = text(1, 2 * 1024);
    let long = text(2, 256 * 1024);
    bench.run("header fields", 1, || {
        black_box(header::fields(black_box(short.as_bytes())).count());
    });
    bench.run("MIME structure, 2 KB", 1, || {
        drop(black_box(mime::analyse(&mut black_box(short.as_bytes())).unwrap()));
    });
    bench.run("MIME structure, 256 KB", 1, || {
        drop(black_box(mime::analyse(&mut black_box(long.as_bytes())).unwrap()));
    });
}

/// A session that has selected a mailbox.
fn selected() -> Session {
    let mut session = Session::new(Options {
        privacy: Privacy::Tls,
        clear_login: ClearLogin::Refused,
        mechanisms: Vec::new(),
        append_limit: u64::MAX,
        message_limit: u32::MAX,
        greeting: "Ready.".to_owned(),
        hidden: Vec::new(),
    });
    say(&mut session, "a LOGIN somebody secret\r\n");
    say(&mut session, "a SELECT INBOX\r\n");
    session
}

/// Says a line, and answers all that it comes to with OK.
fn say(session: &mut Session, line: &str) {
    session.feed(line.as_bytes());
    loop {
        match session.step() {
            Step::Read | Step::Close => return,
            Step::Ask(_) => session.answer(Answer::Done(Response::ok("Done."))),
            Step::Write(octets) => drop(black_box(octets)),
            Step::Body(_) | Step::StartTls => {}
        }
    }
}

/// A message of about so many octets; no two are the same.
fn text(number: u32, octets: usize) -> String {
    let mut text = format!(
        "Received: from a.example (a.example [192.0.2.1]) by b.example with ESMTPS id {number:08x}\r\n\
         \tfor <ann@example.org>; Mon, 01 Jan 2024 00:00:00 +0000\r\nFrom: Ann Example <ann@example.net>\r\n\
         To: Bob <bob@example.org>\r\nSubject: Report {number} of the meeting\r\n\
         Date: Mon, 01 Jan 2024 00:00:00 +0000\r\nMessage-ID: <{number}@example.net>\r\nMIME-Version: 1.0\r\n\
         Content-Type: multipart/alternative; boundary=\"b\"\r\n\r\n--b\r\nContent-Type: text/plain\r\n\r\n"
    );
    while text.len() < octets {
        text.push_str("The quick brown fox jumps over the lazy dog, and over the fence as well.\r\n");
    }
    text.push_str("--b\r\nContent-Type: text/html\r\n\r\n<p>The same</p>\r\n--b--\r\n");
    text
}

fn new_message(number: u32) -> NewMessage {
    let received = text(number, 2 * 1024).into_bytes();
    let shape = Shape::of(&mime::analyse(&mut received.as_slice()).unwrap());
    let message = Message::new(Blob::from_bytes(received));
    NewMessage { message, shape, flags: Flags::NONE, keywords: Vec::new(), received: 0 }
}

/// A store with a mailbox of [`MESSAGES`] and an empty one.
async fn open(dir: &TempDir) -> (Store, MailboxId, MailboxId) {
    let mut config = storage::Config::new(dir.path());
    config.search.index = false;
    let store = Store::open(config, fake::world(1)).await.unwrap();
    let account = store.create_account("ann@example.org").await.unwrap();
    let inbox = store.mailbox(account, "INBOX").await.unwrap().id;
    let other = store.create_mailbox(account, "Other", None).await.unwrap();
    for from in (0..MESSAGES).step_by(500) {
        store.append(inbox, (from..from + 500).map(new_message).collect()).await.unwrap();
    }
    (store, inbox, other)
}

/// Each accepted message is flushed before its answer; those that come together share the flush.
fn accepting(bench: &mut Bench, runtime: &Runtime, (store, _, other): &(Store, MailboxId, MailboxId)) {
    bench.part("Accepting messages of 2 KB, flushed");
    let mut number = MESSAGES;
    for (name, together) in [("store accept, one by one", 1), ("store accept, 100 together", 100)] {
        bench.run(name, together, || {
            let messages = (number..number + together).map(new_message).collect();
            number += together;
            black_box(runtime.block_on(store.append(*other, messages)).unwrap());
        });
    }
}

fn reading(bench: &mut Bench, runtime: &Runtime, (store, inbox, _): &(Store, MailboxId, MailboxId)) {
    bench.part("A mailbox of 10,000 messages, each message");
    let fetch = |columns: Columns, page: usize| {
        let mut rest = UidSet::all();
        loop {
            let rows = runtime.block_on(store.fetch(*inbox, &rest, columns, page)).unwrap();
            let Some(last) = rows.last().map(|row| row.uid) else { return };
            rest = rest.after(last);
        }
    };
    bench.run("store view", MESSAGES, || drop(black_box(runtime.block_on(store.snapshot(*inbox)).unwrap())));
    bench.run("store rows", MESSAGES, || fetch(Columns::NONE, 1000));
    bench.run("store rows with envelopes", MESSAGES, || fetch(Columns::ENVELOPE, 1000));
    bench.run("store rows with headers", MESSAGES, || fetch(Columns::HEADER | Columns::PREFIX, 1000));
    bench.run("store rows with messages", MESSAGES, || fetch(Columns::MESSAGE, 200));
    bench.part("Changes");
    let mut mode = FlagMode::Add;
    let mut change = |uids: &UidSet| {
        let change = FlagChange { mode, flags: Flags::FLAGGED, keywords: Vec::new() };
        mode = if mode == FlagMode::Add { FlagMode::Remove } else { FlagMode::Add };
        runtime.block_on(store.store_flags(*inbox, uids, change, None)).unwrap()
    };
    bench.run("store flags of one, flushed", 1, || drop(black_box(change(&UidSet::one(7)))));
    bench.run("store flags of all, flushed", MESSAGES, || drop(black_box(change(&UidSet::all()))));
    let before = change(&UidSet::one(7)).before;
    bench.run("view update after one change", 1, || {
        drop(black_box(runtime.block_on(store.changes_since(*inbox, before)).unwrap()));
    });
}
