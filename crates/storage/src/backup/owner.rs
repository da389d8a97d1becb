//! A directory of another user's while root writes in it: for that time it is root's, so that its owner cannot put a link
//! where a file is expected.

use super::restore::LOCK;
use super::{flush_dir, with_path};
use crate::error::{Error, Result};
use nix::fcntl::OFlag;
use std::fs::{self, File, Permissions};
use std::io::Write;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt, fchown, lchown};
use std::path::{Path, PathBuf};
use tracing::warn;

/// In a state directory that is root's for the time of a restore: whose it is otherwise.
pub(super) const OWNER: &str = "restore-owner";

/// A directory, and to whom it is given back: also where nothing came of it, and it is only dropped.
#[derive(Debug)]
pub(super) struct Taken {
    path: PathBuf,
    dir: File,
    held: Option<Held>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Owner {
    uid: u32,
    gid: u32,
    mode: u32,
}

#[derive(Clone, Copy, Debug)]
struct Held {
    /// Whose it was.
    before: Owner,
    /// Whose it is once something was brought into it.
    after: Owner,
}

impl Taken {
    /// Takes the directory from its owner, if we are root and the owner is not. One that is root's anyway goes to `wanted`
    /// in the end.
    pub(super) fn take(path: &Path, wanted: Option<(u32, u32)>) -> Result<Self> {
        let dir = File::options().read(true).custom_flags(OFlag::O_DIRECTORY.bits()).open(path);
        let dir = dir.map_err(|error| with_path(error, path))?;
        let found = dir.metadata()?;
        let mut taken = Self { path: path.to_owned(), dir, held: None };
        if !nix::unistd::geteuid().is_root() {
            return Ok(taken);
        }
        let before = Owner { uid: found.uid(), gid: found.gid(), mode: found.mode() & 0o7777 };
        if before.uid == 0 {
            let noted = taken.read_note()?.map(|owner| Held { before: owner, after: owner });
            let given = wanted.map(|(uid, gid)| Held { before, after: Owner { uid, gid, ..before } });
            taken.held = noted.or(given);
            if taken.held.is_some() {
                taken.dir.set_permissions(Permissions::from_mode(0o700))?;
            }
            return Ok(taken);
        }
        // The note is on the disk before the directory changes hands, so that whose it was is never forgotten.
        let note = taken.write_note(before)?;
        taken.held = Some(Held { before, after: before });
        fchown(&taken.dir, Some(0), Some(0))?;
        taken.dir.set_permissions(Permissions::from_mode(0o700))?;
        // Until now its owner could put something else there.
        let (ours, there) = (note.metadata()?, fs::symlink_metadata(path.join(OWNER)));
        if there.is_ok_and(|there| (there.dev(), there.ino()) == (ours.dev(), ours.ino())) {
            return Ok(taken);
        }
        Err(Error::NotAllowed("somebody changes the state directory"))
    }

    fn write_note(&self, owner: Owner) -> Result<File> {
        let note = self.path.join(OWNER);
        let _ = fs::remove_file(&note);
        let file = File::options().write(true).create_new(true).mode(0o600).open(&note);
        let mut file = file.map_err(|error| with_path(error, &note))?;
        write!(file, "{} {} {}", owner.uid, owner.gid, owner.mode)?;
        file.sync_all()?;
        flush_dir(&self.path)?;
        Ok(file)
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
    pub(super) fn give_back(mut self, made: &[String]) -> Result<()> {
        self.held.take().map_or(Ok(()), |held| self.hand_over(made.iter().map(String::as_str), held.after))
    }

    /// The directory gets its owner even where something in it does not.
    fn hand_over<'a>(&self, mut names: impl Iterator<Item = &'a str>, owner: Owner) -> Result<()> {
        let given = names.try_for_each(|name| give(&self.path.join(name), owner));
        self.dir.set_permissions(Permissions::from_mode(owner.mode))?;
        fchown(&self.dir, Some(owner.uid), Some(owner.gid))?;
        let _ = fs::remove_file(self.path.join(OWNER));
        self.dir.sync_all()?;
        given
    }
}

impl Drop for Taken {
    /// A restore that was refused or that failed.
    fn drop(&mut self) {
        let Some(held) = self.held.take() else { return };
        // We may have made the lock, which its owner needs.
        if let Err(error) = self.hand_over([LOCK].into_iter(), held.before) {
            warn!(%error, path = %self.path.display(), "the directory could not be given back to its owner");
        }
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
        let taken = Taken::take(&dir, Some((54321, 54321))).unwrap();
        assert_eq!(owner(&dir), 0);
        std::mem::forget(taken);
        // Broken off, and begun again.
        let taken = Taken::take(&dir, Some((54321, 54321))).unwrap();
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

    #[test]
    fn a_restore_that_was_refused_leaves_the_directory_as_it_was() {
        if !nix::unistd::geteuid().is_root() {
            return;
        }
        let outer = tempfile::tempdir().unwrap();
        let (dir, roots) = (outer.path().join("state"), outer.path().join("roots"));
        let facts =
            |path: &Path| fs::metadata(path).map(|it| (it.uid(), it.gid(), it.mode() & 0o7777)).unwrap();
        for (dir, uid, gid, mode) in [(&dir, 12345, 12346, 0o750), (&roots, 0, 0, 0o755)] {
            fs::create_dir(dir).unwrap();
            fs::set_permissions(dir, Permissions::from_mode(mode)).unwrap();
            lchown(dir, Some(uid), Some(gid)).unwrap();
            let taken = Taken::take(dir, Some((54321, 54322))).unwrap();
            assert_eq!(facts(dir), (0, 0, 0o700));
            fs::write(dir.join(LOCK), "").unwrap();
            drop(taken);
            assert_eq!(facts(dir), (uid, gid, mode));
            assert_eq!(facts(&dir.join(LOCK)).0, uid, "the daemon can lock it");
            assert!(!dir.join(OWNER).exists());
        }
        // What is root's goes to whom the daemon becomes.
        let taken = Taken::take(&roots, Some((54321, 54322))).unwrap();
        fs::create_dir(roots.join("new")).unwrap();
        taken.give_back(&["new".to_owned()]).unwrap();
        assert_eq!(facts(&roots), (54321, 54322, 0o755));
        assert_eq!(facts(&roots.join("new")).0, 54321);
    }
}
