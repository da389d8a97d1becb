//! The database of a generation in pieces, named by their hashes and shared with other generations: what has not changed
//! since the backup before is not kept twice.
//!
//! SQLite writes pages in their places, so a database that grows and changes here and there has most of its octets where
//! they were. Pieces are cut at fixed places.

use super::pace::Breath;
use super::pool::{self, place};
use super::{flush_dir, make_dir, with_path};
use crate::body::Hash;
use crate::error::{Error, Result};
use nix::unistd::syncfs;
use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

/// Octets of a piece: a power of two between these, so that a database is about so many pieces. Small ones share more,
/// large ones are fewer files.
const PIECE_MIN: u64 = 64 * 1024;
const PIECE_MAX: u64 = 1024 * 1024;
const PIECES: u64 = 64 * 1024;

/// Where new pieces lie in the directory of a generation until all of them are on the disk.
const FRESH: &str = "pieces";

fn piece_size(total: u64) -> u64 {
    (total / PIECES).next_power_of_two().clamp(PIECE_MIN, PIECE_MAX)
}

/// What a file became.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Cut {
    pub(super) hash: Hash,
    pub(super) size: u64,
}

/// Cuts a file, and keeps those of its pieces that the backup does not have.
pub(super) struct Cutter {
    pool: PathBuf,
    fresh: PathBuf,
    from: File,
    piece: Vec<u8>,
    whole: blake3::Hasher,
    size: u64,
    /// Those that are not in the pool yet.
    new: BTreeSet<Hash>,
    new_octets: u64,
}

impl Cutter {
    /// Cuts `from` for the generation whose directory is `draft`.
    pub(super) fn begin(from: &Path, pool: PathBuf, draft: &Path) -> Result<Self> {
        make_dir(&pool)?;
        let fresh = draft.join(FRESH);
        make_dir(&fresh)?;
        let from = File::open(from)?;
        let size = piece_size(from.metadata()?.len());
        let size = usize::try_from(size).map_err(|error| Error::bug(error.to_string()))?;
        Ok(Self {
            pool,
            fresh,
            from,
            piece: vec![0; size],
            whole: blake3::Hasher::new(),
            size: 0,
            new: BTreeSet::new(),
            new_octets: 0,
        })
    }

    /// The next piece, which the backup has from now on; `None` at the end of the file.
    pub(super) fn next(&mut self, breath: &mut Breath) -> Result<Option<(Hash, u64)>> {
        let count = fill(&mut self.from, &mut self.piece)?;
        if count == 0 {
            return Ok(None);
        }
        let piece = &self.piece[..count];
        self.whole.update(piece);
        self.size += count as u64;
        let (hash, size) = (*blake3::hash(piece).as_bytes(), count as u64);
        let there = fs::symlink_metadata(place(&self.pool, &hash)).is_ok_and(|there| there.len() == size);
        if !there && self.new.insert(hash) {
            let path = self.fresh.join(name(&hash));
            let mut file = File::options().write(true).create_new(true).mode(0o600).open(&path)?;
            file.write_all(piece)?;
            self.new_octets += size;
        }
        breath.take();
        Ok(Some((hash, size)))
    }

    /// Octets that were cut so far.
    pub(super) fn octets(&self) -> u64 {
        self.size
    }

    /// Octets of pieces that were not there before.
    pub(super) fn new_octets(&self) -> u64 {
        self.new_octets
    }

    /// Puts the new pieces where others find them, once they are on the disk: a loss of power must leave no piece there whose
    /// octets are not all written, for it would be taken for a good one by the next backup.
    pub(super) fn finish(self) -> Result<Cut> {
        // One flush for all of them: each by itself would take a turn of the disk.
        syncfs(&File::open(&self.fresh)?).map_err(io::Error::from)?;
        let mut changed = BTreeSet::new();
        for hash in &self.new {
            let to = place(&self.pool, hash);
            let dir = to.parent().ok_or_else(|| Error::bug("a piece without a directory"))?;
            if changed.insert(dir.to_owned()) {
                make_dir(dir)?;
            }
            fs::rename(self.fresh.join(name(hash)), &to)?;
        }
        for dir in &changed {
            flush_dir(dir)?;
        }
        flush_dir(&self.pool)?;
        fs::remove_dir(&self.fresh)?;
        Ok(Cut { hash: *self.whole.finalize().as_bytes(), size: self.size })
    }
}

fn name(hash: &Hash) -> String {
    blake3::Hash::from_bytes(*hash).to_hex().to_string()
}

/// Reads until the buffer is full or the file ends.
fn fill(from: &mut File, buffer: &mut [u8]) -> io::Result<usize> {
    let mut filled = 0;
    while filled < buffer.len() {
        match from.read(&mut buffer[filled..]) {
            Ok(0) => break,
            Ok(count) => filled += count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(filled)
}

/// Puts a file together from its pieces.
pub(super) struct Joiner {
    pool: PathBuf,
    path: PathBuf,
    out: File,
    whole: blake3::Hasher,
    size: u64,
}

impl Joiner {
    /// Makes `to`, which must not exist, of pieces in `pool`.
    pub(super) fn begin(pool: PathBuf, to: &Path) -> Result<Self> {
        let out = File::options().write(true).create_new(true).mode(0o600).open(to)?;
        Ok(Self { pool, path: to.to_owned(), out, whole: blake3::Hasher::new(), size: 0 })
    }

    pub(super) fn add(&mut self, hash: &Hash, size: u64, breath: &mut Breath) -> Result<()> {
        let from = place(&self.pool, hash);
        let mut file = File::open(&from).map_err(|error| with_path(error, &from))?;
        let (whole, out) = (&mut self.whole, &mut self.out);
        let found = pool::pass(&mut file, breath, |octets| {
            whole.update(octets);
            out.write_all(octets)
        })?;
        if found != (*hash, size) {
            return Err(changed(&from));
        }
        self.size += size;
        Ok(())
    }

    /// All of it is on the disk, and is what was cut.
    pub(super) fn finish(self, hash: &Hash, size: u64) -> Result<()> {
        if (self.whole.finalize().as_bytes(), self.size) != (hash, size) {
            return Err(changed(&self.path));
        }
        Ok(self.out.sync_all()?)
    }
}

/// Said of a file of a backup whose octets are others by now.
pub(super) fn changed(path: &Path) -> Error {
    Error::corrupt(format!("{} is not what it was when the backup was made", path.display()))
}

#[cfg(test)]
mod tests {
    use super::super::pace::Pace;
    use super::*;

    fn cut(from: &Path, pool: &Path, draft: &Path) -> (Cut, Vec<(Hash, u64)>, u64) {
        let mut breath = Breath::new(Pace::Full);
        let mut cutter = Cutter::begin(from, pool.to_owned(), draft).unwrap();
        let mut list = Vec::new();
        while let Some(piece) = cutter.next(&mut breath).unwrap() {
            list.push(piece);
        }
        let new = cutter.new_octets();
        (cutter.finish().unwrap(), list, new)
    }

    fn join(pool: &Path, to: &Path, list: &[(Hash, u64)], whole: Cut) -> Result<()> {
        let mut breath = Breath::new(Pace::Full);
        let mut joiner = Joiner::begin(pool.to_owned(), to)?;
        for (hash, size) in list {
            joiner.add(hash, *size, &mut breath)?;
        }
        joiner.finish(&whole.hash, whole.size)
    }

    #[test]
    fn pieces_are_shared_and_put_together_again() {
        let dir = tempfile::tempdir().unwrap();
        let (file, pool, draft) =
            (dir.path().join("file"), dir.path().join("pool"), dir.path().join("draft"));
        // Ten pieces, two of them equal, and a rest.
        let piece = usize::try_from(PIECE_MIN).unwrap();
        let mut octets: Vec<u8> = (0..10 * piece + 100).map(|at| (at / piece) as u8).collect();
        octets[piece..2 * piece].fill(0);
        fs::write(&file, &octets).unwrap();
        let (whole, list, new) = cut(&file, &pool, &draft);
        assert_eq!((list.len(), new, whole.size), (11, 9 * PIECE_MIN + 100, octets.len() as u64));
        assert_eq!(cut(&file, &pool, &draft), (whole, list.clone(), 0));
        // One octet of one piece, and some more at the end.
        octets[5 * piece + 7] = 77;
        octets.extend([9; 50]);
        fs::write(&file, &octets).unwrap();
        let (second, other, new) = cut(&file, &pool, &draft);
        assert_eq!(new, PIECE_MIN + 150);
        let back = dir.path().join("back");
        join(&pool, &back, &other, second).unwrap();
        assert!(fs::read(&back).unwrap() == octets);
        // Left out, in another order, of another file, changed, gone.
        let refused = |list: &[(Hash, u64)], whole| {
            fs::remove_file(&back).unwrap();
            join(&pool, &back, list, whole).unwrap_err().to_string()
        };
        assert!(refused(&other[1..], second).contains("not what it was"));
        let mut turned = other.clone();
        turned.swap(3, 4);
        assert!(refused(&turned, second).contains("not what it was"));
        assert!(refused(&other, whole).contains("not what it was"));
        let third = place(&pool, &other[3].0);
        let mut spoilt = fs::read(&third).unwrap();
        spoilt[9] ^= 1;
        fs::write(&third, spoilt).unwrap();
        assert!(refused(&other, second).contains("not what it was"));
        fs::remove_file(&third).unwrap();
        assert!(refused(&other, second).contains("No such file"));
        // What was cut off is written anew.
        let fourth = place(&pool, &other[4].0);
        fs::write(&fourth, "x").unwrap();
        let (_, _, new) = cut(&file, &pool, &draft);
        assert_eq!(new, 2 * PIECE_MIN);
        fs::remove_file(&back).unwrap();
        join(&pool, &back, &other, second).unwrap();
    }

    #[test]
    fn large_databases_have_large_pieces() {
        for (total, want) in [
            (0, PIECE_MIN),
            (1 << 32, PIECE_MIN),
            (2 << 32, 2 * PIECE_MIN),
            (3 << 32, 4 * PIECE_MIN),
            (1 << 50, PIECE_MAX),
        ] {
            assert_eq!(piece_size(total), want, "{total}");
        }
    }
}
