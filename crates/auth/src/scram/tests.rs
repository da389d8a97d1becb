//! Exchanges as text: those of the RFCs, and those that must fail.

use super::*;
use crate::fake::ScramClient;

const NONCE: &str = "%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0";

fn secret(text: &str) -> Secret {
    Secret::new(text.to_owned())
}

fn facts(hash: ScramHash, salt: &str, iterations: u32, nonce: &str, passwords: &[&str]) -> ScramFacts {
    let salt = STANDARD.decode(salt).unwrap();
    let key = |(n, password): (i64, &&str)| {
        (Proof::AppPassword(n), ScramKeys::derive(&secret(password), &salt, iterations, hash))
    };
    let keys = (0..).zip(passwords).map(key).collect();
    ScramFacts { salt, iterations, keys, nonce: nonce.to_owned() }
}

/// Whole exchange: the server's first message, and what came of the client's last.
fn exchange(
    hash: ScramHash,
    client_first: &str,
    facts: ScramFacts,
    client_last: &str,
) -> (String, Result<(Option<Proof>, String), Refusal>) {
    let first = first(client_first.as_bytes(), hash, Binding::Unbound, &Bindings::default()).unwrap();
    let (asked, said) = first.ask(facts);
    (said, asked.judge(client_last.as_bytes()).map(|proven| (proven.proof, proven.last)))
}

/// RFC 5802 §5.
#[test]
fn the_exchange_of_rfc_5802() {
    let facts = facts(ScramHash::Sha1, "QSXCR+Q6sek8bf92", 4096, "3rfcNHYJY1ZVvWVs7j", &["pencil"]);
    let (said, done) = exchange(
        ScramHash::Sha1,
        "n,,n=user,r=fyko+d2lbbFgONRv9qkxdawL",
        facts,
        "c=biws,r=fyko+d2lbbFgONRv9qkxdawL3rfcNHYJY1ZVvWVs7j,p=v0X8v3Bz2T0CJGbJQyF0X+HI4Ts=",
    );
    assert_eq!(said, "r=fyko+d2lbbFgONRv9qkxdawL3rfcNHYJY1ZVvWVs7j,s=QSXCR+Q6sek8bf92,i=4096");
    assert_eq!(done, Ok((Some(Proof::AppPassword(0)), "v=rmF9pqV8S7suAoZWja4dJRkFsKQ=".to_owned())));
}

/// RFC 7677 §3.
#[test]
fn the_exchange_of_rfc_7677() {
    let facts = facts(ScramHash::Sha256, "W22ZaJ0SNY7soEsUEjb6gQ==", 4096, NONCE, &["wrong", "pencil"]);
    let (said, done) = exchange(
        ScramHash::Sha256,
        "n,,n=user,r=rOprNGfwEbeRWgbNEkqO",
        facts,
        "c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,\
         p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=",
    );
    assert_eq!(
        said,
        "r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096"
    );
    let want = "v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=".to_owned();
    assert_eq!(done, Ok((Some(Proof::AppPassword(1)), want)));
}

#[test]
fn keys_are_kept_as_octets() {
    for (hash, len) in [(ScramHash::Sha1, 40), (ScramHash::Sha256, 64)] {
        let keys = ScramKeys::derive(&secret("x"), b"salt", 4096, hash);
        let octets = keys.to_octets();
        assert_eq!(octets.len(), len);
        assert_eq!(ScramKeys::from_octets(&octets, hash), Some(keys));
        for wrong in [&octets[1..], &octets[..1], &[][..], &[octets.as_slice(), &[0]].concat()] {
            assert_eq!(ScramKeys::from_octets(wrong, hash), None);
        }
    }
}

#[test]
fn first_messages() {
    let offered = Bindings { exporter: Some(vec![1]), end_point: None };
    let none = Bindings::default();
    let cases = [
        ("n,,n=user,r=abc", &offered, Binding::Unbound, "user biws"),
        ("n,,n=User@Example.ORG,r=abc", &offered, Binding::Unbound, "user@example.org biws"),
        ("n,a=user,n=user,r=abc", &offered, Binding::Unbound, "user bixhPXVzZXIs"),
        ("n,a=USER,n=user,r=abc,x=y,z==", &offered, Binding::Unbound, "user bixhPVVTRVIs"),
        ("n,a=boss,n=user,r=abc", &offered, Binding::Unbound, "Impersonation"),
        ("n,,n=a=2Cb=3Dc,r=abc", &offered, Binding::Unbound, "a,b=c biws"),
        ("n,,n=a\u{ad}b,r=abc", &offered, Binding::Unbound, "ab biws"),
        ("n,,n=a=2c,r=abc", &offered, Binding::Unbound, "Malformed"),
        ("n,,n=a=,r=abc", &offered, Binding::Unbound, "Malformed"),
        ("n,,n=a=\u{e9}\u{e9},r=abc", &offered, Binding::Unbound, "Malformed"),
        ("n,,n=,r=abc", &offered, Binding::Unbound, "BadText"),
        ("n,,n=a\u{7},r=abc", &offered, Binding::Unbound, "BadText"),
        ("n,,m=x,n=user,r=abc", &offered, Binding::Unbound, "Malformed"),
        ("n,,n=user,r=", &offered, Binding::Unbound, "Malformed"),
        ("n,,n=user,r=a b", &offered, Binding::Unbound, "Malformed"),
        ("n,,n=user,r=abc,m=x", &offered, Binding::Unbound, "Malformed"),
        ("n,,n=user,r=abc,", &offered, Binding::Unbound, "Malformed"),
        ("n,,r=abc,n=user", &offered, Binding::Unbound, "Malformed"),
        ("n,x,n=user,r=abc", &offered, Binding::Unbound, "Malformed"),
        ("n=user,r=abc", &offered, Binding::Unbound, "Malformed"),
        ("", &offered, Binding::Unbound, "Malformed"),
        ("F,n,,n=user,r=abc", &offered, Binding::Unbound, "Malformed"),
        // RFC 5802 §6: who says `y` while we can bind was lied to.
        ("y,,n=user,r=abc", &offered, Binding::Unbound, "Downgrade"),
        ("y,,n=user,r=abc", &none, Binding::Unbound, "user eSws"),
        ("p=tls-exporter,,n=user,r=abc", &offered, Binding::Unbound, "UnknownBinding"),
        ("p=tls-exporter,,n=user,r=abc", &offered, Binding::Plus, "user cD10bHMtZXhwb3J0ZXIsLAE="),
        ("p=tls-server-end-point,,n=user,r=abc", &offered, Binding::Plus, "UnknownBinding"),
        ("p=tls-unique,,n=user,r=abc", &offered, Binding::Plus, "UnknownBinding"),
        ("n,,n=user,r=abc", &offered, Binding::Plus, "Malformed"),
        ("y,,n=user,r=abc", &offered, Binding::Plus, "Malformed"),
        ("x,,n=user,r=abc", &offered, Binding::Plus, "Malformed"),
    ];
    for (text, offered, binding, want) in cases {
        let got = match first(text.as_bytes(), ScramHash::Sha256, binding, offered) {
            Ok(first) => format!("{} {}", first.user, first.binding),
            Err(refusal) => format!("{refusal:?}"),
        };
        assert_eq!(got, want, "{text}");
    }
    let long = format!("n,,n=user,r={}", "x".repeat(NONCE_MAX + 1));
    let done = first(long.as_bytes(), ScramHash::Sha256, Binding::Unbound, &none);
    assert_eq!(done.unwrap_err(), Refusal::Malformed);
    let done = first(b"n,,n=\xff,r=abc", ScramHash::Sha256, Binding::Unbound, &none);
    assert_eq!(done.unwrap_err(), Refusal::BadText);
}

/// A client that is bound as it says, then a server that is bound otherwise.
#[test]
fn what_is_bound_must_be_the_same() {
    let hash = ScramHash::Sha256;
    let exporter = |octet| Bindings { exporter: Some(vec![octet; 32]), end_point: Some(vec![9; 32]) };
    for (header, data, ours, want) in [
        ("p=tls-exporter,,", vec![1; 32], 1, "in"),
        ("p=tls-server-end-point,,", vec![9; 32], 1, "in"),
        ("p=tls-exporter,,", vec![1; 32], 2, "WrongBinding"),
        ("p=tls-exporter,,", vec![], 1, "WrongBinding"),
    ] {
        let client = ScramClient::new(hash, "user", "pencil", header, &data);
        let first = first(client.first().as_bytes(), hash, Binding::Plus, &exporter(ours)).unwrap();
        let (asked, said) = first.ask(facts(hash, "c2FsdA==", 4096, NONCE, &["pencil"]));
        let got = match asked.judge(client.last(&said).0.as_bytes()) {
            Ok(Proven { proof: Some(_), last, .. }) if last == client.last(&said).1 => "in".to_owned(),
            Ok(other) => format!("{other:?}"),
            Err(refusal) => format!("{refusal:?}"),
        };
        assert_eq!(got, want, "{header} {ours}");
    }
}

#[test]
fn last_messages() {
    let client = ScramClient::new(ScramHash::Sha256, "user", "pencil", "n,,", b"");
    let (right, verifier) = client.last(&format!("r=clientpart{NONCE},s=c2FsdA==,i=4096"));
    let proof = right.rsplit_once(",p=").unwrap().1.to_owned();
    let short = STANDARD.encode([0; 31]);
    let wrong = STANDARD.encode([0; 32]);
    let cases = [
        (right.clone(), format!("in {verifier}")),
        (format!("c=biws,r=clientpart{NONCE},p={wrong}"), "wrong".to_owned()),
        (format!("c=biws,r=clientpart{NONCE},p={short}"), "Malformed".to_owned()),
        (format!("c=biws,r=clientpart{NONCE},p=%"), "Malformed".to_owned()),
        (format!("c=biws,r=clientpart{NONCE}"), "Malformed".to_owned()),
        (format!("c=biws,r=clientpart,p={proof}"), "Malformed".to_owned()),
        (format!("r=clientpart{NONCE},c=biws,p={proof}"), "Malformed".to_owned()),
        (format!("c=eSws,r=clientpart{NONCE},p={proof}"), "WrongBinding".to_owned()),
        (format!("c=biws,r=clientpart{NONCE},m=x,p={proof}"), "Malformed".to_owned()),
        // An extension is part of what is proven: with it the proof is another.
        (format!("c=biws,r=clientpart{NONCE},x=y,p={proof}"), "wrong".to_owned()),
        (String::new(), "Malformed".to_owned()),
    ];
    for (text, want) in cases {
        let facts = facts(ScramHash::Sha256, "c2FsdA==", 4096, NONCE, &["pencil"]);
        let (_, done) = exchange(ScramHash::Sha256, "n,,n=user,r=clientpart", facts, &text);
        let got = match done {
            Ok((Some(_), last)) => format!("in {last}"),
            Ok((None, _)) => "wrong".to_owned(),
            Err(refusal) => format!("{refusal:?}"),
        };
        assert_eq!(got, want, "{text}");
    }
}

/// Nobody's proof is right, not even one made with keys of zeros, with which nobody is compared.
#[test]
fn nobody_has_no_password() {
    let client = ScramClient::new(ScramHash::Sha256, "user", "", "n,,", b"");
    let facts = || facts(ScramHash::Sha256, "c2FsdA==", 4096, NONCE, &[]);
    let (said, _) = exchange(ScramHash::Sha256, &client.first(), facts(), "");
    let (_, done) = exchange(ScramHash::Sha256, &client.first(), facts(), &client.last(&said).0);
    assert_eq!(done.map(|(proof, _)| proof), Ok(None));
}

/// RFC 4013 §3, and what its tables do not know.
#[test]
fn passwords_are_prepared() {
    for (typed, same) in [("I\u{ad}X", "IX"), ("\u{aa}", "a"), ("\u{2168}", "IX"), ("a\u{a0}b", "a b")] {
        assert_eq!(prepared(&secret(typed)).as_str(), same);
    }
    for odd in ["\u{1f9ff}", "\u{627}\u{31}", "\u{ad}"] {
        assert_eq!(prepared(&secret(odd)).as_str(), odd);
    }
}
