//! The small internet: a daemon that sends one mail to each of many servers on loopback, with a signed DNS and policies on
//! the web; what becomes of each stands in `small_internet.table`.

use rustls::crypto::aws_lc_rs::cipher_suite::TLS13_AES_128_GCM_SHA256;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::net::Ipv4Addr;
use std::path::Path;
use tests::{
    Chat, Daemon, Page, Remote, Setup, SignedZones, Signing, Smtp, Web, eventually, free_port, is_like,
    message,
};

const TABLE: &str = include_str!("small_internet.table");
/// The first of the addresses 127.0.1.x on which the mail servers are.
const FIRST: u8 = 1;
const WEB: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 2);
const SENDER: &str = "alice@example.org";

/// A line of the table.
#[derive(Clone, Copy, Debug)]
struct Row<'a> {
    name: &'a str,
    zone: &'a str,
    tlsa: &'a str,
    cert: &'a str,
    sts: &'a str,
    wish: &'a str,
    behaviour: &'a str,
    outcome: &'a str,
}

impl Row<'_> {
    fn domain(&self) -> String {
        format!("{}.{}", self.name, self.zone)
    }

    fn host(&self) -> String {
        format!("mx.{}", self.domain())
    }

    fn recipient(&self) -> String {
        format!("carl@{}", self.domain())
    }
}

fn rows() -> Vec<Row<'static>> {
    let lines = TABLE.lines().filter(|line| !line.starts_with('#') && !line.trim().is_empty());
    lines
        .map(|line| {
            let (given, outcome) = line.split_once('|').unwrap_or_else(|| panic!("no outcome: {line}"));
            let words: Vec<&str> = given.split_ascii_whitespace().collect();
            let [name, zone, tlsa, cert, sts, wish, behaviour] = words[..] else { panic!("{line}") };
            Row { name, zone, tlsa, cert, sts, wish, behaviour, outcome: outcome.trim() }
        })
        .collect()
}

/// Certificates: of the authority that the daemon trusts, and of one that nobody knows.
struct Papers {
    good: net::DemoCa,
    other: net::DemoCa,
    foreign: net::DemoCa,
}

impl Papers {
    fn make(dir: &Path, rows: &[Row<'_>]) -> Self {
        let clock = world::SystemClock;
        let mut names: Vec<String> = rows.iter().map(Row::host).collect();
        let policies = rows.iter().filter(|row| row.sts != "untrusted");
        names.extend(policies.map(|row| format!("mta-sts.{}", row.domain())));
        let trusted = dir.join("trusted");
        let good = net::demo_ca(&trusted, &names, &clock).unwrap();
        let foreign = net::demo_ca(&dir.join("foreign"), &names, &clock).unwrap();
        // The same authority, and a certificate for another name.
        let elsewhere = dir.join("elsewhere");
        std::fs::create_dir(&elsewhere).unwrap();
        for file in ["ca.pem", "ca.key"] {
            std::fs::copy(trusted.join(file), elsewhere.join(file)).unwrap();
        }
        let other = net::demo_ca(&elsewhere, &["elsewhere.test".to_owned()], &clock).unwrap();
        for one in [&good, &other, &foreign] {
            // With DANE-TA the authority must be shown (RFC 7671 §5.2).
            let both = [&one.leaf.chain, &one.ca].map(|file| std::fs::read_to_string(file).unwrap()).concat();
            std::fs::write(&one.leaf.chain, both).unwrap();
        }
        Self { good, other, foreign }
    }

    fn of(&self, word: &str) -> &net::DemoCa {
        match word {
            "foreign" => &self.foreign,
            "other" => &self.other,
            _ => &self.good,
        }
    }

    /// The data of a TLSA record.
    fn tlsa(&self, row: &Row<'_>) -> Option<String> {
        let papers = self.of(row.cert);
        match row.tlsa {
            "-" => None,
            "end" => Some(format!("3 0 1 {}", digest(&papers.leaf.chain))),
            "anchor" => Some(format!("2 0 1 {}", digest(&papers.ca))),
            "wrong" => Some(format!("3 1 1 {}", "0f".repeat(32))),
            "unusable" => Some(format!("0 0 1 {}", digest(&papers.leaf.chain))),
            other => panic!("tlsa {other}"),
        }
    }
}

/// SHA-256 of the first certificate of a file.
fn digest(file: &Path) -> String {
    let certificate = CertificateDer::from_pem_file(file).unwrap();
    let suite = TLS13_AES_128_GCM_SHA256.tls13().unwrap();
    let hash = suite.common.hash_provider.hash(certificate.as_ref());
    hash.as_ref().iter().map(|octet| format!("{octet:02x}")).collect()
}

fn zones(rows: &[Row<'_>], papers: &Papers, port: u16) -> SignedZones {
    let mut records: BTreeMap<&str, String> = BTreeMap::new();
    for (n, row) in rows.iter().enumerate() {
        let text = records.entry(row.zone).or_default();
        let (domain, host) = (row.domain(), row.host());
        let _ = writeln!(text, "{domain}. IN MX 10 {host}.");
        let _ = writeln!(text, "{host}. IN A {}", address(n));
        if let Some(tlsa) = papers.tlsa(row) {
            let _ = writeln!(text, "_{port}._tcp.{host}. IN TLSA {tlsa}");
        }
        if row.sts != "-" {
            let _ = writeln!(text, "_mta-sts.{domain}. IN TXT \"v=STSv1; id=1;\"");
            let _ = writeln!(text, "mta-sts.{domain}. IN A {WEB}");
        }
    }
    let zone = |name: &str| records.get(name).cloned().unwrap_or_default();
    SignedZones::serve(&[
        ("signed.", Signing::Good, zone("signed")),
        ("open.", Signing::None, zone("open")),
        ("bogus.", Signing::WrongKeys, zone("bogus")),
    ])
}

fn address(n: usize) -> Ipv4Addr {
    Ipv4Addr::new(127, 0, 1, FIRST + u8::try_from(n).unwrap())
}

fn publish(web: &Web, row: &Row<'_>) {
    let (mode, host) = match row.sts {
        "-" => return,
        "testing" => ("testing", row.host()),
        "none" => ("none", row.host()),
        "testing-elsewhere" => ("testing", "mx.elsewhere.test".to_owned()),
        "enforce-elsewhere" => ("enforce", "mx.elsewhere.test".to_owned()),
        _ => ("enforce", row.host()),
    };
    let policy = format!("version: STSv1\r\nmode: {mode}\r\nmx: {host}\r\nmax_age: 86400\r\n");
    let page = match row.sts {
        "html" => Page::of("200 OK", "text/html", &policy),
        "redirect" => {
            let mut page = Page::of("302 Found", "text/plain", &policy);
            page.fields.push(format!("Location: https://mta-sts.{}/other.txt", row.domain()));
            web.page(&format!("mta-sts.{}/other.txt", row.domain()), Page::text(&policy));
            page
        }
        _ => Page::text(&policy),
    };
    web.page(&format!("mta-sts.{}/.well-known/mta-sts.txt", row.domain()), page);
}

fn behave(remote: &Remote, row: &Row<'_>) {
    match row.behaviour {
        "-" => {}
        "promises" => remote.offer(&["PIPELINING", "8BITMIME", "SIZE 104857600", "REQUIRETLS"]),
        // Whatever follows is not TLS.
        "breaks-tls" => remote.rule("STARTTLS", "220 2.0.0 go on\r\n500 but this is no TLS"),
        "refuses-tls" => remote.rule("STARTTLS", "454 4.7.0 not now"),
        other => panic!("behaviour {other}"),
    }
}

struct Internet {
    maddy: Daemon,
    remotes: Vec<Remote>,
    web: Web,
}

fn build(rows: &[Row<'_>]) -> Internet {
    let mut setup = Setup::new();
    setup.account(SENDER);
    setup.replace_option("delivery", r#"retry first="1h" max="1h" give-up="1d" delay-notice="0s""#);
    let papers = Papers::make(setup.dir(), rows);
    setup.signed_zones(zones(rows, &papers, setup.ports().remote));
    let web_port = free_port();
    let web = Web::start(WEB, web_port, &papers.good.leaf);
    setup.option("delivery", &format!("ca-file {:?}", papers.good.ca));
    setup.option(
        "delivery",
        &format!(
            "tls {{ policy-port {web_port}; private-networks \"127.0.0.0/8\"; destination \"*.partner.open\"; \
             destination \"strict.open\" minimum=\"encrypted\"; }}"
        ),
    );
    let mut remotes = Vec::new();
    for (n, row) in rows.iter().enumerate() {
        let remote = setup.remote_at(address(n));
        if row.cert != "-" {
            remote.offer_tls(&papers.of(row.cert).leaf);
        }
        behave(&remote, row);
        publish(&web, row);
        remotes.push(remote);
    }
    Internet { maddy: setup.start(), remotes, web }
}

fn send(maddy: &Daemon, row: &Row<'_>) {
    let to = row.recipient();
    let mut text = message(SENDER, &to, row.name, "text");
    let mut alice = Smtp::begin(Chat::connect(maddy.ports().submission)).start_tls(&maddy.setup.ca());
    alice.log_in(SENDER, tests::PASSWORD);
    let mut from = format!("MAIL FROM:<{SENDER}>");
    match row.wish {
        "-" => {}
        "required" => from.push_str(" REQUIRETLS"),
        "no" => text = format!("TLS-Required: No\r\n{text}"),
        other => panic!("wish {other}"),
    }
    alice.command(&from, "250*");
    alice.command(&format!("RCPT TO:<{to}>"), "250*");
    alice.data(&text, "250 2.0.0 * accepted");
}

/// What the log says of a recipient, once something has become of the mail.
fn outcome(maddy: &Daemon, row: &Row<'_>) -> String {
    let recipient = format!("recipient={} ", row.recipient());
    eventually(&format!("an outcome of {}", row.name), || {
        let log = maddy.log();
        let line = log.lines().find(|line| {
            line.contains(&recipient) && ["sent", "deferred", "failed"].iter().any(|word| says(line, word))
        })?;
        Some(line.to_owned())
    })
}

/// Whether a line of the log is about this.
fn says(line: &str, word: &str) -> bool {
    line.contains(&format!(" {word} mail=")) || line.ends_with(word) || line.contains(&format!(": {word} "))
}

/// What is wrong with an outcome; `None`: nothing.
fn fault(internet: &Internet, row: &Row<'_>, remote: &Remote) -> Option<String> {
    let line = outcome(&internet.maddy, row);
    let (word, rest) = row.outcome.split_once(' ').unwrap_or((row.outcome, ""));
    let mails = remote.mails();
    let is_good = match word {
        "sent" => {
            let (level, why) = rest.split_once(' ').unwrap_or((rest, ""));
            let is_clear = level == "none";
            let wanted = if is_clear { format!("*none {why}*") } else { format!("*{level} TLSv1.? {why}*") };
            says(&line, "sent")
                && is_like(&line, &wanted.replace('?', "3"))
                && mails.len() == 1
                && mails[0].tls != is_clear
        }
        word => says(&line, word) && is_like(&line, rest) && mails.is_empty(),
    };
    (!is_good).then(|| format!("{}: wanted {}, got {} mails and: {line}", row.name, row.outcome, mails.len()))
}

#[test]
fn what_becomes_of_a_mail_to_each() {
    let rows = rows();
    let internet = build(&rows);
    for row in &rows {
        send(&internet.maddy, row);
    }
    let faults: Vec<String> = rows
        .iter()
        .zip(&internet.remotes)
        .filter_map(|(row, remote)| fault(&internet, row, remote))
        .collect();
    assert!(faults.is_empty(), "{} of {}:\n{}", faults.len(), rows.len(), faults.join("\n"));
    // No redirect was followed, and every policy was fetched once.
    let asked = internet.web.asked();
    assert!(!asked.iter().any(|place| place.ends_with("other.txt")), "{asked:?}");
    let wanted = rows.iter().filter(|row| !matches!(row.sts, "-" | "untrusted") && row.wish != "no").count();
    assert_eq!(asked.len(), wanted, "{asked:?}");
    // REQUIRETLS goes on with the mail (RFC 8689 §4.2.1).
    let passed_on = rows.iter().zip(&internet.remotes).filter(|(row, _)| row.wish == "required");
    for (row, remote) in passed_on {
        assert!(remote.mails().iter().all(|mail| mail.from.contains(" REQUIRETLS")), "{}", row.name);
    }
}

/// A policy that was fetched holds after a restart, although neither its record nor the web server is there any more.
#[test]
fn a_policy_outlives_its_record_and_a_restart() {
    let rows = [Row {
        name: "kept",
        zone: "open",
        tlsa: "-",
        cert: "good",
        sts: "enforce",
        wish: "-",
        behaviour: "-",
        outcome: "sent verified mta-sts",
    }];
    let mut internet = build(&rows);
    send(&internet.maddy, &rows[0]);
    assert_eq!(fault(&internet, &rows[0], &internet.remotes[0]), None);
    internet.maddy.stop();
    // Nobody knows of a policy any more, and the host has another certificate.
    let without = Row { sts: "-", ..rows[0] };
    let papers = Papers::make(&internet.maddy.setup.dir().join("tls"), &rows);
    internet.remotes[0].offer_tls(&papers.foreign.leaf);
    let port = internet.maddy.ports().remote;
    internet.maddy.setup.signed_zones(zones(&[without], &papers, port));
    internet.maddy.write_config();
    internet.maddy.start();
    send(&internet.maddy, &rows[0]);
    internet.maddy.wait_log("*deferred*the signature on its certificate is wrong*");
    assert_eq!(internet.remotes[0].mails().len(), 1);
    assert_eq!(internet.web.asked().len(), 1);
}

/// A resolver that drops signatures makes everything look forged: mail flows all the same, without DANE.
#[test]
fn a_resolver_without_signatures_stops_no_mail() {
    let mut setup = Setup::new();
    setup.account(SENDER);
    setup.replace_option("dns", "dnssec \"wanted\"");
    setup.zone("remote.test MX 10 mx.remote.test");
    let remote = setup.remote("mx.remote.test", 2);
    remote.offer_tls(&setup.certificate());
    let maddy = setup.start();
    let text = message(SENDER, "carl@remote.test", "Hello", "text");
    maddy.submit(SENDER).deliver(SENDER, &["carl@remote.test"], &text);
    assert!(remote.wait_mails(1)[0].tls);
    maddy.wait_log("*sent*recipient=carl@remote.test*encrypted TLSv1.3 opportunistic*");
}

/// `maddy check dane` says the same by hand.
#[test]
fn a_host_can_be_looked_at_by_hand() {
    let wanted = ["dane-good", "dane-wrong", "dane-unusable", "dane-bogus", "well"];
    let rows: Vec<Row<'_>> = rows().into_iter().filter(|row| wanted.contains(&row.name)).collect();
    let internet = build(&rows);
    let port = internet.maddy.ports().remote.to_string();
    for row in &rows {
        let host = row.host();
        let output = internet.maddy.cli(&["check", "dane", &host, "--port", &port]);
        let want = match row.name {
            "dane-good" => "pass\n*record 3 0 1 *: dane TLSv1.3 dane\n*",
            "dane-wrong" => {
                "fail\n*: TLS with mx.dane-wrong.signed failed: its certificate is none of those*"
            }
            "dane-unusable" => "permerror\n*(does not count)\n*: encrypted TLSv1.3 dane-unusable\n*",
            "dane-bogus" => "temperror\n*cannot be found out*",
            _ => "none\n*has no TLSA records*: verified TLSv1.3 opportunistic\n*",
        };
        assert!(is_like(&output.stdout, want), "{host}: {output:?}");
    }
    assert!(internet.remotes.iter().all(|remote| remote.mails().is_empty()));
}
