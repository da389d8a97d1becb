//! Names of other scripts in signatures, and keys that are for some mail only.

use super::*;

/// Names in U-labels are those in A-labels, and are hashed as they stand there (RFC 8616 §5).
#[tokio::test]
async fn names_in_other_scripts() {
    let record =
        |kind| keys().signer.records().into_iter().find(|record| record.name.starts_with(kind)).unwrap();
    let zone = zone_line("e1._domainkey.xn--bcher-kva.example", &record("e1").text)
        + &zone_line("xn--schlssel-95a._domainkey.example.org", &record("e1").text);
    let good = |name: &str, selector: &str| format!("pass d={name} s={selector}: the signature is good");
    let books = "xn--bcher-kva.example";
    let mail = MAIL.replace("ann@example.org", "k\u{e4}the@b\u{fc}cher.example");
    for (hand, want) in [
        (Hand { domain: "b\u{fc}cher.example", ..Hand::default() }, good(books, "e1")),
        (Hand { domain: "B\u{dc}CHER.example", ..Hand::default() }, good(books, "e1")),
        (Hand { domain: books, ..Hand::default() }, good(books, "e1")),
        (
            Hand {
                domain: "b\u{fc}cher.example",
                extra: " i=k\u{e4}the@xn--bcher-kva.example;",
                ..Hand::default()
            },
            good(books, "e1"),
        ),
        (
            Hand { domain: books, extra: " i=k\u{e4}the@post.b\u{fc}cher.example;", ..Hand::default() },
            good(books, "e1"),
        ),
        (
            Hand { domain: books, extra: " i=@bucher.example;", ..Hand::default() },
            "neutral d=- s=-: the signature cannot be read: i= is not within d=".to_owned(),
        ),
        (
            Hand { domain: "b\u{fc}\u{202e}cher.example", ..Hand::default() },
            "neutral d=- s=-: the signature cannot be read: d= is no domain".to_owned(),
        ),
    ] {
        assert_eq!(
            verified(&message(&hand.sign(&mail)), &zone).await,
            [want],
            "{}{}",
            hand.domain,
            hand.extra
        );
    }
    // What was signed with one spelling does not stand for the other: the field is hashed as it is written.
    let signed = Hand { domain: books, ..Hand::default() }
        .sign(&mail)
        .replace(&format!("d={books}"), "d=b\u{fc}cher.example");
    assert_eq!(
        verified(&message(&signed), &zone).await,
        [format!("fail d={books} s=e1: the header is not what was signed")]
    );
}

/// A key for TLS reports alone signs them, and nothing else (RFC 8460 §3).
#[tokio::test]
async fn keys_for_tls_reports() {
    let record = keys().signer.records().into_iter().find(|record| record.name.starts_with("e1")).unwrap();
    let report = "Content-Type: multipart/report; report-type=\"tlsrpt\"; boundary=b\nTLS-Report-Domain: example.net\n";
    let good = "pass d=example.org s=e1: the signature is good";
    let not_mail = "permerror d=example.org s=e1: the key is not for mail";
    for (services, header, want) in [
        ("s=tlsrpt", report, good),
        ("s=other:TLSRPT", report, good),
        ("s=email", report, good),
        ("s=*", report, good),
        ("s=other", report, not_mail),
        ("s=tlsrpt", "", not_mail),
        ("s=tlsrpt", "TLS-Report-Domain: example.net\n", not_mail),
        ("s=tlsrpt", "Content-Type: multipart/report; report-type=tlsrpt\n", not_mail),
    ] {
        let zone =
            zone_line(&record.name, &record.text.replace("k=ed25519;", &format!("k=ed25519; {services};")));
        let mail = format!("{header}{MAIL}");
        assert_eq!(
            verified(&message(&Hand::default().sign(&mail)), &zone).await,
            [want],
            "{services} {header}"
        );
    }
}
