//! The tool that measures the checks still works: a few messages, once. Nothing is timed.
#![allow(clippy::unwrap_used, reason = "a test")]

use std::process::Command;

#[test]
fn checks_are_measured_beside_none() {
    let output = Command::new(env!("CARGO_BIN_EXE_checks"))
        .args(["--messages", "6", "--connections", "2", "--rounds", "1", "--octets", "200"])
        .output()
        .unwrap();
    let (table, told) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{table}\n{told}");
    for line in ["| all checks, warm cache | ", "| no checks | ", "| ratio | "] {
        assert!(table.lines().any(|found| found.starts_with(line)), "{line} is missing:\n{table}");
    }
    // The second round asks nothing that the first has not asked.
    assert!(told.contains("(0 questions to the DNS)"), "{told}");
    let refused = Command::new(env!("CARGO_BIN_EXE_checks")).args(["--rounds", "0"]).output().unwrap();
    assert_eq!(refused.status.code(), Some(2));
}
