//! Listening sockets that the service manager has opened for us (systemd's socket activation): ports below 1024 without
//! root and without a capability, and no connection that is refused while the daemon restarts.
//!
//! The manager hands over descriptors from 3 on, their number in LISTEN_FDS, for which process in LISTEN_PID, and their
//! names in LISTEN_FDNAMES (sd_listen_fds(3)).

use socket2::SockRef;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener};
use std::sync::Mutex;

/// Most sockets that are taken over.
pub const INHERITED_MAX: usize = 256;

/// The sockets that were handed over. They stay open as long as this lives, so that a reload can take one again.
#[derive(Debug, Default)]
pub struct Inherited {
    sockets: Vec<Handed>,
    /// Which of them were taken, by their place in the list.
    taken: Mutex<Vec<usize>>,
}

/// One socket.
#[derive(Debug)]
struct Handed {
    /// What the manager calls it: FileDescriptorName=, or the name of the socket unit.
    name: String,
    address: SocketAddr,
    socket: TcpListener,
}

impl Inherited {
    /// What the environment tells of. To be called before anything else opens descriptors, and once: the descriptors
    /// belong to the value that it returns. What was handed over to another process is not ours.
    ///
    /// # Errors
    /// If one of them is no listening TCP socket, or there are more than [`INHERITED_MAX`].
    pub fn from_environment() -> io::Result<Self> {
        let variable = |name: &str| std::env::var(name).ok();
        let is_ours = variable("LISTEN_PID").is_some_and(|pid| pid == std::process::id().to_string());
        let count = variable("LISTEN_FDS").and_then(|count| count.parse().ok()).unwrap_or(0);
        if !is_ours || count == 0 {
            return Ok(Self::default());
        }
        if count > INHERITED_MAX {
            let most = format!("the service manager hands over {count} sockets; {INHERITED_MAX} are taken");
            return Err(io::Error::new(io::ErrorKind::InvalidInput, most));
        }
        let names = variable("LISTEN_FDNAMES").unwrap_or_default();
        let mut names = names.split(':');
        let mut handed = listenfd::ListenFd::from_env();
        let mut sockets = Vec::new();
        for at in 0..count {
            let name = names.next().unwrap_or_default().to_owned();
            let wrong = |why: &dyn std::fmt::Display| {
                let text = format!("the service manager hands over {name:?}: {why}");
                io::Error::new(io::ErrorKind::InvalidInput, text)
            };
            let socket = handed.take_tcp_listener(at).map_err(|error| wrong(&error))?;
            let Some(socket) = socket else { continue };
            if !SockRef::from(&socket).is_listener()? {
                return Err(wrong(
                    &"the socket does not listen; only ListenStream= with Accept=no is understood",
                ));
            }
            socket.set_nonblocking(true)?;
            sockets.push(Handed { name, address: socket.local_addr()?, socket });
        }
        Ok(Self { sockets, taken: Mutex::default() })
    }

    /// The socket for a door and an address, if there is one. Where all addresses are asked for and the machine has no
    /// IPv6, that of all IPv4 addresses does.
    ///
    /// # Errors
    /// If it was named for another door (one of `doors`), or no further handle of it can be had.
    pub(crate) fn find(
        &self,
        door: &str,
        doors: &[&str],
        address: SocketAddr,
    ) -> io::Result<Option<TcpListener>> {
        let at = |wanted: SocketAddr| self.sockets.iter().position(|handed| handed.address == wanted);
        let any = IpAddr::V6(Ipv6Addr::UNSPECIFIED);
        let v4 = SocketAddr::from((Ipv4Addr::UNSPECIFIED, address.port()));
        let found = at(address).or_else(|| if address.ip() == any { at(v4) } else { None });
        let Some(place) = found else { return Ok(None) };
        let Handed { name, socket, .. } = &self.sockets[place];
        if name != door && doors.contains(&name.as_str()) {
            let why = format!("the service manager hands it over as {name:?}; name it {door:?} there");
            return Err(io::Error::new(io::ErrorKind::InvalidInput, why));
        }
        let socket = socket.try_clone()?;
        let mut taken = self.taken.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        if !taken.contains(&place) {
            taken.push(place);
        }
        Ok(Some(socket))
    }

    /// Whether a socket with this address was handed over: nobody but the manager can close it.
    pub fn holds(&self, address: SocketAddr) -> bool {
        self.sockets.iter().any(|handed| handed.address == address)
    }

    /// The names and addresses of those that nobody has asked for so far.
    pub fn left(&self) -> Vec<(&str, SocketAddr)> {
        let taken = self.taken.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let left = self.sockets.iter().enumerate().filter(|(place, _)| !taken.contains(place));
        left.map(|(_, handed)| (handed.name.as_str(), handed.address)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DOORS: [&str; 2] = ["smtp", "imap"];

    fn handed(name: &str) -> Handed {
        let socket = TcpListener::bind("127.0.0.1:0").unwrap();
        Handed { name: name.to_owned(), address: socket.local_addr().unwrap(), socket }
    }

    #[test]
    fn a_socket_is_found_by_its_address_unless_it_is_named_for_another_door() {
        let (any, smtp) = (handed("maddy.socket"), handed("smtp"));
        let (of_any, of_smtp) = (any.address, smtp.address);
        let inherited = Inherited { sockets: vec![any, smtp], taken: Mutex::default() };
        let find = |door: &str, address| {
            let found = inherited.find(door, &DOORS, address).map_err(|error| error.to_string())?;
            Ok::<_, String>(found.map(|socket| socket.local_addr().unwrap()))
        };
        assert_eq!(inherited.left().len(), 2);
        assert_eq!(find("imap", of_any), Ok(Some(of_any)));
        assert_eq!(inherited.left(), [("smtp", of_smtp)]);
        assert!(find("imap", of_smtp).is_err_and(|why| why.contains("\"smtp\"")));
        assert_eq!(find("smtp", of_smtp), Ok(Some(of_smtp)));
        assert_eq!(find("smtp", "127.0.0.1:1".parse().unwrap()), Ok(None));
        // A reload may take it again.
        assert_eq!(find("smtp", of_smtp), Ok(Some(of_smtp)));
        assert!(inherited.left().is_empty());
        assert!(inherited.holds(of_smtp));
    }

    #[test]
    fn where_there_is_no_ipv6_that_of_all_ipv4_addresses_does() {
        let socket = TcpListener::bind("0.0.0.0:0").unwrap();
        let address = socket.local_addr().unwrap();
        let sockets = vec![Handed { name: String::new(), address, socket }];
        let inherited = Inherited { sockets, taken: Mutex::default() };
        let wanted = SocketAddr::from((Ipv6Addr::UNSPECIFIED, address.port()));
        assert!(inherited.find("smtp", &DOORS, wanted).unwrap().is_some());
        let one = SocketAddr::from((Ipv6Addr::LOCALHOST, address.port()));
        assert!(inherited.find("smtp", &DOORS, one).unwrap().is_none());
    }
}
