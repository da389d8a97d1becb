//! Whose the process is: root binds the ports, and is somebody else from then on.

use nix::fcntl::OFlag;
use nix::unistd::{Gid, Uid, fchown, geteuid, initgroups, setgid, setuid};
use std::ffi::CString;
use std::io;
use std::path::Path;

/// Root's name.
const ROOT: &str = "root";

/// Somebody whom the process can become.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct User {
    pub name: String,
    uid: Uid,
    gid: Gid,
}

/// Why the process cannot be anybody's. `Display` says what to do.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum UserError {
    #[error(
        "maddy does not run as root: name the user that it becomes once its ports are open, like `user \"maddy\"` \
         (made by `useradd --system --no-create-home maddy`), or start it as that user; in a container where root is \
         nobody outside, `user \"root\"` keeps it"
    )]
    Root,
    #[error(
        "there is no user {0}: make one with `useradd --system --no-create-home {0}`, or name another in `user`"
    )]
    Unknown(String),
    #[error("this process is not {0} and cannot become it: start it as root or as {0}, or take `user` out")]
    Stuck(String),
    #[error("the users of this system cannot be looked up: {0}")]
    System(String),
}

/// Who the process becomes, by the name in the configuration. `None`: it stays who it is.
pub fn wanted(name: Option<&str>) -> Result<Option<User>, UserError> {
    judge(name, geteuid(), find)
}

fn judge(
    name: Option<&str>,
    now: Uid,
    find: impl Fn(&str) -> Result<Option<User>, UserError>,
) -> Result<Option<User>, UserError> {
    let Some(name) = name else {
        return if now.is_root() { Err(UserError::Root) } else { Ok(None) };
    };
    let user = find(name)?.ok_or_else(|| UserError::Unknown(name.to_owned()))?;
    match (now.is_root(), user.uid == now) {
        (_, true) => Ok(None),
        (true, false) => Ok(Some(user)),
        (false, false) => Err(UserError::Stuck(name.to_owned())),
    }
}

fn find(name: &str) -> Result<Option<User>, UserError> {
    let found = nix::unistd::User::from_name(name).map_err(|error| UserError::System(error.to_string()))?;
    Ok(found.map(|user| User { name: user.name, uid: user.uid, gid: user.gid }))
}

/// The name of the user that the process is of, and whether that is root.
pub fn present() -> (String, bool) {
    let uid = geteuid();
    let found = nix::unistd::User::from_uid(uid).ok().flatten();
    let name = found.map_or_else(|| format!("uid {uid}"), |user| user.name);
    if uid.is_root() { (ROOT.to_owned(), true) } else { (name, false) }
}

impl User {
    /// The numbers of the user and of its group.
    pub fn numbers(&self) -> (u32, u32) {
        (self.uid.as_raw(), self.gid.as_raw())
    }

    /// Becomes this user with its groups, all threads together and for good.
    pub fn become_it(&self) -> io::Result<()> {
        let name = CString::new(self.name.as_str())?;
        initgroups(&name, self.gid)?;
        setgid(self.gid)?;
        setuid(self.uid)?;
        // The way back must be closed; that it is not would be a bug of the system.
        if !self.uid.is_root() && setuid(Uid::from_raw(0)).is_ok() {
            return Err(io::Error::other("root could be had back"));
        }
        Ok(())
    }
}

/// Makes a directory that only its owner can read, if it is not there, and gives it to whom the process will become. Its name
/// is on the disk when this returns.
pub fn make_directory(path: &Path, owner: Option<&User>) -> io::Result<()> {
    use std::os::unix::fs::DirBuilderExt;
    if path.is_dir() {
        // Somebody may have made it just now, and been killed.
        return path.canonicalize()?.parent().map_or(Ok(()), flush);
    }
    let missing: Vec<&Path> = path.ancestors().take_while(|path| !path.exists()).collect();
    std::fs::DirBuilder::new().recursive(true).mode(0o700).create(path)?;
    for above in missing.iter().filter_map(|path| path.parent()) {
        // Its name must outlive a loss of power.
        let above = if above.as_os_str().is_empty() { Path::new(".") } else { above };
        flush(above)?;
    }
    match owner {
        Some(user) => give_made(path, user),
        None => Ok(()),
    }
}

/// Flushes the names in a directory. Who may not look into it made none of them.
fn flush(dir: &Path) -> io::Result<()> {
    match std::fs::File::open(dir) {
        Ok(dir) => dir.sync_all(),
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => Ok(()),
        Err(error) => Err(error),
    }
}

/// Gives away a directory that was just made. It may stand in one of its new owner's, who can put something else in its
/// place meanwhile: no link is followed, and nothing is given that is not as it was made.
fn give_made(path: &Path, user: &User) -> io::Result<()> {
    use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
    let flags = OFlag::O_NOFOLLOW | OFlag::O_DIRECTORY;
    let made = std::fs::OpenOptions::new().read(true).custom_flags(flags.bits()).open(path)?;
    let found = made.metadata()?;
    if found.uid() != geteuid().as_raw() || found.mode() & 0o777 != 0o700 {
        return Err(io::Error::other("something else was put in its place"));
    }
    Ok(fchown(&made, Some(user.uid), Some(user.gid))?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn root_needs_somebody_to_become() {
        let user = |name: &str, uid: u32| User {
            name: name.to_owned(),
            uid: Uid::from_raw(uid),
            gid: Gid::from_raw(uid),
        };
        let find = |name: &str| {
            Ok(match name {
                "root" => Some(user("root", 0)),
                "maddy" => Some(user("maddy", 105)),
                _ => None,
            })
        };
        for (name, now, want) in [
            (None, 0, Err(UserError::Root)),
            (None, 105, Ok(None)),
            (Some("root"), 0, Ok(None)),
            (Some("root"), 105, Err(UserError::Stuck("root".to_owned()))),
            (Some("maddy"), 0, Ok(Some(user("maddy", 105)))),
            (Some("maddy"), 105, Ok(None)),
            (Some("maddy"), 1000, Err(UserError::Stuck("maddy".to_owned()))),
            (Some("nobody-here"), 0, Err(UserError::Unknown("nobody-here".to_owned()))),
        ] {
            assert_eq!(judge(name, Uid::from_raw(now), find), want, "{name:?} {now}");
        }
    }

    #[test]
    fn a_directory_is_for_its_owner() {
        use std::os::unix::fs::PermissionsExt;
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a/b");
        make_directory(&path, None).unwrap();
        make_directory(&path, None).unwrap();
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o700);
    }

    #[test]
    fn a_directory_is_given_away_only_as_it_was_made() {
        use std::os::unix::fs::{PermissionsExt, symlink};
        let dir = tempfile::tempdir().unwrap();
        // Whom every process can make a directory's owner: itself.
        let me = User { name: "me".to_owned(), uid: geteuid(), gid: nix::unistd::getegid() };
        let (made, open) = (dir.path().join("made"), dir.path().join("open"));
        make_directory(&made, Some(&me)).unwrap();
        symlink(&made, dir.path().join("link")).unwrap();
        std::fs::write(dir.path().join("file"), "").unwrap();
        std::fs::create_dir(&open).unwrap();
        std::fs::set_permissions(&open, std::fs::Permissions::from_mode(0o755)).unwrap();
        for (name, is_given) in [("made", true), ("link", false), ("file", false), ("open", false)] {
            assert_eq!(give_made(&dir.path().join(name), &me).is_ok(), is_given, "{name}");
        }
    }
}
