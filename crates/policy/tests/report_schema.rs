//! The aggregate reports that we send, checked by xmllint against the schema of RFC 9990 (`tests/install` has xmllint).
#![allow(clippy::unwrap_used, reason = "the helpers of a test fail by panicking")]

use policy::report::{Owed, PublishedPolicy, Seen, xml};
use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};

/// What xmllint has against a document; nothing if it is good. `None` where there is no xmllint, which is noted as a test
/// that was skipped.
fn complaints(document: &str) -> Option<String> {
    let schema = Path::new(env!("CARGO_MANIFEST_DIR")).join("testdata/report/rfc9990.xsd");
    let started = Command::new("xmllint")
        .args(["--noout", "--nonet", "--schema"])
        .arg(schema)
        .arg("-")
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn();
    let Ok(mut child) = started else {
        if let Some(list) = std::env::var_os("MADDY_TESTS_SKIPPED") {
            let mut list = std::fs::File::options().append(true).create(true).open(list).unwrap();
            writeln!(list, "report_schema: xmllint is not installed (tests/install does it)").unwrap();
        }
        return None;
    };
    child.stdin.take().unwrap().write_all(document.as_bytes()).unwrap();
    let done = child.wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&done.stderr).into_owned();
    Some(if done.status.success() { String::new() } else { said })
}

fn seen() -> Seen {
    Seen {
        source: [192, 0, 2, 1].into(),
        disposition: "none".to_owned(),
        dkim: "pass".to_owned(),
        spf: "fail".to_owned(),
        reason: String::new(),
        comment: String::new(),
        header_from: "example.org".to_owned(),
        envelope_from: "bounce.example.org".to_owned(),
        signatures: Vec::new(),
        spf_result: None,
    }
}

fn written(rows: &[(Seen, u64)], policy: &PublishedPolicy) -> String {
    xml(&Owed {
        organization: "mx.receiver.example",
        email: "postmaster@receiver.example",
        id: "1767225600.example.org@mx.receiver.example",
        begin: 1_767_225_600,
        end: 1_767_311_999,
        domain: "example.org",
        policy,
        rows,
    })
}

fn policy() -> PublishedPolicy {
    PublishedPolicy { p: "reject".to_owned(), ..PublishedPolicy::default() }
}

#[test]
fn every_report_is_as_the_schema_wants_it() {
    let whole = PublishedPolicy {
        p: "none".to_owned(),
        sp: "quarantine".to_owned(),
        np: "reject".to_owned(),
        adkim: "s".to_owned(),
        aspf: "r".to_owned(),
        testing: "y".to_owned(),
        rua: vec!["mailto:d@example.org".to_owned()],
    };
    let mut rows = vec![
        (seen(), 1),
        (Seen { source: "2001:db8::1".parse().unwrap(), ..seen() }, u64::MAX),
        (Seen { source: "::".parse().unwrap(), envelope_from: String::new(), ..seen() }, 2),
        (
            Seen {
                source: "2001:db8:1:2:3:4:5:6".parse().unwrap(),
                reason: "local_policy".to_owned(),
                ..seen()
            },
            3,
        ),
        (
            Seen {
                header_from: "<&\u{7}\">".to_owned(),
                envelope_from: "]]>&amp;\u{0}\u{fffe}".to_owned(),
                ..seen()
            },
            4,
        ),
    ];
    for reason in ["local_policy", "policy_test_mode"] {
        let comment = "arc=pass as[1].d=l.example <&>".to_owned();
        rows.push((Seen { reason: reason.to_owned(), comment, ..seen() }, 8));
    }
    for disposition in ["none", "pass", "quarantine", "reject"] {
        rows.push((Seen { disposition: disposition.to_owned(), ..seen() }, 5));
    }
    for result in ["none", "pass", "fail", "policy", "neutral", "temperror", "permerror"] {
        let signature = ("d.example".to_owned(), "s1".to_owned(), result.to_owned());
        rows.push((Seen { signatures: vec![signature.clone(), signature], ..seen() }, 6));
    }
    for result in ["none", "neutral", "pass", "fail", "softfail", "temperror", "permerror"] {
        rows.push((Seen { spf_result: Some(("e.example".to_owned(), result.to_owned())), ..seen() }, 7));
    }
    for policy in [&whole, &policy()] {
        let Some(said) = complaints(&written(&rows, policy)) else { return };
        assert_eq!(said, "");
        for row in &rows {
            assert_eq!(complaints(&written(std::slice::from_ref(row), policy)).unwrap(), "", "{row:?}");
        }
    }
}

/// The schema would notice.
#[test]
fn what_is_wrong_is_found() {
    let good = written(&[(seen(), 1)], &policy());
    for (from, to) in [
        ("<disposition>none<", "<disposition>maybe<"),
        ("<count>1<", "<count>0<"),
        ("<source_ip>192.0.2.1<", "<source_ip>somewhere<"),
        ("<p>reject</p>", ""),
        ("<dkim>pass</dkim>", ""),
        ("urn:ietf:params:xml:ns:dmarc-2.0", "urn:other"),
        ("<header_from>example.org</header_from>", ""),
        ("<end>", "<fin>"),
    ] {
        let bad = good.replace(from, to);
        assert_ne!(bad, good, "{from}");
        let Some(said) = complaints(&bad) else { return };
        assert_ne!(said, "", "{from} became {to}");
    }
}

/// The order of those elements whose order is free, as other writers have it, and what they leave out or add.
#[test]
fn what_others_write_passes_too() {
    let text = r#"<feedback xmlns="urn:ietf:params:xml:ns:dmarc-2.0" xmlns:x="https://x.example/">
        <version>1.0</version>
        <report_metadata>
            <org_name>Another</org_name><email>r@reporter.example</email>
            <extra_contact_info lang="en">https://reporter.example/</extra_contact_info>
            <report_id>3v98@reporter.example</report_id>
            <date_range><begin>1767225600</begin><end>1767311999</end></date_range>
            <error lang="en">sp cannot be read</error><generator>Reporter 1.2</generator>
        </report_metadata>
        <policy_published>
            <domain>example.org</domain><p>quarantine</p><sp>none</sp><np>none</np><testing>n</testing>
            <discovery_method>treewalk</discovery_method>
        </policy_published>
        <extension><x:note>more</x:note></extension>
        <record>
            <row><source_ip>192.0.2.123</source_ip><count>123</count>
                <policy_evaluated><disposition>pass</disposition><dkim>pass</dkim><spf>fail</spf>
                    <reason><type>other</type><comment lang="en">a list</comment></reason></policy_evaluated></row>
            <identifiers><envelope_from>example.org</envelope_from><header_from>example.org</header_from></identifiers>
            <auth_results>
                <dkim><domain>example.org</domain><result>pass</result><selector>abc</selector></dkim>
                <spf><domain>example.org</domain><result>fail</result></spf>
            </auth_results>
            <x:seen>7</x:seen>
        </record>
    </feedback>"#;
    let Some(said) = complaints(text) else { return };
    assert_eq!(said, "");
    let Ok(policy::report::Report::Aggregate(report)) = policy::report::read(text.as_bytes()) else {
        panic!("it is not read");
    };
    assert_eq!((report.domain.as_str(), report.rows.len(), report.rows[0].count), ("example.org", 1, 123));
    assert_eq!((report.rows[0].disposition.as_str(), report.rows[0].reason.as_str()), ("pass", "other"));
}
