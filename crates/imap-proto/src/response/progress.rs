//! How far a command has come (RFC 9585), and other texts that stand in response codes.

use super::string;
use std::fmt;

/// INPROGRESS (RFC 9585 §4).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Progress {
    pub tag: String,
    /// How many are done, and of how many if that is known; `None`: it is not known at all.
    pub done: Option<(u64, Option<u64>)>,
}

impl fmt::Display for Progress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // A code ends at the first `]`.
        if self.tag.contains(']') {
            f.write_str("(NIL ")?;
        } else {
            let mut quoted = Vec::new();
            string(self.tag.as_bytes(), &mut quoted);
            write!(f, "({} ", String::from_utf8_lossy(&quoted))?;
        }
        match self.done {
            None => f.write_str("NIL NIL)"),
            // The goal is always ahead.
            Some((done, Some(goal))) if done < goal => write!(f, "{done} {goal})"),
            Some((done, _)) => write!(f, "{done} NIL)"),
        }
    }
}

/// Most octets of a URL that are told back.
const URL_TOLD_MAX: usize = 1024;

/// A URL where a code may hold it: escaped what would end the code or the line, and cut off where it is very long.
pub(super) fn url_text(url: &str) -> String {
    let mut out = String::with_capacity(url.len());
    for octet in url.bytes().take(URL_TOLD_MAX) {
        match octet {
            b']' | 0..=b' ' | 0x7f.. => out.push_str(&format!("%{octet:02X}")),
            _ => out.push(char::from(octet)),
        }
    }
    out
}
