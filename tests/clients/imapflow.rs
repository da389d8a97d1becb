//! imapflow, which many web mailers are made with: the session of `imapflow.cjs`.

use crate::program::{find, run, skip};
use crate::{deliver, reader, scene};
use std::process::{Command, Stdio};
use tests::PASSWORD;

/// Where npm puts what is for all; `None`: imapflow is not there.
fn modules() -> Option<String> {
    let found = Command::new(find("npm")?).args(["root", "-g"]).stderr(Stdio::null()).output().ok()?;
    let root = String::from_utf8(found.stdout).ok()?.trim().to_owned();
    std::path::Path::new(&root).join("imapflow").is_dir().then_some(root)
}

#[test]
fn a_session() {
    let Some(modules) = modules() else {
        return skip("imapflow", "imapflow is not installed (npm install -g imapflow)");
    };
    let maddy = scene().start();
    let mut imap = reader(&maddy, "alice@example.org");
    deliver(&maddy, &["one", "two"]);
    imap.wait_messages("INBOX", 2);
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/clients/imapflow.cjs");
    let (port, ca) = (maddy.ports().imaps.to_string(), maddy.setup.ca().display().to_string());
    let arguments = [script, &modules, &port, &ca, "alice@example.org", PASSWORD];
    run(maddy.setup.dir(), "node", &arguments).fine().says("all fine");
    assert_eq!(imap.count("Grüße"), 1);
}
