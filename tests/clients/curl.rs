//! curl: one program that sends by SMTP and reads by IMAP, as the README shows it.

use crate::program::{Heard, is_missing, run};
use crate::{reader, scene};
use std::path::PathBuf;
use tests::{Daemon, PASSWORD};

fn curl(maddy: &Daemon, arguments: &[&str]) -> Heard {
    let ca = maddy.setup.ca().display().to_string();
    let user = format!("alice@example.org:{PASSWORD}");
    let common = ["--silent", "--show-error", "--max-time", "30", "--cacert", &ca, "--user", &user];
    run(maddy.setup.dir(), "curl", &[&common[..], arguments].concat())
}

/// A message in a file, for `--upload-file`.
fn message_file(maddy: &Daemon, name: &str, subject: &str) -> String {
    let path: PathBuf = maddy.setup.dir().join(name);
    let text = tests::message("alice@example.org", "bob@example.org", subject, "one\r\n.two\r\n..three");
    std::fs::write(&path, text).unwrap();
    path.display().to_string()
}

#[test]
fn sends_over_starttls_and_tls() {
    if is_missing("curl", "curl") {
        return;
    }
    let maddy = scene().start();
    let ports = maddy.ports();
    let file = message_file(&maddy, "mail.txt", "by curl");
    let mail = ["--mail-from", "alice@example.org", "--mail-rcpt", "bob@example.org", "--upload-file", &file];
    let clear_first = format!("smtp://localhost:{}", ports.submission);
    curl(&maddy, &[&["--ssl-reqd", &clear_first], &mail[..]].concat()).fine();
    let tls = format!("smtps://localhost:{}", ports.submissions);
    curl(&maddy, &[&[tls.as_str()], &mail[..]].concat()).fine();
    let mut imap = reader(&maddy, "bob@example.org");
    assert_eq!(imap.wait_messages("INBOX", 2), 2);
    for text in imap.texts("INBOX") {
        assert!(text.ends_with("\r\n\r\none\r\n.two\r\n..three\r\n"), "{text}");
    }
}

#[test]
fn reads_lists_searches_and_appends() {
    if is_missing("curl", "curl") {
        return;
    }
    let maddy = scene().start();
    let ports = maddy.ports();
    for subject in ["first", "second"] {
        let text = tests::message("eve@remote.test", "alice@example.org", subject, "body");
        maddy.smtp().deliver("eve@remote.test", &["alice@example.org"], &text);
    }
    reader(&maddy, "alice@example.org").wait_messages("INBOX", 2);
    let imaps = format!("imaps://localhost:{}", ports.imaps);
    let imap = format!("imap://localhost:{}", ports.imap);

    let list = curl(&maddy, &[&format!("{imaps}/")]).fine();
    for name in ["INBOX", "Drafts", "Sent", "Archive", "Junk", "Trash"] {
        assert!(list.text.contains(name), "{list}");
    }
    curl(&maddy, &["--ssl-reqd", &format!("{imap}/INBOX?SUBJECT%20second")]).fine().says("* SEARCH 2");
    curl(&maddy, &[&format!("{imaps}/INBOX;MAILINDEX=2")])
        .fine()
        .says("Subject: second")
        .says("Return-Path: <eve@remote.test>");
    curl(&maddy, &[&format!("{imaps}/INBOX;UID=1;SECTION=TEXT")]).fine().says("body");
    let structure =
        curl(&maddy, &[&format!("{imaps}/INBOX"), "--request", "FETCH 1 (FLAGS BODYSTRUCTURE ENVELOPE)"]);
    structure.fine().says("BODYSTRUCTURE (\"TEXT\" \"PLAIN\"").says("\"first\"");

    let file = message_file(&maddy, "draft.txt", "a draft");
    curl(&maddy, &[&format!("{imaps}/Drafts"), "--upload-file", &file]).fine();
    let mut chat = reader(&maddy, "alice@example.org");
    assert_eq!(chat.wait_messages("Drafts", 1), 1);
    assert!(chat.text(1).contains("Subject: a draft\r\n"));
}

#[test]
fn a_wrong_password_is_a_login_error() {
    if is_missing("curl", "curl") {
        return;
    }
    let maddy = scene().start();
    let url = format!("imaps://localhost:{}/INBOX", maddy.ports().imaps);
    // 67: the server did not accept the login.
    curl(&maddy, &["--user", "alice@example.org:wrong", &url]).status(67);
}

/// curl sends OAUTHBEARER with `--oauth2-bearer`. Who knows the token is asked of a web server, played by Python.
#[test]
fn logs_in_with_a_token() {
    let test = "logs_in_with_a_token";
    if is_missing(test, "curl") || is_missing(test, "python3") {
        return;
    }
    let mut setup = scene();
    let server = IntrospectionServer::start();
    let secret = setup.dir().join("secret");
    std::fs::write(&secret, "secret\n").unwrap();
    setup.config(&format!(
        "logins {{ oauth {{ introspection \"http://127.0.0.1:{}/\"; client-id \"mail\"; client-secret-file {secret:?}; }}; }}",
        server.port
    ));
    let maddy = setup.start();
    let ports = maddy.ports();
    let ca = maddy.setup.ca().display().to_string();
    let with = |token: &str, arguments: &[&str]| {
        let common = [
            "--silent",
            "--show-error",
            "--max-time",
            "30",
            "--cacert",
            &ca,
            "--user",
            "alice@example.org:",
            "--oauth2-bearer",
            token,
        ];
        run(maddy.setup.dir(), "curl", &[&common[..], arguments].concat())
    };
    let file = message_file(&maddy, "mail.txt", "by a token");
    let mail =
        ["--mail-from", "alice@example.org", "--mail-rcpt", "alice@example.org", "--upload-file", &file];
    for (url, more) in [
        (format!("smtps://localhost:{}", ports.submissions), &["--login-options", "AUTH=OAUTHBEARER"][..]),
        (format!("smtps://localhost:{}", ports.submissions), &["--login-options", "AUTH=XOAUTH2"]),
    ] {
        with("good", &[&[url.as_str()], more, &mail[..]].concat()).fine();
    }
    let inbox = format!("imaps://localhost:{}/INBOX", ports.imaps);
    for mechanism in ["AUTH=OAUTHBEARER", "AUTH=XOAUTH2"] {
        let got =
            with("good", &["--login-options", mechanism, &inbox, "--request", "STATUS INBOX (MESSAGES)"])
                .fine();
        assert!(got.text.contains("MESSAGES 2"), "{got}");
        // Login denied.
        with("bad", &["--login-options", mechanism, &inbox]).status(67);
    }
}

/// Says of the token `good` that it is alice's; ends with this value.
struct IntrospectionServer {
    child: std::process::Child,
    port: u16,
}

impl IntrospectionServer {
    fn start() -> Self {
        use std::io::BufRead;
        const SERVER: &str = r#"
import http.server, json
class Answer(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        form = self.rfile.read(int(self.headers["Content-Length"]))
        good = form.startswith(b"token=good&")
        body = json.dumps({"active": good, "username": "alice@example.org"} if good else {"active": False}).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
    def log_message(self, *args):
        pass
server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Answer)
print(server.server_port, flush=True)
server.serve_forever()
"#;
        let mut child = std::process::Command::new("python3")
            .args(["-c", SERVER])
            .stdin(std::process::Stdio::null())
            .stdout(std::process::Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        std::io::BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        Self { child, port: line.trim().parse().unwrap() }
    }
}

impl Drop for IntrospectionServer {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
