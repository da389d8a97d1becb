//! Databases of earlier schemas, as they were made then, open and hold what they held. `examples/fixture.rs` makes one. (The first
//! was made of a later one, by taking away the tables that came since.)

use sqlx::{ConnectOptions, Connection};
use std::fs;
use std::path::{Path, PathBuf};
use storage::*;

fn fixtures() -> Vec<PathBuf> {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/schemas");
    let mut list: Vec<PathBuf> = fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path()).collect();
    list.sort();
    list
}

async fn version(path: &Path) -> i64 {
    let options = sqlx::sqlite::SqliteConnectOptions::new().filename(path).immutable(true).read_only(true);
    let mut connection = options.connect().await.unwrap();
    let version = sqlx::query_scalar("PRAGMA user_version").fetch_one(&mut connection).await.unwrap();
    connection.close().await.unwrap();
    version
}

#[tokio::test]
async fn every_schema_is_brought_up_after_a_copy() {
    let list = fixtures();
    assert!(!list.is_empty());
    for fixture in list {
        let dir = tempfile::tempdir().unwrap();
        let database = dir.path().join("maddy.db");
        fs::copy(&fixture, &database).unwrap();
        let old = version(&fixture).await;
        assert!(fixture.ends_with(format!("schema-{old:02}.db")), "{}", fixture.display());
        let store = Store::open(Config::new(dir.path()), world::fake::world(1)).await.unwrap();
        assert_eq!(store.verify().await.unwrap(), [""; 0], "{}", fixture.display());
        let account = store.account("alice@example.org").await.unwrap().unwrap();
        let inbox = store.mailbox(account.id, "INBOX").await.unwrap();
        assert_eq!((inbox.messages, inbox.unseen, inbox.uidnext), (3, 2, 5));
        let snapshot = store.snapshot(inbox.id).await.unwrap();
        assert_eq!(snapshot.keywords, ["$Work"]);
        for mark in &snapshot.marks {
            let message = store.message(inbox.id, mark.uid).await.unwrap().unwrap();
            let text = String::from_utf8(message.to_vec().unwrap()).unwrap();
            assert!(text.contains(&format!("Subject: Mail {}\r\n", mark.uid)), "{text}");
        }
        assert_eq!(store.queue(None, 10).await.unwrap().len(), 1);
        assert!(store.credential("alice@example.org").await.unwrap().is_some());
        store.close().await;
        let copies: Vec<PathBuf> = match fs::read_dir(dir.path().join("before-upgrade")) {
            Ok(entries) => entries.map(|entry| entry.unwrap().path()).collect(),
            Err(_) => Vec::new(),
        };
        let is_newest = version(&database).await == old;
        assert_eq!(copies.len(), usize::from(!is_newest));
        for copy in copies {
            assert_eq!(fs::read(copy).unwrap(), fs::read(&fixture).unwrap());
        }
    }
}

#[tokio::test]
async fn only_the_newest_copies_stay() {
    let fixture = fixtures().into_iter().next().unwrap();
    let dir = tempfile::tempdir().unwrap();
    for (copies, clock, want) in [(0, 1, 0), (2, 2, 1), (2, 3, 2), (2, 4, 2), (1, 5, 1)] {
        for name in ["maddy.db", "maddy.db-wal", "maddy.db-shm"] {
            let _ = fs::remove_file(dir.path().join(name));
        }
        fs::copy(&fixture, dir.path().join("maddy.db")).unwrap();
        let config = Config { upgrade_copies: copies, ..Config::new(dir.path()) };
        let mut world = world::fake::world(1);
        world.clock = std::sync::Arc::new(world::fake::FakeClock::at(clock));
        let store = Store::open(config, world).await.unwrap();
        store.close().await;
        let there = fs::read_dir(dir.path().join("before-upgrade")).map_or(0, Iterator::count);
        assert_eq!(there, want, "copies: {copies}");
    }
}
