//! The load tool of SMTP still works: every shape once, with a few messages and nobody beside us. Nothing is timed.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test")]

use std::process::Command;

#[test]
fn every_shape_is_measured() {
    let dir = tempfile::tempdir().unwrap();
    let json = dir.path().join("figures.json");
    let run = |shapes: &[&str]| {
        let output = Command::new(env!("CARGO_BIN_EXE_flow"))
            .args(["--peers", "none", "--connections", "1,3", "--mails", "12", "--rounds", "1"])
            .args(["--destinations", "1,3", "--queued", "20", "--stored", "40", "--baseline"])
            .args([&json, std::path::Path::new("--json"), &json])
            .args(shapes)
            .output()
            .unwrap();
        let table = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(output.status.success(), "{table}\n{}", String::from_utf8_lossy(&output.stderr));
        table
    };
    let table = run(&["all"]);
    assert!(!table.contains("before: "), "{table}");
    let help = Command::new(env!("CARGO_BIN_EXE_flow")).arg("--help").output().unwrap();
    let help = String::from_utf8_lossy(&help.stdout).into_owned();
    let (_, shapes) = help.split_once("every one\n").expect("the help lists the shapes");
    let figures = std::fs::read_to_string(&json).unwrap();
    assert!(shapes.lines().count() > 8, "{help}");
    for shape in shapes.lines().filter_map(|line| line.split_whitespace().next()) {
        assert!(table.lines().any(|line| line.starts_with(&format!("{shape} "))), "{shape}:\n{table}");
        assert!(figures.contains(&format!("\"shape\":\"{shape}\"")), "{shape}: {figures}");
    }
    // The figures of the first run stand beside those of the second.
    let again = run(&["in", "size"]);
    assert_eq!(again.matches("before: ").count(), again.matches(" maddy ").count(), "{again}");
    assert!(again.contains("before: "), "{again}");
}

#[test]
fn what_is_not_known_is_refused() {
    for arguments in [&["no-such-shape"][..], &["--rounds", "0", "in"], &["--peers", "some", "in"]] {
        let output = Command::new(env!("CARGO_BIN_EXE_flow")).args(arguments).output().unwrap();
        assert_eq!(output.status.code(), Some(2), "{arguments:?}");
    }
}
