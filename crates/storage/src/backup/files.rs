//! The files of a state directory besides the database and the bodies: keys, certificates, and whatever else somebody
//! keeps there.

use super::manifest::Item;
use super::pace::Breath;
use super::{ELSEWHERE, SET_ASIDE, STATE, UNFINISHED, UPGRADES, flush_dir, make_dir, pool, with_path};
use crate::error::{Error, Result};
use std::fs::{self, File};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

/// Most such files.
const FILES_MAX: usize = 100_000;
/// Most levels of directories.
const LEVELS_MAX: usize = 16;

/// What is not copied: it is copied otherwise, or derived, or means nothing to another process.
const LEFT_OUT: [&str; 7] = ["bodies", "tmp", "search", "maddy.lock", "control.sock", UNFINISHED, UPGRADES];

/// A file from elsewhere that belongs to the state.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Extra {
    /// What it is called in the backup.
    pub name: String,
    pub path: PathBuf,
}

/// Whether an entry of a state directory is copied as a file.
pub(super) fn is_kept(name: &str) -> bool {
    !(LEFT_OUT.contains(&name)
        || name.starts_with("maddy.db")
        || name.starts_with(SET_ASIDE)
        || name.starts_with('.'))
}

/// What was copied, and what was not.
#[derive(Debug, Default)]
pub(super) struct Copied {
    pub(super) items: Vec<Item>,
    /// Links and other things that are no plain files, from the state directory.
    pub(super) left: Vec<String>,
}

/// Copies the files of a state directory, and those from elsewhere, into the directory of a generation.
pub(super) fn copy_all(state: &Path, extra: &[Extra], to: &Path, breath: &mut Breath) -> Result<Copied> {
    let mut copied = Copied::default();
    make_dir(&to.join(STATE))?;
    for entry in fs::read_dir(state)? {
        let name = entry?.file_name();
        match name.to_str() {
            Some(name) if is_kept(name) => {
                copy(&state.join(name), to, &format!("{STATE}/{name}"), 1, &mut copied, breath)?
            }
            Some(_) => {}
            None => copied.left.push(name.to_string_lossy().into_owned()),
        }
    }
    for file in extra {
        make_dir(&to.join(ELSEWHERE))?;
        copy(&file.path, to, &format!("{ELSEWHERE}/{}", file.name), 1, &mut copied, breath)?;
    }
    for dir in [STATE, ELSEWHERE] {
        if to.join(dir).exists() {
            flush_dir(&to.join(dir))?;
        }
    }
    Ok(copied)
}

fn copy(
    from: &Path,
    to: &Path,
    name: &str,
    level: usize,
    copied: &mut Copied,
    breath: &mut Breath,
) -> Result<()> {
    let kind = match fs::symlink_metadata(from) {
        Ok(metadata) => metadata,
        // It went away meanwhile.
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(with_path(error, from)),
    };
    if copied.items.len() >= FILES_MAX || level > LEVELS_MAX {
        return Err(Error::TooMany { what: "files in the state directory", limit: FILES_MAX as u64 });
    }
    if kind.is_dir() {
        make_dir(&to.join(name))?;
        for entry in fs::read_dir(from)? {
            let inner = entry?.file_name();
            match inner.to_str() {
                Some(inner) => {
                    copy(&from.join(inner), to, &format!("{name}/{inner}"), level + 1, copied, breath)?
                }
                None => copied.left.push(format!("{name}/{}", inner.to_string_lossy())),
            }
        }
        return Ok(flush_dir(&to.join(name))?);
    }
    if !kind.is_file() {
        copied.left.push(name.strip_prefix(STATE).map_or(name, |name| &name[1..]).to_owned());
        return Ok(());
    }
    let mut file = File::open(from).map_err(|error| with_path(error, from))?;
    let opened = file.metadata()?;
    if (opened.dev(), opened.ino()) != (kind.dev(), kind.ino()) {
        // Not the file that was looked at: perhaps a link by now, which leads anywhere.
        copied.left.push(name.to_owned());
        return Ok(());
    }
    let mode = kind.mode() & 0o777;
    let (hash, size) = pool::copy(&mut file, &to.join(name), 0o600, breath)?;
    copied.items.push(Item::File { hash, size, mode, path: name.to_owned() });
    Ok(())
}

/// Gives a file its mode.
pub(super) fn set_mode(path: &Path, mode: u32) -> Result<()> {
    Ok(fs::set_permissions(path, fs::Permissions::from_mode(mode))?)
}
