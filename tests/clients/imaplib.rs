//! Python's imaplib and smtplib: the session of `session.py`.

use crate::program::{is_missing, run};
use crate::scene;
use tests::PASSWORD;

#[test]
fn a_mailbox_that_two_share() {
    if is_missing("imaplib", "python3") {
        return;
    }
    let maddy = scene().start();
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/clients/sharing.py");
    let ca = maddy.setup.ca().display().to_string();
    let port = maddy.ports().imaps.to_string();
    let arguments = [script, &ca, "alice@example.org", "bob@example.org", PASSWORD, &port];
    run(maddy.setup.dir(), "python3", &arguments).fine().says("all fine");
}

#[test]
fn a_session() {
    if is_missing("imaplib", "python3") {
        return;
    }
    let maddy = scene().start();
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/clients/session.py");
    let ca = maddy.setup.ca().display().to_string();
    let ports = maddy.ports();
    let ports = [ports.submission, ports.submissions, ports.imap, ports.imaps].map(|port| port.to_string());
    let mut arguments = vec![script, &ca, "alice@example.org", PASSWORD];
    arguments.extend(ports.iter().map(String::as_str));
    run(maddy.setup.dir(), "python3", &arguments).fine().says("all fine");
}
