//! A client that speaks in lines.

use crate::house::PATIENCE;
use std::io::{BufRead, BufReader, Write};
use std::net::TcpStream;

/// A connection that speaks in lines.
pub(crate) struct Line {
    reader: BufReader<TcpStream>,
}

impl Line {
    pub(crate) fn connect(port: u16) -> Self {
        let stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        Self { reader: BufReader::new(stream) }
    }

    pub(crate) fn read(&mut self) -> String {
        let mut line = String::new();
        self.reader.read_line(&mut line).unwrap();
        line
    }

    /// Says a line and reads to the one that begins with these words.
    pub(crate) fn say(&mut self, line: &str, until: &str) -> String {
        self.reader.get_mut().write_all(format!("{line}\r\n").as_bytes()).unwrap();
        self.until(until)
    }

    pub(crate) fn until(&mut self, words: &str) -> String {
        let mut all = String::new();
        loop {
            let line = self.read();
            assert!(!line.is_empty(), "the connection ended after {all}");
            all.push_str(&line);
            if line.starts_with(words) {
                return all;
            }
        }
    }

    /// Logs in to submission with AUTH PLAIN.
    pub(crate) fn log_in(&mut self, user: &str, password: &str) {
        let proof = mail::mime::decode::to_base64(format!("\0{user}\0{password}").as_bytes());
        self.until("220 ");
        self.say("EHLO client.example", "250 ");
        self.say(&format!("AUTH PLAIN {proof}"), "235 ");
    }
}
