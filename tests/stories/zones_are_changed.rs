//! Records go into the zones by the name server that holds them (RFC 2136): a real BIND, which takes changes from whoever
//! has its key.

use serde_json::Value;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;
use tests::{Accounts, Bind, Daemon, Output, Pebble, Setup};

/// What somebody has put there before: mail at another host, a text of another purpose, an old key and a wrong service.
const BEFORE: &str = "@ MX 10 old.example.net.\n@ TXT \"site-verification=1\"\n@ CAA 0 issue \"other.example\"\n\
    _submissions._tcp SRV 0 1 99 old.example.net.\nmaddy._domainkey TXT \"v=DKIM1; k=rsa; p=AAAA\"\n\
    keep A 192.0.2.77\nautoconfig A 192.0.2.78";

const PLACE: [&str; 2] = ["--address", "192.0.2.1"];

fn scene(algorithm: &'static str) -> (Daemon, Bind) {
    let mut setup = Setup::named("mx.example.org", &["example.org"]);
    let bind = Bind::start(algorithm, &[("example.org", BEFORE)]);
    setup.option("dns", &bind.option());
    setup.config("web { listen \"127.0.0.1:0\" tls=#true; }");
    (setup.start(), bind)
}

fn plan(maddy: &Daemon, more: &[&str]) -> Value {
    let arguments = [&["--json", "dns", "apply"], &PLACE[..], more].concat();
    serde_json::from_str(&maddy.cli(&arguments).ok()).unwrap()
}

fn action<'a>(plan: &'a Value, name: &str, kind: &str) -> Vec<&'a str> {
    let steps = plan["plan"].as_array().unwrap().iter();
    steps
        .filter(|step| step["name"] == name && step["type"] == kind)
        .map(|step| step["action"].as_str().unwrap())
        .collect()
}

#[test]
fn ours_is_made_and_replaced_and_what_others_made_stays() {
    for algorithm in ["hmac-sha256", "hmac-sha512"] {
        let (maddy, bind) = scene(algorithm);
        // Who only asks changes nothing.
        let first = plan(&maddy, &[]);
        assert_eq!(first["applied"], false);
        for (name, kind, want) in [
            ("mx.example.org", "A", &["add"][..]),
            ("example.org", "MX", &["left"]),
            ("example.org", "TXT", &["add"]),
            ("_dmarc.example.org", "TXT", &["add"]),
            ("maddy._domainkey.example.org", "TXT", &["replace"]),
            ("maddy-ed25519._domainkey.example.org", "TXT", &["add"]),
            ("_submissions._tcp.example.org", "SRV", &["replace"]),
            ("autoconfig.example.org", "CNAME", &["left"]),
            ("mta-sts.example.org", "CNAME", &["add"]),
            ("1.2.0.192.in-addr.arpa", "PTR", &["elsewhere"]),
        ] {
            assert_eq!(action(&first, name, kind), want, "{name} {kind}\n{first:#}");
        }
        assert_eq!(plan(&maddy, &[])["plan"], first["plan"]);
        let refused = maddy.cli(&[&["dns", "apply"], &PLACE[..]].concat()).fails();
        assert!(refused.contains("--yes"), "{refused}");

        let said = maddy.cli(&[&["dns", "apply", "--yes"], &PLACE[..]].concat()).ok();
        assert!(said.contains("+ mx.example.org. A 192.0.2.1\n"), "{said}");
        assert!(said.contains("- maddy._domainkey.example.org. TXT \"v=DKIM1; k=rsa; p=AAAA\"\n"), "{said}");
        assert!(said.contains("--replace") && said.contains("Done: "), "{said}");
        let second = plan(&maddy, &["--yes"]);
        assert_eq!(
            (&second["applied"], action(&second, "example.org", "MX")),
            (&Value::Bool(false), vec!["left"])
        );

        // What people edit is replaced when it is asked for, and never what is none of ours.
        let third = plan(&maddy, &["--yes", "--replace"]);
        assert_eq!(action(&third, "example.org", "MX"), ["replace"]);
        assert_eq!(third["missing"].as_array().unwrap().len(), 0);
        let zone = transfer(&bind);
        for want in [
            "example.org. 3600 IN MX 10 mx.example.org.",
            "site-verification=1",
            "v=spf1 mx -all",
            "keep.example.org. 60 IN A 192.0.2.77",
            "autoconfig.example.org. 60 IN A 192.0.2.78",
            "other.example",
        ] {
            assert!(zone.contains(want), "{want}\n{zone}");
        }
        assert!(!zone.contains("old.example.net") && !zone.contains("p=AAAA"), "{zone}");
    }
}

/// The zone of the domain as BIND knows it.
fn transfer(bind: &Bind) -> String {
    transfer_of(bind, "example.org")
}

fn transfer_of(bind: &Bind, zone: &str) -> String {
    let said = Command::new("dig")
        .args(["@127.0.0.1", "-p", &bind.at().port().to_string(), "-y"])
        .arg(format!("{}:maddy:{}", bind.algorithm(), Bind::SECRET))
        .args(["+noall", "+answer", zone, "AXFR"])
        .output();
    let text = Output::of(said.expect("dig is installed (tests/install)")).ok();
    text.lines().map(|line| line.split_whitespace().collect::<Vec<_>>().join(" ") + "\n").collect()
}

#[test]
fn a_server_that_does_not_know_us_says_so() {
    let (maddy, _bind) = scene("hmac-sha256");
    for (old, new, want) in [
        ("key \"maddy\"", "key \"other\"", "does not know the key"),
        (Bind::SECRET, "AAAAAAAAAAAAAAAAAAAAAAAAAAA=", "secret of the key is another"),
    ] {
        let text = maddy.setup.config_text().replace(old, new);
        std::fs::write(maddy.setup.config_file(), text).unwrap();
        let said = maddy.cli(&[&["dns", "apply", "--yes"], &PLACE[..]].concat()).fails();
        assert!(said.contains(want), "{said}");
        assert!(!said.contains(Bind::SECRET), "{said}");
    }
}

#[test]
fn signing_keys_change_without_anybody() {
    let mut setup = Setup::named("mx.example.org", &["example.org"]);
    let bind = Bind::start("hmac-sha256", &[("example.org", "")]);
    setup.option("dns", &bind.option());
    setup.config("dkim { rotation keep=\"2s\" settle=\"1s\" look=\"1s\"; }");
    setup.ask(bind.at());
    let maddy = setup.start();
    maddy.cli(&[&["dns", "apply", "--yes"], &PLACE[..]].concat()).ok();
    maddy.cli(&["dkim", "rotate"]).ok();
    maddy.wait_log("*the DKIM key signs from now on*");
    maddy.wait_log("*the DKIM key is retired*");
    tests::eventually("the old key is revoked", || {
        transfer(&bind).contains("\"v=DKIM1; k=rsa; p=\"").then_some(())
    });
    let list: Value = serde_json::from_str(&maddy.cli(&["dkim", "list", "--json"]).ok()).unwrap();
    let stages: Vec<&str> =
        list.as_array().unwrap().iter().map(|key| key["stage"].as_str().unwrap()).collect();
    assert_eq!(stages.iter().filter(|stage| **stage == "signing").count(), 2, "{list:#}");
}

/// Another server signs with what stands there, or somebody has changed it: nothing is taken away unasked.
#[test]
fn the_key_of_somebody_else_stays_until_the_administrator_says_otherwise() {
    const FOREIGN: &str = "\"v=DKIM1; k=rsa; p=AAAA\"";
    let scene = || {
        let mut setup = Setup::named("mx.example.org", &["example.org"]);
        let bind = Bind::start("hmac-sha256", &[("example.org", &format!("maddy._domainkey TXT {FOREIGN}"))]);
        setup.option("dns", &bind.option());
        setup.config("dkim { rotation settle=\"1s\" look=\"1s\"; }");
        setup.ask(bind.at());
        let maddy = setup.start();
        maddy.wait_log("*signs no more until the DNS shows its record*");
        maddy.wait_log(
            "*somebody else has put this in the place of the record of a DKIM key*maddy dns apply*",
        );
        assert!(transfer(&bind).contains(FOREIGN), "{}", transfer(&bind));
        (maddy, bind)
    };
    // It is nobody's any more.
    let (maddy, bind) = scene();
    maddy.cli(&[&["dns", "apply", "--yes"], &PLACE[..]].concat()).ok();
    let zone = transfer(&bind);
    assert!(!zone.contains(FOREIGN) && zone.contains("maddy._domainkey.example.org."), "{zone}");
    // It is in use elsewhere.
    let (maddy, bind) = scene();
    maddy.cli(&["dkim", "rotate"]).ok();
    maddy.wait_log("*the DKIM key is retired*");
    let list = maddy.cli(&["dkim", "list"]).ok();
    assert_eq!(list.matches("signing").count(), 2, "{list}");
    assert!(transfer(&bind).contains(FOREIGN), "{}", transfer(&bind));
}

#[test]
fn a_name_is_proven_by_a_record_of_the_zone() {
    let mut setup = Setup::named("mx.example.org", &["example.org"]);
    let bind = Bind::start("hmac-sha256", &[("example.org", "")]);
    let pebble = Pebble::asking(&setup, bind.at(), tests::free_port(), tests::free_port(), Accounts::Open);
    setup.option("dns", &bind.option());
    setup.tls(&format!("acme {{\n{}\nnames \"*.example.org\"\ndns-update\n}}", pebble.options()));
    let maddy = setup.start();
    let root = maddy.setup.dir().join("root.pem");
    std::fs::write(&root, pebble.root()).unwrap();
    for name in ["mx.example.org", "any.example.org"] {
        tests::eventually(name, || is_good(maddy.ports().imaps, name, &root).then_some(()));
    }
    // The proof is gone.
    assert!(!transfer(&bind).contains("_acme-challenge"), "{}", transfer(&bind));
}

/// The zone of the domain takes no changes from us; a CNAME in it leads into one that does.
#[test]
fn a_proof_goes_where_the_zone_leads() {
    let mut setup = Setup::named("mx.example.org", &["example.org"]);
    let ours = Bind::start("hmac-sha256", &[("proofs.example.net", "")]);
    let records = "mx A 127.0.0.1\nother A 127.0.0.1\n_acme-challenge.mx CNAME mx.hop.example.org.\n\
                   mx.hop CNAME mx.proofs.example.net.";
    let all = Bind::in_front_of(&ours, &[("example.org", records)]);
    let pebble = Pebble::asking(&setup, all.at(), tests::free_port(), tests::free_port(), Accounts::Open);
    setup.option("dns", &ours.option_with_file(&setup.dir().join("tsig.key")));
    setup.ask(all.at());
    setup.tls(&format!("acme {{\n{}\nnames \"other.example.org\"\ndns-update\n}}", pebble.options()));
    let maddy = setup.start();
    let root = maddy.setup.dir().join("root.pem");
    std::fs::write(&root, pebble.root()).unwrap();
    tests::eventually("the host", || is_good(maddy.ports().imaps, "mx.example.org", &root).then_some(()));
    let zone = transfer_of(&ours, "proofs.example.net");
    assert!(zone.contains("SOA") && !zone.contains("mx.proofs"), "{zone}");
    // The proof of a name that leads nowhere can be put nowhere; the doctor says what to do.
    maddy.wait_log("*no new certificate*other.example.org*does not hold the zone*");
    // The doctor asks a name server that answers about everything, and it is the DNS that tells of the names that lead on.
    let names = maddy.setup.names();
    names.set("_acme-challenge.mx.example.org CNAME mx.hop.example.org\nmx.hop.example.org CNAME mx.proofs.example.net");
    let at = names.at().to_string();
    let said = maddy.cli(&[&["--json", "doctor", "--resolver", &at], &PLACE[..]].concat()).stdout;
    let list: Value = serde_json::from_str(&said).unwrap();
    let found = |about: &str, state: &str, words: &str| {
        list.as_array().unwrap().iter().any(|one| {
            one["check"] == "acme-dns"
                && one["about"] == format!("_acme-challenge.{about}.example.org")
                && one["state"] == state
                && format!("{} {}", one["what"], one["fix"]).contains(words)
        })
    };
    assert!(found("mx", "good", "it leads to mx.proofs.example.net"), "{list:#}");
    assert!(found("other", "bad", "IN CNAME _acme-challenge.other.example.org.ZONE."), "{list:#}");
    // A file that others may read is used no more.
    let key = maddy.setup.dir().join("tsig.key");
    std::fs::set_permissions(&key, std::fs::Permissions::from_mode(0o644)).unwrap();
    let refused = maddy.cli(&["config", "check"]).fails();
    assert!(refused.contains("tsig.key: others may read or change it: chmod 600"), "{refused}");
}

fn is_good(port: u16, name: &str, root: &Path) -> bool {
    let said = Command::new("openssl")
        .args(["s_client", "-connect", &format!("127.0.0.1:{port}"), "-servername", name])
        .args(["-verify_return_error", "-verify_hostname", name, "-CAfile"])
        .arg(root)
        .stdin(std::process::Stdio::null())
        .output()
        .unwrap();
    said.status.success()
}
