//! The queue at work: claims what is due, has it attempted, and writes down what came of it.

use crate::attempt::Courier;
use crate::config::Config;
use crate::equip::courier;
use crate::intake::Intake;
use crate::job::{Cut, Job, LEASE, Ran};
use crate::lanes::{Again, Contact, Lanes, Turn};
use crate::upkeep;
use crate::ways;
use net::TlsError;
use std::collections::{HashMap, HashSet};
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
/// Most claims that wait for their turn, over all destinations.
const WAITING_MAX: usize = 1000;
/// A clock that has run ahead of the time that went by so far, in seconds, has been set or has slept.
const LEAP: i64 = 60;
/// Shortest wait for a second look that may find the same.
const LOOK_AGAIN: Duration = Duration::from_secs(1);
/// So many times the attempts that a destination may have are claimed for it at once.
const AHEAD: usize = 2;
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
        let new = courier(config, &self.intake, &self.store, &self.world, &self.courier.borrow().validation)?;
        self.store.set_lanes(ways::lane_of(&new.config));
        self.courier.send_replace(Arc::new(new));
        Ok(())
    }
}

impl Worker {
    /// A worker that sends under these options. Fails if `ca-file` cannot be used.
    pub fn new(config: Config, intake: Intake, store: Store, world: World) -> Result<Self, TlsError> {
        let courier = courier(config, &intake, &store, &world, &Arc::default())?;
        store.set_lanes(ways::lane_of(&courier.config));
        let (sender, receiver) = watch::channel(Arc::new(courier));
        let handle =
            Handle { courier: sender, intake: intake.clone(), store: store.clone(), world: world.clone() };
        Ok(Self { intake, store, world, config: receiver, handle })
    }

    /// Changes the options while the worker runs.
    pub fn handle(&self) -> Handle {
        self.handle.clone()
    }

    /// What a clock that stood later has put off goes on.
    async fn heed_earlier_clock(&self) {
        match self.store.heed_earlier_clock(self.world.clock.unix(), LEASE).await {
            Ok(0) => {}
            Ok(recipients) => {
                info!(
                    recipients,
                    "the clock was set back: what was put off until later than it says is tried"
                )
            }
            Err(error) => error!(%error, "what waits for a time that was taken back cannot be hurried"),
        }
    }

    /// Works until `stop` is ready. Attempts that run then may go on for the time that `stop-grace` names; what they
    /// have not done by then is given back to the queue.
    pub async fn run(self, stop: impl Future<Output = ()> + Send) {
        match self.store.recover_queue().await {
            Ok(0) => {}
            Ok(claims) => info!(claims, "the queue goes on where it was left"),
            Err(error) => error!(%error, "the queue cannot be recovered"),
        }
        self.heed_earlier_clock().await;
        let (cut, cut_signal) = watch::channel(Cut::No);
        let mut shift = Shift {
            worker: &self,
            running: JoinSet::new(),
            tasks: HashMap::new(),
            lanes: Lanes::default(),
            revived: Vec::new(),
            hurries: self.store.hurries(),
            look_at: Instant::now(),
            clocks: (Instant::now(), self.world.clock.unix()),
            passed_over: HashSet::new(),
            cut: cut_signal,
        };
        upkeep::name_at_start(&self.store).await;
        // Ends with this value.
        let _upkeep = upkeep::start(&self.store, &self.world, &self.config);
        let mut bell = self.store.watch_queue();
        let mut options = self.config.clone();
        let mut stop = pin!(stop);
        loop {
            shift.look_if_it_helps().await;
            let look_at = shift.look_at;
            tokio::select! {
                biased;
                () = &mut stop => break,
                Some(ended) = shift.running.join_next_with_id() => shift.ended(ended),
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

/// The attempts under way.
struct Shift<'a> {
    worker: &'a Worker,
    running: JoinSet<Ran>,
    /// The destination of each task, and its claim.
    tasks: HashMap<tokio::task::Id, (String, Claim)>,
    lanes: Lanes<Claim>,
    /// Destinations that were down and have answered.
    revived: Vec<String>,
    /// How often an administrator had wanted everything tried at once at the last look.
    hurries: u64,
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
        if self.lanes.waiting() >= WAITING_MAX {
            return 0;
        }
        let Config { concurrency, per_destination, .. } = &courier.config;
        if courier.has_one_way() {
            // All go to one destination.
            let most = (1 + AHEAD) * concurrency.min(per_destination);
            return most.saturating_sub(self.running.len() + self.lanes.waiting());
        }
        concurrency.saturating_sub(self.running.len())
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
        self.follow_the_clock(courier).await;
        self.forgive_if_wanted(courier);
        self.hurry_what_waited().await;
        loop {
            let room = self.room(courier);
            if room == 0 {
                return Duration::ZERO;
            }
            let now = self.worker.world.clock.unix();
            let busy = self.lanes.busy(|destination| courier.terms(destination), now);
            self.passed_over = busy.iter().cloned().collect();
            if let Some(until) = courier.one_way().and_then(|name| self.lanes.closed_until(&name, now)) {
                // All would be put off one by one.
                return wait_until(until, now);
            }
            let store = &self.worker.store;
            let claims = match courier.has_one_way() {
                // One next host for all: what is one message to it is one transaction, whatever the domains.
                true => store.claim_due_whole(now, room, LEASE).await,
                false => {
                    store.claim_fairly(now, room, AHEAD * courier.config.per_destination, LEASE, &busy).await
                }
            };
            match claims {
                Ok(claims) if claims.is_empty() => return self.until_due(now, &busy).await,
                Ok(claims) => {
                    let wanted = claims.into_iter().filter_map(|claim| self.take(claim, courier)).count();
                    // To see that nothing more is due takes no transaction.
                    let busy = self.lanes.busy(|destination| courier.terms(destination), now);
                    let until = self.until_next(now, &busy).await;
                    // All for those who have enough: a route is new, and what was queued is being named by it.
                    if !until.is_zero() || wanted == 0 {
                        self.passed_over = busy.into_iter().collect();
                        return until.max(LOOK_AGAIN).min(self.until_open(now));
                    }
                }
                Err(error) => {
                    error!(%error, "the queue cannot be read");
                    return TROUBLE_WAIT;
                }
            }
        }
    }

    /// Leases end by a clock that can leap: forward by hours when a machine wakes or a clock is set. What is under way is held
    /// then, before it could be claimed and sent a second time. When it is set back, nothing waits for the time that was.
    async fn follow_the_clock(&mut self, courier: &Courier) {
        let now = self.worker.world.clock.unix();
        let (since, then) = std::mem::replace(&mut self.clocks, (Instant::now(), now));
        let leap = now.saturating_sub(then).saturating_sub_unsigned(since.elapsed().as_secs());
        if leap.abs() < LEAP {
            return;
        }
        info!(seconds = leap, "the clock leapt");
        for claim in self.claims() {
            match self.worker.store.renew(&claim, now, LEASE).await {
                // Settled meanwhile, or removed: nothing is left to hold.
                Ok(()) | Err(storage::Error::LeaseLost) => {}
                Err(error) => warn!(mail = claim.mail_id, %error, "the claim cannot be renewed"),
            }
        }
        if leap < 0 {
            self.lanes.forgive();
            courier.unreachable.forgive();
            courier.pace.forgive();
            self.worker.heed_earlier_clock().await;
        }
    }

    /// An administrator wants everything tried at once: what is known of hosts that did not answer counts no more.
    fn forgive_if_wanted(&mut self, courier: &Courier) {
        let hurries = self.worker.store.hurries();
        if std::mem::replace(&mut self.hurries, hurries) != hurries {
            self.lanes.forgive();
            courier.unreachable.forgive();
            courier.pace.forgive();
        }
    }

    /// What was put off while its destination was down is tried as soon as one attempt has got through.
    async fn hurry_what_waited(&mut self) {
        let now = self.worker.world.clock.unix();
        for destination in std::mem::take(&mut self.revived) {
            match self.worker.store.hurry_unreached(&destination, now).await {
                Ok(0) => {}
                Ok(recipients) => {
                    info!(
                        destination,
                        recipients, "the destination answers again: what waits for it is tried"
                    )
                }
                Err(error) => warn!(destination, %error, "what waits for a destination cannot be hurried"),
            }
        }
    }

    /// All that this process holds.
    fn claims(&self) -> Vec<Claim> {
        self.tasks.values().map(|(_, claim)| claim).chain(self.lanes.claims()).cloned().collect()
    }

    async fn until_due(&mut self, now: i64, busy: &[String]) -> Duration {
        let next = self.until_next(now, busy).await;
        // What is due and was not claimed cannot be: it is looked at again, and not in a circle.
        self.until_open(now).min(next.max(LOOK_AGAIN))
    }

    fn until_open(&mut self, now: i64) -> Duration {
        self.lanes.opens(now).map_or(LOOK_EVERY, |opens| wait_until(opens, now))
    }

    /// Until the next is due; no time at all if it is due now.
    async fn until_next(&self, now: i64, busy: &[String]) -> Duration {
        match self.worker.store.next_due_except(busy).await {
            Ok(Some(due)) if due <= now => Duration::ZERO,
            Ok(Some(due)) => wait_until(due, now),
            Ok(None) => LOOK_EVERY,
            Err(error) => {
                error!(%error, "the queue cannot be read");
                TROUBLE_WAIT
            }
        }
    }

    /// Starts a claim, or lets it wait for those before it. `None`: its destination had enough.
    fn take(&mut self, claim: Claim, courier: &Arc<Courier>) -> Option<()> {
        let destination = courier.destination(&claim);
        let (terms, now) = (courier.terms(&destination), self.worker.world.clock.unix());
        let is_wanted = !self.lanes.is_full(&destination, terms, now);
        if let Some((claim, since, turn)) = self.lanes.take(&destination, claim, terms, now) {
            self.start(claim, since, turn, destination, courier);
        }
        is_wanted.then_some(())
    }

    fn start(
        &mut self,
        claim: Claim,
        since: Instant,
        turn: Turn,
        destination: String,
        courier: &Arc<Courier>,
    ) {
        let span = tracing::info_span!("delivery", job = %claim.job);
        let job = Job {
            store: self.worker.store.clone(),
            intake: self.worker.intake.clone(),
            courier: courier.clone(),
            cut: self.cut.clone(),
        };
        // For those who keep what happens to a message; its own lines name it already.
        let mail = claim.mail_id.as_str();
        let traced = tracing::debug_span!(target: "delivery::trace", parent: &span, "traced", mail);
        let task =
            self.running.spawn(job.run(claim.clone(), since, turn).instrument(traced).instrument(span));
        self.tasks.insert(task.id(), (destination, claim));
    }

    /// Makes room for the next ones of the same destination.
    fn ended(&mut self, ended: Result<(tokio::task::Id, Ran), tokio::task::JoinError>) {
        let (id, ran) = match ended {
            Ok(ended) => ended,
            Err(failed) => {
                // The claim is not given back: after its lease it is tried again, and not at once in a circle.
                error!(%failed, "an attempt ended in a panic");
                (failed.id(), Ran { due: None, contact: Contact::None })
            }
        };
        let now = self.worker.world.clock.unix();
        if let Some(due) = ran.due {
            self.look_at = self.look_at.min(Instant::now() + wait_until(due, now));
        }
        let Some((destination, _)) = self.tasks.remove(&id) else { return };
        let courier = self.worker.config.borrow().clone();
        if self.lanes.ended(&destination, ran.contact, &courier.config.retry, now) == Again::Up {
            self.revived.push(destination.clone());
            self.look_at = Instant::now();
        }
        while let Some((next, since, turn)) = self.lanes.next(&destination, courier.terms(&destination), now)
        {
            self.start(next, since, turn, destination.clone(), &courier);
        }
        let is_full = self.lanes.is_full(&destination, courier.terms(&destination), now);
        self.lanes.leave(&destination, now);
        if !is_full && self.passed_over.contains(&destination) {
            self.look_at = Instant::now();
        }
    }

    /// Gives back what waits, and lets what runs come to its end for as long as `grace`.
    async fn finish(mut self, grace: Duration, cut: &watch::Sender<Cut>) {
        upkeep::give_back(&self.worker.store, self.lanes.drain()).await;
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
