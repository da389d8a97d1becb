//! The daemon: everything that runs while the server runs, put together and taken apart in order.

use crate::admin::Context;
use crate::bans;
use crate::beside::Beside;
use crate::certificates;
use crate::cli::STATUS;
use crate::config::Config;
use crate::control::{self, Control, Reloading};
use crate::dns::Exchangeable;
use crate::doors::Doors;
use crate::keys;
use crate::listeners::{BindError, Ground, Listeners, Ready};
use crate::local;
use crate::metrics::{Counts, View};
use crate::reload::{self, Running};
use crate::selfcheck;
use crate::sts;
use crate::website::Website;
use delivery::config::EgressAuth;
use delivery::reports::ReportReader;
use delivery::{Exit, Intake, RouteConfig, Router, Worker};
use net::{
    ClientTls, Connector, Fetcher, Gate, Inherited, Keeper, KeeperHandle, LocalListener, Roots, ServerTls,
    Stop, Stopper,
};
use policy::Pipeline;
use policy::dkim::{KeyChange, Keyring, Signer, What};
use serde_json::Value;
use smtp_in::Desk;
use std::fmt;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use storage::{Store, Trouble};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tokio::time::{Instant, timeout_at};
use tracing::{error, info, warn};
use world::World;

/// How much longer than the time limit the parts of the server may take to end.
const STOP_SLACK: Duration = Duration::from_secs(5);
/// Longest time for which the start waits for the DNS, where signing keys were just made.
const KEYS_LOOK_MAX: Duration = Duration::from_secs(10);
/// Longest time for which the first deliveries wait until it is known whether others would believe them.
const FIRST_LOOK_MAX: Duration = Duration::from_secs(60);
/// Longest wait for a command that works on the state.
const LOCK_TIMEOUT: Duration = Duration::from_secs(10);
/// Pause between looks at the lock.
const LOCK_PAUSE: Duration = Duration::from_millis(100);

/// Why the daemon did not start. `Display` says what to do.
#[derive(Debug)]
pub(crate) enum StartError {
    /// An address cannot be listened on.
    Bind(BindError),
    /// Another process has the state directory.
    InUse,
    Other(String),
}

impl fmt::Display for StartError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Bind(error) => error.fmt(f),
            Self::InUse => f.write_str(
                "another maddy runs on this state directory; stop it first, or give this one another state directory",
            ),
            Self::Other(sentence) => f.write_str(sentence),
        }
    }
}

impl std::error::Error for StartError {}

fn other(error: impl fmt::Display) -> StartError {
    StartError::Other(error.to_string())
}

/// By what means a daemon changes while it runs. None for one that does not, like the demo.
#[derive(Default)]
pub(crate) struct Means {
    /// The resolver of its world, which can be exchanged.
    pub(crate) dns: Option<Arc<Exchangeable>>,
    pub(crate) reloading: Option<Reloading>,
    /// What is counted of the events of this process.
    pub(crate) counts: Arc<Counts>,
    /// Sockets that the service manager has opened.
    pub(crate) inherited: Inherited,
    /// Sockets that root has bound already.
    pub(crate) sockets: Ready,
}

/// A daemon that runs.
pub(crate) struct Daemon {
    running: Arc<Running>,
    control: Arc<Control>,
    stopper: Stopper,
    tasks: Vec<(&'static str, JoinHandle<()>)>,
}

impl Daemon {
    /// Opens the state, binds everything and begins to serve. When this returns every socket listens.
    pub(crate) async fn start(config: Config, world: World, means: Means) -> Result<Self, StartError> {
        make_directory(config.state_dir())?;
        make_directory(&config.runtime_dir)?;
        let store = open_store(&config, &world).await?;
        match Self::start_with(config, world, means, store.clone()).await {
            Ok(daemon) => Ok(daemon),
            Err(error) => {
                store.close().await;
                Err(error)
            }
        }
    }

    async fn start_with(
        config: Config,
        world: World,
        means: Means,
        store: Store,
    ) -> Result<Self, StartError> {
        config.control.check().map_err(other)?;
        let (stopper, stop) = Stopper::new();
        let inherited = Arc::new(means.inherited);
        let ground = ground(&config, &world, &stop, inherited.clone(), means.sockets)?;
        let router = load_router(&config, &store, &world).await.map_err(other)?;
        let intake = Intake::new(Arc::new(router), store.clone(), world.clone());
        intake.set_signer(signer(&config, &world).await?);
        intake.set_sealing(config.dkim.seal);
        intake.set_reports(Some(report_reader(&config, &store, &world)));
        intake.counters().set(config.reports.sending);
        intake.counters().set_failures(config.reports.failures);
        intake.counters().tls().set(config.reports.sending, reload::reporter(&config));
        let pipeline = Pipeline::new(config.checks.clone(), config.hostname.clone(), world.clone())
            .for_domains(&config.domains);
        let desk = desk(&config, &world)?;
        let view = Arc::new(View {
            counts: means.counts,
            store: store.clone(),
            gate: ground.gate.clone(),
            keeper: ground.keeper.clone(),
            harms: ground.harms.clone(),
            intake: intake.clone(),
            since: world.clock.unix(),
            state_dir: config.state_dir().to_owned(),
            world: world.clone(),
        });
        let web = Website::new(&config, ground.tls.clone(), view.clone());
        let doors = Doors::new(&config, &store, &intake, &world, pipeline, desk, web).await;
        doors.judge().tell(ground.bans.clone());
        let listeners = Listeners::default();
        let change = listeners.prepare(&config, &ground).map_err(StartError::Bind)?;
        for (name, address) in inherited.left() {
            warn!(name, %address, "the service manager opens this socket, and no `listen` asks for it: nobody is served there");
        }
        let socket = control::bind(&config).map_err(|error| {
            other(format!("the control socket {} cannot be made: {error}", config.socket().display()))
        })?;

        let worker = Worker::new(config.delivery.clone(), intake.clone(), store.clone(), world.clone())
            .map_err(|error| other(format!("mail cannot go out: {error}")))?;
        let running =
            Arc::new(Running::new(config, ground, doors, listeners, intake, worker.handle(), means.dns));
        running.open(change).await;
        let beside = means.reloading.as_ref().map(Beside::of);
        let context = Context { store, world };
        let control = Arc::new(Control::new(context, running.clone(), means.reloading, view));
        let service = Arc::downgrade(&control);
        running.control_door().serve_for(service);
        let mut tasks = background(&running, worker, control.clone(), socket, &stop);
        if let Some(beside) = beside {
            tasks.extend(beside.begin(&running, &stop)?);
        }
        Ok(Self { running, control, stopper, tasks })
    }

    pub(crate) fn store(&self) -> &Store {
        self.running.store()
    }

    /// The control socket's operations, for reloads that come as a signal.
    pub(crate) fn control(&self) -> &Arc<Control> {
        &self.control
    }

    /// Stops in order: no new connections, sessions end at their next pause, deliveries end or give back their work, the
    /// store is closed. After the time limit what is left is cut off; nothing that was promised is lost by that.
    pub(crate) async fn stop(self) {
        let limit = Instant::now() + self.running.stop_timeout();
        info!("stopping");
        self.stopper.stop();
        if timeout_at(limit, self.running.drained()).await.is_err() {
            warn!(live = self.running.live(), "some sessions did not end in time");
        }
        for (name, mut task) in self.tasks {
            match timeout_at(limit + STOP_SLACK, &mut task).await {
                Ok(Ok(())) => {}
                Ok(Err(error)) => error!(task = name, %error, "a part of the server ended badly"),
                Err(_) => {
                    warn!(task = name, "a part of the server did not end in time");
                    task.abort();
                }
            }
        }
        self.running.store().close().await;
        info!("stopped");
    }
}

/// Begins what runs beside the listeners.
fn background(
    running: &Arc<Running>,
    worker: Worker,
    control: Arc<Control>,
    socket: LocalListener,
    stop: &Stop,
) -> Vec<(&'static str, JoinHandle<()>)> {
    let (looked, first_look) = oneshot::channel();
    let is_strict = running.asks_dns() && running.config().delivery.egress_auth == EgressAuth::Strict;
    let first_look = is_strict.then_some(first_look);
    let delivery = tokio::spawn(deliver(worker, first_look, stop.clone()));
    let certificates = tokio::spawn(running.tls().watch(stop.clone()));
    let keeper = Keeper::new(running.keeper().clone(), running.tls(), running.world().clone());
    let acme = tokio::spawn(keeper.run(stop.clone()));
    let until = stop.clone();
    let control = tokio::spawn(async move {
        if let Err(error) = web::serve(socket, control, until).await {
            error!(%error, "the control socket ended");
        }
    });
    let mut tasks =
        vec![("delivery", delivery), ("certificates", certificates), ("acme", acme), ("control", control)];
    tasks.push(("bans", tokio::spawn(bans::keep(running.clone(), stop.clone()))));
    if let Some(listener) = local::bind(&running.config()) {
        let serving = local::serve(listener, running.clone(), stop.clone());
        tasks.push(("sendmail", tokio::spawn(serving)));
    }
    if running.asks_dns() {
        let watch = sts::watch(running.clone(), running.world().clone(), stop.clone());
        tasks.push(("mta-sts", tokio::spawn(watch)));
        tasks.push(("self-check", tokio::spawn(selfcheck::watch(running.clone(), looked, stop.clone()))));
        tasks.push(("signing keys", tokio::spawn(keys::watch(running.clone(), stop.clone()))));
        let mut until = stop.clone();
        let reports = running.report_sender().run(async move { until.wait().await });
        tasks.push(("reports", tokio::spawn(reports)));
        let mut until = stop.clone();
        match running.tls_report_sender() {
            Ok(sender) => {
                let reports = sender.run(async move { until.wait().await });
                tasks.push(("tls-reports", tokio::spawn(reports)));
            }
            Err(error) => error!(%error, "no TLS reports can be sent"),
        }
    }
    tasks
}

/// Delivers; where nothing may go out that others would not believe, only when that is known.
async fn deliver(worker: Worker, first_look: Option<oneshot::Receiver<()>>, mut stop: Stop) {
    if let Some(looked) = first_look {
        tokio::select! {
            // That whoever looks has gone is an answer as well.
            _ = looked => {}
            () = stop.wait() => {}
            () = tokio::time::sleep(FIRST_LOOK_MAX) => {
                warn!("it is not known in time whether others would believe what is sent; it goes out");
            }
        }
    }
    worker.run(async move { stop.wait().await }).await;
}

/// Opens the state. A command that works on it without a daemon holds the lock for a moment only: that is waited for,
/// but not for another daemon.
async fn open_store(config: &Config, world: &World) -> Result<Store, StartError> {
    let patience = Instant::now() + LOCK_TIMEOUT;
    loop {
        match Store::open(config.storage.clone(), world.clone()).await {
            Ok(store) => return Ok(store),
            Err(storage::Error::Trouble(Trouble::InUse)) => {
                let another = web::call(&config.socket(), STATUS, &Value::Null).await.is_ok();
                if another || Instant::now() > patience {
                    return Err(StartError::InUse);
                }
                tokio::time::sleep(LOCK_PAUSE).await;
            }
            Err(error) => {
                let dir = config.state_dir().display();
                return Err(other(format!("the state directory {dir} cannot be opened: {error}")));
            }
        }
    }
}

pub(crate) async fn load_router(config: &Config, store: &Store, world: &World) -> storage::Result<Router> {
    let route = RouteConfig {
        hostname: config.hostname.clone(),
        local_domains: config.domains.clone(),
        aliases: config.aliases.clone(),
        subaddress: config.subaddress,
        postmaster: config.postmaster.clone(),
    };
    let router = Router::load(route, store.clone(), world.clone()).await?;
    Ok(router.with_exit(config.delivery.exit))
}

/// Who signs what our own users send; makes the keys that are missing, and says what to publish.
pub(crate) async fn signer(config: &Config, world: &World) -> Result<Option<Signer>, StartError> {
    if !config.dkim.signing.is_on() {
        return Ok(None);
    }
    let keyring = keys::keyring(config, world);
    let signer = read_signer(&keyring).await?;
    for record in signer.made() {
        info!(record = record.zone_line(), "a signing key was made: publish its record in the DNS");
    }
    if signer.made().is_empty() || !matches!(config.delivery.exit, Exit::Open) {
        return Ok(Some(signer));
    }
    // Where keys were lost with all that was known of them, the DNS still shows the old ones: what was made anew must not sign.
    match tokio::time::timeout(KEYS_LOOK_MAX, keyring.tend()).await {
        Ok(outcomes) => {
            let contradicted = |change: &&KeyChange| matches!(change.what, What::Contradicted(_));
            outcomes.iter().flatten().flatten().filter(contradicted).for_each(keys::log);
        }
        Err(_) => warn!("the DNS does not say in time whether it shows other signing keys than ours"),
    }
    read_signer(&keyring).await.map(Some)
}

async fn read_signer(keyring: &Keyring) -> Result<Signer, StartError> {
    let keyring = keyring.clone();
    tokio::task::spawn_blocking(move || keyring.signer()).await.map_err(other)?.map_err(other)
}

/// Who reads the reports that arrive.
pub(crate) fn report_reader(config: &Config, store: &Store, world: &World) -> ReportReader {
    ReportReader::new(config.reports.clone(), config.domains.clone(), store.clone(), world.clone())
}

/// Makes a directory that only we can read, if it is not there.
pub(crate) fn make_directory(path: &Path) -> Result<(), StartError> {
    use std::os::unix::fs::DirBuilderExt;
    std::fs::DirBuilder::new().recursive(true).mode(0o700).create(path).map_err(|error| {
        let path = path.display();
        other(format!("the directory {path} cannot be made: {error}; make it, and let this user write to it"))
    })
}

/// What the listeners stand on.
fn ground(
    config: &Config,
    world: &World,
    stop: &Stop,
    inherited: Arc<Inherited>,
    ready: Ready,
) -> Result<Ground, StartError> {
    let tls = ServerTls::from_files(&certificates::shown(config, world)?, world.clock.clone());
    let bans = bans::open(config, world);
    let keeper = KeeperHandle::default();
    keeper.set(certificates::plan(config));
    Ok(Ground {
        gate: Gate::guarded(config.limits, bans.clone()),
        bans,
        tls: tls.map_err(other)?,
        world: world.clone(),
        stop: stop.clone(),
        keeper,
        inherited,
        harms: sts::Harms::default(),
        ready,
    })
}

/// The way to filters outside of this program.
fn desk(config: &Config, world: &World) -> Result<Desk, StartError> {
    Ok(Desk::new(config.filters.clone(), Connector::new(world), fetcher(config, world)?))
}

/// The way to web servers.
pub(crate) fn fetcher(config: &Config, world: &World) -> Result<Fetcher, StartError> {
    let roots = config.delivery.ca_file.clone().map_or(Roots::WebPki, Roots::WebPkiAndFile);
    let tls = ClientTls::authenticated(&roots, world.clock.clone()).map_err(other)?;
    Ok(Fetcher::new(world.dns.clone(), Connector::new(world), tls))
}
