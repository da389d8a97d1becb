//! A whole message before a filter, and the message as the filter wants it.

use super::edit;
use super::packet::Change;
use super::session::{Conclusion, Decision, Session, Trouble};
use crate::head::Head;
use mail::{Message, Spool, header};
use std::io;
use std::path::Path;
use tokio::sync::mpsc;

/// Pieces of the body that wait for a filter that reads slowly.
const PIECES: usize = 4;
/// How much of a body is copied at a time.
const PIECE: usize = 64 * 1024;

/// Shows a message to a filter that has heard its envelope.
pub async fn show(session: &mut Session, message: &Message) -> Result<(Decision, Conclusion), Trouble> {
    let refused = |decision| Ok((decision, Conclusion::default()));
    let of = message.clone();
    let head = blocking(move || Head::read(&of)).await?;
    match session.data().await? {
        Decision::Go => {}
        other => return refused(other),
    }
    for field in head.fields().all {
        match session.field(field.name.trim_ascii_end(), field.value).await? {
            Decision::Go => {}
            other => return refused(other),
        }
    }
    match session.end_of_header().await? {
        Decision::Go => {}
        other => return refused(other),
    }
    let (give, mut take) = mpsc::channel::<Vec<u8>>(PIECES);
    let of = message.clone();
    let reading = tokio::task::spawn_blocking(move || {
        // A filter that wants no more hangs up on us; what is left is read for nothing, which is rare and harmless.
        head.each_piece_of_body(&of, |piece| drop(give.blocking_send(piece.to_vec())))
    });
    while let Some(piece) = take.recv().await {
        let (decision, more) = session.body(&piece).await?;
        match decision {
            Decision::Go if more => {}
            Decision::Go => break,
            other => return refused(other),
        }
    }
    drop(take);
    reading.await.map_err(io::Error::other)??;
    session.end().await
}

async fn blocking<T: Send + 'static>(work: impl FnOnce() -> io::Result<T> + Send + 'static) -> io::Result<T> {
    tokio::task::spawn_blocking(work).await.map_err(io::Error::other)?
}

/// The message with another header; `None` if the changes change nothing. What we added ourselves is not touched.
///
/// Blocks on the disk where the message is in a file. `dir` takes the new one.
pub fn edited(message: &Message, changes: &[Change], dir: &Path) -> io::Result<Option<Message>> {
    if changes.is_empty() {
        return Ok(None);
    }
    let head = header::read(&mut message.received.reader())?;
    let end = header::fields(&head).last().map_or(0, |field| field.end);
    let fields = edit::apply(&head[..end], changes);
    if fields == head[..end] {
        return Ok(None);
    }
    let mut spool = Spool::new(dir);
    spool.push(&fields)?;
    // A message that was all header gets the blank line that now has to be there.
    spool.push(if head.len() > end { &head[end..] } else { b"\r\n" })?;
    let mut from = head.len() as u64;
    while from < message.received.len() {
        let piece = message.received.read_at(from, PIECE)?;
        from += piece.len() as u64;
        spool.push(&piece)?;
    }
    Ok(Some(Message { added: message.added.clone(), received: spool.finish() }))
}
