//! Mail on its way to another place: mailboxes page by page.

use crate::admin::mboxes::account_id;
use crate::admin::messages::{blocking, flag_names, unreadable};
use crate::admin::{Context, Effect, Operation, failure};
use mail::mime::decode;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use storage::{Columns, Row, Uid, UidSet};
use web::Failure;

/// Most messages of one page.
const PAGE: usize = 250;
/// Larger messages are read piece by piece (`imap-msgs-dump`), in octets.
const WHOLE_MAX: u64 = 1024 * 1024;

/// Messages of a mailbox behind a UID, with their flags.
#[derive(Serialize, Deserialize, JsonSchema)]
pub(crate) struct ExportPage {
    pub(crate) account: String,
    pub(crate) mailbox: String,
    /// 0 to begin with.
    pub(crate) after: Uid,
}

/// A page; without messages: there are no more.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub(crate) struct ExportedPage {
    pub(crate) uidvalidity: u32,
    /// All keywords of the mailbox.
    pub(crate) keywords: Vec<String>,
    pub(crate) messages: Vec<ExportedMessage>,
}

#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub(crate) struct ExportedMessage {
    pub(crate) uid: Uid,
    /// As IMAP names them: `\Seen`, or keywords.
    pub(crate) flags: Vec<String>,
    /// In seconds since 1970.
    pub(crate) received: i64,
    pub(crate) size: u64,
    /// In base64; not given for a large one.
    pub(crate) message: Option<String>,
}

impl Operation for ExportPage {
    const NAME: &'static str = "export-page";
    const EFFECT: Effect = Effect::Reads;
    type Answer = ExportedPage;

    async fn run(self, context: &Context) -> Result<ExportedPage, Failure> {
        let account = account_id(context, &self.account).await?;
        let store = &context.store;
        let mailbox = store.mailbox(account, &self.mailbox).await.map_err(failure)?;
        let uids = UidSet::all().after(self.after);
        let rows = store.fetch(mailbox.id, &uids, Columns::MESSAGE, PAGE).await.map_err(failure)?;
        // Asked after the messages, so that the names of all their keywords are among these.
        let changes = store.changes_since(mailbox.id, mailbox.modseq).await.map_err(failure)?;
        let keywords = changes.keywords;
        let names = keywords.clone();
        let messages = blocking(move || {
            rows.into_iter().map(|row| exported(row, &names)).collect::<Result<Vec<_>, _>>()
        })
        .await?;
        Ok(ExportedPage { uidvalidity: mailbox.uidvalidity, keywords, messages })
    }
}

fn exported(row: Row, names: &[String]) -> Result<ExportedMessage, Failure> {
    let whole = row.message.filter(|_| row.size <= WHOLE_MAX);
    let octets = whole.map(|message| message.to_vec()).transpose().map_err(|error| unreadable(&error))?;
    Ok(ExportedMessage {
        uid: row.uid,
        flags: flag_names(row.flags, row.keywords, names),
        received: row.received,
        size: row.size,
        message: octets.map(|octets| decode::to_base64(&octets)),
    })
}
