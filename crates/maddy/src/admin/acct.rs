//! The mailboxes of an account, without its login.

use crate::admin::{Context, Effect, Operation, account_name, address_name, failure};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use storage::{Account, Allowance, Limit, Limits};
use web::Failure;

/// An account as listings show it.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub(crate) struct AccountInfo {
    pub(crate) name: String,
    /// It has a password.
    pub(crate) login: bool,
    /// When the mailboxes were made, in seconds since 1970; none: there are only credentials.
    pub(crate) created: Option<i64>,
    pub(crate) mailboxes: u64,
    pub(crate) messages: u64,
    /// Octets of all messages.
    pub(crate) size: u64,
    /// Largest message that a client may put into a mailbox, in octets, where the account has its own limit.
    pub(crate) append_limit: Option<u64>,
}

/// What an account may keep, and what it does.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub(crate) struct QuotaInfo {
    /// Octets of all messages.
    pub(crate) size: u64,
    /// The limit that holds for them; none: there is none.
    pub(crate) size_limit: Option<u64>,
    pub(crate) messages: u64,
    pub(crate) messages_limit: Option<u64>,
    /// Whether the limits are those of all accounts.
    pub(crate) as_configured: bool,
}

/// A limit as it is to be: `as-configured`, `none`, or a number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum QuotaLimit {
    AsConfigured,
    None,
    At(u64),
}

impl From<QuotaLimit> for Limit {
    fn from(limit: QuotaLimit) -> Self {
        match limit {
            QuotaLimit::AsConfigured => Self::AsConfigured,
            QuotaLimit::None => Self::Unlimited,
            QuotaLimit::At(limit) => Self::At(limit),
        }
    }
}

/// Shows what an account may keep.
#[derive(Serialize, Deserialize, JsonSchema)]
pub(crate) struct AcctQuota {
    pub(crate) name: String,
}

async fn allowance(context: &Context, name: &str) -> Result<Allowance, Failure> {
    let found = context.store.allowances(&[name.to_owned()]).await.map_err(failure)?;
    let missing = || failure(storage::Error::NoSuchAccount(name.to_owned()));
    found.get(name).copied().ok_or_else(missing)
}

impl Operation for AcctQuota {
    const NAME: &'static str = "imap-acct-quota";
    const EFFECT: Effect = Effect::Reads;
    type Answer = QuotaInfo;

    async fn run(self, context: &Context) -> Result<QuotaInfo, Failure> {
        let Allowance { limits, quota, used } = allowance(context, &account_name(&self.name)).await?;
        Ok(QuotaInfo {
            size: used.octets,
            size_limit: quota.octets,
            messages: used.messages,
            messages_limit: quota.messages,
            as_configured: limits == Limits::default(),
        })
    }
}

/// Sets what an account may keep; what is not named stays.
#[derive(Serialize, Deserialize, JsonSchema)]
pub(crate) struct AcctSetQuota {
    pub(crate) name: String,
    /// Octets of all messages.
    pub(crate) size: Option<QuotaLimit>,
    pub(crate) messages: Option<QuotaLimit>,
}

impl Operation for AcctSetQuota {
    const NAME: &'static str = "imap-acct-set-quota";
    type Answer = ();

    async fn run(self, context: &Context) -> Result<(), Failure> {
        let name = account_name(&self.name);
        let mut limits = allowance(context, &name).await?.limits;
        if let Some(size) = self.size {
            limits.octets = size.into();
        }
        if let Some(messages) = self.messages {
            limits.messages = messages.into();
        }
        context.store.set_limits(&name, limits).await.map_err(failure)
    }
}

impl AccountInfo {
    pub(crate) fn of(account: Account) -> Self {
        Self {
            name: account.name,
            login: false,
            created: Some(account.created),
            mailboxes: account.mailboxes,
            messages: account.messages,
            size: account.octets,
            append_limit: account.append_limit,
        }
    }

    pub(crate) fn only_login(name: String) -> Self {
        Self { name, login: true, created: None, mailboxes: 0, messages: 0, size: 0, append_limit: None }
    }
}

/// New mailboxes for an address that cannot log in yet.
#[derive(Serialize, Deserialize, JsonSchema)]
pub(crate) struct AcctCreate {
    pub(crate) name: String,
}

impl Operation for AcctCreate {
    const NAME: &'static str = "imap-acct-create";
    type Answer = String;

    async fn run(self, context: &Context) -> Result<String, Failure> {
        let name = address_name(&self.name)?;
        context.store.create_account(&name).await.map_err(failure)?;
        Ok(name)
    }
}

/// All mailboxes and messages of an account; its login stays.
#[derive(Serialize, Deserialize, JsonSchema)]
pub(crate) struct AcctRemove {
    pub(crate) name: String,
}

impl Operation for AcctRemove {
    const NAME: &'static str = "imap-acct-remove";
    type Answer = ();

    async fn run(self, context: &Context) -> Result<(), Failure> {
        context.store.remove_account(&account_name(&self.name)).await.map_err(failure)
    }
}

/// One account and its size.
#[derive(Serialize, Deserialize, JsonSchema)]
pub(crate) struct AcctStat {
    pub(crate) name: String,
}

impl Operation for AcctStat {
    const NAME: &'static str = "imap-acct-stat";
    const EFFECT: Effect = Effect::Reads;
    type Answer = AccountInfo;

    async fn run(self, context: &Context) -> Result<AccountInfo, Failure> {
        let name = account_name(&self.name);
        let account = context.store.account(&name).await.map_err(failure)?;
        let account = account.ok_or_else(|| failure(storage::Error::NoSuchAccount(name.clone())))?;
        let login = context.store.credential(&name).await.map_err(failure)?.is_some();
        Ok(AccountInfo { login, ..AccountInfo::of(account) })
    }
}

/// Sets or lifts the account's own limit for messages that clients put into mailboxes, in octets.
#[derive(Serialize, Deserialize, JsonSchema)]
pub(crate) struct AcctLimit {
    pub(crate) name: String,
    pub(crate) limit: Option<u64>,
}

impl Operation for AcctLimit {
    const NAME: &'static str = "imap-acct-appendlimit";
    type Answer = ();

    async fn run(self, context: &Context) -> Result<(), Failure> {
        context.store.set_append_limit(&account_name(&self.name), self.limit).await.map_err(failure)
    }
}
