//! The listening sockets: which there should be, and getting from those that are to those that should be.

use crate::config::Config;
use crate::sts::Harms;
use net::{
    Bans, BoundSocket, ClientCertificates, Conn, Family, Gate, Inherited, KeeperHandle, Listen,
    ListenOptions, ListenTls, Listener, ProxyOptions, ProxyTrust, ServerTls, Stop, Tls,
};
use std::collections::HashMap;
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use tokio::task::JoinHandle;
use tracing::{info, warn};
use world::World;

/// The doors of the house.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum DoorName {
    Smtp,
    Submission,
    Imap,
    Web,
    Control,
}

impl DoorName {
    /// The names of all doors, which sockets of the service manager may bear.
    const NAMES: [&'static str; 4] =
        [Self::Smtp.name(), Self::Submission.name(), Self::Imap.name(), Self::Web.name()];

    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Smtp => "smtp",
            Self::Submission => "submission",
            Self::Imap => "imap",
            Self::Web => "web",
            Self::Control => "control",
        }
    }

    /// What is said to those for whom there is no room.
    fn busy(self) -> &'static [u8] {
        match self {
            Self::Smtp => smtp_in::BUSY,
            Self::Submission => submission::BUSY,
            Self::Imap => imap::BUSY,
            Self::Web | Self::Control => web::BUSY,
        }
    }
}

/// When TLS begins on a socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum TlsStart {
    OnRequest,
    AtOnce,
}

/// The protocols of a listener that the web shares with mail programs (ALPN). The name of submission is not registered; it
/// is the one that programs and other servers use.
const SHARED: [&str; 3] = ["http/1.1", "imap", "smtp"];

/// A socket that should listen.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Listening {
    pub(crate) door: DoorName,
    pub(crate) address: SocketAddr,
    pub(crate) tls: TlsStart,
    certificates: ClientCertificates,
    sharing: web::Sharing,
    /// Whether `[::]` takes IPv4 too: not where IPv4 with the same port is bound beside it.
    both: bool,
}

impl Listening {
    fn family(self) -> Family {
        if self.both { Family::Both } else { Family::Own }
    }

    fn proxy_in(&self, proxies: &HashMap<(DoorName, SocketAddr), ProxyOptions>) -> ProxyOptions {
        proxies.get(&(self.door, self.address)).cloned().unwrap_or_default()
    }
}

/// Whose PROXY headers a configuration has believed, by socket.
fn proxies(config: &Config) -> HashMap<(DoorName, SocketAddr), ProxyOptions> {
    let of = |door: DoorName, listen: &Listen| ((door, listen.address), listen.proxy.clone());
    let smtp = config.smtp.door.listen.iter().map(|entrance| of(DoorName::Smtp, &entrance.listen));
    let submission =
        config.submission.door.listen.iter().map(|entrance| of(DoorName::Submission, &entrance.listen));
    let imap = config.imap.listen.iter().map(|entrance| of(DoorName::Imap, &entrance.listen));
    let web = config.web.listen.iter().map(|entrance| of(DoorName::Web, &entrance.listen));
    let control = config.control.listen.iter().map(|listen| of(DoorName::Control, listen));
    smtp.chain(submission).chain(imap).chain(web).chain(control).collect()
}

/// All sockets that a configuration asks for.
pub(crate) fn wanted(config: &Config) -> Vec<Listening> {
    let mut list = Vec::new();
    let mut add = |door, listen: &Listen, sharing| {
        let tls = match listen.tls {
            ListenTls::StartTls => TlsStart::OnRequest,
            ListenTls::Implicit => TlsStart::AtOnce,
        };
        let certificates = listen.certificates;
        list.push(Listening { door, address: listen.address, tls, certificates, sharing, both: true });
    };
    for entrance in &config.smtp.door.listen {
        add(DoorName::Smtp, &entrance.listen, web::Sharing::Alone);
    }
    for entrance in &config.submission.door.listen {
        add(DoorName::Submission, &entrance.listen, web::Sharing::Alone);
    }
    for entrance in &config.imap.listen {
        add(DoorName::Imap, &entrance.listen, web::Sharing::Alone);
    }
    for entrance in &config.web.listen {
        add(DoorName::Web, &entrance.listen, entrance.sharing);
    }
    for listen in &config.control.listen {
        add(DoorName::Control, listen, web::Sharing::Alone);
    }
    let any = IpAddr::V4(Ipv4Addr::UNSPECIFIED);
    let v4: Vec<u16> =
        list.iter().map(|one| one.address).filter(|at| at.ip() == any).map(|at| at.port()).collect();
    for listening in &mut list {
        listening.both = !v4.contains(&listening.address.port());
    }
    list
}

/// Serves one connection.
pub(crate) type Serve = Arc<dyn Fn(Conn) -> Pin<Box<dyn Future<Output = ()> + Send>> + Send + Sync>;

/// What a listener needs besides its address.
#[derive(Clone)]
pub(crate) struct Ground {
    pub(crate) gate: Arc<Gate>,
    /// Whom the gate does not let in.
    pub(crate) bans: Bans,
    pub(crate) tls: ServerTls,
    pub(crate) world: World,
    pub(crate) stop: Stop,
    /// Who gets certificates from an authority.
    pub(crate) keeper: KeeperHandle,
    /// Sockets that the service manager has opened.
    pub(crate) inherited: Arc<Inherited>,
    /// What is wrong with the MTA-STS policies of our domains.
    pub(crate) harms: Harms,
    pub(crate) ready: Ready,
}

/// Sockets that were bound before the process gave up the right to bind them.
#[derive(Clone, Default)]
pub(crate) struct Ready(Arc<Mutex<HashMap<Listening, (SocketAddr, BoundSocket)>>>);

impl Ready {
    /// Binds all that a configuration asks for and that the service manager has not opened.
    pub(crate) fn bind(config: &Config, inherited: &Inherited) -> Result<Self, BindError> {
        let mut sockets = HashMap::new();
        let is_there = |listening: &Listening| {
            let v4 = SocketAddr::from((Ipv4Addr::UNSPECIFIED, listening.address.port()));
            let any = listening.address.is_ipv6() && listening.address.ip().is_unspecified();
            inherited.holds(listening.address) || any && inherited.holds(v4)
        };
        for listening in wanted(config).into_iter().filter(|listening| !is_there(listening)) {
            let bound = bind_socket(listening).map_err(|error| BindError { listening, error })?;
            sockets.insert(listening, bound);
        }
        Ok(Self(Arc::new(Mutex::new(sockets))))
    }

    fn take(&self, listening: Listening) -> Option<(SocketAddr, BoundSocket)> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(&listening)
    }
}

/// The socket, and the address that it has in the end.
fn bind_socket(listening: Listening) -> io::Result<(SocketAddr, BoundSocket)> {
    let bind = |address| Ok((address, BoundSocket::bind(address, listening.family())?));
    match bind(listening.address) {
        Err(error) if listening.both && has_no_ipv6(listening.address, &error) => {
            bind(SocketAddr::from((Ipv4Addr::UNSPECIFIED, listening.address.port())))
        }
        other => other,
    }
}

/// The sockets that listen.
#[derive(Default)]
pub(crate) struct Listeners {
    open: HashMap<Listening, Open>,
}

/// A socket that listens.
struct Open {
    task: JoinHandle<()>,
    proxy: ProxyTrust,
}

/// Sockets that are bound and do not accept yet, and those that shall be closed: the change from one configuration to
/// the next, which can still be dropped.
pub(crate) struct Change {
    bound: Vec<(Listening, Listener, ProxyTrust)>,
    closing: Vec<Listening>,
    proxies: HashMap<(DoorName, SocketAddr), ProxyOptions>,
}

impl Listeners {
    /// Binds what is new. Nothing has changed yet when this fails or its result is dropped.
    pub(crate) fn prepare(&self, config: &Config, ground: &Ground) -> Result<Change, BindError> {
        let wanted = wanted(config);
        let proxies = proxies(config);
        let taken = |new: &&Listening| {
            let same = |open: &&Listening| open.address == new.address && !wanted.contains(open);
            new.address.port() != 0 && self.open.keys().any(|open| same(&open))
        };
        if let Some(listening) = wanted.iter().find(taken) {
            let error = io::Error::other("it is used in another way so far, which needs a restart to change");
            return Err(BindError { listening: *listening, error });
        }
        let closing: Vec<Listening> =
            self.open.keys().filter(|open| !wanted.contains(open)).copied().collect();
        for listening in closing.iter().filter(|listening| ground.inherited.holds(listening.address)) {
            let (door, address) = (listening.door.name(), listening.address);
            warn!(door, %address, "the service manager goes on to hold this socket: take it from maddy.socket, too");
        }
        let mut bound = Vec::new();
        for listening in wanted.iter().filter(|listening| !self.open.contains_key(listening)) {
            let proxy = ProxyTrust::new(listening.proxy_in(&proxies));
            let listener = bind(*listening, &proxy, ground)
                .map_err(|error| BindError { listening: *listening, error })?;
            bound.push((*listening, listener, proxy));
        }
        Ok(Change { bound, closing, proxies })
    }

    /// Accepts on what is new and gives back what is not wanted any more, to be closed; sessions go on.
    pub(crate) fn apply(&mut self, change: Change, serve: impl Fn(DoorName) -> Serve) -> Vec<Closing> {
        let closing = change.closing.into_iter().filter_map(|listening| {
            let open = self.open.remove(&listening)?;
            Some(Closing { listening, task: open.task })
        });
        let closing = closing.collect();
        for (listening, open) in &self.open {
            open.proxy.set(listening.proxy_in(&change.proxies));
        }
        for (listening, listener, proxy) in change.bound {
            let address = listener.local_addr().unwrap_or(listening.address);
            info!(door = listening.door.name(), %address, tls = listening.tls == TlsStart::AtOnce, "listening");
            let serve = serve(listening.door);
            let task = tokio::spawn(listener.run(move |conn| serve(conn)));
            self.open.insert(listening, Open { task, proxy });
        }
        closing
    }
}

/// A socket that shall listen no more.
pub(crate) struct Closing {
    listening: Listening,
    task: JoinHandle<()>,
}

impl Closing {
    /// Returns when nobody can connect any more.
    pub(crate) async fn close(self) {
        self.task.abort();
        // The socket goes with the task, which ends a moment after it was told to. An error only says that it did.
        let _ = self.task.await;
        info!(door = self.listening.door.name(), address = %self.listening.address, "closed");
    }
}

fn bind(listening: Listening, proxy: &ProxyTrust, ground: &Ground) -> io::Result<Listener> {
    if let Some((address, socket)) = ground.ready.take(listening) {
        let options = options(listening, address, proxy, ground);
        return Listener::on(socket, options, ground.gate.clone(), &ground.world, ground.stop.clone());
    }
    match bind_at(listening, listening.address, proxy, ground) {
        Err(error) if listening.both && has_no_ipv6(listening.address, &error) => {
            let instead = SocketAddr::from((Ipv4Addr::UNSPECIFIED, listening.address.port()));
            info!(wanted = %listening.address, %instead, "this machine has no IPv6");
            bind_at(listening, instead, proxy, ground)
        }
        other => other,
    }
}

/// Whether `[::]` cannot be had because IPv6 is switched off, as in many containers.
fn has_no_ipv6(address: SocketAddr, error: &io::Error) -> bool {
    address.is_ipv6()
        && address.ip().is_unspecified()
        && (error.kind() == io::ErrorKind::AddrNotAvailable
            || error.raw_os_error() == Some(nix::errno::Errno::EAFNOSUPPORT as i32))
}

fn options(listening: Listening, address: SocketAddr, proxy: &ProxyTrust, ground: &Ground) -> ListenOptions {
    let tls = match listening.sharing {
        web::Sharing::Alone => ground.tls.asking(listening.certificates),
        web::Sharing::WithMail => ground.tls.asking(listening.certificates).offering(&SHARED),
    };
    let tls = match listening.tls {
        TlsStart::OnRequest => Tls::StartTls(tls),
        TlsStart::AtOnce => Tls::Implicit(tls),
    };
    ListenOptions {
        name: listening.door.name(),
        address,
        family: listening.family(),
        tls,
        proxy: proxy.clone(),
        busy: listening.door.busy(),
    }
}

fn bind_at(
    listening: Listening,
    address: SocketAddr,
    proxy: &ProxyTrust,
    ground: &Ground,
) -> io::Result<Listener> {
    let options = options(listening, address, proxy, ground);
    let (gate, world, stop) = (ground.gate.clone(), &ground.world, ground.stop.clone());
    let (doors, handed) = (&DoorName::NAMES, &ground.inherited);
    match Listener::inherit(handed, doors, options.clone(), gate.clone(), world, stop.clone())? {
        Some(listener) => Ok(listener),
        None => Listener::bind(options, gate, world, stop),
    }
}

/// A socket that cannot be had.
#[derive(Debug)]
pub(crate) struct BindError {
    pub(crate) listening: Listening,
    pub(crate) error: io::Error,
}

impl std::fmt::Display for BindError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Listening { door, address, .. } = self.listening;
        let door = door.name();
        match self.error.kind() {
            io::ErrorKind::AddrInUse => write!(
                f,
                "{address} ({door}) is taken by another program; stop that program, or give {door} another address"
            ),
            io::ErrorKind::PermissionDenied => write!(
                f,
                "{address} ({door}) may not be used: ports below 1024 need the capability CAP_NET_BIND_SERVICE, or a line \
                 `ListenStream=` in maddy.socket; `sudo maddy install` sets up either"
            ),
            io::ErrorKind::AddrNotAvailable => {
                write!(f, "{address} ({door}) is no address of this machine; see `ip address`")
            }
            _ => write!(f, "{address} ({door}) cannot be listened on: {}", self.error),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_machine_without_ipv6_is_told_from_a_wrong_address() {
        let unavailable = || io::Error::from(io::ErrorKind::AddrNotAvailable);
        let unsupported = io::Error::from_raw_os_error(nix::errno::Errno::EAFNOSUPPORT as i32);
        let taken = io::Error::from(io::ErrorKind::AddrInUse);
        for (address, error, want) in [
            ("[::]:25", unavailable(), true),
            ("[::]:25", unsupported, true),
            ("[::]:25", taken, false),
            ("[2001:db8::1]:25", unavailable(), false),
            ("192.0.2.1:25", unavailable(), false),
        ] {
            assert_eq!(has_no_ipv6(address.parse().unwrap(), &error), want, "{address} {error}");
        }
    }
}
