//! Runs `testdata/unanswered.txt`: each question of each check fails in every way that there is. The form of the file is
//! written at its top.

use super::{Case, testdata};
use crate::{Verdict, brief};
use world::zone::Failure;

/// A case, and the answers that are there.
struct Table {
    case: Case,
    zone: String,
    /// How often a question had no answer.
    failed: usize,
}

impl Table {
    /// The findings in short, and the verdict, with one more line in the zone.
    async fn judge(&mut self, more: &str) -> (String, Verdict) {
        // Each time a list that was found in order is asked anew.
        self.case.forget();
        self.case.dns.set(&format!("{more}\n{}", self.zone)).unwrap();
        let judgement = self.case.judgement().await;
        (brief(&judgement.findings), judgement.verdict)
    }

    async fn row(&mut self, at: usize, question: &[&str], want: &str) {
        let (found, before) = self.judge("").await;
        let is_there = |found: &str| found.split(' ').any(|word| word == want);
        let [name, kind] = question else {
            assert!(question.is_empty(), "line {at}: {question:?}");
            assert!(is_there(&found), "line {at}: {found}");
            return;
        };
        for (_, failure) in Failure::ALL {
            let (found, verdict) = self.judge(&format!("{name} {kind} {failure}")).await;
            assert!(is_there(&found), "line {at}: {failure}: {found}");
            let is_refused = |verdict: &Verdict| matches!(verdict, Verdict::Reject(_));
            assert!(!is_refused(&verdict) || is_refused(&before), "line {at}: {failure}: {verdict:?}");
            self.failed += 1;
        }
        // It answers again, and all is as it was.
        assert_eq!(self.judge("").await.1.word(), before.word(), "line {at}");
    }
}

#[tokio::test]
async fn what_has_no_answer_is_a_finding_and_refuses_nobody() {
    let text = std::fs::read_to_string(testdata().join("unanswered.txt")).unwrap();
    let mut table = Table { case: Case::new("unanswered"), zone: String::new(), failed: 0 };
    let mut lines = text.lines().enumerate();
    while let Some((at, line)) = lines.next() {
        let words: Vec<&str> = line.split_whitespace().collect();
        let mut block = || -> String {
            let until_end = lines.by_ref().map(|(_, line)| line).take_while(|line| *line != "end");
            until_end.map(|line| format!("{line}\n")).collect()
        };
        match words.as_slice() {
            [] | ["#", ..] => {}
            ["zone"] => table.zone = block(),
            ["zone", file] => table.zone = std::fs::read_to_string(testdata().join(file)).unwrap(),
            ["record", ..] => {
                table.zone.push_str(&format!("{}\n", line.trim_start_matches("record ")));
            }
            ["config", ..] => table.case.config(line.trim_start_matches("config ")),
            ["client", rest @ ..] => table.case.client(rest),
            ["mail"] => table.case.mail = block(),
            ["mail", file] => table.case.mail = std::fs::read_to_string(testdata().join(file)).unwrap(),
            [question @ .., "->", want] => table.row(at + 1, question, want).await,
            _ => panic!("line {}: {line}", at + 1),
        }
    }
    assert!(table.failed >= 100, "only {} failures were tried", table.failed);
}
