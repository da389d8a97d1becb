//! kill -9 of the daemon and of the command in the middle of an import: in the end every message is there once.

use crate::moving_in_and_out::maildir;
use std::process::{Child, Command, Stdio};
use tests::{Daemon, Setup, binary, eventually};

const MESSAGES: u64 = 3000;

fn begin(maddy: &Daemon, source: &str) -> Child {
    let mut command = Command::new(binary());
    command.arg("--config").arg(maddy.setup.config_file());
    command.args(["import", "maildir", source, "alice@example.org"]);
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap()
}

/// Messages that the account has.
fn count(maddy: &Daemon) -> u64 {
    let told = maddy.cli(&["imap-acct", "stat", "alice@example.org", "--json"]).ok();
    serde_json::from_str::<serde_json::Value>(&told).unwrap()["messages"].as_u64().unwrap()
}

/// Waits until more have come; what there are then.
fn wait_more(maddy: &Daemon, child: &mut Child, than: u64) -> u64 {
    eventually("messages come", || {
        let now = count(maddy);
        (now > than || child.try_wait().unwrap().is_some()).then_some(now)
    })
}

#[test]
fn an_import_that_is_killed_goes_on_where_it_was() {
    let mut setup = Setup::new();
    setup.account("alice@example.org");
    setup.account("bob@example.org");
    let mut maddy = setup.start();
    let source = maddy.setup.dir().join("Maildir");
    maildir(&source, MESSAGES);
    let source = source.display().to_string();
    let mut there = 0;
    for round in 0..4 {
        let mut child = begin(&maddy, &source);
        there = wait_more(&maddy, &mut child, there);
        if round % 2 == 0 {
            maddy.kill();
            let _ = child.wait();
            maddy.start();
        } else {
            child.kill().unwrap();
            let _ = child.wait();
        }
    }
    println!("{there} of {MESSAGES} messages had come when it was broken off for the last time");
    maddy.cli(&["import", "maildir", &source, "alice@example.org"]).ok();
    assert_eq!(count(&maddy), MESSAGES);
    maddy.cli(&["import", "maildir", &source, "bob@example.org"]).ok();
    let (alice, bob) = (maddy.imap("alice@example.org").picture(), maddy.imap("bob@example.org").picture());
    assert!(alice == bob, "another picture than of an import in one go");
    // Without a daemon it works as well, and finds that all is there.
    maddy.stop();
    let ledger = maddy.cli(&["import", "maildir", &source, "alice@example.org", "--json"]).ok();
    assert!(ledger.contains("\"imported\": 0"), "{ledger}");
}
