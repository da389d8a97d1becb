//! The header of a message as raw octets: fields, their text, and blocks with some of them left out.
//!
//! Tolerant by design: 8-bit octets, bare LF, a line without a colon or a header without its blank line are
//! all read. What cannot be understood is kept as it is (RFC 7103).

use crate::blob::Blob;
use crate::words;
use memchr::{memchr, memchr2};
use std::io::{self, Read};

/// Longest header in octets that is looked at. What lies beyond is delivered, but no field in it is found.
pub const HEADER_MAX: usize = 256 * 1024;
/// How many octets [`read`] takes from its reader at a time.
const PIECE: usize = 8 * 1024;

/// One field of a header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Field<'a> {
    /// What stands before the colon, without blanks. Empty for a line that has no colon.
    pub name: &'a [u8],
    /// All that follows the colon, line breaks of folding included, without the last one.
    pub value: &'a [u8],
    /// Where the field begins in the header.
    pub start: usize,
    /// Where the next field begins.
    pub end: usize,
}

impl Field<'_> {
    /// Whether this field has that name; letter case does not count (RFC 5322 §1.2.2).
    pub fn is(&self, name: &str) -> bool {
        self.name.eq_ignore_ascii_case(name.as_bytes())
    }

    /// The value on one line, without blanks at its ends (RFC 5322 §2.2.3).
    pub fn unfolded(&self) -> Vec<u8> {
        unfold(self.value)
    }

    /// The value as a person reads it: on one line, encoded words decoded (RFC 2047).
    pub fn text(&self) -> String {
        words::decode(&self.unfolded())
    }
}

/// Takes the line breaks out of a value, and the blanks at its ends.
pub fn unfold(value: &[u8]) -> Vec<u8> {
    if memchr2(b'\r', b'\n', value).is_none() {
        return value.trim_ascii().to_vec();
    }
    let line: Vec<u8> = value.iter().copied().filter(|b| !matches!(b, b'\r' | b'\n')).collect();
    line.trim_ascii().to_vec()
}

/// The fields of a header, from the first to the blank line or the end.
pub fn fields(header: &[u8]) -> Fields<'_> {
    Fields { header, at: 0 }
}

/// See [`fields`].
#[derive(Clone, Debug)]
pub struct Fields<'a> {
    header: &'a [u8],
    at: usize,
}

impl<'a> Iterator for Fields<'a> {
    type Item = Field<'a>;

    fn next(&mut self) -> Option<Field<'a>> {
        let start = self.at;
        let first = line_end(self.header, start)?;
        if is_blank(&self.header[start..first]) {
            return None;
        }
        let mut end = first;
        while let Some(next) = line_end(self.header, end) {
            let folded = matches!(self.header[end], b' ' | b'\t') && !is_blank(&self.header[end..next]);
            if !folded {
                break;
            }
            end = next;
        }
        self.at = end;
        let (name, value) = split(strip_break(&self.header[start..end]));
        Some(Field { name, value, start, end })
    }
}

/// Splits a field at its colon. Blanks before the colon are obsolete syntax and dropped (RFC 5322 §4.5).
fn split(field: &[u8]) -> (&[u8], &[u8]) {
    match field.iter().position(|b| matches!(b, b':' | b'\n')) {
        Some(at) if field[at] == b':' => (field[..at].trim_ascii_end(), &field[at + 1..]),
        _ => (&[], field),
    }
}

/// Where the line that begins at `start` ends, its line break included; `None` at the end of the octets.
fn line_end(octets: &[u8], start: usize) -> Option<usize> {
    if start >= octets.len() {
        return None;
    }
    Some(memchr(b'\n', &octets[start..]).map_or(octets.len(), |at| start + at + 1))
}

fn is_blank(line: &[u8]) -> bool {
    matches!(line, b"\r\n" | b"\n")
}

fn strip_break(line: &[u8]) -> &[u8] {
    let line = line.strip_suffix(b"\n").unwrap_or(line);
    line.strip_suffix(b"\r").unwrap_or(line)
}

/// The first field of that name.
pub fn find<'a>(header: &'a [u8], name: &str) -> Option<Field<'a>> {
    fields(header).find(|field| field.is(name))
}

/// How many fields have that name.
pub fn count(header: &[u8], name: &str) -> usize {
    fields(header).filter(|field| field.is(name)).count()
}

/// The length of the header with its blank line; `None` if no blank line is among the octets.
pub fn length(octets: &[u8]) -> Option<usize> {
    let mut at = 0;
    while let Some(end) = line_end(octets, at) {
        if is_blank(&octets[at..end]) {
            return Some(end);
        }
        at = end;
    }
    None
}

/// As [`read`] of a whole blob.
pub fn read_blob(message: &Blob) -> io::Result<Vec<u8>> {
    let Some(octets) = message.as_memory() else { return read(&mut message.reader()) };
    let octets = &octets[..octets.len().min(HEADER_MAX)];
    Ok(octets[..length(octets).unwrap_or(octets.len())].to_vec())
}

/// Reads the header of a message, its blank line included; at most [`HEADER_MAX`] octets.
///
/// Takes more from the reader than it returns. Without a blank line all that was read is the header.
pub fn read(reader: &mut dyn Read) -> io::Result<Vec<u8>> {
    let mut header = Vec::new();
    let mut piece = [0; PIECE];
    while header.len() < HEADER_MAX {
        let got = match reader.read(&mut piece) {
            Ok(0) => break,
            Ok(got) => got,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(error),
        };
        // The blank line may have begun in the piece before: CR LF CR | LF.
        let from = header.iter().rposition(|b| *b == b'\n').map_or(0, |at| at + 1);
        header.extend_from_slice(&piece[..got]);
        if let Some(end) = length(&header[from..]) {
            header.truncate(from + end);
            break;
        }
    }
    header.truncate(HEADER_MAX);
    Ok(header)
}

/// The header without the fields of those names; the blank line stays.
pub fn without(header: &[u8], names: &[&str]) -> Vec<u8> {
    select(header, |field| !names.iter().any(|name| field.is(name)))
}

/// Only the fields of those names, and the blank line (`HEADER.FIELDS`, RFC 9051 §6.4.5.1).
pub fn only(header: &[u8], names: &[&[u8]]) -> Vec<u8> {
    select(header, |field| names.iter().any(|name| field.name.eq_ignore_ascii_case(name)))
}

/// All fields but those of those names, and the blank line (`HEADER.FIELDS.NOT`, RFC 9051 §6.4.5.1).
pub fn except(header: &[u8], names: &[&[u8]]) -> Vec<u8> {
    select(header, |field| !names.iter().any(|name| field.name.eq_ignore_ascii_case(name)))
}

fn select(header: &[u8], keep: impl Fn(&Field<'_>) -> bool) -> Vec<u8> {
    let mut out = Vec::with_capacity(header.len());
    let mut end = 0;
    for field in fields(header) {
        end = field.end;
        if keep(&field) {
            out.extend_from_slice(&header[field.start..field.end]);
        }
    }
    out.extend_from_slice(&header[end..]);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names_and_values(header: &[u8]) -> Vec<(String, String)> {
        let text = |octets: &[u8]| String::from_utf8_lossy(octets).into_owned();
        fields(header).map(|field| (text(field.name), text(&field.unfolded()))).collect()
    }

    #[test]
    fn reads_fields_of_any_shape() {
        for (header, want) in [
            ("A: b\r\nC: d\r\n\r\nE: f\r\n", &[("A", "b"), ("C", "d")][..]),
            ("A: b\n c\n\td\nE: f", &[("A", "b c\td"), ("E", "f")]),
            ("A : b\r\n\r\n", &[("A", "b")]),
            ("A:\r\n\r\n", &[("A", "")]),
            ("no colon\r\nA: b\r\n", &[("", "no colon"), ("A", "b")]),
            ("no colon\r\n folded: x\r\nA: b\r\n", &[("", "no colon folded: x"), ("A", "b")]),
            (" at first\r\nA: b\r\n", &[("", "at first"), ("A", "b")]),
            ("From x Mon\r\nA: b\r\n", &[("", "From x Mon"), ("A", "b")]),
            ("\r\nA: b\r\n", &[]),
            ("", &[]),
            ("A: b\r\n \r\nC: d\r\n\r\n", &[("A", "b"), ("C", "d")]),
        ] {
            let want: Vec<_> = want.iter().map(|(n, v)| ((*n).to_owned(), (*v).to_owned())).collect();
            assert_eq!(names_and_values(header.as_bytes()), want, "{header:?}");
        }
    }

    #[test]
    fn finds_counts_and_leaves_out() {
        let header = b"To: a\r\nBcc: secret,\r\n more\r\nX: 1\r\nbCC: x\r\n\r\n";
        assert_eq!(find(header, "bcc").unwrap().unfolded(), b"secret, more");
        assert_eq!(count(header, "BCC"), 2);
        assert_eq!(without(header, &["Bcc"]), b"To: a\r\nX: 1\r\n\r\n");
        assert_eq!(only(header, &[b"x", b"to"]), b"To: a\r\nX: 1\r\n\r\n");
        assert_eq!(except(header, &[b"TO"]), b"Bcc: secret,\r\n more\r\nX: 1\r\nbCC: x\r\n\r\n");
        assert_eq!(only(header, &[b"none"]), b"\r\n");
    }

    #[test]
    fn reads_up_to_the_blank_line_however_it_is_cut() {
        struct Dribble<'a>(&'a [u8], usize);
        impl Read for Dribble<'_> {
            fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
                let n = self.1.min(self.0.len()).min(out.len());
                out[..n].copy_from_slice(&self.0[..n]);
                self.0 = &self.0[n..];
                Ok(n)
            }
        }
        for (mail, want) in [
            ("A: b\r\n\r\nbody\r\n", "A: b\r\n\r\n"),
            ("A: b\n\nbody", "A: b\n\n"),
            ("\r\nbody", "\r\n"),
            ("A: b\r\n", "A: b\r\n"),
            ("", ""),
        ] {
            assert_eq!(length(mail.as_bytes()).unwrap_or(mail.len()), want.len());
            for piece in 1..6 {
                assert_eq!(read(&mut Dribble(mail.as_bytes(), piece)).unwrap(), want.as_bytes());
            }
        }
        let endless = vec![b'x'; 2 * HEADER_MAX];
        assert_eq!(read(&mut &endless[..]).unwrap().len(), HEADER_MAX);
    }
}
