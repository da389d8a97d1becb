//! The command line beside a running daemon: what it changes is seen by connected readers at once.

use tests::{Chat, Imap, PASSWORD, Setup, assert_like, message};

#[test]
fn a_waiting_reader_sees_what_commands_change() {
    let mut setup = Setup::new();
    setup.account("alice@example.org");
    let maddy = setup.start();
    let mut alice = maddy.imap("alice@example.org");
    alice.ok("SELECT INBOX");
    alice.idle();
    let text = message("note@example.org", "alice@example.org", "By hand", "text");
    let command = |arguments: &[&str]| maddy.cli(arguments).ok();
    maddy.cli_with(&["imap-msgs", "add", "alice@example.org", "INBOX"], &text).ok();
    alice.wait_for("* 1 EXISTS");
    command(&["imap-msgs", "add-flags", "alice@example.org", "INBOX", "1", "flagged"]);
    alice.wait_for("* 1 FETCH (*FLAGS (*\\Flagged*)*");
    command(&["imap-mboxes", "create", "alice@example.org", "Projects/One"]);
    command(&["imap-msgs", "move", "alice@example.org", "INBOX", "1", "Projects/One"]);
    alice.wait_for("* 1 EXPUNGE");
    alice.done();
    assert_eq!(alice.count("Projects/One"), 1);
    assert!(alice.text(1).ends_with(&text));
    assert_like(
        &command(&["imap-msgs", "dump", "alice@example.org", "Projects/One", "1"]),
        "*Subject: By hand*",
    );
    assert_like(&command(&["imap-msgs", "list", "alice@example.org", "Projects/One", "--json"]), "*By hand*");
}

#[test]
fn accounts_come_change_and_go_while_the_daemon_runs() {
    let mut setup = Setup::new();
    setup.account("alice@example.org");
    let maddy = setup.start();
    let log_in = |name: &str, password: &str| {
        let mut imap = Imap::begin(Chat::connect(maddy.ports().imap));
        imap.run(&format!("LOGIN {name} \"{password}\"")).pop().unwrap()
    };
    maddy.cli_with(&["account", "add", "carol@example.net"], "her first password\n").ok();
    assert_like(&log_in("carol@example.net", "her first password"), "OK*");
    assert_like(&maddy.cli(&["account", "list", "--json"]).ok(), "*alice@example.org*carol@example.net*");
    maddy.cli_with(&["account", "add", "carol@example.net"], "another password\n").fails();
    maddy.cli_with(&["account", "password", "carol@example.net"], "her second password\n").ok();
    assert_like(&log_in("carol@example.net", "her first password"), "NO *AUTHENTICATIONFAILED*");
    assert_like(&log_in("carol@example.net", "her second password"), "OK*");
    maddy.cli_with(&["creds", "verify", "carol@example.net"], "her second password\n").ok();
    maddy.cli_with(&["creds", "verify", "carol@example.net"], "her first password\n").fails();
    maddy.cli(&["account", "rename", "carol@example.net", "caroline@example.net"]).ok();
    assert_like(&log_in("caroline@example.net", "her second password"), "OK*");
    maddy.cli(&["account", "remove", "--yes", "caroline@example.net"]).ok();
    assert_like(&log_in("caroline@example.net", "her second password"), "NO *AUTHENTICATIONFAILED*");
    let mut stranger = maddy.smtp();
    stranger.command("MAIL FROM:<eve@remote.test>", "250*");
    stranger.command("RCPT TO:<caroline@example.net>", "550 5.1.1*");
}

#[test]
fn the_same_commands_work_without_a_daemon() {
    let mut setup = Setup::new();
    setup.account("alice@example.org");
    let mut maddy = setup.start();
    maddy.stop();
    let text = message("note@example.org", "alice@example.org", "Offline", "text");
    maddy.cli_with(&["imap-msgs", "add", "alice@example.org", "INBOX"], &text).ok();
    maddy.cli_with(&["account", "add", "dave@example.org"], &format!("{PASSWORD}\n")).ok();
    maddy.start();
    assert_eq!(maddy.imap("alice@example.org").count("INBOX"), 1);
    assert_eq!(maddy.imap("dave@example.org").count("INBOX"), 0);
}
