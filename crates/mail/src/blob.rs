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
    /// A file without a name; the system frees it with the last clone.
    File(Arc<File>),
}

impl Blob {
    pub fn from_bytes(octets: impl Into<Arc<[u8]>>) -> Self {
        let octets = octets.into();
        Self { len: octets.len() as u64, kind: Kind::Memory(octets) }
    }

    /// The first `len` octets of a file that nobody changes any more. It may be deleted while the blob lives.
    pub fn from_file(file: File, len: u64) -> Self {
        Self { kind: Kind::File(Arc::new(file)), len }
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
            Kind::File(_) => None,
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
            Kind::File(file) => {
                let mut out = vec![0; want];
                file.read_exact_at(&mut out, offset)?;
                Ok(out)
            }
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
            Some(file) => Kind::File(Arc::new(file)),
            None => Kind::Memory(self.memory.into()),
        };
        Blob { kind, len: self.len }
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
}
