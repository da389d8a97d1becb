//! Runs `transcripts/*.chat` against both sides. How a question and an answer are written down is said here.
//!
//! A line `# options: …` sets options of the session under test.

#![allow(clippy::unwrap_used, reason = "helpers of tests may panic like the tests themselves")]

mod play;

use std::fs;
use std::path::Path;
use wire::transcript::{Side, run};

fn run_all(prefix: &str, play: impl Fn(&str) -> Result<(), String>) {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("transcripts");
    let mut failures = Vec::new();
    let mut count = 0;
    let mut paths: Vec<_> = fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    for path in paths {
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        if name.starts_with(prefix) && name.ends_with(".chat") {
            count += 1;
            if let Err(error) = play(&fs::read_to_string(&path).unwrap()) {
                failures.push(format!("{name}: {error}"));
            }
        }
    }
    assert!(count > 0, "no chats for {prefix}");
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

#[test]
fn the_server_keeps_to_its_chats() {
    run_all("server-", |chat| run(Side::Server, chat, || play::Server::new(chat)));
}

#[test]
fn the_client_keeps_to_its_chats() {
    run_all("client-", |chat| run(Side::Client, chat, || play::Client::new(chat)));
}
