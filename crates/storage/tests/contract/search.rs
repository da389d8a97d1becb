//! The search index: made by itself, followed, thrown away and made again.

use crate::help::Bench;
use mail::{Blob, Message, mime};
use std::os::unix::fs::PermissionsExt;
use std::time::Duration;
use storage::{Flags, MailboxId, NewMessage, Search, Shape, UidSet, Which};

async fn bench(messages_min: u64) -> Bench {
    let delay = Duration::from_millis(1);
    Bench::with(|config| config.search = Search { index: true, messages_min, delay }).await
}

fn mail(text: &str) -> NewMessage {
    NewMessage {
        message: Message::new(Blob::from_bytes(text.as_bytes())),
        shape: Shape::of(&mime::analyse(&mut text.as_bytes()).unwrap()),
        flags: Flags::NONE,
        keywords: Vec::new(),
        received: 0,
    }
}

/// Messages that may have the word; `-` for what is not known.
async fn may(bench: &Bench, mailbox: MailboxId, word: &str) -> String {
    match bench.store.search_candidates(mailbox, &[word.to_owned()]).await {
        None => "-".to_owned(),
        Some(found) => {
            let set = found.sets[0].as_ref().map_or("any".to_owned(), |set| format!("{:?}", set.ranges()));
            format!("{set} of {}, unread {:?}", found.upto, found.unread.ranges())
        }
    }
}

async fn until(bench: &Bench, mailbox: MailboxId, word: &str, want: &str) {
    let mut last = String::new();
    for _ in 0..2000 {
        last = may(bench, mailbox, word).await;
        if last == want {
            return;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    panic!("{word}: {last}, not {want}");
}

#[tokio::test]
async fn follows_what_happens() {
    let bench = bench(0).await;
    let inbox = bench.inbox("a").await;
    let account = bench.account("a").await;
    let large = format!("Subject: large\r\n\r\n{}", "word ".repeat(1_000_000));
    let mails = vec![mail("Subject: apple\r\n\r\nx"), mail("Subject: b\r\n\r\npineapple"), mail(&large)];
    bench.store.append(inbox, mails).await.unwrap();
    until(&bench, inbox, "APPLE", "[(1, 2)] of 3, unread [(3, 3)]").await;
    until(&bench, inbox, "AP", "any of 3, unread [(3, 3)]").await;
    until(&bench, inbox, "BANANA", "[] of 3, unread [(3, 3)]").await;
    let texts = bench.store.search_texts(inbox, &UidSet::all(), |_, text| text.has("PINE")).await.unwrap();
    assert_eq!(texts, [(1, false), (2, true)]);
    // A message that moves keeps its text, and is found where it is.
    let archive = bench.store.mailbox(account, "Archive").await.unwrap().id;
    bench.store.move_messages(inbox, &UidSet::one(2), archive).await.unwrap();
    until(&bench, archive, "PINE", "[(1, 1)] of 1, unread []").await;
    until(&bench, inbox, "APPLE", "[(1, 1)] of 3, unread [(3, 3)]").await;
    bench.store.expunge(inbox, &UidSet::all(), Which::Any).await.unwrap();
    until(&bench, inbox, "APPLE", "[] of 3, unread []").await;
    // A mailbox goes with what is in it.
    bench.store.create_mailbox(account, "Old", None).await.unwrap();
    bench.store.delete_mailbox(account, "Old").await.unwrap();
    bench.store.append(inbox, vec![mail("Subject: later\r\n\r\napple")]).await.unwrap();
    until(&bench, inbox, "APPLE", "[(4, 4)] of 4, unread []").await;
    let status = bench.store.index_status(account).await.unwrap();
    assert_eq!((status.indexed, status.messages), (2, 2));
    bench.store.close().await;
}

#[tokio::test]
async fn small_accounts_have_none_unless_asked() {
    let bench = bench(3).await;
    let (inbox, account) = (bench.inbox("a").await, bench.account("a").await);
    let file = bench.dir.path().join(format!("search/{account}.db"));
    bench.store.append(inbox, vec![mail("Subject: apple\r\n\r\nx")]).await.unwrap();
    tokio::time::sleep(Duration::from_millis(100)).await;
    assert!(!file.exists());
    bench.store.rebuild_index(account).await.unwrap();
    until(&bench, inbox, "APPLE", "[(1, 1)] of 1, unread []").await;
    assert_eq!(file.metadata().unwrap().permissions().mode() & 0o777, 0o600);
    assert_eq!(file.parent().unwrap().metadata().unwrap().permissions().mode() & 0o777, 0o700);
    let other = bench.inbox("b").await;
    bench
        .store
        .append(other, (0..3).map(|n| mail(&format!("Subject: {n}\r\n\r\napple"))).collect())
        .await
        .unwrap();
    until(&bench, other, "APPLE", "[(1, 3)] of 3, unread []").await;
    bench.store.remove_account("a").await.unwrap();
    bench.settle_down(|_| !file.exists()).await;
    bench.store.close().await;
}

#[tokio::test]
async fn damage_is_mended() {
    let mut bench = bench(0).await;
    let (inbox, account) = (bench.inbox("a").await, bench.account("a").await);
    let file = bench.dir.path().join(format!("search/{account}.db"));
    bench.store.append(inbox, vec![mail("Subject: apple\r\n\r\nx")]).await.unwrap();
    let whole = "[(1, 1)] of 1, unread []";
    until(&bench, inbox, "APPLE", whole).await;
    for damage in ["gone", "rubbish", "empty", "another version"] {
        bench.store.close().await;
        match damage {
            "gone" => std::fs::remove_file(&file).unwrap(),
            "rubbish" => std::fs::write(&file, vec![7; 50_000]).unwrap(),
            "empty" => std::fs::write(&file, "").unwrap(),
            _ => {
                let mut octets = std::fs::read(&file).unwrap();
                // `user_version` in the header of an SQLite database.
                octets[63] ^= 0x55;
                std::fs::write(&file, octets).unwrap();
            }
        }
        bench.reopen_with(|config| config.search.messages_min = 0).await;
        until(&bench, inbox, "APPLE", whole).await;
        assert_eq!(bench.text(inbox, 1).await.as_deref(), Some("Subject: apple\r\n\r\nx"), "{damage}");
    }
    bench.store.close().await;
}

#[tokio::test]
async fn can_be_switched_off() {
    let bench = Bench::with(|config| config.search.index = false).await;
    let inbox = bench.inbox("a").await;
    bench.store.append(inbox, vec![mail("Subject: apple\r\n\r\nx")]).await.unwrap();
    assert_eq!(may(&bench, inbox, "APPLE").await, "-");
    assert!(bench.store.rebuild_index(bench.account("a").await).await.is_err());
    bench.store.close().await;
}
