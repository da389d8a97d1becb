//! Mail from another IMAP server: here one of ours, and some that mean no good. (Dovecot is among the clients.)

use crate::moving_in_and_out::maildir;
use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;
use std::process::{Command, Stdio};
use std::thread;
use tests::{Daemon, PASSWORD, Setup, assert_like, binary, eventually};

const MESSAGES: u64 = 1500;

fn servers() -> (Daemon, Daemon) {
    let mut old = Setup::named("old.example.net", &["example.net"]);
    old.account("alice@example.net");
    let mut new = Setup::new();
    new.account("alice@example.org");
    new.account("bob@example.org");
    (old.start(), new.start())
}

/// The command that fetches alice's mail from the old server.
fn fetch(old: &Daemon, new: &Daemon, account: &str, more: &[&str]) -> Command {
    let mut command = Command::new(binary());
    command.arg("--config").arg(new.setup.config_file()).args(["import", "imap"]);
    command.arg(format!("localhost:{}", old.ports().imaps)).arg(account);
    command
        .args(["--login", "alice@example.net", "--password-env", "OLD_PASSWORD", "--ca"])
        .arg(old.setup.ca());
    command.args(more).env("OLD_PASSWORD", PASSWORD).stdin(Stdio::null());
    command
}

#[track_caller]
fn ok(mut command: Command) -> String {
    let output = command.output().unwrap();
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn an_account_moves_from_server_to_server() {
    let (old, new) = servers();
    let source = old.setup.dir().join("Maildir");
    maildir(&source, MESSAGES);
    old.cli(&["import", "maildir", &source.display().to_string(), "alice@example.net"]).ok();
    let mut there = old.imap("alice@example.net").picture();
    // Killed on its way, and given again.
    for _ in 0..2 {
        let mut command = fetch(&old, &new, "alice@example.org", &[]);
        let mut child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        let count = || {
            let told = new.cli(&["imap-acct", "stat", "alice@example.org", "--json"]).ok();
            serde_json::from_str::<serde_json::Value>(&told).unwrap()["messages"].as_u64().unwrap()
        };
        let before = count();
        eventually("messages come", || {
            (count() > before || child.try_wait().unwrap().is_some()).then_some(())
        });
        let _ = child.kill();
        let _ = child.wait();
    }
    let table = ok(fetch(&old, &new, "alice@example.org", &[]));
    assert_like(&table, "*Sent Items*all*");
    let again = ok(fetch(&old, &new, "alice@example.org", &["--json"]));
    assert_like(&again, "*\"imported\": 0*\"before\": 1500*\"refused\": 0*");
    let mut here = new.imap("alice@example.org").picture();
    // The namespaces of others are there on their own account.
    there.retain(|name, _| !name.starts_with("Other Users"));
    here.retain(|name, _| !name.starts_with("Other Users"));
    assert!(here == there, "another picture");
    let only = ok(fetch(
        &old,
        &new,
        "bob@example.org",
        &["--only", "Archive", "--below", "Old", "--security", "tls"],
    ));
    assert_like(&only, "*Archive/2025*Old/Archive/2025*");
    let starttls = fetch(&old, &new, "bob@example.org", &["--security", "starttls"]);
    let port = old.ports().imaps.to_string();
    let mut other = Command::new(starttls.get_program());
    let arguments =
        starttls.get_args().map(|word| word.to_string_lossy().replace(&port, &old.ports().imap.to_string()));
    other.args(arguments.collect::<Vec<_>>()).env("OLD_PASSWORD", PASSWORD).stdin(Stdio::null());
    assert_like(&ok(other), "*all*");
}

#[test]
fn wrong_words_and_wrong_certificates_are_told() {
    let (old, new) = servers();
    let port = old.ports().imaps;
    let place = format!("localhost:{port}");
    let with = |arguments: &[&str], password: &str| {
        let mut all = vec!["import", "imap", &place, "alice@example.org"];
        all.extend_from_slice(arguments);
        new.cli_with(&all, &format!("{password}\n")).fails()
    };
    let ca = old.setup.ca().display().to_string();
    let login = ["--login", "alice@example.net", "--ca", &ca];
    assert_like(&with(&login, "wrong"), "*the other server does not let alice@example.net in*");
    assert_like(&with(&["--login", "alice@example.net"], PASSWORD), "*no TLS*");
    assert_like(&with(&["--password-env", "NOTHING_OF_THE_KIND"], ""), "*is not set*");
    let clear = ["import", "imap", "192.0.2.1", "alice@example.org", "--security", "none", "--login", "x"];
    assert_like(&new.cli_with(&clear, "x\n").fails(), "*is not this machine*in clear*");
}

/// A server that answers each command with the lines for its word.
fn scripted(lines: &[(&'static str, &'static str)]) -> u16 {
    let lines = lines.to_vec();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    thread::spawn(move || {
        let (stream, _) = listener.accept().unwrap();
        let mut out = stream.try_clone().unwrap();
        let _ = out.write_all(b"* OK ready\r\n");
        for line in BufReader::new(stream).lines() {
            let Ok(line) = line else { return };
            let (tag, command) = line.split_once(' ').unwrap_or((&line, ""));
            let found = lines.iter().find(|(word, _)| command.starts_with(word));
            let said = found.map_or("", |(_, said)| said);
            if out.write_all(format!("{said}{tag} OK done\r\n").as_bytes()).is_err() {
                return;
            }
        }
    });
    port
}

#[test]
fn servers_that_mean_no_good_bring_nothing_down() {
    let mut setup = Setup::new();
    setup.account("alice@example.org");
    let maddy = setup.start();
    let run = |port: u16| {
        let place = format!("127.0.0.1:{port}");
        maddy.cli_with(&["import", "imap", &place, "alice@example.org", "--security", "none"], "x\n")
    };
    let list =
        ("LIST", "* LIST () \"/\" INBOX\r\n* LIST () \"/\" \"../../etc\"\r\n* LIST () \"/\" \"a%*b\"\r\n");
    // Too much, and what was not asked for.
    let port = scripted(&[
        list,
        ("EXAMINE", "* 2 EXISTS\r\n* OK [UIDVALIDITY 1] x\r\n"),
        (
            "UID FETCH 1:*",
            "* 1 FETCH (UID 1 RFC822.SIZE 5)\r\n* 2 FETCH (UID 2 RFC822.SIZE 999999999999)\r\n",
        ),
        (
            "UID FETCH 1 ",
            "* 9 FETCH (UID 9 BODY[] {3}\r\nbad)\r\n* 1 FETCH (UID 1 FLAGS (\\Seen \\Odd) BODY[] {5}\r\nA: b\n)\r\n",
        ),
    ]);
    let output = run(port);
    assert_like(&output.stdout, "*../../etc*all * 3 * 3\n");
    assert_like(&output.stderr, "*2: it is larger than*");
    for lines in [
        &[("CAPABILITY", "* 1 FETCH (((((((((((((((((((((((((((((((((x\r\n")][..],
        &[("LIST", "* LIST () \"/\" {99999999999}\r\n")],
        &[("LIST", "* BYE go away\r\n")],
        &[("LIST", "\u{1b}[2J\r\n")],
    ] {
        let said = run(scripted(lines)).fails();
        assert!(said.contains("other server") && !said.contains('\u{1b}'), "{said}");
    }
    assert_like(&run(1).fails(), "*cannot be reached at port 1*");
    assert_eq!(maddy.imap("alice@example.org").count("INBOX"), 1);
}
