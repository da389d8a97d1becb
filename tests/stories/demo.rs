//! `maddy demo`: from nothing to mail that is sent and read, and the same again after a stop.

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;
use std::io::{BufRead, BufReader, Read};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use tests::{Chat, Imap, Smtp, assert_like, binary, message};

struct Demo {
    child: Child,
    panel: Value,
}

/// A base whose five ports are free, beneath the ports that other stories take.
fn free_base() -> u16 {
    for base in (3000..9000).step_by(7) {
        let free = |port: u16| TcpListener::bind(("127.0.0.1", base + port)).is_ok();
        if [25, 143, 465, 587, 993].into_iter().all(free) {
            return base;
        }
    }
    panic!("no five ports are free");
}

fn command(dir: &Path, base: u16) -> Command {
    let mut command = Command::new(binary());
    command.arg("demo").arg("--json").arg("--state-dir").arg(dir).arg("--port-base").arg(base.to_string());
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

impl Demo {
    fn start(dir: &Path, base: u16) -> Self {
        let mut child = command(dir, base).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let panel = serde_json::from_str(&line).unwrap_or_else(|error| panic!("no panel: {error}: {line}"));
        Self { child, panel }
    }

    fn port(&self, name: &str) -> u16 {
        self.panel["ports"][name].as_u64().and_then(|port| port.try_into().ok()).expect("a port")
    }

    fn ca(&self) -> PathBuf {
        self.panel["ca"].as_str().expect("a path").into()
    }

    fn account(&self, n: usize) -> (&str, &str) {
        let account = &self.panel["accounts"][n];
        (account["address"].as_str().unwrap(), account["password"].as_str().unwrap())
    }

    fn inbox(&self, n: usize) -> usize {
        let (address, password) = self.account(n);
        let mut imap = Imap::begin(Chat::connect_tls(self.port("imaps"), &self.ca()));
        imap.log_in(address, password);
        imap.count("INBOX")
    }

    fn stop(mut self, signal: Signal) {
        kill(Pid::from_raw(self.child.id().try_into().unwrap()), signal).unwrap();
        let status = tests::eventually("the demo ends", || self.child.try_wait().unwrap());
        assert!(status.success(), "{status}");
    }
}

impl Drop for Demo {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn mail_is_sent_read_and_still_there_after_a_stop() {
    let dir = tempfile::tempdir().unwrap();
    let (dir, base) = (dir.path().join("state"), free_base());
    let demo = Demo::start(&dir, base);
    assert_eq!(demo.panel["domain"], "demo.test");
    assert_eq!(demo.port("smtp"), base + 25);
    let (alice, bob) = (demo.account(0), demo.account(1));
    assert_eq!((alice.0, bob.0), ("alice@demo.test", "bob@demo.test"));

    let mut stranger = Smtp::begin(Chat::connect(demo.port("smtp")));
    stranger.deliver(
        "eve@anywhere.test",
        &[bob.0],
        &message("eve@anywhere.test", bob.0, "From outside", "text"),
    );
    let mut smtp = Smtp::begin(Chat::connect(demo.port("submission"))).start_tls(&demo.ca());
    smtp.log_in(alice.0, alice.1);
    smtp.deliver(alice.0, &[bob.0], &message(alice.0, bob.0, "From alice", "text"));
    smtp.command("MAIL FROM:<alice@demo.test>", "250*");
    smtp.command("RCPT TO:<someone@anywhere.test>", "550*");
    let mut smtp = Smtp::begin(Chat::connect_tls(demo.port("submissions"), &demo.ca()));
    smtp.log_in(alice.0, alice.1);
    let mut imap = Imap::begin(Chat::connect(demo.port("imap")));
    assert_like(&imap.no(&format!("LOGIN {} {}", bob.0, bob.1)), "NO [PRIVACYREQUIRED]*");
    assert_eq!(demo.inbox(1), 2);

    // A second one with the same ports says what is wrong, in one sentence.
    let other = dir.with_file_name("other");
    let mut second = command(&other, base).spawn().unwrap();
    let status = tests::eventually("the second demo ends by itself", || second.try_wait().unwrap());
    assert!(!status.success());
    let mut said = String::new();
    second.stderr.take().unwrap().read_to_string(&mut said).unwrap();
    assert_like(said.trim_end(), "maddy: port * is taken by another program*");
    assert_eq!(said.trim_end().lines().count(), 1);

    let panel = demo.panel.clone();
    demo.stop(Signal::SIGTERM);
    let demo = Demo::start(&dir, base);
    assert_eq!(demo.panel, panel, "passwords, CA or ports have changed");
    assert_eq!(demo.inbox(1), 2);
    demo.stop(Signal::SIGINT);
}
