//! Questions and answers, as text.

use super::*;
use crate::config::StsMode;

fn site() -> Site {
    let domain = |text: &str| Domain::parse(text).unwrap();
    Site {
        hostname: domain("mx.example.org"),
        domains: vec![domain("example.org"), domain("example.net")],
        imap: vec![
            Service { port: 993, tls: ListenTls::Implicit },
            Service { port: 143, tls: ListenTls::StartTls },
        ],
        submission: vec![Service { port: 465, tls: ListenTls::Implicit }],
        sts: StsOptions { mode: StsMode::Enforce, ..StsOptions::default() },
        challenges: Challenges::default(),
        tls: None,
    }
}

impl Page {
    fn said(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap()
    }
}

fn page(line: &str) -> Page {
    page_with(line, "", Shows::Pages, None)
}

/// `GET https://host/path?query`
fn page_with(line: &str, body: &str, shows: Shows, sni: Option<&str>) -> Page {
    let (method, url) = line.split_once(' ').unwrap();
    let (_, rest) = url.split_once("//").unwrap();
    let (host, target) = rest.split_once('/').unwrap();
    let target = format!("/{target}");
    let (path, query) = target.split_once('?').unwrap_or((&target, ""));
    let ask = Ask { method, host, path, query, body: body.as_bytes(), sni, shows };
    match site().find(&ask) {
        Found::Page(page) => page,
        other => panic!("{other:?}"),
    }
}

#[test]
fn only_what_is_there_is_found_and_only_where_it_is() {
    for (line, want) in [
        ("GET https://mx.example.org/", 200),
        ("HEAD https://mx.example.org/", 200),
        ("POST https://mx.example.org/", 405),
        ("BREW https://mx.example.org/", 405),
        ("GET https://mx.example.org/index.html", 404),
        ("GET https://mx.example.org/../etc/passwd", 404),
        ("GET https://mta-sts.example.org/.well-known/mta-sts.txt", 200),
        ("GET https://mta-sts.example.net/.well-known/mta-sts.txt", 200),
        ("GET https://mta-sts.example.com/.well-known/mta-sts.txt", 404),
        ("GET https://example.org/.well-known/mta-sts.txt", 404),
        ("GET https://autoconfig.example.org/mail/config-v1.1.xml", 200),
        ("GET https://example.org/.well-known/autoconfig/mail/config-v1.1.xml", 200),
        ("GET https://example.org/mail/config-v1.1.xml", 404),
        ("GET https://xexample.org/.well-known/autoconfig/mail/config-v1.1.xml", 404),
        ("GET https://autodiscover.example.org/autodiscover/autodiscover.xml", 405),
        ("GET https://192.0.2.1/", 404),
        ("GET https://mx.example.org/metrics", 404),
        ("GET https://mx.example.org/.well-known/acme-challenge/x", 404),
    ] {
        assert_eq!(page(line).status, want, "{line}");
    }
}

#[test]
fn the_policy_is_as_senders_read_it() {
    let policy = page("GET https://mta-sts.example.org/.well-known/mta-sts.txt");
    assert_eq!(policy.media_type, "text/plain");
    assert_eq!(policy.said(), "version: STSv1\r\nmode: enforce\r\nmx: mx.example.org\r\nmax_age: 604800\r\n");
    let (site, id) = (site(), crate::policy_id);
    let first = id(&site.sts, &site.hostname);
    assert_eq!(first, id(&site.sts, &site.hostname));
    assert!(first.len() <= 32 && first.bytes().all(|octet| octet.is_ascii_alphanumeric()), "{first}");
    let testing = StsOptions { mode: StsMode::Testing, ..site.sts };
    assert_ne!(first, id(&testing, &site.hostname));
}

#[test]
fn thunderbird_is_told_all_servers() {
    let text = page("GET https://autoconfig.example.org/mail/config-v1.1.xml?emailaddress=a%40example.net")
        .said()
        .to_owned();
    for want in [
        "<emailProvider id=\"example.net\">",
        "<hostname>mx.example.org</hostname>",
        "<port>993</port>\n      <socketType>SSL</socketType>",
        "<port>143</port>\n      <socketType>STARTTLS</socketType>",
        "<outgoingServer type=\"smtp\">",
        "<username>%EMAILADDRESS%</username>",
    ] {
        assert!(text.contains(want), "{want}\n{text}");
    }
    for wrong in ["a%40example.com", "x", "%00@example.org"] {
        let line = format!("GET https://autoconfig.example.org/mail/config-v1.1.xml?emailaddress={wrong}");
        assert_eq!(page(&line).status, 404, "{line}");
    }
}

#[test]
fn outlook_is_told_by_its_own_question() {
    let line = "POST https://autodiscover.example.org/Autodiscover/Autodiscover.xml";
    let ask = |address: &str| {
        let body = format!(
            "<?xml version=\"1.0\"?><Autodiscover xmlns=\"u\"><Request><EMailAddress>{address}</EMailAddress></Request></Autodiscover>"
        );
        page_with(line, &body, Shows::Pages, None)
    };
    let answer = ask("a&amp;b@example.org");
    assert_eq!(answer.status, 200);
    assert!(answer.said().contains("<LoginName>a&amp;b@example.org</LoginName>"), "{}", answer.said());
    assert!(
        answer
            .said()
            .to_owned()
            .contains("<Type>SMTP</Type>\n        <Server>mx.example.org</Server>\n        <Port>465</Port>")
    );
    assert_eq!(ask("a@example.com").status, 404);
    assert_eq!(ask("").status, 400);
    assert_eq!(page_with(line, "", Shows::Pages, None).status, 400);
}

#[test]
fn a_profile_has_the_form_of_a_property_list() {
    let answer = page("GET https://mx.example.org/profile.mobileconfig?address=o'x%40example.org");
    assert_eq!((answer.status, answer.file), (200, Some("mail.mobileconfig")));
    let opened = answer.said().matches("<dict>").count();
    assert_eq!((opened, opened), (2, answer.said().matches("</dict>").count()));
    for want in [
        "<key>IncomingMailServerPortNumber</key><integer>993</integer>",
        "<key>OutgoingMailServerUseSSL</key><true/>",
        "<key>EmailAddress</key><string>o&apos;x@example.org</string>",
    ] {
        assert!(answer.said().contains(want), "{want}\n{}", answer.said());
    }
    assert!(!answer.said().contains("o'x"));
    for (line, want) in [
        ("GET https://mx.example.org/profile.mobileconfig", 400),
        ("GET https://mx.example.org/profile.mobileconfig?address=a@example.com", 404),
        ("GET https://example.org/profile.mobileconfig?address=a@example.org", 404),
    ] {
        assert_eq!(page(line).status, want, "{line}");
    }
}

#[test]
fn without_tls_there_are_only_proofs_and_the_way_to_tls() {
    let clear = |line: &str| page_with(line, "", Shows::WayToTls, None);
    let moved = clear("GET http://mta-sts.example.org/.well-known/mta-sts.txt?a=b");
    assert_eq!(moved.status, 308);
    assert_eq!(moved.location.unwrap(), "https://mta-sts.example.org/.well-known/mta-sts.txt?a=b");
    assert_eq!(clear("POST http://autodiscover.example.org/autodiscover/autodiscover.xml").status, 403);
    // Nobody is sent to a host that is not ours.
    assert_eq!(clear("GET http://evil.example.com/").status, 404);
}

#[test]
fn one_name_does_not_speak_for_another() {
    let line = "GET https://mx.example.org/";
    assert_eq!(page_with(line, "", Shows::Pages, Some("MX.example.org")).status, 200);
    assert_eq!(page_with(line, "", Shows::Pages, Some("mta-sts.example.org")).status, 421);
}

#[test]
fn metrics_and_health_are_private_and_nothing_else_is() {
    let site = site();
    let ask = |path| Ask {
        method: "GET",
        host: "localhost",
        path,
        query: "",
        body: b"",
        sni: None,
        shows: Shows::Private,
    };
    assert_eq!(site.find(&ask("/metrics")), Found::Metrics);
    assert_eq!(site.find(&ask("/health")), Found::Health);
    assert_eq!(site.find(&ask("/status")), Found::Status);
    let Found::Page(page) = site.find(&ask("/.well-known/mta-sts.txt")) else { panic!("not a page") };
    assert_eq!(page.status, 404);
}
