//! Unix sockets for the control of a running daemon, open to its own user and root, and to a group where one is named.

use std::io;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use tokio::net::{UnixListener, UnixStream};
use tracing::warn;

/// Rights of the socket file: nobody but its owner may connect.
const MODE: u32 = 0o600;
/// Rights of a socket that the members of a group may connect to.
const MODE_FOR_GROUP: u32 = 0o660;
/// Rights of a socket that any user of the machine may connect to.
const MODE_FOR_ALL: u32 = 0o666;

/// A listening Unix socket. Its file is removed when this is dropped.
#[derive(Debug)]
pub struct LocalListener {
    socket: UnixListener,
    path: PathBuf,
    /// The user who runs the daemon, from the owner of the socket file.
    owner: u32,
    visitors: Visitors,
}

/// Whom [`LocalListener::accept`] lets in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Visitors {
    OwnerAndRoot,
    /// Whomever the rights of the socket file let through: they are what the system asks at each connect(2).
    WhoeverMay,
}

impl LocalListener {
    /// Binds, in place of whatever socket a dead process left there. The caller must hold the lock of the state
    /// directory, so that no living process is pushed aside. Needs tokio's reactor.
    pub fn bind(path: impl Into<PathBuf>) -> io::Result<Self> {
        Self::bind_with(path.into(), MODE, None)
    }

    /// The same for the members of a group, too, who may do there what the daemon's own user may.
    pub fn bind_for_group(path: impl Into<PathBuf>, group: u32) -> io::Result<Self> {
        Self::bind_with(path.into(), MODE_FOR_GROUP, Some(group))
    }

    /// The same for any user of this machine; [`LocalListener::accept_anybody`] says who it is.
    pub fn bind_for_all(path: impl Into<PathBuf>) -> io::Result<Self> {
        Self::bind_with(path.into(), MODE_FOR_ALL, None)
    }

    fn bind_with(path: PathBuf, mode: u32, group: Option<u32>) -> io::Result<Self> {
        if std::fs::symlink_metadata(&path).is_ok_and(|found| !is_socket(&found)) {
            return Err(io::Error::new(
                io::ErrorKind::AlreadyExists,
                "a file that is no socket stands there",
            ));
        }
        // Bound under another name and moved into place once its rights are set, so that nobody can slip in.
        let fresh = path.with_extension("new");
        match std::fs::remove_file(&fresh) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let socket = UnixListener::bind(&fresh)?;
        // As a rule it has the group already, and a unit that is held tightly may give nothing away, not even to itself.
        if group.is_some_and(|group| std::fs::metadata(&fresh).is_ok_and(|found| found.gid() != group)) {
            std::os::unix::fs::chown(&fresh, None, group)?;
        }
        std::fs::set_permissions(&fresh, std::fs::Permissions::from_mode(mode))?;
        let owner = std::fs::metadata(&fresh)?.uid();
        std::fs::rename(&fresh, &path)?;
        let visitors = if group.is_some() { Visitors::WhoeverMay } else { Visitors::OwnerAndRoot };
        Ok(Self { socket, path, owner, visitors })
    }

    /// The next connection of the daemon's own user, of root, or of a member of the group, with the number of the user.
    /// Others are closed at once.
    pub async fn accept(&self) -> io::Result<(UnixStream, u32)> {
        loop {
            let (stream, _) = self.socket.accept().await?;
            match stream.peer_cred() {
                Ok(peer) if self.visitors == Visitors::WhoeverMay => return Ok((stream, peer.uid())),
                Ok(peer) if peer.uid() == 0 || peer.uid() == self.owner => return Ok((stream, peer.uid())),
                Ok(peer) => warn!(uid = peer.uid(), "another user tried the control socket"),
                Err(error) => warn!(%error, "the control socket cannot tell who connects"),
            }
        }
    }

    /// The next connection, whosever it is, and the number of its user as the system tells it.
    pub async fn accept_anybody(&self) -> io::Result<(UnixStream, u32)> {
        let (stream, _) = self.socket.accept().await?;
        let uid = stream.peer_cred()?.uid();
        Ok((stream, uid))
    }

    pub fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for LocalListener {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.path);
    }
}

/// Connects to the socket of a daemon.
pub async fn connect_local(path: &Path) -> io::Result<UnixStream> {
    UnixStream::connect(path).await
}

fn is_socket(found: &std::fs::Metadata) -> bool {
    use std::os::unix::fs::FileTypeExt;
    found.file_type().is_socket()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn takes_the_place_of_a_dead_socket_and_leaves_none() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("control.sock");
        drop(std::os::unix::net::UnixListener::bind(&path).unwrap());
        let listener = LocalListener::bind(&path).unwrap();
        assert_eq!(std::fs::metadata(&path).unwrap().mode() & 0o777, MODE);
        let (client, server) = tokio::join!(connect_local(&path), listener.accept());
        assert!(client.is_ok() && server.is_ok());
        drop(listener);
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0);
    }

    #[tokio::test]
    async fn anybody_may_come_where_anybody_may() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("open.sock");
        let listener = LocalListener::bind_for_all(&path).unwrap();
        let found = std::fs::metadata(&path).unwrap();
        assert_eq!(found.mode() & 0o777, MODE_FOR_ALL);
        let (client, server) = tokio::join!(connect_local(&path), listener.accept_anybody());
        assert!(client.is_ok());
        assert_eq!(server.unwrap().1, found.uid());
    }

    #[tokio::test]
    async fn a_group_may_come_where_it_is_named() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("group.sock");
        let group = std::fs::metadata(dir.path()).unwrap().gid();
        let listener = LocalListener::bind_for_group(&path, group).unwrap();
        let found = std::fs::metadata(&path).unwrap();
        assert_eq!((found.mode() & 0o777, found.gid()), (MODE_FOR_GROUP, group));
        let (client, server) = tokio::join!(connect_local(&path), listener.accept());
        assert!(client.is_ok() && server.is_ok());
    }

    #[tokio::test]
    async fn pushes_no_other_file_aside() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("control.sock");
        std::fs::write(&path, "precious").unwrap();
        assert_eq!(LocalListener::bind(&path).unwrap_err().kind(), io::ErrorKind::AlreadyExists);
        assert_eq!(std::fs::read(&path).unwrap(), b"precious");
    }
}
