//! From one configuration to the next while the server runs: all of it, or nothing.

use crate::admin::{DkimAnswer, DkimCall, dkim_carry_out};
use crate::bans;
use crate::certificates;
use crate::config::Config;
use crate::confine;
use crate::daemon::{load_router, report_reader, signer};
use crate::dns::Exchangeable;
use crate::doors::Doors;
use crate::keys;
use crate::listeners::{Change, Ground, Listeners};
use crate::logging::Logging;
use crate::login::Judge;
use crate::sts::Harms;
use delivery::Intake;
use delivery::owed::ReportSender;
use delivery::tls_report::{Reporter, TlsReportSender};
use guard::Programs;
use net::{Bans, ClientTls, Connector, Fetcher, KeeperHandle, Roots, ServerTls};
use policy::dkim::{KeyChange, KeyError};
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use storage::Store;
use tracing::{error, info, warn};
use web::Failure;
use world::{Resolver, SystemResolver, World};

/// What runs, with the configuration it runs by.
pub(crate) struct Running {
    config: Mutex<Config>,
    ground: Ground,
    doors: Doors,
    listeners: Mutex<Listeners>,
    intake: Intake,
    worker: delivery::Handle,
    /// `None`: the DNS is not asked, whatever the configuration says.
    dns: Option<Arc<Exchangeable>>,
    /// One reload at a time.
    turn: tokio::sync::Mutex<()>,
    /// One at a time changes the signing keys.
    keys: tokio::sync::Mutex<()>,
}

/// Why the old configuration stays.
#[derive(Debug)]
pub(crate) struct Refused(pub(crate) String);

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Refused {}

impl Running {
    pub(crate) fn new(
        config: Config,
        ground: Ground,
        doors: Doors,
        listeners: Listeners,
        intake: Intake,
        worker: delivery::Handle,
        dns: Option<Arc<Exchangeable>>,
    ) -> Self {
        Self {
            config: Mutex::new(config),
            ground,
            doors,
            listeners: Mutex::new(listeners),
            intake,
            worker,
            dns,
            turn: tokio::sync::Mutex::new(()),
            keys: tokio::sync::Mutex::new(()),
        }
    }

    /// Accepts connections on the sockets of a change.
    pub(crate) async fn open(&self, change: Change) {
        let closing = self.listeners().apply(change, |door| self.doors.serve(door));
        for socket in closing {
            socket.close().await;
        }
    }

    /// Takes over another configuration. Everything that can fail is done first; when something does, nothing has
    /// changed. Connections stay as they are.
    pub(crate) async fn reload(&self, new: Config, logging: Option<&Logging>) -> Result<(), Refused> {
        let _turn = self.turn.lock().await;
        let old = self.config();
        refuse_what_needs_a_restart(&old, &new)?;
        new.control.check().map_err(Refused)?;
        let dns = self.new_resolver(&old, &new)?;
        let change =
            self.listeners().prepare(&new, &self.ground).map_err(|error| Refused(error.to_string()))?;
        let router = load_router(&new, self.store(), &self.ground.world)
            .await
            .map_err(|error| Refused(format!("the database cannot be asked: {error}")))?;
        let _keys = self.keys.lock().await;
        let signer = signer(&new, &self.ground.world).await.map_err(|error| Refused(error.to_string()))?;
        let files =
            certificates::shown(&new, &self.ground.world).map_err(|error| Refused(error.to_string()))?;
        // First, so that a certificate that comes at this moment does not take the place of the new ones.
        self.ground.keeper.set(certificates::plan(&new));
        if let Err(error) = self.ground.tls.replace(&files) {
            self.ground.keeper.set(certificates::plan(&old));
            return Err(Refused(error.to_string()));
        }
        let old_router = self.intake.router();
        self.intake.set_router(Arc::new(router));
        if let Err(error) = self.worker.set_config(new.delivery.clone()) {
            self.intake.set_router(old_router);
            self.restore_certificates(&old);
            return Err(Refused(error.to_string()));
        }

        if let (Some(place), Some(resolver)) = (&self.dns, dns) {
            place.set(resolver);
        }
        self.store().set_configured_quota(new.storage.quota);
        self.store().set_configured_sending(new.storage.sending);
        self.intake.set_signer(signer);
        self.intake.set_sealing(new.dkim.seal);
        self.intake.set_reports(Some(report_reader(&new, self.store(), self.world())));
        self.intake.counters().set(new.reports.sending);
        self.intake.counters().set_failures(new.reports.failures);
        self.intake.counters().tls().set(new.reports.sending, reporter(&new));
        self.ground.gate.set(new.limits);
        self.bans().set(bans::options(&new));
        self.doors.change(&new);
        self.open(change).await;
        if let Some(logging) = logging
            && !logging.change(new.log)
        {
            warn!("another log format needs a restart");
        }
        *self.config.lock().unwrap_or_else(PoisonError::into_inner) = new;
        info!("the configuration was read again");
        Ok(())
    }

    /// One look after the signing keys; what signs from then on signs the next message.
    pub(crate) async fn tend_keys(&self) -> Vec<Result<Vec<KeyChange>, KeyError>> {
        let _keys = self.keys.lock().await;
        let config = self.config();
        let outcomes = keys::keyring(&config, self.world()).tend().await;
        if keys::move_signing(&outcomes) {
            self.renew_signer(&config).await;
        }
        outcomes
    }

    /// Changes the signing keys as somebody asks for it.
    pub(crate) async fn change_keys(&self, call: DkimCall) -> Result<DkimAnswer, Failure> {
        let _keys = self.keys.lock().await;
        let config = self.config();
        let (answer, changes) = dkim_carry_out(call, &keys::keyring(&config, self.world())).await?;
        keys::publish(&config, self.world(), &changes, &mut keys::Reminders::default()).await;
        changes.iter().for_each(keys::log);
        if keys::move_signing(&[Ok(changes)]) {
            self.renew_signer(&config).await;
        }
        Ok(answer)
    }

    /// Signs with the keys as they are on the disk. Trouble leaves the old signer, whose keys are still published.
    async fn renew_signer(&self, config: &Config) {
        match signer(config, self.world()).await {
            Ok(signer) => self.intake.set_signer(signer),
            Err(error) => error!(%error, "the old DKIM keys go on signing"),
        }
    }

    /// Goes back to the certificates that were in use a moment ago.
    fn restore_certificates(&self, old: &Config) {
        self.ground.keeper.set(certificates::plan(old));
        let files = certificates::shown(old, &self.ground.world);
        if let Err(error) = files.map(|files| self.ground.tls.replace(&files)) {
            warn!(%error, "the certificates of the old configuration cannot be read any more");
        }
    }

    fn new_resolver(&self, old: &Config, new: &Config) -> Result<Option<Arc<dyn Resolver>>, Refused> {
        if self.dns.is_none() || old.dns == new.dns {
            return Ok(None);
        }
        Ok(Some(Arc::new(SystemResolver::new(&new.dns).map_err(Refused)?)))
    }

    pub(crate) fn config(&self) -> Config {
        self.config.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn listeners(&self) -> MutexGuard<'_, Listeners> {
        self.listeners.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn stop_timeout(&self) -> Duration {
        self.config().stop_timeout
    }

    /// Whether the DNS may be asked.
    pub(crate) fn asks_dns(&self) -> bool {
        self.dns.is_some()
    }

    pub(crate) fn world(&self) -> &World {
        &self.ground.world
    }

    /// Who sends the reports that we owe, in the name of the first of our domains at the start.
    pub(crate) fn report_sender(&self) -> ReportSender {
        let config = self.config();
        ReportSender {
            intake: self.intake.clone(),
            store: self.store().clone(),
            world: self.world().clone(),
            domain: config.domains.into_iter().next().unwrap_or(config.hostname),
        }
    }

    /// Who sends the TLS reports that we owe.
    pub(crate) fn tls_report_sender(&self) -> Result<TlsReportSender, net::TlsError> {
        let (config, world) = (self.config(), self.world().clone());
        let roots = config.delivery.ca_file.map_or(Roots::WebPki, Roots::WebPkiAndFile);
        let tls = ClientTls::opportunistic(&roots, world.clock.clone())?;
        let fetcher = Fetcher::new(world.dns.clone(), Connector::new(&world), tls);
        Ok(TlsReportSender::new(self.intake.clone(), self.store().clone(), world, fetcher))
    }

    pub(crate) fn tls(&self) -> ServerTls {
        self.ground.tls.clone()
    }

    /// What is known of the MTA-STS policies of our domains.
    pub(crate) fn harms(&self) -> &Harms {
        &self.ground.harms
    }

    pub(crate) fn keeper(&self) -> &KeeperHandle {
        &self.ground.keeper
    }

    pub(crate) fn intake(&self) -> &Intake {
        &self.intake
    }

    /// The door for programs elsewhere that look after the server.
    pub(crate) fn control_door(&self) -> &web::ControlDoor {
        self.doors.control()
    }

    pub(crate) fn judge(&self) -> &Judge {
        self.doors.judge()
    }

    pub(crate) fn store(&self) -> &Store {
        self.doors.store()
    }

    /// Who is not let in.
    pub(crate) fn bans(&self) -> &Bans {
        &self.ground.bans
    }

    /// Connections that live.
    pub(crate) fn live(&self) -> usize {
        self.ground.gate.live()
    }

    /// Waits until no connection lives.
    pub(crate) async fn drained(&self) {
        self.ground.gate.drained().await;
    }
}

fn refuse_what_needs_a_restart(old: &Config, new: &Config) -> Result<(), Refused> {
    // What accounts may keep and send can change while the server runs.
    let limits = (old.storage.quota, old.storage.sending);
    let storage = storage::Config { quota: limits.0, sending: limits.1, ..new.storage.clone() };
    let changed = [
        ("state-dir", old.storage.dir != new.storage.dir),
        ("runtime-dir", old.runtime_dir != new.runtime_dir),
        ("sendmail socket", old.sendmail_socket() != new.sendmail_socket()),
        ("sendmail enabled", old.sendmail.offered != new.sendmail.offered),
        ("user", old.user != new.user),
        ("sandbox", old.sandbox != new.sandbox),
        (
            "the first program to run",
            confine::programs(old) != confine::programs(new) && confine::programs(new) == Programs::Some,
        ),
        ("storage", old.storage != storage),
    ];
    match changed.iter().find(|(_, differs)| *differs) {
        Some((name, _)) => Err(Refused(format!(
            "`{name}` has changed, which needs a restart; nothing of the new file is used"
        ))),
        None => Ok(()),
    }
}

/// Where reports are sent by POST.
const HTTPS: u16 = 443;

/// Who tells others how connections to them fared.
pub(crate) fn reporter(config: &Config) -> Reporter {
    Reporter {
        domain: config.domains.first().unwrap_or(&config.hostname).clone(),
        organization: config.reports.organization.clone(),
        contact: config.reports.contact.clone(),
        reach: config.delivery.tls.reach(HTTPS),
    }
}
