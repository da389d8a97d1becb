//! Words to whoever started us, who may have stopped to read: no server waits for that.

use std::io::Write;
use std::sync::mpsc;
use std::time::Duration;

/// How long the reader may take.
const PATIENCE: Duration = Duration::from_secs(2);

/// Writes a text and waits until it is taken, but not for ever. The text is written on behind our back as long as the
/// program lives.
pub(crate) fn speak(mut out: impl Write + Send + 'static, text: String) {
    let (done, taken) = mpsc::channel();
    let spoken = std::thread::Builder::new().name("speak".to_owned()).spawn(move || {
        // Whoever started us may be gone; that ends no server.
        let _ = out.write_all(text.as_bytes()).and_then(|()| out.flush());
        let _ = done.send(());
    });
    if spoken.is_ok() {
        let _ = taken.recv_timeout(PATIENCE);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{self, Read};

    #[test]
    fn what_is_read_is_whole_and_what_is_not_holds_nobody_up() {
        let (mut reader, writer) = io::pipe().unwrap();
        speak(writer, "short\n".to_owned());
        let mut text = String::new();
        reader.read_to_string(&mut text).unwrap();
        assert_eq!(text, "short\n");
        // More than any pipe holds, and nobody reads.
        let (_reader, writer) = io::pipe().unwrap();
        speak(writer, "x".repeat(4 * 1024 * 1024));
    }
}
