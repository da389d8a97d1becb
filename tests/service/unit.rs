//! The unit and what goes with it, as systemd understands them.

use crate::program::{is_missing, run};
use crate::source;
use nix::unistd::geteuid;
use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;
use tempfile::TempDir;

/// Most exposure that `systemd-analyze security` may find, of 10: with the capability, and with the sockets of systemd. What is
/// left is that a mail server talks to the network and to local programs.
const EXPOSURE_MAX: f64 = 1.4;
const EXPOSURE_WITH_SOCKETS_MAX: f64 = 1.2;

/// A directory with the units alone: systemd-analyze takes up every drop-in that it sees beside them.
fn units(drop_in: bool) -> TempDir {
    let dir = tempfile::tempdir().unwrap();
    let unit = fs::read_to_string(source("dist/systemd/maddy.service")).unwrap();
    let program = tests::binary();
    let unit = unit.replace("/usr/local/bin/maddy", &program.display().to_string());
    fs::write(dir.path().join("maddy.service"), unit).unwrap();
    fs::copy(source("dist/systemd/maddy.socket"), dir.path().join("maddy.socket")).unwrap();
    if drop_in {
        let to = dir.path().join("maddy.service.d");
        fs::create_dir(&to).unwrap();
        fs::copy(source("dist/systemd/maddy.service.d/sockets.conf"), to.join("sockets.conf")).unwrap();
    }
    dir
}

fn exposure(dir: &Path) -> f64 {
    let heard = run(dir, "systemd-analyze", &["security", "--offline=yes", "maddy.service"]);
    let last = heard
        .text
        .lines()
        .find(|line| line.contains("Overall exposure level"))
        .unwrap_or_else(|| panic!("{heard}"));
    println!("{last}");
    let (_, number) = last.split_once("maddy.service: ").unwrap();
    number.split(' ').next().unwrap().parse().unwrap()
}

#[test]
fn the_unit_is_hardened() {
    if is_missing("the_unit_is_hardened", "systemd-analyze") {
        return;
    }
    let (plain, sockets) = (exposure(units(false).path()), exposure(units(true).path()));
    assert!(plain <= EXPOSURE_MAX, "{plain}");
    assert!(sockets <= EXPOSURE_WITH_SOCKETS_MAX && sockets < plain, "{sockets}");
}

#[test]
fn systemd_understands_every_line_of_the_units() {
    if is_missing("systemd_understands_every_line_of_the_units", "systemd-analyze") {
        return;
    }
    for drop_in in [false, true] {
        let dir = units(drop_in);
        let heard =
            run(dir.path(), "systemd-analyze", &["verify", "--man=no", "./maddy.service", "./maddy.socket"]);
        let ours: Vec<&str> = heard.text.lines().filter(|line| line.contains("maddy")).collect();
        assert!(heard.status.success() && ours.is_empty(), "{heard}");
    }
    // It does complain where something is wrong.
    let dir = units(false);
    let path = dir.path().join("maddy.service");
    let unit = fs::read_to_string(&path).unwrap().replace("ProtectClock=true", "ProtectClok=true");
    fs::write(&path, unit).unwrap();
    run(dir.path(), "systemd-analyze", &["verify", "--man=no", "./maddy.service"]).says("ProtectClok");
}

#[test]
fn the_user_and_the_directories_are_made() {
    let test = "the_user_and_the_directories_are_made";
    if is_missing(test, "systemd-sysusers") || is_missing(test, "systemd-tmpfiles") {
        return;
    }
    if !geteuid().is_root() {
        return crate::program::skip(test, "only root can give a directory to another user");
    }
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path().join("root");
    crate::maddy(&["install", "--root", root.to_str().unwrap(), "--prefix", "/usr", "--yes"]);
    fs::create_dir_all(root.join("etc")).unwrap();
    let option = format!("--root={}", root.display());
    // Twice: the second time everything is there.
    for _ in 0..2 {
        run(dir.path(), "systemd-sysusers", &[&option]).fine();
        run(dir.path(), "systemd-tmpfiles", &[&option, "--create", "maddy.conf"]).fine();
    }
    let users = fs::read_to_string(root.join("etc/passwd")).unwrap();
    let line: Vec<&str> = users.lines().find(|line| line.starts_with("maddy:")).unwrap().split(':').collect();
    assert_eq!((line[5], line[6]), ("/var/lib/maddy", "/usr/sbin/nologin"));
    let (uid, gid): (u32, u32) = (line[2].parse().unwrap(), line[3].parse().unwrap());
    for (path, mode, owner) in [("var/lib/maddy", 0o700, (uid, gid)), ("etc/maddy", 0o755, (0, 0))] {
        let found = fs::metadata(root.join(path)).unwrap();
        assert_eq!((found.uid(), found.gid()), owner, "{path}");
        assert_eq!(found.permissions().mode() & 0o7777, mode, "{path}");
    }
}
