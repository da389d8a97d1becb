//! `config check`, `config options`, and command lines that make no sense.

use crate::house::{House, port_base};

#[test]
fn a_good_configuration_is_explained() {
    let house = House::new();
    let out = house.run(&["config", "check"]).ok().replace(&format!("{}/", house.dir().display()), "");
    assert_eq!(
        out,
        "\
maddy.conf is good

  hostname        mx.example.org
  domains         example.org
  smtp            127.0.0.1:0 (STARTTLS)
  submission      127.0.0.1:0 (STARTTLS)
  imap            127.0.0.1:0 (STARTTLS)
  certificate     made by the server itself; clients will warn
  postmaster      the first account
  state           state
  control socket  state/control.sock
  name servers    of /etc/resolv.conf
  checks          none: arriving mail is believed
  signatures      with the keys in state/dkim
  other mail      goes to the mail hosts that the DNS names, port 25
"
    );
}

#[test]
fn every_mistake_is_shown_at_once() {
    let house = House::new();
    house.configure("smtp {\n  max-recipiens 5\n  max-recipients 0\n}\nimap { listen \"143\"; }\n");
    assert_eq!(
        house.run(&["config", "check"]).fails(2),
        "\
maddy: maddy.conf has 3 problems

maddy.conf:7:3: unknown option `max-recipiens` in `smtp`
 7 |   max-recipiens 5
   |   ^^^^^^^^^^^^^
 help: did you mean `max-recipients`?
maddy.conf:8:18: `max-recipients` must be between 1 and 10000, not 0
 8 |   max-recipients 0
   |                  ^
maddy.conf:10:15: `address` must be an IP address and a port, not \"143\"
 10 | imap { listen \"143\"; }
    |               ^^^^^
 help: write an IP address and a port, like \"0.0.0.0:25\", \"127.0.0.1:25\" or \"[::]:25\"
"
    );
    let json = house.run(&["config", "check", "--json"]);
    assert_eq!((json.status, json.err.as_str()), (2, ""));
    let value: serde_json::Value = serde_json::from_str(&json.out).unwrap();
    assert_eq!(value["problems"][1]["line"], 8);
    assert_eq!(value["problems"][0]["help"], "did you mean `max-recipients`?");
}

#[test]
fn what_follows_from_a_mistake_is_no_mistake() {
    let house = House::new();
    house.configure("delivery { smarthost \"mx.example\" { user me; password-file \"none\"; }; }\n");
    let err = house.run(&["config", "check"]).fails(2);
    assert!(err.contains("1 problem\n") && err.contains("`password-file` must be readable"), "{err}");
}

#[test]
fn aliases_take_variables_and_stand_in_several_files() {
    let house = House::new();
    let part = "aliases { \"b@$(z)\" \"a@$(z)\"; \"*@example.net\" \"a@$(z)\"; }";
    std::fs::write(house.path("part.conf"), part).unwrap();
    house.configure("let z \"example.org\"\naliases { \"c@$(z)\" \"b@$(z)\"; }\ninclude \"part.conf\"\n");
    let err = house.run(&["config", "check"]).fails(2);
    let said: Vec<&str> = err.lines().filter(|line| line.contains(":1:")).collect();
    assert_eq!(said.len(), 1, "{err}");
    assert!(said[0].starts_with("part.conf:1:30: "), "the catch-all of a foreign domain: {err}");
    std::fs::write(house.path("part.conf"), part.replace("*@example.net", "d@$(z)")).unwrap();
    house.run(&["config", "check"]).ok();
}

#[test]
fn certificates_that_cannot_be_used_are_mistakes_like_others() {
    let house = House::new();
    // The demo makes good ones.
    let mut demo = house.start(&["demo", "--json", "--port-base", &port_base().to_string()]);
    demo.first_line();
    assert_eq!(demo.stop(), 0);
    std::fs::write(house.path("empty"), "").unwrap();
    let text = std::fs::read_to_string(house.config()).unwrap();
    let tls = "\
tls {
  certificate \"none.pem\" key=\"none.key\"
  certificate \"maddy-demo/tls/ca.pem\" key=\"maddy-demo/tls/ca.pem\"
  certificate \"maddy-demo/tls/ca.pem\" key=\"maddy-demo/tls/localhost.key\"
  certificate \"empty\" key=\"maddy-demo\"
  certificate \"maddy-demo/tls/localhost.pem\" key=\"maddy-demo/tls/localhost.key\"
}
bogus 1";
    std::fs::write(house.config(), text.replace("tls { self-signed; }", tls)).unwrap();
    let err = house.run(&["config", "check"]).fails(2);
    let said: Vec<&str> = err.lines().filter(|line| line.starts_with("maddy.conf:")).collect();
    let word = "the certificate cannot be used";
    let wanted = [
        format!("4:3: {word}: none.pem: the file does not exist; put it there, or name another one"),
        format!("4:3: {word}: none.key: the file does not exist; put it there, or name another one"),
        format!(
            "5:3: {word}: maddy-demo/tls/ca.pem: the file holds no private key; it must be PEM, with -----BEGIN PRIVATE \
             KEY-----, and without a passphrase"
        ),
        format!(
            "6:3: {word}: maddy-demo/tls/localhost.key: the key does not belong to the first certificate in \
             maddy-demo/tls/ca.pem; name the key that it was made with, and put the certificate of this server before \
             those that lead to its root"
        ),
        format!(
            "7:3: {word}: empty: the file holds no certificate; it must be PEM, with -----BEGIN CERTIFICATE-----"
        ),
        format!("7:3: {word}: maddy-demo: this is a directory; name a file in it"),
        "10:1: unknown option `bogus`".to_owned(),
    ];
    assert_eq!(said, wanted.map(|line| format!("maddy.conf:{line}")), "{err}");
    assert_eq!(house.run(&["run"]).status, 2);
    // Whoever shows no certificate does not look at them.
    std::fs::write(house.config(), text.replace("self-signed", "certificate \"none.pem\" key=\"none.key\""))
        .unwrap();
    house.run(&["account", "list", "--json"]).ok();
}

#[test]
fn other_commands_tell_the_mistakes_too() {
    let house = House::new();
    house.configure("nonsense 1");
    for command in [&["run"][..], &["account", "list"], &["reload"]] {
        let err = house.run(command).fails(2);
        assert!(err.starts_with("maddy: maddy.conf:6:1: unknown option `nonsense`\n"), "{err}");
    }
}

#[test]
fn a_missing_file_is_named() {
    let house = House::new();
    let err = house.run(&["-c", "none.conf", "account", "list"]).fails(2);
    assert!(err.starts_with("maddy: none.conf:1:1: the file cannot be read: it does not exist\n"), "{err}");
    let err = house.run(&["-s", "nowhere", "account", "list"]).fails(2);
    assert_eq!(err, "maddy: there is no directory nowhere; --state-dir names one that a server made\n");
}

#[test]
fn options_are_listed_for_the_documentation() {
    let house = House::new();
    let page = house.run(&["config", "options"]).ok();
    for wanted in
        ["| `hostname` | domain name | required |", "\n## `smtp`\n", "| `append-limit` | size", "`\"50MiB\"`"]
    {
        assert!(page.contains(wanted), "{wanted} is not in\n{page}");
    }
    let list: serde_json::Value =
        serde_json::from_str(&house.run(&["config", "options", "--json"]).ok()).unwrap();
    let port = list.as_array().unwrap().iter().find(|option| option["path"] == "delivery.port").unwrap();
    assert_eq!(port["default"], "25");
}

#[test]
fn the_help_is_short() {
    let house = House::new();
    let help = house.run(&["--help"]).ok();
    assert!(help.starts_with("maddy, the all-in-one mail server\n"), "{help}");
    let bare = house.run(&[]);
    assert_eq!((bare.status, bare.err.as_str()), (2, help.as_str()));
    assert!(house.run(&["acount", "list"]).fails(2).contains("'account'"));
    assert!(house.run(&["creds", "create", "--help"]).ok().contains("standard input"));
}
