//! Acceptance: one transaction, one body, a row for each who gets it.

use crate::help::*;
use mail::Blob;
use storage::*;

#[tokio::test]
async fn what_was_accepted_is_there() {
    let mut bench = Bench::new().await;
    let (alice, bob) = (bench.inbox("alice@a.example").await, bench.inbox("bob@a.example").await);
    let mail =
        acceptance("Subject: hi\r\n\r\nbody\r\n", &["alice@a.example", "bob@a.example"], &["x@far.example"]);
    let accepted = bench.store.accept(mail).await.unwrap();
    assert_eq!(accepted.filed.iter().map(|filed| filed.mailbox).collect::<Vec<_>>(), [alice, bob]);
    for _ in 0..2 {
        for (mailbox, name) in [(alice, "alice"), (bob, "bob")] {
            let want = format!("Delivered-To: {name}@a.example\r\nSubject: hi\r\n\r\nbody\r\n");
            assert_eq!(bench.text(mailbox, 1).await.unwrap(), want);
            let seen = bench.store.mailbox_by_id(mailbox).await.unwrap();
            assert_eq!((seen.messages, seen.unseen, seen.uidnext), (1, 1, 2));
            assert_eq!(seen.size, want.len() as u64);
        }
        let message = bench.store.job_message(accepted.jobs[0]).await.unwrap();
        assert_eq!(message.to_vec().unwrap(), b"Received: by us\r\nSubject: hi\r\n\r\nbody\r\n");
        assert_eq!(bench.store.queue_length().await.unwrap(), 1);
        // All of it outlives the process.
        bench.reopen().await;
    }
    assert_eq!(bench.store.verify().await.unwrap(), Vec::<String>::new());
}

#[tokio::test]
async fn shape_and_columns() {
    let bench = Bench::new().await;
    let inbox = bench.inbox("a@a.example").await;
    bench.store.accept(acceptance("text", &["a@a.example"], &[])).await.unwrap();
    bench.store.copy(inbox, &UidSet::all(), inbox).await.unwrap();
    let columns = Columns::ENVELOPE | Columns::BODYSTRUCTURE | Columns::PARTS | Columns::PREFIX;
    let rows = bench.store.fetch(inbox, &UidSet::all(), columns, 10).await.unwrap();
    let prefix = b"Delivered-To: a@a.example\r\n".to_vec();
    for row in &rows {
        assert_eq!(row.envelope.as_deref(), Some(&b"envelope of text"[..]));
        assert_eq!(row.bodystructure.as_deref(), Some(&b"structure of text"[..]));
        assert_eq!(row.parts.as_deref(), Some(&b"parts of text"[..]));
        assert_eq!(row.prefix.as_ref(), Some(&prefix));
        assert_eq!((row.prefix_len, row.size), (prefix.len() as u64, prefix.len() as u64 + 4));
        assert_eq!((row.received, row.saved), (NOW, NOW));
        assert!(row.message.is_none());
    }
    assert_eq!(rows.len(), 2);
    // A copy is the same e-mail (RFC 8474 §5.1).
    assert_eq!(rows[0].email, rows[1].email);
    let rows = bench.store.fetch(inbox, &UidSet::one(2), Columns::NONE, 10).await.unwrap();
    assert!(rows[0].envelope.is_none() && rows[0].prefix.is_none() && rows[0].uid == 2);
}

#[tokio::test]
async fn folders_fall_back_to_inbox() {
    let bench = Bench::new().await;
    let account = bench.account("a@a.example").await;
    bench.store.create_mailbox(account, "lists/rust", None).await.unwrap();
    for (folder, want) in [
        (Folder::Inbox, "INBOX"),
        (Folder::Special(SpecialUse::Junk), "Junk"),
        (Folder::Named("lists/rust".to_owned()), "lists/rust"),
        (Folder::Named("lists/none".to_owned()), "INBOX"),
        (Folder::Special(SpecialUse::Flagged), "INBOX"),
    ] {
        let mut mail = acceptance("text", &["a@a.example"], &[]);
        mail.filings[0].folder = folder.clone();
        mail.filings[0].keywords = vec!["$Junk".to_owned()];
        let filed = bench.store.accept(mail).await.unwrap().filed[0];
        let mailbox = bench.store.mailbox_by_id(filed.mailbox).await.unwrap();
        assert_eq!(mailbox.name, want, "{folder:?}");
        let snapshot = bench.store.snapshot(mailbox.id).await.unwrap();
        assert_eq!(snapshot.keywords, ["$Junk"]);
        assert!(snapshot.marks.last().unwrap().keywords.contains(0));
    }
}

/// Whoever deleted the mailbox for junk does not find junk in INBOX.
#[tokio::test]
async fn the_mailbox_for_junk_comes_back_when_it_is_needed() {
    let bench = Bench::new().await;
    let account = bench.account("a@a.example").await;
    let junk = || {
        let mut mail = acceptance("text", &["a@a.example", "a@a.example"], &[]);
        mail.filings.iter_mut().for_each(|filing| filing.folder = Folder::Special(SpecialUse::Junk));
        mail
    };
    let shown = async || {
        let all = bench.store.list(account).await.unwrap().mailboxes;
        let of = |name: &str| all.iter().find(|one| one.name == name).cloned();
        let line = |name: &str| of(name).map(|one| format!("{name} {} {:?}", one.messages, one.special_use));
        [line("Junk"), line("Spam"), line("INBOX")].into_iter().flatten().collect::<Vec<_>>().join(", ")
    };
    let before = bench.store.mailbox(account, "Junk").await.unwrap().uidvalidity;
    bench.store.delete_mailbox(account, "Junk").await.unwrap();
    bench.store.accept(junk()).await.unwrap();
    assert_eq!(shown().await, "Junk 2 Some(Junk), INBOX 0 None");
    assert!(bench.store.mailbox(account, "Junk").await.unwrap().uidvalidity > before);
    // One of another name is as good, and one of that name without the use gets it.
    bench.store.rename_mailbox(account, "Junk", "Spam").await.unwrap();
    bench.store.accept(junk()).await.unwrap();
    assert_eq!(shown().await, "Spam 4 Some(Junk), INBOX 0 None");
    bench.store.rename_mailbox(account, "Spam", "Junk").await.unwrap();
    bench.store.set_special_use(account, "Junk", None).await.unwrap();
    bench.store.accept(junk()).await.unwrap();
    assert_eq!(shown().await, "Junk 6 Some(Junk), INBOX 0 None");
    // Where only a name is left that holds others, it becomes a mailbox again.
    bench.store.create_mailbox(account, "Junk/old", None).await.unwrap();
    bench.store.delete_mailbox(account, "Junk").await.unwrap();
    bench.store.accept(junk()).await.unwrap();
    assert_eq!(shown().await, "Junk 2 Some(Junk), INBOX 0 None");
}

#[tokio::test]
async fn all_or_nothing() {
    let bench = Bench::new().await;
    let inbox = bench.inbox("a@a.example").await;
    let both = vec![
        acceptance("one", &["a@a.example"], &["x@far.example"]),
        acceptance("two", &["a@a.example", "nobody@a.example"], &[]),
    ];
    let refused = bench.store.accept_all(both).await;
    assert_eq!(refused, Err(Error::NoSuchAccount("nobody@a.example".to_owned())));
    assert_eq!(bench.show(inbox).await, "");
    assert_eq!(bench.store.queue_length().await.unwrap(), 0);
    let both = vec![
        acceptance("one", &["a@a.example"], &["x@far.example"]),
        acceptance("two", &["a@a.example"], &[]),
    ];
    let accepted = bench.store.accept_all(both).await.unwrap();
    assert_eq!(accepted.iter().map(|a| (a.filed[0].uid, a.jobs.len())).collect::<Vec<_>>(), [(1, 1), (2, 0)]);
    assert_eq!(bench.store.verify().await.unwrap(), Vec::<String>::new());
}

#[tokio::test]
async fn bodies_of_every_size() {
    let mut bench = Bench::new().await;
    let inbox = bench.inbox("a@a.example").await;
    let mut want = Vec::new();
    for size in [0, 1, 1000, 16 * 1024 + 1, 256 * 1024, 256 * 1024 + 1, 3_000_000] {
        for fill in ["text ", "noise"] {
            let mut octets = fill.repeat(size / 5 + 1).into_bytes();
            octets.truncate(size);
            if fill == "noise" {
                world::Random::fill(&world::fake::FakeRandom::seeded(size as u64), &mut octets);
            }
            let blob = Blob::from_bytes(octets.clone());
            let mut new = message("");
            new.message.received = blob;
            new.message.added = b"X: y\r\n".to_vec();
            bench.store.append(inbox, vec![new]).await.unwrap();
            want.push(octets);
        }
    }
    for _ in 0..2 {
        for (uid, octets) in (1..).zip(&want) {
            let message = bench.store.message(inbox, uid).await.unwrap().unwrap();
            assert_eq!(message.received.to_vec().unwrap(), *octets);
            let half = octets.len() as u64 / 2;
            assert_eq!(
                message.received.read_at(half, 100).unwrap(),
                octets[half as usize..].iter().copied().take(100).collect::<Vec<_>>()
            );
        }
        bench.reopen().await;
    }
    assert_eq!(bench.store.verify().await.unwrap(), Vec::<String>::new());
    // Large bodies lie in files, one for each content.
    assert_eq!(bench.body_files().len(), 4);
}

#[tokio::test]
async fn one_body_for_all_and_gone_with_the_last() {
    let bench = Bench::new().await;
    let inbox = bench.inbox("a@a.example").await;
    let text = "large ".repeat(100_000);
    for _ in 0..2 {
        bench.store.accept(acceptance(&text, &["a@a.example"], &["x@far.example"])).await.unwrap();
    }
    bench.store.copy(inbox, &UidSet::all(), inbox).await.unwrap();
    assert_eq!(bench.body_files().len(), 1);
    let open = bench.store.message(inbox, 1).await.unwrap().unwrap();
    bench.store.expunge(inbox, &UidSet::all(), Which::Any).await.unwrap();
    for job in bench.store.queue(None, 10).await.unwrap() {
        assert_eq!(bench.body_files().len(), 1);
        bench.store.remove_job(job.id).await.unwrap();
    }
    bench.settle_down(|bench| bench.body_files().is_empty()).await;
    // Whoever was reading reads on.
    assert_eq!(open.received.to_vec().unwrap(), text.as_bytes());
    assert_eq!(bench.store.verify().await.unwrap(), Vec::<String>::new());
}

#[tokio::test]
async fn strays_are_swept_at_start() {
    let mut bench = Bench::new().await;
    let inbox = bench.inbox("a@a.example").await;
    let text = "large ".repeat(100_000);
    bench.append(inbox, &text).await;
    let kept = bench.body_files();
    let bodies = bench.dir.path().join("bodies");
    std::fs::create_dir(bodies.join("zz")).unwrap();
    for stray in ["new-abc-1", "zz/zzzz-abc-2"] {
        std::fs::write(bodies.join(stray), "left by a dead process").unwrap();
    }
    std::fs::write(bench.dir.path().join("tmp/spool"), "x").unwrap();
    bench.reopen().await;
    bench.settle_down(|bench| bench.body_files() == kept).await;
    assert_eq!(std::fs::read_dir(bench.dir.path().join("tmp")).unwrap().count(), 0);
    assert_eq!(bench.text(inbox, 1).await.unwrap(), text);
}

#[tokio::test]
async fn bells_ring_after_the_commit() {
    let bench = Bench::new().await;
    let inbox = bench.inbox("a@a.example").await;
    let account = bench.account("a@a.example").await;
    let (mut bell, mut queue) = (bench.store.watch(account), bench.store.watch_queue());
    let filed =
        bench.store.accept(acceptance("x", &["a@a.example"], &["x@far.example"])).await.unwrap().filed[0];
    bell.changed().await.unwrap();
    queue.changed().await.unwrap();
    assert_eq!(*bell.borrow_and_update(), filed.modseq);
    let changes = bench.store.changes_since(inbox, filed.modseq - 1).await.unwrap();
    assert_eq!(changes.changed.iter().map(|mark| mark.uid).collect::<Vec<_>>(), [1]);
    assert_eq!(changes.mailbox.modseq, filed.modseq);
    // A refusal rings nothing.
    bench.store.expunge(inbox, &UidSet::one(9), Which::Any).await.unwrap();
    assert!(!bell.has_changed().unwrap());
}

#[tokio::test]
async fn many_writers_share_commits() {
    let bench = Bench::new().await;
    let inbox = bench.inbox("a@a.example").await;
    let other = bench.inbox("b@a.example").await;
    let mut tasks = tokio::task::JoinSet::new();
    for number in 0..200 {
        let store = bench.store.clone();
        tasks.spawn(async move {
            match number % 4 {
                0 => store.append(inbox, vec![message(&format!("append {number}"))]).await.map(|_| ()),
                1 => store
                    .accept(acceptance("nobody", &["a@a.example", "no@a.example"], &[]))
                    .await
                    .map(|_| ()),
                2 => store.copy(inbox, &UidSet::one(1), other).await.map(|_| ()),
                _ => {
                    let text = format!("accept {number}");
                    store.accept(acceptance(&text, &["a@a.example", "b@a.example"], &[])).await.map(|_| ())
                }
            }
        });
    }
    let mut refused = 0;
    while let Some(outcome) = tasks.join_next().await {
        if let Err(error) = outcome.unwrap() {
            assert_eq!(error, Error::NoSuchAccount("no@a.example".to_owned()));
            refused += 1;
        }
    }
    assert_eq!(refused, 50);
    let snapshot = bench.store.snapshot(inbox).await.unwrap();
    assert_eq!(snapshot.marks.iter().map(|mark| mark.uid).collect::<Vec<_>>(), (1..=100).collect::<Vec<_>>());
    assert_eq!(bench.store.verify().await.unwrap(), Vec::<String>::new());
}
