//! `maddy check spf` says the same as the tables of the checks, over the wire: each zone is served by a name server and each
//! question asked at the command line.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::{Command, Output};
use tests::{NameServer, assert_like};

/// What one table has served so far, and asks.
struct Table<'a> {
    names: &'a NameServer,
    config: &'a Path,
    zone: String,
    records: BTreeMap<String, String>,
    asked: usize,
}

fn spf(names: &NameServer, config: Option<&Path>, arguments: &[&str]) -> Output {
    let at = names.at().to_string();
    let mut command = Command::new(tests::binary());
    command.args(["check", "spf", "--resolver", &at]).args(arguments).env_clear();
    if let Some(config) = config {
        command.arg("--config").arg(config);
    }
    command.output().unwrap()
}

fn text(output: &Output) -> String {
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout.clone()).unwrap()
}

impl Table<'_> {
    fn serve(&self) {
        let mut zone = self.zone.clone();
        for (name, record) in &self.records {
            zone.push_str(&format!("{name} TXT \"{record}\"\n"));
        }
        self.names.set(&zone);
    }

    fn ask(&mut self, line: &str) {
        let (question, want) = line.split_once("->").unwrap();
        let words: Vec<&str> = question.split_whitespace().collect();
        let from = format!("--from={}", if words[1] == "-" { "" } else { words[1] });
        let helo = format!("--helo={}", words.get(2).copied().unwrap_or("helo.example.net"));
        let said = text(&spf(self.names, Some(self.config), &["--ip", words[0], &from, &helo]));
        let (result, explanation) = want.trim().split_once(' ').unwrap_or((want.trim(), ""));
        assert_eq!(said.lines().next(), Some(result), "{line}\n{said}");
        // The time of the tables stands still; here it does not.
        if !explanation.is_empty() && !explanation.contains("1767225600") {
            let explains = format!("the domain explains: {}", explanation.trim_matches('"'));
            assert!(said.lines().any(|one| one == explains), "{line}\n{said}");
        }
        self.asked += 1;
    }

    fn run(&mut self, table: &str) {
        let mut in_zone = false;
        let mut is_served = false;
        for line in table.lines().map(str::trim) {
            match line.split_whitespace().next() {
                Some("end") if in_zone => in_zone = false,
                _ if in_zone => self.zone.push_str(&format!("{line}\n")),
                Some("zone") => (in_zone, is_served) = (true, false),
                Some("record") => {
                    let (name, record) = line["record".len()..].trim_start().split_once(' ').unwrap();
                    self.records.insert(name.to_owned(), record.to_owned());
                    is_served = false;
                }
                None | Some("#") => {}
                Some(_) => {
                    if !is_served {
                        self.serve();
                        is_served = true;
                    }
                    self.ask(line);
                }
            }
        }
    }
}

#[test]
fn the_tables_come_out_at_the_command_line() {
    let names = NameServer::start();
    let dir = tempfile::tempdir().unwrap();
    let config = dir.path().join("maddy.conf");
    std::fs::write(
        &config,
        "hostname \"mx.receiver.example\"\ndomains \"receiver.example\"\ntls {\n    self-signed\n}\n",
    )
    .unwrap();
    let tables = Path::new(env!("CARGO_MANIFEST_DIR")).join("../crates/policy/testdata/spf");
    let mut asked = 0;
    for file in ["appendix-a", "situations", "macros", "limits", "international"] {
        let records = BTreeMap::new();
        let mut table = Table { names: &names, config: &config, zone: String::new(), records, asked: 0 };
        table.run(&std::fs::read_to_string(tables.join(format!("{file}.txt"))).unwrap());
        asked += table.asked;
    }
    assert!(asked > 150, "only {asked} questions were found");
}

#[test]
fn what_is_no_address_has_an_answer_too() {
    let names = NameServer::start();
    names.set(
        "a.example TXT \"v=spf1 -all exp=why.a.example\"\nwhy.a.example TXT \"%{l} of %{o}\"\nslow.example TIMEOUT\n\
         broken.example SERVFAIL\nodd.example GARBAGE\n",
    );
    let ask = |arguments: &[&str]| text(&spf(&names, None, &[&["--ip", "192.0.2.9"], arguments].concat()));
    for (from, want) in [
        ("@a.example", "fail\n*the domain explains: postmaster of a.example\n*"),
        ("a.example", "fail\n*the domain explains: postmaster of a.example\n*"),
        ("<bob@a.example>", "fail\n*the domain explains: bob of a.example\n*"),
        ("Macro Error@a.example", "fail\n*is no address*the domain explains: Macro Error of a.example\n*"),
        ("\"Macro Error\"@a.example", "fail\n*the domain explains: Macro Error of a.example\n*"),
        ("x@a...example", "none\n*is no address*"),
        ("x@[192.0.2.9]", "none\nnot a domain that could have a record\n"),
        ("x@slow.example", "temperror\n*slow.example TXT*timed out*"),
        ("x@broken.example", "temperror\n*"),
        ("x@odd.example", "temperror\n*"),
    ] {
        assert_like(&ask(&["--from", from]), want);
    }
    assert_like(&ask(&["--from", "", "--helo", "A2345678"]), "none\n*");
    assert_like(&ask(&["--helo", "a.example"]), "fail\n*");
    let json: serde_json::Value =
        serde_json::from_str(&ask(&["--from", "x@a..example", "--json"])).expect("JSON");
    assert_eq!(json["result"], "none");
    // Who types what cannot be asked hears what would be right.
    for (arguments, want) in [
        (&["--ip", "192.0.2.0/24", "--from", "x@a.example"][..], "*'192.0.2.0/24'*--ip*"),
        (&["--ip", "192.0.2.1", "--from", "<>"], "*give --helo*"),
        (&["--ip", "192.0.2.1"], "*--from*"),
    ] {
        let output = spf(&names, None, arguments);
        assert!(!output.status.success() && output.stdout.is_empty());
        assert_like(&String::from_utf8_lossy(&output.stderr), want);
    }
    let output = Command::new(tests::binary())
        .args(["check", "spf", "--ip", "192.0.2.1", "--from", "x@a.example", "--resolver", "dns.example"])
        .output()
        .unwrap();
    assert_like(&String::from_utf8_lossy(&output.stderr), "*with or without a port*");
}
