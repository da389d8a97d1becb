//! The queue at work: claims what is due, has it attempted, and writes down what came of it.

use crate::attempt::Courier;
use crate::config::Config;
use crate::intake::Intake;
use crate::job::{Cut, Job, LEASE};
use crate::pool::Pool;
use crate::protect::TlsChoice;
use crate::sts::{REFRESH_PERIOD, StsPolicies};
use crate::unreachable::Unreachable;
use mail::Domain;
use net::{ClientTls, Connector, Fetcher, Roots, TlsError};
use std::collections::{HashMap, HashSet, VecDeque};
use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;
use storage::{Claim, Store};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::Instant;
use tracing::{Instrument, error, info, warn};
use world::World;

/// Longest wait without a look at the queue, in case the clock of the system is set.
const LOOK_EVERY: Duration = Duration::from_secs(60);
/// The queue is looked at when one in so many places is free.
const LOOK_FOR_A_PART: usize = 4;
/// A clock that has run ahead of the time that went by so far, in seconds, has been set or has slept.
const LEAP: i64 = 60;
/// How often attempts are forgotten that were made too long ago.
const FORGET_EVERY: Duration = Duration::from_secs(3600);
/// Wait after trouble with the store.
const TROUBLE_WAIT: Duration = Duration::from_secs(5);

/// Delivers what waits in the queue.
pub struct Worker {
    intake: Intake,
    store: Store,
    world: World,
    config: watch::Receiver<Arc<Courier>>,
    handle: Handle,
}

/// Changes the options of a running worker. Cloning is cheap.
#[derive(Clone)]
pub struct Handle {
    courier: watch::Sender<Arc<Courier>>,
    intake: Intake,
    store: Store,
    world: World,
}

impl Handle {
    /// New options, for attempts from now on. On an error the old ones stay.
    pub fn set_config(&self, config: Config) -> Result<(), TlsError> {
        let courier = courier(config, &self.intake, &self.store, &self.world)?;
        self.courier.send_replace(Arc::new(courier));
        Ok(())
    }
}

fn courier(config: Config, intake: &Intake, store: &Store, world: &World) -> Result<Courier, TlsError> {
    let roots = config.ca_file.clone().map_or(Roots::WebPki, Roots::WebPkiAndFile);
    let tls = TlsChoice {
        opportunistic: ClientTls::opportunistic(&roots, world.clock.clone())?,
        authenticated: ClientTls::authenticated(&roots, world.clock.clone())?,
    };
    let mut connector = Connector::new(world).patience(config.connect_timeout);
    for ip in &config.source_addresses {
        connector = connector.source(*ip);
    }
    let sts = config.tls.mta_sts.then(|| {
        let fetcher = Fetcher::new(world.dns.clone(), connector.clone(), tls.authenticated.clone());
        Arc::new(StsPolicies::new(store.clone(), world.clone(), fetcher, config.tls.policy_port))
    });
    let us = intake.router().hostname().clone();
    let hello = config.hostname.clone().unwrap_or_else(|| us.clone());
    let unreachable = Unreachable::new(config.retry.first);
    Ok(Courier {
        config,
        connector,
        tls,
        sts,
        seen: intake.counters().tls().clone(),
        hello,
        us,
        pool: Pool::default(),
        unreachable,
        world: world.clone(),
    })
}

impl Worker {
    /// A worker that sends under these options. Fails if `ca-file` cannot be used.
    pub fn new(config: Config, intake: Intake, store: Store, world: World) -> Result<Self, TlsError> {
        let courier = courier(config, &intake, &store, &world)?;
        let (sender, receiver) = watch::channel(Arc::new(courier));
        let handle =
            Handle { courier: sender, intake: intake.clone(), store: store.clone(), world: world.clone() };
        Ok(Self { intake, store, world, config: receiver, handle })
    }

    /// Changes the options while the worker runs.
    pub fn handle(&self) -> Handle {
        self.handle.clone()
    }

    /// Works until `stop` is ready. Attempts that run then may go on for the time that `stop-grace` names; what they
    /// have not done by then is given back to the queue.
    pub async fn run(self, stop: impl Future<Output = ()> + Send) {
        match self.store.recover_queue().await {
            Ok(0) => {}
            Ok(claims) => info!(claims, "the queue goes on where it was left"),
            Err(error) => error!(%error, "the queue cannot be recovered"),
        }
        let (cut, cut_signal) = watch::channel(Cut::No);
        let mut shift = Shift {
            worker: &self,
            running: JoinSet::new(),
            tasks: HashMap::new(),
            lanes: HashMap::new(),
            look_at: Instant::now(),
            clocks: (Instant::now(), self.world.clock.unix()),
            passed_over: HashSet::new(),
            cut: cut_signal,
        };
        let mut refreshing = JoinSet::new();
        refreshing.spawn(refresh_policies(self.config.clone()));
        let mut bell = self.store.watch_queue();
        let mut options = self.config.clone();
        let mut stop = pin!(stop);
        let mut forgetting = pin!(self.forget_attempts());
        loop {
            shift.look_if_it_helps().await;
            let look_at = shift.look_at;
            tokio::select! {
                biased;
                () = &mut stop => break,
                Some(ended) = shift.running.join_next_with_id() => shift.ended(ended),
                () = &mut forgetting => {}
                _ = bell.changed() => shift.look_at = Instant::now(),
                _ = options.changed() => shift.look_at = Instant::now(),
                () = tokio::time::sleep_until(look_at), if shift.has_room() => {}
            }
        }
        let courier = self.config.borrow().clone();
        shift.finish(courier.config.stop_grace, &cut).await;
        courier.pool.clear().await;
    }
}

impl Worker {
    /// From time to time forgets what attempts came to that were made too long ago. Never ends.
    async fn forget_attempts(&self) {
        loop {
            let keep = self.config.borrow().config.keep_attempts;
            let before = self.world.clock.unix().saturating_sub_unsigned(keep.as_secs());
            loop {
                match self.store.forget_attempts(before).await {
                    Ok(0) => break,
                    Ok(_) => tokio::task::yield_now().await,
                    Err(error) => {
                        warn!(%error, "old attempts cannot be forgotten");
                        break;
                    }
                }
            }
            tokio::time::sleep(FORGET_EVERY).await;
        }
    }
}

/// Keeps the MTA-STS policies of destinations fresh, for ever.
async fn refresh_policies(courier: watch::Receiver<Arc<Courier>>) {
    loop {
        let sts = courier.borrow().sts.clone();
        if let Some(sts) = sts {
            sts.refresh().await;
        }
        tokio::time::sleep(REFRESH_PERIOD).await;
    }
}

/// What goes to one destination at the moment.
#[derive(Default)]
struct Lane {
    running: usize,
    /// Claimed, but more than may run at the same time. While there are any, no more are claimed for the destination.
    waiting: VecDeque<(Claim, Instant)>,
}

/// The attempts under way.
struct Shift<'a> {
    worker: &'a Worker,
    /// Each gives the time at which its first recipient is due again.
    running: JoinSet<Option<i64>>,
    /// The destination of each task, and its claim.
    tasks: HashMap<tokio::task::Id, (String, Claim)>,
    lanes: HashMap<String, Lane>,
    /// When the queue may have something new.
    look_at: Instant,
    /// The time of the last look, by the clock that nobody sets and by the other.
    clocks: (Instant, i64),
    /// Destinations that were left alone at the last look, because they had enough.
    passed_over: HashSet<String>,
    cut: watch::Receiver<Cut>,
}

impl Shift<'_> {
    /// How many more attempts may run.
    fn room(&self, courier: &Courier) -> usize {
        let Config { concurrency, per_destination, smarthost, .. } = &courier.config;
        let most = if smarthost.is_some() { *concurrency.min(per_destination) } else { *concurrency };
        most.saturating_sub(self.running.len())
    }

    /// Whether there is room enough for a look at the queue. A look is a transaction of the one writer: it is not made for a
    /// single place when many are taken.
    fn has_room(&self) -> bool {
        let room = self.room(&self.worker.config.borrow());
        room > 0 && room * LOOK_FOR_A_PART >= room + self.running.len()
    }

    /// Looks at the queue if there may be something, and room for it.
    async fn look_if_it_helps(&mut self) {
        if Instant::now() >= self.look_at && self.has_room() {
            let courier = self.worker.config.borrow().clone();
            self.look_at = Instant::now() + self.fill(&courier).await;
        }
    }

    /// Claims as much as there is room for. Gives how long to wait for more.
    async fn fill(&mut self, courier: &Arc<Courier>) -> Duration {
        self.hold_on_if_the_clock_leapt().await;
        loop {
            let room = self.room(courier);
            if room == 0 {
                return Duration::ZERO;
            }
            let busy = self.busy(courier);
            self.passed_over = busy.iter().map(Domain::to_string).collect();
            let now = self.worker.world.clock.unix();
            let store = &self.worker.store;
            let claims = match courier.config.smarthost {
                // One next host for all: what is one message to it is one transaction, whatever the domains.
                Some(_) => store.claim_due_whole(now, room, LEASE).await,
                None => store.claim_due_except(now, room, LEASE, &busy).await,
            };
            match claims {
                Ok(claims) if claims.is_empty() => return self.until_due(now, &busy).await,
                Ok(claims) => claims.into_iter().for_each(|claim| self.take(claim, courier)),
                Err(error) => {
                    error!(%error, "the queue cannot be read");
                    return TROUBLE_WAIT;
                }
            }
        }
    }

    /// Leases end by a clock that can leap: forward by hours when a machine wakes or a clock is set. What is under way is held
    /// then, before it could be claimed and sent a second time.
    async fn hold_on_if_the_clock_leapt(&mut self) {
        let now = self.worker.world.clock.unix();
        let (since, then) = std::mem::replace(&mut self.clocks, (Instant::now(), now));
        let leap = now.saturating_sub(then).saturating_sub_unsigned(since.elapsed().as_secs());
        if leap < LEAP {
            return;
        }
        info!(seconds = leap, "the clock leapt forward");
        for claim in self.claims() {
            match self.worker.store.renew(&claim, now, LEASE).await {
                // Settled meanwhile, or removed: nothing is left to hold.
                Ok(()) | Err(storage::Error::LeaseLost) => {}
                Err(error) => warn!(mail = claim.mail_id, %error, "the claim cannot be renewed"),
            }
        }
    }

    /// All that this process holds.
    fn claims(&self) -> Vec<Claim> {
        let waiting = self.lanes.values().flat_map(|lane| &lane.waiting).map(|(claim, _)| claim);
        self.tasks.values().map(|(_, claim)| claim).chain(waiting).cloned().collect()
    }

    /// Domains that have as many attempts under way as they may have.
    fn busy(&self, courier: &Courier) -> Vec<Domain> {
        let is_full =
            |lane: &Lane| lane.running >= courier.config.per_destination || !lane.waiting.is_empty();
        let full = self.lanes.iter().filter(|(_, lane)| is_full(lane));
        full.filter_map(|(destination, _)| Domain::parse(destination).ok()).collect()
    }

    async fn until_due(&self, now: i64, busy: &[Domain]) -> Duration {
        match self.worker.store.next_due_except(busy).await {
            Ok(Some(due)) => wait_until(due, now),
            Ok(None) => LOOK_EVERY,
            Err(error) => {
                error!(%error, "the queue cannot be read");
                TROUBLE_WAIT
            }
        }
    }

    /// Starts a claim, or lets it wait for those before it.
    fn take(&mut self, claim: Claim, courier: &Arc<Courier>) {
        let destination = courier.destination(&claim.domain);
        let lane = self.lanes.entry(destination.clone()).or_default();
        if lane.running >= courier.config.per_destination {
            lane.waiting.push_back((claim, Instant::now()));
        } else {
            lane.running += 1;
            self.start(claim, Instant::now(), destination, courier);
        }
    }

    fn start(&mut self, claim: Claim, since: Instant, destination: String, courier: &Arc<Courier>) {
        let span = tracing::info_span!("delivery", job = %claim.job);
        let job = Job {
            store: self.worker.store.clone(),
            intake: self.worker.intake.clone(),
            courier: courier.clone(),
            cut: self.cut.clone(),
        };
        let task = self.running.spawn(job.run(claim.clone(), since).instrument(span));
        self.tasks.insert(task.id(), (destination, claim));
    }

    /// Makes room for the next one of the same destination.
    fn ended(&mut self, ended: Result<(tokio::task::Id, Option<i64>), tokio::task::JoinError>) {
        let (id, due) = match ended {
            Ok(ended) => ended,
            Err(failed) => {
                // The claim is not given back: after its lease it is tried again, and not at once in a circle.
                error!(%failed, "an attempt ended in a panic");
                (failed.id(), None)
            }
        };
        if let Some(due) = due {
            let wait = wait_until(due, self.worker.world.clock.unix());
            self.look_at = self.look_at.min(Instant::now() + wait);
        }
        let Some((destination, _)) = self.tasks.remove(&id) else { return };
        let Some(lane) = self.lanes.get_mut(&destination) else { return };
        if let Some((claim, since)) = lane.waiting.pop_front() {
            let courier = self.worker.config.borrow().clone();
            return self.start(claim, since, destination, &courier);
        }
        lane.running -= 1;
        if lane.running == 0 {
            self.lanes.remove(&destination);
        }
        if self.passed_over.contains(&destination) {
            self.look_at = Instant::now();
        }
    }

    /// Gives back what waits, and lets what runs come to its end for as long as `grace`.
    async fn finish(mut self, grace: Duration, cut: &watch::Sender<Cut>) {
        for (claim, _) in self.lanes.drain().flat_map(|(_, lane)| lane.waiting) {
            if let Err(error) = self.worker.store.release(claim).await {
                warn!(%error, "a claim could not be given back; it will be free when its lease ends");
            }
        }
        let all = async { while self.running.join_next().await.is_some() {} };
        if tokio::time::timeout(grace, all).await.is_err() {
            warn!(attempts = self.running.len(), "running attempts are cut short");
            cut.send_replace(Cut::Now);
            while self.running.join_next().await.is_some() {}
        }
    }
}

/// From a time of the queue to a wait: at least a second, at most [`LOOK_EVERY`].
fn wait_until(due: i64, now: i64) -> Duration {
    let wait = Duration::from_secs(u64::try_from(due.saturating_sub(now)).unwrap_or(0));
    wait.clamp(Duration::from_secs(1), LOOK_EVERY)
}
