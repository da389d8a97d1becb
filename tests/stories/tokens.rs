//! Logins with tokens of an authorization server, which is played by a web server in Python: OAUTHBEARER and XOAUTH2 on
//! both doors, what clients hear of a bad one, how it is counted, and that no token is written down.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use tests::{Chat, Daemon, Imap, Setup, Smtp, assert_like, message};

/// Says of `good-NAME` that it is NAME's of example.org; writes a line for each question.
const SERVER: &str = r#"
import base64, http.server, json, sys, time, urllib.parse

class Answer(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        form = urllib.parse.parse_qs(self.rfile.read(int(self.headers["Content-Length"])).decode())
        login = base64.b64decode(self.headers["Authorization"].split()[1]).decode()
        token = form["token"][0]
        print(self.path, login, token, flush=True)
        status, said = 200, {"active": False}
        if token == "broken":
            status = 500
        elif token.startswith("good-"):
            said = {"active": True, "username": token[5:] + "@example.org", "scope": "mail send", "aud": "us", "exp": int(time.time()) + 600}
        elif token.startswith("read-"):
            said = {"active": True, "username": token[5:] + "@example.org", "scope": "mail", "aud": "us"}
        elif token.startswith("brief-"):
            said = {"active": True, "username": token[6:] + "@example.org", "scope": "mail send", "aud": "us", "exp": int(time.time()) + 4}
        elif token.startswith("other-"):
            said = {"active": True, "username": token[6:] + "@example.org", "scope": "mail send", "aud": "them"}
        body = json.dumps(said).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args):
        pass

server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Answer)
print(server.server_port, flush=True)
server.serve_forever()
"#;

/// The authorization server; it ends with this value.
struct Server {
    child: Child,
    lines: BufReader<std::process::ChildStdout>,
    port: u16,
}

impl Server {
    fn start() -> Self {
        let mut child = Command::new("python3")
            .args(["-c", SERVER])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .expect("python3 does not start (tests/install installs it)");
        let mut lines = BufReader::new(child.stdout.take().unwrap());
        let mut port = String::new();
        lines.read_line(&mut port).unwrap();
        Self { child, lines, port: port.trim().parse().unwrap() }
    }

    /// The next question: path, our login, the token.
    fn asked(&mut self) -> String {
        let mut line = String::new();
        self.lines.read_line(&mut line).unwrap();
        line.trim().to_owned()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn scene(server: &Server) -> Setup {
    let mut setup = Setup::new();
    setup.account("alice@example.org");
    setup.account("bob@example.org");
    let secret = setup.dir().join("secret");
    std::fs::write(&secret, "pass word\n").unwrap();
    setup.config(&format!(
        "logins {{ failures-per-address 4; delay \"30s\"; oauth {{ introspection \"http://127.0.0.1:{}/introspect\"; client-id \"mail\"; \
         client-secret-file {secret:?}; scope \"mail\"; submission-scope \"send\"; audience \"us\"; \
         openid-configuration \"https://id.test/.well-known/openid-configuration\"; }}; }}",
        server.port
    ));
    setup
}

fn bearer(user: &str, token: &str) -> String {
    let user = if user.is_empty() { String::new() } else { format!("a={user}") };
    STANDARD.encode(format!("n,{user},\x01host=localhost\x01auth=Bearer {token}\x01\x01"))
}

fn xoauth2(user: &str, token: &str) -> String {
    STANDARD.encode(format!("user={user}\x01auth=Bearer {token}\x01\x01"))
}

fn imap(maddy: &Daemon, n: u8) -> Imap {
    Imap::begin(Chat::connect_from(n, maddy.ports().imap))
}

fn submission(maddy: &Daemon, n: u8) -> Smtp {
    Smtp::begin(Chat::connect_from(n, maddy.ports().submission))
}

#[test]
fn a_good_token_opens_both_doors() {
    let mut server = Server::start();
    let maddy = scene(&server).start();
    let mut alice = submission(&maddy, 2);
    assert!(
        alice.offers.iter().any(|line| line.starts_with("AUTH ") && line.contains(" OAUTHBEARER XOAUTH2")),
        "{:?}",
        alice.offers
    );
    alice.command(&format!("AUTH OAUTHBEARER {}", bearer("alice@example.org", "good-alice")), "235*");
    assert_eq!(server.asked(), "/introspect mail:pass+word good-alice".replace('+', "%20"));
    alice.deliver(
        "alice@example.org",
        &["bob@example.org"],
        &message("alice@example.org", "bob@example.org", "Token", "Hello"),
    );
    // From here on it is known, and nobody is asked: the next question is about another token.
    let mut chat = imap(&maddy, 2);
    chat.say(&format!("a AUTHENTICATE OAUTHBEARER {}", bearer("", "good-alice")));
    chat.expect("a OK*");
    let mut chat = imap(&maddy, 2);
    chat.say("a AUTHENTICATE XOAUTH2");
    chat.expect("+ *");
    chat.say(&xoauth2("Bob@example.org", "good-bob"));
    chat.expect("a OK*");
    assert_like(&server.asked(), "*good-bob");
    chat.say("b STATUS INBOX (MESSAGES)");
    chat.expect("* STATUS*1)*");
    // One that is good for reading alone.
    let mut chat = imap(&maddy, 2);
    chat.say(&format!("a AUTHENTICATE XOAUTH2 {}", xoauth2("alice@example.org", "read-alice")));
    chat.expect("a OK*");
    let mut smtp = submission(&maddy, 2);
    let said = smtp.command(&format!("AUTH XOAUTH2 {}", xoauth2("alice@example.org", "read-alice")), "334 *");
    let error = String::from_utf8(STANDARD.decode(&said[4..]).unwrap()).unwrap();
    assert_like(&error, "*\"status\":\"insufficient_scope\"*");
    smtp.command("AQ==", "535 5.7.8*");
    assert!(!maddy.log().contains("good-"), "a token is in the log");
}

#[test]
fn a_bad_token_is_explained_counted_and_forgotten() {
    let mut server = Server::start();
    let maddy = scene(&server).start();
    let want = "{\"status\":\"invalid_token\",\"schemes\":\"bearer\",\"scope\":\"mail\",\"openid-configuration\":\"https://id.test/.well-known/openid-configuration\"}";
    let mut chat = imap(&maddy, 3);
    chat.say(&format!("a AUTHENTICATE OAUTHBEARER {}", bearer("alice@example.org", "stolen")));
    chat.expect(&format!("+ {}", STANDARD.encode(want)));
    chat.say("AQ==");
    chat.expect("a NO [AUTHENTICATIONFAILED]*");
    let _ = server.asked();
    let mut smtp = submission(&maddy, 3);
    for (user, token) in [
        // It is bob's.
        ("alice@example.org", "good-bob"),
        // It is for others, or for nobody who lives here.
        ("alice@example.org", "other-alice"),
        ("ghost@example.org", "good-ghost"),
    ] {
        smtp.command(&format!("AUTH OAUTHBEARER {}", bearer(user, token)), "334 *");
        smtp.command("AQ==", "535 5.7.8*");
    }
    // That were four guesses: now nobody is asked any more, and a good token does not help from here.
    smtp.command(&format!("AUTH XOAUTH2 {}", xoauth2("alice@example.org", "good-alice")), "454 4.7.0*");
    submission(&maddy, 4)
        .command(&format!("AUTH XOAUTH2 {}", xoauth2("alice@example.org", "good-alice")), "235*");
    // An exchange that breaks off is none, and needs no answer in between.
    let mut smtp = submission(&maddy, 5);
    smtp.command("AUTH OAUTHBEARER", "334*");
    smtp.command("*", "501 5.7.0*");
    smtp.command("AUTH OAUTHBEARER AQ==", "501 5.5.2*");
    // What the authorization server cannot say is nobody's fault.
    smtp.command(&format!("AUTH XOAUTH2 {}", xoauth2("alice@example.org", "broken")), "454 4.7.0*");
    maddy.wait_log("*the authorization server gave no answer on a token*status 500*");
    drop(server);
    smtp.command(&format!("AUTH XOAUTH2 {}", xoauth2("alice@example.org", "good-new")), "454 4.7.0*");
    let log = maddy.log();
    for token in ["stolen", "good-", "other-", "broken", "pass word"] {
        assert!(!log.contains(token), "{token} is in the log");
    }
    maddy.wait_log("*token refused*it is somebody else's*");
}

/// Whoever is in by a token is out when it ends, on both doors; who is in by another one stays.
#[test]
fn sessions_end_with_their_token() {
    let server = Server::start();
    let maddy = scene(&server).start();
    let mut stays = imap(&maddy, 2);
    stays.say(&format!("a AUTHENTICATE OAUTHBEARER {}", bearer("", "good-alice")));
    stays.expect("a OK*");
    let mut reads = imap(&maddy, 2);
    reads.say(&format!("a AUTHENTICATE OAUTHBEARER {}", bearer("", "brief-alice")));
    reads.expect("a OK*");
    let mut sends = submission(&maddy, 2);
    sends.command(&format!("AUTH XOAUTH2 {}", xoauth2("bob@example.org", "brief-bob")), "235*");
    // Nothing is said to either of them meanwhile.
    reads.expect("* BYE The login was taken back*");
    assert!(sends.reply().starts_with("421 4.7.0"));
    maddy.wait_log("*what the login was proven by stands no more*");
    stays.say("c NOOP");
    stays.expect("c OK*");
}

#[test]
fn without_a_server_to_ask_tokens_are_not_offered() {
    let mut setup = Setup::new();
    setup.account("alice@example.org");
    let maddy = setup.start();
    let mut smtp = submission(&maddy, 2);
    assert!(!smtp.offers.iter().any(|line| line.contains("OAUTH")), "{:?}", smtp.offers);
    smtp.command(&format!("AUTH XOAUTH2 {}", xoauth2("alice@example.org", "x")), "504*");
}
