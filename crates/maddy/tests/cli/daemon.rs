//! `run`, `reload`, and commands beside a daemon that runs.

use crate::house::{House, LISTEN};
use crate::line::Line;
use std::net::TcpStream;

#[test]
fn commands_work_on_the_daemon_and_its_readers_see_it() {
    let house = House::new();
    house.run_with(&["account", "add", "a@example.org"], b"secret\n").ok();
    let mut daemon = house.daemon();
    let mut imap = Line::connect(daemon.port("imap"));
    imap.read();
    imap.say("1 LOGIN a@example.org secret", "1 OK");
    imap.say("2 SELECT INBOX", "2 OK");
    imap.say("3 IDLE", "+");
    house.run_with(&["imap-msgs", "add", "a@example.org", "INBOX"], b"Subject: x\n\ny\n").ok();
    imap.until("* 1 EXISTS");
    house.run(&["imap-msgs", "add-flags", "a@example.org", "INBOX", "1", "flagged"]).ok();
    assert!(imap.until("* 1 FETCH").contains("\\Flagged"));
    house.run(&["imap-msgs", "remove", "a@example.org", "INBOX", "1", "-y"]).ok();
    imap.until("* 1 EXPUNGE");

    house.run_with(&["account", "add", "b@example.org"], b"secret\n").ok();
    let mut other = Line::connect(daemon.port("imap"));
    other.read();
    other.say("1 LOGIN b@example.org secret", "1 OK");
    house.run_with(&["account", "password", "b@example.org"], b"changed\n").ok();
    let mut third = Line::connect(daemon.port("imap"));
    third.read();
    third.say("1 LOGIN b@example.org secret", "1 NO");
    third.say("2 LOGIN b@example.org changed", "2 OK");
    let elsewhere = house.run(&["-s", "state", "account", "list"]).ok();
    assert_eq!(elsewhere, house.run(&["account", "list"]).ok());
    assert_eq!(daemon.stop(), 0);
    assert!(!house.path("state/control.sock").exists());
    house.run(&["account", "list"]).ok();
}

#[test]
fn a_reload_drops_no_connection_and_a_bad_one_changes_nothing() {
    let house = House::new();
    let mut daemon = house.daemon();
    let smtp = daemon.port("smtp");
    let mut before = Line::connect(smtp);
    before.read();

    house.configure(&format!("{LISTEN}smtp {{ }}\nnonsense 1\n"));
    let err = house.run(&["reload"]).fails(2);
    assert!(err.contains("unknown option `nonsense`") && err.contains("`smtp` is given twice"), "{err}");
    assert!(err.ends_with("2 problems; nothing was changed\n"), "{err}");
    daemon.signal("HUP");
    daemon.wait_log("maddy.conf:11:1: unknown option `nonsense`");
    daemon.wait_log("the old configuration stays problems=2");
    before.say("NOOP", "250");

    house.configure(&LISTEN.replace("smtp {", "smtp { banner \"changed\";"));
    assert_eq!(house.run(&["reload"]).ok(), "the configuration was read again\n");
    before.say("NOOP", "250");
    assert!(Line::connect(smtp).read().contains("changed"));

    // A port that is not wanted any more is closed; a new one is open.
    let config = LISTEN.replacen("127.0.0.1:0", "127.0.0.1:0\"; listen \"127.0.0.2:0", 1);
    house.configure(&config);
    daemon.signal("HUP");
    daemon.wait_log("address=127.0.0.2:");
    daemon.wait_log("the configuration was read again");
    house.configure(&LISTEN.replacen("127.0.0.1:0", "127.0.0.2:0", 1));
    house.run(&["reload"]).ok();
    let closed = daemon.wait_log("closed door=\"smtp\"");
    assert!(closed.contains("127.0.0.1:"), "{closed}");
    before.say("NOOP", "250");
    assert!(TcpStream::connect(("127.0.0.1", smtp)).is_err());

    house.configure(&LISTEN.replacen("127.0.0.1:0", "192.0.2.1:25", 1));
    let err = house.run(&["reload"]).fails(1);
    assert!(err.contains("192.0.2.1:25 (smtp) is no address of this machine"), "{err}");
    house.configure(&format!("{LISTEN}storage {{ readers 7; }}"));
    assert!(house.run(&["reload"]).fails(1).contains("`storage` has changed, which needs a restart"));
    house.configure(&format!("{LISTEN}runtime-dir \"elsewhere\""));
    daemon.signal("HUP");
    daemon.wait_log("`runtime-dir` has changed, which needs a restart");
    let err = house.run(&["reload"]).fails(1);
    assert!(err.starts_with("maddy: no daemon answers at elsewhere/control.sock"), "{err}");
    assert!(err.contains("`runtime-dir` was changed since its start, it must be restarted"), "{err}");
    house.configure(LISTEN);
    let value: serde_json::Value = serde_json::from_str(&house.run(&["reload", "--json"]).ok()).unwrap();
    assert!(value["reloaded"].as_str().unwrap().ends_with("maddy.conf"), "{value}");
    assert_eq!(daemon.stop(), 0);
}

#[test]
fn two_daemons_do_not_share_a_state() {
    let house = House::new();
    let mut daemon = house.daemon();
    let err = house.run(&["run"]).err;
    assert!(err.contains("another maddy runs on this state directory"), "{err}");
    assert_eq!(daemon.stop(), 0);
    let err = house.run(&["reload"]).fails(1);
    assert!(err.starts_with("maddy: no daemon answers at state/control.sock"), "{err}");
    assert!(err.ends_with("If none runs, start it with `maddy run`\n"), "{err}");
}

#[test]
fn commands_and_a_start_do_not_get_in_each_others_way() {
    let house = House::new();
    house.run(&["account", "list", "--json"]).ok();
    std::thread::scope(|scope| {
        let commands =
            scope.spawn(|| (0..30).for_each(|_| _ = house.run(&["account", "list", "--json"]).ok()));
        for _ in 0..3 {
            assert_eq!(house.daemon().stop(), 0);
        }
        commands.join().unwrap();
    });
}

#[test]
fn a_crash_leaves_nothing_in_the_way() {
    let house = House::new();
    let mut daemon = house.daemon();
    daemon.signal("KILL");
    daemon.wait();
    assert!(house.path("state/control.sock").exists());
    house.run(&["account", "list", "--json"]).ok();
    let mut daemon = house.daemon();
    assert_eq!(daemon.stop(), 0);
}

#[test]
fn a_lock_without_a_daemon_is_explained() {
    let house = House::new();
    house.configure(&format!("{LISTEN}runtime-dir \"one\""));
    let mut daemon = house.daemon();
    house.configure(&format!("{LISTEN}runtime-dir \"two\""));
    let err = house.run(&["account", "list"]).fails(1);
    assert_eq!(
        err,
        "maddy: another process holds state/maddy.lock, and no daemon answers at two/control.sock: if a daemon runs with \
         another `runtime-dir`, name its configuration with --config; otherwise wait for the other command to end\n"
    );
    assert_eq!(daemon.stop(), 0);
}

#[test]
fn the_log_can_be_json() {
    let house = House::new();
    house.configure(&format!("{LISTEN}log format=json"));
    let mut daemon = house.start(&["run"]);
    let ready = daemon.wait_log("\"ready\"");
    let mut smtp = Line::connect(port_of(&mut daemon, &house));
    smtp.read();
    smtp.say("QUIT", "221");
    assert_eq!(daemon.stop(), 0);
    for line in daemon.log().lines().chain([ready.as_str()]) {
        let value: serde_json::Value =
            serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"));
        assert!(value["level"].is_string() && value["timestamp"].is_string(), "{line}");
    }
}

/// The port of SMTP from a log in JSON.
fn port_of(daemon: &mut crate::house::Daemon, house: &House) -> u16 {
    let listening = daemon.seen("\"door\":\"smtp\"");
    let value: serde_json::Value = serde_json::from_str(&listening).unwrap();
    let address =
        value["address"].as_str().unwrap_or_else(|| panic!("{listening} in {}", house.dir().display()));
    address.rsplit(':').next().unwrap().parse().unwrap()
}

#[test]
fn a_taken_address_is_one_sentence() {
    let house = House::new();
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap();
    house.configure(&LISTEN.replacen("127.0.0.1:0", &address.to_string(), 1));
    let run = house.run(&["run"]);
    assert_eq!(run.status, 1);
    let last = run.err.lines().last().unwrap();
    assert_eq!(
        last,
        format!(
            "maddy: {address} (smtp) is taken by another program; stop that program, or give smtp another address"
        )
    );
}
