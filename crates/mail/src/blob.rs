//! Octets of a message as they came over the wire: never changed, in memory or in a file.

use std::fs::File;
use std::io::{self, Write};
use std::os::unix::fs::FileExt;
use std::path::PathBuf;
use std::sync::Arc;

/// Up to this many octets a message is kept in memory while it is received.
pub const MEMORY_MAX: usize = 256 * 1024;

/// An immutable run of octets. Cloning is cheap: clones share the octets.
#[derive(Clone)]
pub struct Blob {
    kind: Kind,
    len: u64,
}

#[derive(Clone)]
enum Kind {
    Memory(Arc<[u8]>),
    /// A file without a name, from an offset on; the system frees it with the last clone.
    File(Arc<File>, u64),
}

impl Blob {
    pub fn from_bytes(octets: impl Into<Arc<[u8]>>) -> Self {
        let octets = octets.into();
        Self { len: octets.len() as u64, kind: Kind::Memory(octets) }
    }

    /// The first `len` octets of a file that nobody changes any more. It may be deleted while the blob lives.
    pub fn from_file(file: File, len: u64) -> Self {
        Self { kind: Kind::File(Arc::new(file), 0), len }
    }

    /// Length in octets.
    pub fn len(&self) -> u64 {
        self.len
    }

    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The octets, if they are in memory.
    pub fn as_memory(&self) -> Option<&[u8]> {
        match &self.kind {
            Kind::Memory(octets) => Some(octets),
            Kind::File(..) => None,
        }
    }

    /// Up to `most` octets from `offset`; fewer only at the end.
    pub fn read_at(&self, offset: u64, most: usize) -> io::Result<Vec<u8>> {
        let rest = self.len.saturating_sub(offset);
        let want = usize::try_from(rest).unwrap_or(usize::MAX).min(most);
        match &self.kind {
            Kind::Memory(octets) => {
                let start = usize::try_from(offset).unwrap_or(usize::MAX).min(octets.len());
                Ok(octets[start..start + want].to_vec())
            }
            Kind::File(file, from) => {
                let mut out = vec![0; want];
                file.read_exact_at(&mut out, from.saturating_add(offset))?;
                Ok(out)
            }
        }
    }

    /// The first `len` octets, or all: of a file nothing is read.
    pub fn head(&self, len: u64) -> Self {
        let len = len.min(self.len);
        match &self.kind {
            Kind::Memory(octets) => {
                Self::from_bytes(&octets[..usize::try_from(len).unwrap_or(usize::MAX).min(octets.len())])
            }
            Kind::File(file, from) => Self { kind: Kind::File(Arc::clone(file), *from), len },
        }
    }

    /// All octets in one piece. The caller answers for the memory.
    pub fn to_vec(&self) -> io::Result<Vec<u8>> {
        self.read_at(0, usize::MAX)
    }

    /// Reads the octets in order.
    pub fn reader(&self) -> Reader {
        Reader { blob: self.clone(), at: 0 }
    }
}

impl std::fmt::Debug for Blob {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Blob({} octets)", self.len)
    }
}

/// Reads a blob from front to back.
pub struct Reader {
    blob: Blob,
    at: u64,
}

impl io::Read for Reader {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let octets = self.blob.read_at(self.at, out.len())?;
        out[..octets.len()].copy_from_slice(&octets);
        self.at += octets.len() as u64;
        Ok(octets.len())
    }
}

/// Collects octets into a blob: in memory up to [`MEMORY_MAX`], then in a file without a name in `dir`.
///
/// `push` blocks on the disk once the file is in use; callers on an async runtime push in moderate pieces.
pub struct Spool {
    dir: PathBuf,
    memory: Vec<u8>,
    file: Option<File>,
    len: u64,
}

impl Spool {
    /// `dir` must exist; it is used only for messages over [`MEMORY_MAX`].
    pub fn new(dir: impl Into<PathBuf>) -> Self {
        Self { dir: dir.into(), memory: Vec::new(), file: None, len: 0 }
    }

    /// Octets so far.
    pub fn len(&self) -> u64 {
        self.len
    }

    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    pub fn push(&mut self, octets: &[u8]) -> io::Result<()> {
        if self.file.is_none() && self.memory.len() + octets.len() > MEMORY_MAX {
            let mut file = tempfile::tempfile_in(&self.dir)?;
            file.write_all(&self.memory)?;
            self.memory = Vec::new();
            self.file = Some(file);
        }
        match &mut self.file {
            Some(file) => file.write_all(octets)?,
            None => self.memory.extend_from_slice(octets),
        }
        self.len += octets.len() as u64;
        Ok(())
    }

    /// The blob. What is in a file is not flushed: the store copies it before anything is promised.
    pub fn finish(self) -> Blob {
        let kind = match self.file {
            Some(file) => Kind::File(Arc::new(file), 0),
            None => Kind::Memory(self.memory.into()),
        };
        Blob { kind, len: self.len }
    }
}

/// Many blobs one after another in one file without a name, so that they take neither memory nor a file each.
///
/// It blocks on the disk, like [`Spool`].
pub struct Pile {
    dir: PathBuf,
    file: Option<Arc<File>>,
    len: u64,
}

impl Pile {
    /// Octets that are copied at once.
    const PIECE: usize = 64 * 1024;

    /// `dir` must exist; the file is made with the first blob.
    pub fn new(dir: impl Into<PathBuf>) -> Self {
        Self { dir: dir.into(), file: None, len: 0 }
    }

    /// The same octets, in the pile.
    pub fn add(&mut self, blob: &Blob) -> io::Result<Blob> {
        let file = match &self.file {
            Some(file) => Arc::clone(file),
            None => Arc::clone(self.file.insert(Arc::new(tempfile::tempfile_in(&self.dir)?))),
        };
        let from = self.len;
        let mut at = 0;
        while at < blob.len() {
            let piece = blob.read_at(at, Self::PIECE)?;
            file.write_all_at(&piece, from + at)?;
            at += piece.len() as u64;
        }
        self.len += blob.len();
        Ok(Blob { kind: Kind::File(file, from), len: blob.len() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Read;

    #[test]
    fn memory_and_file_hold_the_same() {
        let dir = std::env::temp_dir();
        for size in [0, 1, MEMORY_MAX, MEMORY_MAX + 1, 3 * MEMORY_MAX] {
            let octets: Vec<u8> = (0..size).map(|n| (n % 251) as u8).collect();
            let mut spool = Spool::new(&dir);
            for piece in octets.chunks(100_000) {
                spool.push(piece).unwrap();
            }
            let blob = spool.finish();
            assert_eq!(blob.len(), size as u64);
            assert_eq!(blob.as_memory().is_some(), size <= MEMORY_MAX);
            assert_eq!(blob.to_vec().unwrap(), octets);
            let mut read = Vec::new();
            blob.reader().read_to_end(&mut read).unwrap();
            assert_eq!(read, octets);
            assert_eq!(blob.read_at(size as u64 + 5, 10).unwrap(), b"");
            if size > 10 {
                assert_eq!(blob.read_at(3, 4).unwrap(), octets[3..7]);
                assert_eq!(blob.read_at(size as u64 - 2, 10).unwrap(), octets[size - 2..]);
            }
        }
    }

    #[test]
    fn blobs_in_a_pile_stay_apart() {
        let dir = std::env::temp_dir();
        let octets = |size: usize, of: u8| vec![of; size];
        let mut spool = Spool::new(&dir);
        spool.push(&octets(MEMORY_MAX + 1, b'c')).unwrap();
        let blobs = [
            Blob::from_bytes(b"first".as_slice()),
            Blob::from_bytes(b"".as_slice()),
            spool.finish(),
            Blob::from_bytes(octets(Pile::PIECE, b'd')),
        ];
        let mut pile = Pile::new(&dir);
        let piled: Vec<Blob> = blobs.iter().map(|blob| pile.add(blob).unwrap()).collect();
        for (blob, piled) in blobs.iter().zip(&piled) {
            assert!(piled.as_memory().is_none());
            assert_eq!(piled.to_vec().unwrap(), blob.to_vec().unwrap());
            for blob in [blob, piled] {
                assert_eq!(blob.head(3).to_vec().unwrap(), blob.read_at(0, 3).unwrap());
                assert_eq!(blob.head(u64::MAX).len(), blob.len());
            }
        }
        assert_eq!(pile.add(&piled[0]).unwrap().to_vec().unwrap(), b"first");
        assert_eq!(piled[2].read_at(MEMORY_MAX as u64, 10).unwrap(), b"c");
    }
}
