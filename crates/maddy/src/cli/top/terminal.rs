//! The terminal while it shows something that changes: as it was again when it is let go.

use rustix::termios::{
    LocalModes, OptionalActions, SpecialCodeIndex, Termios, tcgetattr, tcgetwinsize, tcsetattr,
};
use std::io::{self, Read, Write};
use tokio::sync::mpsc::{self, Receiver};

/// Another screen without a cursor, and back.
const ENTER: &str = "\x1b[?1049h\x1b[?25l";
const LEAVE: &str = "\x1b[?25h\x1b[?1049l";
/// A size to draw for where the terminal tells none.
const SIZE: (usize, usize) = (80, 24);
/// Keys that may wait.
const KEYS_MAX: usize = 16;

/// A terminal on which keys come one by one and nothing is echoed. Dropping it puts everything back.
pub(super) struct Terminal {
    before: Termios,
}

impl Terminal {
    pub(super) fn open() -> io::Result<Self> {
        let before = tcgetattr(io::stdin())?;
        let mut now = before.clone();
        now.local_modes.remove(LocalModes::ICANON | LocalModes::ECHO);
        now.special_codes[SpecialCodeIndex::VMIN] = 1;
        now.special_codes[SpecialCodeIndex::VTIME] = 0;
        // Stopped in the background it would leave the terminal as it is now.
        now.special_codes[SpecialCodeIndex::VSUSP] = 0;
        tcsetattr(io::stdin(), OptionalActions::Now, &now)?;
        let terminal = Self { before };
        write(ENTER)?;
        Ok(terminal)
    }

    /// Columns and rows.
    pub(super) fn size(&self) -> (usize, usize) {
        match tcgetwinsize(io::stdout()) {
            Ok(size) if size.ws_col > 0 && size.ws_row > 0 => (size.ws_col.into(), size.ws_row.into()),
            _ => SIZE,
        }
    }

    /// Shows these lines and nothing else, in one go.
    pub(super) fn draw(&mut self, lines: &[String]) -> io::Result<()> {
        let mut text = String::from("\x1b[H");
        for (at, line) in lines.iter().enumerate() {
            let end = if at + 1 < lines.len() { "\r\n" } else { "" };
            text.push_str(&format!("{line}\x1b[K{end}"));
        }
        text.push_str("\x1b[J");
        write(&text)
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        // If the terminal is gone there is nothing to put back.
        let _ = write(LEAVE);
        let _ = tcsetattr(io::stdin(), OptionalActions::Now, &self.before);
    }
}

fn write(text: &str) -> io::Result<()> {
    let mut out = io::stdout().lock();
    out.write_all(text.as_bytes())?;
    out.flush()
}

/// The keys that are pressed.
pub(super) struct Keys(Receiver<u8>);

impl Keys {
    /// A thread of its own reads them; it ends with the process.
    pub(super) fn read() -> Self {
        let (sender, receiver) = mpsc::channel(KEYS_MAX);
        std::thread::spawn(move || {
            for key in io::stdin().lock().bytes() {
                match key {
                    Ok(key) if sender.blocking_send(key).is_ok() => {}
                    _ => return,
                }
            }
        });
        Self(receiver)
    }

    /// `None` when there will be no more.
    pub(super) async fn next(&mut self) -> Option<u8> {
        self.0.recv().await
    }
}
