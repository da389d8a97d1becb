//! Logins of every kind, at both doors, and what becomes of sessions whose login is taken back.

use auth::ScramHash;
use auth::fake::ScramClient;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use tests::{Chat, Daemon, Imap, PASSWORD, Setup, Smtp};

const ALICE: &str = "alice@example.org";

fn start() -> Daemon {
    let mut setup = Setup::new();
    setup.account(ALICE);
    setup.config("logins { exempt \"127.0.0.0/8\"; }");
    setup.option("imap", "failure-delay \"0s\"");
    setup.option("submission", "failure-delay \"0s\"");
    setup.start()
}

fn decoded(line: &str, before: &str) -> String {
    let challenge = line.strip_prefix(before).unwrap_or_else(|| panic!("no challenge: {line}"));
    String::from_utf8(STANDARD.decode(challenge).unwrap()).unwrap()
}

/// AUTHENTICATE of IMAP with SCRAM; the tagged answer.
fn imap_scram(imap: &mut Imap, mechanism: &str, client: &ScramClient) -> String {
    imap.say(&format!("s AUTHENTICATE {mechanism} {}", STANDARD.encode(client.first())));
    let said = imap.hear();
    if said.starts_with("s ") {
        return said;
    }
    let (last, verifier) = client.last(&decoded(&said, "+ "));
    imap.say(&STANDARD.encode(last));
    let end = imap.hear();
    if end.starts_with("s ") {
        return end;
    }
    assert_eq!(decoded(&end, "+ "), verifier, "the server knows the password");
    imap.say("");
    imap.hear()
}

/// AUTH of SMTP with SCRAM; the last reply.
fn smtp_scram(smtp: &mut Smtp, mechanism: &str, client: &ScramClient) -> String {
    smtp.say(&format!("AUTH {mechanism}"));
    assert_eq!(smtp.hear(), "334 ");
    smtp.say(&STANDARD.encode(client.first()));
    let said = smtp.hear();
    if !said.starts_with("334 ") {
        return said;
    }
    let (last, verifier) = client.last(&decoded(&said, "334 "));
    smtp.say(&STANDARD.encode(last));
    let end = smtp.hear();
    if !end.starts_with("334 ") {
        return end;
    }
    assert_eq!(decoded(&end, "334 "), verifier, "the server knows the password");
    smtp.say("");
    smtp.hear()
}

fn scram(password: &str, header: &str, binding: &[u8]) -> ScramClient {
    ScramClient::new(ScramHash::Sha256, ALICE, password, header, binding)
}

#[test]
fn scram_is_bound_to_tls() {
    let daemon = start();
    let ca = daemon.setup.ca();
    let tls = |port| Chat::connect_tls(port, &ca);
    let mut imap = Imap::begin(tls(daemon.ports().imaps));
    let offers = imap.ok("CAPABILITY").join(" ");
    assert!(offers.contains(" AUTH=SCRAM-SHA-256-PLUS AUTH=SCRAM-SHA-256 "), "{offers}");
    let exporter = imap.exporter();
    const PLUS: &str = "SCRAM-SHA-256-PLUS";
    // Somebody in between has another connection, another password, or hides what we can do.
    for (mechanism, client) in [
        (PLUS, scram(PASSWORD, "p=tls-exporter,,", &[7; 32])),
        (PLUS, scram("wrong", "p=tls-exporter,,", &exporter)),
        ("SCRAM-SHA-256", scram(PASSWORD, "y,,", b"")),
    ] {
        let refused = imap_scram(&mut imap, mechanism, &client);
        assert!(refused.starts_with("s NO [AUTHENTICATIONFAILED]"), "{refused}");
    }
    let done = imap_scram(&mut imap, PLUS, &scram(PASSWORD, "p=tls-exporter,,", &exporter));
    assert!(done.starts_with("s OK"), "{done}");
    imap.ok("SELECT INBOX");

    let mut smtp = Smtp::begin(tls(daemon.ports().submissions));
    assert!(smtp.offers.iter().any(|line| line.starts_with("AUTH SCRAM-SHA-256-PLUS ")), "{:?}", smtp.offers);
    let client = scram(PASSWORD, "p=tls-exporter,,", &smtp.exporter());
    assert_eq!(smtp_scram(&mut smtp, PLUS, &client), "235 2.7.0 Welcome");
    // In clear there is nothing to bind to, and after STARTTLS there is.
    let smtp = Smtp::begin(Chat::connect(daemon.ports().submission));
    assert!(smtp.offers.iter().any(|line| line.starts_with("AUTH SCRAM-SHA-256 ")), "{:?}", smtp.offers);
    let mut smtp = smtp.start_tls(&ca);
    let client = scram(PASSWORD, "p=tls-exporter,,", &smtp.exporter());
    assert_eq!(smtp_scram(&mut smtp, PLUS, &client), "235 2.7.0 Welcome");
}

#[test]
fn a_new_password_ends_the_sessions_of_the_old_one() {
    let daemon = start();
    let mut idle = daemon.imap(ALICE);
    idle.ok("SELECT INBOX");
    idle.idle();
    let mut quiet = daemon.imap(ALICE);
    let mut sender = Smtp::begin(Chat::connect(daemon.ports().submission));
    sender.log_in(ALICE, PASSWORD);
    let mut stranger = Imap::begin(Chat::connect(daemon.ports().imap));
    daemon.cli_with(&["creds", "password", ALICE], "another one\n").ok();
    for session in [&mut idle, &mut quiet] {
        session.wait_for("* BYE The login was taken back*");
    }
    assert_eq!(sender.reply(), "421 4.7.0 The login was taken back; log in again");
    stranger.no(&format!("LOGIN {ALICE} \"{PASSWORD}\""));
    let done = imap_scram(&mut stranger, "SCRAM-SHA-256", &scram("another one", "n,,", b""));
    assert!(done.starts_with("s OK"), "{done}");
}

#[test]
fn an_app_password_is_good_for_what_it_was_made_for() {
    let daemon = start();
    let make = |arguments: &[&str]| {
        let mut all = vec!["--json", "creds", "app-password", "create", ALICE];
        all.extend(arguments);
        let made: serde_json::Value = serde_json::from_str(&daemon.cli(&all).ok()).unwrap();
        made["password"].as_str().unwrap().to_owned()
    };
    let phone = make(&["phone"]);
    let reader = make(&["archive reader", "--for", "read-only", "--expires", "90d"]);
    let printer = make(&["printer", "--for", "submission"]);
    daemon.cli(&["creds", "app-password", "create", ALICE, "phone"]).fails();
    daemon.cli(&["creds", "app-password", "create", "nobody@example.org", "phone"]).fails();
    daemon
        .cli(&["creds", "app-password", "create", ALICE, "x", "--for", "imap", "--for", "read-only"])
        .fails();

    // By PLAIN, however it is typed, and by SCRAM as it was shown.
    let mut imap = Imap::begin(Chat::connect(daemon.ports().imap));
    imap.log_in(ALICE, &phone.replace('-', " ").to_uppercase());
    imap.ok("CREATE Mine");
    let mut smtp = Smtp::begin(Chat::connect(daemon.ports().submission));
    assert_eq!(smtp_scram(&mut smtp, "SCRAM-SHA-256", &scram(&phone, "n,,", b"")), "235 2.7.0 Welcome");
    let mut other = Imap::begin(Chat::connect(daemon.ports().imap));
    let done = imap_scram(&mut other, "SCRAM-SHA-256", &scram(PASSWORD, "n,,", b""));
    assert!(done.starts_with("s OK"), "the password is as good as before: {done}");

    // Who may only read.
    let mut archive = Imap::begin(Chat::connect(daemon.ports().imap));
    archive.log_in(ALICE, &reader);
    assert!(archive.run("SELECT INBOX").pop().unwrap().starts_with("OK [READ-ONLY]"));
    for command in
        ["CREATE x", "DELETE Mine", "STORE 1 +FLAGS (\\Seen)", "SUBSCRIBE x", "EXPUNGE", "COPY 1:* Mine"]
    {
        assert!(archive.no(command).starts_with("NO"), "{command}");
    }
    assert!(archive.try_append("INBOX", "Subject: x\r\n\r\nx").unwrap().starts_with("NO [NOPERM]"));
    archive.ok("FETCH 1:* BODY[]");
    archive.ok("CLOSE");
    // What is not covered is not covered, though the password is right.
    let mut refused = Imap::begin(Chat::connect(daemon.ports().imap));
    let said = refused.no(&format!("LOGIN {ALICE} {printer}"));
    assert!(said.starts_with("NO [AUTHORIZATIONFAILED]"), "{said}");
    let mut sender = Smtp::begin(Chat::connect(daemon.ports().submission));
    let login = |password: &str| format!("AUTH PLAIN {}", STANDARD.encode(format!("\0{ALICE}\0{password}")));
    sender.command(&login(&reader), "535 5.7.8 This login is not for this service");
    sender.command(&login(&printer), "235*");

    let list = daemon.cli(&["creds", "app-password", "list", ALICE]).ok();
    assert!(list.contains("archive reader") && list.contains("imap, submission"), "{list}");
    assert!(!list.contains(&phone));
    // One command takes back one of them, and nothing else.
    daemon.cli(&["creds", "app-password", "revoke", ALICE, "phone"]).ok();
    imap.wait_for("* BYE The login was taken back*");
    assert!(smtp.reply().starts_with("421 4.7.0 The login was taken back"));
    refused.no(&format!("LOGIN {ALICE} {phone}"));
    archive.ok("NOOP");
    other.ok("NOOP");
    daemon.cli(&["creds", "app-password", "revoke", ALICE, "phone"]).fails();
}
