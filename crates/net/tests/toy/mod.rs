//! A protocol small enough to test connections with: it says back every line, and a few lines mean something.

use std::collections::VecDeque;
use std::time::Duration;
use wire::{Line, Machine, Step, UnderWay, take_line};

/// `ask` asks, `body` hands out octets, `tls` wants TLS, `big N` answers with N octets, `bye` ends.
pub(crate) struct Toy {
    pub(crate) input: Vec<u8>,
    next: VecDeque<Step<String>>,
    pub(crate) patience: Duration,
    /// For a line that has begun.
    pub(crate) line_patience: Duration,
    lines: u64,
}

impl Toy {
    pub(crate) fn new() -> Self {
        let greeting = VecDeque::from([Step::Write(b"hello\r\n".to_vec())]);
        let hour = Duration::from_secs(3600);
        Self { input: Vec::new(), next: greeting, patience: hour, line_patience: hour, lines: 0 }
    }

    pub(crate) fn say(&mut self, text: &str) {
        self.next.push_back(Step::Write(format!("{text}\r\n").into_bytes()));
    }

    pub(crate) fn end(&mut self, text: &str) {
        self.say(text);
        self.next.push_back(Step::Close);
    }

    fn take(&mut self, line: &str) {
        match line.split_once(' ').unwrap_or((line, "")) {
            ("ask", what) => self.next.push_back(Step::Ask(what.to_owned())),
            ("body", _) => self.next.push_back(Step::Body(b"octets".to_vec())),
            ("tls", _) => {
                self.say("go");
                self.next.push_back(Step::StartTls);
            }
            ("big", n) => {
                let mut left: usize = n.parse().unwrap();
                while left > 0 {
                    let piece = left.min(10_000);
                    self.next.push_back(Step::Write(vec![b'x'; piece]));
                    left -= piece;
                }
                self.say("");
            }
            ("panic", _) => panic!("as asked"),
            ("bye", _) => self.end("bye"),
            _ => self.say(line),
        }
    }
}

impl Machine for Toy {
    type Question = String;

    fn feed(&mut self, octets: &[u8]) {
        assert!(octets.len() <= wire::READ_MAX);
        self.input.extend_from_slice(octets);
    }

    fn step(&mut self) -> Step<String> {
        loop {
            if let Some(step) = self.next.pop_front() {
                if matches!(step, Step::Close) {
                    self.next.push_front(Step::Close);
                }
                return step;
            }
            let Line::Whole(line, used) = take_line(&self.input, 100_000) else { return Step::Read };
            self.input.drain(..used);
            self.lines += 1;
            self.take(&String::from_utf8(line).unwrap());
        }
    }

    fn patience(&self) -> Duration {
        self.patience
    }

    fn under_way(&self) -> Option<UnderWay> {
        (!self.input.is_empty()).then_some(UnderWay { number: self.lines, patience: self.line_patience })
    }
}
