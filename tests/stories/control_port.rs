//! What the command line does, done by other programs: curl on the Unix socket, and over TCP with a token.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use tests::{Daemon, Output, Setup, free_port};

const TOKEN: &str = "7d0f8b6c5a4e3d2c1b0a99887766554433221100";

struct Scene {
    daemon: Daemon,
    port: u16,
    tls: u16,
    token: PathBuf,
}

fn scene() -> Scene {
    let mut setup = Setup::new();
    let (port, tls) = (free_port(), free_port());
    let token = setup.dir().join("token");
    write_token(&token, TOKEN);
    setup.account("alice@example.org");
    let file = token.display();
    setup.config(&format!(
        "control {{\nlisten \"127.0.0.1:{port}\"\nlisten \"127.0.0.1:{tls}\" tls=#true\ntoken-file \"{file}\"\n}}"
    ));
    Scene { daemon: setup.start(), port, tls, token }
}

fn write_token(path: &Path, token: &str) {
    std::fs::write(path, format!("{token}\n")).unwrap();
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600)).unwrap();
}

/// The status and the body.
fn curl(arguments: &[&str]) -> (u16, serde_json::Value) {
    let output = Command::new("curl")
        .args(["-sS", "--max-time", "60", "-w", "\n%{http_code}", "-H", "content-type: application/json"])
        .args(arguments)
        .output()
        .unwrap();
    let text = Output::of(output).ok();
    let (body, status) = text.rsplit_once('\n').unwrap();
    (status.parse().unwrap(), serde_json::from_str(body).unwrap_or_default())
}

impl Scene {
    fn socket(&self) -> String {
        self.daemon.setup.state_dir().join("control.sock").display().to_string()
    }

    fn tcp(&self, token: &str, operation: &str, body: &str) -> (u16, serde_json::Value) {
        let url = format!("http://127.0.0.1:{}/v1/{operation}", self.port);
        curl(&["-H", &format!("authorization: Bearer {token}"), "-d", body, &url])
    }

    fn remote(&self, arguments: &[&str]) -> Output {
        let url = format!("http://127.0.0.1:{}", self.port);
        let token = self.token.display().to_string();
        let named = ["--control", url.as_str(), "--control-token", token.as_str()];
        self.daemon.cli(&[&named[..], arguments].concat())
    }
}

#[test]
fn curl_does_what_the_command_line_does() {
    let mut scene = scene();
    let socket = scene.socket();
    let by_socket = |operation: &str, body: &str| {
        curl(&["--unix-socket", &socket, "-d", body, &format!("http://localhost/v1/{operation}")])
    };
    let (status, answer) = by_socket("status", "null");
    assert_eq!((status, answer["hostname"].as_str()), (200, Some("mx.example.org")));
    let (status, listed) = by_socket("account-list", "{}");
    assert_eq!(status, 200, "{listed}");
    assert_eq!(scene.tcp(TOKEN, "account-list", "{}"), (200, listed));
    let body = r#"{"account":"alice@example.org","name":"From curl"}"#;
    let created = scene.tcp(TOKEN, "imap-mboxes-create", body);
    assert_eq!(created.0, 200, "{created:?}");
    assert!(scene.daemon.cli(&["imap-mboxes", "list", "alice@example.org"]).ok().contains("From curl"));
    let (status, answer) = scene.tcp(TOKEN, "imap-mboxes-create", "{}");
    assert_eq!((status, answer["kind"].as_str()), (400, Some("bad-request")));
    assert_eq!(scene.tcp(TOKEN, "no-such-thing", "null").0, 404);
    assert_eq!(scene.tcp(TOKEN, "a/b", "null").0, 404);

    // What was changed stands in the log with who did it, also where it was refused; what was only asked does not.
    let body = r#"{"account":"alice@example.org","name":"From the socket"}"#;
    assert_eq!(by_socket("imap-mboxes-create", body).0, 200);
    assert_eq!(by_socket("imap-mboxes-create", body).0, 409);
    let of = |by: &str, done: bool| {
        let what = "control operation=\"imap-mboxes-create\" about=\"alice@example.org\"";
        scene.daemon.wait_log(&format!("*{what} by=\"{by}\" done={done}*"));
    };
    of("token from 127.0.0.1", true);
    let us = format!("uid {}", nix::unistd::geteuid());
    of(&us, true);
    of(&us, false);
    assert!(!scene.daemon.log().contains("operation=\"account-list\""));

    // Over TLS, by the name of the certificate.
    let ca = scene.daemon.setup.ca().display().to_string();
    let to = format!("mx.example.org:443:127.0.0.1:{}", scene.tls);
    let bearer = format!("authorization: Bearer {TOKEN}");
    let arguments = ["--cacert", &ca, "--connect-to", &to, "-H", &bearer, "-d", "null"];
    let (status, answer) = curl(&[&arguments[..], &["https://mx.example.org/v1/status"]].concat());
    assert_eq!((status, answer["hostname"].as_str()), (200, Some("mx.example.org")));

    // The command line as a client.
    assert!(scene.remote(&["account", "list"]).ok().contains("alice@example.org"));
    assert!(scene.remote(&["queue", "list", "--json"]).ok().contains("[]"));
    assert!(scene.remote(&["backup", "/nowhere"]).fails().contains("on that machine"));
    scene.daemon.stop();
}

#[test]
fn nobody_comes_in_without_the_token() {
    let mut scene = scene();
    let url = format!("http://127.0.0.1:{}/v1/status", scene.port);
    assert_eq!(curl(&["-d", "null", &url]).0, 401);
    assert_eq!(curl(&["-u", &format!("x:{TOKEN}"), "-d", "null", &url]).0, 401);
    assert_eq!(scene.tcp(&TOKEN[1..], "status", "null").0, 401);
    // Exchanged while the server runs.
    let other = TOKEN.replace('7', "8");
    write_token(&scene.token, &other);
    assert_eq!(scene.tcp(TOKEN, "status", "null").0, 401);
    assert_eq!(scene.tcp(&other, "status", "null").0, 200);
    let mut said = Vec::new();
    for _ in 0..15 {
        said.push(scene.tcp("wrong", "status", "null").0);
    }
    assert_eq!(said.last(), Some(&429), "{said:?}");
    assert_eq!(scene.tcp(&other, "status", "null").0, 200, "who has it is not locked out");
    assert_eq!(scene.tcp("wrong", "status", "null").0, 429, "who guesses waits");
    scene.daemon.wait_log("*a wrong token at the control port*");
    let log = scene.daemon.log();
    assert!(!log.contains(TOKEN) && !log.contains(&other));
    scene.daemon.stop();
}

#[test]
fn a_token_that_others_can_read_is_refused() {
    let mut scene = scene();
    scene.daemon.stop();
    std::fs::set_permissions(&scene.token, std::fs::Permissions::from_mode(0o644)).unwrap();
    let said = scene.daemon.start_fails();
    assert!(said.contains("chmod 600"), "{said}");
}

/// What docs/openapi.json describes is there.
#[test]
fn every_path_of_the_description_is_answered() {
    let mut scene = scene();
    let document: serde_json::Value =
        serde_json::from_str(&scene.daemon.cli(&["config", "openapi"]).ok()).unwrap();
    let paths = document["paths"].as_object().unwrap();
    assert!(paths.len() > 60);
    for (path, item) in paths {
        let url = format!("http://localhost{path}");
        let (status, answer) = curl(&["--unix-socket", &scene.socket(), "-d", "\"no arguments\"", &url]);
        assert!(item["post"]["responses"][status.to_string()].is_object(), "{path}: {status}");
        let said = answer["message"].as_str().unwrap_or_default();
        assert!(!said.contains("there is no operation"), "{path}: {said}");
    }
    scene.daemon.stop();
}
