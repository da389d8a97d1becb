//! Backups while mail comes in, and restores: what readers see is the same, and what they have seen is never said of
//! anything else. kill -9 in the middle, and disks without room, leave no halves.

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use tests::{Daemon, Output, Setup, assert_like, binary, eventually, message};

fn path(maddy: &Daemon, name: &str) -> String {
    maddy.setup.dir().join(name).display().to_string()
}

/// A mail whose body lies in a file of its own.
fn large(number: u64) -> String {
    let line = format!("{number:08} a line of a large mail that does not fit into the database\n");
    message("eve@remote.test", "bob@example.org", &format!("Large {number}"), &line.repeat(6000))
}

fn fill(maddy: &Daemon, account: &str, count: u64) {
    let mut stranger = maddy.smtp();
    for number in 0..count {
        stranger.deliver("eve@remote.test", &[account], &large(number));
        let small = message("eve@remote.test", account, &format!("Small {number}"), "text");
        stranger.deliver("eve@remote.test", &[account], &small);
    }
}

/// Another state directory, beside that of the daemon, with a configuration of its own.
fn restored(maddy: &Daemon, from: &str) -> Output {
    let state = path(maddy, "restored");
    maddy.cli(&["restore", from, "--state-dir", &state, "--json"])
}

/// Stops the daemon, puts the restored state in the place of its own, and starts it again.
fn exchange(maddy: &mut Daemon) {
    maddy.stop();
    let state = maddy.setup.state_dir();
    std::fs::rename(&state, state.with_extension("old")).unwrap();
    std::fs::rename(path(maddy, "restored"), &state).unwrap();
    maddy.start();
}

fn spawn(maddy: &Daemon, arguments: &[&str]) -> Child {
    let mut command = Command::new(binary());
    command.arg("--config").arg(maddy.setup.config_file()).args(arguments);
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap()
}

/// Files at or below a directory, drafts included.
fn files(dir: &Path) -> Vec<PathBuf> {
    let Ok(entries) = std::fs::read_dir(dir) else { return Vec::new() };
    let mut list = Vec::new();
    for entry in entries.flatten() {
        if entry.path().is_dir() { list.extend(files(&entry.path())) } else { list.push(entry.path()) }
    }
    list
}

#[test]
fn a_backup_under_load_brings_everything_back() {
    let mut setup = Setup::new();
    setup.account("alice@example.org");
    setup.account("bob@example.org");
    let mut maddy = setup.start();
    fill(&maddy, "bob@example.org", 15);
    maddy.imap("bob@example.org").ok("SELECT INBOX");
    maddy.cli(&["imap-msgs", "add-flags", "bob@example.org", "INBOX", "2:9", "seen", "$Work"]).ok();
    let bob = maddy.imap("bob@example.org").picture();
    let (over, came) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
    let load: Vec<_> = (0..2)
        .map(|_| {
            let (mut smtp, over, came) = (maddy.smtp(), over.clone(), came.clone());
            thread::spawn(move || {
                while !over.load(Ordering::SeqCst) {
                    let number = came.fetch_add(1, Ordering::SeqCst);
                    let text = if number % 4 == 0 {
                        large(number)
                    } else {
                        message("eve@remote.test", "alice@example.org", "x", "y")
                    };
                    smtp.deliver("eve@remote.test", &["alice@example.org"], &text);
                }
            })
        })
        .collect();
    eventually("mail comes", || (came.load(Ordering::SeqCst) > 10).then_some(()));
    let to = path(&maddy, "backup");
    let acknowledged = maddy.imap("alice@example.org").count("INBOX");
    maddy.cli(&["backup", &to]).ok();
    let during = came.load(Ordering::SeqCst);
    over.store(true, Ordering::SeqCst);
    load.into_iter().for_each(|thread| thread.join().unwrap());
    println!("{acknowledged} mails were there when the backup began, {during} had come when it ended");
    let alice = maddy.imap("alice@example.org").picture();
    let verified = maddy.cli(&["verify"]).ok();
    assert_like(&verified, "*all is well*");

    // Nothing new since: nothing is copied but what has changed of the database.
    let again = maddy.cli(&["backup", &to, "--json"]).ok();
    let again: serde_json::Value = serde_json::from_str(&again).unwrap();
    assert!(again["bodies"].as_u64().unwrap() >= 15);
    let list = maddy.cli(&["backup", &to, "--list", "--json"]).ok();
    let list: serde_json::Value = serde_json::from_str(&list).unwrap();
    assert_eq!(list.as_array().unwrap().len(), 2);
    assert_like(&maddy.cli(&["backup", &to, "--verify"]).ok(), "2 backups, *, 0 of them wrong*");
    let third = maddy.cli(&["backup", &to, "--keep", "2", "--json"]).ok();
    assert_like(&third, "*\"new_bodies\": 0*");
    assert_like(&third, &format!("*\"removed\": [*{}*]*", list[0]["backup"].as_str().unwrap()));

    let first = path(&maddy, "first");
    maddy.cli(&["backup", &first]).ok();
    restored(&maddy, &first).ok();
    exchange(&mut maddy);
    assert!(maddy.imap("bob@example.org").picture() == bob, "another picture of bob");
    assert!(maddy.imap("alice@example.org").picture() == alice, "another picture of alice");
    assert_like(&maddy.cli(&["verify"]).ok(), "*all is well*");
    let text = message("eve@remote.test", "bob@example.org", "After", "text");
    maddy.smtp().deliver("eve@remote.test", &["bob@example.org"], &text);
}

#[test]
fn a_backup_made_under_load_is_a_moment_of_it() {
    let mut setup = Setup::new();
    setup.account("alice@example.org");
    let mut maddy = setup.start();
    let over = Arc::new(AtomicBool::new(false));
    let (mut smtp, stop) = (maddy.smtp(), over.clone());
    let load = thread::spawn(move || {
        for number in 0_u64.. {
            if stop.load(Ordering::SeqCst) {
                return;
            }
            let text = if number % 3 == 0 {
                large(number)
            } else {
                message("eve@remote.test", "alice@example.org", &format!("Mail {number}"), "text")
            };
            smtp.deliver("eve@remote.test", &["alice@example.org"], &text);
        }
    });
    // Somebody takes mail away meanwhile.
    let (mut reader, stop) = (maddy.imap("alice@example.org"), over.clone());
    let taker = thread::spawn(move || {
        while !stop.load(Ordering::SeqCst) {
            if reader.count("INBOX") > 20 {
                reader.ok("STORE 1:10 +FLAGS (\\Deleted)");
                reader.ok("EXPUNGE");
            }
        }
    });
    eventually("mail comes", || (maddy.imap("alice@example.org").count("INBOX") > 8).then_some(()));
    let to = path(&maddy, "backup");
    for _ in 0..3 {
        maddy.cli(&["backup", &to, "--keep", "1"]).ok();
    }
    over.store(true, Ordering::SeqCst);
    load.join().unwrap();
    taker.join().unwrap();
    restored(&maddy, &to).ok();
    exchange(&mut maddy);
    let picture = maddy.imap("alice@example.org").picture();
    let subjects: Vec<&str> = picture["INBOX"]
        .1
        .iter()
        .map(|text| text.split("\r\nSubject: ").nth(1).unwrap().split("\r\n").next().unwrap())
        .collect();
    let number = |subject: &&str| subject.split(' ').next_back().unwrap().parse::<u64>().unwrap();
    let numbers: Vec<u64> = subjects.iter().map(number).collect();
    assert!(!numbers.is_empty());
    // One after the other, without a gap: a moment of what went on.
    assert!(numbers.windows(2).all(|pair| pair[1] == pair[0] + 1), "{numbers:?}");
    assert_like(&maddy.cli(&["verify"]).ok(), "*all is well*");
}

#[test]
fn what_is_killed_leaves_no_half() {
    let mut setup = Setup::new();
    setup.account("bob@example.org");
    let mut maddy = setup.start();
    fill(&maddy, "bob@example.org", 60);
    let bob = maddy.imap("bob@example.org").picture();
    let to = path(&maddy, "backup");
    for wanted in [1, 20, 50] {
        let mut child = spawn(&maddy, &["backup", &to]);
        let bodies = Path::new(&to).join("bodies");
        eventually("bodies are copied", || {
            (files(&bodies).len() >= wanted || child.try_wait().unwrap().is_some()).then_some(())
        });
        let _ = child.kill();
        let _ = child.wait();
    }
    // The daemon may go in the middle as well.
    let mut child = spawn(&maddy, &["backup", &to]);
    thread::sleep(std::time::Duration::from_millis(200));
    maddy.kill();
    let _ = child.wait();
    maddy.start();
    maddy.cli(&["backup", &to]).ok();
    assert_like(&maddy.cli(&["backup", &to, "--verify"]).ok(), "*, 0 of them wrong*");
    let drafts = files(Path::new(&to)).into_iter().filter(|file| file.to_string_lossy().contains("/.new-"));
    assert_eq!(drafts.count(), 0);

    maddy.stop();
    let state = maddy.setup.state_dir();
    let refused = maddy.cli(&["restore", &to]).fails();
    assert_like(&refused, "*the state directory is not empty*--set-aside*");
    for wanted in [1, 10, 40] {
        let mut child = spawn(&maddy, &["restore", &to, "--set-aside", "--yes"]);
        let draft = state.join(".restoring");
        eventually("files are restored", || {
            (files(&draft).len() >= wanted || child.try_wait().unwrap().is_some()).then_some(())
        });
        let _ = child.kill();
        let ended = child.wait().unwrap().success();
        if !ended {
            assert_like(&maddy.start_fails(), "*a restore was begun here and has not ended*");
        }
    }
    maddy.cli(&["restore", &to, "--set-aside", "--yes"]).ok();
    maddy.start();
    assert!(maddy.imap("bob@example.org").picture() == bob, "another picture");
    assert_like(&maddy.cli(&["verify"]).ok(), "*all is well*");
}

/// The daemon is started anew while a backup is under way, and everything that the backup names is taken away after that.
#[test]
fn a_restart_meanwhile_takes_nothing_from_a_backup() {
    let mut setup = Setup::new();
    setup.account("bob@example.org");
    let mut maddy = setup.start();
    fill(&maddy, "bob@example.org", 120);
    let bob = maddy.imap("bob@example.org").picture();
    let to = path(&maddy, "backup");
    let child = Command::new(binary())
        .arg("--config")
        .arg(maddy.setup.config_file())
        .args(["backup", &to, "--json"])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let pid = Pid::from_raw(child.id() as i32);
    eventually("the first bodies are copied", || {
        (!files(&Path::new(&to).join("bodies")).is_empty()).then_some(())
    });
    kill(pid, Signal::SIGSTOP).unwrap();
    let copied = files(&Path::new(&to).join("bodies")).len();
    assert!(copied < 120, "the backup was too fast to be stopped");
    maddy.stop();
    maddy.start();
    let mut reader = maddy.imap("bob@example.org");
    reader.ok("SELECT INBOX");
    reader.ok("STORE 1:* +FLAGS (\\Deleted)");
    reader.ok("EXPUNGE");
    drop(reader);
    maddy.stop();
    maddy.start();
    assert_eq!(files(&maddy.setup.state_dir().join("bodies")).len(), 120);
    kill(pid, Signal::SIGCONT).unwrap();
    let done = Output::of(child.wait_with_output().unwrap()).ok();
    assert_like(&done, "*\"bodies\": 120*\"damaged\": []*");
    // It is over: what nobody uses goes.
    let bodies = maddy.setup.state_dir().join("bodies");
    eventually("what nobody uses is gone", || files(&bodies).is_empty().then_some(()));
    assert!(!maddy.setup.state_dir().join("backup-hold").exists());
    restored(&maddy, &to).ok();
    exchange(&mut maddy);
    assert!(maddy.imap("bob@example.org").picture() == bob, "another picture of bob");
}

#[test]
fn a_disk_without_room_leaves_the_backup_before() {
    let mut setup = Setup::new();
    setup.account("bob@example.org");
    let maddy = setup.start();
    fill(&maddy, "bob@example.org", 2);
    let to = path(&maddy, "backup");
    maddy.cli(&["backup", &to]).ok();
    fill(&maddy, "bob@example.org", 4);
    let script = "ulimit -f 200; trap '' XFSZ; exec \"$0\" \"$@\"";
    let output = Command::new("bash")
        .args(["-c", script])
        .arg(binary())
        .arg("--config")
        .arg(maddy.setup.config_file())
        .args(["backup", &to])
        .output()
        .unwrap();
    assert!(!output.status.success(), "{output:?}");
    assert_like(&maddy.cli(&["backup", &to, "--verify"]).ok(), "1 backups, *, 0 of them wrong*");
    maddy.cli(&["backup", &to]).ok();
    assert_like(&maddy.cli(&["backup", &to, "--verify"]).ok(), "2 backups, *, 0 of them wrong*");
}

#[test]
fn what_has_changed_on_the_disk_is_found_and_what_can_be_is_mended() {
    let mut setup = Setup::new();
    setup.account("bob@example.org");
    setup.expect_errors();
    let maddy = setup.start();
    fill(&maddy, "bob@example.org", 2);
    assert_like(&maddy.cli(&["verify", "--json"]).ok(), "*\"bodies\": 4*\"findings\": []*");
    let bodies = maddy.setup.state_dir().join("bodies");
    let file = files(&bodies).remove(0);
    let mut octets = std::fs::read(&file).unwrap();
    octets[5] ^= 1;
    std::fs::write(&file, &octets).unwrap();
    let stray = file.with_file_name("feedbeef-word-1");
    std::fs::write(&stray, "x").unwrap();
    let old = std::time::SystemTime::now() - std::time::Duration::from_secs(7200);
    std::fs::File::options().write(true).open(&stray).unwrap().set_modified(old).unwrap();
    let found = maddy.cli(&["verify"]);
    assert_like(
        &found.stdout,
        "*its octets have changed*feedbeef-word-1: no message uses this file*2 findings*",
    );
    found.fails();
    let damaged = maddy.cli(&["backup", &path(&maddy, "backup")]);
    assert_like(&damaged.fails(), "*damaged: the body*");
    let mended = maddy.cli(&["verify", "--repair"]);
    assert_like(&mended.stdout, "*mended: 1 files that no message used*its octets have changed*1 finding*");
    assert!(!stray.exists());
    octets[5] ^= 1;
    std::fs::write(&file, &octets).unwrap();
    assert_like(&maddy.cli(&["verify"]).ok(), "*all is well*");
}
