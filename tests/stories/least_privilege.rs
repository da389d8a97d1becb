//! What an intruder would find: a process that is nobody, sees no files but its own, and starts no programs.

use nix::unistd::{Gid, Uid, User, chown, geteuid};
use std::fs;
use std::os::unix::fs::{MetadataExt, symlink};
use std::path::Path;
use tests::{Chat, Daemon, Setup, Smtp, assert_like, message};

/// A user without anything, which every system has.
const NOBODY: &str = "nobody";

/// The lines of the status of every thread, as one text.
fn threads(maddy: &Daemon) -> Vec<String> {
    let tasks = fs::read_dir(format!("/proc/{}/task", maddy.id())).unwrap();
    let read =
        |task: std::io::Result<fs::DirEntry>| fs::read_to_string(task.ok()?.path().join("status")).ok();
    tasks.filter_map(read).collect()
}

fn has_landlock(maddy: &Daemon) -> bool {
    maddy.wait_log("*least privilege*").contains("landlock=\"ABI")
}

fn skip(name: &str, why: &str) {
    if let Some(path) = std::env::var_os("MADDY_TESTS_SKIPPED") {
        use std::io::Write;
        let mut file = fs::File::options().append(true).create(true).open(path).unwrap();
        writeln!(file, "{name}: {why}").unwrap();
    }
}

#[test]
fn every_thread_is_held() {
    let mut setup = Setup::new();
    setup.account("alice@example.org");
    let maddy = setup.start();
    let text = message("eve@remote.test", "alice@example.org", "One", "text");
    maddy.smtp().deliver("eve@remote.test", &["alice@example.org"], &text);
    assert_eq!(maddy.imap("alice@example.org").count("INBOX"), 1);
    maddy.wait_log("*least privilege*seccomp=\"the calls of a mail server only*");
    let threads = threads(&maddy);
    assert!(threads.len() >= 3, "{threads:?}");
    for status in threads {
        for line in ["Seccomp:\t2", "NoNewPrivs:\t1"] {
            assert!(status.lines().any(|found| found == line), "{line}: {status}");
        }
    }
    let limits = fs::read_to_string(format!("/proc/{}/limits", maddy.id())).unwrap();
    let cores = limits.lines().find(|line| line.starts_with("Max core file size")).unwrap();
    assert_eq!(cores.split_whitespace().nth(4), Some("0"), "{cores}");
    let said = maddy.cli(&["--json", "doctor", "--all"]).stdout;
    assert!(said.contains("\"sandbox\""), "{said}");
}

#[test]
fn files_elsewhere_are_out_of_reach() {
    let mut setup = Setup::new();
    setup.account("alice@example.org");
    setup.expect_errors();
    let elsewhere = tempfile::tempdir().unwrap();
    let key = elsewhere.path().join("stolen.conf");
    fs::write(&key, "postmaster \"alice@example.org\"\n").unwrap();
    let mut maddy = setup.start();
    if !has_landlock(&maddy) {
        return skip("files_elsewhere_are_out_of_reach", "this kernel has no Landlock");
    }
    // Beside the configuration it is read, a link in its place is not followed to where the server has no business.
    let beside = maddy.setup.dir().join("more.conf");
    fs::copy(&key, &beside).unwrap();
    maddy.setup.config(&format!("include {:?}", beside.display().to_string()));
    maddy.write_config();
    maddy.cli(&["reload"]).ok();
    fs::remove_file(&beside).unwrap();
    symlink(&key, &beside).unwrap();
    let said = maddy.cli(&["reload"]).fails();
    assert_like(
        &said.replace('\n', " "),
        "*can be read after a restart only*more.conf cannot be read: permission denied*",
    );
    // Nor is anything written there: the directory of the signing keys leads elsewhere.
    let keys = maddy.setup.state_dir().join("dkim");
    fs::rename(&keys, maddy.setup.dir().join("dkim.old")).unwrap();
    symlink(elsewhere.path(), &keys).unwrap();
    fs::remove_file(&beside).unwrap();
    fs::write(&beside, "").unwrap();
    let said = maddy.cli(&["reload"]).fails();
    assert!(said.to_lowercase().contains("permission denied"), "{said}");
    assert_eq!(fs::read_dir(elsewhere.path()).unwrap().count(), 1, "a key was written elsewhere");
    // It serves on.
    let text = message("eve@remote.test", "alice@example.org", "One", "text");
    maddy.smtp().deliver("eve@remote.test", &["alice@example.org"], &text);
    // And after a restart the link leads somewhere that was named.
    fs::remove_file(&keys).unwrap();
    fs::rename(maddy.setup.dir().join("dkim.old"), &keys).unwrap();
    fs::remove_file(&beside).unwrap();
    symlink(&key, &beside).unwrap();
    maddy.stop();
    maddy.setup.config(&format!("sandbox {{ read {:?}; }}", elsewhere.path().display().to_string()));
    maddy.write_config();
    maddy.start();
    maddy.cli(&["reload"]).ok();
}

#[test]
fn it_can_be_switched_off_and_that_is_told() {
    let mut setup = Setup::new();
    setup.account("alice@example.org");
    setup.config("sandbox { landlock \"off\"; seccomp \"off\"; memory \"1GiB\"; }");
    let maddy = setup.start();
    maddy.wait_log("*WARN*the kernel does not hold the server back*what=\"seccomp\"*");
    for status in threads(&maddy) {
        assert!(status.contains("Seccomp:\t0"), "{status}");
    }
    let limits = fs::read_to_string(format!("/proc/{}/limits", maddy.id())).unwrap();
    let data = limits.lines().find(|line| line.starts_with("Max data size")).unwrap();
    assert_eq!(data.split_whitespace().nth(3), Some("1073741824"), "{data}");
    let said = maddy.cli(&["doctor"]).stdout;
    assert!(said.contains("Landlock off (switched off), seccomp off (switched off)"), "{said}");
}

#[test]
fn root_must_name_somebody_to_become() {
    if !geteuid().is_root() {
        return skip("root_must_name_somebody_to_become", "needs root");
    }
    let mut setup = Setup::new();
    setup.account("alice@example.org");
    let mut maddy = setup.start();
    maddy.stop();
    maddy.setup.user(None);
    maddy.write_config();
    assert_like(
        &maddy.start_fails(),
        "*maddy does not run as root: name the user that it becomes*user \"maddy\"*",
    );
    maddy.setup.user(Some("nobody-of-this-name"));
    maddy.write_config();
    assert_like(&maddy.start_fails(), "*there is no user nobody-of-this-name: make one with*");
}

#[test]
fn root_binds_the_ports_and_is_nobody_then() {
    if !geteuid().is_root() {
        return skip("root_binds_the_ports_and_is_nobody_then", "needs root");
    }
    let mut setup = Setup::new();
    let nobody = User::from_name(NOBODY).unwrap().expect("every system has it");
    give(setup.dir(), nobody.uid, nobody.gid);
    setup.user(Some(NOBODY));
    // An address of its own: other servers may have the port elsewhere.
    setup.option("smtp", "listen \"127.0.0.77:25\"");
    setup.account("alice@example.org");
    let mut maddy = setup.start();
    // The ports are open while it still is root.
    maddy.wait_log("*ready*");
    for status in threads(&maddy) {
        let ids = |name: &str| -> Vec<u32> {
            let line = status.lines().find_map(|line| line.strip_prefix(name)).unwrap();
            line.split_whitespace().map(|id| id.parse().unwrap()).collect()
        };
        assert_eq!(ids("Uid:"), [nobody.uid.as_raw(); 4]);
        assert_eq!(ids("Gid:"), [nobody.gid.as_raw(); 4]);
        assert!(!ids("Groups:").contains(&0), "{status}");
        let none = status.lines().filter(|line| line.starts_with("CapEff:") || line.starts_with("CapPrm:"));
        assert!(
            none.clone().count() == 2 && none.clone().all(|line| line.ends_with("\t0000000000000000")),
            "{status}"
        );
    }
    let text = message("eve@remote.test", "alice@example.org", "One", "text");
    let mut eve = Smtp::begin(Chat::connect_at("127.0.0.77", 25));
    eve.deliver("eve@remote.test", &["alice@example.org"], &text);
    assert_eq!(maddy.imap("alice@example.org").count("INBOX"), 1);
    owned_by(&maddy.setup.state_dir(), nobody.uid);
    maddy.cli(&["reload"]).ok();
    // Commands of root leave nothing behind that it cannot open.
    maddy.stop();
    maddy.cli(&["account", "list"]).ok();
    owned_by(&maddy.setup.state_dir(), nobody.uid);
    maddy.start();
    assert_eq!(maddy.imap("alice@example.org").count("INBOX"), 1);
}

fn give(path: &Path, uid: Uid, gid: Gid) {
    chown(path, Some(uid), Some(gid)).unwrap();
    if path.is_dir() {
        for entry in fs::read_dir(path).unwrap() {
            give(&entry.unwrap().path(), uid, gid);
        }
    }
}

fn owned_by(path: &Path, uid: Uid) {
    assert_eq!(fs::symlink_metadata(path).unwrap().uid(), uid.as_raw(), "{}", path.display());
    if path.is_dir() {
        for entry in fs::read_dir(path).unwrap() {
            owned_by(&entry.unwrap().path(), uid);
        }
    }
}
