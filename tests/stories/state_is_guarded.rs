//! The state directory: for one daemon at a time, for nobody else's eyes, and never started on when it is damaged.

use std::fs;
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::path::Path;
use tests::{Setup, assert_like};

#[test]
fn a_second_daemon_is_refused_and_the_first_goes_on() {
    let mut setup = Setup::new();
    setup.account("alice@example.org");
    let maddy = setup.start();
    let said = maddy.start_fails();
    assert_like(&said, "*another maddy runs on this state directory*");
    maddy.imap("alice@example.org").ok("NOOP");
}

#[test]
fn a_damaged_database_is_said_and_left_alone() {
    let mut setup = Setup::new();
    setup.account("alice@example.org");
    let mut maddy = setup.start();
    maddy.stop();
    let path = maddy.setup.state_dir().join("maddy.db");
    let garbage = "this was a database once\n".repeat(1000);
    fs::write(&path, &garbage).unwrap();
    let said = maddy.start_fails();
    assert_like(&said, &format!("*{}*the database is damaged*", maddy.setup.state_dir().display()));
    assert_eq!(fs::read_to_string(&path).unwrap(), garbage);
}

#[test]
fn a_newer_database_is_not_touched() {
    let mut setup = Setup::new();
    setup.account("alice@example.org");
    let mut maddy = setup.start();
    maddy.stop();
    let path = maddy.setup.state_dir().join("maddy.db");
    let mut octets = fs::read(&path).unwrap();
    // user_version, big-endian, in the header of the file.
    octets[60..64].copy_from_slice(&9999_u32.to_be_bytes());
    fs::write(&path, &octets).unwrap();
    assert_like(&maddy.start_fails(), "*9999*");
}

#[test]
fn nobody_else_can_read_what_is_kept() {
    let mut setup = Setup::new();
    setup.account("alice@example.org");
    let maddy = setup.start();
    let mut seen = 0;
    look(&maddy.setup.state_dir(), &mut seen);
    assert!(seen >= 4, "only {seen} files and directories");
}

/// The one thing that others may use: the socket by which programs of this machine send. It keeps nothing.
const SENDMAIL: &str = "sendmail.sock";

fn look(path: &Path, seen: &mut usize) {
    let facts = fs::symlink_metadata(path).unwrap();
    if path.file_name().is_some_and(|name| name == SENDMAIL) && facts.file_type().is_socket() {
        return;
    }
    assert_eq!(facts.permissions().mode() & 0o077, 0, "{} is open to others", path.display());
    *seen += 1;
    if facts.is_dir() {
        for entry in fs::read_dir(path).unwrap() {
            look(&entry.unwrap().path(), seen);
        }
    }
}
