//! Writes a maildir (Maildir++). What is there already is not written again, so that an export can go on where it was
//! broken off, and be brought up to date.

use super::keywords::Letters;
use super::{KEYWORDS, SUBSCRIPTIONS, parse_name, print_flags};
use crate::described::{self, Described};
use crate::line_ends::to_lf;
use imap_proto::utf7;
use std::collections::HashMap;
use std::fs::{self, DirBuilder, File};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, UNIX_EPOCH};

/// Longest name of a folder's directory, in octets; file systems have 255.
const DIRECTORY_MAX: usize = 240;

/// A message on its way out.
#[derive(Clone, Debug)]
pub struct Outgoing {
    pub uid: u32,
    pub uidvalidity: u32,
    /// Seconds since 1970.
    pub received: i64,
    /// As IMAP names them: `\Seen`, or keywords.
    pub flags: Vec<String>,
    pub octets: Vec<u8>,
}

/// What became of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Put {
    Written,
    /// It was there, with these flags or others, which were changed.
    There,
}

/// A maildir in the making.
#[derive(Debug)]
pub struct MaildirWriter {
    root: PathBuf,
    described: Vec<Described>,
}

/// One folder of it.
#[derive(Debug)]
pub struct FolderWriter {
    path: PathBuf,
    letters: Letters,
    /// The part of a name that stays, and the whole name.
    there: HashMap<String, String>,
    lost: usize,
}

impl MaildirWriter {
    pub fn create(root: &Path) -> io::Result<Self> {
        make(root)?;
        Ok(Self { root: root.to_owned(), described: Vec::new() })
    }

    /// Begins a folder, or goes on with it. `keywords`: those of the mailbox, in the order of their letters.
    pub fn folder(
        &mut self,
        name: &str,
        special_use: Option<String>,
        subscribed: bool,
        keywords: &[String],
    ) -> io::Result<FolderWriter> {
        let place = directory(name, self.described.len());
        let path = if place == "." { self.root.clone() } else { self.root.join(&place) };
        make(&path)?;
        for inner in ["cur", "new", "tmp"] {
            make(&path.join(inner))?;
        }
        if place != "." {
            // By this file a program knows that the directory is a folder (Maildir++).
            write_whole(&path, "maildirfolder", b"")?;
        }
        self.described.push(Described { name: name.to_owned(), place, special_use, subscribed });
        let letters = Letters::of(keywords);
        if !letters.is_empty() {
            write_whole(&path, KEYWORDS, letters.print().as_bytes())?;
        }
        let mut there = HashMap::new();
        for entry in fs::read_dir(path.join("cur"))? {
            let name = entry?.file_name().to_string_lossy().into_owned();
            there.insert(parse_name(&name, &letters).0, name);
        }
        Ok(FolderWriter { path, letters, there, lost: 0 })
    }

    /// Writes what is said of the folders, and sees to it that all is on the disk.
    pub fn finish(self) -> io::Result<()> {
        let subscribed = self.described.iter().filter(|one| one.subscribed);
        let lines: String = subscribed.map(|one| format!("{}\n", joined(&one.name))).collect();
        write_whole(&self.root, SUBSCRIPTIONS, lines.as_bytes())?;
        let text = serde_json::to_vec_pretty(&self.described)?;
        write_whole(&self.root, described::FILE, &text)?;
        // One flush for thousands of files.
        nix::unistd::syncfs(File::open(&self.root)?)?;
        Ok(())
    }
}

impl FolderWriter {
    /// Writes a message, unless it is there.
    pub fn put(&mut self, message: Outgoing) -> io::Result<Put> {
        let octets = to_lf(message.octets);
        let base = format!("{}.V{}.maddy,S={}", message.uid, message.uidvalidity, octets.len());
        let (letters, lost) = print_flags(&message.flags, &self.letters);
        self.lost += lost;
        let name = format!("{base}:2,{letters}");
        let cur = self.path.join("cur");
        if let Some(before) = self.there.get(&base) {
            let path = cur.join(before);
            // A file that a loss of power left behind may be shorter.
            if fs::symlink_metadata(&path)?.len() == octets.len() as u64 {
                if *before != name {
                    fs::rename(path, cur.join(&name))?;
                    self.there.insert(base, name);
                }
                return Ok(Put::There);
            }
            fs::remove_file(path)?;
        }
        let draft = self.path.join("tmp").join(&base);
        let _ = fs::remove_file(&draft);
        let mut file = File::options().write(true).create_new(true).mode(0o600).open(&draft)?;
        file.write_all(&octets)?;
        let age = Duration::from_secs(message.received.unsigned_abs());
        let time =
            if message.received < 0 { UNIX_EPOCH.checked_sub(age) } else { UNIX_EPOCH.checked_add(age) };
        if let Some(time) = time {
            file.set_modified(time)?;
        }
        drop(file);
        fs::rename(draft, cur.join(&name))?;
        self.there.insert(base, name);
        Ok(Put::Written)
    }

    /// Keywords of messages that have no letter, for there are 26.
    pub fn lost_keywords(&self) -> usize {
        self.lost
    }
}

fn make(path: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(path)
}

/// Writes a small file anew, whole or not at all.
fn write_whole(dir: &Path, name: &str, octets: &[u8]) -> io::Result<()> {
    let draft = dir.join(format!("{name}.new"));
    let _ = fs::remove_file(&draft);
    let mut file = File::options().write(true).create_new(true).mode(0o600).open(&draft)?;
    file.write_all(octets)?;
    fs::rename(draft, dir.join(name))
}

/// Levels joined by dots; a dot within a level is written in modified UTF-7, so that it parts nothing.
fn joined(name: &str) -> String {
    let level = |level: &str| utf7::encode(level).replace('.', "&AC4-");
    name.split('/').map(level).collect::<Vec<_>>().join(".")
}

/// The directory of a folder. A name that is too long for a file system is cut; what it is is described elsewhere.
fn directory(name: &str, number: usize) -> String {
    if name == "INBOX" {
        return ".".to_owned();
    }
    let mut whole = format!(".{}", joined(name));
    if whole.len() > DIRECTORY_MAX {
        whole.truncate(DIRECTORY_MAX - 30);
        whole = format!("{whole}-{number}");
    }
    whole
}
