//! Runs the tables in `testdata/spf`: zones, questions and wanted results as text.
//!
//! ```text
//! zone                                        lines of a zone until `end`
//! record example.com v=spf1 a -all            sets the one TXT record of a name
//! 192.0.2.1 user@example.com [helo] -> fail "explanation"
//! 192.0.2.1 - helo.example.com -> pass        a null reverse path
//! ```

use super::{Question, check_host};
use mail::{Address, Domain};
use std::collections::BTreeMap;
use world::fake;

struct Table {
    name: String,
    zone: String,
    records: BTreeMap<String, String>,
    asked: usize,
}

impl Table {
    fn world(&self) -> world::World {
        let mut zone = self.zone.clone();
        for (name, record) in &self.records {
            // A TXT string has at most 255 octets; the fake joins what stands in several quotes.
            zone.push_str(&format!("{name} TXT \"{record}\"\n"));
        }
        fake::world_with(1, &zone).unwrap_or_else(|error| panic!("{}: {error}", self.name))
    }

    async fn ask(&mut self, at: usize, line: &str) {
        let (question, want) = line.split_once("->").unwrap_or_else(|| panic!("{}:{at}: {line}", self.name));
        let words: Vec<&str> = question.split_whitespace().collect();
        let ip = words[0].parse().unwrap_or_else(|_| panic!("{}:{at}: not an address", self.name));
        let helo = words.get(2).copied().unwrap_or("helo.example.net");
        let receiver = Domain::parse("mx.receiver.example").unwrap();
        let from = Address::parse(words[1]);
        let question = match (&from, words[1].rsplit_once('@')) {
            (Ok(from), _) => Question::mail_from(ip, from, helo, &receiver),
            (Err(_), Some((local, domain))) => {
                Question { ip, domain, local, helo, receiver: receiver.as_str() }
            }
            _ => Question::helo(ip, helo, &receiver),
        };
        let outcome = check_host(&question, &self.world()).await;
        let got = match &outcome.explanation {
            Some(text) => format!("{} {text:?}", outcome.result),
            None => outcome.result.to_string(),
        };
        assert_eq!(got, want.trim(), "{}:{at}: {line}\n{outcome:#?}", self.name);
        self.asked += 1;
    }
}

async fn run(path: std::path::PathBuf) -> usize {
    let text = std::fs::read_to_string(&path).unwrap();
    let name = path.file_name().unwrap().to_string_lossy().into_owned();
    let mut table = Table { name, zone: String::new(), records: BTreeMap::new(), asked: 0 };
    let mut in_zone = false;
    for (at, line) in text.lines().enumerate() {
        let line = line.trim();
        match line.split_whitespace().next() {
            Some("end") if in_zone => in_zone = false,
            _ if in_zone => table.zone.push_str(&format!("{line}\n")),
            Some("zone") => {
                in_zone = true;
                table.zone.clear();
                table.records.clear();
            }
            Some("record") => {
                let (name, record) = line["record".len()..].trim_start().split_once(' ').unwrap();
                table.records.insert(name.to_owned(), record.to_owned());
            }
            None | Some("#") => {}
            Some(_) => table.ask(at + 1, line).await,
        }
    }
    assert!(!in_zone, "{}: a zone without its end", table.name);
    table.asked
}

#[tokio::test]
async fn every_table_comes_out_as_written() {
    let dir = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("testdata/spf");
    let mut asked = 0;
    for entry in std::fs::read_dir(dir).unwrap() {
        asked += run(entry.unwrap().path()).await;
    }
    assert!(asked > 200, "only {asked} questions were found");
}

#[tokio::test]
async fn the_outcome_says_what_was_asked_and_why() {
    let world = fake::world_with(
        1,
        "a.example TXT \"v=spf1 mx include:b.example -all\"\na.example MX 10 mx.a.example\nmx.a.example A 192.0.2.1\n\
         b.example TXT \"v=spf1 ip4:192.0.2.9 -all\"\n",
    )
    .unwrap();
    let from = Address::parse("x@a.example").unwrap();
    let receiver = Domain::parse("mx.example").unwrap();
    let question = Question::mail_from("192.0.2.7".parse().unwrap(), &from, "helo", &receiver);
    let outcome = check_host(&question, &world).await;
    assert_eq!(outcome.reason, "-all matched in the record of a.example");
    let lookups: Vec<String> = outcome.lookups.iter().map(ToString::to_string).collect();
    assert_eq!(
        lookups,
        [
            "a.example TXT: v=spf1 mx include:b.example -all",
            "a.example MX: 10 mx.a.example",
            "mx.a.example A: 192.0.2.1",
            "b.example TXT: v=spf1 ip4:192.0.2.9 -all",
        ]
    );
}

/// Whatever stands in a record, the evaluation ends with a result, and within its limits.
#[tokio::test]
async fn no_record_breaks_the_evaluation() {
    use world::Random;
    const PIECES: &[&str] = &[
        "a",
        "mx",
        "ptr",
        "all",
        "include:",
        "exists:",
        "redirect=",
        "exp=",
        "ip4:",
        "ip6:",
        "192.0.2.1",
        "::1",
        "/",
        "//",
        "24",
        "-",
        "~",
        "?",
        "+",
        " ",
        " ",
        " ",
        "%{",
        "}",
        "%",
        "d",
        "l1r-",
        "i",
        "p",
        "h",
        ".",
        "a.example",
        "b.example",
        "é",
        "=",
        ":",
        "0",
        "999",
    ];
    let seed = 7208;
    println!("seed {seed}");
    let random = fake::FakeRandom::seeded(seed);
    let receiver = Domain::parse("mx.example").unwrap();
    let from = Address::parse("x+y@a.example").unwrap();
    for _ in 0..3000 {
        let record = || -> String {
            (0..random.below(12))
                .map(|_| PIECES[usize::try_from(random.below(PIECES.len() as u64)).unwrap()])
                .collect()
        };
        let (a, b) = (record(), record());
        let zone = format!(
            "a.example TXT \"v=spf1 {a}\"\nb.example TXT \"v=spf1 {b}\"\nb.example MX 1 a.example\na.example A 192.0.2.1\n"
        );
        let world = fake::world_with(1, &zone).unwrap();
        let question = Question::mail_from("192.0.2.1".parse().unwrap(), &from, "h", &receiver);
        let outcome = check_host(&question, &world).await;
        assert!(outcome.lookups.len() <= 2 + 10 * 12, "{zone}{outcome:#?}");
    }
}
