//! Mail that comes from another place, with its folders: in pieces, as a command reads it.

use crate::admin::mboxes::{account_id, special_use};
use crate::admin::messages::{blocking, unreadable};
use crate::admin::{Context, Effect, Operation, failure};
use mail::mime::{self, decode};
use mail::{Blob, Message};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use storage::{
    AccountId, Flags, Import, ImportKey, Imported, Listing, MailboxKind, NewMessage, Shape, Space,
};
use web::{Failure, Kind};

/// Most messages of one call.
pub(crate) const IMPORT_MAX: usize = 250;

/// Makes a mailbox for what comes, unless it is there.
#[derive(Serialize, Deserialize, JsonSchema)]
pub(crate) struct ImportFolder {
    pub(crate) account: String,
    pub(crate) name: String,
    /// `\Sent` and the like. It is given to the mailbox if that of the account has no messages.
    pub(crate) special_use: Option<String>,
    pub(crate) subscribed: bool,
}

impl Operation for ImportFolder {
    const NAME: &'static str = "import-folder";
    /// The name of the mailbox.
    type Answer = String;

    async fn run(self, context: &Context) -> Result<String, Failure> {
        let account = account_id(context, &self.account).await?;
        let store = &context.store;
        match store.create_mailbox(account, &self.name, None).await {
            Ok(_) | Err(storage::Error::Exists(_)) => {}
            Err(error) => return Err(failure(error)),
        }
        let mailbox = store.mailbox(account, &self.name).await.map_err(failure)?;
        if self.subscribed && !mailbox.subscribed {
            store.subscribe(account, &mailbox.name).await.map_err(failure)?;
        }
        let special = self.special_use.as_deref().and_then(|name| special_use(name).ok());
        if let Some(special) = special.filter(|_| mailbox.special_use.is_none() && mailbox.name != "INBOX") {
            let listing = store.list(account).await.map_err(failure)?;
            if is_free(&listing, special) {
                store.set_special_use(account, &mailbox.name, Some(special)).await.map_err(failure)?;
            }
        }
        Ok(mailbox.name)
    }
}

/// No mailbox with messages is for this.
fn is_free(listing: &Listing, special: storage::SpecialUse) -> bool {
    let mut holders = listing.mailboxes.iter().filter(|mailbox| mailbox.special_use == Some(special));
    holders.all(|mailbox| mailbox.messages == 0 && mailbox.kind == MailboxKind::Selectable)
}

/// Which messages were brought in before, by their keys.
#[derive(Serialize, Deserialize, JsonSchema)]
pub(crate) struct ImportKnown {
    pub(crate) account: String,
    pub(crate) keys: Vec<String>,
}

impl Operation for ImportKnown {
    const NAME: &'static str = "import-known";
    const EFFECT: Effect = Effect::Reads;
    type Answer = Vec<bool>;

    async fn run(self, context: &Context) -> Result<Vec<bool>, Failure> {
        let account = account_id(context, &self.account).await?;
        if self.keys.len() > storage::IMPORTS_MAX {
            let most = storage::IMPORTS_MAX;
            return Err(Failure::new(Kind::BadRequest, format!("more than {most} keys in one call")));
        }
        let keys = self.keys.iter().map(|text| key(text)).collect::<Result<Vec<_>, _>>()?;
        context.store.imported(account, &keys).await.map_err(failure)
    }
}

fn key(text: &str) -> Result<ImportKey, Failure> {
    text.parse().map_err(|()| Failure::new(Kind::BadRequest, format!("{text:?} is no key")))
}

/// A message on its way in.
#[derive(Serialize, Deserialize, JsonSchema)]
pub(crate) struct ImportMessage {
    pub(crate) key: String,
    /// As IMAP names them: `\Seen`, or keywords.
    pub(crate) flags: Vec<String>,
    /// In seconds since 1970; now, if not given.
    pub(crate) received: Option<i64>,
    /// In base64.
    pub(crate) message: String,
}

/// Whether a quota keeps messages out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum ImportQuota {
    Obeyed,
    Ignored,
}

/// At most [`IMPORT_MAX`] messages for one mailbox, all in one commit.
#[derive(Serialize, Deserialize, JsonSchema)]
pub(crate) struct ImportMessages {
    pub(crate) account: String,
    pub(crate) mailbox: String,
    pub(crate) messages: Vec<ImportMessage>,
    pub(crate) quota: ImportQuota,
}

/// What became of a message.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum ImportOutcome {
    Imported,
    WithoutKeywords,
    Before,
    Refused(String),
}

impl Operation for ImportMessages {
    const NAME: &'static str = "import-messages";
    type Answer = Vec<ImportOutcome>;

    async fn run(self, context: &Context) -> Result<Vec<ImportOutcome>, Failure> {
        if self.messages.len() > IMPORT_MAX {
            let message = format!("more than {IMPORT_MAX} messages in one call");
            return Err(Failure::new(Kind::BadRequest, message));
        }
        let account = account_id(context, &self.account).await?;
        let mailbox = context.store.mailbox(account, &self.mailbox).await.map_err(failure)?;
        let (messages, now) = (self.messages, context.now());
        let imports = blocking(move || {
            messages.into_iter().map(|message| read(message, now)).collect::<Result<Vec<_>, _>>()
        })
        .await?;
        let space = match self.quota {
            ImportQuota::Obeyed => Space::Needed,
            ImportQuota::Ignored => Space::Granted,
        };
        let outcomes = context.store.import(mailbox.id, imports, space).await.map_err(failure)?;
        Ok(outcomes.into_iter().map(told).collect())
    }
}

fn read(message: ImportMessage, now: i64) -> Result<Import, Failure> {
    let key = key(&message.key)?;
    let octets = decode::base64(message.message.as_bytes());
    let analysis = mime::analyse(&mut octets.as_slice()).map_err(|error| unreadable(&error))?;
    let (flags, keywords) = read_flags(message.flags);
    let received = message.received.unwrap_or(now);
    let shape = Shape::of(&analysis);
    let message = Message::new(Blob::from_bytes(octets));
    Ok(Import { key, message: NewMessage { message, shape, flags, keywords, received } })
}

/// Flags that there are, and keywords; what else another server has is dropped, like `\Recent`.
fn read_flags(names: Vec<String>) -> (Flags, Vec<String>) {
    let known = [
        ("\\Seen", Flags::SEEN),
        ("\\Answered", Flags::ANSWERED),
        ("\\Flagged", Flags::FLAGGED),
        ("\\Deleted", Flags::DELETED),
        ("\\Draft", Flags::DRAFT),
    ];
    let (mut flags, mut keywords) = (Flags::NONE, Vec::new());
    for name in names {
        match known.iter().find(|(known, _)| known.eq_ignore_ascii_case(&name)) {
            Some((_, flag)) => flags = flags | *flag,
            None if name.starts_with('\\') => {}
            None => keywords.push(name),
        }
    }
    (flags, keywords)
}

fn told(outcome: Imported) -> ImportOutcome {
    match outcome {
        Imported::New(_) => ImportOutcome::Imported,
        Imported::WithoutKeywords(_) => ImportOutcome::WithoutKeywords,
        Imported::Before => ImportOutcome::Before,
        Imported::Refused(error) => ImportOutcome::Refused(error.to_string()),
    }
}

/// Forgets what was brought in, so that it can be brought in again.
#[derive(Serialize, Deserialize, JsonSchema)]
pub(crate) struct ImportForget {
    pub(crate) account: String,
}

impl Operation for ImportForget {
    const NAME: &'static str = "import-forget";
    /// How many messages that were.
    type Answer = u64;

    async fn run(self, context: &Context) -> Result<u64, Failure> {
        let account: AccountId = account_id(context, &self.account).await?;
        context.store.forget_imported(account).await.map_err(failure)
    }
}
