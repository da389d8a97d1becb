//! Acceptance: one transaction, one body, a row for each who gets it.

use crate::help::*;
use storage::*;

#[tokio::test]
async fn what_was_accepted_is_there() {
    let bench = Bench::new().await;
    let (alice, bob) = (bench.inbox("alice@a.example").await, bench.inbox("bob@a.example").await);
    let mail = acceptance("Subject: hi\r\n\r\nbody\r\n", &["alice@a.example", "bob@a.example"], &[]);
    let accepted = bench.store.accept(mail).await.unwrap();
    assert_eq!(accepted.filed.iter().map(|filed| filed.mailbox).collect::<Vec<_>>(), [alice, bob]);
    for (mailbox, name) in [(alice, "alice"), (bob, "bob")] {
        let want = format!("Delivered-To: {name}@a.example\r\nSubject: hi\r\n\r\nbody\r\n");
        assert_eq!(bench.text(mailbox, 1).await.unwrap(), want);
        let seen = bench.store.mailbox_by_id(mailbox).await.unwrap();
        assert_eq!((seen.messages, seen.unseen, seen.uidnext), (1, 1, 2));
        assert_eq!(seen.size, want.len() as u64);
    }
}
