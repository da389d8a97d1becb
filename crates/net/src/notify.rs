//! Telling the service manager how far we are (sd_notify(3)), so that `systemctl start` waits until mail is served and fails
//! if it is not.

use std::ffi::OsStr;
use std::io;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};

/// What the manager is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// Every socket listens.
    Ready,
    /// No new connections; those that there are come to their end.
    Stopping,
}

impl Stage {
    fn line(self) -> &'static [u8] {
        match self {
            Self::Ready => b"READY=1\n",
            Self::Stopping => b"STOPPING=1\n",
        }
    }
}

/// Tells the manager whose socket NOTIFY_SOCKET names; nobody, where it names none.
pub fn notify_manager(stage: Stage) -> io::Result<()> {
    match std::env::var_os("NOTIFY_SOCKET") {
        Some(name) if !name.is_empty() => notify_at(&name, stage),
        _ => Ok(()),
    }
}

fn notify_at(name: &OsStr, stage: Stage) -> io::Result<()> {
    // An @ stands for the octet 0, with which names begin that are in no directory.
    let address = match name.as_bytes().strip_prefix(b"@") {
        Some(abstract_name) => SocketAddr::from_abstract_name(abstract_name)?,
        None => SocketAddr::from_pathname(name)?,
    };
    let socket = UnixDatagram::unbound()?;
    // A manager that does not read must not hold us up.
    socket.set_nonblocking(true)?;
    socket.send_to_addr(stage.line(), &address).map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_manager_hears_it_in_a_directory_or_without_one() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("notify");
        let manager = UnixDatagram::bind(&path).unwrap();
        notify_at(path.as_os_str(), Stage::Ready).unwrap();
        let name = format!("maddy-notify-{}", std::process::id());
        let address = SocketAddr::from_abstract_name(&name).unwrap();
        let nowhere = UnixDatagram::bind_addr(&address).unwrap();
        notify_at(OsStr::new(&format!("@{name}")), Stage::Stopping).unwrap();
        let mut buffer = [0; 32];
        let size = manager.recv(&mut buffer).unwrap();
        assert_eq!(&buffer[..size], b"READY=1\n");
        let size = nowhere.recv(&mut buffer).unwrap();
        assert_eq!(&buffer[..size], b"STOPPING=1\n");
        assert!(notify_at(dir.path().join("missing").as_os_str(), Stage::Ready).is_err());
    }
}
