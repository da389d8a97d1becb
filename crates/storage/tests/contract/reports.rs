//! Reports that came, and counters for those that we owe.

use crate::help::Bench;
use storage::{
    DMARC_KINDS_MAX, DmarcSeen, FiledReport, NewReport, ReportInfo, ReportKind, ReportRow, UNPROVEN,
    UNPROVEN_MAX,
};

fn report(name: &str, arrived: i64) -> NewReport {
    let row = |source: &str, good, bad| ReportRow {
        source: source.to_owned(),
        good,
        bad,
        result: "none".to_owned(),
        detail: "x".to_owned(),
    };
    NewReport {
        kind: ReportKind::Dmarc,
        arrived,
        organization: "r.example".to_owned(),
        contact: "d@r.example".to_owned(),
        name: name.to_owned(),
        domain: "a.example".to_owned(),
        begins: 0,
        ends: 1,
        policy: "none".to_owned(),
        proof: "dkim".to_owned(),
        rows: vec![row("192.0.2.1", 5, 0), row("192.0.2.2", 0, u64::MAX)],
        dropped: 0,
    }
}

#[tokio::test]
async fn reports_are_kept_once_and_for_a_time() {
    let bench = Bench::new().await;
    let store = &bench.store;
    assert_eq!(store.add_report(report("one", 100), 0).await.unwrap(), FiledReport::New(1));
    assert_eq!(store.add_report(report("one", 150), 0).await.unwrap(), FiledReport::Known);
    store.add_report(report("two", 200), 0).await.unwrap();
    let summary = store.report_summary(0).await.unwrap();
    assert_eq!((summary[0].source.as_str(), summary[0].bad), ("192.0.2.2", 2 * u64::from(u32::MAX)));
    assert_eq!((summary[1].good, summary[1].reports), (10, 2));
    assert_eq!(store.report(1).await.unwrap().unwrap().1.len(), 2);
    store.add_report(report("three", 300), 150).await.unwrap();
    let names: Vec<String> = store.reports(None, 10).await.unwrap().into_iter().map(|one| one.name).collect();
    assert_eq!(names, ["three", "two"]);
    assert_eq!(store.report(1).await.unwrap(), None);
}

#[tokio::test]
async fn counters_add_up_and_have_a_limit() {
    let bench = Bench::new().await;
    let store = &bench.store;
    let seen = |detail: String| DmarcSeen {
        day: 7,
        domain: "a.example".to_owned(),
        policy: "p".to_owned(),
        detail,
        count: 2,
    };
    store.count_dmarc(vec![seen("k".to_owned())]).await.unwrap();
    store.count_dmarc(vec![seen("k".to_owned())]).await.unwrap();
    assert_eq!(store.dmarc_due(7, None).await.unwrap(), None);
    let due = store.dmarc_due(8, None).await.unwrap().unwrap();
    assert_eq!(due.kinds, [("k".to_owned(), 4)]);
    assert_eq!(store.dmarc_due(8, Some((7, "a.example".to_owned()))).await.unwrap(), None);
    for batch in 0..2 * DMARC_KINDS_MAX / 100 {
        let many = (0..100).map(|number| seen(format!("{batch}-{number}"))).collect();
        store.count_dmarc(many).await.unwrap();
    }
    let kinds = store.dmarc_due(8, None).await.unwrap().unwrap().kinds.len();
    let limit = usize::try_from(DMARC_KINDS_MAX).unwrap();
    assert!((limit..limit + 100).contains(&kinds), "{kinds}");
    store.forget_dmarc(7, "a.example").await.unwrap();
    assert_eq!(store.dmarc_due(8, None).await.unwrap(), None);
}

/// Anybody can send a report of which nothing is proven: it keeps no other out, and displaces none.
#[tokio::test]
async fn what_nobody_has_proven_is_in_nobody_s_way() {
    let bench = Bench::new().await;
    let store = &bench.store;
    let unproven = |name: &str| NewReport { proof: UNPROVEN.to_owned(), ..report(name, 100) };
    assert_eq!(store.add_report(unproven("one"), 0).await.unwrap(), FiledReport::New(1));
    assert_eq!(store.add_report(unproven("one"), 0).await.unwrap(), FiledReport::Known);
    assert!(matches!(store.add_report(report("one", 100), 0).await.unwrap(), FiledReport::New(_)));
    assert_eq!(store.add_report(unproven("one"), 0).await.unwrap(), FiledReport::Known);
    let kept = |infos: Vec<ReportInfo>| -> Vec<(String, String)> {
        infos.into_iter().map(|info| (info.name, info.proof)).collect()
    };
    let one = ("one".to_owned(), "dkim".to_owned());
    assert_eq!(kept(store.reports(None, 10).await.unwrap()), std::slice::from_ref(&one));
    for n in 0..UNPROVEN_MAX + 20 {
        store.add_report(unproven(&format!("noise {n}")), 0).await.unwrap();
    }
    let all = kept(store.reports(None, 500).await.unwrap());
    assert_eq!(all.len(), 1 + UNPROVEN_MAX as usize);
    assert_eq!(all.last(), Some(&one));
}
