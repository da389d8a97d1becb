//! mbox: messages one after the other in one file (RFC 4155). What programs write differs in how a line of a message is
//! kept from being taken for the beginning of the next: `mboxrd` and `mboxo` put a `>` in front of it, `mboxcl` and
//! `mboxcl2` say how long the message is.

mod envelope;
mod file;
mod lines;
mod own_fields;
mod read;
mod write;

pub use read::Mbox;
pub use write::{MboxFile, MboxWriter};

use std::str::FromStr;

/// How the lines of messages are told from the beginnings of messages.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Quoting {
    /// As `mboxrd`; lengths are believed where they fit.
    #[default]
    Auto,
    /// Before `From `, with any number of `>` in front, stands one more `>`.
    Rd,
    /// Before `From ` stands a `>`; what had one already looks the same.
    O,
    /// As `Rd`, and Content-Length says how long a message is.
    Cl,
    /// Nothing is quoted, and Content-Length says how long a message is.
    Cl2,
}

impl Quoting {
    pub const NAMES: [(&'static str, Self); 5] = [
        ("auto", Self::Auto),
        ("mboxrd", Self::Rd),
        ("mboxo", Self::O),
        ("mboxcl", Self::Cl),
        ("mboxcl2", Self::Cl2),
    ];

    /// Whether lengths are believed whatever they lead over.
    fn trusts_lengths(self) -> bool {
        matches!(self, Self::Cl | Self::Cl2)
    }
}

impl FromStr for Quoting {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let found = Self::NAMES.iter().find(|(name, _)| name.eq_ignore_ascii_case(text));
        found.map(|(_, quoting)| *quoting).ok_or_else(|| {
            let names = Self::NAMES.map(|(name, _)| name).join(", ");
            format!("there are {names}")
        })
    }
}

/// Takes the quotation off the lines of a message.
fn unquote(octets: &[u8], quoting: Quoting) -> Vec<u8> {
    let mut made = Vec::with_capacity(octets.len());
    for line in octets.split_inclusive(|octet| *octet == b'\n') {
        let marks = line.iter().take_while(|octet| **octet == b'>').count();
        let is_quoted = match quoting {
            Quoting::Cl2 => false,
            Quoting::O => marks == 1,
            Quoting::Auto | Quoting::Rd | Quoting::Cl => marks > 0,
        };
        let skip = usize::from(is_quoted && line[marks..].starts_with(b"From "));
        made.extend_from_slice(&line[skip..]);
    }
    made
}

/// Puts a `>` before lines that would begin a message, and before those that have one already.
fn quote(octets: &[u8]) -> Vec<u8> {
    let mut made = Vec::with_capacity(octets.len() + 16);
    for line in octets.split_inclusive(|octet| *octet == b'\n') {
        let marks = line.iter().take_while(|octet| **octet == b'>').count();
        if line[marks..].starts_with(b"From ") {
            made.push(b'>');
        }
        made.extend_from_slice(line);
    }
    made
}

#[cfg(test)]
mod tests;
