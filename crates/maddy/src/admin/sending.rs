//! What accounts and users of this machine send in a day, and how much they may.

use crate::admin::{Context, Effect, Operation, QuotaLimit, account_name, failure};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use storage::{Limit, Standing};
use web::Failure;

/// What stands before the name of a user of this machine.
const OF_USER: &str = "sendmail:";

/// How a sender stands today.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub(crate) struct SendingInfo {
    /// An account, or `sendmail:` and a user of this machine.
    pub(crate) sender: String,
    /// Messages sent today.
    pub(crate) messages: u64,
    /// The limit that holds for them; none: there is none.
    pub(crate) messages_limit: Option<u64>,
    /// Addresses written to for the first time today.
    pub(crate) new_recipients: u64,
    pub(crate) new_recipients_limit: Option<u64>,
    /// Addresses that are remembered as written to.
    pub(crate) known: u64,
    /// Whether both limits are those of all senders.
    pub(crate) as_configured: bool,
    /// A limit was reached today, and its owner was told.
    pub(crate) told: bool,
    /// When the day is over, in seconds since 1970.
    pub(crate) until: i64,
}

impl From<Standing> for SendingInfo {
    fn from(standing: Standing) -> Self {
        let own = standing.own;
        Self {
            sender: standing.sender,
            messages: standing.messages,
            messages_limit: standing.limits.messages,
            new_recipients: standing.new_recipients,
            new_recipients_limit: standing.limits.new_recipients,
            known: standing.known,
            as_configured: (own.messages, own.new_recipients) == (Limit::AsConfigured, Limit::AsConfigured),
            told: standing.is_told,
            until: standing.until,
        }
    }
}

/// The name as it is kept.
fn sender_name(typed: &str) -> String {
    if typed.starts_with(OF_USER) { typed.to_owned() } else { account_name(typed) }
}

/// All senders that have sent something, or have limits of their own.
#[derive(Serialize, Deserialize, JsonSchema)]
pub(crate) struct SendingList {}

impl Operation for SendingList {
    const NAME: &'static str = "sending-list";
    const EFFECT: Effect = Effect::Reads;
    type Answer = Vec<SendingInfo>;

    async fn run(self, context: &Context) -> Result<Vec<SendingInfo>, Failure> {
        let all = context.store.sendings().await.map_err(failure)?;
        Ok(all.into_iter().map(SendingInfo::from).collect())
    }
}

/// How one sender stands.
#[derive(Serialize, Deserialize, JsonSchema)]
pub(crate) struct SendingShow {
    pub(crate) sender: String,
}

impl Operation for SendingShow {
    const NAME: &'static str = "sending-show";
    const EFFECT: Effect = Effect::Reads;
    type Answer = SendingInfo;

    async fn run(self, context: &Context) -> Result<SendingInfo, Failure> {
        Ok(context.store.sending(&sender_name(&self.sender)).await.map_err(failure)?.into())
    }
}

/// Sets what one sender may send in a day; what is not named stays.
#[derive(Serialize, Deserialize, JsonSchema)]
pub(crate) struct SendingSet {
    pub(crate) sender: String,
    pub(crate) messages: Option<QuotaLimit>,
    pub(crate) new_recipients: Option<QuotaLimit>,
}

impl Operation for SendingSet {
    const NAME: &'static str = "sending-set";
    type Answer = ();

    async fn run(self, context: &Context) -> Result<(), Failure> {
        let sender = sender_name(&self.sender);
        let mut own = context.store.sending(&sender).await.map_err(failure)?.own;
        if let Some(messages) = self.messages {
            own.messages = messages.into();
        }
        if let Some(new_recipients) = self.new_recipients {
            own.new_recipients = new_recipients.into();
        }
        context.store.set_sending_limits(&sender, own).await.map_err(failure)
    }
}

/// What one sender has sent today counts no more.
#[derive(Serialize, Deserialize, JsonSchema)]
pub(crate) struct SendingReset {
    pub(crate) sender: String,
}

impl Operation for SendingReset {
    const NAME: &'static str = "sending-reset";
    type Answer = ();

    async fn run(self, context: &Context) -> Result<(), Failure> {
        context.store.reset_sending(&sender_name(&self.sender)).await.map_err(failure)
    }
}
