//! One type for an SMTP reply: what we say, what we are told, what the queue keeps and a DSN quotes.

use crate::status::{Class, Status};
use std::fmt;

/// Most lines that a reply keeps.
pub const REPLY_LINES_MAX: usize = 128;
/// Longest text of one reply line in octets, so that code, status and CRLF fit in 512 (RFC 5321 §4.5.3.1.5).
pub const REPLY_TEXT_MAX: usize = 490;

/// An SMTP reply (RFC 5321 §4.2). `text` may have several lines, separated by `\n`.
#[derive(Clone, PartialEq, Eq)]
pub struct Reply {
    /// 200 to 599.
    pub code: u16,
    /// Left out in greetings, in answers to EHLO and in 3xx replies (RFC 2034 §4).
    pub status: Option<Status>,
    pub text: String,
}

/// What the first digit of a reply says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// 2xx
    Done,
    /// 3xx
    GoOn,
    /// 4xx, and anything that is no reply at all
    Later,
    /// 5xx
    Never,
}

impl Reply {
    /// A reply with an enhanced status code.
    pub fn new(code: u16, status: Status, text: impl Into<String>) -> Self {
        Self { code, status: Some(status), text: text.into() }
    }

    /// A reply without an enhanced status code.
    pub fn bare(code: u16, text: impl Into<String>) -> Self {
        Self { code, status: None, text: text.into() }
    }

    pub fn verdict(&self) -> Verdict {
        match self.code {
            200..=299 => Verdict::Done,
            300..=399 => Verdict::GoOn,
            500..=599 => Verdict::Never,
            _ => Verdict::Later,
        }
    }

    pub fn is_done(&self) -> bool {
        self.verdict() == Verdict::Done
    }

    pub fn is_permanent(&self) -> bool {
        self.verdict() == Verdict::Never
    }

    /// The enhanced status; where the peer sent none, the general one of its class (RFC 3463 §3.1).
    pub fn status_or_general(&self) -> Status {
        self.status.unwrap_or_else(|| {
            let class = match self.verdict() {
                Verdict::Done | Verdict::GoOn => Class::Success,
                Verdict::Later => Class::Transient,
                Verdict::Never => Class::Permanent,
            };
            Status { class, subject: 0, detail: 0 }
        })
    }

    /// The octets for the wire: every line with the code, and with the status if there is one.
    ///
    /// Control characters are replaced by `?` and long lines are cut, so that no text that came from
    /// elsewhere can end a reply early.
    pub fn to_wire(&self) -> Vec<u8> {
        let lines: Vec<&str> = self.text.split('\n').take(REPLY_LINES_MAX).collect();
        let mut out = Vec::with_capacity(self.text.len() + 16 * lines.len());
        for (at, line) in lines.iter().enumerate() {
            let mark = if at + 1 == lines.len() { ' ' } else { '-' };
            out.extend_from_slice(format!("{:03}{mark}", self.code).as_bytes());
            if let Some(status) = self.status {
                out.extend_from_slice(format!("{status} ").as_bytes());
            }
            let clean: String =
                line.trim_end_matches('\r').chars().map(|c| if c.is_control() { '?' } else { c }).collect();
            out.extend_from_slice(&clean.as_bytes()[..floor_char(&clean, REPLY_TEXT_MAX)]);
            out.extend_from_slice(b"\r\n");
        }
        out
    }
}

/// The largest index up to `most` that does not cut a character.
fn floor_char(text: &str, most: usize) -> usize {
    let mut end = most.min(text.len());
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    end
}

/// One line, for logs and notices: `550 5.1.1 text`, line breaks as blanks.
impl fmt::Display for Reply {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:03}", self.code)?;
        if let Some(status) = self.status {
            write!(f, " {status}")?;
        }
        write!(f, " {}", self.text.replace(['\r', '\n'], " "))
    }
}

impl fmt::Debug for Reply {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn to_the_wire() {
        for (reply, want) in [
            (Reply::bare(220, "mx.example.org ESMTP"), "220 mx.example.org ESMTP\r\n"),
            (Reply::new(550, Status::permanent(1, 1), "No such user"), "550 5.1.1 No such user\r\n"),
            (Reply::bare(250, "mx\nSIZE 1\nPIPELINING"), "250-mx\r\n250-SIZE 1\r\n250 PIPELINING\r\n"),
            (Reply::new(421, Status::transient(3, 2), "a\nb"), "421-4.3.2 a\r\n421 4.3.2 b\r\n"),
            (Reply::bare(250, "a\r250 b\u{0}"), "250 a?250 b?\r\n"),
        ] {
            assert_eq!(String::from_utf8(reply.to_wire()).unwrap(), want);
        }
        assert!(Reply::bare(250, "é".repeat(400)).to_wire().len() <= 512);
    }

    #[test]
    fn general_status() {
        assert_eq!(Reply::bare(451, "x").status_or_general().to_string(), "4.0.0");
        assert_eq!(Reply::bare(0, "x").status_or_general().to_string(), "4.0.0");
    }
}
