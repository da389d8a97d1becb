//! The structure of a message, found once at delivery and stored ready to send: ENVELOPE, BODYSTRUCTURE and
//! a table that says where each part lies.

pub mod decode;
mod entity;
mod envelope;
mod fields;
mod key_fields;
mod overview;
mod parts;
mod print;
mod scan;
mod searchable;

pub use decode::{Encoding, decode};
pub use key_fields::{KEY_FIELDS, KeyFields, TABLE_MAX};
pub use overview::Overview;
pub use parts::{Kind, Part, Parts, Section};
pub use print::body;
pub use scan::Scanner;
pub use searchable::{Extent, SearchText};

use crate::blob::Blob;
use std::io::{self, Read};

/// Deepest nesting of parts that is followed; what is nested deeper is one part of unknown content.
pub const DEPTH_MAX: usize = 64;
/// Most parts that are told apart; the rest of such a message is reachable only as a whole.
pub const PARTS_MAX: usize = 1000;
/// How many octets [`analyse`] reads at a time.
const PIECE: usize = 8 * 1024;

/// What is known of a message from its own octets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Analysis {
    /// Length of the whole in octets.
    pub size: u64,
    /// Length of the header with its blank line.
    pub header_len: u64,
    /// `(…)` as it follows `ENVELOPE ` (RFC 9051 §7.5.2). Strings are quoted, or literals where they hold 8-bit octets.
    pub envelope: Vec<u8>,
    /// `(…)` as it follows `BODYSTRUCTURE ` (RFC 9051 §7.5.2).
    pub bodystructure: Vec<u8>,
    pub parts: Parts,
    /// The header fields that search, sort and lists ask for, as they were written.
    pub key_fields: KeyFields,
}

/// The same as [`analyse`]; what is in memory is not copied.
pub fn analyse_blob(message: &Blob) -> io::Result<Analysis> {
    let Some(octets) = message.as_memory() else { return analyse(&mut message.reader()) };
    let mut scanner = Scanner::new();
    scanner.push(octets);
    Ok(scanner.finish())
}

/// Reads a whole message and finds its structure. Holds one header and the table, never the message.
pub fn analyse(reader: &mut dyn Read) -> io::Result<Analysis> {
    let mut scanner = Scanner::new();
    let mut piece = vec![0; PIECE];
    loop {
        match reader.read(&mut piece) {
            Ok(0) => return Ok(scanner.finish()),
            Ok(got) => scanner.push(&piece[..got]),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}

/// The text of a part, for search: decoded, in Unicode, without markup. The caller bounds `raw`.
pub fn text(part: &Part, raw: &[u8]) -> String {
    decode::text(part.kind, part.encoding, &part.charset, raw)
}

#[cfg(test)]
mod tests;
