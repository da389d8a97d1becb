//! When things go wrong: full and damaged disks, dead processes, other versions. Nothing that was acknowledged is lost.

use crate::help::*;
use rusqlite::Connection;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::Duration;
use storage::*;
use world::Random;
use world::fake::{self, FakeRandom};
use world::system::SystemRandom;

fn noise(seed: u64, size: usize) -> NewMessage {
    let mut octets = vec![0; size];
    FakeRandom::seeded(seed).fill(&mut octets);
    let mut new = message("x");
    new.message.received = mail::Blob::from_bytes(octets);
    new
}

#[tokio::test]
async fn a_full_disk_loses_nothing() {
    let mut bench = Bench::with(|config| config.database_max = Some(2 * 1024 * 1024)).await;
    let inbox = bench.inbox("a@a.example").await;
    let mut stored = 0;
    let refused = loop {
        match bench.store.append(inbox, vec![noise(stored, 50_000)]).await {
            Ok(_) => stored += 1,
            Err(error) => break error,
        }
    };
    assert_eq!(refused, Error::Trouble(Trouble::Full));
    assert!(stored > 10);
    for _ in 0..3 {
        let large = acceptance(&"noise ".repeat(60_000), &["a@a.example"], &["x@far.example"]);
        let many = vec![noise(1000, 50_000); 5];
        let (one, two) = tokio::join!(bench.store.accept(large), bench.store.append(inbox, many));
        assert!(one.is_ok() || one == Err(Error::Trouble(Trouble::Full)), "{one:?}");
        assert_eq!(two, Err(Error::Trouble(Trouble::Full)));
    }
    let snapshot = bench.store.snapshot(inbox).await.unwrap();
    assert!(snapshot.marks.len() as u64 >= stored);
    assert_eq!(bench.store.verify().await.unwrap(), Vec::<String>::new());
    // Room comes back with what goes; to say what goes needs none.
    let deleted = FlagChange { mode: FlagMode::Add, flags: Flags::DELETED, keywords: Vec::new() };
    bench.store.store_flags(inbox, &UidSet::all(), deleted, None).await.unwrap();
    bench.store.expunge(inbox, &set(&[(1, 5)]), Which::Any).await.unwrap();
    while bench.store.append(inbox, vec![noise(2000, 50_000)]).await.is_err() {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    bench.reopen().await;
    assert_eq!(bench.store.verify().await.unwrap(), Vec::<String>::new());
}

#[tokio::test]
async fn a_body_that_cannot_be_written_is_trouble() {
    let bench = Bench::new().await;
    let inbox = bench.inbox("a@a.example").await;
    let bodies = bench.dir.path().join("bodies");
    fs::remove_dir_all(&bodies).unwrap();
    let refused = bench.store.append(inbox, vec![noise(1, 300_000)]).await;
    assert!(matches!(refused, Err(Error::Trouble(Trouble::Io(_)))), "{refused:?}");
    fs::create_dir(&bodies).unwrap();
    bench.store.append(inbox, vec![noise(1, 300_000)]).await.unwrap();
    assert_eq!(bench.store.mailbox_by_id(inbox).await.unwrap().messages, 1);
}

#[tokio::test]
async fn damage_is_told() {
    let mut bench = Bench::new().await;
    let inbox = bench.inbox("a@a.example").await;
    bench.store.append(inbox, vec![noise(1, 300_000), noise(2, 3000)]).await.unwrap();
    let name = bench.body_files().remove(0);
    let file = bench.dir.path().join("bodies").join(&name[..2]).join(&name);
    let octets = fs::read(&file).unwrap();
    let mut changed = octets.clone();
    changed[150_000] ^= 1;
    fs::write(&file, &changed).unwrap();
    assert_eq!(bench.store.verify().await.unwrap(), ["body 1: its octets have changed"]);
    fs::write(&file, &octets[..1000]).unwrap();
    let cut = bench.store.message(inbox, 1).await.unwrap_err();
    assert!(matches!(cut, Error::Trouble(Trouble::Corrupt(_))), "{cut:?}");
    fs::remove_file(&file).unwrap();
    assert!(matches!(bench.store.message(inbox, 1).await, Err(Error::Trouble(Trouble::Corrupt(_)))));
    assert_eq!(bench.store.verify().await.unwrap().len(), 1);
    fs::write(&file, &octets).unwrap();
    bench.reopen().await;
    assert_eq!(bench.store.verify().await.unwrap(), Vec::<String>::new());
}

/// Writes rubbish over every page of the database but the first.
fn ruin(path: &Path) {
    let mut octets = fs::read(path).unwrap();
    FakeRandom::seeded(7).fill(&mut octets[4096..]);
    fs::write(path, octets).unwrap();
}

#[tokio::test]
async fn a_ruined_database_answers_corrupt() {
    let bench = Bench::new().await;
    let inbox = bench.inbox("a@a.example").await;
    bench.append(inbox, "one").await;
    bench.store.close().await;
    let database = bench.dir.path().join("maddy.db");
    ruin(&database);
    let corrupt = |error: &Error| matches!(error, Error::Trouble(Trouble::Corrupt(_)));
    match Store::open(Config::new(bench.dir.path()), bench.world.clone()).await {
        Ok(store) => {
            let read = store.snapshot(inbox).await.unwrap_err();
            assert!(corrupt(&read), "{read:?}");
            let written = store.append(inbox, vec![message("two")]).await.unwrap_err();
            assert!(corrupt(&written), "{written:?}");
            store.close().await;
        }
        Err(error) => assert!(corrupt(&error), "{error:?}"),
    }
    fs::write(&database, "this is no database at all, but a text that is long enough for one").unwrap();
    let refused = Store::open(Config::new(bench.dir.path()), bench.world.clone()).await.unwrap_err();
    assert!(corrupt(&refused), "{refused:?}");
}

fn with_database(path: &Path, sql: &'static str) {
    Connection::open(path).unwrap().execute_batch(sql).unwrap();
}

#[tokio::test]
async fn other_versions_and_other_programs_are_refused() {
    let bench = Bench::new().await;
    bench.store.close().await;
    with_database(&bench.dir.path().join("maddy.db"), "PRAGMA user_version = 99");
    let refused = Store::open(Config::new(bench.dir.path()), bench.world.clone()).await.unwrap_err();
    assert_eq!(
        refused.to_string(),
        "the database was made by a newer version (schema 99, this one knows 18): run that version, or restore a backup"
    );
    let dir = tempfile::tempdir().unwrap();
    with_database(&dir.path().join("maddy.db"), "CREATE TABLE other (a)");
    let refused = Store::open(Config::new(dir.path()), bench.world.clone()).await.unwrap_err();
    assert_eq!(refused, Error::Trouble(Trouble::Foreign));
}

#[tokio::test]
async fn one_process_at_a_time_and_nothing_after_the_end() {
    let bench = Bench::new().await;
    let second = Store::open(Config::new(bench.dir.path()), bench.world.clone()).await.unwrap_err();
    assert_eq!(second, Error::Trouble(Trouble::InUse));
    let inbox = bench.inbox("a@a.example").await;
    bench.store.close().await;
    let closed = Err(Error::Trouble(Trouble::Closed));
    assert_eq!(bench.store.append(inbox, vec![message("late")]).await.map(|_| ()), closed);
    assert_eq!(bench.store.snapshot(inbox).await.map(|_| ()), closed);
    assert_eq!(bench.store.remove_account("a@a.example").await, closed);
    bench.store.close().await;
    let third = Store::open(Config::new(bench.dir.path()), bench.world.clone()).await.unwrap();
    assert!(third.account("a@a.example").await.unwrap().is_some());
}

#[tokio::test]
async fn what_waits_at_the_end_is_still_done() {
    let mut bench = Bench::new().await;
    let inbox = bench.inbox("a@a.example").await;
    let mut tasks = tokio::task::JoinSet::new();
    for number in 0..50 {
        let store = bench.store.clone();
        tasks.spawn(async move { store.append(inbox, vec![message(&number.to_string())]).await });
    }
    tokio::task::yield_now().await;
    bench.reopen().await;
    let mut done = 0;
    while let Some(outcome) = tasks.join_next().await {
        match outcome.unwrap() {
            Ok(_) => done += 1,
            Err(error) => assert_eq!(error, Error::Trouble(Trouble::Closed)),
        }
    }
    assert_eq!(bench.store.mailbox_by_id(inbox).await.unwrap().messages, done);
}

#[tokio::test]
async fn files_are_for_the_owner_only() {
    // A folder that was there before keeps the mode that it was given.
    let bench = Bench::with(|config| config.dir.push("state")).await;
    let inbox = bench.inbox("a@a.example").await;
    bench.store.append(inbox, vec![noise(1, 300_000)]).await.unwrap();
    let mut paths = vec![bench.dir.path().join("state")];
    let mut files = 0;
    while let Some(path) = paths.pop() {
        let metadata = fs::metadata(&path).unwrap();
        if metadata.is_dir() {
            assert_eq!(metadata.permissions().mode() & 0o777, 0o700, "{}", path.display());
            paths.extend(fs::read_dir(&path).unwrap().map(|entry| entry.unwrap().path()));
        } else {
            assert_eq!(metadata.permissions().mode() & 0o777, 0o600, "{}", path.display());
            files += 1;
        }
    }
    assert!(files >= 4, "database, log, lock and a body");
}

/// Copies what is on disk while the store works: what a process that is killed at this moment leaves.
fn copy_state(from: &Path, to: &Path) {
    fs::copy(from.join("maddy.db"), to.join("maddy.db")).unwrap();
    fs::copy(from.join("maddy.db-wal"), to.join("maddy.db-wal")).unwrap();
    let mut folders = vec![from.join("bodies")];
    while let Some(folder) = folders.pop() {
        fs::create_dir_all(to.join(folder.strip_prefix(from).unwrap())).unwrap();
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if !path.file_name().unwrap().to_string_lossy().starts_with("new-") {
                fs::copy(&path, to.join(path.strip_prefix(from).unwrap())).unwrap();
            }
        }
    }
}

#[tokio::test]
async fn a_killed_process_leaves_what_it_acknowledged() {
    let bench = Bench::with(|config| config.checkpoint_octets = u64::MAX / 8).await;
    let inbox = bench.inbox("a@a.example").await;
    let acknowledged = std::sync::Arc::new(std::sync::Mutex::new(Vec::new()));
    let mut tasks = tokio::task::JoinSet::new();
    for writer in 0..8u64 {
        let (store, acknowledged) = (bench.store.clone(), acknowledged.clone());
        tasks.spawn(async move {
            for number in 0..u64::MAX {
                let size = if number % 7 == 3 { 300_000 } else { 500 };
                let new = noise(writer << 32 | number, size);
                let octets = new.message.received.to_vec().unwrap();
                let Ok(appended) = store.append(inbox, vec![new]).await else { break };
                acknowledged.lock().unwrap().push((appended.uids[0], octets));
            }
        });
    }
    for _ in 0..5 {
        let before = acknowledged.lock().unwrap().len();
        while acknowledged.lock().unwrap().len() < before + 40 {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        let promised = acknowledged.lock().unwrap().clone();
        let dead = tempfile::tempdir().unwrap();
        copy_state(bench.dir.path(), dead.path());
        let store = Store::open(Config::new(dead.path()), fake::world(2)).await.unwrap();
        for (uid, octets) in &promised {
            let message =
                store.message(inbox, *uid).await.unwrap().expect("a message that was promised is gone");
            assert_eq!(message.received.to_vec().unwrap(), *octets);
        }
        assert_eq!(store.verify().await.unwrap(), Vec::<String>::new());
        let next = store.append(inbox, vec![message("next")]).await.unwrap().uids[0];
        assert!(promised.iter().all(|(uid, _)| *uid < next));
        store.close().await;
    }
    tasks.abort_all();
}

/// The log may end anywhere: what is left is some state that there was, whole.
#[tokio::test]
async fn a_log_that_is_cut_off_leaves_whole_transactions() {
    let seed = SystemRandom.u64();
    println!("seed {seed}");
    let random = FakeRandom::seeded(seed);
    let bench = Bench::with(|config| config.checkpoint_octets = u64::MAX / 8).await;
    let inbox = bench.inbox("a@a.example").await;
    for number in 0..30 {
        let mail = acceptance(&format!("{number} ").repeat(500), &["a@a.example"], &["x@far.example"]);
        bench.store.accept(mail).await.unwrap();
        if number % 5 == 4 {
            bench.store.expunge(inbox, &UidSet::one(number), Which::Any).await.unwrap();
        }
    }
    let mut last = 0;
    let whole = fs::metadata(bench.dir.path().join("maddy.db-wal")).unwrap().len();
    let mut cuts: Vec<u64> = (0..20).map(|_| random.below(whole)).collect();
    cuts.sort_unstable();
    for cut in cuts {
        let dead = tempfile::tempdir().unwrap();
        copy_state(bench.dir.path(), dead.path());
        let log = fs::File::options().write(true).open(dead.path().join("maddy.db-wal")).unwrap();
        log.set_len(cut).unwrap();
        let store = Store::open(Config::new(dead.path()), fake::world(2)).await.unwrap();
        assert_eq!(store.verify().await.unwrap(), Vec::<String>::new());
        if let Ok(mailbox) = store.mailbox_by_id(inbox).await {
            // Message and job came in one transaction.
            assert_eq!(u64::from(mailbox.uidnext) - 1, store.queue_length().await.unwrap());
            assert!(mailbox.uidnext >= last);
            last = mailbox.uidnext;
        }
        store.close().await;
    }
}
