//! What is indexed of a message: its text, as searching reads it.

use super::super::database::NewText;
use super::super::query::Stored;
use crate::error::Result;
use mail::mime::{self, Extent, Parts, SearchText};
use mail::{Blob, Message};

/// A message, its prefix and its table of parts.
pub(super) type Raw = (i64, Vec<u8>, Vec<u8>, Result<Blob>);

/// What cannot be read now has to be read by whoever searches.
pub(super) fn read((content, prefix, parts, received): Raw) -> NewText {
    let text = received.ok().and_then(|received| text(prefix, &parts, received));
    NewText { content, text }
}

fn text(prefix: Vec<u8>, parts: &[u8], received: Blob) -> Option<(String, Stored)> {
    let in_front = prefix.len() as u64;
    let message = Message { added: prefix, received };
    let parts = match Parts::decode(parts) {
        Some(parts) => parts.behind(in_front),
        None => mime::analyse(&mut message.reader()).ok()?.parts,
    };
    let text = SearchText::read(&message, &parts, Extent::Whole).ok()?;
    let stored = Stored::pack(&text).ok()??;
    // SQLite takes a NUL for the end of a text here and there.
    Some((text.whole().replace('\0', "\n"), stored))
}
