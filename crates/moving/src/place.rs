//! A directory that is held open, so that nothing on the way to what lies in it can be exchanged; no link is followed.

use nix::fcntl::{OFlag, openat};
use nix::sys::stat::Mode;
use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::{self, Read};
use std::os::fd::AsRawFd;
use std::path::{Path, PathBuf};

/// A directory.
#[derive(Debug)]
pub(crate) struct Place {
    dir: File,
    /// As people know it.
    path: PathBuf,
}

impl Place {
    /// Opens the directory that somebody named; links on the way to it are theirs.
    pub(crate) fn open(path: &Path) -> io::Result<Self> {
        let dir = File::open(path).map_err(|error| named(&error, path))?;
        if !dir.metadata()?.is_dir() {
            return Err(io::Error::new(
                io::ErrorKind::NotADirectory,
                format!("{} is no directory", path.display()),
            ));
        }
        Ok(Self { dir, path: path.to_owned() })
    }

    /// A directory in it; `None` if there is no directory of that name.
    pub(crate) fn directory(&self, name: &OsStr) -> io::Result<Option<Self>> {
        let path = self.path.join(name);
        match self.handle(name, OFlag::O_DIRECTORY) {
            Ok(dir) => Ok(Some(Self { dir, path })),
            Err(error) if is_another(&error) => Ok(None),
            Err(error) => Err(named(&error, &path)),
        }
    }

    /// A plain file in it; `None` if there is no plain file of that name.
    pub(crate) fn file(&self, name: &OsStr) -> io::Result<Option<File>> {
        // Not to wait for who writes into a pipe.
        match self.handle(name, OFlag::O_NONBLOCK) {
            Ok(file) if file.metadata()?.is_file() => Ok(Some(file)),
            Ok(_) => Ok(None),
            Err(error) if is_another(&error) => Ok(None),
            Err(error) => Err(named(&error, &self.path.join(name))),
        }
    }

    /// What a small file holds; `None` if there is none, or it is larger.
    pub(crate) fn text(&self, name: &str, most: u64) -> io::Result<Option<Vec<u8>>> {
        let Some(file) = self.file(OsStr::new(name))? else { return Ok(None) };
        let mut octets = Vec::new();
        file.take(most + 1).read_to_end(&mut octets)?;
        Ok((octets.len() as u64 <= most).then_some(octets))
    }

    fn handle(&self, name: &OsStr, flags: OFlag) -> io::Result<File> {
        let flags = OFlag::O_RDONLY | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC | flags;
        Ok(File::from(openat(&self.dir, name, flags, Mode::empty())?))
    }

    /// All names, in order.
    pub(crate) fn names(&self, most: usize) -> io::Result<Vec<OsString>> {
        let mut names = Vec::new();
        for entry in std::fs::read_dir(format!("/proc/self/fd/{}", self.dir.as_raw_fd()))? {
            names.push(entry?.file_name());
            if names.len() > most {
                let path = self.path.display();
                return Err(io::Error::other(format!("{path} has more than {most} entries")));
            }
        }
        names.sort_unstable();
        Ok(names)
    }
}

/// There is nothing of that name, or it is of another kind, or a link.
fn is_another(error: &io::Error) -> bool {
    let code = error.raw_os_error().map(nix::errno::Errno::from_raw);
    matches!(
        code,
        Some(
            nix::errno::Errno::ENOENT
                | nix::errno::Errno::ENOTDIR
                | nix::errno::Errno::ELOOP
                | nix::errno::Errno::ENXIO
        )
    )
}

fn named(error: &io::Error, path: &Path) -> io::Error {
    io::Error::new(error.kind(), format!("{}: {error}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_and_pipes_are_not_there() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("plain"), "x").unwrap();
        std::os::unix::fs::symlink("/etc/passwd", dir.path().join("link")).unwrap();
        std::os::unix::fs::symlink("/etc", dir.path().join("folder")).unwrap();
        nix::unistd::mkfifo(&dir.path().join("pipe"), Mode::S_IRUSR).unwrap();
        let place = Place::open(dir.path()).unwrap();
        assert!(place.file(OsStr::new("plain")).unwrap().is_some());
        for name in ["link", "pipe", "nothing", "folder"] {
            assert!(place.file(OsStr::new(name)).unwrap().is_none(), "{name}");
        }
        for name in ["folder", "plain", "nothing"] {
            assert!(place.directory(OsStr::new(name)).unwrap().is_none(), "{name}");
        }
        assert_eq!(place.text("plain", 1).unwrap().as_deref(), Some(&b"x"[..]));
        assert_eq!(place.text("plain", 0).unwrap(), None);
        assert!(place.names(3).is_err());
    }
}
