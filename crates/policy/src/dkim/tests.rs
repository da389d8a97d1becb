//! Mail signed by others and by us, keys from zones, and every way a signature can be wrong.

mod names;

use super::canon::{BodyHash, signed_header};
use super::keys::{Key, KeyKind};
use super::sign::{Selectors, Signer};
use super::{Outcome, verify};
use crate::head::{Head, RawField};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use mail::{Blob, Domain, Message};
use mail_auth::dkim::Canonicalization;
use std::sync::{Arc, OnceLock};
use world::fake::{self, FakeClock};

const NOW: i64 = 1_767_225_600;

fn domain(text: &str) -> Domain {
    Domain::parse(text).unwrap()
}

fn message(text: &str) -> Message {
    Message::new(Blob::from_bytes(text.replace("\r\n", "\n").replace('\n', "\r\n").into_bytes()))
}

/// `pass d=example.org s=a: the signature is good`, a line for each signature.
fn lines(outcomes: &[Outcome]) -> Vec<String> {
    let line = |one: &Outcome| {
        let domain = one.domain.as_ref().map_or("-", Domain::as_str);
        let selector = one.selector.as_deref().unwrap_or("-");
        let testing = if one.testing { " (testing)" } else { "" };
        format!("{} d={domain} s={selector}{testing}: {}", one.result, one.reason)
    };
    outcomes.iter().map(line).collect()
}

async fn verified(message: &Message, zone: &str) -> Vec<String> {
    let world = fake::world_with(1, zone).unwrap();
    lines(&verify(message, &[domain("example.org")], &world).await.unwrap())
}

#[tokio::test]
async fn the_example_of_rfc_8463_verifies() {
    let zone = include_str!("../../testdata/dkim/rfc8463.zone");
    let text = include_str!("../../testdata/dkim/rfc8463.eml");
    let good = [
        "pass d=football.example.com s=brisbane: the signature is good",
        "pass d=football.example.com s=test: the signature is good",
    ];
    assert_eq!(verified(&message(text), zone).await, good);
    let forged = text.replace("Is dinner ready?", "Is breakfast ready?");
    let got = verified(&message(&forged), zone).await;
    assert!(
        got.iter()
            .all(|line| line.starts_with("fail") && line.ends_with("the header is not what was signed"))
    );
    let forged = text.replace("We lost", "We won");
    let got = verified(&message(&forged), zone).await;
    assert!(
        got.iter().all(|line| line.starts_with("fail") && line.ends_with("the body is not what was signed"))
    );
    // Refolded and respaced on the way, which the relaxed form allows.
    let refolded = text
        .replace("Subject: Is dinner", "SUBJECT  :\n\tIs   dinner")
        .replace("hungry yet?", "hungry  yet? \t")
        .replace("Joe.\n", "Joe.\n \n\t\n\n");
    assert_eq!(verified(&message(&refolded), zone).await, good);
    // From was named twice: a second one breaks the signature.
    let two = text.replace("From: Joe", "From: Eve <eve@football.example.com>\nFrom: Joe");
    let got = verified(&message(&two), zone).await;
    assert!(got.iter().all(|line| line.starts_with("fail")), "{got:?}");
}

/// The simple forms: whatever is changed, be it a blank, breaks the signature.
#[tokio::test]
async fn the_example_of_rfc_6376_verifies() {
    let zone = include_str!("../../testdata/dkim/rfc6376.zone");
    let text = include_str!("../../testdata/dkim/rfc6376.eml");
    let whole = "d=example.com s=brisbane:";
    assert_eq!(verified(&message(text), zone).await, [format!("pass {whole} the signature is good")]);
    // What stands in front or is not named may change.
    let handed_on = format!("Received: by another\n{}", text.replace("\n\nHi.", "\nX-Seen: yes\n\nHi."));
    assert_eq!(verified(&message(&handed_on), zone).await, [format!("pass {whole} the signature is good")]);
    // Blank lines at the end are not hashed.
    let longer = format!("{text}\n\n");
    assert_eq!(verified(&message(&longer), zone).await, [format!("pass {whole} the signature is good")]);
    for (from, to, why) in [
        ("game. Are", "game.  Are", "the body is not what was signed"),
        ("Joe.\n", "Joe. \n", "the body is not what was signed"),
        ("Subject: Is", "Subject:  Is", "the header is not what was signed"),
        ("Subject: Is", "subject: Is", "the header is not what was signed"),
        ("      by submitserver", "     by submitserver", "the header is not what was signed"),
        ("To: Suzie Q", "To: Eve", "the header is not what was signed"),
        ("      c=simple", "     c=simple", "the header is not what was signed"),
    ] {
        let changed = text.replace(from, to);
        assert_ne!(changed, text);
        assert_eq!(verified(&message(&changed), zone).await, [format!("fail {whole} {why}")], "{to}");
    }
}

/// One directory of keys for all tests: making RSA keys takes its time.
struct Keys {
    dir: tempfile::TempDir,
    signer: Signer,
    zone: String,
}

fn selectors() -> Selectors {
    Selectors { rsa: "r1".to_owned(), ed25519: "e1".to_owned() }
}

fn keys() -> &'static Keys {
    static KEYS: OnceLock<Keys> = OnceLock::new();
    KEYS.get_or_init(|| {
        let dir = tempfile::tempdir().unwrap();
        let clock = Arc::new(FakeClock::default());
        let signer =
            Signer::open(&dir.path().join("dkim"), &[domain("example.org")], &selectors(), clock).unwrap();
        let zone: String =
            signer.records().iter().map(|record| zone_line(&record.name, &record.text)).collect();
        Keys { dir, signer, zone }
    })
}

fn zone_line(name: &str, text: &str) -> String {
    format!("{name} TXT \"{text}\"\n")
}

const MAIL: &str = "From: Ann <ann@example.org>\nTo: bob@example.net\nSubject: hello\nDate: Thu, 01 Jan 2026 00:00:00 +0000\n\
                    Message-ID: <1@example.org>\n\nHi Bob,\n\nthis is it.\n";

async fn signed(text: &str) -> Message {
    let mut message = message(text);
    for field in keys().signer.sign(&message).await.unwrap() {
        message.prepend(&field);
    }
    message
}

const BOTH: [&str; 2] =
    ["pass d=example.org s=r1: the signature is good", "pass d=example.org s=e1: the signature is good"];

#[tokio::test]
async fn what_we_sign_verifies() {
    for text in [
        MAIL,
        // Trailing lines of blanks, no body, no line break at the end, no blank line, long and folded lines
        &MAIL.replace("this is it.\n", "this is it.\n\n  \n\t\n \n"),
        &MAIL.replace("this is it.\n", "   \n"),
        "From: ann@example.org\nSubject: x\n\n",
        "From: ann@example.org\nSubject: x\n",
        "From: ann@example.org\nSubject: x\n\nno end",
        "From: ann@example.org\nSubject: folded\n  over\n\tlines  \nTo: a@example.net\nTo: b@example.net\n\nx\n",
        "From: =?utf-8?q?A=C3=A4?= <ann@example.org>\nSubject: gr\u{fc}n\n\ngr\u{fc}n\n",
        "Resent-From: ann@example.org\nSender: ann@example.org\nFrom: ann@example.org\nList-Id: <l.example.org>\n\nx\n",
        &format!("From: ann@example.org\n\n{}\n", "long ".repeat(100_000)),
    ] {
        let message = signed(text).await;
        assert_eq!(verified(&message, &keys().zone).await, BOTH, "{text:.200}");
        let octets = message.to_vec().unwrap();
        assert!(
            octets.starts_with(b"DKIM-Signature: v=1; a=rsa-sha256; c=relaxed/relaxed; d=example.org;\r\n")
        );
        let added = String::from_utf8(message.added.clone()).unwrap();
        assert!(added.lines().all(|line| line.len() <= 78), "{added}");
    }
}

#[tokio::test]
async fn fields_in_front_are_signed_too_and_additions_are_found() {
    let mut message = message("Subject: x\n\nbody\n");
    message.prepend("Date: Thu, 01 Jan 2026 00:00:00 +0000");
    message.prepend("From: ann@mail.example.org");
    for field in keys().signer.sign(&message).await.unwrap() {
        message.prepend(&field);
    }
    assert_eq!(verified(&message, &keys().zone).await, BOTH);
    message.prepend("Received: by somebody");
    message.prepend("List-Id: <added.example>");
    assert_eq!(verified(&message, &keys().zone).await, BOTH);
    for added in
        ["From: eve@example.org", "Subject: other", "To: x@y", "Content-Type: text/html", "Reply-To: eve@x"]
    {
        let mut changed = message.clone();
        changed.prepend(added);
        let got = verified(&changed, &keys().zone).await;
        assert!(
            got.iter().all(|line| line.ends_with("the header is not what was signed")),
            "{added}: {got:?}"
        );
    }
}

#[tokio::test]
async fn only_our_own_domains_are_signed_for() {
    for (from, want) in [
        ("a@example.org", 2),
        ("a@sub.example.org", 2),
        ("a@badexample.org", 0),
        ("a@example.net", 0),
        ("a@example.org, b@example.net", 0),
        ("nobody", 0),
    ] {
        let fields = keys().signer.sign(&message(&format!("From: {from}\n\nx\n"))).await.unwrap();
        assert_eq!(fields.len(), want, "{from}");
    }
    assert!(keys().signer.sign(&message("Subject: x\n\nx\n")).await.unwrap().is_empty());
}

#[test]
fn keys_are_made_once_and_kept_from_others() {
    use std::os::unix::fs::PermissionsExt as _;
    let dir = keys().dir.path().join("dkim");
    let mode = |path: &std::path::Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&dir), 0o700);
    assert_eq!(mode(&dir.join("example.org.r1.pem")), 0o600);
    let clock = Arc::new(FakeClock::default());
    let again = Signer::open(&dir, &[domain("example.org")], &selectors(), clock).unwrap();
    assert_eq!(again.records(), keys().signer.records());
    assert_eq!(keys().signer.made(), again.records(), "both keys were new");
    assert_eq!(again.made(), [], "they are there now");
    let two = [domain("example.org"), domain("new.example")];
    let known = super::records(&dir, &two, &selectors()).unwrap();
    let known: Vec<_> = known.into_iter().map(|(domain, record)| (domain.to_string(), record)).collect();
    let want = again.records().into_iter().map(|record| ("example.org".to_owned(), Some(record)));
    let want: Vec<_> = want.chain(vec![("new.example".to_owned(), None); 2]).collect();
    assert_eq!(known, want);
    assert!(!dir.join("new.example.r1.pem").exists(), "a look makes nothing");
    let records = again.records();
    assert_eq!(records[0].name, "r1._domainkey.example.org");
    assert!(records[0].text.starts_with("v=DKIM1; k=rsa; p=MIIBIjANBgkqhkiG9w0BAQEFAAOCAQ8A"));
    assert_eq!(records[0].text.len(), "v=DKIM1; k=rsa; p=".len() + 392);
    assert_eq!(records[1].text.len(), "v=DKIM1; k=ed25519; p=".len() + 44);
    let published = std::fs::read_to_string(dir.join("example.org.r1.dns")).unwrap();
    assert_eq!(published, format!("{}\n", records[0].zone_line()));
    assert!(published.starts_with("r1._domainkey.example.org. IN TXT \"v=DKIM1; k=rsa; p="));
    assert!(published.split('"').all(|string| string.len() <= 255));
    assert!(!format!("{again:?}").contains("MII"), "a key must not be shown");
}

#[test]
fn keys_of_others_are_read_and_bad_ones_refused() {
    let dir = tempfile::tempdir().unwrap();
    let open = |name: &str, pem: &str| {
        std::fs::write(dir.path().join(format!("example.org.{name}.pem")), pem).unwrap();
        Key::open(dir.path(), &domain("example.org"), name, KeyKind::Rsa)
    };
    // The Ed25519 key of RFC 8032 §7.1 as PKCS #8 (RFC 8410 §10.3 shows the form).
    let ed = "-----BEGIN PRIVATE KEY-----\nMC4CAQAwBQYDK2VwBCIEIJ1hsZ3v/VpguoRK9JLsLMREScVpezJpGXA7rAMcrn9g\n-----END PRIVATE KEY-----\n";
    let key = open("ed", ed).unwrap();
    assert_eq!(
        key.record(&domain("example.org")).text,
        "v=DKIM1; k=ed25519; p=11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo="
    );
    for (name, pem) in [
        ("empty", ""),
        ("text", "secret"),
        ("short", "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n"),
        ("locked", "-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA\n-----END ENCRYPTED PRIVATE KEY-----\n"),
    ] {
        let error = open(name, pem).unwrap_err().to_string();
        assert!(error.contains(name) && !error.contains("AAAA"), "{error}");
    }
}

/// A signature with tags of the test's choice, made with the keys of example.org.
struct Hand<'a> {
    domain: &'a str,
    selector: &'a str,
    forms: &'a str,
    names: &'a str,
    extra: &'a str,
    /// Taken into `l=`, if given.
    length: Option<u64>,
}

impl Default for Hand<'_> {
    fn default() -> Self {
        Self {
            domain: "example.org",
            selector: "e1",
            forms: "relaxed/relaxed",
            names: "from:subject",
            extra: "",
            length: None,
        }
    }
}

impl Hand<'_> {
    fn sign(&self, text: &str) -> String {
        let form = |word: &str| match word {
            "simple" => Canonicalization::Simple,
            _ => Canonicalization::Relaxed,
        };
        let (header_form, body_form) = self.forms.split_once('/').unwrap();
        let kind = if self.selector == "e1" { KeyKind::Ed25519 } else { KeyKind::Rsa };
        let key =
            Key::open(&keys().dir.path().join("dkim"), &domain("example.org"), self.selector, kind).unwrap();
        let whole = message(text);
        let head = Head::read(&whole).unwrap();
        let mut body = BodyHash::new(form(body_form), self.length);
        head.each_piece_of_body(&whole, |piece| body.push(piece)).unwrap();
        let length = self.length.map_or(String::new(), |length| format!(" l={length};"));
        let value = format!(
            " v=1; a={}; c={}; d={}; s={};{length}{} h={}; bh={}; b=",
            key.kind().algorithm(),
            self.forms,
            self.domain,
            self.selector,
            self.extra,
            self.names,
            STANDARD.encode(body.finish().digest),
        );
        let names: Vec<String> = self.names.split(':').map(str::to_ascii_lowercase).collect();
        let own = RawField { name: b"DKIM-Signature", value: value.as_bytes() };
        let input = signed_header(&head.fields(), &names, form(header_form), None, own);
        format!("DKIM-Signature:{value}{}\n{text}", STANDARD.encode(key.sign(&input).unwrap()))
    }
}

#[tokio::test]
async fn signatures_of_many_forms() {
    for (hand, want) in [
        (Hand::default(), "pass d=example.org s=e1: the signature is good"),
        (Hand { selector: "r1", ..Hand::default() }, "pass d=example.org s=r1: the signature is good"),
        (
            Hand { forms: "simple/simple", ..Hand::default() },
            "pass d=example.org s=e1: the signature is good",
        ),
        (
            Hand { forms: "simple/relaxed", ..Hand::default() },
            "pass d=example.org s=e1: the signature is good",
        ),
        (
            Hand { forms: "relaxed/simple", ..Hand::default() },
            "pass d=example.org s=e1: the signature is good",
        ),
        (
            Hand { extra: " i=ann@sub.example.org;", ..Hand::default() },
            "pass d=example.org s=e1: the signature is good",
        ),
        (
            Hand { extra: " t=1767225900; x=1767225901;", ..Hand::default() },
            "pass d=example.org s=e1: the signature is good",
        ),
        (
            Hand { extra: " q=other : dns/txt; unknown=1;", ..Hand::default() },
            "pass d=example.org s=e1: the signature is good",
        ),
        (
            Hand { extra: " t=1767225901;", ..Hand::default() },
            "policy d=example.org s=e1: the signature is from the future",
        ),
        (
            Hand { extra: " x=1767225600;", ..Hand::default() },
            "fail d=example.org s=e1: the signature has expired",
        ),
        (Hand { length: Some(24), ..Hand::default() }, "pass d=example.org s=e1: the signature is good"),
        (
            Hand { length: Some(23), ..Hand::default() },
            "policy d=example.org s=e1: l= leaves 1 octets of the body unsigned",
        ),
        (
            Hand { length: Some(0), ..Hand::default() },
            "policy d=example.org s=e1: l= leaves 24 octets of the body unsigned",
        ),
        (
            Hand { length: Some(25), ..Hand::default() },
            "permerror d=example.org s=e1: l= is longer than the body",
        ),
    ] {
        let text = hand.sign(MAIL);
        assert_eq!(verified(&message(&text), &keys().zone).await, [want], "{text}");
    }
    let simple = Hand { forms: "simple/simple", ..Hand::default() }.sign(MAIL);
    let respaced = simple.replace("Subject: hello", "Subject:  hello");
    let got = verified(&message(&respaced), &keys().zone).await;
    assert_eq!(got, ["fail d=example.org s=e1: the header is not what was signed"]);
}

#[tokio::test]
async fn fields_that_are_no_signatures() {
    let good = Hand::default().sign(MAIL);
    for (from, to, want) in [
        (" v=1;", "", "neutral d=- s=-: the signature cannot be read: the tag v= is missing"),
        ("v=1;", "v=2;", "neutral d=- s=-: the signature cannot be read: its version is not 1"),
        ("v=1;", "v=1; v=1;", "neutral d=- s=-: the signature cannot be read: the tag v= stands there twice"),
        ("v=1;", "v=1;;", "neutral d=- s=-: the signature cannot be read: a tag without a value"),
        ("d=example.org", "d=[192.0.2.1]", "neutral d=- s=-: the signature cannot be read: d= is no domain"),
        ("s=e1", "s=e 1", "neutral d=- s=-: the signature cannot be read: s= is no selector"),
        ("h=from:subject", "h=subject", "neutral d=- s=-: the signature cannot be read: From is not signed"),
        (
            "h=from:subject",
            "h=from::subject",
            "neutral d=- s=-: the signature cannot be read: h= has an empty name",
        ),
        (
            "s=e1;",
            "s=e1; i=@example.net;",
            "neutral d=- s=-: the signature cannot be read: i= is not within d=",
        ),
        ("s=e1;", "s=e1; i=ann;", "neutral d=- s=-: the signature cannot be read: i= has no domain"),
        ("s=e1;", "s=e1; x=soon;", "neutral d=- s=-: the signature cannot be read: a bad number"),
        (
            "s=e1;",
            "s=e1; t=5; x=5;",
            "neutral d=- s=-: the signature cannot be read: it expires before it was made",
        ),
        (
            "s=e1;",
            "s=e1; q=http;",
            "neutral d=- s=-: the signature cannot be read: its key is not in the DNS",
        ),
        (
            "relaxed/relaxed",
            "relaxed/tidy",
            "neutral d=- s=-: the signature cannot be read: its canonical form is not known",
        ),
        (
            "ed25519-sha256",
            "rsa-md5",
            "neutral d=- s=-: the signature cannot be read: its algorithm is not known",
        ),
        ("bh=", "bh=!", "neutral d=- s=-: the signature cannot be read: bad base64"),
        ("ed25519-sha256", "rsa-sha1", "policy d=example.org s=e1: SHA-1 is no longer accepted"),
        ("ed25519-sha256", "rsa-sha256", "permerror d=example.org s=e1: the key is for another algorithm"),
        ("s=e1", "s=gone", "permerror d=example.org s=gone: there is no key at gone._domainkey.example.org"),
        ("s=e1;", "s=e1; i=@example.org;", "fail d=example.org s=e1: the header is not what was signed"),
    ] {
        let text = good.replacen(from, to, 1);
        assert_ne!(text, good);
        assert_eq!(verified(&message(&text), &keys().zone).await, [want], "{text}");
    }
    assert_eq!(verified(&message(MAIL), &keys().zone).await, [""; 0]);
    let mut binary = b"DKIM-Signature: v=1; \xff\r\n".to_vec();
    binary.extend_from_slice(MAIL.replace('\n', "\r\n").as_bytes());
    let got = verified(&Message::new(Blob::from_bytes(binary)), "").await;
    assert_eq!(got, ["neutral d=- s=-: the signature cannot be read: it is not UTF-8"]);
}

#[tokio::test]
async fn keys_that_are_none_and_names_without_answer() {
    let text = Hand { selector: "r1", extra: " i=@sub.example.org;", ..Hand::default() }.sign(MAIL);
    let rsa = &keys().signer.records()[0];
    let weak = "MFwwDQYJKoZIhvcNAQEBBQADSwAwSAJBAMNsyyUSEPE0CJtcbeOpLLgKdWe5LRFVGuSjOyEUtN2PiLxN8/rLA0zG\
                WkKy7vlqxvfTzBa41Fn5q6Aa5l7LyzcCAwEAAQ==";
    let reads = |record: String| zone_line(&rsa.name, &record);
    for (zone, want) in [
        (reads(rsa.text.clone()), "pass d=example.org s=r1: the signature is good"),
        (reads(rsa.text.replace("v=DKIM1; ", "")), "pass d=example.org s=r1: the signature is good"),
        (
            reads(rsa.text.replace("k=rsa; ", "h=sha1:sha256; s=email; n=note;; ")),
            "pass d=example.org s=r1: the signature is good",
        ),
        (
            reads(rsa.text.replace("k=rsa; ", "t=y; ")),
            "pass d=example.org s=r1 (testing): the signature is good",
        ),
        (
            reads(rsa.text.replace("k=rsa; ", "t=y:s; ")),
            "permerror d=example.org s=r1 (testing): i= must name the very domain of d=",
        ),
        (
            reads(rsa.text.replace("DKIM1", "DKIM2")),
            "permerror d=example.org s=r1: the record is no DKIM key",
        ),
        (
            reads(format!("{}; v=DKIM1", rsa.text.replace("v=DKIM1; ", ""))),
            "permerror d=example.org s=r1: the record is no DKIM key",
        ),
        (
            reads(rsa.text.replace("k=rsa", "h=sha1")),
            "permerror d=example.org s=r1: the key is not for SHA-256",
        ),
        (
            reads(rsa.text.replace("k=rsa", "s=other")),
            "permerror d=example.org s=r1: the key is not for mail",
        ),
        (
            reads(rsa.text.replace("k=rsa", "k=other")),
            "permerror d=example.org s=r1: the key is for another algorithm",
        ),
        (reads("v=DKIM1; p=".to_owned()), "permerror d=example.org s=r1: the key was revoked"),
        (reads("v=DKIM1; k=rsa".to_owned()), "permerror d=example.org s=r1: the record has no key"),
        (
            reads("v=DKIM1; k=rsa; k=rsa; p=AAAA".to_owned()),
            "permerror d=example.org s=r1: the key record has the tag k= stands there twice",
        ),
        (
            reads(format!("v=DKIM1; p={weak}")),
            "policy d=example.org s=r1: an RSA key of 512 bits is too weak",
        ),
        (
            reads("hello".to_owned()) + &reads(rsa.text.clone()),
            "pass d=example.org s=r1: the signature is good",
        ),
        (
            format!("{} TIMEOUT\n", rsa.name),
            "temperror d=example.org s=r1: r1._domainkey.example.org TXT: no answer in time",
        ),
        (
            format!("{} SERVFAIL\n", rsa.name),
            "temperror d=example.org s=r1: r1._domainkey.example.org TXT: SERVFAIL",
        ),
        (
            format!("{} A 192.0.2.1\n", rsa.name),
            "permerror d=example.org s=r1: there is no key at r1._domainkey.example.org",
        ),
    ] {
        assert_eq!(verified(&message(&text), &zone).await, [want], "{zone}");
    }
}

#[tokio::test]
async fn many_signatures_are_not_many_questions() {
    let good = Hand::default().sign(MAIL);
    let junk: String = (0..200)
        .map(|n| {
            format!("DKIM-Signature: v=1; a=ed25519-sha256; d=d{n}.example; s=s; h=from; bh=AAAA; b=AAAA\n")
        })
        .collect();
    let dns = fake::FakeResolver::zone(&keys().zone).unwrap();
    let world = world::World { dns: Arc::new(dns.clone()), ..fake::world(1) };
    let outcomes =
        verify(&message(&format!("{junk}{good}")), &[domain("mail.example.org")], &world).await.unwrap();
    let got = lines(&outcomes);
    assert_eq!(got.len(), 9);
    // The signature of the author's domain is looked at, wherever it stands.
    assert!(got.contains(&"pass d=example.org s=e1: the signature is good".to_owned()), "{got:?}");
    assert!(got.contains(&"neutral d=- s=-: 193 more signatures were not looked at".to_owned()), "{got:?}");
    assert_eq!(dns.asked().len(), 8);
}

/// Whatever octets stand in a signature, verifying ends with an outcome.
#[tokio::test]
async fn no_field_breaks_the_verifier() {
    use world::Random;
    let seed = 6376;
    println!("seed {seed}");
    let random = fake::FakeRandom::seeded(seed);
    let good = Hand::default().sign(MAIL).into_bytes();
    for _ in 0..300 {
        let mut octets = good.clone();
        for _ in 0..=random.below(4) {
            let at = usize::try_from(random.below(good.len() as u64)).unwrap();
            octets[at] = u8::try_from(random.below(256)).unwrap();
        }
        let whole = Message::new(Blob::from_bytes(octets));
        let world = fake::world_with(1, &keys().zone).unwrap();
        let _ = verify(&whole, &[], &world).await.unwrap();
    }
    assert_eq!(fake::world(1).clock.unix(), NOW);
}
