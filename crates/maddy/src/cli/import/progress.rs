//! How far long work is: one line that changes, on a terminal only.

use crate::cli::args::Global;
use std::io::{self, IsTerminal, Write};
use std::time::{Duration, Instant};

/// How often the line on a terminal changes, at most.
const REDRAW: Duration = Duration::from_millis(100);
/// Longest line.
const WIDTH: usize = 79;
/// Columns of the bar between its ends.
const BAR: usize = 24;

/// Shows on standard error how far work is.
pub(crate) struct Progress {
    silent: bool,
    /// When the line changed last.
    last: Option<Instant>,
    begun: Instant,
}

impl Progress {
    /// Programs that read JSON are shown nothing, nor is a file.
    pub(crate) fn start(global: &Global) -> Self {
        Self { silent: global.json || !io::stderr().is_terminal(), last: None, begun: Instant::now() }
    }

    /// What is done, where nobody knows how much there is in all.
    pub(crate) fn show(&mut self, words: &str) {
        if self.silent || self.last.is_some_and(|last| last.elapsed() < REDRAW) {
            return;
        }
        self.last = Some(Instant::now());
        let line: String = words.chars().take(WIDTH).collect();
        let mut out = io::stderr().lock();
        // That nobody sees it is no reason to end the work.
        let _ = write!(out, "\r\x1b[K{line}");
        let _ = out.flush();
    }

    /// A bar: so much of so much is done.
    pub(crate) fn bar(&mut self, done: u64, all: u64, words: &str) {
        let line = bar(done, all, self.begun.elapsed());
        self.show(&format!("{line} {words}"));
    }

    /// Takes the line away.
    pub(crate) fn end(self) {
        if self.last.is_some() {
            let _ = write!(io::stderr(), "\r\x1b[K");
        }
    }
}

/// `[######      ]  50 %, 3 s left`
fn bar(done: u64, all: u64, after: Duration) -> String {
    let part = if all == 0 { 1.0 } else { (done as f64 / all as f64).clamp(0.0, 1.0) };
    let full = (part * BAR as f64) as usize;
    let is_under_way = part > 0.0 && part < 1.0;
    let left = (after.as_secs_f64() * (1.0 - part) / part).ceil();
    let left = if is_under_way { format!(", {left} s left") } else { String::new() };
    format!("[{}{}] {:3.0} %{left}", "#".repeat(full), " ".repeat(BAR - full), part * 100.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bars_grow_and_end() {
        let after = Duration::from_secs(3);
        assert_eq!(bar(0, 10, after), format!("[{}]   0 %", " ".repeat(BAR)));
        assert_eq!(bar(5, 10, after), format!("[{}{}]  50 %, 3 s left", "#".repeat(12), " ".repeat(12)));
        for (done, all) in [(10, 10), (12, 10), (0, 0)] {
            assert_eq!(bar(done, all, after), format!("[{}] 100 %", "#".repeat(BAR)), "{done} of {all}");
        }
    }
}
