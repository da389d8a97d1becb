//! What is logged, sent to a stand-in for an OpenTelemetry collector; and what becomes of it when there is none.

use std::collections::HashSet;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tests::{Setup, eventually, free_port, message};

/// Path and body of each request.
type Got = Arc<Mutex<Vec<(String, serde_json::Value)>>>;

/// What the collector wants to see.
const TOKEN: &str = "Bearer a-token-of-the-collector";

fn collect(port: u16) -> Got {
    let got = Got::default();
    let (listener, kept) = (TcpListener::bind(("127.0.0.1", port)).unwrap(), got.clone());
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            if let Some(request) = read(&mut stream) {
                kept.lock().unwrap().push(request);
                let answer = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\n{}";
                let _ = stream.write_all(answer.as_bytes());
            }
        }
    });
    got
}

fn read(stream: &mut TcpStream) -> Option<(String, serde_json::Value)> {
    stream.set_read_timeout(Some(Duration::from_secs(30))).ok()?;
    let mut octets = Vec::new();
    let mut piece = [0; 4096];
    loop {
        let count = stream.read(&mut piece).ok().filter(|count| *count > 0)?;
        octets.extend_from_slice(&piece[..count]);
        let text = String::from_utf8_lossy(&octets).into_owned();
        let Some((head, body)) = text.split_once("\r\n\r\n") else { continue };
        let length = head.lines().find_map(|line| {
            let (name, value) = line.split_once(':')?;
            name.eq_ignore_ascii_case("content-length").then(|| value.trim().parse::<usize>().ok())?
        });
        if body.len() >= length? {
            assert!(head.to_ascii_lowercase().contains("content-type: application/json"), "{head}");
            assert!(head.contains(&format!("authorization: {TOKEN}\r\n")), "{head}");
            let path = head.split(' ').nth(1)?.to_owned();
            return Some((path, serde_json::from_str(body).expect("JSON")));
        }
    }
}

#[test]
fn a_collector_gets_logs_and_spans_that_belong_together() {
    let mut setup = Setup::new();
    let port = free_port();
    let got = collect(port);
    setup.account("alice@example.org");
    let headers = setup.dir().join("headers");
    std::fs::write(&headers, format!("Authorization: {TOKEN}\n")).unwrap();
    std::fs::set_permissions(&headers, std::fs::Permissions::from_mode(0o600)).unwrap();
    setup.config(&format!("otlp {{ endpoint \"http://127.0.0.1:{port}\"; headers-file {headers:?}; }}"));
    setup.config("checks { exempt \"127.0.0.0/8\"; }");
    let mut daemon = setup.start();
    let text = message("bob@example.com", "alice@example.org", "Hi", "x");
    let (logs, spans) = eventually("the message is told as a log within a span", || {
        let mut smtp = daemon.smtp();
        smtp.deliver("bob@example.com", &["alice@example.org"], &text);
        smtp.command("QUIT", "221*");
        let got = got.lock().unwrap().clone();
        let of = |path: &str, pointer: &str| -> Vec<serde_json::Value> {
            let bodies = got.iter().filter(|(at, _)| at == path);
            bodies.flat_map(|(_, body)| body.pointer(pointer).unwrap().as_array().unwrap().clone()).collect()
        };
        let logs = of("/v1/logs", "/resourceLogs/0/scopeLogs/0/logRecords");
        let spans = of("/v1/traces", "/resourceSpans/0/scopeSpans/0/spans");
        let told = logs.iter().any(|log| log["body"]["stringValue"] == "mail in");
        (told && !spans.is_empty()).then_some((logs, spans))
    });
    let known: HashSet<&str> = spans.iter().filter_map(|span| span["traceId"].as_str()).collect();
    let told: Vec<&str> = logs
        .iter()
        .filter(|log| log["body"]["stringValue"] == "mail in")
        .filter_map(|log| log["traceId"].as_str())
        .collect();
    assert!(told.iter().any(|trace| known.contains(trace)), "{told:?} {known:?}");
    daemon.stop();
}

#[test]
fn nothing_waits_for_a_collector_that_is_not_there() {
    let mut setup = Setup::new();
    setup.account("alice@example.org");
    setup.config(&format!("otlp {{ endpoint \"http://127.0.0.1:{}\"; }}", free_port()));
    setup.config("checks { exempt \"127.0.0.0/8\"; }");
    setup.option("log", "format \"journal\"");
    let mut daemon = setup.start();
    let mut smtp = daemon.smtp();
    let text = message("bob@example.com", "alice@example.org", "Hi", "x");
    smtp.deliver("bob@example.com", &["alice@example.org"], &text);
    daemon.wait_log("*the collector takes nothing*");
    let log = daemon.log();
    assert!(log.lines().any(|line| line.starts_with("<4>the collector takes nothing")), "{log}");
    assert!(log.lines().any(|line| line.starts_with("<6>ready version=")), "{log}");
    daemon.stop();
}
