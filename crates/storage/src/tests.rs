//! What can only be seen from inside: the writer when work panics or breaks, and the size of the log.

use crate::sql;
use crate::{Acceptance, Config, Error, NewJob, Shape, Store, Trouble};
use futures_util::FutureExt;
use std::sync::Arc;
use std::time::Duration;
use tempfile::TempDir;
use world::fake;

async fn open(change: impl FnOnce(&mut Config)) -> (TempDir, Store) {
    let dir = tempfile::tempdir().unwrap();
    let mut config = Config::new(dir.path());
    change(&mut config);
    let store = Store::open(config, fake::world(1)).await.unwrap();
    (dir, store)
}

#[tokio::test]
async fn a_panic_ends_its_own_work_only() {
    let (_dir, store) = open(|_| {}).await;
    let panics = store.write::<(), _>(0, |tx| {
        Box::pin(async move {
            sql::query("INSERT INTO secret VALUES ('half', x'00')").execute(&mut tx.connection).await?;
            panic!("as it is told to");
        })
    });
    let (panicked, created) = tokio::join!(panics, store.create_account("a@a.example"));
    assert_eq!(panicked, Err(Error::Trouble(Trouble::Bug("the work panicked".to_owned()))));
    assert!(created.is_ok());
    // Nothing of the half that was done is there.
    assert_eq!(store.secret("half", 4).await.unwrap().len(), 4);
    assert_eq!(store.accounts().await.unwrap().len(), 1);
}

#[tokio::test]
async fn work_that_breaks_the_transaction_is_told_to_all_in_it() {
    let (_dir, store) = open(|_| {}).await;
    // As SQLite does by itself on some errors of the disk.
    let breaks = store.write::<(), _>(0, |tx| {
        Box::pin(async move {
            sql::query("ROLLBACK").execute(&mut tx.connection).await?;
            Err(Trouble::Full.into())
        })
    });
    let (first, broken, second) =
        tokio::join!(store.create_account("a@a.example"), breaks, store.create_account("b@a.example"));
    assert!(broken.is_err());
    for (name, outcome) in [("a@a.example", first), ("b@a.example", second)] {
        // Whoever was told that it is done finds it done, whoever was told of trouble finds nothing.
        assert_eq!(store.account(name).await.unwrap().is_some(), outcome.is_ok());
    }
    assert!(store.create_account("c@a.example").await.is_ok());
}

#[tokio::test]
async fn work_without_a_caller_is_done_all_the_same() {
    let (_dir, store) = open(|_| {}).await;
    let began = Arc::new(tokio::sync::Notify::new());
    let signal = Arc::clone(&began);
    let mut call = Box::pin(store.write(0, move |tx| {
        Box::pin(async move {
            signal.notify_one();
            sql::query("INSERT INTO secret VALUES ('x', x'0102')").execute(&mut tx.connection).await?;
            Ok(())
        })
    }));
    while began.notified().now_or_never().is_none() {
        assert!(call.as_mut().now_or_never().is_none());
        tokio::task::yield_now().await;
    }
    drop(call);
    store.create_account("a@a.example").await.unwrap();
    assert_eq!(store.secret("x", 9).await.unwrap(), [1, 2]);
}

#[tokio::test]
async fn the_log_is_carried_over_while_work_goes_on() {
    const WANTED: u64 = 1024 * 1024;
    let (dir, store) = open(|config| config.checkpoint_octets = WANTED).await;
    let log = dir.path().join("maddy.db-wal");
    let mut written = 0u64;
    // Once it starts anew it stays far below what was written; it has ten times the wanted size to begin with.
    loop {
        store
            .write(200_000, |tx| {
                Box::pin(async move {
                    let sql = "INSERT OR REPLACE INTO secret VALUES ('s', randomblob(200000))";
                    sql::query(sql).execute(&mut tx.connection).await?;
                    Ok(())
                })
            })
            .await
            .unwrap();
        written += 200_000;
        let size = std::fs::metadata(&log).unwrap().len();
        if written > 10 * WANTED && size < written / 2 {
            break;
        }
        assert!(written < 500 * WANTED, "{size} octets of log for {written} octets of work");
    }
    store.close().await;
    // In the end everything is carried over; whether the empty log stays depends on who closes last.
    assert_eq!(std::fs::metadata(&log).map_or(0, |log| log.len()), 0);
}

#[tokio::test]
async fn many_callers_share_one_commit() {
    let (_dir, store) = open(|_| {}).await;
    let hold = Arc::new(tokio::sync::Semaphore::new(0));
    let gate = Arc::clone(&hold);
    let store_first = store.clone();
    // While the first is at work the others queue up.
    let first = tokio::spawn(async move {
        store_first
            .write(0, move |_| {
                Box::pin(async move {
                    let _permit = gate.acquire().await;
                    Ok(())
                })
            })
            .await
    });
    let mut calls = tokio::task::JoinSet::new();
    for number in 0..100 {
        let store = store.clone();
        calls.spawn(async move { store.create_account(&format!("{number}@a.example")).await });
    }
    tokio::task::yield_now().await;
    hold.add_permits(1);
    first.await.unwrap().unwrap();
    while let Some(outcome) = calls.join_next().await {
        outcome.unwrap().unwrap();
    }
    assert_eq!(store.accounts().await.unwrap().len(), 100);
    let commits = store.commits();
    assert!(commits < 20, "{commits} commits for 101 pieces of work");
}

#[tokio::test]
async fn a_row_that_cannot_be_read_does_not_stop_the_queue() {
    let (_dir, store) = open(|_| {}).await;
    let envelope = |to: &str| mail::Envelope {
        from: mail::ReversePath::Null,
        params: mail::MailParams::default(),
        recipients: vec![mail::Recipient::plain(mail::Address::parse(to).unwrap())],
    };
    let jobs = ["a@x.example", "b@x.example"]
        .map(|to| NewJob { envelope: envelope(to), added: Vec::new(), arrived: 0, due: 0, client: None })
        .to_vec();
    let acceptance = Acceptance {
        mail_id: "m".to_owned(),
        received: mail::Blob::from_bytes(*b"x"),
        shape: Shape::default(),
        filings: Vec::new(),
        jobs,
        charge: None,
    };
    store.accept(acceptance).await.unwrap();
    store
        .write(0, |tx| {
            Box::pin(async move {
                let sql = "UPDATE job_recipient SET address = 'rubbish' WHERE id = 1";
                sql::query(sql).execute(&mut tx.connection).await?;
                Ok(())
            })
        })
        .await
        .unwrap();
    let claims = store.claim_due(0, 10, Duration::from_secs(60)).await.unwrap();
    let to: Vec<String> =
        claims.iter().map(|claim| claim.recipients[0].recipient.address.to_string()).collect();
    assert_eq!(to, ["b@x.example"]);
    assert_eq!(store.next_due().await, Ok(Some(60)));
    let listed = store.queue(None, 10).await.unwrap();
    let damage = |job: &crate::Job| job.damage.as_ref().is_some_and(|damage| damage.contains("rubbish"));
    assert_eq!(listed.iter().map(damage).collect::<Vec<_>>(), [true, false]);
    assert_eq!(listed[1].recipients.len(), 1);
}

#[test]
fn options() {
    let decode = |text: &str| {
        config::Tree::from_text("test", text, &|_| None)
            .decode(|section| {
                section.child("storage", "The database.", |s| Config::decode(s, "/state".into()))
            })
            .map_err(|problems| problems.to_string())
    };
    assert_eq!(decode(""), Ok(Config::new("/state")));
    let full = decode(
        "storage { readers 2; batch-jobs 10; batch-size \"1MiB\"; max-queue 5; checkpoint-size \"2MiB\"; max-database-size \"1GiB\" }",
    );
    let want = Config {
        readers: 2,
        batch_jobs: 10,
        batch_octets: 1 << 20,
        queue_max: 5,
        checkpoint_octets: 2 << 20,
        database_max: Some(1 << 30),
        ..Config::new("/state")
    };
    assert_eq!(full, Ok(want));
    assert!(decode("storage { readers 0 }").unwrap_err().contains("test:1:"));
}
