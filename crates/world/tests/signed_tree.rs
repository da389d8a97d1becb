//! The validating resolver against a signed tree: a root, a domain below it, and zones that are signed, unsigned, signed
//! by somebody else, or signed too long ago. NSD serves them on loopback, LDNS signs them (`tests/install` has both).
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "the helpers of a test fail by panicking")]

use std::fs;
use std::net::{SocketAddr, TcpListener, UdpSocket};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;
use world::{DnsName, DnsOptions, Dnssec, Kind, Proof, Resolver, SystemResolver};

/// Where Debian has the programs of administrators.
const PATHS: &str = "/usr/local/sbin:/usr/sbin:/sbin:/usr/local/bin:/usr/bin:/bin";

struct Tree {
    dir: PathBuf,
    at: SocketAddr,
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
    let mut arguments = vec!["-n", "-f"];
    let signed = format!("{file}.signed");
    arguments.push(&signed);
    if signing == Signing::Expired {
        arguments.extend(["-i", "20200101000000", "-e", "20200201000000"]);
    }
    arguments.extend([file.as_str(), key.as_str()]);
    run(dir, "ldns-signzone", &arguments);
    fs::rename(dir.join(&signed), dir.join(&file)).unwrap();
    fs::copy(dir.join(format!("{key}.key")), dir.join(format!("{file}.key"))).unwrap();
    run(dir, "ldns-key2ds", &["-n", "-2", &format!("{key}.key")])
}

fn file_of(zone: &str) -> String {
    format!("{}zone", zone.trim_start_matches('.'))
}

fn grow(word: &str) -> Tree {
    let dir = std::env::temp_dir().join(format!("maddy-tree-{word}-{}", std::process::id()));
    let _ = fs::remove_dir_all(&dir);
    fs::create_dir_all(&dir).unwrap();
    let host = "@ IN MX 10 mx\nmx IN A 192.0.2.1\n_25._tcp.mx IN TLSA 3 1 1 00ff\nalias IN CNAME mx\n\
                *.wild IN TXT \"for all\"\n";
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

fn free_port() -> SocketAddr {
    for _ in 0..100 {
        let udp = UdpSocket::bind("127.0.0.1:0").unwrap();
        let at = udp.local_addr().unwrap();
        if TcpListener::bind(at).is_ok() {
            return at;
        }
    }
    panic!("loopback has no port that is free for UDP and TCP");
}

fn options(tree: &Tree) -> DnsOptions {
    DnsOptions {
        servers: vec![tree.at],
        timeout: Duration::from_secs(2),
        retries: 2,
        patience: Duration::from_secs(20),
        dnssec: Dnssec::Wanted,
        trust_anchor: Some(tree.dir.join("zone.key")),
        ..DnsOptions::default()
    }
}

async fn shown(dns: &SystemResolver, name: &str, kind: Kind, proof: Proof) -> String {
    let reply = dns.ask(&DnsName::parse(name).unwrap(), kind, proof).await;
    let answer = match reply.answer {
        Ok(records) => format!("{} {}", records.owner, records.data[0]),
        Err(error) => error.to_string(),
    };
    format!("{}: {answer}", reply.security)
}

/// Waits until the name server serves.
async fn ready(tree: &Tree) {
    let plain = DnsOptions { dnssec: Dnssec::Off, trust_anchor: None, ..options(tree) };
    for _ in 0..200 {
        let dns = SystemResolver::new(&plain).unwrap();
        if shown(&dns, "mx.open.test", Kind::A, Proof::Usual).await.ends_with("192.0.2.1") {
            return;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let log = fs::read_to_string(tree.dir.join("log")).unwrap_or_default();
    panic!("the name server does not serve: {log}");
}

const WRONG: &str = "bogus: the name server gave no answer: the DNSSEC signatures are wrong or missing";

#[tokio::test]
async fn every_answer_says_what_is_proven() {
    let tree = grow("proof");
    ready(&tree).await;
    let dns = SystemResolver::new(&options(&tree)).unwrap();
    for (name, kind, want) in [
        ("signed.test", Kind::Mx, "secure: signed.test 10 mx.signed.test"),
        ("mx.signed.test", Kind::A, "secure: mx.signed.test 192.0.2.1"),
        ("alias.signed.test", Kind::A, "secure: mx.signed.test 192.0.2.1"),
        ("_25._tcp.mx.signed.test", Kind::Tlsa, "secure: _25._tcp.mx.signed.test 3 1 1 00ff"),
        ("any.wild.signed.test", Kind::Txt, "secure: any.wild.signed.test \"for all\""),
        ("gone.signed.test", Kind::A, "secure: the name does not exist"),
        ("mx.signed.test", Kind::Aaaa, "secure: the name has no such record"),
        ("open.test", Kind::Mx, "insecure: open.test 10 mx.open.test"),
        ("_25._tcp.mx.open.test", Kind::Tlsa, "insecure: _25._tcp.mx.open.test 3 1 1 00ff"),
        ("gone.open.test", Kind::A, "insecure: the name does not exist"),
        ("mx.open.test", Kind::Aaaa, "insecure: the name has no such record"),
        ("wrong.test", Kind::Mx, WRONG),
        ("_25._tcp.mx.wrong.test", Kind::Tlsa, WRONG),
        ("expired.test", Kind::Mx, WRONG),
        ("gone.expired.test", Kind::A, WRONG),
    ] {
        assert_eq!(shown(&dns, name, kind, Proof::Wanted).await, want, "{name} {kind}");
    }
    // What need not be proven is not.
    assert_eq!(
        shown(&dns, "wrong.test", Kind::Mx, Proof::Usual).await,
        "unchecked: wrong.test 10 mx.wrong.test"
    );
}

#[tokio::test]
async fn all_or_nothing_is_validated_if_so_configured() {
    let tree = grow("modes");
    ready(&tree).await;
    let all = SystemResolver::new(&DnsOptions { dnssec: Dnssec::All, ..options(&tree) }).unwrap();
    assert_eq!(shown(&all, "wrong.test", Kind::Mx, Proof::Usual).await, WRONG);
    let good = "secure: signed.test 10 mx.signed.test";
    assert_eq!(shown(&all, "signed.test", Kind::Mx, Proof::Usual).await, good);
    let off = SystemResolver::new(&DnsOptions { dnssec: Dnssec::Off, ..options(&tree) }).unwrap();
    assert_eq!(
        shown(&off, "wrong.test", Kind::Mx, Proof::Wanted).await,
        "unchecked: wrong.test 10 mx.wrong.test"
    );
    // Another root's key makes all of the tree bogus.
    let foreign = SystemResolver::new(&DnsOptions { trust_anchor: None, ..options(&tree) }).unwrap();
    assert_eq!(shown(&foreign, "signed.test", Kind::Mx, Proof::Wanted).await, WRONG);
    // A key may be trusted for a part of the tree alone.
    let part = DnsOptions { trust_anchor: Some(tree.dir.join("signed.test.zone.key")), ..options(&tree) };
    let part = SystemResolver::new(&part).unwrap();
    assert_eq!(shown(&part, "signed.test", Kind::Mx, Proof::Wanted).await, good);
}
