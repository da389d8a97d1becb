//! Bodies: octets as received, named by their BLAKE3 hash, small ones in the database, large ones in files.
//!
//! A file's name is the hash, the word of the process that made it, and a number, so a file that is being accepted can never be
//! the one that is taken away at the same moment. Names of other processes that no row has are swept at the start.

use crate::blocking::Readers;
use crate::error::{Error, Result};
use crate::hold::Hold;
use crate::message::Shape;
use crate::sql::{self, Row};
use mail::mime::{Parts, Section};
use mail::{Blob, Pile};
use std::cell::RefCell;
use std::collections::HashSet;
use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// Larger bodies lie in files: from here on SQLite is slower than a file, and cannot send ranges cheaply.
pub(crate) const SMALL_MAX: u64 = 256 * 1024;
/// zstd level; higher ones cost more than they save.
const LEVEL: i32 = 1;
/// Compression is kept if it saves at least one part in this many.
const WORTH: usize = 10;
/// Bodies below this are kept as they are: unpacking a frame costs some 10 µs however small it is, most of what it takes
/// to read a short message, and mail as a whole consists of longer ones.
pub(crate) const PACK_MIN: usize = 4 * 1024;
/// Hashing and compressing more than this is moved off the async threads.
const INLINE_MAX: u64 = 16 * 1024;
/// Longest header that is kept apart from its message, in octets.
pub(crate) const HEADER_MAX: u64 = 16 * 1024;
/// How often a sweep that is held back looks whether it may go on.
const HELD_PAUSE: Duration = Duration::from_millis(200);
/// Octets copied at once into a file.
const COPY_PIECE: usize = 256 * 1024;

/// `body.place`
pub(crate) const PLACE_PLAIN: i64 = 0;
pub(crate) const PLACE_ZSTD: i64 = 1;
pub(crate) const PLACE_FILE: i64 = 2;

pub(crate) type Hash = [u8; 32];

/// A body that is ready for its row: what is slow was done before the writer sees it.
pub(crate) struct Prepared {
    pub(crate) hash: Hash,
    pub(crate) size: u64,
    pub(crate) stored: Stored,
    pub(crate) shape: Shape,
    /// To be kept apart; empty if it is not.
    pub(crate) header: Blob,
}

pub(crate) enum Stored {
    Plain(Blob),
    Zstd(Blob),
    File(Arc<FileGuard>),
}

impl Prepared {
    /// Octets that go into the database.
    pub(crate) fn octets(&self) -> u64 {
        let octets = match &self.stored {
            Stored::Plain(blob) | Stored::Zstd(blob) => blob.len(),
            Stored::File(_) => 0,
        };
        octets + self.shape.octets() + self.header.len()
    }
}

/// A file that is removed again unless its row was committed.
pub(crate) struct FileGuard {
    pub(crate) name: String,
    path: PathBuf,
    kept: AtomicBool,
}

impl FileGuard {
    pub(crate) fn keep(&self) {
        self.kept.store(true, Ordering::SeqCst);
    }
}

impl Drop for FileGuard {
    fn drop(&mut self) {
        if !self.kept.load(Ordering::SeqCst) {
            // If this fails the next start sweeps it.
            let _ = fs::remove_file(&self.path);
        }
    }
}

/// The folder of large bodies.
pub(crate) struct Folder {
    dir: PathBuf,
    /// The word of this process in file names.
    run: String,
    next: AtomicU64,
    /// Which of the folders below have names that are known to outlive a loss of power.
    flushed: Mutex<HashSet<PathBuf>>,
}

/// Where a body of this file name lies: 256 folders, by the first two digits.
pub(crate) fn path(dir: &Path, name: &str) -> PathBuf {
    dir.join(name.get(..2).unwrap_or("xx")).join(name)
}

impl Folder {
    pub(crate) fn new(dir: PathBuf, run: String) -> Self {
        Self { dir, run, next: AtomicU64::new(0), flushed: Mutex::default() }
    }

    /// Hashes, compresses, and puts what is large into flushed files.
    pub(crate) async fn prepare(self: &Arc<Self>, bodies: Vec<(Blob, Shape)>) -> Result<Vec<Prepared>> {
        let mut pile = Pile::new(&self.dir);
        let size: u64 = bodies.iter().map(|(blob, _)| blob.len()).sum();
        if size <= INLINE_MAX && bodies.iter().all(|(blob, _)| blob.as_memory().is_some()) {
            return bodies.into_iter().map(|(blob, shape)| prepare_small(blob, shape, &mut pile)).collect();
        }
        let folder = Arc::clone(self);
        tokio::task::spawn_blocking(move || {
            let prepare = |(blob, shape): (Blob, Shape)| match blob.len() {
                0..=SMALL_MAX => prepare_small(blob, shape, &mut pile),
                _ => folder.prepare_file(&blob, shape),
            };
            bodies.into_iter().map(prepare).collect()
        })
        .await
        .map_err(|error| Error::bug(format!("preparing a body: {error}")))?
    }

    /// Write, flush, rename, flush the folder: then the row may be committed.
    fn prepare_file(&self, blob: &Blob, shape: Shape) -> Result<Prepared> {
        let number = self.next.fetch_add(1, Ordering::SeqCst);
        let draft = self.dir.join(format!("new-{}-{number}", self.run));
        let guard = FileGuard { name: String::new(), path: draft.clone(), kept: AtomicBool::new(false) };
        let hash = copy(blob, &draft)?;
        let name = format!("{}-{}-{number}", blake3::Hash::from_bytes(hash).to_hex(), self.run);
        let path = path(&self.dir, &name);
        let folder = path.parent().unwrap_or(&self.dir);
        self.make_folder(folder)?;
        fs::rename(&draft, &path)?;
        guard.keep();
        let guard = FileGuard { name, path: path.clone(), kept: AtomicBool::new(false) };
        File::open(folder)?.sync_all()?;
        let header = header(blob, &shape);
        Ok(Prepared { hash, size: blob.len(), stored: Stored::File(Arc::new(guard)), shape, header })
    }

    /// Makes the folder unless it is there, and sees to it that its name is flushed. That it is there does not say so:
    /// another thread may have just made it, or a process that was killed.
    fn make_folder(&self, folder: &Path) -> Result<()> {
        let flushed = || self.flushed.lock().unwrap_or_else(PoisonError::into_inner);
        if flushed().contains(folder) {
            return Ok(());
        }
        fs::DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
        File::open(&self.dir)?.sync_all()?;
        flushed().insert(folder.to_owned());
        Ok(())
    }

    /// Opens or unpacks a body from the columns `size, place, file` of body and `octets` of body_octets (outer join), from
    /// column `at` on.
    pub(crate) fn read(&self, row: &Row, at: usize) -> Result<Blob> {
        let size: i64 = row.try_get(at)?;
        let file: Option<String> = row.try_get(at + 2)?;
        self.open(size.unsigned_abs(), row.try_get(at + 1)?, file.as_deref(), row.octets(at + 3)?)
    }

    /// Opens or unpacks a body of `size` octets.
    pub(crate) fn open(
        &self,
        size: u64,
        place: i64,
        file: Option<&str>,
        octets: Option<&[u8]>,
    ) -> Result<Blob> {
        if place == PLACE_FILE {
            let name = file.ok_or_else(|| Error::corrupt("a body without the name of its file"))?;
            let file = File::open(path(&self.dir, name))
                .map_err(|error| Error::corrupt(format!("body {name}: {error}")))?;
            if file.metadata()?.len() < size {
                return Err(Error::corrupt(format!("body {name} is shorter than it was")));
            }
            return Ok(Blob::from_file(file, size));
        }
        let octets = octets.ok_or_else(|| Error::corrupt("a body without octets"))?;
        match place {
            PLACE_PLAIN => Ok(Blob::from_bytes(octets)),
            _ => Ok(Blob::from_bytes(unpack(octets, size.min(SMALL_MAX))?)),
        }
    }

    /// Deletes files of dead processes that no row names. Safe beside acceptance: those files carry our own word.
    pub(crate) async fn sweep(self: Arc<Self>, readers: Readers, hold: &Hold) -> Result<u64> {
        let folder = Arc::clone(&self);
        let names = tokio::task::spawn_blocking(move || folder.foreign_names())
            .await
            .map_err(|error| Error::bug(format!("sweeping bodies: {error}")))??;
        let mut swept = 0;
        for names in names.chunks(1000) {
            let stray = without_row(&readers, names).await?;
            // Looked at after the rows: a snapshot that names one of these was made while it was held.
            while hold.is_on() {
                tokio::time::sleep(HELD_PAUSE).await;
            }
            for name in stray {
                let path =
                    if name.starts_with("new-") { self.dir.join(&name) } else { path(&self.dir, &name) };
                match fs::remove_file(path) {
                    Ok(()) => swept += 1,
                    // The writer has just taken its row away, and the file with it.
                    Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                    Err(error) => return Err(error.into()),
                }
            }
        }
        Ok(swept)
    }

    fn foreign_names(&self) -> io::Result<Vec<String>> {
        let ours = format!("-{}-", self.run);
        let name = |path: &Path| path.file_name().map(|name| name.to_string_lossy().into_owned());
        let names = self.files()?.into_iter().filter_map(|(path, _)| name(&path));
        Ok(names.filter(|name| !name.contains(&ours)).collect())
    }

    /// All files, with the time of their last change in seconds since 1970.
    pub(crate) fn files(&self) -> io::Result<Vec<(PathBuf, i64)>> {
        let mut files = Vec::new();
        let mut take = |entry: fs::DirEntry| -> io::Result<()> {
            let changed = entry.metadata().map_or(i64::MAX, |metadata| metadata.mtime());
            files.push((entry.path(), changed));
            Ok(())
        };
        for entry in fs::read_dir(&self.dir)? {
            let entry = entry?;
            if entry.file_type()?.is_dir() {
                for inner in fs::read_dir(entry.path())? {
                    take(inner?)?;
                }
            } else {
                take(entry)?;
            }
        }
        Ok(files)
    }
}

/// Those of the names that no body has.
pub(crate) async fn without_row(readers: &Readers, names: &[String]) -> Result<Vec<String>> {
    let list = serde_json::to_string(names).map_err(|error| Error::bug(error.to_string()))?;
    let sql = "SELECT value FROM json_each(?1) \
               WHERE NOT EXISTS (SELECT 1 FROM body WHERE body.file = json_each.value)";
    sql::query_scalar(sql).bind(list).fetch_all(readers).await
}

/// What was not in memory is not in memory afterwards: `pile` takes what is packed.
fn prepare_small(blob: Blob, shape: Shape, pile: &mut Pile) -> Result<Prepared> {
    let read = if blob.as_memory().is_some() { None } else { Some(blob.to_vec()?) };
    let octets = read.as_deref().or(blob.as_memory()).unwrap_or_default();
    let hash = *blake3::hash(octets).as_bytes();
    let size = blob.len();
    let header = header(&blob, &shape);
    let packed = if octets.len() < PACK_MIN { None } else { pack(octets)? };
    let stored = match packed {
        Some(packed) if read.is_some() => Stored::Zstd(pile.add(&Blob::from_bytes(packed))?),
        Some(packed) => Stored::Zstd(Blob::from_bytes(packed)),
        None => Stored::Plain(blob),
    };
    Ok(Prepared { hash, size, stored, shape, header })
}

/// The header as the table of parts has it, if it is one that is kept.
fn header(blob: &Blob, shape: &Shape) -> Blob {
    let range = Parts::decode(&shape.parts).and_then(|parts| parts.section(&[], Section::Header));
    match range {
        Some(range) if range.start == 0 && range.end <= HEADER_MAX.min(blob.len()) => blob.head(range.end),
        _ => Blob::from_bytes([].as_slice()),
    }
}

/// Copies into a new file and flushes it; returns the hash.
fn copy(blob: &Blob, path: &Path) -> io::Result<Hash> {
    let mut file = File::options().write(true).create_new(true).mode(0o600).open(path)?;
    let mut hasher = blake3::Hasher::new();
    let mut reader = blob.reader();
    let mut piece = vec![0; COPY_PIECE];
    loop {
        let count = reader.read(&mut piece)?;
        if count == 0 {
            break;
        }
        hasher.update(&piece[..count]);
        file.write_all(&piece[..count])?;
    }
    file.sync_all()?;
    Ok(*hasher.finalize().as_bytes())
}

thread_local! {
    // A fresh context is most of the cost for a small body.
    static PACKER: RefCell<Option<zstd::bulk::Compressor<'static>>> = const { RefCell::new(None) };
    static UNPACKER: RefCell<Option<zstd::bulk::Decompressor<'static>>> = const { RefCell::new(None) };
}

/// Compressed, if that saves enough.
pub(crate) fn pack(octets: &[u8]) -> Result<Option<Vec<u8>>> {
    PACKER.with_borrow_mut(|packer| {
        let packer = match packer {
            Some(packer) => packer,
            None => packer.insert(zstd::bulk::Compressor::new(LEVEL)?),
        };
        let packed = packer.compress(octets)?;
        Ok((packed.len() + octets.len() / WORTH < octets.len()).then_some(packed))
    })
}

/// What [`pack`] made of `size` octets; the caller bounds them.
pub(crate) fn unpack(octets: &[u8], size: u64) -> Result<Vec<u8>> {
    let size = usize::try_from(size).unwrap_or(0);
    UNPACKER.with_borrow_mut(|unpacker| {
        let unpacker = match unpacker {
            Some(unpacker) => unpacker,
            None => unpacker.insert(zstd::bulk::Decompressor::new()?),
        };
        let plain = unpacker
            .decompress(octets, size)
            .map_err(|error| Error::corrupt(format!("a body cannot be unpacked: {error}")))?;
        if plain.len() == size { Ok(plain) } else { Err(Error::corrupt("a body is shorter than it was")) }
    })
}

/// The hash of a whole blob; blocking.
pub(crate) fn hash(blob: &Blob) -> io::Result<Hash> {
    let mut hasher = blake3::Hasher::new();
    hasher.update_reader(blob.reader())?;
    Ok(*hasher.finalize().as_bytes())
}
