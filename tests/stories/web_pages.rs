//! The pages that mail programs and other servers ask for, with certificates that were proven by such a page (http-01),
//! and what those who run the server see.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::Command;
use tests::{Accounts, Daemon, Output, Pebble, Setup, eventually, free_port, message};

struct Ports {
    clear: u16,
    tls: u16,
    private: u16,
}

impl Ports {
    fn pick() -> Self {
        Self { clear: free_port(), tls: free_port(), private: free_port() }
    }

    fn node(&self, more: &str) -> String {
        let Self { clear, tls, private } = self;
        format!(
            "web {{\nlisten \"127.0.0.1:{clear}\"\nlisten \"127.0.0.1:{tls}\" tls=#true\nlisten \"127.0.0.1:{private}\" private=#true\n{more}\n}}"
        )
    }

    /// curl, with all names leading to the daemon, whose certificate must be good.
    fn curl(&self, roots: &Path, arguments: &[&str]) -> Output {
        let mut command = Command::new("curl");
        command.args(["-sS", "--max-time", "30", "--cacert"]).arg(roots);
        command.args(["--connect-to", &format!("::127.0.0.1:{}", self.tls)]);
        Output::of(command.args(arguments).output().unwrap())
    }
}

const NAMES: &str = "mx.example.org A 127.0.0.1\nmta-sts.example.org A 127.0.0.1\nautoconfig.example.org A 127.0.0.1\n\
     autodiscover.example.org A 127.0.0.1\nmta-sts.example.net A 127.0.0.1";

#[test]
fn with_a_certificate_for_each_name() {
    let mut setup = Setup::new();
    let ports = Ports::pick();
    setup.zone(NAMES);
    let pebble = Pebble::start(&setup, free_port(), ports.clear, Accounts::Open);
    setup.tls(&format!("acme {{\n{}\nchallenges \"http-01\"\n}}", pebble.options()));
    setup.config(&ports.node("mta-sts { mode \"enforce\"; }"));
    let daemon = setup.start();
    let roots = daemon.setup.dir().join("root.pem");
    std::fs::write(&roots, pebble.root()).unwrap();
    let get = |url: &str| ports.curl(&roots, &[url]);

    let policy = eventually("the policy is served with a good certificate", || {
        let got = get("https://mta-sts.example.net/.well-known/mta-sts.txt");
        got.status.success().then_some(got.stdout)
    });
    assert_eq!(policy, "version: STSv1\r\nmode: enforce\r\nmx: mx.example.org\r\nmax_age: 604800\r\n");
    let config = get("https://autoconfig.example.org/mail/config-v1.1.xml?emailaddress=a@example.org").ok();
    let imaps = daemon.ports().imaps;
    assert!(
        config.contains(&format!("<port>{imaps}</port>\n      <socketType>SSL</socketType>")),
        "{config}"
    );
    valid_autoconfig(&daemon, &config);
    let question =
        "<Autodiscover><Request><EMailAddress>a@example.org</EMailAddress></Request></Autodiscover>";
    let url = "https://autodiscover.example.org/autodiscover/autodiscover.xml";
    let answer = ports.curl(&roots, &["-d", question, url]).ok();
    assert!(answer.contains("<LoginName>a@example.org</LoginName>"), "{answer}");
    let head = ports.curl(&roots, &["-I", "https://mx.example.org/"]).ok();
    assert!(head.starts_with("HTTP/1.1 200 OK\r\n") && head.contains("content-type: text/html"), "{head}");
    let missing =
        ports.curl(&roots, &["-o", "/dev/null", "-w", "%{http_code}", "https://mx.example.org/x"]).ok();
    assert_eq!(missing, "404");

    // The profile of the command line is that of the page, both signed with the certificate, and the code leads there.
    let page = daemon.setup.dir().join("page.mobileconfig");
    let url = "https://mx.example.org/profile.mobileconfig?address=a@example.org";
    ports.curl(&roots, &["-o", page.to_str().unwrap(), url]).ok();
    let profile = signed(&page, &roots);
    let printed = daemon.setup.dir().join("printed.mobileconfig");
    let said = Command::new(tests::binary())
        .arg("--config")
        .arg(daemon.setup.config_file())
        .args(["account", "profile", "a@example.org"])
        .output()
        .unwrap();
    std::fs::write(&printed, &said.stdout).unwrap();
    assert_eq!(signed(&printed, &roots), profile);
    let mut spoilt = std::fs::read(&page).unwrap();
    let at = spoilt.windows(15).position(|window| window == b"a@example.org</").unwrap();
    spoilt[at] = b'b';
    std::fs::write(&page, spoilt).unwrap();
    assert!(!verify(&page, &roots).status.success());
    let code = daemon.cli(&["account", "profile", "a@example.org", "--qr"]).ok();
    assert!(code.ends_with("https://mx.example.org/profile.mobileconfig?address=a@example.org\n"), "{code}");
    assert!(daemon.cli(&["account", "profile", "a@example.com"]).fails().contains("not in `domains`"));
    let read = Command::new("python3")
        .args(["-c", "import plistlib,sys; p=plistlib.loads(sys.stdin.buffer.read()); print(p['PayloadContent'][0]['IncomingMailServerPortNumber'])"])
        .stdin(std::process::Stdio::piped())
        .stdout(std::process::Stdio::piped())
        .stderr(std::process::Stdio::piped())
        .spawn()
        .and_then(|mut child| {
            child.stdin.take().unwrap().write_all(profile.as_bytes())?;
            child.wait_with_output()
        });
    assert_eq!(Output::of(read.unwrap()).ok().trim(), imaps.to_string());
}

/// What Thunderbird wants of the file, as a grammar (RELAX NG).
const AUTOCONFIG: &str = r#"<grammar xmlns="http://relaxng.org/ns/structure/1.0" datatypeLibrary="http://www.w3.org/2001/XMLSchema-datatypes">
<start><element name="clientConfig"><attribute name="version"><value>1.1</value></attribute>
<element name="emailProvider"><attribute name="id"><text/></attribute>
<oneOrMore><element name="domain"><text/></element></oneOrMore>
<element name="displayName"><text/></element><element name="displayShortName"><text/></element>
<oneOrMore><element name="incomingServer"><attribute name="type"><choice><value>imap</value><value>pop3</value></choice></attribute><ref name="server"/></element></oneOrMore>
<oneOrMore><element name="outgoingServer"><attribute name="type"><value>smtp</value></attribute><ref name="server"/></element></oneOrMore>
</element></element></start>
<define name="server"><element name="hostname"><text/></element><element name="port"><data type="unsignedShort"/></element>
<element name="socketType"><choice><value>SSL</value><value>STARTTLS</value></choice></element>
<oneOrMore><element name="authentication"><choice><value>password-cleartext</value><value>password-encrypted</value><value>OAuth2</value></choice></element></oneOrMore>
<element name="username"><text/></element></define></grammar>"#;

fn valid_autoconfig(daemon: &Daemon, document: &str) {
    let (grammar, file) =
        (daemon.setup.dir().join("autoconfig.rng"), daemon.setup.dir().join("autoconfig.xml"));
    std::fs::write(&grammar, AUTOCONFIG).unwrap();
    std::fs::write(&file, document).unwrap();
    let said =
        Command::new("xmllint").arg("--noout").arg("--relaxng").arg(grammar).arg(file).output().unwrap();
    Output::of(said).ok();
}

/// What OpenSSL says of something signed. A certificate of a server is not one for mail.
fn verify(file: &Path, roots: &Path) -> Output {
    let mut command = Command::new("openssl");
    command
        .args(["cms", "-verify", "-binary", "-inform", "DER", "-purpose", "any", "-in"])
        .arg(file)
        .arg("-CAfile")
        .arg(roots);
    Output::of(command.output().unwrap())
}

/// What was signed, if it is.
fn signed(file: &Path, roots: &Path) -> String {
    verify(file, roots).ok()
}

fn ask(port: u16, text: &str) -> String {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
    stream.write_all(text.as_bytes()).unwrap();
    let mut answer = String::new();
    // That it is cut off is an answer too.
    let _ = stream.read_to_string(&mut answer);
    answer
}

fn get(port: u16, path: &str) -> String {
    ask(port, &format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"))
}

fn value(daemon: &Daemon, port: u16, line: &str) -> Option<u64> {
    let _ = daemon;
    let text = get(port, "/metrics");
    let found = text.lines().find_map(|one| one.strip_prefix(line)?.strip_prefix(' '))?;
    found.trim().parse().ok()
}

#[test]
fn what_happens_is_counted_for_those_who_run_the_server() {
    let mut setup = Setup::new();
    let ports = Ports::pick();
    setup.account("alice@example.org");
    setup.config(&ports.node(""));
    setup.config("checks { exempt \"127.0.0.0/8\"; }");
    // What is counted does not depend on how much is said.
    setup.option("log", "level \"error\"");
    let daemon = setup.start();
    assert!(get(ports.private, "/health").starts_with("HTTP/1.1 200 OK\r\n"));
    let status = get(ports.private, "/status");
    assert!(
        status.contains("<tr><th>works</th><td>yes</td></tr>") && status.contains("wait to go out"),
        "{status}"
    );
    let mut smtp = daemon.smtp();
    smtp.deliver(
        "bob@example.com",
        &["alice@example.org"],
        &message("bob@example.com", "alice@example.org", "Hi", "x"),
    );
    drop(daemon.imap("alice@example.org"));
    let counted = |line: &str, want: u64| {
        eventually(&format!("{line} is {want}"), || {
            (value(&daemon, ports.private, line) == Some(want)).then_some(())
        });
    };
    counted("maddy_messages_in_total{door=\"smtp\",result=\"accepted\"}", 1);
    counted("maddy_filed_total", 1);
    counted("maddy_logins_total{door=\"imap\",result=\"good\"}", 1);
    counted("maddy_queue_messages", 0);

    // Not for the public, and in clear nothing but the way to TLS.
    for (port, text, want) in [
        (ports.clear, "GET /metrics HTTP/1.1\r\nHost: mx.example.org\r\nConnection: close\r\n\r\n", "308"),
        (ports.clear, "GET / HTTP/1.1\r\nHost: evil.example\r\nConnection: close\r\n\r\n", "404"),
        (ports.clear, "GET / HTTP/1.1\r\nConnection: close\r\n\r\n", "400"),
        (ports.clear, "GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\nConnection: close\r\n\r\n", "400"),
        (ports.clear, "\u{16}\u{3}\u{1}\r\n\r\n", "400"),
        (ports.private, "DELETE /metrics HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n", "405"),
        (ports.private, "GET /x HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n", "404"),
    ] {
        let answer = ask(port, text);
        assert_eq!(answer.split(' ').nth(1), Some(want), "{text:?}: {answer}");
    }
    // Heads and bodies have an end.
    let long = format!("GET /{} HTTP/1.1\r\nHost: a\r\n\r\n", "x".repeat(64 * 1024));
    assert!(!ask(ports.private, &long).starts_with("HTTP/1.1 200"));
    let body = "x".repeat(64 * 1024);
    let post = format!(
        "POST /autodiscover/autodiscover.xml HTTP/1.1\r\nHost: example.org\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}",
        body.len()
    );
    let answer = ask(ports.clear, &post);
    assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 413"), "{answer}");
}
