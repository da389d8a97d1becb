//! The load tool still works: every shape once, with a few messages and nobody beside us. Nothing is timed.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test")]

use std::process::Command;

#[test]
fn every_shape_is_measured() {
    let dir = tempfile::tempdir().unwrap();
    let json = dir.path().join("figures.json");
    let output = Command::new(env!("CARGO_BIN_EXE_load"))
        .args(["--peer", "none", "--messages", "40", "--rounds", "1", "--seconds", "1", "--clients", "2"])
        .args(["--sessions", "4", "--json"])
        .arg(&json)
        .arg("all")
        .output()
        .unwrap();
    let table = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{table}\n{}", String::from_utf8_lossy(&output.stderr));
    let help = Command::new(env!("CARGO_BIN_EXE_load")).arg("--help").output().unwrap();
    let help = String::from_utf8_lossy(&help.stdout).into_owned();
    let (_, shapes) = help.split_once("every one\n").expect("the help lists the shapes");
    let figures = std::fs::read_to_string(&json).unwrap();
    assert!(shapes.lines().count() > 20);
    for shape in shapes.lines().filter_map(|line| line.split_whitespace().next()) {
        assert!(
            table.lines().any(|line| line.starts_with(&format!("{shape} "))),
            "{shape} is missing:\n{table}"
        );
        assert!(figures.contains(&format!("\"shape\":\"{shape}\"")), "{shape}: {figures}");
    }
}

#[test]
fn what_is_not_known_is_refused() {
    for arguments in [&["no-such-shape"][..], &["--rounds", "0", "select"], &["--peer", "postfix", "select"]]
    {
        let output = Command::new(env!("CARGO_BIN_EXE_load")).args(arguments).output().unwrap();
        assert_eq!(output.status.code(), Some(2), "{arguments:?}");
    }
}
