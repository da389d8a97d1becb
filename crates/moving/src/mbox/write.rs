//! Writes mboxes, quoted as `mboxrd` has it: one for each folder, whole or not at all.

use super::{envelope, own_fields, quote};
use crate::described::{self, Described};
use crate::line_ends::to_lf;
use crate::maildir::Outgoing;
use std::fs::{self, DirBuilder, File};
use std::io::{self, BufWriter, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

/// Longest name of a file or directory, in octets; file systems have 255.
const LEVEL_MAX: usize = 200;
/// Octets that are written at once.
const BUFFER: usize = 128 * 1024;

/// A directory of mboxes in the making.
#[derive(Debug)]
pub struct MboxWriter {
    root: PathBuf,
    described: Vec<Described>,
}

/// One mbox of it.
#[derive(Debug)]
pub struct MboxFile {
    draft: PathBuf,
    path: PathBuf,
    out: BufWriter<File>,
}

impl MboxWriter {
    pub fn create(root: &Path) -> io::Result<Self> {
        make(root)?;
        Ok(Self { root: root.to_owned(), described: Vec::new() })
    }

    /// Begins an mbox.
    pub fn folder(
        &mut self,
        name: &str,
        special_use: Option<String>,
        subscribed: bool,
    ) -> io::Result<MboxFile> {
        let place = file(name, self.described.len());
        let path = self.root.join(&place);
        make(path.parent().unwrap_or(&self.root))?;
        self.described.push(Described { name: name.to_owned(), place, special_use, subscribed });
        let draft = path.with_extension("part");
        let _ = fs::remove_file(&draft);
        let out = File::options().write(true).create_new(true).mode(0o600).open(&draft)?;
        Ok(MboxFile { draft, path, out: BufWriter::with_capacity(BUFFER, out) })
    }

    /// Writes what is said of the folders, and sees to it that all is on the disk.
    pub fn finish(self) -> io::Result<()> {
        let text = serde_json::to_vec_pretty(&self.described)?;
        let draft = self.root.join(format!("{}.part", described::FILE));
        let _ = fs::remove_file(&draft);
        let mut file = File::options().write(true).create_new(true).mode(0o600).open(&draft)?;
        file.write_all(&text)?;
        fs::rename(draft, self.root.join(described::FILE))?;
        nix::unistd::syncfs(File::open(&self.root)?)?;
        Ok(())
    }
}

impl MboxFile {
    /// Adds a message.
    pub fn put(&mut self, message: Outgoing) -> io::Result<()> {
        let octets = quote(&to_lf(message.octets));
        let header = octets.windows(2).position(|pair| pair == b"\n\n").map_or(octets.len(), |at| at + 2);
        let fields = own_fields::print(&message.flags, octets.len(), octets.len() - header);
        self.out.write_all(envelope::print(message.received).as_bytes())?;
        self.out.write_all(fields.as_bytes())?;
        self.out.write_all(&octets)?;
        let end: &[u8] = if octets.ends_with(b"\n") { b"\n" } else { b"\n\n" };
        self.out.write_all(end)
    }

    /// The mbox is whole, and takes its name.
    pub fn finish(self) -> io::Result<()> {
        let file = self.out.into_inner().map_err(io::IntoInnerError::into_error)?;
        file.sync_all()?;
        fs::rename(self.draft, self.path)
    }
}

fn make(path: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(path)
}

/// The file of a folder: `Archive/2026.mbox`. What a file cannot be called is written as %XX, which no mailbox has in its
/// name.
fn file(name: &str, number: usize) -> String {
    let level = |level: &str| {
        let mut made = level.replace(".mbox", "%2Embox").replace(".part", "%2Epart");
        if let Some(rest) = made.strip_prefix('.') {
            made = format!("%2E{rest}");
        }
        if made.len() > LEVEL_MAX {
            let end = (0..=LEVEL_MAX - 20).rev().find(|at| made.is_char_boundary(*at)).unwrap_or(0);
            made.truncate(end);
            made = format!("{made}%{number}");
        }
        made
    };
    let levels: Vec<String> = name.split('/').map(level).collect();
    format!("{}.mbox", levels.join("/"))
}
