//! The queue of outgoing mail.

use crate::admin::{Context, Effect, Operation, failure};
use serde::{Deserialize, Serialize};
use storage::{Job, JobId, RecipientState};
use web::Failure;

/// Jobs that one call lists.
const PAGE: usize = 500;

#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct JobInfo {
    pub(crate) id: i64,
    /// The id that is in the log and in the Received field.
    pub(crate) mail_id: String,
    /// Empty for notices.
    pub(crate) from: String,
    /// Seconds since 1970.
    pub(crate) arrived: i64,
    pub(crate) size: u64,
    pub(crate) recipients: Vec<RecipientInfo>,
    /// What of it cannot be read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) damage: Option<String>,
}

#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct RecipientInfo {
    pub(crate) address: String,
    /// waiting, trying, delivered or failed.
    pub(crate) state: String,
    pub(crate) attempts: u32,
    /// When it is tried next, in seconds since 1970.
    pub(crate) due: i64,
    pub(crate) last: Option<LastTry>,
}

#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct LastTry {
    pub(crate) at: i64,
    pub(crate) host: String,
    pub(crate) reply: String,
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
            size: job.size,
            recipients: recipients.collect(),
            damage: job.damage,
        }
    }
}

/// A page of the queue, in order of arrival, after a job.
#[derive(Serialize, Deserialize)]
pub(crate) struct QueueList {
    pub(crate) after: Option<i64>,
}

impl Operation for QueueList {
    const NAME: &'static str = "queue-list";
    const EFFECT: Effect = Effect::Reads;
    /// Ends with an empty page.
    type Answer = Vec<JobInfo>;

    async fn run(self, context: &Context) -> Result<Vec<JobInfo>, Failure> {
        let jobs = context.store.queue(self.after.map(JobId::from_number), PAGE).await.map_err(failure)?;
        Ok(jobs.into_iter().map(JobInfo::of).collect())
    }
}

#[derive(Serialize, Deserialize)]
pub(crate) struct QueueShow {
    pub(crate) id: i64,
}

impl Operation for QueueShow {
    const NAME: &'static str = "queue-show";
    const EFFECT: Effect = Effect::Reads;
    type Answer = JobInfo;

    async fn run(self, context: &Context) -> Result<JobInfo, Failure> {
        let job = context.store.job(JobId::from_number(self.id)).await.map_err(failure)?;
        Ok(JobInfo::of(job))
    }
}

/// Tries a message, or all, at once instead of when it would be due.
#[derive(Serialize, Deserialize)]
pub(crate) struct QueueRetry {
    pub(crate) id: Option<i64>,
}

impl Operation for QueueRetry {
    const NAME: &'static str = "queue-retry";
    /// How many recipients are due now.
    type Answer = u64;

    async fn run(self, context: &Context) -> Result<u64, Failure> {
        let now = context.now();
        context.store.retry_now(self.id.map(JobId::from_number), now).await.map_err(failure)
    }
}

/// Takes a message out of the queue. Nobody is told.
#[derive(Serialize, Deserialize)]
pub(crate) struct QueueRemove {
    pub(crate) id: i64,
}

impl Operation for QueueRemove {
    const NAME: &'static str = "queue-remove";
    type Answer = ();

    async fn run(self, context: &Context) -> Result<(), Failure> {
        context.store.remove_job(JobId::from_number(self.id)).await.map_err(failure)
    }
}
