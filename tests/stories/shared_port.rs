//! One port for the web, for reading and for sending: what the client names in its handshake (ALPN) decides.

use std::io::Write;
use std::process::{Command, Stdio};
use tests::{Output, PASSWORD, Setup, free_port};

/// What is said over TLS by who names a protocol, to these lines.
fn say(port: u16, protocol: Option<&str>, lines: &str) -> Output {
    let mut command = Command::new("openssl");
    command.args(["s_client", "-quiet", "-ign_eof", "-connect", &format!("127.0.0.1:{port}")]);
    if let Some(protocol) = protocol {
        command.args(["-alpn", protocol]);
    }
    let mut child =
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    // Who is not let in may be gone by now.
    let _ = child.stdin.as_mut().unwrap().write_all(lines.as_bytes());
    Output::of(child.wait_with_output().unwrap())
}

#[test]
fn the_web_shares_its_port_with_mail_programs() {
    let mut setup = Setup::new();
    let (shared, alone) = (free_port(), free_port());
    setup.account("alice@example.org");
    setup.config(&format!(
        "web {{\nlisten \"127.0.0.1:{shared}\" tls=#true share=#true\nlisten \"127.0.0.1:{alone}\" tls=#true\n}}"
    ));
    let _maddy = setup.start();
    let get = "GET / HTTP/1.1\r\nHost: mx.example.org\r\nConnection: close\r\n\r\n";
    let read = format!("a LOGIN alice@example.org \"{PASSWORD}\"\r\nb SELECT INBOX\r\nc LOGOUT\r\n");
    let send = "EHLO c.example\r\nQUIT\r\n";
    for (port, protocol, lines, want) in [
        (shared, Some("imap"), read.as_str(), "c OK"),
        (shared, Some("smtp"), send, "250-AUTH"),
        (shared, Some("http/1.1"), get, "It works."),
        // A browser names more than one; a client of old names none.
        (shared, Some("h2,http/1.1"), get, "It works."),
        (shared, None, get, "It works."),
        (alone, Some("imap"), get, "It works."),
    ] {
        let said = say(port, protocol, lines);
        assert!(said.stdout.contains(want), "{protocol:?}: {said:?}");
    }
    // Nobody relays there without a login, and other protocols find nobody.
    let relay = "EHLO c.example\r\nMAIL FROM:<a@b.example>\r\nQUIT\r\n";
    assert!(say(shared, Some("smtp"), relay).stdout.contains("530 5.7.0"));
    let refused = say(shared, Some("xmpp-client"), get);
    assert!(refused.stderr.contains("no application protocol"), "{refused:?}");
}
