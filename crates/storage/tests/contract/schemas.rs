//! Databases of earlier schemas, as they were made then, open and hold what they held. `examples/fixture.rs` makes one. (The first
//! was made of a later one, by taking away the tables that came since.)

use rusqlite::Connection;
use std::fs;
use std::path::{Path, PathBuf};
use storage::*;

fn fixtures() -> Vec<PathBuf> {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/schemas");
    let mut list: Vec<PathBuf> = fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path()).collect();
    list.sort();
    list
}

fn version(path: &Path) -> i64 {
    // As a file that nobody changes, so that nothing is made beside it.
    let connection = Connection::open(format!("file:{}?mode=ro&immutable=1", path.display())).unwrap();
    connection.query_row("PRAGMA user_version", [], |row| row.get(0)).unwrap()
}

/// Opens the state directory: all is there that a fixture has.
async fn holds(dir: &Path, what: &str) {
    let store = Store::open(Config::new(dir), world::fake::world(1)).await.unwrap();
    assert_eq!(store.verify().await.unwrap(), [""; 0], "{what}");
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
}

#[tokio::test]
async fn every_schema_is_brought_up_after_a_copy() {
    let list = fixtures();
    assert!(!list.is_empty());
    for fixture in list {
        let dir = tempfile::tempdir().unwrap();
        let database = dir.path().join("maddy.db");
        fs::copy(&fixture, &database).unwrap();
        let old = version(&fixture);
        assert!(fixture.ends_with(format!("schema-{old:02}.db")), "{}", fixture.display());
        holds(dir.path(), &fixture.display().to_string()).await;
        let copies: Vec<PathBuf> = match fs::read_dir(dir.path().join("before-upgrade")) {
            Ok(entries) => entries.map(|entry| entry.unwrap().path()).collect(),
            Err(_) => Vec::new(),
        };
        let is_newest = version(&database) == old;
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

/// What leads from each schema to the next, in order.
fn steps() -> Vec<String> {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("migrations");
    let mut list: Vec<PathBuf> = fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path()).collect();
    list.sort();
    list.into_iter().map(|path| fs::read_to_string(path).unwrap()).collect()
}

/// The database and its log as they are now: what a process that is killed at this moment leaves.
fn copy_as_it_is(from: &Path, to: &Path) {
    for name in ["maddy.db", "maddy.db-wal"] {
        if from.join(name).exists() {
            fs::copy(from.join(name), to.join(name)).unwrap();
        }
    }
}

/// A process that is killed while it brings a database up leaves some schema in between, and perhaps half of a step that was
/// not committed: the next start goes on from there.
#[tokio::test]
async fn an_upgrade_that_was_killed_goes_on() {
    let steps = steps();
    for fixture in fixtures() {
        let begin = version(&fixture);
        let work = tempfile::tempdir().unwrap();
        fs::copy(&fixture, work.path().join("maddy.db")).unwrap();
        // Nothing is kept in memory that does not have to be, so that what is not committed is in the file as well.
        let connection = Connection::open(work.path().join("maddy.db")).unwrap();
        let settings = "PRAGMA journal_mode = WAL; PRAGMA cache_size = 1; PRAGMA wal_autocheckpoint = 0";
        connection.execute_batch(settings).unwrap();
        for (at, step) in steps.iter().enumerate().skip(begin as usize) {
            connection.execute_batch("BEGIN IMMEDIATE").unwrap();
            connection.execute_batch(step).unwrap();
            connection.execute_batch(&format!("PRAGMA user_version = {}", at + 1)).unwrap();
            let half = tempfile::tempdir().unwrap();
            copy_as_it_is(work.path(), half.path());
            holds(half.path(), &format!("{}, in step {}", fixture.display(), at + 1)).await;
            connection.execute_batch("COMMIT").unwrap();
            let whole = tempfile::tempdir().unwrap();
            copy_as_it_is(work.path(), whole.path());
            holds(whole.path(), &format!("{}, after step {}", fixture.display(), at + 1)).await;
        }
    }
}

/// An old database with damage is opened or refused with a sentence; if it is refused, it is left at some whole schema, and where
/// it was touched, there is a copy of what it was.
#[tokio::test]
async fn a_damaged_database_is_never_left_half_way() {
    const PAGE: usize = 4096;
    let fixture = fixtures().into_iter().next().unwrap();
    let (good, begin) = (fs::read(&fixture).unwrap(), version(&fixture));
    let newest = steps().len() as i64;
    let mut damaged: Vec<Vec<u8>> = Vec::new();
    for page in 0..good.len() / PAGE {
        let mut octets = good.clone();
        // The first page begins with what tells that it is a database, of which version.
        let from = page * PAGE + if page == 0 { 100 } else { 0 };
        world::Random::fill(
            &world::fake::FakeRandom::seeded(page as u64),
            &mut octets[from..(page + 1) * PAGE],
        );
        damaged.push(octets);
    }
    damaged.extend([
        good[..good.len() / 2].to_vec(),
        good[..PAGE].to_vec(),
        good[..50].to_vec(),
        vec![0; PAGE],
    ]);
    let (mut refused, mut opened) = (0, 0);
    for octets in damaged {
        let dir = tempfile::tempdir().unwrap();
        let database = dir.path().join("maddy.db");
        fs::write(&database, &octets).unwrap();
        match Store::open(Config::new(dir.path()), world::fake::world(1)).await {
            Ok(store) => {
                opened += 1;
                // Whether it finds the damage depends on where that is; it comes to its end.
                let _ = store.verify().await;
                store.close().await;
            }
            Err(error) => {
                refused += 1;
                assert!(matches!(error, Error::Trouble(_)), "{error:?}");
                assert!(error.to_string().contains(' '), "no sentence: {error}");
                let copies = fs::read_dir(dir.path().join("before-upgrade")).into_iter().flatten();
                let is_copied = copies.flatten().any(|copy| fs::read(copy.path()).unwrap() == octets);
                let is_untouched = fs::read(&database).unwrap() == octets;
                assert!(is_untouched || is_copied, "it was touched, and there is no copy: {error}");
                if octets.len() == good.len() && octets[..100] == good[..100] {
                    let now = i64::from(u32::from_be_bytes(
                        fs::read(&database).unwrap()[60..64].try_into().unwrap(),
                    ));
                    assert!((begin..=newest).contains(&now), "{now}");
                }
            }
        }
    }
    println!("{refused} refused, {opened} opened");
    assert!(refused > 0 && opened > 0);
}
