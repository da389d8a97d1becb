//! Files that are copied, hashed while they are, and flushed before they get their name.

use super::pace::Breath;
use super::{flush_dir, make_dir, with_path};
use crate::body::Hash;
use crate::error::{Error, Result};
use nix::fcntl::OFlag;
use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

/// Octets that are copied at once.
const PIECE: usize = 256 * 1024;

/// Where a body of this hash lies below `bodies`.
pub(super) fn place(bodies: &Path, hash: &Hash) -> PathBuf {
    let name = blake3::Hash::from_bytes(*hash).to_hex().to_string();
    bodies.join(&name[..2]).join(name)
}

/// Copies a file to a new one and flushes it; its hash and size. `to` must not exist.
pub(super) fn copy(from: &mut File, to: &Path, mode: u32, breath: &mut Breath) -> Result<(Hash, u64)> {
    let mut out = File::options().write(true).create_new(true).mode(mode).open(to)?;
    let (hash, size) = pass(from, breath, |piece| out.write_all(piece))?;
    out.sync_all()?;
    Ok((hash, size))
}

/// The hash and size of a file.
pub(super) fn read(path: &Path, breath: &mut Breath) -> Result<(Hash, u64)> {
    let mut file = File::open(path).map_err(|error| with_path(error, path))?;
    pass(&mut file, breath, |_| Ok(()))
}

/// Reads a file to its end, piece by piece; its hash and size.
pub(super) fn pass(
    from: &mut File,
    breath: &mut Breath,
    mut each: impl FnMut(&[u8]) -> io::Result<()>,
) -> Result<(Hash, u64)> {
    let mut hasher = blake3::Hasher::new();
    let mut piece = vec![0; PIECE];
    let mut size = 0;
    loop {
        let count = from.read(&mut piece)?;
        if count == 0 {
            return Ok((*hasher.finalize().as_bytes(), size));
        }
        hasher.update(&piece[..count]);
        each(&piece[..count])?;
        size += count as u64;
        breath.take();
    }
}

/// What became of a body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Put {
    Copied,
    There,
    /// Its octets are not what they were, or there are none.
    Damaged,
}

/// A directory of bodies that files are copied to.
pub(super) struct Pool {
    dir: PathBuf,
    /// Directories that have new names, to be flushed.
    changed: BTreeSet<PathBuf>,
}

impl Pool {
    pub(super) fn open(dir: PathBuf) -> Result<Self> {
        make_dir(&dir)?;
        Ok(Self { dir, changed: BTreeSet::new() })
    }

    /// Copies a body under its hash, unless it is there.
    pub(super) fn keep(&mut self, from: &Path, hash: &Hash, size: u64, breath: &mut Breath) -> Result<Put> {
        let to = place(&self.dir, hash);
        if fs::symlink_metadata(&to).is_ok_and(|there| there.len() == size) {
            // Perhaps an earlier run was killed before it flushed the directory.
            self.note(&to);
            return Ok(Put::There);
        }
        self.copy(from, &to, hash, size, breath)
    }

    /// Copies a body to a file of any name.
    pub(super) fn copy(
        &mut self,
        from: &Path,
        to: &Path,
        hash: &Hash,
        size: u64,
        breath: &mut Breath,
    ) -> Result<Put> {
        let plain = File::options()
            .read(true)
            .custom_flags((OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK).bits())
            .open(from);
        let mut source = match plain {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Put::Damaged),
            Err(error) => return Err(with_path(error, from)),
        };
        let dir = to.parent().ok_or_else(|| Error::bug("a body without a directory"))?;
        make_dir(dir)?;
        let name = to.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        let draft = dir.join(format!(".new-{name}"));
        let _ = fs::remove_file(&draft);
        let copied = copy(&mut source, &draft, 0o600, breath);
        match copied {
            Ok(found) if found == (*hash, size) => {
                fs::rename(&draft, to)?;
                self.note(to);
                Ok(Put::Copied)
            }
            Ok(_) => {
                fs::remove_file(&draft)?;
                Ok(Put::Damaged)
            }
            Err(error) => {
                let _ = fs::remove_file(&draft);
                Err(error)
            }
        }
    }

    fn note(&mut self, path: &Path) {
        self.changed.extend(path.parent().map(Path::to_owned));
    }

    /// All names are on the disk.
    pub(super) fn flush(&mut self) -> Result<()> {
        for dir in std::mem::take(&mut self.changed) {
            flush_dir(&dir)?;
        }
        Ok(flush_dir(&self.dir)?)
    }
}
