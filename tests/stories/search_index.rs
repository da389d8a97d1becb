//! The search index of an account: made by command, told about, and thrown away without harm.

use tests::{Setup, assert_like, message};

#[test]
fn the_index_is_made_by_command_and_may_be_deleted() {
    let mut setup = Setup::new();
    setup.account("alice@example.org");
    let maddy = setup.start();
    let add = |subject: &str, text: &str| {
        let text = message("note@example.org", "alice@example.org", subject, text);
        maddy.cli_with(&["imap-msgs", "add", "alice@example.org", "INBOX"], &text).ok();
    };
    for number in 0..20 {
        add(&format!("Note {number}"), if number == 7 { "a pineapple" } else { "nothing" });
    }
    assert_like(&maddy.cli(&["imap-acct", "stat", "alice@example.org"]).ok(), "*search index  none*");
    let index = maddy.cli(&["imap-acct", "reindex", "alice@example.org"]).ok();
    assert_like(&index, "*the search index of alice@example.org has 20 messages*");
    assert_like(&maddy.cli(&["imap-acct", "stat", "alice@example.org"]).ok(), "*search index  20 messages*");
    let stat = maddy.cli(&["imap-acct", "stat", "alice@example.org", "--json"]).ok();
    assert_like(&stat, "*\"indexed\": 20*\"messages\": 20*");
    let mut alice = maddy.imap("alice@example.org");
    alice.ok("SELECT INBOX");
    let find = |alice: &mut tests::Imap| alice.run("SEARCH TEXT \"PineApple\"").join("\n");
    assert_like(&find(&mut alice), "* SEARCH 8\n*");
    let folder = maddy.setup.state_dir().join("search");
    for entry in std::fs::read_dir(&folder).unwrap() {
        std::fs::remove_file(entry.unwrap().path()).unwrap();
    }
    assert_like(&find(&mut alice), "* SEARCH 8\n*");
    add("Note 20", "another pineapple");
    alice.ok("NOOP");
    assert_like(&find(&mut alice), "* SEARCH 8 21\n*");
    maddy.cli(&["imap-acct", "reindex", "nobody@example.org"]).fails();
}
