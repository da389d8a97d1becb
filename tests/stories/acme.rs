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
