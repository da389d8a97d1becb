//! What came of an attempt, written down: states, next times and the notice to the sender in one transaction.

use crate::attempt::{NotifyPassed, Tried};
use crate::bounce::{About, Writer};
use crate::config::Config;
use crate::intake::Intake;
use crate::local::Filed;
use crate::refusal;
use crate::schedule::{self, Fate, JITTER_STEPS, Past, Retry, Told};
use crate::trail::Trail;
use crate::work::ByPassed;
use mail::dsn::{Action, Report};
use mail::{Blob, ByMode, Message, Notify, Reply, Status};
use std::time::Duration;
use storage::{Acceptance, Claim, JobRecipient, Next, Outcome, RecipientId, Settlement, Store, Verdict};
use tracing::{error, info, warn};
use world::{Meter, World, meter};

/// How often the outcome is offered to a store in trouble, before it is left to the lease.
const WRITES_MAX: u32 = 8;
/// Wait before it is offered again; each wait is twice the one before.
const WRITE_WAIT: Duration = Duration::from_millis(500);
/// Letters of the id of a notice, as of any message.
const ID_LETTERS: usize = 12;
/// Wait before a failure is told again whose notice could not be made.
const NOTICE_WAIT: i64 = 300;

/// What settling needs.
pub(crate) struct Settling<'a> {
    pub store: &'a Store,
    pub intake: &'a Intake,
    pub world: &'a World,
    pub config: &'a Config,
}

/// What an attempt has found besides the results.
#[derive(Default)]
pub(crate) struct Found {
    pub trail: Trail,
    /// What is filed here.
    pub filed: Option<Filed>,
    /// Recipients without a result were not tried, and are due then.
    pub later: Option<i64>,
}

/// Writes what is known. Recipients without a result are given back as they were. Gives the earliest new time, in
/// seconds since 1970.
pub(crate) async fn settle(
    settling: &Settling<'_>,
    claim: Claim,
    message: Message,
    results: Vec<Option<Tried>>,
    found: Found,
) -> Option<i64> {
    let Found { trail, filed, later } = found;
    let verdicts = verdicts(settling.config, &claim, &results);
    let put_off = later.map(|due| put_off_untried(&claim, &results, due)).unwrap_or_default();
    let (mut outcomes, reports) = decide(settling, &claim, results);
    outcomes.extend(put_off);
    let notice = match settling.notice(&claim, message, reports).await {
        Ok(notice) => notice,
        Err(reason) => {
            warn!(
                mail = claim.mail_id,
                reason, "the notice to the sender cannot be made now; its recipients wait"
            );
            postpone(&mut outcomes, settling.world.clock.unix() + NOTICE_WAIT);
            None
        }
    };
    let due = outcomes.iter().filter_map(|outcome| match outcome.next {
        Next::Again { due } | Next::AgainTold { due } | Next::Later { due } => Some(due),
        Next::Delivered | Next::Failed => None,
    });
    let due = due.min();
    let attempts = trail.into_attempts();
    let notices = filed.iter().map(|filed| filed.acceptance.clone()).chain(notice).collect();
    let settlement = Settlement { outcomes, notices, attempts, verdicts };
    let filed = filed.map(|filed| filed.recipients).unwrap_or_default();
    settling.write(claim, settlement, &filed).await;
    due
}

/// Those who have no result, because nobody was asked.
fn put_off_untried(claim: &Claim, results: &[Option<Tried>], due: i64) -> Vec<Outcome> {
    let untried = claim.recipients.iter().zip(results).filter(|(_, result)| result.is_none());
    let reply = Reply::bare(451, "not tried");
    untried
        .map(|(recipient, _)| Outcome {
            recipient: recipient.id,
            at: due,
            host: String::new(),
            reply: reply.clone(),
            next: Next::Later { due },
        })
        .collect()
}

/// The schedule of this message.
fn retry_of(config: &Config, claim: &Claim) -> Retry {
    match claim.params.by {
        // Ages count from when it may first be tried, this time from when it came.
        Some(by) => {
            let waited = claim.released.saturating_sub(claim.arrived);
            config.retry.clone().in_time(by.seconds.saturating_sub(waited), by.mode)
        }
        None => config.retry.clone(),
    }
}

/// The schedule of a recipient, and whether the sender was told what it says of delay. Who was told of the usual delay before the
/// time of the message was over is told again when it is (RFC 2852 §4.1.3).
fn schedule_of(config: &Config, claim: &Claim, recipient: &JobRecipient) -> (Retry, Told) {
    let retry = retry_of(config, claim);
    let Some(told_at) = recipient.delay_told else { return (retry, Told::NotYet) };
    let by = claim.params.by.filter(|by| by.mode == ByMode::Notify);
    match by.map(|by| claim.arrived.saturating_add(by.seconds)) {
        Some(end) if told_at < end => {
            let left = Duration::from_secs(u64::try_from(end - claim.released).unwrap_or(0));
            (Retry { delay_notice: Some(left), ..retry }, Told::NotYet)
        }
        _ => (retry, Told::Yes),
    }
}

fn age(claim: &Claim, now: i64) -> Duration {
    Duration::from_secs(u64::try_from(now - claim.released).unwrap_or(0))
}

/// Whether the schedule has something to say of a claim at `now`, tried or not: the sender is to be told, or gets it back.
pub(crate) fn is_overdue(config: &Config, claim: &Claim, now: i64) -> bool {
    let age = age(claim, now);
    let is_overdue = |recipient: &JobRecipient| {
        let (retry, told) = schedule_of(config, claim, recipient);
        let is_to_be_told = told == Told::NotYet && retry.delay_notice.is_some_and(|notice| age >= notice);
        age >= retry.give_up || is_to_be_told
    };
    claim.recipients.iter().any(is_overdue)
}

/// The schedule's word for each result, and what the sender is told.
fn decide(
    settling: &Settling<'_>,
    claim: &Claim,
    results: Vec<Option<Tried>>,
) -> (Vec<Outcome>, Vec<Report>) {
    let now = settling.world.clock.unix();
    // One jitter for all, so that recipients of one message stay together.
    let jitter = settling.world.random.below(JITTER_STEPS + 1);
    let (mut outcomes, mut reports) = (Vec::new(), Vec::new());
    for (recipient, tried) in claim.recipients.iter().zip(results) {
        let Some(tried) = tried else { continue };
        let (retry, told) = schedule_of(settling.config, claim, recipient);
        let past = Past { attempts: recipient.attempts.saturating_add(1), age: age(claim, now), told };
        let step = schedule::next(tried.fate, past, &retry, jitter);
        let next = next_of(step, now);
        log(claim, recipient, &tried, step);
        count(&settling.world.meter, claim, &tried, step, now);
        if let Some((action, status)) = action(step, claim, recipient, &tried, now) {
            reports.push(Report {
                recipient: recipient.recipient.address.clone(),
                original: recipient.recipient.original.clone(),
                action,
                status,
                remote: Some(tried.host.clone()).filter(|host| !host.is_empty()),
                reply: Some(tried.reply.clone()),
                last_attempt: Some(now),
                retry_until: Some(claim.released + seconds(retry.give_up)),
            });
        }
        outcomes.push(Outcome {
            recipient: recipient.id,
            at: now,
            host: tried.host,
            reply: tried.reply,
            next,
        });
    }
    (outcomes, reports)
}

fn seconds(wait: Duration) -> i64 {
    // A part of a second counts as a whole one: nothing is due before its time.
    i64::try_from(wait.as_millis().div_ceil(1000)).unwrap_or(i64::MAX / 2)
}

fn next_of(step: schedule::Next, now: i64) -> Next {
    match step {
        schedule::Next::Done => Next::Delivered,
        schedule::Next::GiveUp => Next::Failed,
        schedule::Next::After(wait) => Next::Again { due: now + seconds(wait) },
        schedule::Next::NoticeAndAfter(wait) => Next::AgainTold { due: now + seconds(wait) },
    }
}

/// What the sender wished to be told of this (RFC 3461 §5.2.2, §5.2.5, §5.2.6).
fn action(
    step: schedule::Next,
    claim: &Claim,
    recipient: &JobRecipient,
    tried: &Tried,
    now: i64,
) -> Option<(Action, Status)> {
    let notify = recipient.recipient.notify;
    match step {
        schedule::Next::Done if tried.notify == NotifyPassed::Here => {
            notify.on_success().then(|| (Action::Delivered, tried.reply.status_or_general()))
        }
        // RFC 2852 §4.1.4: whoever wants the way told, and where nobody further on will tell that it is late.
        schedule::Next::Done if notify != Notify::Never && tells_of_relay(claim, tried, now) => {
            Some((Action::Relayed, tried.reply.status_or_general()))
        }
        schedule::Next::Done if notify.on_success() && tried.notify.is_ours() => {
            Some((Action::Relayed, tried.reply.status_or_general()))
        }
        schedule::Next::GiveUp if notify.on_failure() => {
            let status = match tried.fate {
                // Time has run out; what the host said last stands beside it.
                Fate::Deferred => Status::permanent(4, 7),
                Fate::Failed | Fate::Delivered => tried.reply.status_or_general(),
            };
            Some((Action::Failed, status))
        }
        schedule::Next::NoticeAndAfter(_) if notify.on_delay() => {
            // RFC 2852 §4.1.3: its time is over; what the host said stands beside it.
            let status =
                if is_late(claim, now) { Status::transient(4, 7) } else { tried.reply.status_or_general() };
            Some((Action::Delayed, status))
        }
        _ => None,
    }
}

/// Whether the time in which the message should have been delivered is over.
fn is_late(claim: &Claim, now: i64) -> bool {
    claim.params.by.is_some_and(|by| now >= claim.arrived.saturating_add(by.seconds))
}

/// Whether the sender wants to hear that the message went on, for the sake of its time (RFC 2852 §4.1.4). When that is over, he
/// has heard of it.
fn tells_of_relay(claim: &Claim, tried: &Tried, now: i64) -> bool {
    let is_lost = |mode| mode == ByMode::Notify && tried.by == ByPassed::No && !is_late(claim, now);
    claim.params.by.is_some_and(|by| by.trace || is_lost(by.mode))
}

/// What hosts have said of addresses, where that counts. Only words about the address itself count: a refusal of the sender or of the
/// message says nothing of the next one.
fn verdicts(config: &Config, claim: &Claim, results: &[Option<Tried>]) -> Vec<Verdict> {
    let Some(rule) = config.suppress else { return Vec::new() };
    let of = |recipient: &JobRecipient, tried: &Tried| {
        let address = recipient.recipient.address.key();
        match tried.fate {
            _ if tried.host.is_empty() => None,
            Fate::Delivered => Some(Verdict::Reached { address }),
            Fate::Failed if is_about_the_address(&tried.reply) => {
                Some(Verdict::Refused { address, reason: tried.reply.to_string(), rule })
            }
            Fate::Failed | Fate::Deferred => None,
        }
    };
    let results = claim.recipients.iter().zip(results);
    results.filter_map(|(recipient, tried)| of(recipient, tried.as_ref()?)).collect()
}

/// No such mailbox, one that has moved, or one that takes no mail (RFC 3463 §3.2, §3.3).
fn is_about_the_address(reply: &Reply) -> bool {
    let about = |status: Status| matches!((status.subject, status.detail), (1, 1 | 3 | 6 | 10) | (2, 1));
    reply.is_permanent() && reply.status.is_some_and(about)
}

fn log(claim: &Claim, recipient: &JobRecipient, tried: &Tried, step: schedule::Next) {
    let fate = match (tried.fate, step) {
        (Fate::Delivered, _) => "sent",
        (Fate::Deferred, schedule::Next::GiveUp) => "given up",
        (Fate::Deferred, _) => "deferred",
        (Fate::Failed, _) => "failed",
    };
    let again = match step {
        schedule::Next::After(wait) | schedule::Next::NoticeAndAfter(wait) => wait.as_secs(),
        schedule::Next::Done | schedule::Next::GiveUp => 0,
    };
    info!(mail = claim.mail_id, from = %format_args!("<{}>", claim.from), recipient = %recipient.recipient.address,
        host = tried.host, tls = tried.tls.as_ref().map(tracing::field::display), reply = %tried.reply, attempts = recipient.attempts.saturating_add(1),
        again_in_seconds = again, "{fate}");
}

fn count(meter: &Meter, claim: &Claim, tried: &Tried, step: schedule::Next, now: i64) {
    let fate = match (tried.fate, step) {
        (Fate::Delivered, _) => meter::Fate::Sent,
        (Fate::Deferred, schedule::Next::GiveUp) => meter::Fate::GivenUp,
        (Fate::Deferred, _) => meter::Fate::Deferred,
        (Fate::Failed, _) => meter::Fate::Failed,
    };
    meter.sent.add(fate, ());
    if tried.fate == Fate::Delivered {
        meter.delivery.took(meter::Delivered::Elsewhere, age(claim, now));
    }
}

/// What waits for a notice that cannot be made goes on waiting; what is delivered stays delivered.
fn postpone(outcomes: &mut [Outcome], due: i64) {
    for outcome in outcomes {
        match outcome.next {
            Next::Failed | Next::AgainTold { .. } => outcome.next = Next::Again { due },
            Next::Delivered | Next::Again { .. } | Next::Later { .. } => {}
        }
    }
}

/// Recipients here whose mailbox did not take the message try again like those elsewhere.
fn put_off(outcomes: &mut [Outcome], filed: &[RecipientId], error: &storage::Error, due: i64) {
    for outcome in outcomes.iter_mut().filter(|outcome| filed.contains(&outcome.recipient)) {
        outcome.reply = refusal::of_store(error);
        outcome.next = Next::Again { due };
    }
}

impl Settling<'_> {
    /// The notice as rows. `Err` if it is due but cannot be made at the moment.
    async fn notice(
        &self,
        claim: &Claim,
        message: Message,
        reports: Vec<Report>,
    ) -> Result<Option<Acceptance>, String> {
        if reports.is_empty() {
            return Ok(None);
        }
        if claim.from.is_null() {
            warn!(mail = claim.mail_id, "nobody can be told: the message has no sender");
            return Ok(None);
        }
        let router = self.intake.router();
        let (world, full_max) = (self.world.clone(), self.config.notice_max);
        let (from, params) = (claim.from.clone(), claim.params.clone());
        let (mail_id, arrived, release) = (claim.mail_id.clone(), claim.arrived, claim.release);
        let compose = move || {
            let writer = Writer { hostname: router.hostname(), world: &world, full_max };
            let about = About { from: &from, params: &params, mail_id: &mail_id, arrived, release };
            // What cannot be read cannot go back, but its sender is to know all the same.
            writer.notice(&about, &message, &reports).or_else(|error| {
                error!(%error, "the message cannot be read for the notice about it");
                writer.notice(&about, &Message::new(Blob::from_bytes(*b"")), &reports)
            })
        };
        let composed = tokio::task::spawn_blocking(compose).await.map_err(|error| error.to_string())?;
        let Some(notice) = composed.map_err(|error| error.to_string())? else { return Ok(None) };
        let id = self.world.random.word(ID_LETTERS);
        self.intake.draft_notice(notice, &id).await.map_err(|reply| reply.to_string())
    }

    /// Writes until the store takes it: what has been delivered must not be sent again because a disk was full for a moment.
    async fn write(&self, claim: Claim, mut settlement: Settlement, filed: &[RecipientId]) {
        let mut wait = WRITE_WAIT;
        for _ in 0..WRITES_MAX {
            match self.store.settle_all(claim.clone(), settlement.clone()).await {
                Ok(_) => {
                    for notice in settlement.notices.iter().filter(|notice| notice.mail_id != claim.mail_id) {
                        let to = &claim.from;
                        info!(mail = claim.mail_id, notice = notice.mail_id, %to, "the sender is told");
                    }
                    return;
                }
                Err(storage::Error::LeaseLost | storage::Error::NoSuchJob(_)) => {
                    return warn!(mail = claim.mail_id, "the message is no longer ours to settle");
                }
                // The notice is what is in the way (a full queue, say): what was delivered is written without it.
                Err(error) if !error.is_trouble() && !settlement.notices.is_empty() => {
                    warn!(mail = claim.mail_id, %error, "the notice or a mailbox is not taken; its recipients wait");
                    let due = self.world.clock.unix() + NOTICE_WAIT;
                    postpone(&mut settlement.outcomes, due);
                    put_off(&mut settlement.outcomes, filed, &error, due);
                    settlement.notices.clear();
                    continue;
                }
                Err(error) => error!(mail = claim.mail_id, %error, "the outcome cannot be written"),
            }
            tokio::time::sleep(wait).await;
            wait *= 2;
        }
        error!(mail = claim.mail_id, "the outcome could not be written; the message will be tried again");
    }
}
