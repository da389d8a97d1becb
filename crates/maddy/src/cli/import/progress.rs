//! How far long work is: one line that changes on a terminal, otherwise a line now and then.

use crate::cli::args::Global;
use std::io::{self, IsTerminal, Write};
use std::time::{Duration, Instant};

/// How often the line on a terminal changes, at most.
const REDRAW: Duration = Duration::from_millis(100);
/// How often a line is written where there is no terminal.
const LINE: Duration = Duration::from_secs(10);
/// Longest line.
const WIDTH: usize = 100;

/// Shows on standard error how far work is.
pub(crate) struct Progress {
    terminal: bool,
    silent: bool,
    last: Instant,
    drawn: bool,
}

impl Progress {
    /// Programs that read JSON are shown nothing.
    pub(crate) fn start(global: &Global) -> Self {
        Self { terminal: io::stderr().is_terminal(), silent: global.json, last: Instant::now(), drawn: false }
    }

    pub(crate) fn show(&mut self, line: &str) {
        let pause = if self.terminal { REDRAW } else { LINE };
        if self.silent || self.last.elapsed() < pause {
            return;
        }
        self.last = Instant::now();
        let line: String = line.chars().take(WIDTH).collect();
        let mut out = io::stderr().lock();
        // That nobody sees it is no reason to end the work.
        let _ = if self.terminal { write!(out, "\r\x1b[K{line}") } else { writeln!(out, "{line}") };
        let _ = out.flush();
        self.drawn = self.terminal;
    }

    /// Takes the line away.
    pub(crate) fn end(self) {
        if self.drawn {
            let _ = write!(io::stderr(), "\r\x1b[K");
        }
    }
}
