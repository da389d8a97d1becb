//! The door over loopback, with a real store in a temporary directory. The chats are in `chats/`.
//!
//! Each line says who: `A: a NOOP` is sent by client A with CRLF, `A+ …` without; `A< * OK …` is the next line that
//! A must hear, `A> a SELECT INBOX` is sent, and what A hears up to `a OK` does not matter. `…` stands for anything. `A: connect` opens the connection and logs in as alice, `A: connect bob` as bob, whose account is made, `A: dial` only opens it.
//! `! deliver INBOX text` files a message by another way than IMAP, `! file INBOX text` without what is made of it.

#![allow(clippy::unwrap_used, reason = "tests and their stage fail by panic")]

mod chat;
mod compress;
mod model;
mod multiappend;
mod programs;
mod progress;
mod tls;
mod updates;

use chat::Stage;

/// Runs every chat; each has a store of its own.
#[tokio::test(flavor = "multi_thread")]
async fn chats() {
    let dir = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/chats");
    let mut names: Vec<_> = std::fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path()).collect();
    names.sort();
    let mut failed = Vec::new();
    for path in &names {
        let text = std::fs::read_to_string(path).unwrap();
        let mut stage = match path.file_name().and_then(|name| name.to_str()) {
            Some("messagelimit.chat") => Stage::configured(|config| config.message_limit = 3).await,
            Some("hidden.chat") => Stage::configured(hide_from_alice).await,
            _ => Stage::new().await,
        };
        if let Err(error) = stage.play(&text).await {
            failed.push(format!("{}: {error}", path.file_name().unwrap().to_string_lossy()));
        }
    }
    assert!(failed.is_empty(), "{}", failed.join("\n"));
    assert!(names.len() >= 10, "only {} chats were found", names.len());
}

fn hide_from_alice(config: &mut imap::Config) {
    let hide = ["MOVE", "QRESYNC", "MESSAGELIMIT"].map(|name| imap::Capability::parse(name).unwrap());
    config.message_limit = 1;
    config.hide_from =
        vec![imap::HiddenFrom { account: "alice@example.org".to_owned(), hide: hide.to_vec() }];
}

/// 20 MiB in and out: whole, in slices, and as the client sees it in pieces.
#[tokio::test(flavor = "multi_thread")]
async fn a_large_message_goes_in_and_out() {
    let mut stage = Stage::new().await;
    stage.play("A: connect").await.unwrap();
    let line = "0123456789abcdefghijklmnopqrstuvwxyz 0123456789\r\n";
    let mut message = "From: a@example.org\r\nSubject: large\r\n\r\n".to_owned();
    while message.len() < 20 * 1024 * 1024 {
        message.push_str(line);
    }
    message.push('.');
    let len = message.len();
    stage
        .play(&format!("A: a APPEND INBOX {{{len}}}\nA< + OK\nA: {message}\nA< a OK [APPENDUID … 1] Appended.\nA: b SELECT INBOX"))
        .await
        .unwrap();
    stage.until("A", "b OK").await.unwrap();
    stage.play("A: c UID FETCH 1 (BODY.PEEK[])").await.unwrap();
    stage.play(&format!("A< * 1 FETCH (UID 1 BODY[] {{{len}}}")).await.unwrap();
    assert_eq!(stage.octets("A", len).await.unwrap(), message.as_bytes());
    stage.play("A< )\nA< c OK …").await.unwrap();
    stage.play(&format!("A: d UID FETCH 1 (BODY.PEEK[TEXT]<{}.60>)", len - 200)).await.unwrap();
    stage.until("A", "d OK").await.unwrap();
}

/// Header fields are searched and sorted by what is stored beside the messages, so that it makes no difference if the
/// messages cannot be read.
#[tokio::test(flavor = "multi_thread")]
async fn sorting_reads_no_message() {
    let mut stage = Stage::new().await;
    let large = "wanted text ".repeat(200_000);
    for header in
        ["Subject: b\\r\\nFrom: ann@a.example", "Subject: a\\r\\nFrom: bob@a.example\\r\\nMessage-ID: <2@x>"]
    {
        stage.play(&format!("! deliver INBOX {header}\\r\\n\\r\\n{large}")).await.unwrap();
    }
    stage.play("! deliver INBOX Subject: c\\r\\nReferences: <2@x>\\r\\n\\r\\nsmall").await.unwrap();
    let bodies = stage.dir.path().join("bodies");
    assert!(std::fs::read_dir(&bodies).unwrap().count() > 0, "large messages lie in files");
    std::fs::remove_dir_all(&bodies).unwrap();
    stage.play("A: connect\nA: a SELECT INBOX").await.unwrap();
    stage.until("A", "a OK").await.unwrap();
    stage
        .play(
            "A: b SORT (SUBJECT DISPLAYFROM DATE) UTF-8 ALL\nA< * SORT 2 1 3\nA< b OK Sorted.\n\
             A: c THREAD REFERENCES UTF-8 ALL\nA< * THREAD (1)(2 3)\nA< c OK Threaded.\n\
             A: d SEARCH OR FROM ann NOT SUBJECT a SENTSINCE 1-Jan-1970\nA< * SEARCH\nA< d OK Searched.\n\
             A: e SEARCH OR FROM ann SUBJECT c\nA< * SEARCH 1 3\nA< e OK Searched.",
        )
        .await
        .unwrap();
    // What stands in them cannot be told, and is an error.
    stage.play("A: f SEARCH BODY small\nA< f NO …").await.unwrap();
}
