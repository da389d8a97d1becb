//! How long the search index takes: `cargo run --release -p storage --example search [MESSAGES]`.
//!
//! Messages of about 2 KB with words of a Zipf-like distribution. Prints microseconds for a rare, a middling and a common
//! word, for the index and for reading all messages, and the ratio between them.

#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "a program to measure with")]

use mail::mime::{self, Extent, Parts, SearchText};
use mail::{Blob, Message};
use std::time::{Duration, Instant};
use storage::{Columns, Config, Flags, MailboxId, NewMessage, PAGE_MAX, Search, Shape, Store, UidSet};
use world::fake;

/// Messages of one APPEND.
const BATCH: usize = 500;
/// How often each question is asked; the best counts.
const ROUNDS: usize = 5;

fn message(number: usize, state: &mut u64) -> NewMessage {
    let mut text = format!("Subject: message {number}\r\nFrom: a{number}@here.example\r\n\r\n");
    while text.len() < 2000 {
        *state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        // The square makes small numbers frequent.
        let part = (*state >> 33) % 1000;
        text.push_str(&format!("word{} ", part * part * part / 30_000));
        if text.len() % 70 < 8 {
            text.push_str("\r\n");
        }
    }
    NewMessage {
        shape: Shape::of(&mime::analyse(&mut text.as_bytes()).unwrap()),
        message: Message::new(Blob::from_bytes(text.into_bytes())),
        flags: Flags::NONE,
        keywords: Vec::new(),
        received: 0,
    }
}

async fn by_index(store: &Store, mailbox: MailboxId, term: &str) -> usize {
    let found = store.search_candidates(mailbox, &[term.to_owned()]).await.unwrap();
    let (mut rest, mut hits) = (found.sets[0].clone().unwrap(), 0);
    while !rest.is_empty() {
        let wanted = term.to_owned();
        let texts = store.search_texts(mailbox, &rest, move |_, text| text.has(&wanted)).await.unwrap();
        let Some((last, _)) = texts.last() else { break };
        rest = rest.after(*last);
        hits += texts.iter().filter(|(_, fits)| *fits).count();
    }
    hits
}

async fn by_reading(store: &Store, mailbox: MailboxId, term: &str) -> usize {
    let (mut rest, mut hits) = (UidSet::all(), 0);
    loop {
        let rows = store.fetch(mailbox, &rest, Columns::MESSAGE | Columns::PARTS, PAGE_MAX).await.unwrap();
        let Some(last) = rows.last().map(|row| row.uid) else { return hits };
        rest = rest.after(last);
        for row in rows {
            let parts = Parts::decode(row.parts.as_deref().unwrap()).unwrap().behind(row.prefix_len);
            let text = SearchText::read(&row.message.unwrap(), &parts, Extent::Whole).unwrap();
            hits += usize::from(text.has(term));
        }
    }
}

#[tokio::main]
async fn main() {
    let count = std::env::args().nth(1).and_then(|count| count.parse().ok()).unwrap_or(10_000);
    let dir = tempfile::tempdir().unwrap();
    let search = Search { index: true, messages_min: 0, delay: Duration::from_millis(1) };
    let store = Store::open(Config { search, ..Config::new(dir.path()) }, fake::world(1)).await.unwrap();
    let account = store.create_account("a").await.unwrap();
    let mailbox = store.mailbox(account, "INBOX").await.unwrap().id;
    let (begun, mut state) = (Instant::now(), 1);
    for start in (0..count).step_by(BATCH) {
        let batch = (start..count.min(start + BATCH)).map(|number| message(number, &mut state)).collect();
        store.append(mailbox, batch).await.unwrap();
    }
    println!("{count} messages filed after {:?}", begun.elapsed());
    let status = loop {
        let status = store.index_status(account).await.unwrap();
        if status.indexed == status.messages {
            break status;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    };
    println!("indexed after {:?}: {} KiB", begun.elapsed(), status.octets / 1024);
    for term in ["MESSAGE 77", "WORD32", "WORD0 ", "NOWHERE"] {
        let (mut index, mut hits) = (Duration::MAX, 0);
        for _ in 0..ROUNDS {
            let begun = Instant::now();
            hits = by_index(&store, mailbox, term).await;
            index = index.min(begun.elapsed());
        }
        let begun = Instant::now();
        assert_eq!(by_reading(&store, mailbox, term).await, hits);
        let reading = begun.elapsed();
        let ratio = reading.as_secs_f64() / index.as_secs_f64();
        println!(
            "{term:?}: {hits} hits, index {} us, reading {} us, ratio {ratio:.0}",
            index.as_micros(),
            reading.as_micros()
        );
    }
    store.close().await;
}
