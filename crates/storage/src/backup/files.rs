//! The files of a state directory besides the database and the bodies: keys, certificates, and whatever else somebody
//! keeps there.

use super::manifest::Item;
use super::pace::Breath;
use super::{ELSEWHERE, HELD, SET_ASIDE, STATE, UNFINISHED, UPGRADES, flush_dir, make_dir, pool, with_path};
use crate::error::{Error, Result};
use nix::errno::Errno;
use nix::fcntl::OFlag;
use std::fs::{self, File, Metadata};
use std::os::fd::AsRawFd;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

/// Most such files.
const FILES_MAX: usize = 100_000;
/// Most levels of directories.
const LEVELS_MAX: usize = 16;

/// What is not copied: it is copied otherwise, or derived, or means nothing to another process.
const LEFT_OUT: [&str; 8] =
    ["bodies", "tmp", "search", "maddy.lock", "control.sock", HELD, UNFINISHED, UPGRADES];

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
    let state = File::open(state).map_err(|error| with_path(error, state))?;
    let at = opened_path(&state);
    for entry in fs::read_dir(&at)? {
        let name = entry?.file_name();
        match name.to_str() {
            Some(name) if is_kept(name) => {
                copy((at.as_path(), name), to, &format!("{STATE}/{name}"), 1, &mut copied, breath)?
            }
            Some(_) => {}
            None => copied.left.push(name.to_string_lossy().into_owned()),
        }
    }
    for file in extra {
        make_dir(&to.join(ELSEWHERE))?;
        let parts = (file.path.parent(), file.path.file_name().and_then(|name| name.to_str()));
        let (Some(at), Some(entry)) = parts else { continue };
        let at = if at.as_os_str().is_empty() { Path::new(".") } else { at };
        copy((at, entry), to, &format!("{ELSEWHERE}/{}", file.name), 1, &mut copied, breath)?;
    }
    for dir in [STATE, ELSEWHERE] {
        if to.join(dir).exists() {
            flush_dir(&to.join(dir))?;
        }
    }
    Ok(copied)
}

/// Copies the file or the directory `entry` of a directory that is open under the path `at`. No link is followed, also where
/// the owner of the directory changes it meanwhile.
fn copy(
    (at, entry): (&Path, &str),
    to: &Path,
    name: &str,
    level: usize,
    copied: &mut Copied,
    breath: &mut Breath,
) -> Result<()> {
    let from = at.join(entry);
    let kind = match fs::symlink_metadata(&from) {
        Ok(metadata) => metadata,
        // It went away meanwhile.
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(with_path(error, &from)),
    };
    if copied.items.len() >= FILES_MAX || level > LEVELS_MAX {
        return Err(Error::TooMany { what: "files in the state directory", limit: FILES_MAX as u64 });
    }
    let opened = if kind.is_file() || kind.is_dir() { open(&from, name)? } else { None };
    let Some((mut file, found)) = opened.filter(|(_, found)| is_same(found, &kind)) else {
        copied.left.push(name.strip_prefix(STATE).map_or(name, |name| &name[1..]).to_owned());
        return Ok(());
    };
    if found.is_dir() {
        make_dir(&to.join(name))?;
        let at = opened_path(&file);
        for inner in fs::read_dir(&at)? {
            let inner = inner?.file_name();
            match inner.to_str() {
                Some(inner) => {
                    copy((at.as_path(), inner), to, &format!("{name}/{inner}"), level + 1, copied, breath)?
                }
                None => copied.left.push(format!("{name}/{}", inner.to_string_lossy())),
            }
        }
        return Ok(flush_dir(&to.join(name))?);
    }
    let (hash, size) = pool::copy(&mut file, &to.join(name), 0o600, breath)?;
    copied.items.push(Item::File { hash, size, mode: kind.mode() & 0o777, path: name.to_owned() });
    Ok(())
}

/// Opens what is no link; a pipe is not waited for. `None`: it is a link by now, or gone.
fn open(path: &Path, name: &str) -> Result<Option<(File, Metadata)>> {
    let flags = OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK;
    match File::options().read(true).custom_flags(flags.bits()).open(path) {
        Ok(file) => {
            let found = file.metadata()?;
            Ok(Some((file, found)))
        }
        Err(error) if error.raw_os_error() == Some(Errno::ELOOP as i32) => Ok(None),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(with_path(error, Path::new(name))),
    }
}

fn is_same(one: &Metadata, other: &Metadata) -> bool {
    (one.dev(), one.ino()) == (other.dev(), other.ino())
}

/// A path that leads into the directory that is open, wherever it has been moved.
fn opened_path(dir: &File) -> PathBuf {
    PathBuf::from(format!("/proc/self/fd/{}", dir.as_raw_fd()))
}

/// Gives a file its mode.
pub(super) fn set_mode(path: &Path, mode: u32) -> Result<()> {
    Ok(fs::set_permissions(path, fs::Permissions::from_mode(mode))?)
}
