//! Mailboxes of an account.

use crate::admin::{Context, Effect, Operation, account_name, failure};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use storage::{AccountId, MailboxKind, SpecialUse};
use web::{Failure, Kind};

#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub(crate) struct MailboxInfo {
    pub(crate) name: String,
    /// `\Sent` and the like.
    pub(crate) special_use: Option<String>,
    pub(crate) subscribed: bool,
    /// It can hold messages, and not only other mailboxes.
    pub(crate) selectable: bool,
    pub(crate) messages: u32,
    pub(crate) unseen: u32,
    pub(crate) size: u64,
}

pub(crate) async fn account_id(context: &Context, typed: &str) -> Result<AccountId, Failure> {
    let name = account_name(typed);
    let account = context.store.account(&name).await.map_err(failure)?;
    account.map(|account| account.id).ok_or_else(|| failure(storage::Error::NoSuchAccount(name)))
}

#[derive(Serialize, Deserialize, JsonSchema)]
pub(crate) struct MboxesList {
    pub(crate) account: String,
}

impl Operation for MboxesList {
    const NAME: &'static str = "imap-mboxes-list";
    const EFFECT: Effect = Effect::Reads;
    type Answer = Vec<MailboxInfo>;

    async fn run(self, context: &Context) -> Result<Vec<MailboxInfo>, Failure> {
        let account = account_id(context, &self.account).await?;
        let listing = context.store.list(account).await.map_err(failure)?;
        Ok(listing
            .mailboxes
            .into_iter()
            .map(|mailbox| MailboxInfo {
                name: mailbox.name,
                special_use: mailbox.special_use.map(|special| special.to_string()),
                subscribed: mailbox.subscribed,
                selectable: mailbox.kind == MailboxKind::Selectable,
                messages: mailbox.messages,
                unseen: mailbox.unseen,
                size: mailbox.size,
            })
            .collect())
    }
}

#[derive(Serialize, Deserialize, JsonSchema)]
pub(crate) struct MboxesCreate {
    pub(crate) account: String,
    pub(crate) name: String,
    /// `\Sent`, or `sent`.
    pub(crate) special_use: Option<String>,
}

impl Operation for MboxesCreate {
    const NAME: &'static str = "imap-mboxes-create";
    type Answer = ();

    async fn run(self, context: &Context) -> Result<(), Failure> {
        let account = account_id(context, &self.account).await?;
        let special = self.special_use.as_deref().map(special_use).transpose()?;
        context.store.create_mailbox(account, &self.name, special).await.map_err(failure)?;
        context.store.subscribe(account, &self.name).await.map_err(failure)
    }
}

pub(super) fn special_use(typed: &str) -> Result<SpecialUse, Failure> {
    let name = typed.trim_start_matches('\\');
    let all = [
        SpecialUse::Drafts,
        SpecialUse::Sent,
        SpecialUse::Archive,
        SpecialUse::Junk,
        SpecialUse::Trash,
        SpecialUse::Flagged,
        SpecialUse::All,
    ];
    all.into_iter()
        .find(|special| special.to_string().trim_start_matches('\\').eq_ignore_ascii_case(name))
        .ok_or_else(|| {
            let known = "drafts, sent, archive, junk, trash, flagged, all";
            Failure::new(Kind::BadRequest, format!("{typed:?} is no special use; there are {known}"))
        })
}

/// A mailbox and its messages.
#[derive(Serialize, Deserialize, JsonSchema)]
pub(crate) struct MboxesRemove {
    pub(crate) account: String,
    pub(crate) name: String,
}

impl Operation for MboxesRemove {
    const NAME: &'static str = "imap-mboxes-remove";
    type Answer = ();

    async fn run(self, context: &Context) -> Result<(), Failure> {
        let account = account_id(context, &self.account).await?;
        context.store.delete_mailbox(account, &self.name).await.map_err(failure)
    }
}

#[derive(Serialize, Deserialize, JsonSchema)]
pub(crate) struct MboxesRename {
    pub(crate) account: String,
    pub(crate) from: String,
    pub(crate) to: String,
}

impl Operation for MboxesRename {
    const NAME: &'static str = "imap-mboxes-rename";
    type Answer = ();

    async fn run(self, context: &Context) -> Result<(), Failure> {
        let account = account_id(context, &self.account).await?;
        context.store.rename_mailbox(account, &self.from, &self.to).await.map_err(failure)
    }
}
