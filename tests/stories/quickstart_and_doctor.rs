//! From an empty directory to a server that runs, and a doctor who finds every fault that was planted in the DNS.

use serde_json::Value;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use tempfile::TempDir;
use tests::{NameServer, Output, binary, eventually};

/// A server that `quickstart` makes, and its DNS.
struct Scene {
    dir: TempDir,
    names: NameServer,
    base: u16,
    child: Option<Child>,
}

impl Scene {
    fn new() -> Self {
        Self { dir: tempfile::tempdir().unwrap(), names: NameServer::start(), base: base(), child: None }
    }

    fn config(&self) -> PathBuf {
        self.dir.path().join("home/maddy.conf")
    }

    fn quickstart(&self, more: &[&str]) -> Output {
        let (base, at) = (self.base.to_string(), self.names.at().to_string());
        Output::of(
            Command::new(binary())
                .args([
                    "quickstart",
                    "you@example.org",
                    "--yes",
                    "--tls",
                    "self-signed",
                    "--address",
                    "127.0.0.3",
                ])
                .args(["--port-base", &base, "--resolver", &at, "--dir"])
                .arg(self.dir.path().join("home"))
                .args(more)
                .stdin(Stdio::null())
                .output()
                .unwrap(),
        )
    }

    fn run(&self, arguments: &[&str]) -> Output {
        let mut command = Command::new(binary());
        command.arg("--config").arg(self.config()).args(arguments).stdin(Stdio::null());
        Output::of(command.output().unwrap())
    }

    fn start(&mut self) {
        let log = std::fs::File::create(self.dir.path().join("log")).unwrap();
        let mut command = Command::new(binary());
        command.arg("--config").arg(self.config()).arg("run").stdin(Stdio::null());
        self.child = Some(command.stdout(Stdio::null()).stderr(log).spawn().unwrap());
        let at = SocketAddr::from(([127, 0, 0, 1], self.base + 25));
        eventually("the server answers", || TcpStream::connect(at).ok());
    }

    fn doctor(&self) -> (Output, Vec<(String, String, String)>) {
        let output = self.run(&["--json", "doctor", "--full", "--address", "127.0.0.3"]);
        let list: Vec<Value> =
            serde_json::from_str(&output.stdout).unwrap_or_else(|error| panic!("{error}: {output:?}"));
        let word = |one: &Value, key: &str| one[key].as_str().unwrap().to_owned();
        let list =
            list.iter().map(|one| (word(one, "check"), word(one, "about"), word(one, "state"))).collect();
        (output, list)
    }
}

impl Drop for Scene {
    fn drop(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

/// A number whose sum with each well-known port is free.
pub(crate) fn base() -> u16 {
    (0..500)
        .map(|_| tests::free_port() % 20_000 + 10_000)
        .find(|base| {
            [25, 80, 143, 443, 465, 587, 993, 9980]
                .iter()
                .all(|port| TcpListener::bind(("127.0.0.1", base + port)).is_ok())
        })
        .expect("loopback has free ports")
}

/// The zone as it was printed.
pub(crate) fn zone(records: &Value) -> Vec<String> {
    records.as_array().unwrap().iter().map(|one| one["line"].as_str().unwrap().to_owned()).collect()
}

/// An address that the world could reach, and nobody has (RFC 5737).
const PUBLIC: &str = "192.0.2.1";

/// What takes the place of the records that begin so, and the check that must name it.
const FAULTS: [(&str, &str, &str); 11] = [
    ("mail.example.org. IN A ", "mail.example.org. IN A 127.0.0.2", "address"),
    ("1.2.0.192.in-addr.arpa.", "1.2.0.192.in-addr.arpa. IN PTR host1.provider.example.", "ptr"),
    ("example.org. IN MX", "example.org. IN MX 10 old.example.org.", "mx"),
    ("example.org. IN TXT \"v=spf1 mx", "example.org. IN TXT \"v=spf1 ip4:192.0.2.9 -all\"", "spf"),
    ("maddy._domainkey.", "maddy._domainkey.example.org. IN TXT \"v=DKIM1; k=rsa; p=AAAA\"", "dkim"),
    ("_dmarc.example.org.", "", "dmarc"),
    ("_smtp._tls.example.org.", "", "tlsrpt"),
    ("_mta-sts.example.org.", "", "mta-sts-record"),
    ("mta-sts.example.org.", "", "web-name"),
    ("_imaps._tcp.example.org.", "_imaps._tcp.example.org. IN SRV 0 1 99 mail.example.org.", "srv"),
    ("autoconfig.example.org.", "autoconfig.example.org. IN A 127.0.0.9", "web-name"),
];

const FAR: &str = "gmail.com MX 10 far.example\nfar.example A 127.0.0.1\n";

#[test]
fn from_an_empty_directory_to_a_healthy_server_and_back() {
    let mut scene = Scene::new();
    let made: Value = serde_json::from_str(&scene.quickstart(&["--json"]).ok()).unwrap();
    assert_eq!(made["account"], "you@example.org");
    let password = made["password"].as_str().unwrap().to_owned();
    let again = scene.quickstart(&[]);
    assert!(again.fails().contains("nothing is ever overwritten"));
    let state = made["state_dir"].as_str().unwrap();
    assert_eq!(std::fs::metadata(state).unwrap().permissions().mode() & 0o077, 0);

    // The zone that was printed, and a port 25 to get out by, make everything well.
    let lines = zone(&made["records"]);
    let text = std::fs::read_to_string(scene.config()).unwrap();
    std::fs::write(scene.config(), format!("{text}\ndelivery {{\n    port {}\n}}\n", scene.base + 25))
        .unwrap();
    scene.names.set(&format!("{FAR}{}", lines.join("\n")));
    scene.start();
    let login = scene.verify(&password);
    assert!(login.status.success(), "{login:?}");
    let (output, list) = scene.doctor();
    let wrong: Vec<_> = list.iter().filter(|(_, _, state)| state == "bad").collect();
    // No web server with a certificate that others believe in is on port 443 here; and the name of a loopback address is
    // not asked for in the DNS. How full the disk of this machine is, is nobody's fault here.
    let may_be = |check: &str| matches!(check, "mta-sts" | "ptr" | "disk");
    assert!(wrong.iter().all(|(check, ..)| may_be(check)), "{wrong:?}\n{}", output.stdout);
    let good = |check: &str| list.iter().any(|(one, _, state)| one == check && state == "good");
    for check in [
        "address",
        "mx",
        "spf",
        "dkim",
        "dmarc",
        "tlsrpt",
        "mta-sts-record",
        "web-name",
        "srv",
        "port",
        "outbound",
        "dns-list",
        "permissions",
        "server",
        "accounts",
        "queue",
        "database",
    ] {
        assert!(good(check), "{check} is not good\n{}", output.stdout);
    }
    let printed = scene.run(&["dns", "records", "--address", "127.0.0.3"]).ok();
    for line in &lines {
        assert!(printed.contains(line), "{line}\n{printed}");
    }
    assert!(printed.contains("; 3.0.0.127.in-addr.arpa. IN PTR mail.example.org."), "{printed}");

    // BIND takes it as it was printed, remarks and all, and with addresses of both kinds.
    let more = ["dns", "records", "--address", "192.0.2.1", "--address", "2001:db8::1"];
    for zone in [&printed, &scene.run(&more).ok()] {
        tests::check_zone(scene.dir.path(), "example.org", zone).unwrap();
    }

    plant_faults(&scene);

    // All of them at once, and an address on a list.
    let faults: Vec<_> = FAULTS.into_iter().filter(|(_, _, check)| *check != "ptr").collect();
    let listed = "3.0.0.127.zen.spamhaus.org A 127.0.0.2";
    scene.names.set(&format!("{FAR}{listed}\n{}", planted(&lines, &faults)));
    let output = scene.run(&["--json", "doctor", "--address", "127.0.0.3"]);
    assert_eq!(output.status.code(), Some(1));
    let found: Vec<Value> = serde_json::from_str(&output.stdout).unwrap();
    for check in FAULTS.map(|(_, _, check)| check).into_iter().chain(["dns-list"]) {
        must_name(&found, check);
    }
}

/// Each fault by itself is found and named, by an address that the world could reach.
fn plant_faults(scene: &Scene) {
    let records = scene.run(&["--json", "dns", "records", "--address", PUBLIC]).ok();
    let lines = zone(&serde_json::from_str(&records).unwrap());
    let check = || scene.run(&["--json", "dns", "check", "--address", PUBLIC]);
    scene.names.set(&lines.join("\n"));
    let well = check();
    assert!(well.status.success(), "{}", well.stdout);
    for (begin, instead, name) in FAULTS {
        scene.names.set(&planted(&lines, &[(begin, instead, name)]));
        let found: Vec<Value> = serde_json::from_str(&check().stdout).unwrap();
        must_name(&found, name);
        let others = found.iter().filter(|one| one["state"] == "bad" && one["check"] != name);
        // Where our host leads, and to whom mail goes, others depend on.
        let others: Vec<_> = others.filter(|_| !matches!(name, "address" | "mx")).collect();
        assert!(others.is_empty(), "{name}: {others:#?}");
    }
}

/// The zone with faults in it.
fn planted(lines: &[String], faults: &[(&str, &str, &str)]) -> String {
    let mut zone = lines.to_vec();
    for (begin, instead, _) in faults {
        let before = zone.len();
        zone.retain(|line| !line.starts_with(begin));
        assert!(zone.len() < before, "there is no record {begin}");
        zone.push((*instead).to_owned());
    }
    zone.join("\n")
}

pub(crate) fn must_name(found: &[Value], check: &str) {
    let is_told =
        |one: &&Value| one["check"] == check && matches!(one["state"].as_str(), Some("bad" | "note"));
    let named = found.iter().find(is_told).unwrap_or_else(|| panic!("{check} was not found\n{found:#?}"));
    for key in ["what", "why", "fix"] {
        assert!(!named[key].as_str().unwrap().is_empty(), "{named}");
    }
}

impl Scene {
    fn verify(&self, password: &str) -> Output {
        use std::io::Write;
        let mut child = Command::new(binary())
            .arg("--config")
            .arg(self.config())
            .args(["creds", "verify", "you@example.org"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        child.stdin.take().unwrap().write_all(format!("{password}\n").as_bytes()).unwrap();
        Output::of(child.wait_with_output().unwrap())
    }
}

#[test]
fn faults_of_the_machine_are_found_and_repaired_where_that_is_possible() {
    let mut scene = Scene::new();
    scene.quickstart(&[]).ok();
    // Nothing runs, nothing is in the DNS, nobody can get out; and somebody has been generous with rights.
    let state = scene.dir.path().join("home/state");
    let key = std::fs::read_dir(state.join("dkim"))
        .unwrap()
        .flatten()
        .map(|one| one.path())
        .find(|path| path.is_file());
    let key = key.expect("there is a signing key");
    std::fs::set_permissions(&key, std::fs::Permissions::from_mode(0o644)).unwrap();
    scene
        .names
        .set("gmail.com MX 10 far.example\nfar.example A 127.0.0.7\n3.0.0.127.bl.spamcop.net SERVFAIL\n");
    let (output, list) = scene.doctor();
    assert!(!output.status.success());
    let is = |check: &str, state: &str| list.iter().any(|(one, _, how)| one == check && how == state);
    for (check, state) in [
        ("server", "bad"),
        ("port", "bad"),
        ("address", "bad"),
        ("mx", "bad"),
        ("permissions", "bad"),
        ("outbound", "bad"),
        ("certificate", "note"),
        ("dns-list", "unknown"),
        ("dns-list", "good"),
        ("resolver", "good"),
    ] {
        assert!(is(check, state), "{check} {state}\n{}", output.stdout);
    }
    let fixed = scene.run(&["doctor", "--fix", "--all", "--address", "127.0.0.3"]);
    assert!(fixed.stdout.contains("repaired") && fixed.stdout.contains("why:"), "{}", fixed.stdout);
    assert_eq!(std::fs::metadata(&key).unwrap().permissions().mode() & 0o777, 0o600);
    let check = scene.run(&["dns", "check", "--address", "127.0.0.3"]);
    assert_eq!(check.status.code(), Some(1));
    assert!(
        check.stdout.contains("put this into the zone: example.org. IN MX 10 mail.example.org."),
        "{}",
        check.stdout
    );
    // A name server that says nothing is named once, and not waited for again and again.
    let silent = Output::of(
        Command::new(binary())
            .arg("--config")
            .arg(scene.config())
            .args(["--json", "doctor", "--address", "127.0.0.3", "--resolver", "127.0.0.1:1"])
            .stdin(Stdio::null())
            .output()
            .unwrap(),
    );
    let named: Vec<Value> = serde_json::from_str(&silent.stdout).unwrap();
    assert!(named.iter().any(|one| one["check"] == "resolver" && one["state"] == "bad"), "{named:#?}");
    assert!(!named.iter().any(|one| one["check"] == "mx"), "{named:#?}");
    // Before anything is there, what cannot be is said.
    for (arguments, want) in [
        (&["quickstart", "you"][..], "you"),
        (&["quickstart", "you@[127.0.0.1]", "--dir", "/nowhere", "--yes"], "no domain"),
        (&["quickstart", "you@example.org", "--dir", "/nowhere", "--tls", "files"], "--certificate"),
    ] {
        let output = Command::new(binary()).args(arguments).stdin(Stdio::null()).output().unwrap();
        let said = Output::of(output).fails();
        assert!(said.contains(want), "{arguments:?}: {said}");
    }
    scene.child = None;
}

/// A clock that shows a day of 2020.
struct Past;

impl world::Clock for Past {
    fn now(&self) -> std::time::SystemTime {
        std::time::UNIX_EPOCH + std::time::Duration::from_secs(1_590_000_000)
    }
}

#[test]
fn faults_of_certificates_are_found() {
    let scene = Scene::new();
    scene.quickstart(&[]).ok();
    let old = scene.dir.path().join("old");
    let files = net::demo_ca(&old, &["other.example.org".to_owned()], &Past).unwrap().leaf;
    let text = std::fs::read_to_string(scene.config()).unwrap();
    let node = format!("certificate {:?} key={:?}", files.chain, files.key);
    std::fs::write(scene.config(), text.replace("    self-signed\n", &format!("    {node}\n"))).unwrap();
    let open = |path: &std::path::Path, mode| {
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
    };
    open(&files.key, 0o644);
    open(&scene.config(), 0o666);
    scene.names.set("mail.example.org A 127.0.0.3");
    let output = scene.run(&["--json", "doctor", "--address", "127.0.0.3"]);
    let found: Vec<Value> = serde_json::from_str(&output.stdout).unwrap();
    let is_told = |check: &str, about: &str, what: &str| {
        found.iter().any(|one| {
            one["check"] == check
                && one["state"] == "bad"
                && one["about"].as_str().unwrap().ends_with(about)
                && one["what"].as_str().unwrap().contains(what)
        })
    };
    for (check, about, what) in [
        ("certificate", "localhost.pem", "it has ended on 2021-06-2"),
        ("certificate-name", "mail.example.org", "no certificate is for it"),
        ("permissions", "localhost.key", "everybody on this machine may read the key"),
        ("permissions", "maddy.conf", "others may change the configuration"),
    ] {
        assert!(is_told(check, about, what), "{check}\n{found:#?}");
    }
}
