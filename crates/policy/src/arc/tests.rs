//! Chains made here, whole and broken, and the example of the standard.

use super::{ArcResult, Claim, Outcome, verify};
use crate::dkim::canon::{BodyHash, signed_header};
use crate::dkim::keys::{Key, KeyKind};
use crate::head::{Head, RawField};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use mail::{Blob, Domain, Message};
use mail_auth::dkim::Canonicalization;
use std::collections::BTreeMap;
use std::sync::OnceLock;
use world::fake;

fn message(text: &str) -> Message {
    Message::new(Blob::from_bytes(text.replace("\r\n", "\n").replace('\n', "\r\n").into_bytes()))
}

fn domain(text: &str) -> Domain {
    Domain::parse(text).unwrap()
}

/// Those who seal in these tests, with their keys.
struct Sealers {
    keys: BTreeMap<&'static str, Key>,
    zone: String,
    _dir: tempfile::TempDir,
}

const NAMES: [&str; 3] = ["list.example", "relay.example", "bücher.example"];

fn sealers() -> &'static Sealers {
    static SEALERS: OnceLock<Sealers> = OnceLock::new();
    SEALERS.get_or_init(|| {
        let dir = tempfile::tempdir().unwrap();
        let mut keys = BTreeMap::new();
        let mut zone = String::new();
        for (at, name) in NAMES.into_iter().enumerate() {
            let kind = if at == 1 { KeyKind::Rsa } else { KeyKind::Ed25519 };
            let key = Key::open(&dir.path().join("keys"), &domain(name), "s", kind).unwrap();
            let record = key.record(&domain(name));
            zone.push_str(&format!("{} TXT \"{}\"\n", record.name, record.text));
            keys.insert(name, key);
        }
        Sealers { keys, zone, _dir: dir }
    })
}

/// What a sealer writes, before it is signed; tests spoil it.
#[derive(Clone)]
struct Draft {
    sealer: &'static str,
    results: String,
    message: String,
    seal: String,
    names: Vec<&'static str>,
    body_length: Option<u64>,
}

impl Draft {
    fn new(instance: u8, sealer: &'static str, results: &str) -> Self {
        let algorithm = sealers().keys[sealer].kind().algorithm();
        let status = if instance == 1 { "none" } else { "pass" };
        let tags = format!("i={instance}; a={algorithm}; d={sealer}; s=s; t=12345");
        Self {
            sealer,
            results: format!(" i={instance}; mx.{sealer}; {results}"),
            message: format!(" {tags}; c=relaxed/relaxed"),
            seal: format!(" {tags}; cv={status}"),
            names: vec!["from", "to", "subject"],
            body_length: None,
        }
    }

    /// Puts the set in front of a message, sealed as RFC 8617 §5.1 says.
    fn seal(&self, text: &str) -> String {
        let key = &sealers().keys[self.sealer];
        let whole = message(text);
        let head = Head::read(&whole).unwrap();
        let mut body = BodyHash::new(Canonicalization::Relaxed, self.body_length);
        head.each_piece_of_body(&whole, |piece| body.push(piece)).unwrap();
        let hash = STANDARD.encode(body.finish().digest);
        let length = self.body_length.map_or(String::new(), |length| format!(" l={length};"));
        let value = format!("{};{length} h={}; bh={hash}; b=", self.message, self.names.join(":"));
        let names: Vec<String> = self.names.iter().map(|name| (*name).to_owned()).collect();
        let own = RawField { name: b"ARC-Message-Signature", value: value.as_bytes() };
        let input = signed_header(&head.fields(), &names, Canonicalization::Relaxed, None, own);
        let signed = format!("{value}{}", STANDARD.encode(key.sign(&input).unwrap()));
        let results = format!("ARC-Authentication-Results:{}\n", self.results);
        let text = format!("ARC-Message-Signature:{signed}\n{results}{text}");
        let seal = format!("{}; b=", self.seal);
        let input = seal_input(&text, &seal);
        let signature = STANDARD.encode(key.sign(&input).unwrap());
        format!("ARC-Seal:{seal}{signature}\n{text}")
    }
}

/// All sets from the oldest, results, signature and seal of each, the new seal last and without its line break.
fn seal_input(text: &str, seal: &str) -> Vec<u8> {
    let whole = message(text);
    let head = Head::read(&whole).unwrap();
    let fields = head.fields();
    let places = |name: &str| fields.named(name).iter().rev().copied().collect::<Vec<_>>();
    let (results, messages, seals) =
        (places("arc-authentication-results"), places("arc-message-signature"), places("arc-seal"));
    let mut picked: Vec<(&[u8], &[u8])> = Vec::new();
    for (at, (result, message)) in results.iter().zip(&messages).enumerate() {
        for place in [Some(result), Some(message), seals.get(at)].into_iter().flatten() {
            picked.push((fields.all[*place].name, fields.all[*place].value));
        }
    }
    picked.push((b"ARC-Seal", seal.as_bytes()));
    let mut input = Vec::new();
    Canonicalization::Relaxed.canonicalize_headers(picked.into_iter(), &mut input);
    input
}

const MAIL: &str =
    "From: Ann <ann@author.example>\nTo: list@list.example\nSubject: hello\n\nHi all,\n\nthis is it.\n";

const PASSED: &str = "dkim=pass header.d=author.example; dmarc=pass (p=reject) header.from=author.example; arc=none smtp.remote-ip=198.51.100.7";

async fn outcome_in(text: &str, zone: &str) -> Option<Outcome> {
    let world = fake::world_with(1, zone).unwrap();
    verify(&message(text), [192, 0, 2, 1].into(), &world).await.unwrap()
}

async fn outcome(text: &str) -> Outcome {
    outcome_in(text, &sealers().zone).await.expect("there is a chain")
}

fn shown(outcome: &Outcome) -> String {
    let oldest = outcome.oldest_pass.map_or("-".to_owned(), |oldest| oldest.to_string());
    format!("{} {oldest}: {}", outcome.result, outcome.reason)
}

/// A list that changes the message and seals it, and a relay behind it that changes nothing.
fn listed() -> String {
    let changed = MAIL.replace("hello", "[list] hello").replace("it.\n", "it.\n--\nfooter\n");
    Draft::new(1, "list.example", PASSED).seal(&changed)
}

fn relayed() -> String {
    Draft::new(2, "relay.example", "arc=pass; dkim=fail header.d=author.example").seal(&listed())
}

#[tokio::test]
async fn a_whole_chain_passes() {
    assert_eq!(outcome_in(MAIL, "").await, None);
    let one = outcome(&listed()).await;
    assert_eq!(shown(&one), "pass 0: a chain of 1, last sealed by list.example");
    let two = outcome(&relayed()).await;
    assert_eq!(shown(&two), "pass 0: a chain of 2, last sealed by relay.example");
    let author = domain("author.example");
    assert_eq!(two.sets[0].claims, [Claim::Dkim(author.clone()), Claim::Dmarc(author)]);
    assert_eq!(two.sets[1].claims, []);
    assert_eq!(
        two.summary(),
        "arc=pass as[2].d=relay.example as[2].s=s as[1].d=list.example as[1].s=s remote-ip[1]=198.51.100.7"
    );
}

/// Folded anew, with other blanks and in another order: the relaxed form allows the first, RFC 8617 the last.
#[tokio::test]
async fn what_relays_do_is_allowed() {
    let text = relayed();
    let refolded = text.replace("; ", ";\n\t").replace("ARC-Seal:", "arc-seal :");
    assert_eq!(outcome(&refolded).await.result, ArcResult::Pass, "{refolded}");
    let mut fields: Vec<&str> = text.split_inclusive('\n').take(6).collect();
    let rest = &text[fields.concat().len()..];
    fields.reverse();
    let turned = format!("Received: from x\n{}{rest}", fields.concat());
    assert_eq!(outcome(&turned).await.result, ArcResult::Pass);
}

/// The relay changes the message and seals it: the older signature is broken, which is in order.
#[tokio::test]
async fn a_change_that_is_sealed_is_in_order() {
    let changed = listed().replace("footer", "another footer");
    let text = Draft::new(2, "relay.example", "arc=pass").seal(&changed);
    assert_eq!(shown(&outcome(&text).await), "pass 2: a chain of 2, last sealed by relay.example");
    let third = Draft::new(3, "bücher.example", "arc=pass").seal(&text);
    assert_eq!(shown(&outcome(&third).await), "pass 2: a chain of 3, last sealed by xn--bcher-kva.example");
}

/// Good chains with something taken out, put in or changed.
fn broken_chains() -> Vec<(String, &'static str)> {
    let (one, two) = (listed(), relayed());
    let without = |name: &str, at: usize| -> String {
        let mut seen = 0;
        let keep = |line: &&str| {
            seen += usize::from(line.starts_with(name));
            !line.starts_with(name) || seen != at
        };
        two.split_inclusive('\n').filter(keep).collect()
    };
    let twice = |name: &str| {
        let line = two.split_inclusive('\n').find(|line| line.starts_with(name)).unwrap();
        format!("{line}{two}")
    };
    vec![
        (
            one.replace("footer", "FOOTER"),
            "fail -: the message signature i=1 of list.example is not good: the body is not what was signed",
        ),
        (
            one.replace("[list]", "[LIST]"),
            "fail -: the message signature i=1 of list.example is not good: the header is not what was signed",
        ),
        (
            two.replace("header.from=author", "header.from=bank"),
            "fail 0: the seal i=2 of relay.example is not good: the chain is not what was sealed",
        ),
        (
            two.replace("arc=pass;", "arc=none;"),
            "fail 0: the seal i=2 of relay.example is not good: the chain is not what was sealed",
        ),
        (without("ARC-Seal", 1), "fail -: the set i=2 has no ARC-Seal"),
        (without("ARC-Seal", 2), "fail -: the set i=1 has no ARC-Seal"),
        (without("ARC-Message-Signature", 2), "fail -: the set i=1 has no ARC-Message-Signature"),
        (without("ARC-Authentication-Results", 1), "fail -: the set i=2 has no ARC-Authentication-Results"),
        (twice("ARC-Seal"), "fail -: there are two fields ARC-Seal with i=2"),
        (
            twice("ARC-Authentication-Results"),
            "fail -: there are two fields ARC-Authentication-Results with i=2",
        ),
        (Draft::new(3, "relay.example", "arc=pass").seal(&one), "fail -: the set i=2 has no ARC-Seal"),
    ]
}

fn sealed_with(change: impl Fn(&mut Draft)) -> String {
    let mut draft = Draft::new(1, "list.example", PASSED);
    change(&mut draft);
    draft.seal(MAIL)
}

/// Seals that should never have been made: seals, then signatures and results.
fn broken_seals() -> Vec<(String, &'static str)> {
    vec![
        (
            sealed_with(|draft| draft.seal = draft.seal.replace("cv=none", "cv=pass")),
            "fail -: the seal i=1 must say cv=none",
        ),
        (
            sealed_with(|draft| draft.seal = draft.seal.replace("cv=none", "cv=maybe")),
            "fail -: a field ARC-Seal cannot be read: cv= is neither none nor pass nor fail",
        ),
        (
            sealed_with(|draft| draft.seal = draft.seal.replace("; cv=none", "")),
            "fail -: a field ARC-Seal cannot be read: the tag cv= is missing",
        ),
        (
            sealed_with(|draft| draft.seal.push_str("; h=from")),
            "fail -: a field ARC-Seal cannot be read: a seal has no h=",
        ),
        (
            sealed_with(|draft| draft.seal = draft.seal.replace("ed25519-sha256", "rsa-sha1")),
            "fail -: a field ARC-Seal cannot be read: SHA-1 is no longer accepted",
        ),
        (
            sealed_with(|draft| draft.seal = draft.seal.replace("i=1", "i=0")),
            "fail -: a field ARC-Seal cannot be read: i= is no number from 1 to 50",
        ),
        (
            sealed_with(|draft| draft.seal = draft.seal.replace("i=1", "i=51")),
            "fail -: a field ARC-Seal cannot be read: i= is no number from 1 to 50",
        ),
        (
            sealed_with(|draft| draft.seal = draft.seal.replace("i=1", "i=+1")),
            "fail -: a field ARC-Seal cannot be read: i= is no number from 1 to 50",
        ),
    ]
}

fn broken_signatures() -> Vec<(String, &'static str)> {
    vec![
        (
            sealed_with(|draft| draft.results = draft.results.replace("i=1;", "")),
            "fail -: a field ARC-Authentication-Results cannot be read: it does not begin with i=",
        ),
        (
            sealed_with(|draft| draft.names.push("arc-seal")),
            "fail -: a field ARC-Message-Signature cannot be read: it signs arc-seal",
        ),
        (
            sealed_with(|draft| draft.names = vec!["to"]),
            "fail -: a field ARC-Message-Signature cannot be read: From is not signed",
        ),
        (
            sealed_with(|draft| draft.message.push_str("; x=12346")),
            "fail -: the message signature i=1 of list.example is not good: the signature has expired",
        ),
        (
            sealed_with(|draft| draft.body_length = Some(3)),
            "fail -: the message signature i=1 of list.example is not good: l= leaves 21 octets of the body unsigned",
        ),
        (
            sealed_with(|draft| draft.sealer = "relay.example"),
            "fail -: the message signature i=1 of list.example is not good: the header is not what was signed",
        ),
    ]
}

#[tokio::test]
async fn every_break_is_found() {
    let cases = [broken_chains(), broken_seals(), broken_signatures()].concat();
    for (text, want) in cases {
        assert_eq!(shown(&outcome(&text).await), want, "{text}");
    }
    let one = listed();
    let mut broken = Draft::new(2, "relay.example", "arc=fail");
    broken.seal = broken.seal.replace("cv=pass", "cv=fail");
    let want = "fail -: the last who sealed it says that the chain was broken before";
    assert_eq!(shown(&outcome(&broken.seal(&one)).await), want);
    broken.seal = broken.seal.replace("cv=fail", "cv=none");
    assert_eq!(shown(&outcome(&broken.seal(&one)).await), "fail -: the seal i=2 must say cv=pass");
}

#[tokio::test]
async fn chains_have_a_length_that_is_looked_at() {
    let mut text = MAIL.to_owned();
    for instance in 1..=20 {
        text = Draft::new(instance, "list.example", "arc=pass").seal(&text);
    }
    assert_eq!(shown(&outcome(&text).await), "pass 0: a chain of 20, last sealed by list.example");
    text = Draft::new(21, "list.example", "arc=pass").seal(&text);
    let want = "fail -: a chain of 21 sets is longer than the 20 that are looked at";
    assert_eq!(shown(&outcome(&text).await), want);
    let many = format!("{}{MAIL}", "ARC-Seal: i=1\n".repeat(51));
    assert_eq!(shown(&outcome(&many).await), "fail -: there are more than 50 ARC sets");
}

#[tokio::test]
async fn keys_that_do_not_come_break_the_chain() {
    let zone = &sealers().zone;
    let line = |name: &str| zone.lines().find(|line| line.contains(name)).unwrap();
    for (broken, is_unanswered, want) in [
        (
            "",
            false,
            "fail 0: the seal i=1 of list.example is not good: there is no key at s._domainkey.list.example",
        ),
        (
            "s._domainkey.list.example TXT \"k=ed25519; p=\"",
            false,
            "fail 0: the seal i=1 of list.example is not good: the key was revoked",
        ),
        (
            "s._domainkey.list.example TIMEOUT",
            true,
            "fail 0: the seal i=1 of list.example is not good: s._domainkey.list.example TXT: no answer in time",
        ),
        (
            "s._domainkey.list.example SERVFAIL",
            true,
            "fail 0: the seal i=1 of list.example is not good: s._domainkey.list.example TXT: SERVFAIL",
        ),
    ] {
        let text = Draft::new(2, "relay.example", "arc=pass").seal(&listed());
        let got = outcome_in(&text, &format!("{}\n{broken}\n", line("relay.example"))).await.unwrap();
        // The older message signature has no key either
        assert_eq!(shown(&got), want.replace("fail 0", "fail 2"));
        assert_eq!(got.is_unanswered, is_unanswered);
        assert_eq!(got.sets.len(), 2);
    }
}

/// The RFC gives no keys for it, so it fails at the first that is needed; its form is in order.
#[tokio::test]
async fn the_example_of_rfc_8617_is_read() {
    let text = include_str!("../../testdata/arc/rfc8617.eml");
    let got = outcome_in(text, "").await.unwrap();
    assert_eq!(
        shown(&got),
        "fail -: the message signature i=3 of clochette.example.org is not good: there is no key at clochette._domainkey.clochette.example.org"
    );
    let sealers: Vec<&str> = got.sets.iter().map(|set| set.sealer.as_str()).collect();
    assert_eq!(sealers, ["lists.example.org", "gmail.example", "clochette.example.org"]);
    assert_eq!(got.sets[0].claims, [Claim::Dkim(domain("d1.example"))]);
    assert_eq!(got.sets[2].claims, []);
}

/// Sealed by another program: a list that changed subject and body, and so broke the author's signature.
#[tokio::test]
async fn a_list_elsewhere_is_understood() {
    let (text, zone) =
        (include_str!("../../testdata/arc/list.eml"), include_str!("../../testdata/arc/list.zone"));
    let got = outcome_in(text, zone).await.unwrap();
    assert_eq!(shown(&got), "pass 0: a chain of 1, last sealed by lists.test");
    let bank = domain("bank.test");
    assert_eq!(got.sets[0].claims, [Claim::Dkim(bank.clone()), Claim::Dmarc(bank)]);
    let changed = outcome_in(&text.replace("eight", "nine"), zone).await.unwrap();
    assert_eq!(changed.result, ArcResult::Fail);
}
