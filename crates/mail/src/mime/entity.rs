//! A part of a message while it is found: what its header says, and where it lies.

use super::decode::Encoding;
use super::fields::Fields;
use super::parts::{Kind, Part};

/// Longest charset name that is kept, in octets.
const CHARSET_MAX: usize = 40;

/// A part as it is found.
#[derive(Debug)]
pub(super) struct Entity {
    pub(super) parent: Option<usize>,
    pub(super) fields: Fields,
    /// Of a message: the one that is scanned, or one within a part.
    pub(super) envelope: Option<Vec<u8>>,
    pub(super) kind: Kind,
    pub(super) header: (u64, u64),
    pub(super) body: (u64, u64),
    /// Line breaks before the body; then the lines of the body.
    pub(super) lines: u64,
}

impl Entity {
    /// Its row in the table.
    pub(super) fn part(&self) -> Part {
        let charset = self.fields.param("charset").map(String::from_utf8_lossy).unwrap_or_default();
        let charset: String = charset.chars().filter(char::is_ascii_graphic).take(CHARSET_MAX).collect();
        Part {
            parent: self.parent,
            kind: self.kind,
            encoding: Encoding::named(self.fields.encoding.as_deref().unwrap_or("")),
            charset: charset.to_ascii_lowercase(),
            header: self.header.0..self.header.1,
            body: self.body.0..self.body.1,
            lines: self.lines,
        }
    }
}
