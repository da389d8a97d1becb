//! The recorder's log: what the daemon did to its state directory, in order.

use std::path::{Path, PathBuf};

/// Octets in front of each record.
const HEAD: usize = 32;

/// A place between two records, as octets from the start of the log. A place that was read after an answer was heard
/// stands behind everything that the daemon did before it answered.
pub(crate) type Place = u64;

/// What one call did.
pub(crate) enum Event<'a> {
    Write {
        inode: u64,
        at: u64,
        octets: &'a [u8],
    },
    Truncate {
        inode: u64,
        len: u64,
    },
    SyncBegin {
        inode: u64,
        number: u64,
        path: &'a str,
    },
    SyncEnd {
        number: u64,
    },
    Open {
        inode: u64,
        emptied: bool,
        path: &'a str,
    },
    Rename {
        from: &'a str,
        to: &'a str,
    },
    Unlink {
        path: &'a str,
    },
    Mkdir {
        inode: u64,
        path: &'a str,
    },
    Start,
    /// A call that was made to fail.
    Fault,
    /// What of a file was not flushed never will be, unless it is written again.
    Lost {
        inode: u64,
    },
}

/// Tells where the log ends at the moment.
#[derive(Clone)]
pub(crate) struct Pen {
    path: PathBuf,
}

impl Pen {
    pub(crate) fn new(path: &Path) -> Self {
        Self { path: path.to_owned() }
    }

    pub(crate) fn place(&self) -> Place {
        std::fs::metadata(&self.path).map_or(0, |file| file.len())
    }
}

/// A whole log, read back.
pub(crate) struct Log {
    octets: Vec<u8>,
}

impl Log {
    pub(crate) fn read(path: &Path) -> Self {
        Self { octets: std::fs::read(path).unwrap() }
    }

    /// Each event with the place behind it.
    pub(crate) fn events(&self) -> impl Iterator<Item = (Place, Event<'_>)> {
        let mut at = 0;
        std::iter::from_fn(move || {
            let head = self.octets.get(at..at + HEAD)?;
            let size = u32::from_le_bytes(head[..4].try_into().unwrap()) as usize;
            let event = event(head, &self.octets[at + HEAD..at + size]);
            at += size;
            Some((at as Place, event))
        })
    }
}

fn event<'a>(head: &[u8], rest: &'a [u8]) -> Event<'a> {
    let number = |at: usize| u64::from_le_bytes(head[at..at + 8].try_into().unwrap());
    let kind = u32::from_le_bytes(head[4..8].try_into().unwrap());
    let (inode, a) = (number(8), number(16));
    let text = || std::str::from_utf8(rest).unwrap();
    match kind {
        1 => Event::Write { inode, at: a, octets: rest },
        2 => Event::Truncate { inode, len: a },
        3 => Event::SyncBegin { inode, number: a, path: text() },
        4 => Event::SyncEnd { number: a },
        5 => Event::Open { inode, emptied: a != 0, path: text() },
        6 => {
            let (from, to) = text().split_once('\0').unwrap();
            Event::Rename { from, to }
        }
        7 => Event::Unlink { path: text() },
        8 => Event::Mkdir { inode, path: text() },
        9 => Event::Start,
        10 => Event::Fault,
        11 => Event::Lost { inode },
        _ => panic!("a record of an unknown kind: {kind}"),
    }
}
