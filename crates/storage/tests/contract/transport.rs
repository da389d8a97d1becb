//! What is remembered of the way to other servers: policies that were fetched, and counters for reports.

use crate::help::Bench;
use storage::{StsPolicyRow, TLS_KINDS_MAX, TlsSeen};

fn policy(domain: &str, version: &str, expires: i64, used: i64) -> StsPolicyRow {
    StsPolicyRow {
        domain: domain.to_owned(),
        version: version.to_owned(),
        policy: format!("policy {version} of {domain}"),
        fetched: 100,
        expires,
        used,
        tried: 100,
    }
}

#[tokio::test]
async fn policies_survive_a_restart_and_end_in_time() {
    let mut bench = Bench::new().await;
    let one = policy("a.example", "1", 1000, 100);
    bench.store.keep_sts_policy(one.clone()).await.unwrap();
    bench.store.keep_sts_policy(policy("b.example", "1", 500, 50)).await.unwrap();
    bench.reopen().await;
    assert_eq!(bench.store.sts_policy("a.example").await.unwrap(), Some(one));
    assert_eq!(bench.store.sts_policy("c.example").await.unwrap(), None);

    let newer = policy("a.example", "2", 2000, 90);
    bench.store.keep_sts_policy(newer.clone()).await.unwrap();
    // When it was used is not forgotten.
    let kept = bench.store.sts_policy("a.example").await.unwrap().unwrap();
    assert_eq!(kept, StsPolicyRow { used: 100, ..newer });

    let names = |rows: Vec<StsPolicyRow>| rows.into_iter().map(|row| row.domain).collect::<Vec<_>>();
    let due = |now, tried, used| bench.store.sts_to_refresh(now, tried, used);
    assert_eq!(names(due(200, 101, 0).await.unwrap()), ["b.example", "a.example"]);
    assert_eq!(names(due(200, 101, 60).await.unwrap()), ["a.example"]);
    assert_eq!(names(due(500, 101, 0).await.unwrap()), ["a.example"]);
    bench.store.try_sts_policy("a.example", 300).await.unwrap();
    assert_eq!(names(due(200, 101, 0).await.unwrap()), ["b.example"]);
    bench.store.use_sts_policy("b.example", 400).await.unwrap();
    assert_eq!(names(due(200, 101, 400).await.unwrap()), ["b.example"]);
    assert_eq!(bench.store.forget_expired_sts(500).await.unwrap(), 1);
    assert_eq!(bench.store.sts_policy("b.example").await.unwrap(), None);
}

#[tokio::test]
async fn counters_of_connections_add_up_and_have_a_limit() {
    let bench = Bench::new().await;
    let store = &bench.store;
    let seen = |domain: &str, policy: &str, detail: &str| TlsSeen {
        day: 7,
        domain: domain.to_owned(),
        policy: policy.to_owned(),
        detail: detail.to_owned(),
        count: 2,
    };
    store.count_tls(vec![seen("a.example", "p", ""), seen("b.example", "p", "x")]).await.unwrap();
    store.count_tls(vec![seen("a.example", "p", ""), seen("a.example", "o", "x")]).await.unwrap();
    assert_eq!(store.tls_due(7, None).await.unwrap(), None);
    let due = store.tls_due(8, None).await.unwrap().unwrap();
    let kinds = [("o".to_owned(), "x".to_owned(), 2), ("p".to_owned(), String::new(), 4)];
    assert_eq!((due.domain.as_str(), &due.kinds[..]), ("a.example", &kinds[..]));
    let next = store.tls_due(8, Some((7, "a.example".to_owned()))).await.unwrap().unwrap();
    assert_eq!(next.domain, "b.example");
    for batch in 0..2 * TLS_KINDS_MAX / 100 {
        let many = (0..100).map(|n| seen("a.example", "p", &format!("{batch}-{n}"))).collect();
        store.count_tls(many).await.unwrap();
    }
    let kinds = store.tls_due(8, None).await.unwrap().unwrap().kinds.len();
    let limit = usize::try_from(TLS_KINDS_MAX).unwrap();
    assert!((limit..limit + 100).contains(&kinds), "{kinds}");
    store.forget_tls(7, "a.example").await.unwrap();
    assert_eq!(store.tls_due(8, None).await.unwrap().unwrap().domain, "b.example");
}
