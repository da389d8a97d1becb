//! A real HAProxy in front: both versions of its protocol, and whom the daemon takes for its client.

use crate::program::is_missing;
use std::fs;
use std::process::{Child, Command, Stdio};
use tempfile::TempDir;
use tests::{Chat, Setup, Smtp, eventually, free_port, message};

/// An HAProxy that ends with this value.
struct Haproxy {
    _dir: TempDir,
    child: Child,
}

impl Drop for Haproxy {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Haproxy {
    /// Listens on 127.0.0.1 with both versions, and passes on to `to`.
    fn start(v1: u16, v2: u16, to: u16) -> Self {
        let dir = TempDir::with_prefix("maddy-haproxy-").unwrap();
        let mut text =
            "defaults\n mode tcp\n timeout connect 5s\n timeout client 60s\n timeout server 60s\n".to_owned();
        for (name, port, send) in [("one", v1, "send-proxy"), ("two", v2, "send-proxy-v2")] {
            text.push_str(&format!(
                "listen {name}\n bind 127.0.0.1:{port}\n server maddy 127.0.0.1:{to} {send}\n"
            ));
        }
        Self::run(dir, &text)
    }

    fn run(dir: TempDir, text: &str) -> Self {
        let file = dir.path().join("haproxy.cfg");
        fs::write(&file, text).unwrap();
        let child = Command::new("haproxy")
            .args(["-db", "-f"])
            .arg(&file)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        Self { _dir: dir, child }
    }
}

impl Haproxy {
    /// Listens on 127.0.0.1 for connections that begin with a header, and passes on to `to` with one of its own.
    fn between(port: u16, to: u16) -> Self {
        let dir = TempDir::with_prefix("maddy-haproxy-").unwrap();
        let text = format!(
            "defaults\n mode tcp\n timeout connect 5s\n timeout client 60s\n timeout server 60s\n\
             listen one\n bind 127.0.0.1:{port} accept-proxy\n server maddy 127.0.0.1:{to} send-proxy-v2\n"
        );
        Self::run(dir, &text)
    }
}

/// HAProxy understands what we say of a client to a next host.
#[test]
fn haproxy_hears_who_the_client_is() {
    if is_missing("haproxy_hears_who_the_client_is", "haproxy") {
        return;
    }
    for version in ["proxy-v1", "proxy-v2"] {
        let (port, listener) = (free_port(), free_port());
        let mut behind = Setup::named("mx.other.test", &["other.test"]);
        behind.account("bob@other.test");
        behind.option(
            "smtp",
            &format!("listen \"127.0.0.1:{listener}\" {{ proxy {{ from \"127.0.0.1\"; }}; }}"),
        );
        let mut front = Setup::new();
        front.config("aliases { \"out@example.org\" \"bob@other.test\"; }");
        let to = format!("to \"127.0.0.1:{port}\" tls=\"none\" client=\"{version}\"");
        front.option("delivery", &format!("route \"behind\" {{ recipients \"other.test\"; {to}; }}"));
        let (front, behind) = (front.start(), behind.start());
        let _haproxy = Haproxy::between(port, listener);
        let mut client = Smtp::begin(Chat::connect_from(7, front.ports().smtp));
        let text = message("eve@far.test", "out@example.org", "Through", "x");
        client.deliver("eve@far.test", &["out@example.org"], &text);
        let mut bob = behind.imap("bob@other.test");
        bob.wait_messages("INBOX", 1);
        let received = tests::field(&bob.text(1), "Received").unwrap();
        assert!(received.contains("[127.0.0.7]"), "{version}: {received}");
    }
}

#[test]
fn haproxy_says_who_the_client_is() {
    if is_missing("haproxy_says_who_the_client_is", "haproxy") {
        return;
    }
    let (v1, v2, behind) = (free_port(), free_port(), free_port());
    let mut setup = Setup::new();
    setup.account("alice@example.org");
    // The policy of the author's domain lets 127.0.0.7 through and nobody else.
    setup.zone("honest.test TXT \"v=spf1 ip4:127.0.0.7 -all\"");
    setup.zone("_dmarc.honest.test TXT \"v=DMARC1; p=reject\"");
    setup.option("smtp", &format!("listen \"127.0.0.1:{behind}\" {{ proxy {{ from \"127.0.0.1\"; }}; }}"));
    let maddy = setup.start();
    let _haproxy = Haproxy::start(v1, v2, behind);
    for port in [v1, v2] {
        eventually("HAProxy answers", || std::net::TcpStream::connect(("127.0.0.1", port)).ok());
        for (n, want) in [(7, "250*"), (8, "550 5.7.26*")] {
            let mut smtp = Smtp::begin(Chat::connect_from(n, port));
            smtp.command("MAIL FROM:<eve@honest.test>", "250*");
            smtp.command("RCPT TO:<alice@example.org>", "250*");
            smtp.data(&message("eve@honest.test", "alice@example.org", "Hello", "text"), want);
            maddy.wait_log(&format!("*peer=127.0.0.{n}*mail in*"));
        }
    }
    assert_eq!(maddy.imap("alice@example.org").count("INBOX"), 2);
}
