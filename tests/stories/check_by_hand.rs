//! `maddy check` asks as it is told: another name server, with proofs, from another trust anchor; and the daemon does too.

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ServerConfig, ServerConnection, StreamOwned};
use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;
use std::sync::Arc;
use tests::signed_tree::{Tree, grow};
use tests::{Setup, assert_like, eventually, is_like, message};

/// Who may send for each zone of the tree.
const HOST: &str = "@ IN MX 10 mx\nmx IN A 192.0.2.1\n@ IN TXT \"v=spf1 ip4:127.0.0.1 -all\"\n";

fn tree(word: &str) -> Tree {
    let tree = grow(word, HOST);
    let maddy = tests::binary();
    let at = tree.at.to_string();
    eventually("the name server serves", || {
        let arguments = ["check", "spf", "--ip", "127.0.0.1", "--from", "a@open.test", "--resolver", &at];
        let said = std::process::Command::new(&maddy).args(arguments).env_clear().output().unwrap();
        said.stdout.starts_with(b"pass").then_some(())
    });
    tree
}

#[test]
fn answers_are_proven_from_the_anchor_that_is_given() {
    let tree = tree("cli");
    let maddy = Setup::new().start();
    let (at, key, ds) = (tree.at.to_string(), tree.dir.join("zone.key"), tree.dir.join("zone.ds"));
    let check = |domain: &str, more: &[&str]| {
        let from = format!("a@{domain}");
        let first = ["check", "spf", "--ip", "127.0.0.1", "--from", &from, "--resolver", &at];
        maddy.cli(&[&first[..], more].concat()).ok()
    };
    // Without proof, whatever is answered counts.
    for domain in ["signed.test", "open.test", "wrong.test", "expired.test"] {
        assert_like(&check(domain, &[]), &format!("pass\n*asked {domain} TXT: *v=spf1*"));
    }
    assert!(!check("signed.test", &[]).contains('['));
    for anchor in [&key, &ds] {
        let anchor = ["--trust-anchor", anchor.to_str().unwrap()];
        assert_like(&check("signed.test", &anchor), "pass\n*asked signed.test TXT: *[secure]\n");
        assert_like(&check("open.test", &anchor), "pass\n*asked open.test TXT: *[insecure]\n");
        for domain in ["wrong.test", "expired.test"] {
            assert_like(&check(domain, &anchor), "temperror\n*signatures are wrong or missing*[bogus]\n");
        }
        let json = [&anchor[..], &["--json"]].concat();
        assert_like(&check("signed.test", &json), "*\"result\": \"pass\"*");
        assert_like(&check("signed.test", &json), "*\"security\": \"secure\"*");
    }
    // The keys of the real root know nothing of this one.
    assert_like(&check("signed.test", &["--dnssec"]), "temperror\n*[bogus]\n");
    let bad = tree.dir.join("bad");
    std::fs::write(&bad, ". IN DS 1 8 1 00\n").unwrap();
    let first =
        ["check", "spf", "--ip", "127.0.0.1", "--from", "a@signed.test", "--resolver", &at, "--trust-anchor"];
    let said = maddy.cli(&[&first[..], &[bad.to_str().unwrap()]].concat()).fails();
    assert_like(&said, "*the digest type 1 of a DS record is neither 2*");
    assert_like(&maddy.cli(&[&first[..], &["/nowhere"]].concat()).fails(), "*/nowhere*cannot be read*");
}

/// The daemon with the digest of a root: what is forged has no answer, so mail waits; what is right is taken.
#[test]
fn the_daemon_trusts_digests_too() {
    let tree = tree("daemon");
    let mut setup = Setup::new();
    setup.account("alice@example.org");
    setup.ask(tree.at);
    setup.replace_option("dns", "dnssec \"all\"");
    setup.option("dns", &format!("trust-anchor {:?}", tree.dir.join("zone.ds")));
    let maddy = setup.start();
    for (domain, want) in [
        ("signed.test", "250*"),
        ("open.test", "250*"),
        ("wrong.test", "451 4.4.3*"),
        ("expired.test", "451 4.4.3*"),
    ] {
        let from = format!("eve@{domain}");
        let mut smtp = maddy.smtp();
        smtp.command(&format!("MAIL FROM:<{from}>"), "250*");
        smtp.command("RCPT TO:<alice@example.org>", "250*");
        smtp.data(&message(&from, "alice@example.org", "Proof", "Hello"), want);
    }
}

/// A web server for one policy, with a certificate of the scene's CA for `name`; its port.
fn web_server(setup: &Setup, name: &str, policy: &'static str) -> u16 {
    let dir = setup.dir().join("web");
    std::fs::create_dir_all(&dir).unwrap();
    for file in ["ca.pem", "ca.key"] {
        std::fs::copy(setup.dir().join("tls").join(file), dir.join(file)).unwrap();
    }
    let made = net::demo_ca(&dir, &[name.to_owned()], &world::SystemClock).unwrap();
    let chain = CertificateDer::pem_file_iter(&made.leaf.chain).unwrap().map(Result::unwrap).collect();
    let key = PrivateKeyDer::from_pem_file(&made.leaf.key).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .unwrap();
    let config = Arc::new(config);
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let connection = ServerConnection::new(config.clone()).unwrap();
            let mut stream = BufReader::new(StreamOwned::new(connection, stream));
            let mut line = String::new();
            while stream.read_line(&mut line).is_ok_and(|n| n > 2) {
                line.clear();
            }
            let answer = format!(
                "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{policy}",
                policy.len()
            );
            let stream = stream.get_mut();
            let _ = stream.write_all(answer.as_bytes()).and_then(|()| stream.flush());
            stream.conn.send_close_notify();
            let _ = stream.flush();
        }
    });
    port
}

#[test]
fn a_policy_that_is_true_passes() {
    let mut setup = Setup::new();
    setup.option("delivery", &format!("ca-file {:?}", setup.ca()));
    let good = "version: STSv1\r\nmode: enforce\r\nmax_age: 604800\r\nmx: mx.example.org\r\n";
    let port = web_server(&setup, "mta-sts.example.org", good).to_string();
    setup.zone(
        "example.org MX 10 mx.example.org\n_mta-sts.example.org TXT \"v=STSv1; id=20260101;\"\n\
         mta-sts.example.org A 127.0.0.1\nexample.net MX 10 mx2.example.net\n\
         _mta-sts.example.net TXT \"v=STSv1; id=2;\"\nmta-sts.example.net A 127.0.0.1\n\
         _mta-sts.slow.test TIMEOUT",
    );
    let resolver = setup.names().at().to_string();
    let maddy = setup.start();
    let check = |domain: &str, more: &[&str]| {
        maddy.cli(&[&["check", "mta-sts", domain, "--port", &port][..], more].concat()).ok()
    };
    let said = check("example.org", &[]);
    assert_like(
        &said,
        "pass\nmode enforce, kept for 604800 s, mx: mx.example.org\n*asked _mta-sts.example.org TXT*",
    );
    let json = check("example.org", &["--json", "--resolver", &resolver]);
    for part in ["*\"result\": \"pass\"*", "*\"id\": \"20260101\"*", "*\"mode\": \"enforce\"*"] {
        assert_like(&json, part);
    }
    // A certificate for somebody else is none.
    assert_like(&check("example.net", &[]), "permerror\n*senders find no policy*certificate*");
    assert_like(&check("gone.test", &[]), "none\n*");
    assert_like(&check("slow.test", &[]), "temperror\n*");
    // Where the names do not fit, senders are locked out.
    maddy.setup.names().set(
        "example.org MX 10 other.example.org\n_mta-sts.example.org TXT \"v=STSv1; id=20260101;\"\nmta-sts.example.org A 127.0.0.1",
    );
    let said = check("example.org", &[]);
    assert!(is_like(&said, "fail\n*other.example.org*"), "{said}");
}

/// What `maddy check` said.
fn asked(at: &str, arguments: &[&str]) -> std::process::Output {
    let mut command = std::process::Command::new(tests::binary());
    command.arg("check").args(arguments).args(["--resolver", at]).env_clear();
    command.output().unwrap()
}

const RECORDS: &str = "a.example TXT \"v=spf1 ip4:192.0.2.1 -all\"\n_dmarc.a.example TXT \"v=DMARC1; p=reject\"\n\
    s._domainkey.slow.example SERVFAIL\n2.0.0.127.bl.example A 127.0.0.2\n_dmarc.slow.example SERVFAIL\n";

/// Files by their names, with what DKIM, ARC and DMARC say of them.
fn odd_files() -> Vec<(&'static str, Vec<u8>, [&'static str; 3])> {
    let signature = |domain: &str, more: &str| {
        format!("DKIM-Signature: v=1; a=rsa-sha256; d={domain}; s=s; h=from; bh=AAAA; b=AAAA{more}\n")
    };
    let signed =
        |signatures: &[String]| format!("{}From: b@a.example\n\nx", signatures.concat()).into_bytes();
    let odd = || "DKIM-Signature: x\n".to_owned();
    let noise: Vec<u8> = (0..100_000u32).map(|n| n.wrapping_mul(2_654_435_761).to_be_bytes()[1]).collect();
    let two = b"From: b@a.example\r\nFrom: c@a.example\r\n\r\nx".to_vec();
    vec![
        ("empty", Vec::new(), ["none", "none", "permerror"]),
        ("noise", noise, ["none", "none", "permerror"]),
        ("plain", b"From: b@a.example\n\nhello\n".to_vec(), ["none", "none", "pass"]),
        ("two authors", two, ["none", "none", "permerror"]),
        ("nobody", b"From: =?utf-8?q?x\n\nx".to_vec(), ["none", "none", "permerror"]),
        ("another", b"From: b@other.example\n\nx".to_vec(), ["none", "none", "none"]),
        ("slow", b"From: b@slow.example\n\nx".to_vec(), ["none", "none", "temperror"]),
        ("odd", signed(&[odd()]), ["neutral", "none", "pass"]),
        ("no key", signed(&[odd(), signature("a.example", "")]), ["permerror", "none", "pass"]),
        (
            "no answer",
            signed(&[signature("a.example", ""), signature("slow.example", "")]),
            ["temperror", "none", "pass"],
        ),
        ("expired", signed(&[odd(), signature("a.example", "; x=1")]), ["fail", "none", "pass"]),
        ("half a chain", signed(&["ARC-Seal: i=1; cv=none\n".to_owned()]), ["none", "fail", "pass"]),
    ]
}

/// Files that are no messages, and messages that hold anything: each has a result with its reasons.
#[test]
fn any_file_has_a_result() {
    let setup = Setup::new();
    let dir = tempfile::tempdir().unwrap();
    let at = setup.names().at().to_string();
    setup.names().set(RECORDS);
    let sender = ["--ip", "192.0.2.1", "--from", "b@a.example"];
    for (name, text, wants) in odd_files() {
        let file = dir.path().join(name);
        std::fs::write(&file, text).unwrap();
        let file = file.to_str().unwrap();
        let mores = [&[][..], &[], &sender];
        for ((what, want), more) in ["dkim", "arc", "dmarc"].into_iter().zip(wants).zip(mores) {
            let arguments = [&[what, file], more].concat();
            let output = asked(&at, &arguments);
            let said = String::from_utf8_lossy(&output.stdout).into_owned();
            assert!(output.status.success(), "{name}: {}", String::from_utf8_lossy(&output.stderr));
            assert_eq!(said.lines().next(), Some(want), "{what} of {name}: {said}");
            assert!(said.lines().count() > 1, "{what} of {name} says no reason: {said}");
            let output = asked(&at, &[&arguments[..], &["--json"]].concat());
            let json: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
            assert_eq!(json["result"], want, "{what} of {name}");
        }
    }
    // The null sender stands for HELO, a domain for its postmaster, and any local part for one in quotes.
    let plain = dir.path().join("plain");
    for (more, want) in [
        (
            &["--from", "<>", "--helo", "a.example"][..],
            "pass\nSPF vouches for a.example\n*spf=pass (a.example: *",
        ),
        (&["--from", "", "--helo", "other.example"], "fail\n*spf=none (other.example: *"),
        (&["--from", "<>"], "fail\n*"),
        (&["--from", "a.example"], "pass\n*spf=pass (postmaster@a.example: *"),
        (&["--from", "@a.example"], "pass\n*spf=pass (postmaster@a.example: *"),
        (&["--from", "b \\ \"c@a.example"], "pass\n*spf=pass (\"b \\\\ \\\"c\"@a.example: *"),
    ] {
        let first = ["dmarc", plain.to_str().unwrap(), "--ip", "192.0.2.1"];
        let output = asked(&at, &[&first[..], more].concat());
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        assert_like(&String::from_utf8_lossy(&output.stdout), want);
    }
    let listed = asked(&at, &["dnsbl", "127.0.0.2", "--list", "bl.example", "--list", "bl.example"]);
    let said = String::from_utf8_lossy(&listed.stdout).into_owned();
    assert_like(&said, "listed\n+1 client: 127.0.0.2 is listed by bl.example*\nasked*");
}

#[test]
fn what_cannot_be_checked_is_said_in_a_sentence() {
    for (arguments, want) in [
        (
            &["dkim", "/nowhere/at/all"][..],
            "maddy: the message /nowhere/at/all cannot be read: No such file*",
        ),
        (&["arc", "/"], "maddy: the message / cannot be read: *"),
        (&["dmarc", "/dev/null", "--ip", "192.0.2.1"], "*--from*"),
        (&["dmarc", "/dev/null", "--ip", "192.0.2.1", "--from", "b c"], "maddy: b c is no address: *"),
        (&["dmarc", "/dev/null", "--ip", "192.0.2.1", "--from", "b@c..d"], "maddy: b@c..d is no address: *"),
        (&["dnsbl", "1.2.3", "--list", "bl.example"], "*'1.2.3'*"),
        (&["dnsbl", "192.0.2.1"], "maddy: there are no lists: give --list, or *"),
        (&["dnsbl", "192.0.2.1", "--list", "b l"], "maddy: b l is no zone: *"),
        (&["mta-sts", "a b"], "maddy: a b is no domain: *"),
        (&["dane", "x y"], "maddy: x y is no host: *"),
    ] {
        let output = asked("127.0.0.1:1", arguments);
        assert!(!output.status.success() && output.stdout.is_empty(), "{arguments:?}");
        assert_like(&String::from_utf8_lossy(&output.stderr), want);
    }
}
