//! Certificates come by themselves from an authority that speaks ACME (Pebble), and are used without a restart.

use std::io::Write;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::Path;
use std::process::{Command, Stdio};
use tests::{Accounts, Daemon, Output, Pebble, Setup, eventually};

/// The certificate that is shown under a name, as OpenSSL tells it; `roots` must vouch for it if given.
fn shown(port: u16, name: &str, roots: Option<&Path>) -> String {
    let mut command = Command::new("openssl");
    command.args(["s_client", "-connect", &format!("127.0.0.1:{port}"), "-servername", name]);
    if let Some(roots) = roots {
        command.arg("-verify_return_error").arg("-verify_hostname").arg(name).arg("-CAfile").arg(roots);
    }
    let hello = command.stdin(Stdio::null()).output().unwrap();
    let mut reader = Command::new("openssl")
        .args(["x509", "-noout", "-issuer", "-serial", "-pubkey", "-ext", "subjectAltName"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    if roots.is_some() && !hello.status.success() {
        let _ = reader.kill();
        let _ = reader.wait();
        return String::new();
    }
    reader.stdin.take().unwrap().write_all(&hello.stdout).unwrap();
    Output::of(reader.wait_with_output().unwrap()).stdout
}

/// Waits until the name is shown with a certificate that the authority vouches for.
fn wait_for(daemon: &Daemon, name: &str, root: &Path) -> String {
    eventually(&format!("{name} has a certificate of the authority"), || {
        let text = shown(daemon.ports().imaps, name, Some(root));
        (!text.is_empty()).then_some(text)
    })
}

fn line<'a>(text: &'a str, begin: &str) -> &'a str {
    text.lines().find(|line| line.starts_with(begin)).unwrap_or_else(|| panic!("no {begin} in {text}"))
}

fn key(text: &str) -> &str {
    text.split_once("-----BEGIN PUBLIC KEY-----").unwrap().1.split_once("-----END").unwrap().0
}

/// The root of the authority in a file.
fn root(setup: &Setup, pebble: &Pebble) -> std::path::PathBuf {
    let path = setup.dir().join("root.pem");
    std::fs::write(&path, pebble.root()).unwrap();
    path
}

#[test]
fn by_handshakes_for_several_names_and_renewed_with_the_same_key() {
    let mut setup = Setup::new();
    setup.zone("mx.example.org A 127.0.0.1\nimap.example.org A 127.0.0.1");
    // Any port that begins with TLS answers; authorities of the world look at 443.
    let pebble = Pebble::start(&setup, setup.ports().imaps, tests::free_port(), Accounts::Open);
    let root = root(&setup, &pebble);
    setup.tls(&format!(
        "acme {{\n{}\nnames \"imap.example.org\" \"later.example.org\"\ncontact \"admin@example.org\"\n}}",
        pebble.options()
    ));
    let mut daemon = setup.start();
    daemon.wait_log("*there is no certificate yet: one that signs itself is shown*");
    let first = wait_for(&daemon, "mx.example.org", &root);
    assert!(line(&first, "issuer").contains("Pebble Intermediate"), "{first}");
    let other = wait_for(&daemon, "imap.example.org", &root);
    assert!(other.contains("DNS:imap.example.org"), "{other}");
    assert_ne!(line(&first, "serial"), line(&other, "serial"));
    // Who asks for another name gets the first.
    assert_eq!(shown(daemon.ports().imaps, "who.example.net", None), first);
    // A name that nobody could reach is not asked for.
    daemon.wait_log("*no certificate yet*later.example.org*no address in the DNS*");

    // Another certificate on demand: other number, same key.
    let state = daemon.cli(&["tls", "list", "--json"]).ok();
    assert!(state.contains("\"imap.example.org\"") && state.contains("no address in the DNS"), "{state}");
    daemon.cli(&["tls", "renew", "mx.example.org"]).ok();
    let second = eventually("the certificate is another", || {
        let text = shown(daemon.ports().imaps, "mx.example.org", Some(&root));
        (!text.is_empty() && line(&text, "serial") != line(&first, "serial")).then_some(text)
    });
    assert_eq!(key(&first), key(&second));
    assert!(daemon.cli(&["tls", "renew", "who.example.org"]).fails().contains("who.example.org"));

    // All is there at once after a restart, whether or not the authority is.
    drop(pebble);
    daemon.stop();
    daemon.start();
    assert_eq!(shown(daemon.ports().imaps, "mx.example.org", Some(&root)), second);
    for entry in walk(&daemon.setup.state_dir().join("acme")) {
        assert_eq!(entry.metadata().unwrap().mode() & 0o077, 0, "{}", entry.display());
    }
}

fn walk(dir: &Path) -> Vec<std::path::PathBuf> {
    let mut all = vec![dir.to_owned()];
    for entry in std::fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() { all.extend(walk(&path)) } else { all.push(path) }
    }
    all
}

#[test]
fn by_the_dns_for_a_wildcard_with_a_bound_account() {
    let mut setup = Setup::new();
    let pebble = Pebble::start(&setup, tests::free_port(), tests::free_port(), Accounts::Bound);
    let root = root(&setup, &pebble);
    // The hook asks this test to change the DNS, and waits until it has.
    let (wish, done) = (setup.dir().join("wish"), setup.dir().join("done"));
    let hook = setup.dir().join("hook");
    let text = format!(
        "#!/bin/sh\nrm -f {done:?}\necho \"$1 $2 $3\" > {wish:?}.part\nmv {wish:?}.part {wish:?}\nwhile [ ! -e {done:?} ]; do sleep 0.05; done\n"
    );
    // What a hook writes beside the state must be allowed.
    let place = setup.dir().display().to_string();
    setup.config(&format!("sandbox {{ write {place:?}; }}"));
    let mut options = std::fs::OpenOptions::new();
    options.write(true).create(true).mode(0o755).open(&hook).unwrap().write_all(text.as_bytes()).unwrap();
    setup.tls(&format!(
        "acme {{\n{}\nnames \"*.example.net\"\nhook {hook:?}\nexternal-account \"kid-1\" key=\"{}\"\n}}",
        pebble.options(),
        Pebble::BOUND_KEY
    ));
    let daemon = setup.start();
    for (verb, name) in [
        ("add", "_acme-challenge.mx.example.org"),
        ("remove", "_acme-challenge.mx.example.org"),
        ("add", "_acme-challenge.example.net"),
        ("remove", "_acme-challenge.example.net"),
    ] {
        let wished = eventually(&format!("{verb} {name}"), || {
            let text = std::fs::read_to_string(&wish).ok()?;
            std::fs::remove_file(&wish).ok()?;
            Some(text)
        });
        let words: Vec<&str> = wished.split_whitespace().collect();
        assert_eq!((words[0], words[1]), (verb, name));
        if verb == "add" {
            daemon.setup.zone(&format!("{name} TXT \"{}\"", words[2]));
        }
        std::fs::write(&done, "").unwrap();
    }
    let wild = wait_for(&daemon, "any.example.net", &root);
    assert!(wild.contains("DNS:*.example.net"), "{wild}");
    assert!(!daemon.log().contains(Pebble::BOUND_KEY));
}

#[test]
fn what_an_authority_refuses_is_told_and_mail_goes_on() {
    let mut setup = Setup::new();
    setup.zone("mx.example.org A 127.0.0.1");
    setup.account("alice@example.org");
    // It wants a bound account, and we have none.
    let pebble = Pebble::start(&setup, setup.ports().imaps, tests::free_port(), Accounts::Bound);
    setup.tls(&format!("acme {{\n{}\n}}", pebble.options()));
    let daemon = setup.start();
    daemon.wait_log("*no new certificate*external-account*");
    let own = shown(daemon.ports().imaps, "mx.example.org", None);
    assert!(own.contains("DNS:mx.example.org") && !own.contains("Pebble"), "{own}");
    // With the account it goes, after a reload, with the key that was shown before.
    let text = daemon.setup.config_text().replace(
        &pebble.options(),
        &format!("{}\nexternal-account \"kid-1\" key=\"{}\"", pebble.options(), Pebble::BOUND_KEY),
    );
    std::fs::write(daemon.setup.config_file(), text).unwrap();
    daemon.cli(&["reload"]).ok();
    let root = root(&daemon.setup, &pebble);
    let given = wait_for(&daemon, "mx.example.org", &root);
    assert_eq!(key(&own), key(&given));
}

#[test]
fn the_authority_says_when_it_wants_a_renewal() {
    let mut setup = Setup::new();
    setup.zone("mx.example.org A 127.0.0.1");
    let pebble = Pebble::start(&setup, setup.ports().imaps, tests::free_port(), Accounts::Open);
    // Pebble's directory, behind a web server that adds what newer authorities have.
    let port = tests::free_port();
    let front = tests::Web::start([127, 0, 0, 1].into(), port, &setup.certificate());
    let place = format!("https://localhost:{port}/renewal-info");
    let mut directory: serde_json::Value = serde_json::from_str(&pebble.directory()).unwrap();
    directory["renewalInfo"] = place.clone().into();
    front.page("localhost/dir", tests::Page::of("200 OK", "application/json", &directory.to_string()));
    let root = root(&setup, &pebble);
    setup.tls(&format!("acme {{\ndirectory \"https://localhost:{port}/dir\"\nca-file {:?}\n}}", setup.ca()));
    let daemon = setup.start();
    wait_for(&daemon, "mx.example.org", &root);

    // It was asked about the certificate by its name there, and had nothing to say.
    let asked = eventually("the authority is asked", || {
        front.asked().into_iter().find(|place| place.starts_with("localhost/renewal-info/"))
    });
    let (key, number) = asked.rsplit('/').next().unwrap().split_once('.').unwrap();
    assert!(key.len() >= 20 && number.len() >= 8, "{asked}");
    // From now on it wants it soon; a restart asks anew.
    let begin = "2027-01-02T03:04:05Z";
    let window =
        format!("{{\"suggestedWindow\":{{\"start\":\"{begin}\",\"end\":\"2027-01-02T03:04:06Z\"}}}}");
    front.page(&asked, tests::Page::of("200 OK", "application/json", &window));
    daemon.cli(&["reload"]).ok();
    eventually("the renewal is in the window", || {
        let list: serde_json::Value =
            serde_json::from_str(&daemon.cli(&["tls", "list", "--json"]).ok()).unwrap();
        let next = list[0]["next"].as_i64()?;
        (mail::date::print_iso(next) == begin).then_some(())
    });
}

#[test]
fn a_new_key_is_used_when_the_dns_has_shown_it() {
    let mut setup = Setup::new();
    let zone = "mx.example.org A 127.0.0.1\n";
    setup.zone(zone);
    let pebble = Pebble::start(&setup, setup.ports().imaps, tests::free_port(), Accounts::Open);
    let root = root(&setup, &pebble);
    setup.tls(&format!("acme {{\n{}\nkey-rollover settle=\"1s\"\n}}", pebble.options()));
    let daemon = setup.start();
    let first = wait_for(&daemon, "mx.example.org", &root);
    let pinned = |daemon: &Daemon| -> Vec<String> {
        let zone = daemon.cli(&["dns", "records", "--address", "192.0.2.1"]).ok();
        let lines = zone.lines().filter(|line| line.starts_with("_25._tcp.mx.example.org."));
        lines.map(|line| line.replace(". IN TLSA", " TLSA")).collect()
    };
    let old = pinned(&daemon);
    assert_eq!(old.len(), 1);
    daemon.setup.names().set(&format!("{zone}{}", old[0]));

    // The next key is made, and its record belongs beside that of the old one.
    let said = daemon.cli(&["tls", "rollover", "mx.example.org"]).ok();
    let both = pinned(&daemon);
    assert_eq!((both.len(), &both[0]), (2, &old[0]));
    assert!(said.contains(&both[1].replace(" TLSA", ". IN TLSA")), "{said}");
    // Asked for again it is the same. Another certificate comes with the old key, for nobody knows the new one.
    assert_eq!(daemon.cli(&["tls", "rollover"]).ok(), said);
    daemon.cli(&["tls", "renew"]).ok();
    let second = eventually("the certificate is another", || {
        let text = shown(daemon.ports().imaps, "mx.example.org", Some(&root));
        (!text.is_empty() && line(&text, "serial") != line(&first, "serial")).then_some(text)
    });
    assert_eq!(key(&first), key(&second));

    daemon.setup.names().set(&format!("{zone}{}", both.join("\n")));
    daemon.wait_log("*the next key may be used*");
    let third = eventually("the key is another", || {
        let text = shown(daemon.ports().imaps, "mx.example.org", Some(&root));
        (!text.is_empty() && key(&text) != key(&first)).then_some(text)
    });
    assert!(line(&third, "issuer").contains("Pebble"), "{third}");
    daemon.wait_log("*the new key is in use*");
    eventually("only the new key is pinned", || (pinned(&daemon) == both[1..]).then_some(()));
    assert!(daemon.cli(&["tls", "rollover", "who.example.org"]).fails().contains("who.example.org"));
}

#[test]
fn another_web_server_shows_the_proof() {
    let mut setup = Setup::new();
    setup.zone("mx.example.org A 127.0.0.1");
    let (port, www) = (tests::free_port(), setup.dir().join("www"));
    std::fs::create_dir(&www).unwrap();
    let mut server = Command::new("python3")
        .args(["-m", "http.server", "--bind", "127.0.0.1", "--directory"])
        .arg(&www)
        .arg(port.to_string())
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    eventually("the web server answers", || std::net::TcpStream::connect(("127.0.0.1", port)).ok());
    let pebble = Pebble::start(&setup, tests::free_port(), port, Accounts::Open);
    let root = root(&setup, &pebble);
    setup.tls(&format!("acme {{\n{}\nweb-root {www:?}\n}}", pebble.options()));
    let daemon = setup.start();
    wait_for(&daemon, "mx.example.org", &root);
    let _ = server.kill();
    let _ = server.wait();
    assert_eq!(std::fs::read_dir(www.join(".well-known/acme-challenge")).unwrap().count(), 0);
}
