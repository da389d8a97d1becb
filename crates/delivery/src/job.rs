//! One claim on its way: read, scanned, attempted, settled.

use crate::attempt::{Courier, NotifyPassed, Tried, Work};
use crate::config::EgressAuth;
use crate::intake::Intake;
use crate::lanes::{Contact, Turn};
use crate::link::unreachable;
use crate::local;
use crate::reports::may_hold_report;
use crate::schedule::Fate;
use crate::settle::{self, Found, Settling};
use crate::tls_policy::Wish;
use crate::trail::Trail;
use crate::work;
use mail::{Blob, ByMode, Message, Recipient, Reply, Status};
use policy::author::Author;
use smtp_proto::{Content, Scan};
use std::io::Read;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;
use storage::{Claim, Hold, Store};
use tokio::sync::watch;
use tokio::time::Instant;
use tracing::{error, info, warn};

/// How long a claim holds without being renewed: after a crash the next process waits at most this long, unless it
/// knows that it is alone ([`Store::recover_queue`]).
pub(crate) const LEASE: Duration = Duration::from_secs(600);
/// How often a running attempt renews its claim.
const RENEWAL: Duration = Duration::from_secs(200);
/// Longest attempt. What has no answer by then is tried again later.
const ATTEMPT_MAX: Duration = Duration::from_secs(3600);
/// Most octets of a message that are looked at in one piece.
const SCAN_PIECE: usize = 64 * 1024;
/// A message up to this many octets is looked at on the spot.
const LOOK_HERE_MAX: u64 = 16 * 1024;

/// Whether running attempts are to end at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Cut {
    No,
    Now,
}

/// One claim on its way.
pub(crate) struct Job {
    pub store: Store,
    pub intake: Intake,
    pub courier: Arc<Courier>,
    pub cut: watch::Receiver<Cut>,
}

impl Job {
    /// Attempts a claim that was taken `since` then, or puts it off, and writes down what came of it.
    pub(crate) async fn run(mut self, claim: Claim, since: Instant, turn: Turn) -> Ran {
        if since.elapsed() > RENEWAL && !self.is_still_ours(&claim).await {
            return Ran::NOTHING;
        }
        if !self.courier.has_one_way() && goes_to_several_domains(&claim) {
            // Taken for a smarthost that a reload has taken away, it is claimed anew, domain by domain.
            return self.give_back(claim).await;
        }
        let overdue = settle::is_overdue(&self.courier.config, &claim, self.courier.world.clock.unix());
        if let (Turn::Later(until), false) = (&turn, overdue) {
            return self.put_off(claim, *until).await;
        }
        let (message, look) = match self.read(&claim).await {
            Ok(Carried::Free(message, look)) => (message, look),
            // Held meanwhile, it rests.
            Ok(Carried::Held) => return self.give_back(claim).await,
            Ok(Carried::Gone) => {
                info!(mail = claim.mail_id, "the message was removed from the queue");
                return Ran::NOTHING;
            }
            Err(cause) => {
                error!(mail = claim.mail_id, %cause, "a queued message cannot be read");
                let reply = unreachable(3, 0, "the message cannot be read from our disk".to_owned());
                let results = vec![Some(Tried::deferred(reply)); claim.recipients.len()];
                let due = self.settle(claim, nothing(), results, Found::default()).await;
                return Ran { due, ..Ran::NOTHING };
            }
        };
        let mut results: Vec<Option<Tried>> = vec![None; claim.recipients.len()];
        let mut found = Found::default();
        self.decide_here(&claim, &message, &mut results).await;
        found.filed = local::file(&self.intake, &claim, &message, &mut results).await;
        if let Some(reply) = not_asked(turn) {
            fill(&mut results, &reply);
        }
        let away: Vec<usize> = (0..results.len()).filter(|at| results[*at].is_none()).collect();
        let so_far = (&mut results[..], &mut found.trail);
        let whole = self.send_to(&away, &claim, &message, look, so_far).await;
        let mut contact = Contact::None;
        match whole {
            Whole::CutShort => {}
            Whole::Yes(said) => contact = said,
            Whole::LeaseLost => {
                warn!(mail = claim.mail_id, "somebody else has taken over the message");
                return Ran::NOTHING;
            }
            Whole::TimeUp => {
                fill(&mut results, &unreachable(4, 7, "the attempt took too long".to_owned()));
            }
        }
        match contact {
            // What is put off without end would never go back to its sender.
            Contact::Paused(_) if overdue => fill(&mut results, &paused()),
            Contact::Paused(until) => found.later = Some(until),
            _ => {}
        }
        let due = self.settle(claim, message, results, found).await;
        Ran { due, contact }
    }

    /// The claim is not for us to attempt any more.
    async fn give_back(&self, claim: Claim) -> Ran {
        if let Err(error) = self.store.release(claim).await {
            warn!(%error, "a claim could not be given back; it will be free when its lease ends");
        }
        Ran::NOTHING
    }

    /// Nobody is asked now.
    async fn put_off(self, claim: Claim, until: i64) -> Ran {
        let found = Found { later: Some(until), ..Found::default() };
        let results = vec![None; claim.recipients.len()];
        let due = self.settle(claim, nothing(), results, found).await;
        Ran { due, contact: Contact::None }
    }

    /// What is said of a message that had to be delivered by now, or go back (RFC 2852 §4.1).
    fn is_too_late(&self, claim: &Claim) -> Option<Reply> {
        let by = claim.params.by.filter(|by| by.mode == ByMode::Return)?;
        let late = self.courier.world.clock.unix() >= claim.arrived.saturating_add(by.seconds);
        let text = "it could not be delivered in the time that its sender demands";
        late.then(|| Reply::new(554, Status::permanent(4, 7), text))
    }

    /// The message and what it needs of the next server.
    async fn read(&self, claim: &Claim) -> Result<Carried, String> {
        let message = match self.store.carried(claim.job).await {
            Ok((_, Hold::Held)) => return Ok(Carried::Held),
            Ok((message, Hold::Free)) => message,
            Err(storage::Error::NoSuchJob(_)) => return Ok(Carried::Gone),
            Err(error) => return Err(error.to_string()),
        };
        let look = look_at(&message, claim).await.map_err(|error| error.to_string())?;
        Ok(Carried::Free(message, look))
    }

    /// What is settled before anybody is asked: it is too late, or it is not the time.
    async fn decide_here(&self, claim: &Claim, message: &Message, results: &mut [Option<Tried>]) {
        if let Some(reply) = self.is_too_late(claim) {
            results.fill(Some(Tried { fate: Fate::Failed, ..Tried::deferred(reply) }));
        } else if let Some(why) = self.withheld(message).await {
            warn!(mail = claim.mail_id, why, "held back");
            results.fill(Some(Tried::deferred(unreachable(7, 26, why))));
        }
    }

    /// Why a message is not sent now: its author's domain would have it refused (RFC 7489 §6.3), and it is to wait for that.
    async fn withheld(&self, message: &Message) -> Option<String> {
        let report = self.intake.self_check();
        if self.courier.config.egress_auth != EgressAuth::Strict || report.burning.is_empty() {
            return None;
        }
        let message = message.clone();
        let read = move || mail::header::read(&mut message.reader());
        let header = tokio::task::spawn_blocking(read).await.ok()?.ok()?;
        let Author::One(author) = Author::of(&header) else { return None };
        let why = report.burns(&author)?;
        Some(format!("the message would fail the DMARC policy of {author}: {why}"))
    }

    /// A claim that has waited for its turn may have been lost; nobody may send what somebody else sends.
    async fn is_still_ours(&self, claim: &Claim) -> bool {
        match self.store.renew(claim, self.courier.world.clock.unix(), LEASE).await {
            Ok(()) => true,
            Err(error) => {
                warn!(mail = claim.mail_id, %error, "the claim could not be renewed and is left");
                false
            }
        }
    }

    /// Attempts the message for some of its recipients, by their places.
    async fn send_to(
        &mut self,
        places: &[usize],
        claim: &Claim,
        message: &Message,
        look: Look,
        (results, trail): (&mut [Option<Tried>], &mut Trail),
    ) -> Whole {
        let recipients: Vec<Recipient> =
            places.iter().map(|at| claim.recipients[*at].recipient.clone()).collect();
        if recipients.is_empty() {
            return Whole::Yes(Contact::None);
        }
        let mut answers: Vec<Option<Tried>> = vec![None; recipients.len()];
        let whole = self.attempt(claim, message, look, &recipients, (&mut answers, trail)).await;
        for (at, answer) in places.iter().zip(answers) {
            results[*at] = answer;
        }
        whole
    }

    async fn attempt(
        &mut self,
        claim: &Claim,
        message: &Message,
        look: Look,
        recipients: &[Recipient],
        (results, trail): (&mut [Option<Tried>], &mut Trail),
    ) -> Whole {
        let courier = self.courier.clone();
        let mut params = claim.params.clone();
        // RFC 2852 §4.1.1: less the time that it was here.
        let here = courier.world.clock.unix().saturating_sub(claim.arrived);
        params.by.iter_mut().for_each(|by| by.seconds = by.seconds.saturating_sub(here));
        let work = Work {
            mail_id: &claim.mail_id,
            from: &claim.from,
            params: &params,
            domain: &claim.domain,
            message,
            content: look.content,
            wish: look.wish,
            is_told: look.is_told,
            client: claim.client.as_ref(),
        };
        let mut attempt = pin!(courier.attempt(&work, recipients, results, trail));
        let mut cut = self.cut.clone();
        let mut cut_now = pin!(async move {
            if cut.wait_for(|cut| *cut == Cut::Now).await.is_err() {
                std::future::pending::<()>().await;
            }
        });
        let end = Instant::now() + ATTEMPT_MAX;
        loop {
            tokio::select! {
                contact = &mut attempt => return Whole::Yes(contact),
                () = &mut cut_now => return Whole::CutShort,
                () = tokio::time::sleep_until(end) => return Whole::TimeUp,
                () = tokio::time::sleep(RENEWAL) => {}
            }
            let now = courier.world.clock.unix();
            match self.store.renew(claim, now, LEASE).await {
                Ok(()) => {}
                Err(storage::Error::LeaseLost) => return Whole::LeaseLost,
                Err(error) => warn!(mail = claim.mail_id, %error, "the claim cannot be renewed"),
            }
        }
    }

    async fn settle(
        self,
        claim: Claim,
        message: Message,
        results: Vec<Option<Tried>>,
        found: Found,
    ) -> Option<i64> {
        let settling = Settling {
            store: &self.store,
            intake: &self.intake,
            world: &self.courier.world,
            config: &self.courier.config,
        };
        settle::settle(&settling, claim, message, results, found).await
    }
}

/// What is said to those who are not asked in this turn, if they are not.
fn not_asked(turn: Turn) -> Option<Reply> {
    match turn {
        Turn::Attempt => None,
        Turn::Down(reply) => Some(reply),
        Turn::Later(_) => Some(paused()),
    }
}

fn paused() -> Reply {
    unreachable(4, 5, "the other server takes no more mail for the moment".to_owned())
}

/// Gives everybody who has no result this one.
fn fill(results: &mut [Option<Tried>], reply: &Reply) {
    for result in results {
        result.get_or_insert_with(|| Tried::deferred(reply.clone()));
    }
}

fn goes_to_several_domains(claim: &Claim) -> bool {
    claim.recipients.iter().any(|one| one.recipient.address.domain() != &claim.domain)
}

/// In place of a message that is not needed, or cannot be read.
fn nothing() -> Message {
    Message::new(Blob::from_bytes(*b""))
}

/// What came of a claim.
pub(crate) struct Ran {
    /// When the first of its recipients is due again, in seconds since 1970.
    pub due: Option<i64>,
    pub contact: Contact,
}

impl Ran {
    const NOTHING: Self = Self { due: None, contact: Contact::None };
}

/// How an attempt ended.
#[derive(Debug)]
enum Whole {
    Yes(Contact),
    /// The server stops: some recipients may have no result.
    CutShort,
    /// Longer than [`ATTEMPT_MAX`].
    TimeUp,
    LeaseLost,
}

/// What a message needs of the next server and of the way there.
#[derive(Clone, Copy)]
struct Look {
    content: Content,
    wish: Wish,
    /// It is no report.
    is_told: bool,
}

/// What a job carries.
enum Carried {
    Free(Message, Look),
    Held,
    /// It is not in the queue any more.
    Gone,
}

/// Looks at what the message needs: of a small one on the spot, for handing it over would take longer.
async fn look_at(message: &Message, claim: &Claim) -> std::io::Result<Look> {
    if message.received.len() <= LOOK_HERE_MAX && message.received.as_memory().is_some() {
        return scan(message, claim);
    }
    let (message, claim) = (message.clone(), claim.clone());
    tokio::task::spawn_blocking(move || scan(&message, &claim)).await.map_err(std::io::Error::other)?
}

fn scan(message: &Message, claim: &Claim) -> std::io::Result<Look> {
    let head = mail::header::read(&mut message.reader())?;
    let (wish, is_told) = (work::wish(&claim.from, &claim.params, &head), !may_hold_report(&head));
    let mut reader = message.reader();
    let mut scan = Scan::new();
    let mut piece = vec![0; SCAN_PIECE.min(usize::try_from(message.len()).unwrap_or(SCAN_PIECE).max(1))];
    loop {
        match reader.read(&mut piece)? {
            0 => return Ok(Look { content: scan.finish(), wish, is_told }),
            n => scan.push(&piece[..n]),
        }
    }
}

impl NotifyPassed {
    /// Whether we owe the sender the notice of success (RFC 3461 §5.2.2 b).
    pub(crate) fn is_ours(self) -> bool {
        self != Self::Yes
    }
}
