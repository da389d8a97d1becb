//! The reader's side of IMAP, as much of it as is needed to fetch somebody's mail from another server. That server is a
//! stranger: whatever it says, what is held of it is bounded.

mod response;

pub use response::{Fetched, Listed, Response, Status};

use std::collections::VecDeque;
use std::fmt;
use std::time::Duration;
use wire::{Machine, Step};

/// Largest message that is taken, in octets.
pub const MESSAGE_MAX: usize = crate::MESSAGE_MAX as usize;
/// Longest line of a response, and all its lines together without literals, in octets.
const LINES_MAX: usize = 1024 * 1024;
/// Most literals of one response.
const LITERALS_MAX: usize = 16;
/// How long the other server may be silent. Some look through a whole mailbox before they answer.
const PATIENCE: Duration = Duration::from_secs(300);

/// A conversation with another server.
#[derive(Default)]
pub struct ImapClient {
    /// What came and was not yet read.
    input: Vec<u8>,
    /// Of it: octets that are known to belong to the response that is coming in.
    known: usize,
    /// Of those: octets of lines, and the number of literals.
    lines: usize,
    literals: usize,
    output: VecDeque<Vec<u8>>,
    tags: u32,
    broken: bool,
}

/// A password may wait to be said.
impl fmt::Debug for ImapClient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ImapClient({} commands)", self.tags)
    }
}

/// What the other server said.
#[derive(Debug)]
pub enum Heard {
    Response(Response),
    /// It does not keep to the rules, or to our limits; the conversation is over.
    Broken(&'static str),
}

impl ImapClient {
    pub fn new() -> Self {
        Self::default()
    }

    /// Says a command, which must not hold line ends; returns its tag.
    pub fn command(&mut self, text: &str) -> String {
        self.tags += 1;
        let tag = format!("m{}", self.tags);
        self.line(&format!("{tag} {text}"));
        tag
    }

    /// Says a line that is asked for within a command.
    pub fn line(&mut self, text: &str) {
        // Nobody can put a command of his own into ours.
        let text: String = text.chars().filter(|c| !matches!(c, '\r' | '\n' | '\0')).collect();
        self.output.push_back(format!("{text}\r\n").into_bytes());
    }

    /// Whether everything that came was read. Before TLS begins nothing may be left: it could be anybody's.
    pub fn is_all_read(&self) -> bool {
        self.input.is_empty()
    }

    /// Whether a whole response is there: up to where it goes. It ends with the line after its last literal.
    fn whole(&mut self) -> Result<Option<usize>, &'static str> {
        loop {
            let rest = self.input.get(self.known..).unwrap_or_default();
            let Some(end) = rest.iter().position(|octet| *octet == b'\n') else {
                let held = self.lines + rest.len();
                return if held > LINES_MAX { Err("it sends a line without an end") } else { Ok(None) };
            };
            self.lines += end + 1;
            if self.lines > LINES_MAX {
                return Err("it sends a response that is too long");
            }
            let line = &rest[..end];
            let line = line.strip_suffix(b"\r").ok_or("it ends a line with LF alone")?;
            let literal = literal_at_end(line)?;
            self.known += end + 1;
            match literal {
                None => return Ok(Some(self.known)),
                Some(_) if self.literals == LITERALS_MAX => return Err("it sends too many literals"),
                Some(size) if size > MESSAGE_MAX => {
                    return Err("it sends a message that is larger than it said");
                }
                Some(size) => {
                    self.literals += 1;
                    self.known += size;
                }
            }
            if self.known > self.input.len() {
                return Ok(None);
            }
        }
    }

    fn next(&mut self) -> Result<Option<Response>, &'static str> {
        if self.known > self.input.len() {
            return Ok(None);
        }
        let Some(end) = self.whole()? else { return Ok(None) };
        let response = response::parse(&self.input[..end - 2])?;
        self.input.drain(..end);
        if self.input.is_empty() && self.input.capacity() > 2 * LINES_MAX {
            self.input = Vec::new();
        }
        (self.known, self.lines, self.literals) = (0, 0, 0);
        Ok(Some(response))
    }
}

/// The size of the literal that a line announces.
fn literal_at_end(line: &[u8]) -> Result<Option<usize>, &'static str> {
    let Some(inner) = line.strip_suffix(b"}") else { return Ok(None) };
    let Some(open) = inner.iter().rposition(|octet| *octet == b'{') else { return Ok(None) };
    let digits = &inner[open + 1..];
    let digits = digits.strip_suffix(b"+").unwrap_or(digits);
    if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
        return Ok(None);
    }
    let number = std::str::from_utf8(digits).ok().and_then(|digits| digits.parse().ok());
    number.map(Some).ok_or("it announces a literal of no size that there is")
}

impl Machine for ImapClient {
    type Question = Heard;

    fn feed(&mut self, octets: &[u8]) {
        if !self.broken {
            self.input.extend_from_slice(octets);
        }
    }

    fn step(&mut self) -> Step<Heard> {
        if let Some(output) = self.output.pop_front() {
            return Step::Write(output);
        }
        if self.broken {
            return Step::Close;
        }
        match self.next() {
            Ok(Some(response)) => Step::Ask(Heard::Response(response)),
            Ok(None) => Step::Read,
            Err(why) => {
                self.broken = true;
                self.input = Vec::new();
                Step::Ask(Heard::Broken(why))
            }
        }
    }

    fn patience(&self) -> Duration {
        PATIENCE
    }
}

/// A string as a command has it.
pub fn quoted(text: &str) -> String {
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""))
}

#[cfg(test)]
mod tests;
