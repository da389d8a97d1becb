//! dkimpy, another implementation of DKIM and ARC, verifies what we sign and what we seal.

use crate::program::skip;
use std::io::Write;
use std::process::{Command, Stdio};
use tests::{Setup, assert_like, message};

/// The interpreter for which Debian installs its packages.
const PYTHON: &str = "/usr/bin/python3";

fn dkimpy(zone: &std::path::Path, message: &str) -> String {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/clients/dkimpy.py");
    let mut child = Command::new(PYTHON)
        .arg(script)
        .arg(zone)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(message.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout).unwrap()
}

fn is_there() -> bool {
    let import = Command::new(PYTHON).args(["-c", "import dkim, nacl"]).stderr(Stdio::null()).status();
    import.is_ok_and(|status| status.success())
}

#[test]
fn dkimpy_believes_our_signatures_and_seals() {
    if !is_there() {
        return skip(
            "dkimpy_believes_our_signatures_and_seals",
            "python3-dkim or python3-nacl is not installed (tests/install does it)",
        );
    }
    let mut setup = Setup::new();
    setup.account("alice@example.org");
    setup.zone("remote.test MX 10 mx.remote.test");
    setup.config("aliases { \"ext@example.org\" \"carl@remote.test\" }");
    let remote = setup.remote("mx.remote.test", 2);
    let maddy = setup.start();
    let zone = maddy.setup.dir().join("keys.zone");
    std::fs::write(&zone, maddy.cli(&["dkim", "list"]).ok()).unwrap();
    for line in maddy.cli(&["dkim", "list"]).ok().lines().filter(|line| !line.starts_with(';')) {
        maddy.setup.zone(&line.replace(". IN TXT ", " TXT "));
    }
    let text = message(
        "alice@example.org",
        "carl@remote.test",
        "Signed  and   sealed",
        "Dear Carl,\n\nit  is me. \n\n\n",
    );
    maddy.submit("alice@example.org").deliver("alice@example.org", &["carl@remote.test"], &text);
    let mut last = remote.wait_mails(1).remove(0).message;
    for hops in 1..4 {
        maddy.smtp().deliver(
            "list@b.example",
            &["ext+tag@example.org"],
            &last.replace("Delivered-To:", "X-Was:"),
        );
        last = remote.wait_mails(hops + 1).pop().unwrap().message;
        let said = dkimpy(&zone, &last);
        assert_like(said.trim(), &format!("dkim True\ndkim True\narc pass {hops} *"));
    }
    let said = dkimpy(&zone, &last.replace("it  is", "it is not"));
    assert_like(said.trim(), "dkim False\ndkim False\narc fail *");
    let said = dkimpy(&zone, &last.replacen("dkim=pass", "dkim=fail", 1));
    assert_like(said.trim(), "*arc fail *");
}
