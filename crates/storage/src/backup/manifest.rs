//! What a generation consists of: lines of text, the last of which has the hash of all before it.

use crate::body::Hash;
use crate::error::{Error, Result};
use crate::ids::Unix;
use std::fmt::Write as _;
use std::fs::File;
use std::io::{BufRead, BufReader, BufWriter, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

/// The first line; the number is that of the form.
const HEAD: &str = "maddy-backup 2";
/// In the form before, the database was a file like others.
const HEAD_BEFORE: &str = "maddy-backup 1";
/// Longest line, in octets.
const LINE_MAX: u64 = 16 * 1024;

/// What the first lines say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Head {
    /// When the database was copied.
    pub(super) made: Unix,
    /// The version of the program.
    pub(super) version: String,
    pub(super) schema: i64,
}

/// One thing of a generation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Item {
    /// A file in the directory of the generation.
    File { hash: Hash, size: u64, mode: u32, path: String },
    /// The next piece of the database, beside the generations.
    Piece { hash: Hash, size: u64 },
    /// The database that the pieces before make.
    Database { hash: Hash, size: u64 },
    /// A body beside the generations.
    Body { hash: Hash, size: u64 },
    /// A body that was damaged or missing when the backup was made.
    Damaged { hash: Hash },
}

fn hex(hash: &Hash) -> String {
    blake3::Hash::from_bytes(*hash).to_hex().to_string()
}

fn unhex(text: &str) -> Option<Hash> {
    blake3::Hash::from_hex(text).ok().map(|hash| *hash.as_bytes())
}

/// Writes a manifest, line by line.
pub(super) struct Pen {
    out: BufWriter<File>,
    hasher: blake3::Hasher,
}

impl Pen {
    pub(super) fn create(path: &Path, head: &Head) -> Result<Self> {
        let file = File::options().write(true).create_new(true).mode(0o600).open(path)?;
        let mut pen = Self { out: BufWriter::new(file), hasher: blake3::Hasher::new() };
        let Head { made, version, schema } = head;
        pen.line(&format!("{HEAD}\nmade {made}\nversion {version}\nschema {schema}\n"))?;
        Ok(pen)
    }

    fn line(&mut self, text: &str) -> Result<()> {
        self.hasher.update(text.as_bytes());
        Ok(self.out.write_all(text.as_bytes())?)
    }

    pub(super) fn add(&mut self, item: &Item) -> Result<()> {
        let mut line = String::new();
        // Writing to a String does not fail.
        let _ = match item {
            Item::File { hash, size, mode, path } => {
                if path.contains('\n') || path.len() as u64 > LINE_MAX / 2 {
                    return Err(Error::NotAllowed(
                        "a file of the state has a name that no manifest can hold",
                    ));
                }
                writeln!(line, "file {} {size} {mode:o} {path}", hex(hash))
            }
            Item::Piece { hash, size } => writeln!(line, "piece {} {size}", hex(hash)),
            Item::Database { hash, size } => writeln!(line, "database {} {size}", hex(hash)),
            Item::Body { hash, size } => writeln!(line, "body {} {size}", hex(hash)),
            Item::Damaged { hash } => writeln!(line, "damaged {}", hex(hash)),
        };
        self.line(&line)
    }

    /// The last line; then all is on the disk.
    pub(super) fn finish(mut self) -> Result<()> {
        let end = format!("end {}\n", self.hasher.finalize().to_hex());
        self.out.write_all(end.as_bytes())?;
        let file = self.out.into_inner().map_err(std::io::IntoInnerError::into_error)?;
        Ok(file.sync_all()?)
    }
}

/// Reads a manifest whose hash was found to be right.
pub(super) struct Manifest {
    pub(super) head: Head,
    lines: Lines,
}

struct Lines {
    input: BufReader<File>,
    hasher: blake3::Hasher,
}

impl Lines {
    /// The next line without its end; `None` at the end of the file.
    fn next(&mut self) -> Result<Option<String>> {
        let mut line = String::new();
        let count = (&mut self.input).take(LINE_MAX).read_line(&mut line)?;
        if count == 0 {
            return Ok(None);
        }
        if !line.ends_with('\n') {
            return Err(cut());
        }
        if !line.starts_with("end ") {
            self.hasher.update(line.as_bytes());
        }
        line.pop();
        Ok(Some(line))
    }
}

fn cut() -> Error {
    Error::corrupt("the manifest of the backup is cut off or changed")
}

impl Manifest {
    /// Opens a manifest and reads it to its end, to see that it is whole; then it is ready to be read.
    pub(super) fn open(path: &Path) -> Result<Self> {
        let mut whole = Self::begin(path)?;
        while whole.item()?.is_some() {}
        Self::begin(path)
    }

    fn begin(path: &Path) -> Result<Self> {
        let file = File::open(path).map_err(|error| super::with_path(error, path))?;
        let mut lines = Lines { input: BufReader::new(file), hasher: blake3::Hasher::new() };
        if !matches!(lines.next()?.as_deref(), Some(HEAD | HEAD_BEFORE)) {
            return Err(Error::NotAllowed("this is no backup that this version can read"));
        }
        let mut value = |name: &str| -> Result<String> {
            let line = lines.next()?.ok_or_else(cut)?;
            line.strip_prefix(name).and_then(|rest| rest.strip_prefix(' ')).map(str::to_owned).ok_or_else(cut)
        };
        let head = Head {
            made: value("made")?.parse().map_err(|_| cut())?,
            version: value("version")?,
            schema: value("schema")?.parse().map_err(|_| cut())?,
        };
        Ok(Self { head, lines })
    }

    /// The next thing; `None` at the end, which is found to be the right one.
    pub(super) fn item(&mut self) -> Result<Option<Item>> {
        let line = self.lines.next()?.ok_or_else(cut)?;
        let mut words = line.splitn(5, ' ');
        let mut word = || words.next().ok_or_else(cut);
        let kind = word()?;
        let hash = unhex(word()?).ok_or_else(cut)?;
        let size = |text: &str| text.parse().map_err(|_| cut());
        Ok(match kind {
            "file" => {
                let (size, mode) = (size(word()?)?, word()?);
                let path = word()?.to_owned();
                let leads_out =
                    path.starts_with('/') || path.split('/').any(|part| matches!(part, "" | "." | ".."));
                if leads_out {
                    return Err(Error::corrupt("the manifest of the backup names a file outside of it"));
                }
                let mode = u32::from_str_radix(mode, 8).map_err(|_| cut())? & 0o777;
                Some(Item::File { hash, size, mode, path })
            }
            "piece" => Some(Item::Piece { hash, size: size(word()?)? }),
            "database" => Some(Item::Database { hash, size: size(word()?)? }),
            "body" => Some(Item::Body { hash, size: size(word()?)? }),
            "damaged" => Some(Item::Damaged { hash }),
            "end" if *self.lines.hasher.finalize().as_bytes() == hash => None,
            _ => return Err(cut()),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(dir: &Path) -> (Vec<Item>, std::path::PathBuf) {
        let path = dir.join("manifest");
        let head = Head { made: 5, version: "0.1.0".to_owned(), schema: 8 };
        let mut pen = Pen::create(&path, &head).unwrap();
        let items = vec![
            Item::File { hash: [1; 32], size: 7, mode: 0o600, path: "state/a b/c".to_owned() },
            Item::Piece { hash: [4; 32], size: 65_536 },
            Item::Database { hash: [5; 32], size: 65_536 },
            Item::Body { hash: [2; 32], size: 1 << 40 },
            Item::Damaged { hash: [3; 32] },
        ];
        items.iter().for_each(|item| pen.add(item).unwrap());
        pen.finish().unwrap();
        (items, path)
    }

    #[test]
    fn what_was_written_is_read() {
        let dir = tempfile::tempdir().unwrap();
        let (items, path) = written(dir.path());
        let mut manifest = Manifest::open(&path).unwrap();
        assert_eq!((manifest.head.made, manifest.head.schema), (5, 8));
        for item in &items {
            assert_eq!(manifest.item().unwrap().as_ref(), Some(item));
        }
        assert_eq!(manifest.item().unwrap(), None);
    }

    #[test]
    fn what_was_changed_is_found_out() {
        let dir = tempfile::tempdir().unwrap();
        let (_, path) = written(dir.path());
        let text = std::fs::read_to_string(&path).unwrap();
        for at in (0..text.len()).step_by(3) {
            std::fs::write(&path, &text[..at]).unwrap();
            assert!(Manifest::open(&path).is_err(), "cut at {at}");
            let mut octets = text.clone().into_bytes();
            octets[at] ^= 1;
            std::fs::write(&path, octets).unwrap();
            assert!(Manifest::open(&path).is_err(), "changed at {at}");
        }
        for bad in ["../x", "/etc/passwd", "a//b", "a/./b"] {
            let mut pen = Pen::create(
                &dir.path().join(bad.replace('/', "_")),
                &Head { made: 0, version: String::new(), schema: 1 },
            )
            .unwrap();
            pen.add(&Item::File { hash: [1; 32], size: 7, mode: 0o600, path: bad.to_owned() }).unwrap();
            pen.finish().unwrap();
            assert!(Manifest::open(&dir.path().join(bad.replace('/', "_"))).is_err(), "{bad}");
        }
    }
}
