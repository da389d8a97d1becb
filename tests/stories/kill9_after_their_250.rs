//! kill -9 between the 250 of the other server and our note of it, at one moment after the other: at most one copy more for each
//! kill, and never one less.

use std::collections::BTreeMap;
use std::thread;
use std::time::Duration;
use tests::{Setup, eventually, field, message};

/// Milliseconds after the other server has the message at which the daemon dies. It says 250 after [`THINKS`].
const MOMENTS: [u64; 8] = [0, 20, 38, 40, 42, 45, 55, 90];
/// How long the other server thinks before it takes a message, in milliseconds.
const THINKS: u64 = 40;

#[test]
fn at_most_one_copy_more_and_never_one_less() {
    let mut setup = Setup::new();
    setup.account("alice@example.org");
    setup.zone("remote.test MX 10 mx.remote.test");
    let remote = setup.remote("mx.remote.test", 2);
    remote.slow(".", Duration::from_millis(THINKS));
    let mut maddy = setup.start();
    for moment in MOMENTS {
        let text = message("alice@example.org", "carl@remote.test", &format!("mail {moment}"), "text");
        let before = remote.commands().iter().filter(|command| command.as_str() == "DATA").count();
        maddy.submit("alice@example.org").deliver("alice@example.org", &["carl@remote.test"], &text);
        eventually("the message is under way", || {
            (remote.commands().iter().filter(|command| command.as_str() == "DATA").count() > before)
                .then_some(())
        });
        thread::sleep(Duration::from_millis(moment));
        maddy.kill();
        maddy.start();
        eventually("the queue is empty", || {
            maddy.cli(&["queue", "list", "--json"]).ok().starts_with("[]").then_some(())
        });
    }
    let mut copies: BTreeMap<String, usize> = BTreeMap::new();
    for mail in remote.mails() {
        *copies.entry(field(&mail.message, "Subject").unwrap()).or_default() += 1;
    }
    println!("{copies:?}");
    for moment in MOMENTS {
        let count = copies.get(&format!("mail {moment}")).copied().unwrap_or(0);
        assert!((1..=2).contains(&count), "killed after {moment} ms: {count} copies");
    }
}
