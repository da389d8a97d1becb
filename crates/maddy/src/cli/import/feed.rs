//! Reads a source in a thread of its own, a few messages ahead of what is brought in: what is in memory is bounded.

use crate::admin::IMPORT_MAX;
use moving::{Bad, Found, Source, SourceFolder};
use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io;
use std::sync::Arc;
use storage::ImportKey;
use tokio::sync::mpsc;

/// After so many octets a batch is full; its last message may be as large as messages may be.
const BATCH_OCTETS: usize = 4 * 1024 * 1024;
/// Batches that wait while one is brought in.
const AHEAD: usize = 1;

/// A message with its key.
pub(super) struct Ready {
    pub(super) key: ImportKey,
    pub(super) found: Found,
}

/// What the reader comes across.
pub(super) enum Event {
    Folder(SourceFolder),
    Batch(Vec<Ready>),
    Bad(Bad),
    /// The rest of the folder cannot be read.
    Broken(io::Error),
}

/// Reads those folders that are wanted.
pub(super) fn start(source: Arc<dyn Source + Sync>, wanted: Vec<usize>) -> mpsc::Receiver<Event> {
    let (sender, receiver) = mpsc::channel(AHEAD);
    // Ends by itself when nobody listens any more.
    tokio::task::spawn_blocking(move || {
        for at in wanted {
            if read(source.as_ref(), at, &sender).is_none() {
                return;
            }
        }
    });
    receiver
}

/// `None`: nobody listens.
fn read(source: &dyn Source, at: usize, sender: &mpsc::Sender<Event>) -> Option<()> {
    let tell = |event| sender.blocking_send(event).ok();
    let folder = source.folders().get(at)?;
    tell(Event::Folder(folder.clone()))?;
    let messages = match source.messages(at) {
        Ok(messages) => messages,
        Err(error) => return tell(Event::Broken(error)),
    };
    let mut keys = Keys::default();
    let (mut batch, mut octets) = (Vec::new(), 0);
    for message in messages {
        match message {
            Ok(Ok(found)) => {
                octets += found.octets.len();
                let key = keys.of(&folder.name, &found.octets);
                batch.push(Ready { key, found });
            }
            Ok(Err(bad)) => tell(Event::Bad(bad))?,
            Err(error) => {
                tell(Event::Batch(std::mem::take(&mut batch)))?;
                return tell(Event::Broken(error));
            }
        }
        if octets >= BATCH_OCTETS || batch.len() == IMPORT_MAX {
            octets = 0;
            tell(Event::Batch(std::mem::take(&mut batch)))?;
        }
    }
    tell(Event::Batch(batch))
}

/// A message is known by its folder, its octets, and how many like it stand before it: so it is the same whatever its file
/// is called by now, and two that are alike are two.
#[derive(Default)]
struct Keys {
    /// How often octets of this (weak) hash were seen. That two different ones share it does no harm: they only count
    /// on from each other.
    seen: HashMap<u64, u32>,
}

impl Keys {
    fn of(&mut self, folder: &str, octets: &[u8]) -> ImportKey {
        let mut hasher = DefaultHasher::new();
        octets.hash(&mut hasher);
        let number = self.seen.entry(hasher.finish()).or_insert(0);
        let key = ImportKey::of(&[b"content", folder.as_bytes(), &number.to_be_bytes(), octets]);
        *number += 1;
        key
    }
}
