//! A stop is announced to whoever waits, and a mail that is under way is not cut off.

use nix::sys::signal::Signal;
use std::thread;
use tests::{Setup, eventually, message};

#[test]
fn readers_and_senders_hear_that_the_server_stops() {
    let mut setup = Setup::new();
    setup.account("alice@example.org");
    let mut maddy = setup.start();
    let mut alice = maddy.imap("alice@example.org");
    alice.ok("SELECT INBOX");
    alice.idle();
    let mut idle = maddy.smtp();
    let mut submitting = maddy.submit("alice@example.org");
    let heard = thread::spawn(move || {
        alice.wait_for("* BYE *");
        idle.expect("421 4.3.2*");
        submitting.expect("421 4.3.2*");
        for chat in [&mut *idle, &mut *submitting] {
            chat.expect_end();
        }
    });
    let status = maddy.end_with(Signal::SIGTERM);
    assert!(status.success(), "{status}");
    heard.join().unwrap();
}

#[test]
fn what_was_sent_before_the_stop_is_there_after_it() {
    let mut setup = Setup::new();
    setup.account("alice@example.org");
    let mut maddy = setup.start();
    let mut smtp = maddy.smtp();
    let sending = thread::spawn(move || {
        let mut accepted = 0;
        loop {
            let text = message("eve@remote.test", "alice@example.org", &format!("mail {accepted}"), "text");
            match smtp.try_deliver("eve@remote.test", &["alice@example.org"], &text) {
                Ok(true) => accepted += 1,
                Ok(false) | Err(_) => return accepted,
            }
        }
    });
    let mut alice = maddy.imap("alice@example.org");
    eventually("mail comes in", || (alice.count("INBOX") >= 20).then_some(()));
    drop(alice);
    maddy.stop();
    let accepted: usize = sending.join().unwrap();
    maddy.start();
    assert_eq!(maddy.imap("alice@example.org").count("INBOX"), accepted);
}
