//! Steps one by one, with changes between them.

use super::*;
use crate::search::Search;
use crate::search::database::open_reader;
use crate::{Config, FlagChange, FlagMode, Flags, NewMessage, Shape, Store, Which};
use mail::{Blob, Message, mime};

/// Most steps of a test.
const STEPS_MAX: usize = 100;

fn mail(number: i64) -> NewMessage {
    let text = format!("Subject: {number}\r\n\r\nx\r\n");
    NewMessage {
        message: Message::new(Blob::from_bytes(text.as_bytes())),
        shape: Shape::of(&mime::analyse(&mut text.as_bytes()).unwrap()),
        flags: Flags::NONE,
        keywords: Vec::new(),
        received: 0,
    }
}

/// What is expunged while a mailbox is brought in must not stay in the index for ever.
#[tokio::test]
async fn what_goes_between_two_steps_goes() {
    let dir = tempfile::tempdir().unwrap();
    let mut config = Config::new(dir.path());
    // The steps are made by hand.
    config.search.index = false;
    let store = Store::open(config, world::fake::world(1)).await.unwrap();
    let account = store.create_account("a@a.example").await.unwrap();
    let inbox = store.mailbox(account, "INBOX").await.unwrap().id;
    store.append(inbox, (0..2 * STEP_MESSAGES + 50).map(mail).collect()).await.unwrap();
    let wake = Arc::new(Wake::new());
    let search = Search { index: true, messages_min: 0, ..Search::default() };
    let indexes = Arc::new(Indexes::new(dir.path(), search, i64::MAX, Arc::clone(&wake)).unwrap());
    let feeder = Feeder {
        indexes: Arc::downgrade(&indexes),
        wake: Arc::downgrade(&wake),
        readers: store.readers().clone(),
        bodies: Arc::new(Folder::new(dir.path().join("bodies"), "x".to_owned())),
        commits: Arc::default(),
        seen: std::sync::atomic::AtomicU64::default(),
    };
    let mut progress = Progress::default();
    for uid in [5, 205] {
        assert!(feeder.step(&indexes, account, &mut progress).await.unwrap() == Step::More);
        store.expunge(inbox, &UidSet::one(uid), Which::Any).await.unwrap();
    }
    for _ in 0..STEPS_MAX {
        if feeder.step(&indexes, account, &mut progress).await.unwrap() == Step::Done {
            break;
        }
    }
    close(&mut progress.writing).await;
    // A change of flags opens nothing; what goes does.
    let seen = FlagChange { mode: FlagMode::Add, flags: Flags::SEEN, keywords: Vec::new() };
    store.store_flags(inbox, &UidSet::one(7), seen, None).await.unwrap();
    assert!(feeder.step(&indexes, account, &mut progress).await.unwrap() == Step::Done);
    assert!(progress.writing.is_none());
    store.expunge(inbox, &UidSet::one(9), Which::Any).await.unwrap();
    assert!(feeder.step(&indexes, account, &mut progress).await.unwrap() == Step::Done);
    assert!(progress.writing.is_some());
    close(&mut progress.writing).await;
    let reader = open_reader(&indexes.files.path(account)).unwrap().unwrap();
    for (sql, want) in [
        ("SELECT count(*) FROM place WHERE uid IN (5, 9, 205)", 0),
        ("SELECT count(*) FROM place", 2 * STEP_MESSAGES + 47),
        ("SELECT count(*) FROM doc", 2 * STEP_MESSAGES + 47),
        ("SELECT uid FROM mailbox WHERE uid > 0", 2 * STEP_MESSAGES + 50),
    ] {
        let got: i64 = reader.query_row(sql, [], |row| row.get(0)).unwrap();
        assert_eq!(got, want, "{sql}");
    }
    store.close().await;
}
