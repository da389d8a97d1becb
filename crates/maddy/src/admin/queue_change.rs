//! Holding, releasing, changing and removing what waits to go out; addresses to which nothing is sent.

use crate::admin::{Context, Effect, Operation, failure};
use mail::{Address, Domain, Priority};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use storage::{Edit, Hold, JobId, QueueFilter, Suppressed};
use web::{Failure, Kind};

/// Which messages are meant: those to which all that is given applies.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
pub(crate) struct Which {
    pub(crate) id: Option<i64>,
    /// The id that is in the log and in the Received field.
    pub(crate) mail_id: Option<String>,
    /// The sender, with `*` for any text; empty for notices.
    pub(crate) from: Option<String>,
    pub(crate) to: Option<String>,
    pub(crate) domain: Option<String>,
    /// Seconds since it arrived.
    pub(crate) older_than: Option<u64>,
    pub(crate) held: Option<bool>,
}

impl Which {
    pub(crate) fn filter(&self, now: i64) -> Result<QueueFilter, Failure> {
        let refused = |text: String| Failure::new(Kind::BadRequest, text);
        let domain = match &self.domain {
            Some(text) => {
                let domain = Domain::parse(text).map_err(|error| refused(format!("{text}: {error}")))?;
                Some(domain.as_str().to_owned())
            }
            None => None,
        };
        Ok(QueueFilter {
            job: self.id.map(JobId::from_number),
            mail_id: self.mail_id.clone(),
            from: self.from.as_ref().map(|from| if from == "<>" { String::new() } else { from.clone() }),
            to: self.to.clone(),
            domain,
            arrived_until: self.older_than.map(|age| now.saturating_sub_unsigned(age)),
            hold: self.held.map(|held| if held { Hold::Held } else { Hold::Free }),
        })
    }
}

/// How many messages an operation would concern.
#[derive(Serialize, Deserialize, JsonSchema)]
pub(crate) struct QueueCount {
    pub(crate) which: Which,
}

impl Operation for QueueCount {
    const NAME: &'static str = "queue-count";
    const EFFECT: Effect = Effect::Reads;
    type Answer = u64;

    async fn run(self, context: &Context) -> Result<u64, Failure> {
        context.store.count_jobs(&self.which.filter(context.now())?).await.map_err(failure)
    }
}

/// Begins no more attempts for messages until they are released.
#[derive(Serialize, Deserialize, JsonSchema)]
pub(crate) struct QueueHold {
    pub(crate) which: Which,
}

impl Operation for QueueHold {
    const NAME: &'static str = "queue-hold";
    /// How many messages were not held before.
    type Answer = u64;

    async fn run(self, context: &Context) -> Result<u64, Failure> {
        let now = context.now();
        context.store.hold(self.which.filter(now)?, now).await.map_err(failure)
    }
}

/// Lets messages go that were held.
#[derive(Serialize, Deserialize, JsonSchema)]
pub(crate) struct QueueRelease {
    pub(crate) which: Which,
}

impl Operation for QueueRelease {
    const NAME: &'static str = "queue-release";
    /// How many messages were held before.
    type Answer = u64;

    async fn run(self, context: &Context) -> Result<u64, Failure> {
        context.store.unhold(self.which.filter(context.now())?).await.map_err(failure)
    }
}

/// Takes messages out of the queue. Nobody is told.
#[derive(Serialize, Deserialize, JsonSchema)]
pub(crate) struct QueueRemove {
    pub(crate) which: Which,
}

impl Operation for QueueRemove {
    const NAME: &'static str = "queue-remove";
    /// How many messages are gone.
    type Answer = u64;

    async fn run(self, context: &Context) -> Result<u64, Failure> {
        context.store.remove_jobs(self.which.filter(context.now())?).await.map_err(failure)
    }
}

/// Changes one message. The changes are made one after the other, up to the first that cannot be made.
#[derive(Serialize, Deserialize, JsonSchema)]
pub(crate) struct QueueEdit {
    pub(crate) id: i64,
    pub(crate) from: Option<String>,
    /// Old and new address.
    pub(crate) to: Vec<(String, String)>,
    pub(crate) priority: Option<i64>,
}

impl Operation for QueueEdit {
    const NAME: &'static str = "queue-edit";
    type Answer = ();

    async fn run(self, context: &Context) -> Result<(), Failure> {
        let parse = |text: &str| {
            Address::parse(text).map_err(|error| Failure::new(Kind::BadRequest, format!("{text}: {error}")))
        };
        let mut edits = Vec::new();
        if let Some(from) = &self.from {
            edits.push(Edit::Sender(parse(from)?));
        }
        for (old, new) in &self.to {
            edits.push(Edit::Recipient { old: parse(old)?, new: parse(new)? });
        }
        if let Some(number) = self.priority {
            let priority = Priority::new(number);
            let text = format!("{number} is no priority: it is a number from -9 to 9");
            edits.push(Edit::Priority(priority.ok_or_else(|| Failure::new(Kind::BadRequest, text))?));
        }
        for edit in edits {
            let job = JobId::from_number(self.id);
            context.store.edit_job(job, edit, context.now()).await.map_err(failure)?;
        }
        Ok(())
    }
}

/// An address to which nothing is sent.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub(crate) struct SuppressedInfo {
    pub(crate) address: String,
    pub(crate) failures: u64,
    /// Seconds since 1970.
    pub(crate) since: i64,
    /// Seconds since 1970; not there: until it is removed.
    pub(crate) until: Option<i64>,
    pub(crate) reason: String,
}

impl SuppressedInfo {
    fn of(one: Suppressed) -> Self {
        let Suppressed { address, failures, first_at, until, reason, .. } = one;
        Self { address, failures, since: first_at, until, reason }
    }
}

/// A page of the suppressed addresses, in their order, after one.
#[derive(Serialize, Deserialize, JsonSchema)]
pub(crate) struct SuppressedList {
    pub(crate) after: String,
}

impl Operation for SuppressedList {
    const NAME: &'static str = "suppressed-list";
    const EFFECT: Effect = Effect::Reads;
    /// Ends with an empty page.
    type Answer = Vec<SuppressedInfo>;

    async fn run(self, context: &Context) -> Result<Vec<SuppressedInfo>, Failure> {
        let page = context.store.suppressions(&self.after).await.map_err(failure)?;
        Ok(page.into_iter().map(SuppressedInfo::of).collect())
    }
}

fn key(text: &str) -> Result<String, Failure> {
    let address = Address::parse(text);
    address
        .map(|address| address.key())
        .map_err(|error| Failure::new(Kind::BadRequest, format!("{text}: {error}")))
}

/// Sends nothing to an address from now on.
#[derive(Serialize, Deserialize, JsonSchema)]
pub(crate) struct SuppressedAdd {
    pub(crate) address: String,
    pub(crate) reason: String,
}

impl Operation for SuppressedAdd {
    const NAME: &'static str = "suppressed-add";
    type Answer = ();

    async fn run(self, context: &Context) -> Result<(), Failure> {
        context.store.suppress(&key(&self.address)?, &self.reason).await.map_err(failure)
    }
}

/// Sends to an address again.
#[derive(Serialize, Deserialize, JsonSchema)]
pub(crate) struct SuppressedRemove {
    pub(crate) address: String,
}

impl Operation for SuppressedRemove {
    const NAME: &'static str = "suppressed-remove";
    type Answer = ();

    async fn run(self, context: &Context) -> Result<(), Failure> {
        match context.store.unsuppress(&key(&self.address)?).await.map_err(failure)? {
            true => Ok(()),
            false => {
                let text = format!(
                    "{} is not suppressed; `maddy queue suppressed list` shows the addresses that are",
                    self.address
                );
                Err(Failure::new(Kind::NotFound, text))
            }
        }
    }
}
