//! What waits in the queue survives the end of the daemon, and goes out once it is back.

use std::collections::BTreeSet;
use tests::{Setup, eventually, field, message};

const MAILS: usize = 40;

#[test]
fn a_queue_survives_a_stop_and_a_start() {
    let mut setup = Setup::new();
    setup.account("alice@example.org");
    setup.zone("remote.test MX 10 mx.remote.test");
    let remote = setup.remote("mx.remote.test", 2);
    remote.stop();
    let mut maddy = setup.start();
    let mut alice = maddy.submit("alice@example.org");
    for n in 0..MAILS {
        let text = message("alice@example.org", "carl@remote.test", &format!("mail {n}"), "text");
        alice.deliver("alice@example.org", &["carl@remote.test"], &text);
    }
    drop(alice);
    maddy.stop();
    remote.start_again();
    maddy.start();
    let mails = remote.wait_mails(MAILS);
    let subjects: BTreeSet<String> =
        mails.iter().map(|mail| field(&mail.message, "Subject").unwrap()).collect();
    assert_eq!(subjects.len(), MAILS);
    assert_eq!(mails.len(), MAILS, "some went out twice");
    eventually("the queue is empty", || {
        maddy.cli(&["queue", "list", "--json"]).ok().starts_with("[]").then_some(())
    });
}

/// One after the other, as they came.
#[test]
fn what_waited_goes_out_in_its_order() {
    let mut setup = Setup::new();
    setup.account("alice@example.org");
    setup.zone("remote.test MX 10 mx.remote.test");
    setup.option("delivery", "concurrency-per-destination 1");
    let remote = setup.remote("mx.remote.test", 2);
    let mut maddy = setup.start();
    let mut alice = maddy.submit("alice@example.org");
    for n in 0..MAILS {
        // Late enough to be there at the next start, untried.
        alice.command("MAIL FROM:<alice@example.org> HOLDFOR=8", "250*");
        alice.command("RCPT TO:<carl@remote.test>", "250*");
        alice.data(&message("alice@example.org", "carl@remote.test", &format!("mail {n}"), "text"), "250*");
    }
    drop(alice);
    maddy.kill();
    maddy.start();
    let mails = remote.wait_mails(MAILS);
    let subjects: Vec<String> = mails.iter().map(|mail| field(&mail.message, "Subject").unwrap()).collect();
    assert_eq!(subjects, (0..MAILS).map(|n| format!("mail {n}")).collect::<Vec<_>>());
}
