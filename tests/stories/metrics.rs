//! What is counted of real traffic, held against promtool, the document, the alert rules and the board.

use std::collections::BTreeSet;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use tests::{Daemon, Setup, eventually, free_port, message};

fn metrics(port: u16) -> String {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
    stream.write_all(b"GET /metrics HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    assert!(head.starts_with("HTTP/1.1 200 OK\r\n"), "{head}");
    body.to_owned()
}

/// The value of a series; 0 if it is not there.
fn value(text: &str, series: &str) -> f64 {
    let of = |line: &str| line.strip_prefix(series)?.strip_prefix(' ')?.parse().ok();
    text.lines().find_map(of).unwrap_or(0.0)
}

fn started(lines: &[&str], accounts: &[&str]) -> (Daemon, u16) {
    let mut setup = Setup::new();
    let port = free_port();
    for account in accounts {
        setup.account(account);
    }
    setup.config(&format!("web {{\nlisten \"127.0.0.1:{port}\" private=#true\n}}"));
    lines.iter().for_each(|line| setup.config(line));
    (setup.start(), port)
}

#[test]
fn real_traffic_is_counted_by_what_became_of_it() {
    let lines = ["checks { exempt \"127.0.0.0/8\"; }", "logins { exempt \"127.0.0.0/8\"; }"];
    let (mut daemon, port) = started(&lines, &["alice@example.org"]);
    let mut smtp = daemon.smtp();
    let text = message("bob@example.com", "alice@example.org", "Hi", "x");
    smtp.deliver("bob@example.com", &["alice@example.org"], &text);
    smtp.command("MAIL FROM:<bob@example.com>", "250*");
    smtp.command("RCPT TO:<nobody@example.org>", "550*");
    smtp.command("RCPT TO:<somebody@elsewhere.example>", "550*");
    let mut submission = daemon.submit("alice@example.org");
    submission.command("MAIL FROM:<someone@elsewhere.example>", "5*");
    let mut imap = daemon.imap("alice@example.org");
    imap.ok("SELECT INBOX");
    imap.ok("FETCH 1 BODY[]");
    let text = eventually("all of it is counted", || {
        let text = metrics(port);
        // The harness connects and leaves before it says something: that is over a moment later.
        let alone = value(&text, "maddy_sessions{door=\"smtp\"}") < 1.5;
        let fetched = value(&text, "maddy_imap_command_seconds_count{command=\"fetch\"}") > 0.0;
        (alone && fetched).then_some(text)
    });
    for (series, want) in [
        ("maddy_messages_in_total{door=\"smtp\",result=\"accepted\"}", 1.0),
        ("maddy_refused_total{what=\"recipient\",reason=\"address\"}", 1.0),
        ("maddy_refused_total{what=\"recipient\",reason=\"policy\"}", 1.0),
        ("maddy_refused_total{what=\"sender\",reason=\"policy\"}", 1.0),
        ("maddy_judged_total{verdict=\"accept\"}", 1.0),
        ("maddy_filed_total", 1.0),
        ("maddy_delivery_seconds_count{to=\"here\"}", 1.0),
        ("maddy_logins_total{door=\"imap\",result=\"good\"}", 1.0),
        ("maddy_logins_total{door=\"submission\",result=\"good\"}", 1.0),
        ("maddy_sessions{door=\"smtp\"}", 1.0),
        ("maddy_sessions{door=\"imap\"}", 1.0),
        ("maddy_imap_command_seconds_count{command=\"select\"}", 1.0),
        ("maddy_trouble_total{level=\"error\"}", 0.0),
    ] {
        assert_eq!(value(&text, series), want, "{series}\n{text}");
    }
    for series in [
        "maddy_store_commit_seconds_count",
        "maddy_store_write_seconds_count",
        "maddy_store_batch_jobs_sum",
        "maddy_connections_total{door=\"smtp\"}",
        "maddy_disk_free_bytes",
    ] {
        assert!(value(&text, series) > 0.0, "{series}\n{text}");
    }
    promtool(&["check", "metrics"], &text);
    drop(imap);
    eventually("a session that is over is not counted any more", || {
        (value(&metrics(port), "maddy_sessions{door=\"imap\"}") < 0.5).then_some(())
    });
    daemon.stop();
}

/// Logins that fail count as such by the one who judges them, and no word of the log has a part in it.
#[test]
fn wrong_passwords_are_counted() {
    let (mut daemon, port) = started(&["logins { exempt \"127.0.0.0/8\"; }"], &["alice@example.org"]);
    let stream = daemon.imap("alice@example.org");
    drop(stream);
    let output = Command::new("curl")
        .args(["-sS", "--max-time", "30", "--insecure", "--user", "alice@example.org:wrong"])
        .arg(format!("imaps://127.0.0.1:{}/", daemon.ports().imaps))
        .output()
        .unwrap();
    assert!(!output.status.success());
    let text = metrics(port);
    assert!(value(&text, "maddy_logins_total{door=\"imap\",result=\"failed\"}") >= 1.0, "{text}");
    assert!(value(&text, "maddy_tls_total{side=\"in\",tls=\"1.3\"}") >= 1.0, "{text}");
    daemon.stop();
}

/// The names that are told, in the document, in the rules and on the board are the same.
#[test]
fn every_name_is_told_and_documented() {
    let (mut daemon, port) = started(&[], &[]);
    let text = metrics(port);
    daemon.stop();
    let told: BTreeSet<String> = text
        .lines()
        .filter_map(|line| line.strip_prefix("# TYPE "))
        .filter_map(|line| line.split(' ').next())
        .map(str::to_owned)
        .collect();
    assert!(told.len() > 20, "{text}");
    let document = names(&read("docs/metrics.md"));
    assert_eq!(told, document, "what /metrics tells, and what docs/metrics.md lists");
    for file in ["dist/prometheus/maddy.rules.yml", "dist/grafana/maddy.json"] {
        for name in names(&read(file)) {
            let base = ["_bucket", "_sum", "_count"].iter().find_map(|suffix| name.strip_suffix(suffix));
            let known = told.contains(&name) || base.is_some_and(|base| told.contains(base));
            assert!(known, "{file}: {name}");
        }
    }
}

#[test]
fn alert_rules_go_off_when_they_should() {
    let rules = root().join("dist/prometheus");
    let run = |arguments: &[&str]| {
        let output = Command::new("promtool").args(arguments).current_dir(&rules).output().expect("promtool");
        assert!(output.status.success(), "{arguments:?}: {output:?}");
    };
    run(&["check", "rules", "maddy.rules.yml"]);
    run(&["test", "rules", "maddy.rules.test.yml"]);
    let board: serde_json::Value = serde_json::from_str(&read("dist/grafana/maddy.json")).unwrap();
    assert!(board["panels"].as_array().unwrap().len() > 10);
}

fn promtool(arguments: &[&str], input: &str) {
    let child = Command::new("promtool")
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn();
    let mut child = child.expect("promtool is in the Debian package prometheus: see tests/install");
    child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "{output:?}\n{input}");
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn read(name: &str) -> String {
    std::fs::read_to_string(root().join(name)).unwrap()
}

/// Words that begin as our metrics do, but not file names.
fn names(text: &str) -> BTreeSet<String> {
    let is_of_name = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
    text.split(|c| !is_of_name(c)).filter(|word| word.starts_with("maddy_")).map(str::to_owned).collect()
}
