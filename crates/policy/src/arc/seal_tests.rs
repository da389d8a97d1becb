//! What we seal, read by our own verifier: first sets, further sets, and what is left alone.

use super::{ArcResult, verify};
use crate::dkim::{Selectors, Signer};
use mail::{Blob, Domain, Message};
use std::sync::{Arc, OnceLock};
use world::fake::{self, FakeClock};

fn domain(text: &str) -> Domain {
    Domain::parse(text).unwrap()
}

struct House {
    signer: Signer,
    zone: String,
    _dir: tempfile::TempDir,
}

fn house() -> &'static House {
    static HOUSE: OnceLock<House> = OnceLock::new();
    HOUSE.get_or_init(|| {
        let dir = tempfile::tempdir().unwrap();
        let selectors = Selectors { rsa: "r".to_owned(), ed25519: "e".to_owned() };
        let domains = [domain("ours.example"), domain("other.example")];
        let signer =
            Signer::open(&dir.path().join("k"), &domains, &selectors, Arc::new(FakeClock::default()))
                .unwrap();
        let lines = signer.records().into_iter().map(|record| {
            let strings = record
                .text
                .as_bytes()
                .chunks(250)
                .map(|part| format!("\"{}\"", String::from_utf8_lossy(part)));
            format!("{} TXT {}\n", record.name, strings.collect::<Vec<_>>().join(" "))
        });
        House { signer, zone: lines.collect(), _dir: dir }
    })
}

const MAIL: &str = "Received: from x by y; now\r\nDKIM-Signature: v=1; a=rsa-sha256; b=xyz\r\n\
    From: Ann <ann@author.example>\r\nTo: list@ours.example\r\nSubject: hello\r\n\r\nHi all,\r\n\r\nthis is it.\r\n";

fn message(text: &str) -> Message {
    Message::new(Blob::from_bytes(text.as_bytes()))
}

fn judged(text: &str, found: &str) -> String {
    format!("Authentication-Results: mx.ours.example;\r\n\t{found}\r\n{text}")
}

/// The message with a new set in front, or as it was.
async fn sealed(text: &str, of: &str) -> String {
    let signer = &house().signer;
    let set = signer.seal(&message(text), &domain("mx.ours.example"), &domain(of)).await.unwrap();
    let Some(set) = set else { return text.to_owned() };
    let front: String = set.iter().rev().map(|field| format!("{field}\r\n")).collect();
    assert!(front.lines().all(|line| line.len() <= 200), "{front}");
    format!("{front}{text}")
}

async fn outcome(text: &str) -> String {
    let world = fake::world_with(1, &house().zone).unwrap();
    match verify(&message(text), [192, 0, 2, 1].into(), &world).await.unwrap() {
        None => "none".to_owned(),
        Some(one) => format!("{} {}: {}", one.result, one.sets.len(), one.reason),
    }
}

const FOUND: &str = "spf=fail (mail from x) smtp.mailfrom=ann@author.example;\r\n\tdkim=pass header.d=author.example;\r\n\
    \tdmarc=pass header.from=author.example";

#[tokio::test]
async fn what_we_seal_is_a_whole_chain() {
    let one = sealed(&judged(MAIL, FOUND), "ours.example").await;
    assert_eq!(outcome(&one).await, "pass 1: a chain of 1, last sealed by ours.example");
    assert!(
        one.contains("ARC-Authentication-Results: i=1; mx.ours.example;\r\n\tspf=fail (mail from x)"),
        "{one}"
    );
    assert!(one.contains("cv=none"), "{one}");
    assert!(one.ends_with(MAIL), "nothing of the message is touched");
    // The next hop is one of ours too, and a host below a domain of ours.
    let two = judged(&one, "arc=pass smtp.remote-ip=192.0.2.1; dkim=pass header.d=author.example");
    let two = sealed(&two, "lists.other.example").await;
    assert_eq!(outcome(&two).await, "pass 2: a chain of 2, last sealed by other.example");
    assert!(two.contains(" i=2; ") && two.contains("cv=pass"), "{two}");
    let three = sealed(&judged(&two, "arc=pass"), "ours.example").await;
    assert_eq!(outcome(&three).await, "pass 3: a chain of 3, last sealed by ours.example");
    for (old, new) in [
        ("this is it", "this is not it"),
        ("Subject: hello", "Subject: hallo"),
        ("Subject: hello", "Subject: hello\r\nSubject: another"),
        ("DKIM-Signature: v=1; a", "DKIM-Signature: v=1; x"),
        ("spf=fail (mail from x)", "spf=pass"),
        ("; mx.ours.example;\r\n\tarc=pass\r\n", "; mx.ours.example;\r\n\tarc=fail\r\n"),
    ] {
        let spoiled = three.replacen(old, new, 1);
        assert_ne!(spoiled, three, "{old}");
        assert!(outcome(&spoiled).await.starts_with(ArcResult::Fail.word()), "{old}");
    }
}

#[tokio::test]
async fn what_was_not_judged_or_is_broken_is_left_alone() {
    let one = sealed(&judged(MAIL, FOUND), "ours.example").await;
    let stranger = judged(MAIL, FOUND).replace("mx.ours.example", "mx.evil.example");
    for (text, of) in [
        (MAIL.to_owned(), "ours.example"),
        (judged(MAIL, "none"), "ours.example"),
        (judged(MAIL, "none").replace("\r\n\tnone", " none"), "ours.example"),
        (stranger, "ours.example"),
        (judged(MAIL, FOUND), "nobody.example"),
        // A chain that we did not find good, or did not look at.
        (judged(&one, "arc=fail"), "ours.example"),
        (judged(&one, FOUND), "ours.example"),
        // Said in a comment or of something else only.
        (judged(&one, "spf=fail (arc=pass)"), "ours.example"),
        (judged(&one, "dkim=pass reason=\"; arc=pass\""), "ours.example"),
        (judged(&one.replace("cv=none", "cv=fail"), "arc=pass"), "ours.example"),
    ] {
        assert_eq!(sealed(&text, of).await, text);
    }
}
