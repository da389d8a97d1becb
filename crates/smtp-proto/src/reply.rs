//! Reads replies of a server (RFC 5321 §4.2), whatever it writes.

use mail::reply::REPLY_LINES_MAX;
use mail::trace::Charset;
use mail::{Reply, Status};
use std::fmt;
use wire::{Line, take_line};

/// A reply as its reader can take it: only who has said SMTPUTF8 can read other letters than ASCII (RFC 6531 §3.7.4).
pub(crate) fn in_charset(wire: Vec<u8>, charset: Charset) -> Vec<u8> {
    if charset == Charset::Utf8 || wire.is_ascii() {
        return wire;
    }
    String::from_utf8_lossy(&wire).replace(|c: char| !c.is_ascii(), "?").into_bytes()
}

/// Longest line of a reply in octets, CRLF included: 512 of RFC 5321 §4.5.3.1.5, generously.
pub const REPLY_LINE_MAX: usize = 4096;
/// Most lines of one reply that are read at all; those over [`REPLY_LINES_MAX`] are forgotten.
pub const REPLY_LINES_READ_MAX: usize = 1024;

/// How a peer broke the protocol.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Breach {
    /// A line that is no reply, shown as far as it helps.
    NotAReply(String),
    /// A line that does not end within [`REPLY_LINE_MAX`], or a reply with too many lines.
    TooLong,
    /// A reply that answers nothing.
    Unasked,
    /// Octets behind the reply to STARTTLS: somebody has put words into the clear part (RFC 3207 §6).
    TextBeforeTls,
}

impl fmt::Display for Breach {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotAReply(line) => write!(f, "the server sent what is no SMTP reply: {line}"),
            Self::TooLong => f.write_str("the server sent an endless reply"),
            Self::Unasked => f.write_str("the server sent a reply to which there was no command"),
            Self::TextBeforeTls => f.write_str("the server sent text between its consent to TLS and TLS"),
        }
    }
}

/// Puts the lines of a reply together.
///
/// Servers that end lines with LF alone are understood, and so are those that give the lines of one reply different codes,
/// which RFC 5321 §4.2.1 forbids: the last counts. Otherwise they could never be sent anything.
#[derive(Debug, Default)]
pub struct ReplyReader {
    lines: Vec<String>,
    seen: usize,
}

impl ReplyReader {
    /// Takes one reply off the front of `buffer`; `None` if it is not whole yet.
    pub fn take(&mut self, buffer: &mut Vec<u8>) -> Result<Option<Reply>, Breach> {
        loop {
            let (line, used) = match take_line(buffer, REPLY_LINE_MAX) {
                Line::Partial => return Ok(None),
                Line::Whole(line, used) => (line, used),
                Line::Bare(used) => (unended(&buffer[..used]).to_vec(), used),
                Line::TooLong => return Err(Breach::TooLong),
            };
            buffer.drain(..used);
            if let Some(reply) = self.line(&line)? {
                return Ok(Some(reply));
            }
        }
    }

    fn line(&mut self, line: &[u8]) -> Result<Option<Reply>, Breach> {
        let (code, is_last, text) = split(line).ok_or_else(|| Breach::NotAReply(shown(line)))?;
        self.seen += 1;
        if self.seen > REPLY_LINES_READ_MAX {
            return Err(Breach::TooLong);
        }
        if self.lines.len() < REPLY_LINES_MAX {
            self.lines.push(text);
        }
        if !is_last {
            return Ok(None);
        }
        let lines = std::mem::take(&mut self.lines);
        self.seen = 0;
        Ok(Some(Reply { code, status: None, text: lines.join("\n") }))
    }
}

/// A line without its end, be it CRLF or LF.
fn unended(line: &[u8]) -> &[u8] {
    let line = line.strip_suffix(b"\n").unwrap_or(line);
    line.strip_suffix(b"\r").unwrap_or(line)
}

/// Code, whether it is the last line, text; `None` if this is no line of a reply.
fn split(line: &[u8]) -> Option<(u16, bool, String)> {
    let (digits, rest) = line.split_at_checked(3)?;
    let fits = matches!(digits[0], b'2'..=b'5') && digits.iter().all(u8::is_ascii_digit);
    let code = std::str::from_utf8(digits).ok()?.parse().ok().filter(|_| fits)?;
    let (is_last, text) = match rest.split_first() {
        None => (true, rest),
        Some((b' ', text)) => (true, text),
        Some((b'-', text)) => (false, text),
        Some(_) => return None,
    };
    Some((code, is_last, clean(text)))
}

/// As text without control characters, so that it can stand in logs and notices.
fn clean(text: &[u8]) -> String {
    String::from_utf8_lossy(text).chars().map(|c| if c.is_control() { '?' } else { c }).collect()
}

fn shown(line: &[u8]) -> String {
    const SHOWN_MAX: usize = 80;
    clean(line).chars().take(SHOWN_MAX).collect()
}

/// Takes the enhanced status code off the text (RFC 2034 §4). It counts only if its class is that of the code.
pub fn with_status(reply: Reply) -> Reply {
    let head = |line: &str| line.split(' ').next().and_then(Status::parse);
    let Some(status) = head(&reply.text) else { return reply };
    if status.class as u16 != reply.code / 100 {
        return reply;
    }
    let lines: Vec<&str> = reply
        .text
        .split('\n')
        .map(|line| match head(line) {
            Some(_) => line.split_once(' ').map_or("", |(_, rest)| rest),
            None => line,
        })
        .collect();
    Reply { code: reply.code, status: Some(status), text: lines.join("\n") }
}
