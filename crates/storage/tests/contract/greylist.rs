//! Greylisting: waits, second tries, what is learned, and what is forgotten.

use crate::help::*;
use storage::*;

const RULE: GreyRule = GreyRule { delay: 300, window: 7200, keep: 36_000, learn: 2 };

/// The answer to a try: `passed`, or the seconds to wait.
async fn go(bench: &Bench, client: &str, to: &str) -> String {
    match bench.store.greylist(client, "x@s.example", to, RULE).await.unwrap() {
        Grey::Passed => "passed".to_owned(),
        Grey::Wait(seconds) => seconds.to_string(),
    }
}

#[tokio::test]
async fn the_second_try_passes_and_clients_become_known() {
    let bench = Bench::new().await;
    // Seconds since the beginning, client, recipient, and what is answered.
    for (at, client, to, want) in [
        (0, "192.0.2.0", "a@o.example", "300"),
        (10, "192.0.2.0", "a@o.example", "290"),
        (10, "198.51.100.0", "a@o.example", "300"),
        (300, "192.0.2.0", "a@o.example", "passed"),
        (301, "192.0.2.0", "a@o.example", "passed"),
        // Passing once more teaches nothing new; another recipient does.
        (302, "192.0.2.0", "b@o.example", "300"),
        (602, "192.0.2.0", "b@o.example", "passed"),
        (603, "192.0.2.0", "c@o.example", "passed"),
        // A first try is forgotten, and so is a client that has not come for long.
        (8000, "198.51.100.0", "a@o.example", "300"),
        (36_700, "192.0.2.0", "d@o.example", "300"),
    ] {
        bench.clock.set(u64::try_from(NOW + at).unwrap());
        assert_eq!(go(&bench, client, to).await, want, "{client} {to} at {at}");
    }
}

#[tokio::test]
async fn a_clock_that_was_set_back_locks_nobody_out() {
    let bench = Bench::new().await;
    bench.clock.set(u64::try_from(NOW + 100_000).unwrap());
    assert_eq!(go(&bench, "192.0.2.0", "a@o.example").await, "300");
    bench.clock.set(u64::try_from(NOW).unwrap());
    assert_eq!(go(&bench, "192.0.2.0", "a@o.example").await, "passed");
}
