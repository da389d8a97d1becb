//! The life of messages: found by every name, and bounded in time, in number and in octets.

use crate::help::*;
use storage::*;

fn event(mail: &str, at: i64, text: &str, names: &[&str]) -> TraceEvent {
    let names = names.iter().map(|name| (*name).to_owned()).collect();
    TraceEvent { mail_id: mail.to_owned(), at, text: text.to_owned(), names }
}

const ALL: TraceBounds = TraceBounds { oldest: 0, rows: 1000, octets: 1_000_000 };

#[tokio::test]
async fn is_found_by_every_name_through_a_restart() {
    let mut bench = Bench::new().await;
    let events = vec![
        event("m1", 10, "{\"what\":\"one\"}", &["a@a.example", "<id1@x>"]),
        event("m2", 11, "two", &["a@a.example"]),
        event("m1", 12, "it's \u{e9} \"three\"", &["#7", ""]),
    ];
    bench.store.add_trace(events, ALL).await.unwrap();
    bench.store.add_trace(vec![event("m1", 13, "four", &["b@b.example"])], ALL).await.unwrap();
    bench.store.close().await;
    bench.reopen().await;
    let texts: Vec<String> =
        bench.store.trace("m1").await.unwrap().into_iter().map(|(_, text)| text).collect();
    assert_eq!(texts, ["{\"what\":\"one\"}", "it's \u{e9} \"three\"", "four"]);
    for (name, want) in
        [("a@a.example", 2), ("<id1@x>", 1), ("#7", 1), ("b@b.example", 1), ("", 0), ("m1", 0)]
    {
        assert_eq!(bench.store.traced_mails(name).await.unwrap().len(), want, "{name}");
    }
    assert_eq!(bench.store.trace_size().await.unwrap().0, 4);
}

#[tokio::test]
async fn what_is_too_old_or_too_much_goes_first() {
    let bench = Bench::new().await;
    for at in 0..50 {
        let name = format!("n{at}");
        bench.store.add_trace(vec![event(&format!("m{at}"), at, "0123456789", &[&name])], ALL).await.unwrap();
    }
    assert_eq!(bench.store.trace_size().await.unwrap(), (50, 500));
    let one = |at| vec![event("last", at, "0123456789", &["last"])];
    bench.store.add_trace(one(50), TraceBounds { oldest: 10, ..ALL }).await.unwrap();
    assert_eq!(bench.store.trace_size().await.unwrap(), (41, 410));
    assert!(bench.store.traced_mails("n9").await.unwrap().is_empty());
    assert_eq!(bench.store.traced_mails("n10").await.unwrap(), ["m10"]);
    bench.store.add_trace(one(51), TraceBounds { rows: 5, ..ALL }).await.unwrap();
    assert_eq!(bench.store.trace_size().await.unwrap(), (5, 50));
    assert_eq!(bench.store.traced_mails("last").await.unwrap(), ["last"]);
    bench.store.add_trace(one(52), TraceBounds { octets: 10, ..ALL }).await.unwrap();
    assert!(bench.store.trace_size().await.unwrap().1 <= 10);
}
