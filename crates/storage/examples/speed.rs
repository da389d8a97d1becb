//! Prints how fast the store is, as a table of shapes in one run: `cargo run --release -p storage --example speed`.
//! Figures are for comparing shapes with each other on one machine, nothing else.

use mail::{Blob, Message};
use std::time::{Duration, Instant};
use storage::{
    Acceptance, Columns, Config, Error, Filing, FlagChange, FlagMode, Flags, Folder, MailboxId, NewMessage,
    PAGE_MAX, Shape, Store, UidSet, Which,
};

const MESSAGES: usize = 10_000;

fn octets(number: usize, size: usize) -> Vec<u8> {
    let line = format!("Line {number} of a message with some words that repeat and some that do not.\r\n");
    let mut octets = line.repeat(size / line.len() + 1).into_bytes();
    octets.truncate(size);
    octets
}

fn shape() -> Shape {
    Shape {
        envelope: vec![b'e'; 400].into(),
        bodystructure: vec![b'b'; 200].into(),
        parts: vec![b'p'; 40].into(),
        key_fields: vec![1; 200].into(),
    }
}

fn told(what: &str, count: usize, took: Duration) {
    let each = took.as_secs_f64() * 1e6 / count as f64;
    println!("{what:<44} {count:>7} in {:>8.1} ms {each:>9.1} µs each", took.as_secs_f64() * 1e3);
}

async fn accept(store: &Store, from: usize, count: usize, size: usize) -> Result<(), Error> {
    for number in from..from + count {
        let acceptance = Acceptance {
            mail_id: number.to_string(),
            received: Blob::from_bytes(octets(number, size)),
            shape: shape(),
            filings: vec![Filing {
                account: "a@a.example".to_owned(),
                folder: Folder::Inbox,
                added: vec![b'x'; 300],
                flags: Flags::NONE,
                keywords: Vec::new(),
                date: 0,
                space: storage::Space::Needed,
            }],
            jobs: Vec::new(),
            charge: None,
        };
        store.accept(acceptance).await?;
    }
    Ok(())
}

async fn incoming(store: &Store, size: usize) -> Result<(), Error> {
    for clients in [1, 10, 100] {
        let each = if clients == 1 { 500 } else { 4000 / clients };
        let (begun, commits) = (Instant::now(), store.commits());
        let mut tasks = tokio::task::JoinSet::new();
        for client in 0..clients {
            let store = store.clone();
            let from = size * 100_000 + clients * 10_000 + client * each;
            tasks.spawn(async move { accept(&store, from, each, size).await });
        }
        while let Some(outcome) = tasks.join_next().await {
            outcome.map_err(|error| Error::NoSuchAccount(error.to_string()))??;
        }
        told(&format!("accept, {size} octets, {clients} clients"), clients * each, begun.elapsed());
        let shared = (clients * each) as f64 / (store.commits() - commits) as f64;
        println!("{:<44} {shared:>7.1} for each commit", "");
    }
    Ok(())
}

async fn read_all(store: &Store, mailbox: MailboxId, columns: Columns) -> Result<usize, Error> {
    let (mut rest, mut count) = (UidSet::all(), 0);
    loop {
        let page = store.fetch(mailbox, &rest, columns, PAGE_MAX).await?;
        let Some(last) = page.last() else { return Ok(count) };
        rest = rest.after(last.uid);
        count += page.len();
    }
}

async fn mailbox(store: &Store) -> Result<(), Error> {
    let account = store.create_account("b@a.example").await?;
    let inbox = store.mailbox(account, "INBOX").await?.id;
    let archive = store.mailbox(account, "Archive").await?.id;
    let messages = (0..MESSAGES)
        .map(|number| NewMessage {
            message: Message::new(Blob::from_bytes(octets(number, 2048))),
            shape: shape(),
            flags: Flags::NONE,
            keywords: Vec::new(),
            received: 0,
        })
        .collect();
    let begun = Instant::now();
    store.append(inbox, messages).await?;
    told("append, one call", MESSAGES, begun.elapsed());
    let begun = Instant::now();
    let snapshot = store.snapshot(inbox).await?;
    told("snapshot (uid, flags, modseq)", snapshot.marks.len(), begun.elapsed());
    for (what, columns) in [
        ("fetch flat rows", Columns::NONE),
        ("fetch envelopes", Columns::ENVELOPE),
        ("fetch whole messages of 2 KiB", Columns::MESSAGE),
    ] {
        let begun = Instant::now();
        let count = read_all(store, inbox, columns).await?;
        told(what, count, begun.elapsed());
    }
    let all = UidSet::all();
    let change = FlagChange { mode: FlagMode::Add, flags: Flags::SEEN, keywords: vec!["$x".to_owned()] };
    let begun = Instant::now();
    store.store_flags(inbox, &all, change, None).await?;
    told("store flags, one call", MESSAGES, begun.elapsed());
    let begun = Instant::now();
    store.copy(inbox, &all, archive).await?;
    told("copy, one call", MESSAGES, begun.elapsed());
    let begun = Instant::now();
    store.move_messages(inbox, &all, archive).await?;
    told("move, one call", MESSAGES, begun.elapsed());
    let begun = Instant::now();
    store.expunge(archive, &all, Which::Any).await?;
    told("expunge, one call", 2 * MESSAGES, begun.elapsed());
    Ok(())
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let dir = tempfile::tempdir_in(".")?;
    let store = Store::open(Config::new(dir.path()), world::system::without_dns()).await?;
    store.create_account("a@a.example").await?;
    mailbox(&store).await?;
    for size in [4096, 1024 * 1024] {
        incoming(&store, size).await?;
    }
    store.close().await;
    Ok(())
}
