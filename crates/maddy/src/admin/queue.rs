//! The queue of outgoing mail.

use crate::admin::queue_change::Which;
use crate::admin::{Context, Effect, Operation, failure};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use storage::{AttemptResult, Job, JobId, KeptAttempt, RecipientState};
use web::Failure;

/// Jobs that one call lists.
const PAGE: usize = 500;

#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub(crate) struct JobInfo {
    pub(crate) id: i64,
    /// The id that is in the log and in the Received field.
    pub(crate) mail_id: String,
    /// Empty for notices.
    pub(crate) from: String,
    /// Seconds since 1970.
    pub(crate) arrived: i64,
    /// Not delivered before then, as its sender wished.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) release_at: Option<i64>,
    /// Since when it is held.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) held: Option<i64>,
    /// -9 to 9
    #[serde(default)]
    pub(crate) priority: i8,
    pub(crate) size: u64,
    pub(crate) recipients: Vec<RecipientInfo>,
    /// What hosts said, oldest first; only where one message is shown.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) attempts: Vec<AttemptInfo>,
    /// What of it cannot be read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) damage: Option<String>,
}

#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub(crate) struct RecipientInfo {
    pub(crate) address: String,
    /// waiting, trying, held, delivered or failed.
    pub(crate) state: String,
    pub(crate) attempts: u32,
    /// When it is tried next, in seconds since 1970.
    pub(crate) due: i64,
    pub(crate) last: Option<LastTry>,
}

#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub(crate) struct LastTry {
    pub(crate) at: i64,
    pub(crate) host: String,
    pub(crate) reply: String,
}

/// What one host said.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub(crate) struct AttemptInfo {
    /// Seconds since 1970.
    pub(crate) at: i64,
    pub(crate) domain: String,
    pub(crate) host: String,
    /// With its port.
    pub(crate) address: String,
    /// How the connection was protected; empty if there was none.
    pub(crate) tls: String,
    /// no-way, delivered, deferred or failed.
    pub(crate) result: String,
    pub(crate) reply: String,
    /// Some of those whom it concerns, and how many there are.
    pub(crate) recipients: String,
    pub(crate) recipient_count: u64,
}

impl AttemptInfo {
    pub(crate) fn of(kept: KeptAttempt) -> Self {
        let one = kept.attempt;
        let result = match one.result {
            AttemptResult::NoWay => "no-way",
            AttemptResult::Delivered => "delivered",
            AttemptResult::Deferred => "deferred",
            AttemptResult::Failed => "failed",
        };
        Self {
            at: one.at,
            domain: one.domain,
            host: one.host,
            address: one.address,
            tls: one.tls,
            result: result.to_owned(),
            reply: one.reply.to_string(),
            recipients: one.recipients,
            recipient_count: one.recipient_count,
        }
    }
}

impl JobInfo {
    fn of(job: Job) -> Self {
        let recipients = job.recipients.into_iter().map(|recipient| RecipientInfo {
            address: recipient.recipient.address.to_string(),
            state: match recipient.state {
                RecipientState::Waiting => "waiting",
                RecipientState::Trying => "trying",
                RecipientState::Delivered => "delivered",
                RecipientState::Failed => "failed",
                RecipientState::Held => "held",
            }
            .to_owned(),
            attempts: recipient.attempts,
            due: recipient.due,
            last: recipient.last.map(|last| LastTry {
                at: last.at,
                host: last.host,
                reply: last.reply.to_string(),
            }),
        });
        Self {
            id: job.id.get(),
            mail_id: job.mail_id,
            from: job.from.to_string(),
            arrived: job.arrived,
            release_at: job.release_at,
            held: job.held,
            priority: job.params.priority.get(),
            size: job.size,
            recipients: recipients.collect(),
            attempts: Vec::new(),
            damage: job.damage,
        }
    }
}

/// A page of the queue, in order of arrival, after a job.
#[derive(Serialize, Deserialize, JsonSchema)]
pub(crate) struct QueueList {
    pub(crate) after: Option<i64>,
    #[serde(default)]
    pub(crate) which: Which,
}

impl Operation for QueueList {
    const NAME: &'static str = "queue-list";
    const EFFECT: Effect = Effect::Reads;
    /// Ends with an empty page.
    type Answer = Vec<JobInfo>;

    async fn run(self, context: &Context) -> Result<Vec<JobInfo>, Failure> {
        let filter = self.which.filter(context.now())?;
        let after = self.after.map(JobId::from_number);
        let jobs = context.store.queue_matching(&filter, after, PAGE).await.map_err(failure)?;
        Ok(jobs.into_iter().map(JobInfo::of).collect())
    }
}

#[derive(Serialize, Deserialize, JsonSchema)]
pub(crate) struct QueueShow {
    pub(crate) id: i64,
}

impl Operation for QueueShow {
    const NAME: &'static str = "queue-show";
    const EFFECT: Effect = Effect::Reads;
    type Answer = JobInfo;

    async fn run(self, context: &Context) -> Result<JobInfo, Failure> {
        let id = JobId::from_number(self.id);
        let job = context.store.job(id).await.map_err(failure)?;
        let attempts = context.store.attempts(id).await.map_err(failure)?;
        Ok(JobInfo { attempts: attempts.into_iter().map(AttemptInfo::of).collect(), ..JobInfo::of(job) })
    }
}

/// Tries messages at once instead of when they would be due.
#[derive(Serialize, Deserialize, JsonSchema)]
pub(crate) struct QueueRetry {
    #[serde(default)]
    pub(crate) which: Which,
}

impl Operation for QueueRetry {
    const NAME: &'static str = "queue-retry";
    /// How many recipients are due now.
    type Answer = u64;

    async fn run(self, context: &Context) -> Result<u64, Failure> {
        let now = context.now();
        context.store.hurry(self.which.filter(now)?, now).await.map_err(failure)
    }
}
