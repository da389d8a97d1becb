//! A stored message as FETCH and SEARCH read it: by ranges of octets, never whole in memory.

use imap_proto::command::{Section, SectionText};
use mail::mime::{self, Parts};
use mail::{Blob, Message};
use std::io;
use std::ops::Range;
use storage::Row;

/// Most octets that are read at once.
pub(crate) const PIECE: usize = 64 * 1024;
/// Longest header that is looked into for single fields, in octets.
pub(crate) const HEADER_MAX: u64 = mail::header::HEADER_MAX as u64;

/// A message and where its parts are.
pub(crate) struct Body {
    message: Message,
    parts: Parts,
}

impl Body {
    /// Takes the message out of a row that was read with `MESSAGE` and `PARTS`. `None`: the octets are not there.
    pub(crate) async fn take(row: &mut Row) -> Option<Self> {
        let message = row.message.take()?;
        let parts = row.parts.as_deref().and_then(Parts::decode).map(|parts| parts.behind(row.prefix_len));
        let parts = match parts {
            Some(parts) => parts,
            // Filed without a table, or by another version: found again.
            None => analyse(&message).await?.parts,
        };
        Some(Self { message, parts })
    }

    /// Takes the header out of a row that was read with `HEADER` and `PREFIX`; of such a body no other section may be asked for.
    /// `None`: the message has to be read.
    pub(crate) fn take_header(row: &mut Row) -> Option<Self> {
        let received = Blob::from_bytes(row.header.take()?);
        let message = Message { added: row.prefix.take().unwrap_or_default(), received };
        let parts = Parts::of_header(message.len());
        Some(Self { message, parts })
    }

    /// The same where blocking is allowed.
    pub(crate) fn take_blocking(row: &mut Row) -> Option<Self> {
        let message = row.message.take()?;
        let parts = row.parts.as_deref().and_then(Parts::decode).map(|parts| parts.behind(row.prefix_len));
        let parts = match parts {
            Some(parts) => parts,
            None => mime::analyse(&mut message.reader()).ok()?.parts,
        };
        Some(Self { message, parts })
    }

    /// Whether the octets are in memory, so that looking into them costs next to nothing.
    pub(crate) fn is_at_hand(&self) -> bool {
        self.message.received.as_memory().is_some()
    }

    pub(crate) fn message(&self) -> &Message {
        &self.message
    }

    pub(crate) fn parts(&self) -> &Parts {
        &self.parts
    }

    /// The octets of a section, header fields not yet chosen. `None`: there is no such part.
    pub(crate) fn range(&self, section: &Section) -> Option<Range<u64>> {
        let what = match section.what {
            SectionText::Whole => mime::Section::Whole,
            SectionText::Text => mime::Section::Text,
            SectionText::Mime => mime::Section::Mime,
            SectionText::Header | SectionText::HeaderFields(_) | SectionText::HeaderFieldsNot(_) => {
                mime::Section::Header
            }
        };
        self.parts.section(&section.part, what)
    }

    /// Octets from `offset`, at most `most` and fewer where the received ones begin, if they are in memory; empty only at the end.
    pub(crate) fn at_hand(&self, offset: u64, most: usize) -> Option<&[u8]> {
        let received = self.message.received.as_memory()?;
        let index = |n: u64| usize::try_from(n).unwrap_or(usize::MAX);
        let added = &self.message.added;
        let rest = match added.get(index(offset)..) {
            Some(rest) if !rest.is_empty() => rest,
            _ => received.get(index(offset.saturating_sub(added.len() as u64))..).unwrap_or_default(),
        };
        Some(&rest[..rest.len().min(most)])
    }

    /// Octets from `offset`, at most `most`; empty only at the end.
    pub(crate) fn read_blocking(&self, offset: u64, most: usize) -> io::Result<Vec<u8>> {
        let added = &self.message.added;
        match added.get(usize::try_from(offset).unwrap_or(usize::MAX)..) {
            Some(rest) if !rest.is_empty() => Ok(rest[..rest.len().min(most)].to_vec()),
            _ => self.message.received.read_at(offset.saturating_sub(added.len() as u64), most),
        }
    }

    /// The same from a runtime thread: files are read elsewhere.
    pub(crate) async fn read(&self, offset: u64, most: usize) -> io::Result<Vec<u8>> {
        let added = self.message.added.len() as u64;
        if offset < added || self.message.received.as_memory().is_some() {
            return self.read_blocking(offset, most);
        }
        let received = self.message.received.clone();
        let read = tokio::task::spawn_blocking(move || received.read_at(offset - added, most));
        read.await.map_err(io::Error::other)?
    }

    /// A range in one piece, cut off after `most` octets.
    pub(crate) async fn read_range(&self, range: &Range<u64>, most: u64) -> io::Result<Vec<u8>> {
        let end = range.end.min(range.start.saturating_add(most));
        let mut out = Vec::new();
        while range.start + (out.len() as u64) < end {
            let at = range.start + out.len() as u64;
            let piece = self.read(at, usize::try_from(end - at).unwrap_or(usize::MAX).min(PIECE)).await?;
            if piece.is_empty() {
                break;
            }
            out.extend_from_slice(&piece);
        }
        Ok(out)
    }

    /// The same where blocking is allowed.
    pub(crate) fn read_range_blocking(&self, range: &Range<u64>, most: u64) -> io::Result<Vec<u8>> {
        let end = range.end.min(range.start.saturating_add(most));
        let mut out = Vec::new();
        while range.start + (out.len() as u64) < end {
            let at = range.start + out.len() as u64;
            let piece = self.read_blocking(at, usize::try_from(end - at).unwrap_or(usize::MAX))?;
            if piece.is_empty() {
                break;
            }
            out.extend_from_slice(&piece);
        }
        Ok(out)
    }
}

/// The structure of a message that was filed without one.
pub(crate) async fn analyse(message: &Message) -> Option<mime::Analysis> {
    let message = message.clone();
    tokio::task::spawn_blocking(move || mime::analyse(&mut message.reader())).await.ok()?.ok()
}

/// The key fields of a message that was filed without them.
pub(crate) async fn key_fields(message: &Message) -> Option<mime::KeyFields> {
    let received = message.received.clone();
    let read = tokio::task::spawn_blocking(move || mail::header::read(&mut received.reader()));
    Some(mime::KeyFields::read(&read.await.ok()?.ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    /// Octets of the part that is not asked for.
    const LARGE: usize = 50 * 1024 * 1024;

    /// What lies behind a part need not be there, so it is not read.
    #[test]
    fn a_part_of_a_large_message_is_read_alone() {
        let begin = "Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n\r\nsmall\r\n--b\r\n\r\n";
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(begin.as_bytes()).unwrap();
        file.write_all(&b"eHh4eHh4\r\n".repeat(LARGE / 10)).unwrap();
        file.write_all(b"\r\n--b--\r\n").unwrap();
        let len = file.metadata().unwrap().len();
        let message = Message::new(Blob::from_file(file.try_clone().unwrap(), len));
        let parts = mime::analyse(&mut message.reader()).unwrap().parts;
        let body = Body { message, parts };
        let range = |part: u32| body.range(&Section { part: vec![part], what: SectionText::Whole }).unwrap();
        file.set_len(range(1).end).unwrap();
        assert_eq!(body.read_range_blocking(&range(1), u64::MAX).unwrap(), b"small");
        assert_eq!(range(2).end - range(2).start, LARGE as u64);
        assert!(body.read_range_blocking(&range(2), 10).is_err());
    }
}
