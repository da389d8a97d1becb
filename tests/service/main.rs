//! maddy as a service of a machine: what `maddy install` and the packages put there, held to the tools of the system.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests fail by panicking")]

mod colours;
mod directory;
mod dist;
mod machine;
mod manual;
mod package;
#[path = "../clients/program.rs"]
mod program;
mod sockets;
mod unit;

use std::path::{Path, PathBuf};

/// A file of the source.
fn source(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(path)
}

/// The program with these arguments, which must go well; its standard output.
#[track_caller]
fn maddy(arguments: &[&str]) -> String {
    let output = std::process::Command::new(tests::binary()).args(arguments).output().unwrap();
    tests::Output::of(output).ok()
}
