//! Reports as large receivers send them, and files that mean harm.

use super::*;
use flate2::Compression;
use flate2::write::{DeflateEncoder, GzEncoder};
use std::io::Write;

const OLD: &str = r#"<?xml version="1.0" encoding="UTF-8" ?>
<feedback>
  <report_metadata>
    <org_name>receiver.example</org_name>
    <email>noreply-dmarc@receiver.example</email>
    <report_id>1234567890</report_id>
    <date_range><begin>1767225600</begin><end>1767311999</end></date_range>
  </report_metadata>
  <policy_published>
    <domain>Example.ORG</domain><adkim>r</adkim><aspf>r</aspf><p>reject</p><sp>none</sp><pct>100</pct>
  </policy_published>
  <record>
    <row>
      <source_ip>192.0.2.1</source_ip><count>3</count>
      <policy_evaluated>
        <disposition>none</disposition><dkim>pass</dkim><spf>fail</spf>
        <reason><type>forwarded</type><comment>a &amp; b</comment></reason>
      </policy_evaluated>
    </row>
    <identifiers><header_from>example.org</header_from></identifiers>
    <auth_results><dkim><domain>example.org</domain><result>pass</result></dkim></auth_results>
  </record>
  <record>
    <row>
      <source_ip>2001:db8::1</source_ip><count>1</count>
      <policy_evaluated><disposition>reject</disposition><dkim>fail</dkim><spf>fail</spf></policy_evaluated>
    </row>
    <identifiers><header_from>example.org</header_from></identifiers>
  </record>
</feedback>
"#;

const NEW: &str = r#"<feedback xmlns="urn:ietf:params:xml:ns:dmarc-2.0">
<version>1.0</version>
<report_metadata><org_name>New &#x26; Co</org_name><email>d@new.example</email><report_id>r2</report_id>
<date_range><begin>1767225600</begin><end>1767311999</end></date_range><generator>x 1</generator></report_metadata>
<policy_published><domain>example.org</domain><discovery_method>treewalk</discovery_method><p>none</p><np>reject</np>
<testing>n</testing></policy_published>
<record><row><source_ip>192.0.2.7</source_ip><count>18446744073709551615</count>
<policy_evaluated><disposition>pass</disposition><dkim>pass</dkim><spf>pass</spf></policy_evaluated></row>
<identifiers><header_from>sub.example.org</header_from><envelope_from/></identifiers>
<auth_results/></record></feedback>"#;

const TLS: &str = r#"{
  "organization-name": "Company-X",
  "date-range": {"start-datetime": "2016-04-01T00:00:00Z", "end-datetime": "2016-04-01T23:59:59Z"},
  "contact-info": "sts-reporting@company-x.example",
  "report-id": "5065427c-23d3-47ca-b6e0-946ea0e8c4be",
  "policies": [{
    "policy": {"policy-type": "sts", "policy-string": ["version: STSv1", "mode: testing"],
               "policy-domain": "Company-Y.example", "mx-host": ["*.mail.company-y.example"]},
    "summary": {"total-successful-session-count": 5326, "total-failure-session-count": 303},
    "failure-details": [
      {"result-type": "certificate-expired", "sending-mta-ip": "2001:db8:abcd:0012::1",
       "receiving-mx-hostname": "mx1.mail.company-y.example", "failed-session-count": 100},
      {"result-type": "starttls-not-supported", "failed-session-count": 203}
    ]
  }]
}"#;

fn gzip(octets: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(octets).unwrap();
    encoder.finish().unwrap()
}

fn deflate(octets: &[u8]) -> Vec<u8> {
    let mut encoder = DeflateEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(octets).unwrap();
    encoder.finish().unwrap()
}

/// A zip archive of one file; sizes stand only in its directory, as programs write that stream.
fn zip(name: &str, data: &[u8], method: u16, flags: u16) -> Vec<u8> {
    let two = |n: usize| u16::try_from(n).unwrap().to_le_bytes();
    let four = |n: usize| u32::try_from(n).unwrap().to_le_bytes();
    let mut file = b"PK\x03\x04\x14\x00".to_vec();
    file.extend([flags.to_le_bytes(), method.to_le_bytes()].concat());
    file.extend([0; 16]);
    file.extend([two(name.len()), two(0)].concat());
    file.extend(name.as_bytes());
    file.extend(data);
    let directory = file.len();
    file.extend(b"PK\x01\x02\x14\x00\x14\x00");
    file.extend([flags.to_le_bytes(), method.to_le_bytes()].concat());
    file.extend([0; 8]);
    file.extend([four(data.len()), four(data.len() * 3)].concat());
    file.extend([two(name.len()), two(0), two(0), two(0), two(0)].concat());
    file.extend([0; 8]);
    file.extend(name.as_bytes());
    let length = file.len() - directory;
    file.extend(b"PK\x05\x06\x00\x00\x00\x00\x01\x00\x01\x00");
    file.extend([four(length), four(directory)].concat());
    file.extend(two(0));
    file
}

fn aggregate(file: &[u8]) -> Aggregate {
    match read(file).unwrap() {
        Report::Aggregate(report) => report,
        Report::Tls(_) => panic!("a TLS report"),
    }
}

#[test]
fn both_forms_are_read_in_any_packing() {
    let plain = aggregate(OLD.as_bytes());
    assert_eq!((plain.organization.as_str(), plain.id.as_str()), ("receiver.example", "1234567890"));
    assert_eq!((plain.begin, plain.end), (1_767_225_600, 1_767_311_999));
    assert_eq!((plain.domain.as_str(), plain.policy.as_str()), ("example.org", "reject"));
    let first = &plain.rows[0];
    assert_eq!(first.source, Some("192.0.2.1".parse().unwrap()));
    assert_eq!(first.count, 3);
    let words = [&first.disposition, &first.dkim, &first.spf, &first.from, &first.reason];
    assert_eq!(words, ["none", "pass", "fail", "example.org", "forwarded"]);
    assert_eq!(plain.rows[1].source, Some("2001:db8::1".parse().unwrap()));
    assert_eq!(plain.rows.len(), 2);
    let gz = gzip(OLD.as_bytes());
    let zipped = zip("r!d!1!2.xml", &deflate(OLD.as_bytes()), 8, 8);
    let stored = zip("r.XML", OLD.as_bytes(), 0, 0);
    let odd = zip("report", &deflate(OLD.as_bytes()), 8, 0);
    let bom = [b"\xef\xbb\xbf", OLD.as_bytes()].concat();
    for file in [gz, zipped, stored, odd, bom] {
        assert_eq!(aggregate(&file), plain);
    }
    let new = aggregate(NEW.as_bytes());
    assert_eq!(new.organization, "New & Co");
    assert_eq!(new.rows[0].from, "sub.example.org");
    assert_eq!(new.rows[0].count, u64::from(u32::MAX));
}

#[test]
fn tls_reports_are_read() {
    for file in [TLS.as_bytes().to_vec(), gzip(TLS.as_bytes())] {
        let Report::Tls(report) = read(&file).unwrap() else { panic!("an aggregate report") };
        assert_eq!(report.organization, "Company-X");
        assert_eq!((report.begin, report.end), (1_459_468_800, 1_459_555_199));
        let policy = &report.policies[0];
        assert_eq!((policy.kind.as_str(), policy.domain.as_str()), ("sts", "company-y.example"));
        assert_eq!((policy.successes, policy.failures), (5326, 303));
        assert_eq!(policy.details[0].host, "mx1.mail.company-y.example");
        assert_eq!(policy.details[1].kind, "starttls-not-supported");
    }
}

#[test]
fn what_means_harm_is_refused() {
    let feedback = |inner: &str| format!("<feedback>{inner}</feedback>");
    let deep = "<a>".repeat(1000);
    let wide = format!("{{\"policies\":[{}{{}}]}}", "{\"policy\":{}},".repeat(101));
    let nested = format!("{{\"policies\":{}", "[".repeat(100_000));
    let laughs = "<!DOCTYPE f [<!ENTITY a \"ha\"><!ENTITY b \"&a;&a;&a;\">]><feedback>&b;</feedback>";
    let outside = "<!DOCTYPE f [<!ENTITY a SYSTEM \"file:///etc/passwd\">]><feedback>&a;</feedback>";
    let zeros = vec![b' '; 34 * 1024 * 1024];
    let cases: Vec<(Vec<u8>, &str)> = vec![
        (laughs.into(), "declares things"),
        (outside.into(), "declares things"),
        (feedback("&a;").into(), "a reference is not known"),
        (feedback("&a").into(), "a reference does not end"),
        (feedback("</b>").into(), "did not begin"),
        (deep.into(), "nested too deeply"),
        ("<feedback>".into(), "ends in the middle"),
        ("<feedback a='>".into(), "ends in the middle"),
        ("< >".into(), "has no name"),
        (feedback("").into(), "has no domain"),
        ("<other/>".into(), "has no feedback"),
        (wide.into(), "more than 100 entries"),
        (nested.into(), "bad"),
        ("{}".into(), "has no range of dates"),
        ("{\"date-range\":1}".into(), "JSON is bad"),
        (b"".to_vec(), "has no report"),
        (b"hello".to_vec(), "has no report"),
        (vec![b'<'; PACKED_MAX + 1], "larger than"),
        (gzip(&zeros), "unpacks to more"),
        (gzip(&gzip(&zeros)), "has no report"),
        (zip("a.xml", &deflate(&zeros), 8, 0), "unpacks to more"),
        (zip("a.xml", b"x", 0, 1), "encrypted"),
        (zip("a.xml", b"x", 99, 0), "unusual"),
        (b"PK\x03\x04".to_vec(), "damaged"),
        (b"\x1f\x8b\x08".to_vec(), "damaged"),
    ];
    for (file, want) in cases {
        let error = read(&file).unwrap_err().to_string();
        assert!(error.contains(want), "{error}, not {want}");
    }
}

#[test]
fn many_rows_are_counted_and_texts_cut() {
    let row = "<record><row><source_ip>192.0.2.1</source_ip><count>1</count></row></record>";
    let many = OLD.replace("</feedback>", &format!("{}</feedback>", row.repeat(ROWS_MAX)));
    let report = aggregate(many.as_bytes());
    assert_eq!((report.rows.len(), report.dropped), (ROWS_MAX, 2));
    let long = OLD.replace("receiver.example</org_name>", &format!("{}</org_name>", "a\u{1}".repeat(1000)));
    let report = aggregate(long.as_bytes());
    assert_eq!(report.organization.chars().count(), TEXT_MAX);
    assert!(!report.organization.contains('\u{1}'));
}

/// Damaged files bring an error or a report, never a panic. The places come from a seed that is always the same.
#[test]
fn damage_anywhere_is_survived() {
    let files = [
        OLD.as_bytes().to_vec(),
        TLS.as_bytes().to_vec(),
        gzip(OLD.as_bytes()),
        zip("a.xml", &deflate(OLD.as_bytes()), 8, 0),
    ];
    let mut state = 7_u64;
    let mut number = |below: usize| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        usize::try_from(state >> 33).unwrap() % below
    };
    for file in &files {
        for cut in (0..file.len()).step_by(7) {
            let _ = read(&file[..cut]);
        }
        for _ in 0..400 {
            let mut damaged = file.clone();
            for _ in 0..=number(4) {
                let at = number(damaged.len());
                damaged[at] = u8::try_from(number(256)).unwrap();
            }
            let _ = read(&damaged);
        }
    }
}

#[test]
fn what_we_write_can_be_read() {
    let seen = Seen {
        source: "192.0.2.1".parse().unwrap(),
        disposition: "quarantine".to_owned(),
        dkim: "fail".to_owned(),
        spf: "fail".to_owned(),
        comment: String::new(),
        reason: "local_policy".to_owned(),
        header_from: "a.example".to_owned(),
        envelope_from: "<&\u{7}\">".to_owned(),
        signatures: vec![("a.example".to_owned(), "s".to_owned(), "fail".to_owned())],
        spf_result: Some(("b.example".to_owned(), "softfail".to_owned())),
    };
    let record = crate::dmarc::Record::parse("v=DMARC1; p=reject; sp=none; adkim=s; t=y").unwrap();
    let text = xml(&Owed {
        organization: "mx.example.org",
        email: "postmaster@example.org",
        id: "1",
        begin: 1_767_225_600,
        end: 1_767_311_999,
        domain: "example",
        policy: &PublishedPolicy::of(&record),
        rows: &[(seen, 5)],
    });
    for part in [
        "<sp>none</sp>",
        "<adkim>s</adkim>",
        "<aspf>r</aspf>",
        "<testing>y</testing>",
        "&lt;&amp; &quot;&gt;",
    ] {
        assert!(text.contains(part), "{part} in {text}");
    }
    let read = aggregate(&gzip(text.as_bytes()));
    assert_eq!((read.organization.as_str(), read.domain.as_str()), ("mx.example.org", "example"));
    assert_eq!((read.rows[0].count, read.rows[0].disposition.as_str()), (5, "quarantine"));
    assert_eq!(read.rows[0].reason, "local_policy");
    assert_eq!(compose::gzip(&text).map(|file| aggregate(&file)).unwrap(), read);
}

#[test]
fn destinations() {
    for (uri, want) in [
        ("mailto:d@a.example", Some(("d@a.example", None))),
        ("MAILTO:d@a.example!10m", Some(("d@a.example", Some(10 << 20)))),
        ("mailto:d@a.example!5", Some(("d@a.example", Some(5)))),
        ("mailto:d@a.example?subject=x", Some(("d@a.example", None))),
        ("mailto:d@a.example!10x", None),
        ("mailto:d%40a.example", None),
        ("mailto:nobody", None),
        ("https://a.example/", None),
        ("", None),
    ] {
        let got = destination(uri).map(|(address, limit)| (address.to_string(), limit));
        assert_eq!(got, want.map(|(address, limit)| (address.to_owned(), limit)), "{uri}");
    }
}

/// What was counted before comments were told is still a report.
#[test]
fn what_was_counted_by_an_older_version_is_read() {
    let old = r#"{"source":"192.0.2.1","disposition":"none","dkim":"fail","spf":"fail","reason":"local_policy",
        "header_from":"a.example","envelope_from":"","signatures":[],"spf_result":null}"#;
    let seen: Seen = compose::from_text(old).expect("it is read");
    assert_eq!((seen.reason.as_str(), seen.comment.as_str()), ("local_policy", ""));
    assert_eq!(compose::from_text(&compose::to_text(&seen)), Some(seen));
}
