//! A message, and a message with its envelope: one value from the door where it enters to the row where it rests.

use crate::blob::Blob;
use crate::envelope::Envelope;
use std::io::{self, Read};

/// A message. The octets that came over the wire never change; whatever we add stands in front.
#[derive(Clone, Debug)]
pub struct Message {
    /// Whole header fields, each ending in CRLF, the newest first.
    pub added: Vec<u8>,
    /// Header and body as received, lines ending in CRLF.
    pub received: Blob,
}

impl Message {
    pub fn new(received: Blob) -> Self {
        Self { added: Vec::new(), received }
    }

    /// Puts a header field on top. `field` is a whole field: `Name: value`, folded as wanted; CRLF is added.
    pub fn prepend(&mut self, field: &str) {
        let mut added = Vec::with_capacity(field.len() + 2 + self.added.len());
        added.extend_from_slice(field.trim_end_matches(['\r', '\n']).as_bytes());
        added.extend_from_slice(b"\r\n");
        added.append(&mut self.added);
        self.added = added;
    }

    /// Length of the whole in octets.
    pub fn len(&self) -> u64 {
        self.added.len() as u64 + self.received.len()
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Reads the whole: what was added, then what was received.
    pub fn reader(&self) -> impl Read + Send + 'static {
        io::Cursor::new(self.added.clone()).chain(self.received.reader())
    }

    /// The whole in one piece. The caller answers for the memory.
    pub fn to_vec(&self) -> io::Result<Vec<u8>> {
        let mut out = self.added.clone();
        self.reader_after_added().read_to_end(&mut out)?;
        Ok(out)
    }

    /// Up to `most` octets of the whole from `offset`; fewer only at the end.
    pub fn read_at(&self, offset: u64, most: usize) -> io::Result<Vec<u8>> {
        let at = usize::try_from(offset).unwrap_or(usize::MAX);
        let mut out = self.added.get(at..).unwrap_or_default().to_vec();
        out.truncate(most);
        if out.len() < most {
            let behind = (offset + out.len() as u64).saturating_sub(self.added.len() as u64);
            let rest = self.received.read_at(behind, most - out.len())?;
            if out.is_empty() {
                return Ok(rest);
            }
            out.extend_from_slice(&rest);
        }
        Ok(out)
    }

    fn reader_after_added(&self) -> impl Read + use<> {
        self.received.reader()
    }
}

/// A message on its way, with its envelope.
#[derive(Clone, Debug)]
pub struct Mail {
    pub envelope: Envelope,
    pub message: Message,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn added_fields_stand_in_front_newest_first() {
        let mut message = Message::new(Blob::from_bytes(*b"Subject: x\r\n\r\nhi\r\n"));
        message.prepend("Received: one");
        message.prepend("Return-Path: <a@b.c>\r\n");
        let want = b"Return-Path: <a@b.c>\r\nReceived: one\r\nSubject: x\r\n\r\nhi\r\n";
        assert_eq!(message.to_vec().unwrap(), want);
        assert_eq!(message.len(), want.len() as u64);
        let mut read = Vec::new();
        message.reader().read_to_end(&mut read).unwrap();
        assert_eq!(read, want);
        for at in 0..want.len() + 2 {
            for most in [0, 1, 5, 40, usize::MAX] {
                let end = at.saturating_add(most).min(want.len());
                assert_eq!(message.read_at(at as u64, most).unwrap(), want[at.min(end)..end]);
            }
        }
    }
}
