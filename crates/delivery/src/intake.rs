//! The way in: from a whole message with its envelope to rows that are on the disk.

pub use crate::arrival::Arrival;
use crate::bounce::{About, Writer};
use crate::daily;
use crate::draft::{Draft, Look};
use crate::failed::Failed;
use crate::lines::Lines;
use crate::owed::Counters;
use crate::plan::Plan;
use crate::refusal;
use crate::reports::ReportReader;
use crate::route::{Resolved, Target};
use crate::router::Router;
use crate::selfcheck::Report;
use mail::dsn;
use mail::{Mail, Message, Reply, ReversePath, Status, header, mime, trace};
use policy::Switch;
use policy::dkim::Signer;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, PoisonError, RwLock};
use storage::{Acceptance, Error, Folder, Shape, Space, SpecialUse, Store};
use tokio::sync::Semaphore;
use tracing::{error, info, warn};
use world::World;

/// Messages that are looked at by blocking threads at the same time; the others wait their turn.
const LOOKS_MAX: usize = 8;
/// A message up to this many octets is looked at on the spot: handing it over would take longer.
const LOOK_HERE_MAX: u64 = 16 * 1024;
/// Largest message that a notice made at the door carries whole, in octets.
const NOTICE_FULL_MAX: u64 = 256 * 1024;

/// Takes messages that the doors have accepted. Cloning is cheap.
#[derive(Clone)]
pub struct Intake {
    inner: Arc<Inner>,
}

struct Inner {
    router: RwLock<Arc<Router>>,
    signer: RwLock<Option<Signer>>,
    /// Whether what is handed on is sealed.
    seals: AtomicBool,
    /// Whether others would believe what we send, as far as it is known.
    self_check: RwLock<Arc<Report>>,
    reports: RwLock<Option<ReportReader>>,
    counters: Counters,
    store: Store,
    world: World,
    looks: Semaphore,
}

/// What was promised.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Accepted {
    /// Mailboxes that have it.
    pub local: usize,
    /// Remote recipients that it waits for.
    pub remote: usize,
}

/// Whether a look takes in the MIME structure, which only mailboxes need.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Depth {
    Header,
    Structure,
}

impl Intake {
    pub fn new(router: Arc<Router>, store: Store, world: World) -> Self {
        let looks = Semaphore::new(LOOKS_MAX);
        let (router, signer, reports) = (RwLock::new(router), RwLock::new(None), RwLock::new(None));
        Self {
            inner: Arc::new(Inner {
                router,
                signer,
                seals: AtomicBool::new(true),
                self_check: RwLock::default(),
                reports,
                counters: Counters::default(),
                store,
                world,
                looks,
            }),
        }
    }

    /// The rules by which messages are taken at the moment.
    pub fn router(&self) -> Arc<Router> {
        self.inner.router.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// New rules, for messages from now on.
    pub fn set_router(&self, router: Arc<Router>) {
        *self.inner.router.write().unwrap_or_else(PoisonError::into_inner) = router;
    }

    /// Who signs from now on what we and our own senders write; `None`: nobody.
    pub fn set_signer(&self, signer: Option<Signer>) {
        *self.inner.signer.write().unwrap_or_else(PoisonError::into_inner) = signer;
    }

    /// What a look at our own records has found.
    pub fn set_self_check(&self, report: Arc<Report>) {
        *self.inner.self_check.write().unwrap_or_else(PoisonError::into_inner) = report;
    }

    /// The last look at our own records; empty before the first.
    pub fn self_check(&self) -> Arc<Report> {
        self.inner.self_check.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Whether strangers' mail that an alias sends on is sealed from now on (ARC), where there is a signer.
    pub fn set_sealing(&self, seal: Switch) {
        self.inner.seals.store(seal.is_on(), Ordering::Relaxed);
    }

    /// Who reads from now on the reports that arrive for our own users; `None`: nobody.
    pub fn set_reports(&self, reader: Option<ReportReader>) {
        *self.inner.reports.write().unwrap_or_else(PoisonError::into_inner) = reader;
    }

    pub(crate) fn store(&self) -> &Store {
        &self.inner.store
    }

    /// Seconds since 1970.
    pub(crate) fn now(&self) -> i64 {
        self.inner.world.clock.unix()
    }

    pub(crate) fn random_word(&self, letters: usize) -> String {
        self.inner.world.random.word(letters)
    }

    /// What counts judged messages for the reports that we owe.
    pub fn counters(&self) -> &Counters {
        &self.inner.counters
    }

    /// Puts our signatures in front of a message of ours, if its author's domain is one that we sign for. Nothing may
    /// stand between this and [`Intake::accept`] that changes the message. An error is trouble of our own disk.
    pub async fn sign(&self, message: &mut Message) -> Result<(), Reply> {
        let signer = self.inner.signer.read().unwrap_or_else(PoisonError::into_inner).clone();
        let Some(signer) = signer else { return Ok(()) };
        let fields = signer.sign(message).await.map_err(|cause| {
            error!(%cause, "the message cannot be signed");
            refusal::of_disk(&cause)
        })?;
        for field in fields {
            message.prepend(&field);
        }
        Ok(())
    }

    /// Writes the message for all its recipients, local and remote, in one transaction, together with the notices that its
    /// sender asked for. `Ok` means that the commit is flushed: it may be promised. An error is what the peer hears.
    ///
    /// The door has added its Received field; Return-Path and Delivered-To are added here, for each recipient its own.
    pub async fn accept(&self, mail: Mail, arrival: Arrival) -> Result<Accepted, Reply> {
        let mut full = Vec::new();
        let mut again = true;
        loop {
            match self.try_accept(&mail, &arrival, &full).await {
                // An account went between the look and the write: the second look knows.
                Err(Failed::Store(Error::NoSuchAccount(_))) if again => again = false,
                Err(Failed::Store(Error::SendingLimit(exceeded))) => {
                    if let Some(debit) = &arrival.debit {
                        self.limit_was_reached(&exceeded, debit).await;
                    }
                    return Err(daily::refusal(&exceeded, self.now()));
                }
                // The others get it. Each account is left out once.
                Err(Failed::Store(Error::OverQuota(account))) if !full.contains(&account) => {
                    full.push(account)
                }
                other => return other.map_err(|failed| failed.reply(&arrival.id)),
            }
        }
    }

    /// `full` are accounts that were found to have no room.
    async fn try_accept(&self, mail: &Mail, arrival: &Arrival, full: &[String]) -> Result<Accepted, Failed> {
        let mut draft = self.draft(mail, arrival).await?;
        // Nobody gets it: then it can wait where it is.
        if let Some(account) = full.last()
            && draft.is_only_for(full)
        {
            return Err(Failed::Store(Error::OverQuota(account.clone())));
        }
        let left_out = draft.leave_out(mail, full);
        let mut notice = self.notice_at_the_door(mail, arrival, &draft).await?;
        if left_out && notice.is_none() {
            // There is nobody who could be told: what is promised to them must not be lost.
            draft = self.draft(mail, arrival).await?;
            draft.grant(full);
            notice = self.notice_at_the_door(mail, arrival, &draft).await?;
        }
        let accepted = Accepted { local: draft.acceptance.filings.len(), remote: draft.remote };
        if accepted.local + accepted.remote == 0 {
            let reply = draft.refused.pop().map_or_else(nobody, |refused| refused.reply);
            return Err(Failed::Refused(reply));
        }
        let lines = Lines::of(&draft, notice.as_ref());
        let header = std::mem::take(&mut draft.header);
        draft.acceptance.charge = arrival.debit.as_ref().map(|debit| debit.charge(&mail.envelope));
        let mut acceptances = vec![draft.acceptance];
        acceptances.extend(notice);
        self.inner.store.accept_all(acceptances).await.map_err(Failed::Store)?;
        lines.log(mail, arrival, &self.inner.world.meter);
        if accepted.local > 0 {
            let reader = self.inner.reports.read().unwrap_or_else(PoisonError::into_inner).clone();
            if let Some(reader) = reader {
                reader.offer(mail, &header, arrival);
            }
        }
        Ok(accepted)
    }

    /// Plans a message and lays out its rows; nothing is written.
    pub(crate) async fn draft(&self, mail: &Mail, arrival: &Arrival) -> Result<Draft, Failed> {
        let router = self.router();
        let mut plan = router.plan(&mail.envelope).await.map_err(Failed::Refused)?;
        if arrival.folder == Folder::Special(SpecialUse::Junk) {
            self.keep_at_home(&mut plan, arrival).await.map_err(Failed::Refused)?;
        }
        let depth = if plan.local.is_empty() { Depth::Header } else { Depth::Structure };
        let look = self.look(&mail.message, depth).await?;
        let hops = trace::hops(&mail.message.added) + trace::hops(&look.header);
        if hops > trace::HOPS_MAX {
            return Err(Failed::Refused(refusal::too_many_hops()));
        }
        let sealed = self.seal(&mail.message, &plan).await.map_err(Failed::Refused)?;
        let now = self.inner.world.clock.unix();
        Ok(Draft::lay_out(mail, arrival, plan, Look { sealed, ..look }, now))
    }

    /// The ARC set of a stranger's message that an address of ours sends on; empty where there is nothing to seal.
    async fn seal(&self, message: &Message, plan: &Plan) -> Result<Vec<String>, Reply> {
        let Some(via) = plan.remote.iter().find_map(|remote| remote.via.as_ref()) else {
            return Ok(Vec::new());
        };
        let signer = self.inner.signer.read().unwrap_or_else(PoisonError::into_inner).clone();
        let Some(signer) = signer.filter(|_| self.inner.seals.load(Ordering::Relaxed)) else {
            return Ok(Vec::new());
        };
        let router = self.router();
        let set = signer.seal(message, router.hostname(), via.domain()).await.map_err(|cause| {
            error!(%cause, "the message cannot be sealed");
            refusal::of_disk(&cause)
        })?;
        Ok(set.map_or_else(Vec::new, Vec::from))
    }

    /// What is suspicious is not sent on in our name. Where an alias leads elsewhere only, postmaster gets it, in Junk:
    /// nothing is lost, and whoever runs the server sees it.
    async fn keep_at_home(&self, plan: &mut Plan, arrival: &Arrival) -> Result<(), Reply> {
        let lost = plan.keep_at_home();
        if lost.is_empty() {
            return Ok(());
        }
        let router = self.router();
        let Some(postmaster) = router.bare_postmaster() else { return Err(refusal::suspicious()) };
        let targets = match router.resolve(&postmaster).await {
            Resolved::Ours(targets) => targets,
            Resolved::Temporary(reply) => return Err(reply),
            _ => Vec::new(),
        };
        let found = targets.into_iter().find_map(|target| match target {
            Target::Mailbox { account, address } => Some((account, address)),
            Target::Remote { .. } => None,
        });
        let (account, address) = found.ok_or_else(refusal::suspicious)?;
        for original in lost {
            info!(mail = arrival.id, to = %original, account, "suspicious: kept for postmaster instead of forwarded");
            plan.file_instead(account.clone(), address.clone(), original);
        }
        Ok(())
    }

    /// A notice (a failure, delay or success report) as rows, to be written with what it tells of. `None` if its
    /// recipient is not there any more: nobody is told about that, which the log says. An error passes.
    ///
    /// It is signed like what our senders write.
    pub(crate) async fn draft_notice(&self, mut mail: Mail, id: &str) -> Result<Option<Acceptance>, Reply> {
        self.sign(&mut mail.message).await?;
        let arrival = Arrival::own(id);
        match self.draft(&mail, &arrival).await {
            Ok(mut draft) if draft.remote > 0 || !draft.acceptance.filings.is_empty() => {
                // Who sent something must hear of it, be the mailbox full or not.
                draft.acceptance.filings.iter_mut().for_each(|filing| filing.space = Space::Granted);
                Ok(Some(draft.acceptance))
            }
            Ok(draft) => {
                let reply = draft.refused.first().map(|refused| refused.reply.to_string());
                warn!(mail = id, reply, "a notice has no recipient any more and is dropped");
                Ok(None)
            }
            Err(failed) => match failed.reply(id) {
                reply if reply.is_permanent() => {
                    warn!(mail = id, %reply, "a notice cannot be delivered and is dropped");
                    Ok(None)
                }
                reply => Err(reply),
            },
        }
    }

    /// What the sender asked to be told of success, and what failed although others were accepted.
    async fn notice_at_the_door(
        &self,
        mail: &Mail,
        arrival: &Arrival,
        draft: &Draft,
    ) -> Result<Option<Acceptance>, Failed> {
        let reports = draft.reports(self.inner.world.clock.unix());
        let notice = self.compose(&mail.envelope.from, mail, arrival, reports).await?;
        let Some(notice) = notice else { return Ok(None) };
        let id = self.inner.world.random.word(arrival.id.len());
        self.draft_notice(notice, &id).await.map_err(Failed::Refused)
    }

    async fn compose(
        &self,
        from: &ReversePath,
        mail: &Mail,
        arrival: &Arrival,
        reports: Vec<dsn::Report>,
    ) -> Result<Option<Mail>, Failed> {
        if reports.is_empty() || from.is_null() {
            return Ok(None);
        }
        let (intake, mail, id) = (self.clone(), mail.clone(), arrival.id.clone());
        self.blocking(move || {
            let router = intake.router();
            let world = &intake.inner.world;
            let about = About {
                from: &mail.envelope.from,
                params: &mail.envelope.params,
                mail_id: &id,
                arrived: world.clock.unix(),
                release: mail.envelope.params.release,
            };
            let writer = Writer { hostname: router.hostname(), world, full_max: NOTICE_FULL_MAX };
            writer.notice(&about, &mail.message, &reports)
        })
        .await
    }

    /// Looks at the octets: small messages on the spot, the others on a thread that may wait for the disk.
    async fn look(&self, message: &Message, depth: Depth) -> Result<Look, Failed> {
        let message = message.clone();
        if message.received.len() <= LOOK_HERE_MAX && message.received.as_memory().is_some() {
            return look_at(&message, depth).map_err(Failed::Disk);
        }
        self.blocking(move || look_at(&message, depth)).await
    }

    async fn blocking<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> std::io::Result<T> + Send + 'static,
    ) -> Result<T, Failed> {
        let _turn = self.inner.looks.acquire().await.map_err(|_| Failed::Refused(nobody()))?;
        match tokio::task::spawn_blocking(work).await {
            Ok(result) => result.map_err(Failed::Disk),
            Err(error) => Err(Failed::Disk(std::io::Error::other(error))),
        }
    }
}

fn look_at(message: &Message, depth: Depth) -> std::io::Result<Look> {
    let header = header::read_blob(&message.received)?;
    let shape = match depth {
        Depth::Header => Shape::default(),
        Depth::Structure => {
            let analysis = mime::analyse_blob(&message.received)?;
            Shape::of(&analysis)
        }
    };
    Ok(Look { header, shape, sealed: Vec::new() })
}

fn nobody() -> Reply {
    Reply::new(
        451,
        Status::transient(3, 0),
        "This server cannot take the message at the moment: try again later",
    )
}
