//! The validating resolver against a signed tree.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "the helpers of a test fail by panicking")]

// The tests of the whole program grow the same tree.
#[path = "../../../tests/src/signed_tree.rs"]
pub mod tree;

use std::fs;
use std::time::Duration;
use tree::{Tree, free_port};
use world::{DnsName, DnsOptions, Dnssec, Kind, Proof, Resolver, SystemResolver};

const HOST: &str = "@ IN MX 10 mx\nmx IN A 192.0.2.1\n_25._tcp.mx IN TLSA 3 1 1 00ff\nalias IN CNAME mx\n\
                    *.wild IN TXT \"for all\"\n";

fn grow(word: &str) -> Tree {
    tree::grow(word, HOST)
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

/// The resolver that trusts what is in these files of the tree.
fn trusting(tree: &Tree, files: &[&str]) -> SystemResolver {
    let anchors: Vec<String> =
        files.iter().map(|file| fs::read_to_string(tree.dir.join(file)).unwrap()).collect();
    let file = tree.dir.join(format!("anchors-of-{}", files.join("-")));
    fs::write(&file, anchors.join("\n")).unwrap();
    SystemResolver::new(&DnsOptions { trust_anchor: Some(file), ..options(tree) }).unwrap()
}

#[tokio::test]
async fn digests_of_keys_are_trusted_like_keys() {
    let tree = grow("digests");
    ready(&tree).await;
    let good = "secure: signed.test 10 mx.signed.test";
    let root = trusting(&tree, &["zone.ds"]);
    for (name, want) in [("signed.test", good), ("wrong.test", WRONG), ("expired.test", WRONG)] {
        assert_eq!(shown(&root, name, Kind::Mx, Proof::Wanted).await, want);
    }
    let open = "insecure: open.test 10 mx.open.test";
    assert_eq!(shown(&root, "open.test", Kind::Mx, Proof::Wanted).await, open);
    // A part of the tree by its digest, another by its key.
    let parts = trusting(&tree, &["signed.test.zone.ds", "test.zone.key"]);
    assert_eq!(shown(&parts, "signed.test", Kind::Mx, Proof::Wanted).await, good);
    assert_eq!(shown(&parts, "open.test", Kind::Mx, Proof::Wanted).await, open);
    // The digest of a key that the zone does not have proves nothing: what is asked is bogus, not unsigned.
    let ds = fs::read_to_string(tree.dir.join("zone.ds")).unwrap();
    let digest = ds.split_ascii_whitespace().last().unwrap();
    fs::write(tree.dir.join("foreign.ds"), ds.replace(digest, &"00".repeat(32))).unwrap();
    let foreign = trusting(&tree, &["foreign.ds"]);
    assert_eq!(
        shown(&foreign, "signed.test", Kind::Mx, Proof::Wanted).await,
        "bogus: the name server gave no answer: no key fits a trust anchor"
    );
    // A name server that is away makes nothing bogus.
    let silent = DnsOptions {
        servers: vec![free_port()],
        timeout: Duration::from_millis(50),
        retries: 0,
        patience: Duration::from_secs(1),
        trust_anchor: Some(tree.dir.join("zone.ds")),
        ..DnsOptions::default()
    };
    let silent = SystemResolver::new(&silent).unwrap();
    let said = shown(&silent, "signed.test", Kind::Mx, Proof::Wanted).await;
    assert!(said.starts_with("unchecked: the name server gave no answer: "), "{said}");
}
