//! `maddy install --root`: into a directory, for packages and for a look.

use serde_json::Value;
use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::Command;
use tests::{Output, assert_like, binary};

fn command(arguments: &[&str]) -> Output {
    Output::of(Command::new(binary()).args(arguments).output().unwrap())
}

/// Every file below a directory: its path, its rights, and when it was made.
fn tree(dir: &Path) -> BTreeMap<PathBuf, (u32, i64)> {
    let mut found = BTreeMap::new();
    let mut left = vec![dir.to_owned()];
    while let Some(path) = left.pop() {
        for entry in fs::read_dir(&path).unwrap().map(Result::unwrap) {
            let metadata = entry.metadata().unwrap();
            if metadata.is_dir() {
                assert_eq!(metadata.permissions().mode() & 0o7777, 0o755, "{:?}", entry.path());
                left.push(entry.path());
            } else {
                let path = entry.path().strip_prefix(dir).unwrap().to_owned();
                found.insert(path, (metadata.permissions().mode() & 0o7777, metadata.mtime_nsec()));
            }
        }
    }
    found
}

#[test]
fn everything_is_put_into_the_directory_once() {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path().join("root");
    let at = root.to_str().unwrap();
    // A careless umask changes nothing.
    let line = format!("umask 077; exec {} install --root {at} --yes", binary().display());
    let said = Output::of(Command::new("sh").args(["-c", &line]).output().unwrap()).ok();
    assert_like(&said, "*write*/usr/local/bin/maddy*the program*write*/etc/systemd/system/maddy.service*");
    let first = tree(&root);
    for (path, mode) in [
        ("usr/local/bin/maddy", 0o755),
        ("etc/systemd/system/maddy.service", 0o644),
        ("etc/sysusers.d/maddy.conf", 0o644),
        ("etc/tmpfiles.d/maddy.conf", 0o644),
        ("usr/local/share/man/man1/maddy.1", 0o644),
        ("usr/local/share/man/man1/maddy-account.1", 0o644),
        ("usr/local/share/man/man5/maddy.conf.5", 0o644),
        ("usr/local/share/man/man8/sendmail.8", 0o644),
        ("usr/local/share/bash-completion/completions/maddy", 0o644),
        ("usr/local/share/zsh/site-functions/_maddy", 0o644),
        ("usr/local/share/fish/vendor_completions.d/maddy.fish", 0o644),
        ("usr/local/share/doc/maddy/maddy.conf.example", 0o644),
    ] {
        assert_eq!(first.get(Path::new(path)).map(|(mode, _)| *mode), Some(mode), "{path}");
    }
    assert!(!first.contains_key(Path::new("etc/systemd/system/maddy.socket")));
    assert_eq!(fs::read(root.join("usr/local/bin/maddy")).unwrap(), fs::read(binary()).unwrap());
    // Nothing is done twice, and nothing needs a yes when there is nothing to do.
    assert_like(&command(&["install", "--root", at]).ok(), "Everything is in its place already.*");
    assert_eq!(tree(&root), first);
    // A new version replaces what differs, and only that.
    let unit = root.join("etc/systemd/system/maddy.service");
    fs::write(&unit, "old").unwrap();
    fs::set_permissions(root.join("usr/local/bin/maddy"), fs::Permissions::from_mode(0o777)).unwrap();
    let said = command(&["install", "--root", at, "--yes"]).ok();
    assert_like(&said, "*replace  /usr/local/bin/maddy*replace  /etc/systemd/system/maddy.service*");
    let second = tree(&root);
    assert!(first.keys().eq(second.keys()));
    let touched: Vec<&PathBuf> =
        first.iter().filter(|(path, was)| second[*path].1 != was.1).map(|(path, _)| path).collect();
    assert_eq!(touched.len(), 2, "{touched:?}");
    assert_like(&fs::read_to_string(&unit).unwrap(), "*ExecStart=/usr/local/bin/maddy run*");
}

#[test]
fn a_plan_is_shown_and_nothing_done_without_a_yes() {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path().join("root");
    let at = root.to_str().unwrap();
    let said = command(&["install", "--root", at, "--dry-run"]).ok();
    assert_like(&said, "maddy install would:*write*/usr/local/bin/maddy*");
    let json: Value =
        serde_json::from_str(&command(&["install", "--root", at, "--dry-run", "--json"]).ok()).unwrap();
    assert_eq!(json["steps"][0]["path"], root.join("usr/local/bin/maddy").to_str().unwrap());
    assert_eq!(json["steps"][0]["state"], "missing");
    assert_like(&command(&["install", "--root", at]).fails(), "*Add --yes to do it without being asked.*");
    assert!(!root.exists());
}

#[test]
fn the_ports_may_be_opened_by_systemd() {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path().join("root");
    let at = root.to_str().unwrap();
    command(&["install", "--root", at, "--ports", "sockets", "--yes"]).ok();
    let units = root.join("etc/systemd/system");
    assert!(fs::read_to_string(units.join("maddy.socket")).unwrap().contains("\nListenStream=[::]:25\n"));
    let drop_in = fs::read_to_string(units.join("maddy.service.d/sockets.conf")).unwrap();
    assert_like(&drop_in, "*AmbientCapabilities=\n*");
    // And back.
    command(&["install", "--root", at, "--yes"]).ok();
    assert!(!units.join("maddy.socket").exists() && !units.join("maddy.service.d/sockets.conf").exists());
}

#[test]
fn what_was_put_there_goes_and_the_mail_stays() {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path().join("root");
    let at = root.to_str().unwrap();
    command(&["install", "--root", at, "--ports", "sockets", "--sendmail", "--yes"]).ok();
    assert_eq!(fs::read_link(root.join("usr/sbin/sendmail")).unwrap(), Path::new("../local/bin/maddy"));
    for dir in ["var/lib/maddy", "etc/maddy"] {
        fs::create_dir_all(root.join(dir)).unwrap();
        fs::write(root.join(dir).join("kept"), "precious").unwrap();
    }
    assert_like(&command(&["uninstall", "--root", at]).fails(), "*Remove maddy? The mail stays.*--yes*");
    command(&["uninstall", "--root", at, "--yes"]).ok();
    let left: Vec<PathBuf> = tree(&root).into_keys().collect();
    assert_eq!(left, [Path::new("etc/maddy/kept"), Path::new("var/lib/maddy/kept")]);
    assert_like(&command(&["uninstall", "--root", at]).ok(), "Nothing of maddy is installed here.*");
    assert_like(&command(&["uninstall", "--root", at, "--purge"]).fails(), "*all its mail for good?*--yes*");
    command(&["uninstall", "--root", at, "--purge", "--yes"]).ok();
    assert!(tree(&root).is_empty());
}

#[test]
fn the_sendmail_of_another_server_is_not_pushed_aside() {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path().join("root");
    let at = root.to_str().unwrap();
    fs::create_dir_all(root.join("usr/sbin")).unwrap();
    fs::write(root.join("usr/sbin/sendmail"), "another").unwrap();
    let said = command(&["install", "--root", at, "--sendmail", "--yes"]).fails();
    assert_like(&said, "*usr/sbin/sendmail is there already and belongs to another mail server*");
    assert_eq!(tree(&root).len(), 1, "nothing was installed");
    // Without it there is nothing in the way; and it stays when we go.
    command(&["install", "--root", at, "--yes"]).ok();
    command(&["uninstall", "--root", at, "--yes"]).ok();
    assert_eq!(fs::read_to_string(root.join("usr/sbin/sendmail")).unwrap(), "another");
}

#[test]
fn links_are_replaced_and_never_followed() {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path().join("root");
    let units = root.join("etc/systemd/system");
    fs::create_dir_all(&units).unwrap();
    let precious = dir.path().join("precious");
    fs::write(&precious, "precious").unwrap();
    std::os::unix::fs::symlink(&precious, units.join("maddy.service")).unwrap();
    command(&["install", "--root", root.to_str().unwrap(), "--yes"]).ok();
    assert_eq!(fs::read_to_string(&precious).unwrap(), "precious");
    assert!(fs::symlink_metadata(units.join("maddy.service")).unwrap().is_file());
}
