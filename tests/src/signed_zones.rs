//! A name server on loopback whose zones are signed: LDNS signs them, NSD serves them (`tests/install` has both).

use crate::wait::eventually;
use std::fs;
use std::net::{SocketAddr, TcpListener, UdpSocket};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;
use tempfile::TempDir;

/// Where Debian has the programs of administrators.
const PATHS: &str = "/usr/local/sbin:/usr/sbin:/sbin:/usr/local/bin:/usr/bin:/bin";
/// The name of the name server, an address in the zone `test.`.
const SERVER: &str = "ns.test.";

/// Which signatures a zone has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Signing {
    Good,
    /// The zone above vouches for other keys.
    WrongKeys,
    None,
}

/// A tree of zones; the root and `test.` are there always, and signed. The server ends with this value.
pub struct SignedZones {
    dir: TempDir,
    at: SocketAddr,
    nsd: Child,
}

impl SignedZones {
    /// Serves zones right below the root: name (`example.`), signatures, and records as in a master file.
    pub fn serve(zones: &[(&str, Signing, String)]) -> Self {
        let dir = TempDir::with_prefix("maddy-zones-").unwrap();
        let path = dir.path();
        let mut root = String::new();
        let ns = ("test.", Signing::Good, "ns IN A 127.0.0.1\n".to_owned());
        for (name, signing, records) in zones.iter().chain([&ns]) {
            let ds = make(path, name, records, *signing);
            root.push_str(&format!("{name} IN NS {SERVER}\n{ds}\n"));
        }
        make(path, ".", &root, Signing::Good);
        let names: Vec<&str> = zones.iter().map(|(name, ..)| *name).chain([".", "test."]).collect();
        let at = free_address();
        let nsd = start(path, at, &names);
        let served = Self { dir, at, nsd };
        served.wait();
        served
    }

    pub fn at(&self) -> SocketAddr {
        self.at
    }

    /// The key of the root.
    pub fn anchor(&self) -> PathBuf {
        self.dir.path().join("zone.key")
    }

    /// Waits until it answers.
    fn wait(&self) {
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        socket.set_read_timeout(Some(Duration::from_millis(200))).unwrap();
        // The SOA of the root, asked without any recursion.
        let question = [0, 1, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 6, 0, 1];
        eventually("the name server serves", || {
            let mut answer = [0; 512];
            socket.send_to(&question, self.at).ok()?;
            let n = socket.recv(&mut answer).ok()?;
            // No error, and an answer.
            (n > 12 && answer[3] & 15 == 0 && answer[7] > 0).then_some(())
        });
    }
}

impl Drop for SignedZones {
    fn drop(&mut self) {
        let _ = self.nsd.kill();
        let _ = self.nsd.wait();
    }
}

fn run(dir: &Path, program: &str, arguments: &[&str]) -> String {
    let output = Command::new(program).args(arguments).current_dir(dir).env("PATH", PATHS).output();
    let output = output.unwrap_or_else(|error| panic!("{program}: {error} (tests/install installs it)"));
    assert!(output.status.success(), "{program} {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

fn file_of(zone: &str) -> String {
    format!("{}zone", zone.trim_start_matches('.'))
}

/// Makes the file of a zone, and gives the DS record for the zone above it.
fn make(dir: &Path, zone: &str, records: &str, signing: Signing) -> String {
    let file = file_of(zone);
    let text = format!(
        "$ORIGIN {zone}\n$TTL 300\n@ IN SOA {SERVER} admin.test. 1 3600 600 86400 60\n@ IN NS {SERVER}\n{records}\n"
    );
    fs::write(dir.join(&file), text).unwrap();
    if signing == Signing::None {
        return String::new();
    }
    let key = run(dir, "ldns-keygen", &["-a", "ECDSAP256SHA256", "-k", zone]);
    let signed = format!("{file}.signed");
    run(dir, "ldns-signzone", &["-n", "-f", &signed, &file, &key]);
    fs::rename(dir.join(&signed), dir.join(&file)).unwrap();
    fs::copy(dir.join(format!("{key}.key")), dir.join(format!("{file}.key"))).unwrap();
    let ds = run(dir, "ldns-key2ds", &["-n", "-2", &format!("{key}.key")]);
    match (signing, ds.split_ascii_whitespace().last()) {
        (Signing::WrongKeys, Some(digest)) => ds.replace(digest, &"00".repeat(32)),
        _ => ds,
    }
}

fn start(dir: &Path, at: SocketAddr, names: &[&str]) -> Child {
    let zone = |name: &&str| format!("zone:\n  name: \"{name}\"\n  zonefile: \"{}\"\n", file_of(name));
    let zones: String = names.iter().map(zone).collect();
    let shown = dir.display();
    let config = format!(
        "server:\n  ip-address: {}@{}\n  username: \"\"\n  chroot: \"\"\n  zonesdir: \"{shown}\"\n  \
         pidfile: \"{shown}/nsd.pid\"\n  database: \"\"\n  xfrdfile: \"{shown}/xfrd\"\n  xfrdir: \"{shown}\"\n  \
         zonelistfile: \"{shown}/zones\"\n  server-count: 1\n  logfile: \"{shown}/log\"\n\
         remote-control:\n  control-enable: no\n{zones}",
        at.ip(),
        at.port()
    );
    fs::write(dir.join("nsd.conf"), config).unwrap();
    Command::new("nsd")
        .args(["-d", "-c"])
        .arg(dir.join("nsd.conf"))
        .env("PATH", PATHS)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("nsd does not start (tests/install installs it)")
}

fn free_address() -> SocketAddr {
    for _ in 0..100 {
        let udp = UdpSocket::bind("127.0.0.1:0").unwrap();
        let at = udp.local_addr().unwrap();
        if TcpListener::bind(at).is_ok() {
            return at;
        }
    }
    panic!("loopback has no port that is free for UDP and TCP");
}
