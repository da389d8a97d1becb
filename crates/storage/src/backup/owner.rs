//! A directory of another user's while root writes in it: for that time it is root's, so that its owner cannot put a link
//! where a file is expected.

use super::{flush_dir, with_path};
use crate::error::{Error, Result};
use nix::fcntl::OFlag;
use std::fs::{self, File, Permissions};
use std::io::Write;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt, fchown, lchown};
use std::path::{Path, PathBuf};

/// In a state directory that is root's for the time of a restore: whose it is otherwise.
pub(super) const OWNER: &str = "restore-owner";

/// A directory, and to whom it is given back.
#[derive(Debug)]
pub(super) struct Taken {
    path: PathBuf,
    dir: File,
    owner: Option<Owner>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Owner {
    uid: u32,
    gid: u32,
    mode: u32,
}

impl Taken {
    /// Takes the directory from its owner, if we are root and the owner is not.
    pub(super) fn take(path: &Path) -> Result<Self> {
        let dir = File::options().read(true).custom_flags(OFlag::O_DIRECTORY.bits()).open(path);
        let dir = dir.map_err(|error| with_path(error, path))?;
        let found = dir.metadata()?;
        let mut taken = Self { path: path.to_owned(), dir, owner: None };
        if !nix::unistd::geteuid().is_root() {
            return Ok(taken);
        }
        if found.uid() == 0 {
            taken.owner = taken.read_note()?;
            return Ok(taken);
        }
        let owner = Owner { uid: found.uid(), gid: found.gid(), mode: found.mode() & 0o7777 };
        fchown(&taken.dir, Some(0), Some(0))?;
        taken.dir.set_permissions(Permissions::from_mode(0o700))?;
        taken.owner = Some(owner);
        // Whatever its owner has put there under that name goes: only root can write now.
        let note = path.join(OWNER);
        let _ = fs::remove_file(&note);
        let mut file = File::options().write(true).create_new(true).mode(0o600).open(&note)?;
        write!(file, "{} {} {}", owner.uid, owner.gid, owner.mode)?;
        file.sync_all()?;
        flush_dir(path)?;
        Ok(taken)
    }

    /// From a restore that was broken off.
    fn read_note(&self) -> Result<Option<Owner>> {
        let note = self.path.join(OWNER);
        let text = match fs::symlink_metadata(&note) {
            Ok(found) if found.is_file() && found.uid() == 0 => fs::read_to_string(&note)?,
            _ => return Ok(None),
        };
        let numbers: Vec<u32> = text.split(' ').filter_map(|number| number.parse().ok()).collect();
        match numbers.as_slice() {
            [uid, gid, mode] => Ok(Some(Owner { uid: *uid, gid: *gid, mode: *mode })),
            _ => Err(Error::corrupt(format!("{} does not say whose the directory is", note.display()))),
        }
    }

    /// Gives what was brought, and at last the directory itself, to its owner. `made` are names in it.
    pub(super) fn give_back(self, made: &[String]) -> Result<()> {
        let Some(owner) = self.owner else { return Ok(()) };
        for name in made {
            give(&self.path.join(name), owner)?;
        }
        let _ = fs::remove_file(self.path.join(OWNER));
        self.dir.set_permissions(Permissions::from_mode(owner.mode))?;
        fchown(&self.dir, Some(owner.uid), Some(owner.gid))?;
        Ok(self.dir.sync_all()?)
    }
}

/// Only what is root's: what belongs to somebody else was not brought by us, and could be changed while we look.
fn give(path: &Path, owner: Owner) -> Result<()> {
    let found = match fs::symlink_metadata(path) {
        Ok(found) if found.uid() == 0 => found,
        Ok(_) => return Ok(()),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(with_path(error, path)),
    };
    if found.is_dir() {
        for entry in fs::read_dir(path)? {
            give(&entry?.path(), owner)?;
        }
    }
    Ok(lchown(path, Some(owner.uid), Some(owner.gid))?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_directory_is_roots_only_while_it_is_filled() {
        if !nix::unistd::geteuid().is_root() {
            return;
        }
        let outer = tempfile::tempdir().unwrap();
        let (dir, other) = (outer.path().join("state"), outer.path().join("other"));
        fs::create_dir(&dir).unwrap();
        fs::create_dir(&other).unwrap();
        fs::write(other.join("precious"), "x").unwrap();
        lchown(&dir, Some(12345), Some(12346)).unwrap();
        let owner = |path: &Path| fs::symlink_metadata(path).unwrap().uid();
        let taken = Taken::take(&dir).unwrap();
        assert_eq!(owner(&dir), 0);
        drop(taken);
        // Broken off, and begun again.
        let taken = Taken::take(&dir).unwrap();
        fs::create_dir_all(dir.join("new/inner")).unwrap();
        std::os::unix::fs::symlink(&other, dir.join("new/link")).unwrap();
        taken.give_back(&["new".to_owned(), "not there".to_owned()]).unwrap();
        assert_eq!(
            [owner(&dir), owner(&dir.join("new/inner")), owner(&dir.join("new/link"))],
            [12345, 12345, 12345]
        );
        assert_eq!([owner(&other), owner(&other.join("precious"))], [0, 0], "no link is followed");
        assert!(!dir.join(OWNER).exists());
    }
}
