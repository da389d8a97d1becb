//! Runs the cases in `testdata/checks`: a zone, a client, a message; what becomes of it and what readers are told.
//!
//! ```text
//! zone … end
//! client 192.0.2.1 helo.example a@b.example      `-` is the null path
//! mail … end                                     or `mail FILE` for one in testdata
//! wait 60                                        the clock goes on by so many minutes
//! want … end                                     the verdict, then the field, unfolded, a line for each result
//! ```

use crate::{Config, Facts, Pipeline, Verdict, authres};
use mail::{Address, Blob, Domain, Message, ReversePath};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use world::World;
use world::fake::{FakeClock, FakeRandom, FakeResolver};

struct Case {
    name: String,
    dns: FakeResolver,
    clock: FakeClock,
    pipeline: Pipeline,
    facts: Facts,
    mail: String,
    judged: usize,
}

fn testdata() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("testdata")
}

fn hostname() -> Domain {
    Domain::parse("mx.receiver.example").unwrap()
}

impl Case {
    fn new(name: &str) -> Self {
        let (dns, clock) = (FakeResolver::default(), FakeClock::default());
        let world = World {
            clock: Arc::new(clock.clone()),
            dns: Arc::new(dns.clone()),
            random: Arc::new(FakeRandom::seeded(1)),
        };
        Self {
            name: name.to_owned(),
            dns,
            clock,
            pipeline: Pipeline::new(Config::default(), hostname(), world),
            facts: Facts { peer: [192, 0, 2, 1].into(), helo: String::new(), mail_from: ReversePath::Null },
            mail: String::new(),
            judged: 0,
        }
    }

    fn client(&mut self, words: &[&str]) {
        let mail_from = match words[2] {
            "-" => ReversePath::Null,
            text => ReversePath::Address(Address::parse(text).unwrap()),
        };
        self.facts = Facts { peer: words[0].parse().unwrap(), helo: words[1].to_owned(), mail_from };
    }

    async fn judge(&mut self) -> String {
        let octets = self.mail.replace('\n', "\r\n").into_bytes();
        let message = Message::new(Blob::from_bytes(octets));
        let (findings, verdict) = self.pipeline.judge(&self.facts, &message).await.unwrap();
        self.judged += 1;
        let verdict_line = match &verdict {
            Verdict::Accept => "accept".to_owned(),
            Verdict::Mark(_) | Verdict::Quarantine(_) => {
                let field = unfolded(&authres::reason_field(&verdict).unwrap());
                let word = if matches!(verdict, Verdict::Mark(_)) { "mark" } else { "quarantine" };
                format!("{word} {field}")
            }
            Verdict::Reject(reply) | Verdict::Defer(reply) => reply.to_string(),
        };
        let field = authres::field(&hostname(), &findings);
        assert!(field.lines().all(|line| line.len() <= 998), "{field}");
        format!("{verdict_line}\n{}\n", unfolded(&field).replace("; ", ";\n"))
    }
}

fn unfolded(field: &str) -> String {
    field.replace("\r\n\t ", " ").replace("\r\n\t", " ")
}

async fn run(path: PathBuf) -> usize {
    let text = std::fs::read_to_string(&path).unwrap();
    let mut case = Case::new(&path.file_name().unwrap().to_string_lossy());
    let mut lines = text.lines().enumerate();
    while let Some((at, line)) = lines.next() {
        let words: Vec<&str> = line.split_whitespace().collect();
        let mut block = || -> String {
            lines
                .by_ref()
                .map(|(_, line)| line)
                .take_while(|line| *line != "end")
                .map(|line| format!("{line}\n"))
                .collect()
        };
        match words.as_slice() {
            [] | ["#", ..] => {}
            ["zone"] => case.dns.set(&block()).unwrap(),
            ["client", rest @ ..] => case.client(rest),
            ["mail"] => case.mail = block(),
            ["mail", file] => case.mail = std::fs::read_to_string(testdata().join(file)).unwrap(),
            ["wait", minutes] => {
                case.clock.advance(Duration::from_secs(60 * minutes.parse::<u64>().unwrap()))
            }
            ["want"] => {
                let want = block();
                assert_eq!(case.judge().await, want, "{}:{}", case.name, at + 1);
            }
            _ => panic!("{}:{}: {line}", case.name, at + 1),
        }
    }
    case.judged
}

#[tokio::test]
async fn every_case_comes_out_as_written() {
    let mut judged = 0;
    for entry in std::fs::read_dir(testdata().join("checks")).unwrap() {
        judged += run(entry.unwrap().path()).await;
    }
    assert!(judged >= 20, "only {judged} cases were found");
}
