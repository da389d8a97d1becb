//! A signed tree of zones: a root, a domain below it, and zones that are signed, unsigned, signed by somebody else, or
//! signed too long ago. NSD serves them on loopback, LDNS signs them (`tests/install` has both).

use std::fs;
use std::net::{SocketAddr, TcpListener, UdpSocket};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

/// Where Debian has the programs of administrators.
const PATHS: &str = "/usr/local/sbin:/usr/sbin:/sbin:/usr/local/bin:/usr/bin:/bin";

/// The tree, served until it is dropped.
pub struct Tree {
    /// Holds `ZONEzone`, `ZONEzone.key` and `ZONEzone.ds` of each zone, the root's without a name.
    pub dir: PathBuf,
    pub at: SocketAddr,
    nsd: Child,
}

impl Drop for Tree {
    fn drop(&mut self) {
        let _ = self.nsd.kill();
        let _ = self.nsd.wait();
        let _ = fs::remove_dir_all(&self.dir);
    }
}

/// Which signatures a zone gets.
#[derive(Clone, Copy, PartialEq)]
enum Signing {
    Good,
    Expired,
    None,
}

fn run(dir: &Path, program: &str, arguments: &[&str]) -> String {
    let output = Command::new(program).args(arguments).current_dir(dir).env("PATH", PATHS).output();
    let output = output.unwrap_or_else(|error| panic!("{program}: {error} (tests/install installs it)"));
    assert!(output.status.success(), "{program} {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

/// Makes a zone with the file name `name`, and gives the DS records for the zone above it.
fn make(dir: &Path, zone: &str, records: &str, signing: Signing) -> String {
    let file = file_of(zone);
    let text = format!(
        "$ORIGIN {zone}\n$TTL 300\n@ IN SOA ns.test. admin.test. 1 3600 600 86400 60\n@ IN NS ns.test.\n{records}"
    );
    fs::write(dir.join(&file), text).unwrap();
    if signing == Signing::None {
        return String::new();
    }
    let key = run(dir, "ldns-keygen", &["-a", "ECDSAP256SHA256", "-k", zone]);
    // NSEC3, but NSEC for the root, as the real one has it: with NSEC3 there, an assertion of hickory fails in debug builds.
    let mut arguments = if zone == "." { vec!["-f"] } else { vec!["-n", "-f"] };
    let signed = format!("{file}.signed");
    arguments.push(&signed);
    if signing == Signing::Expired {
        arguments.extend(["-i", "20200101000000", "-e", "20200201000000"]);
    }
    arguments.extend([file.as_str(), key.as_str()]);
    run(dir, "ldns-signzone", &arguments);
    fs::rename(dir.join(&signed), dir.join(&file)).unwrap();
    fs::copy(dir.join(format!("{key}.key")), dir.join(format!("{file}.key"))).unwrap();
    let digest = run(dir, "ldns-key2ds", &["-n", "-2", &format!("{key}.key")]);
    fs::write(dir.join(format!("{file}.ds")), format!("{digest}\n")).unwrap();
    digest
}

fn file_of(zone: &str) -> String {
    format!("{}zone", zone.trim_start_matches('.'))
}

/// Grows a tree in a directory with this word in its name. `host` are more records of the zones below `test`.
pub fn grow(word: &str, host: &str) -> Tree {
    let dir = std::env::temp_dir().join(format!("maddy-tree-{word}-{}", std::process::id()));
    let _ = fs::remove_dir_all(&dir);
    fs::create_dir_all(&dir).unwrap();
    let signed = make(&dir, "signed.test.", host, Signing::Good);
    let expired = make(&dir, "expired.test.", host, Signing::Expired);
    let wrong = make(&dir, "wrong.test.", host, Signing::Good);
    let other = wrong.replace(wrong.split_ascii_whitespace().last().unwrap(), &"00".repeat(32));
    assert_ne!(other, wrong);
    make(&dir, "open.test.", host, Signing::None);
    let delegations: String =
        ["signed", "expired", "wrong", "open"].map(|zone| format!("{zone} IN NS ns.test.\n")).concat();
    let test = format!("ns IN A 127.0.0.1\n{delegations}{signed}\n{expired}\n{other}\n");
    let test = make(&dir, "test.", &test, Signing::Good);
    make(&dir, ".", &format!("test. IN NS ns.test.\n{test}\n"), Signing::Good);
    serve(dir)
}

fn serve(dir: PathBuf) -> Tree {
    let at = free_port();
    let zones: String = [".", "test.", "signed.test.", "expired.test.", "wrong.test.", "open.test."]
        .map(|zone| format!("zone:\n  name: \"{zone}\"\n  zonefile: \"{}\"\n", file_of(zone)))
        .concat();
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
    let nsd = Command::new("nsd")
        .args(["-d", "-c"])
        .arg(dir.join("nsd.conf"))
        .env("PATH", PATHS)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("nsd does not start (tests/install installs it)");
    Tree { dir, at, nsd }
}

/// An address of loopback that is free for UDP and TCP.
pub fn free_port() -> SocketAddr {
    for _ in 0..100 {
        let udp = UdpSocket::bind("127.0.0.1:0").unwrap();
        let at = udp.local_addr().unwrap();
        if TcpListener::bind(at).is_ok() {
            return at;
        }
    }
    panic!("loopback has no port that is free for UDP and TCP");
}
