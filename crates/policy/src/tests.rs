//! Runs the cases in `testdata/checks`: a zone, a client, a message; what becomes of it and what readers are told.
//!
//! ```text
//! zone … end
//! config … end                                   the node `checks`
//! client 192.0.2.1 helo.example a@b.example      `-` is the null path
//! mail … end                                     or `mail FILE` for one in testdata
//! wait 60                                        the clock goes on by so many minutes
//! want … end                                     the verdict, then the field, unfolded, a line for each result
//! ```

mod unanswered;

use crate::{Config, Facts, Judgement, Pipeline, Verdict, authres};
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
    /// Cases that came out otherwise.
    wrong: Vec<String>,
}

fn testdata() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("testdata")
}

fn hostname() -> Domain {
    Domain::parse("mx.receiver.example").unwrap()
}

/// Domains of ours.
fn ours() -> Vec<Domain> {
    vec![Domain::parse("receiver.example").unwrap()]
}

impl Case {
    fn new(name: &str) -> Self {
        let (dns, clock) = (FakeResolver::default(), FakeClock::default());
        let world = World {
            clock: Arc::new(clock.clone()),
            dns: Arc::new(dns.clone()),
            random: Arc::new(FakeRandom::seeded(1)),
            meter: world::Meter::default(),
        };
        Self {
            name: name.to_owned(),
            dns,
            clock,
            pipeline: Pipeline::new(Config::default(), hostname(), world).for_domains(&ours()),
            facts: Facts {
                whose: crate::facts::Whose::Client,
                peer: [192, 0, 2, 1].into(),
                local: Some([192, 0, 2, 25].into()),
                helo: String::new(),
                mail_from: ReversePath::Null,
            },
            mail: String::new(),
            judged: 0,
            wrong: Vec::new(),
        }
    }

    fn config(&mut self, text: &str) {
        let config = config::Tree::from_text("test", text, &|_| None).decode(crate::config::decode);
        let config = config.unwrap_or_else(|problems| panic!("{}: {problems}", self.name));
        self.pipeline = self.pipeline.reconfigured(config, hostname(), &ours());
    }

    fn client(&mut self, words: &[&str]) {
        let mail_from = match words[2] {
            "-" => ReversePath::Null,
            text => ReversePath::Address(Address::parse(text).unwrap()),
        };
        let (peer, helo) = (words[0].parse().unwrap(), words[1].to_owned());
        self.facts = Facts { peer, helo, mail_from, ..self.facts.clone() };
    }

    /// Nothing is remembered of what was asked and put off before.
    fn forget(&mut self) {
        let world = World {
            clock: Arc::new(self.clock.clone()),
            dns: Arc::new(self.dns.clone()),
            random: Arc::new(FakeRandom::seeded(1)),
            meter: world::Meter::default(),
        };
        let config = self.pipeline.config().clone();
        self.pipeline = Pipeline::new(config, hostname(), world).for_domains(&ours());
    }

    async fn judgement(&self) -> Judgement {
        let octets = self.mail.replace('\n', "\r\n").into_bytes();
        let message = Message::new(Blob::from_bytes(octets));
        self.pipeline.judge(&self.facts, &message).await.unwrap()
    }

    async fn judge(&mut self) -> String {
        let Judgement { findings, verdict, disposition } = self.judgement().await;
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
        let field = authres::field(&hostname(), &findings, disposition.as_ref());
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
            ["config"] => case.config(&block()),
            ["zone"] => case.dns.set(&block()).unwrap(),
            ["client", rest @ ..] => case.client(rest),
            ["mail"] => case.mail = block(),
            ["mail", file] => case.mail = std::fs::read_to_string(testdata().join(file)).unwrap(),
            ["wait", minutes] => {
                case.clock.advance(Duration::from_secs(60 * minutes.parse::<u64>().unwrap()))
            }
            ["want"] => {
                let want = block();
                let got = case.judge().await;
                if got != want {
                    case.wrong.push(format!("{}:{}: got\n{got}wanted\n{want}", case.name, at + 1));
                }
            }
            _ => panic!("{}:{}: {line}", case.name, at + 1),
        }
    }
    assert!(case.wrong.is_empty(), "{}", case.wrong.join("\n"));
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

#[rustfmt::skip]
const PIECES: &[&str] = &[
    "From:", " ", "a@b.example", "<", ">", ",", ";", "\"", "(", ")", "\r\n", "\r\n ", "DKIM-Signature:",
    "v=1;", "a=", "rsa-sha256;", "d=b.example;", "s=s;", "h=from;", "bh=AAAA;", "b=AAAA;", "l=5;",
    "Authentication-Results:", "mx.receiver.example", "Received-SPF:", "receiver=", ":", "\\", "\0", "é",
    "=?utf-8?q?x?=", "x", "\r\n\r\n", "v=DMARC1;", "p=reject", "p=", "rua=mailto:x@y", "v=spf1 ", "-all",
    "%{p}", "[192.0.2.1]",
];

/// Whatever stands in a header, in a record or in HELO: there is a verdict, and a field that cannot be left.
#[tokio::test]
async fn no_message_breaks_the_checks() {
    use world::Random;
    let seed = 8601;
    println!("seed {seed}");
    let random = FakeRandom::seeded(seed);
    let dir = tempfile::tempdir().unwrap();
    for _ in 0..500 {
        let text = |most: u64| -> String {
            let count = random.below(most);
            (0..count).map(|_| PIECES[usize::try_from(random.below(PIECES.len() as u64)).unwrap()]).collect()
        };
        let mut case = Case::new("noise");
        let record = || text(8).replace(['"', '\r', '\n', '\\', '\0'], "");
        let zone = format!(
            "b.example TXT \"v=spf1 {}\"\n_dmarc.b.example TXT \"v=DMARC1; {}\"\ns._domainkey.b.example TXT \"p={}\"\n",
            record(),
            record(),
            record()
        );
        case.dns.set(&zone).unwrap();
        case.facts.helo = text(5);
        case.facts.mail_from = ReversePath::Address(Address::parse("a@b.example").unwrap());
        let message = Message::new(Blob::from_bytes(text(40).into_bytes()));
        let judged = case.pipeline.judge(&case.facts, &message).await.unwrap();
        let Judgement { findings, verdict, disposition } = judged;
        for field in [
            Some(authres::field(&hostname(), &findings, disposition.as_ref())),
            authres::reason_field(&verdict),
        ]
        .into_iter()
        .flatten()
        {
            let lines: Vec<&str> = field.split("\r\n").collect();
            assert!(
                lines[1..].iter().all(|line| line.starts_with('\t') && !line.trim().is_empty()),
                "{field:?}"
            );
            assert!(!field.replace("\r\n\t", "").contains(['\r', '\n', '\0']), "{field:?}");
        }
        let clean = authres::without_forged(&message, &[hostname()], dir.path()).unwrap();
        if let Some(clean) = clean {
            assert!(authres::without_forged(&clean, &[hostname()], dir.path()).unwrap().is_none());
        }
    }
}
