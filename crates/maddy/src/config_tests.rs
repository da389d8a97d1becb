//! The example file against the code, and the smallest file.

use super::{Config, options};
use config::{Default, Tree};
use net::config::CertificateFiles;

const EXAMPLE: &str = include_str!("../../../maddy.conf.example");

fn read(text: &str) -> Result<Config, String> {
    Config::from_tree(&Tree::from_text("t", text, &|_| None), CertificateFiles::Unread)
        .map_err(|problems| problems.0.iter().map(|problem| format!("{problem}\n")).collect())
}

#[test]
fn three_lines_are_enough() {
    let config = read("hostname mx.example.org\ndomains example.org\ntls { self-signed; }").unwrap();
    assert_eq!(config.hostname.to_string(), "mx.example.org");
    assert_eq!(config.socket().display().to_string(), "/var/lib/maddy/control.sock");
    assert_eq!(config.subaddress, Some('+'));
    let listening = crate::listeners::wanted(&config);
    let shown: Vec<String> =
        listening.iter().map(|one| format!("{} {} {:?}", one.door.name(), one.address, one.tls)).collect();
    assert_eq!(
        shown,
        [
            "smtp [::]:25 OnRequest",
            "submission [::]:587 OnRequest",
            "submission [::]:465 AtOnce",
            "imap [::]:143 OnRequest",
            "imap [::]:993 AtOnce",
        ]
    );
}

#[test]
fn three_lines_make_a_relay_for_one_machine() {
    let text = include_str!("../../../dist/examples/notifications.conf");
    let dir = tempfile::tempdir().unwrap();
    let password = dir.path().join("password");
    std::fs::write(&password, "secret\n").unwrap();
    let text = text.replace("/etc/maddy/password", &password.display().to_string());
    let lines = text.lines().filter(|line| !line.starts_with("//") && !line.is_empty());
    assert!(lines.count() <= 3);
    let config = read(&text).unwrap();
    let listening = crate::listeners::wanted(&config);
    let shown: Vec<String> =
        listening.iter().map(|one| format!("{} {}", one.door.name(), one.address)).collect();
    assert_eq!(shown, ["smtp 127.0.0.1:25", "smtp [::1]:25"]);
    let smarthost = config.delivery.smarthost.clone().unwrap();
    assert!(smarthost.security.is_verified() && smarthost.login.is_some());
    assert_eq!(config.domains, std::slice::from_ref(&config.hostname));
    let show =
        |list: &[smtp_door::Pattern]| list.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ");
    assert_eq!(show(&config.smtp.relay_senders), "@web1.example.org");
    assert_eq!(show(&config.sendmail.recipients), "ops@example.org");
    assert_eq!(config.smtp.relay_from.len(), 2);
    assert_eq!(config.sendmail_socket().display().to_string(), "/run/maddy/sendmail.sock");
    // What is said beside it holds.
    let more =
        read(&format!("{text}\nimap {{ listen \"127.0.0.1:143\" }}\nsmtp {{ listen \"127.0.0.1:2525\" }}"))
            .unwrap();
    let listening = crate::listeners::wanted(&more);
    let shown: Vec<String> =
        listening.iter().map(|one| format!("{} {}", one.door.name(), one.address)).collect();
    assert_eq!(shown, ["smtp 127.0.0.1:2525", "imap 127.0.0.1:143"]);
    for (spoil, want) in [
        (text.replace(" to=\"ops@example.org\"", ""), "needs an address in `to`"),
        (text.replace(":465\"", ":25\" tls=\"none\""), "must be verified TLS"),
        (text.replace("to=", "too="), "too"),
    ] {
        let problems = read(&spoil).unwrap_err();
        assert!(problems.contains(want), "{problems}");
    }
}

#[test]
fn what_is_missing_is_named() {
    assert_eq!(
        read("").unwrap_err(),
        "t:1:1: `hostname` is missing (it is domain name: The name of this server, to which its address in the DNS leads back.)\n\
         t:1:1: `domains` is missing (name the domains whose mail ends here: domains \"example.org\" \"example.net\")\n\
         t:1:1: tls has no certificate (write `acme` to get certificates by themselves, `certificate \"chain.pem\" key=\"key.pem\"` for your own, or `self-signed` for a start)\n"
    );
}

#[test]
fn what_does_not_fit_together_is_named() {
    let base = "hostname mx.example.org\ndomains example.org\ntls { self-signed; }\n";
    for (text, want) in [
        ("domains EXAMPLE.org", "t:4:9: the domain example.org is given twice (remove one)\n"),
        (
            "subaddress ab",
            "t:4:12: `subaddress` must be one character, or \"\" for none, not \"ab\" (use one of + - _ = . # ! ~)\n",
        ),
        (
            "postmaster alice",
            "t:4:12: `postmaster` must be an address, not \"alice\" (the address has no @)\n",
        ),
        (
            "aliases {\n  a@example.org b@example.org\n  b@example.org a@example.org\n}",
            "t:5:3: the alias a@example.org leads back to itself: a@example.org -> b@example.org -> a@example.org\n\
             t:6:3: the alias b@example.org leads back to itself: b@example.org -> a@example.org -> b@example.org\n",
        ),
        (
            "smtp { listen \"127.0.0.1:2500\"; }\nimap { listen \"127.0.0.1:2500\"; }",
            "t:5:1: 127.0.0.1:2500 is given to smtp and to imap (each address can be listened on once)\n",
        ),
        ("smpt { listen 5; }", "t:4:1: unknown option `smpt` (did you mean `smtp`?)\n"),
    ] {
        assert_eq!(read(&format!("{base}{text}")).unwrap_err(), want, "{text}");
    }
    assert!(
        read(&format!("{base}smtp {{ listen \"127.0.0.1:0\"; }}\nimap {{ listen \"127.0.0.1:0\"; }}"))
            .is_ok()
    );
}

#[test]
fn the_example_shows_the_true_defaults() {
    // Which paths are named is no setting.
    let read = |text: &str| Config { paths: Vec::new(), ..read(text).unwrap() };
    let as_it_is = read(EXAMPLE);
    let switched_on = read(&EXAMPLE.replace("/-", ""));
    assert_eq!(format!("{as_it_is:#?}"), format!("{switched_on:#?}"));
    let smallest = "hostname \"mx.example.org\"\ndomains \"example.org\" \"example.net\"\n\
         tls { certificate \"/etc/maddy/tls/fullchain.pem\" key=\"/etc/maddy/tls/privkey.pem\"; }";
    assert_eq!(format!("{as_it_is:#?}"), format!("{:#?}", read(smallest)));
}

/// Every option that the code reads is in the example: with its default, or behind `//` where it has none.
#[test]
fn the_example_shows_every_option() {
    let shown = paths(EXAMPLE);
    let missing: Vec<String> = options()
        .iter()
        .filter(|option| option.default != Default::Section && !option.path.contains('<'))
        .map(|option| option.path.clone())
        .filter(|path| !shown.contains(path) && !["tls.self-signed"].contains(&path.as_str()))
        .collect();
    assert!(missing.is_empty(), "not in maddy.conf.example: {}", missing.join(", "));
}

/// The names in a text with everything in it switched on, examples in comments included.
fn paths(text: &str) -> Vec<String> {
    let mut paths = Vec::new();
    let mut open: Vec<String> = Vec::new();
    for line in text.lines() {
        let line = line.trim().trim_start_matches("// ").trim_start_matches("/-").trim();
        let mut words = line.split_whitespace();
        let Some(name) = words.next() else { continue };
        if name == "}" {
            open.pop();
            continue;
        }
        let place = |name: &str| open.iter().map(String::as_str).chain([name]).collect::<Vec<_>>().join(".");
        paths.push(place(name));
        let inside = [&open[..], &[name.to_owned()]].concat().join(".");
        paths.extend(words.filter_map(|word| word.split_once('=')).map(|(key, _)| format!("{inside}.{key}")));
        if line.ends_with('{') {
            open.push(name.to_owned());
        }
    }
    paths
}
