//! `maddy run`: the daemon until a signal ends it.

use crate::cli::Trouble;
use crate::config::{Config, Source};
use crate::confine::{self, Held};
use crate::control::Reloading;
use crate::daemon::{Daemon, Means};
use crate::dns::Exchangeable;
use crate::logging::Logging;
use net::{Inherited, Stage, notify_manager};
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use nix::sys::stat::{Mode, umask};
use std::sync::Arc;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tracing::{info, warn};
use world::{SystemResolver, World};

/// What we make is for us alone.
const UMASK: Mode = Mode::S_IRWXG.union(Mode::S_IRWXO);

pub(crate) fn run(source: &Source) -> Result<(), Trouble> {
    if source.state_dir.is_some() {
        return Err(Trouble::usage(
            "run goes by a configuration: set `state-dir` in it instead of --state-dir",
        ));
    }
    // Before anything else has descriptors.
    let inherited = Inherited::from_environment()?;
    let config = source.read()?;
    umask(UMASK);
    take_all_handles();
    // From here on nothing can be done that a mail server need not do; there is one thread yet, and all others follow it.
    let held = confine::confine(&config, &inherited)?;
    let (logging, _tail) = Logging::start(config.log).map_err(Trouble::new)?;
    on_threads(serve(source.clone(), config, logging, (inherited, held)))
}

/// Lets this process open as many files and connections as the system allows it; the usual limit is 1024.
fn take_all_handles() {
    // That it fails is no reason not to serve: the limits of connections then meet the system's.
    if let Ok((_, most)) = getrlimit(Resource::RLIMIT_NOFILE) {
        let _ = setrlimit(Resource::RLIMIT_NOFILE, most, most);
    }
}

/// Runs work on as many threads as there are processors.
pub(crate) fn on_threads(work: impl Future<Output = Result<(), Trouble>>) -> Result<(), Trouble> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let result = runtime.block_on(work);
    // Whatever still runs was given its time.
    runtime.shutdown_background();
    result
}

async fn serve(
    source: Source,
    config: Config,
    logging: Logging,
    (inherited, held): (Inherited, Held),
) -> Result<(), Trouble> {
    let mut signals = Signals::new()?;
    let resolver = SystemResolver::new(&config.dns).map_err(Trouble::new)?;
    let dns = Arc::new(Exchangeable::new(Arc::new(resolver)));
    let world = World { dns: dns.clone(), ..world::system::without_dns() };
    let hostname = config.hostname.to_string();
    let counts = logging.counts().clone();
    held.log();
    let Held { sockets, report } = held;
    let reloading = Some(Reloading { source, logging, report });
    let means = Means { dns: Some(dns), reloading, counts, inherited, sockets };
    let daemon =
        Daemon::start(config, world, means).await.map_err(|error| Trouble::new(error.to_string()))?;
    info!(version = env!("CARGO_PKG_VERSION"), hostname, "ready");
    tell_manager(Stage::Ready);
    loop {
        match signals.next().await {
            Order::Reload => {
                if let Err(kept) = daemon.control().reload().await {
                    kept.log();
                }
            }
            Order::Stop => {
                tell_manager(Stage::Stopping);
                return stop(daemon, signals).await;
            }
        }
    }
}

/// That it does not hear us keeps no server from serving.
fn tell_manager(stage: Stage) {
    if let Err(error) = notify_manager(stage) {
        warn!(%error, "the service manager cannot be told how far we are");
    }
}

/// Stops in order; a second signal ends at once.
pub(crate) async fn stop(daemon: Daemon, mut signals: Signals) -> Result<(), Trouble> {
    let again = async { while signals.next().await != Order::Stop {} };
    tokio::select! {
        () = daemon.stop() => Ok(()),
        () = again => {
            warn!("a second signal: ending at once");
            Err(Trouble::new(""))
        }
    }
}

/// What a signal asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Order {
    Reload,
    Stop,
}

/// The signals that we obey.
pub(crate) struct Signals {
    hang_up: Signal,
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    pub(crate) fn new() -> std::io::Result<Self> {
        Ok(Self {
            hang_up: signal(SignalKind::hangup())?,
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
        })
    }

    pub(crate) async fn next(&mut self) -> Order {
        tokio::select! {
            _ = self.hang_up.recv() => Order::Reload,
            _ = self.terminate.recv() => Order::Stop,
            _ = self.interrupt.recv() => Order::Stop,
        }
    }
}
