//! What the documents say is what the program says.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests fail by panicking")]

mod limits;

use std::path::{Path, PathBuf};
use std::process::Command;

/// What stands in docs/config.md before the list that the program prints.
const MARK: &str = "<!-- What follows is printed by `maddy config options`. -->\n";

fn document(name: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(name);
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// The standard output of the program.
fn maddy(arguments: &[&str]) -> String {
    let beside = || std::env::current_exe().unwrap().parent().and_then(Path::parent).unwrap().join("maddy");
    let binary = std::env::var_os("MADDY_BIN").map_or_else(beside, PathBuf::from);
    let output = Command::new(&binary).args(arguments).output();
    let output = output
        .unwrap_or_else(|error| panic!("{}: {error}: run `cargo build -p maddy` first", binary.display()));
    assert!(output.status.success(), "maddy {arguments:?}: {output:?}");
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn every_option_is_in_the_document() {
    let document = document("docs/config.md");
    let (_, listed) = document.split_once(MARK).expect("docs/config.md has the mark");
    let printed = maddy(&["config", "options"]);
    assert_eq!(listed.trim(), printed.trim(), "put the output of `maddy config options` behind the mark");
}

/// What other programs are told of the control interface is what it is.
#[test]
fn the_control_interface_is_described_as_it_is() {
    let printed = maddy(&["config", "openapi"]);
    assert_eq!(document("docs/openapi.json"), printed, "put the output of `maddy config openapi` there");
}

/// The words behind `maddy` in the code blocks of the documents are commands that there are.
#[test]
fn every_command_in_the_documents_is_one() {
    let help = maddy(&["--help"]);
    for name in [
        "README.md",
        "docs/backup.md",
        "docs/config.md",
        "docs/certificates.md",
        "docs/setup.md",
        "docs/service.md",
        "docs/deliverability.md",
        "docs/troubleshooting.md",
        "docs/from-postfix-and-dovecot.md",
        "docs/web.md",
        "docs/control.md",
        "docs/checks.md",
        "docs/credentials.md",
        "docs/moving.md",
        "docs/flow.md",
        "docs/sending.md",
        "docs/outgoing.md",
        "docs/trace.md",
        "docs/queue.md",
        "docs/architecture.md",
        "docs/security.md",
        "dist/README.md",
    ] {
        let text = document(name);
        let blocks = text.split("```").skip(1).step_by(2);
        for line in blocks.flat_map(str::lines) {
            let command = line.trim_start_matches(['$', ' ']).trim_start_matches("sudo ");
            let Some(rest) = command.strip_prefix("maddy ") else { continue };
            let mut words = rest.split_whitespace();
            // Options that stand before the command take a value each.
            let verb = loop {
                match words.next() {
                    Some("--json") => {}
                    Some(option) if option.starts_with('-') => drop(words.next()),
                    other => break other.unwrap_or_default(),
                }
            };
            // A line of the help begins with a command, or with the few that it tells of.
            let is_named = |line: &str| {
                let commands = line.trim_start().split("  ").next().unwrap_or_default();
                commands.split(", ").any(|command| command.split(' ').next() == Some(verb))
            };
            let known = help.lines().any(is_named);
            assert!(known, "{name}: `{line}`: there is no command {verb}");
        }
    }
}

/// Whether a text names something as a word of its own.
fn names(text: &str, word: &str) -> bool {
    let inside = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '=' | '+');
    text.split(|c| !inside(c)).any(|found| found.eq_ignore_ascii_case(word))
}

#[test]
fn what_is_offered_is_in_the_documents() {
    let mut setup = tests::Setup::new();
    setup.account("alice@example.org");
    let maddy = setup.start();
    let imap = document("docs/imap.md");
    let capabilities = maddy.imap("alice@example.org").ok("CAPABILITY").join(" ");
    for offered in capabilities.split_whitespace().skip(2) {
        let name = match offered.split_once('=') {
            Some((name @ ("APPENDLIMIT" | "MESSAGELIMIT"), _)) => name,
            _ => offered,
        };
        assert!(names(&imap, name), "docs/imap.md does not name {name}");
    }
    let readme = document("README.md");
    let submission = tests::Smtp::begin(tests::Chat::connect(maddy.ports().submission));
    for offers in [maddy.smtp().offers.clone(), submission.offers.clone()] {
        for name in offers.iter().map(|offer| offer.split_whitespace().next().unwrap_or_default()) {
            assert!(names(&readme, name), "README.md does not name {name}");
        }
    }
}
