//! Annotations: limits, who sees what, and what is told to whom.

use crate::help::*;
use storage::*;

fn one(name: &str, value: Option<&str>) -> Annotation {
    Annotation { name: name.to_owned(), value: value.map(|text| text.as_bytes().to_vec()) }
}

fn on(mailbox: MailboxId, values: Vec<Annotation>) -> Annotations {
    Annotations { mailbox: Some(mailbox), values, special: None }
}

#[tokio::test]
async fn private_and_shared() {
    let bench = Bench::new().await;
    let (alice, bob) = (bench.account("a@a.example").await, bench.account("b@a.example").await);
    let inbox = bench.inbox("a@a.example").await;
    let store = &bench.store;
    let set = vec![one("/private/comment", Some("mine")), one("/shared/comment", Some("ours"))];
    store.annotate(alice, on(inbox, set)).await.unwrap();
    store.annotate(bob, on(inbox, vec![one("/private/comment", Some("his"))])).await.unwrap();
    let all = ["/private/comment".to_owned(), "/SHARED/comment".to_owned()];
    let seen = async |reader| {
        let found = store.annotations(reader, &[Some(inbox)], &all).await.unwrap();
        found.into_iter().map(|one| String::from_utf8(one.value.unwrap()).unwrap()).collect::<Vec<_>>()
    };
    assert_eq!(seen(alice).await, ["mine", "ours"]);
    assert_eq!(seen(bob).await, ["his", "ours"]);
    assert_eq!(store.annotation_names(bob, Some(inbox)).await.unwrap().len(), 2);
    assert_eq!(store.annotation_names(bob, None).await.unwrap(), []);
    // Bob hears of what is shared, and of his own.
    let names = |changes: Vec<Changed>| changes.into_iter().map(|one| one.name).collect::<Vec<_>>();
    assert_eq!(names(store.annotation_changes(bob, alice, 0).await.unwrap()), ["/shared/comment"]);
    assert_eq!(names(store.annotation_changes(bob, bob, 0).await.unwrap()), ["/private/comment"]);
    assert_eq!(store.annotation_changes(alice, alice, 0).await.unwrap().len(), 2);
    // What is gone is gone for all.
    store.remove_account("a@a.example").await.unwrap();
    assert_eq!(store.annotation_names(bob, Some(inbox)).await.unwrap(), []);
    assert_eq!(store.verify().await.unwrap(), Vec::<String>::new());
}

#[tokio::test]
async fn limits_hold() {
    let bench = Bench::new().await;
    let alice = bench.account("a@a.example").await;
    let inbox = bench.inbox("a@a.example").await;
    let store = &bench.store;
    let large = "x".repeat(ANNOTATION_MAX as usize);
    store.annotate(alice, on(inbox, vec![one("/private/large", Some(&large))])).await.unwrap();
    let set = vec![one("/private/a", Some("1")), one("/private/b", Some(&format!("{large}x")))];
    let refused = store.annotate(alice, on(inbox, set)).await;
    assert_eq!(refused, Err(Error::AnnotationTooLarge { limit: ANNOTATION_MAX }));
    let many = |range: std::ops::Range<u64>, value: Option<&str>| {
        range.map(|n| one(&format!("/private/{n}"), value)).collect::<Vec<_>>()
    };
    let refused = store.annotate(alice, on(inbox, many(0..ANNOTATIONS_MAX, Some("1")))).await;
    assert!(matches!(refused, Err(Error::TooMany { .. })), "{refused:?}");
    assert_eq!(store.annotation_names(alice, Some(inbox)).await.unwrap().len(), 1, "all or none");
    store.annotate(alice, on(inbox, many(1..ANNOTATIONS_MAX, Some("1")))).await.unwrap();
    // To set what is there is no more; what was taken away makes room and is remembered, but not for ever.
    store.annotate(alice, on(inbox, many(1..ANNOTATIONS_MAX, Some("2")))).await.unwrap();
    store.annotate(alice, on(inbox, many(1..ANNOTATIONS_MAX, None))).await.unwrap();
    store.annotate(alice, on(inbox, many(1_000..1_099, None))).await.unwrap();
    let changes = store.annotation_changes(alice, alice, 0).await.unwrap();
    assert_eq!(changes.len() as u64, ANNOTATIONS_MAX + 1, "the newest hundred, and the one that is there");
    // All of an account together: of mailbox after mailbox.
    let mut set = 0;
    let refused = loop {
        assert!(set < 1_000);
        set += 1;
        let id = store.create_mailbox(alice, &format!("m{set}"), None).await.unwrap();
        if let Err(error) = store.annotate(alice, on(id, vec![one("/shared/x", Some(&large))])).await {
            break error;
        }
    };
    assert!(matches!(refused, Error::TooMany { limit: ANNOTATIONS_OCTETS_MAX, .. }), "{refused:?}");
    assert!(set > 400, "{set}");
}
