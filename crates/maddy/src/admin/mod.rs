//! What can be done to a mail server from outside, as typed operations.
//!
//! The daemon carries them out when they come in over its control socket; the command line carries them out itself
//! when no daemon runs. Both run the same code on a [`Store`], so that both give the same answer.

mod account;
mod acct;
mod creds;
mod dkim;
mod export;
mod import;
mod kept;
mod logins;
mod mboxes;
mod messages;
mod names;
mod queue;
mod queue_change;
mod reindex;
mod reports;
mod rights;
mod selection;
mod sending;
mod trace;
mod upkeep;
mod verify;

pub(crate) use account::{AccountAdd, AccountList, AccountRemove, AccountRename};
pub(crate) use acct::{
    AccountInfo, AcctCreate, AcctLimit, AcctQuota, AcctRemove, AcctSetQuota, AcctStat, QuotaInfo, QuotaLimit,
};
pub(crate) use creds::{CredsCreate, CredsList, CredsPassword, CredsRemove, CredsVerify, Password};
pub(crate) use dkim::{DKIM, DkimAnswer, DkimCall, KeyLine, carry_out as dkim_carry_out};
pub(crate) use export::{ExportPage, ExportedMessage};
pub(crate) use import::{
    IMPORT_MAX, ImportFolder, ImportForget, ImportKnown, ImportMessage, ImportMessages, ImportOutcome,
    ImportQuota,
};
pub(crate) use kept::{CredsSalt, Kept, SaltOf};
pub(crate) use logins::{
    AppPasswordCreate, AppPasswordInfo, AppPasswordList, AppPasswordRevoke, CertificateAdd, CertificateInfo,
    CertificateList, CertificateRemove,
};
pub(crate) use mboxes::{MailboxInfo, MboxesCreate, MboxesList, MboxesRemove, MboxesRename};
pub(crate) use messages::{
    LIST_MAX, MESSAGE_MAX, MessagesAdd, MessagesCopy, MessagesFlag, MessagesList, MessagesPick,
    MessagesPiece, MessagesRemove, Mode, Pick, Way,
};
pub(crate) use names::{account_name, address_name};
pub(crate) use queue::{AttemptInfo, JobInfo, QueueList, QueueRetry, QueueShow, RecipientInfo};
pub(crate) use queue_change::{
    QueueCount, QueueEdit, QueueHold, QueueRelease, QueueRemove, SuppressedAdd, SuppressedInfo,
    SuppressedList, SuppressedRemove, Which,
};
pub(crate) use reindex::{AcctIndex, AcctReindex, IndexInfo};
pub(crate) use reports::{
    ReportLine, ReportsList, ReportsShow, ReportsSummary, RowLine, SummaryLine, WholeReport,
};
pub(crate) use rights::{MboxesGrant, MboxesRights, RightsInfo};
pub(crate) use selection::{By, Selection};
pub(crate) use sending::{SendingInfo, SendingList, SendingReset, SendingSet, SendingShow};
pub(crate) use trace::{TraceFind, TraceLine, TracedMail};
pub(crate) use upkeep::{BackupHold, BackupRelease, Mended, Reindex, VerifyRepair};
pub(crate) use verify::StoreVerify;

use crate::openapi::Route;
use schemars::{JsonSchema, SchemaGenerator};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use std::future::Future;
use storage::{Error, Store};
use web::{Answer, Failure, Kind};
use world::World;

/// What operations work on.
#[derive(Clone)]
pub(crate) struct Context {
    pub(crate) store: Store,
    pub(crate) world: World,
}

impl Context {
    pub(crate) fn now(&self) -> i64 {
        self.world.clock.unix()
    }
}

/// What an operation does to the server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Effect {
    Reads,
    Changes,
}

/// One thing that can be done. The value is its arguments.
pub(crate) trait Operation: Serialize + DeserializeOwned + JsonSchema + Send + 'static {
    /// Its name on the control socket: `POST /v1/<name>`.
    const NAME: &'static str;
    const EFFECT: Effect = Effect::Changes;
    type Answer: Serialize + DeserializeOwned + JsonSchema + Send;

    fn run(self, context: &Context) -> impl Future<Output = Result<Self::Answer, Failure>> + Send;
}

/// What there is: the way from a name to its operation, and the description of each.
macro_rules! operations {
    ($($operation:ty),* $(,)?) => {
        /// Carries out an operation that came as JSON. `None` if there is none of that name.
        pub(crate) async fn dispatch(name: &str, arguments: Value, context: &Context) -> Option<(Effect, Answer)> {
            match name {
                $(<$operation>::NAME => {
                    Some((<$operation>::EFFECT, carry_out::<$operation>(arguments, context).await))
                })*
                _ => None,
            }
        }

        /// All of them.
        pub(crate) fn routes(schemas: &mut SchemaGenerator) -> Vec<Route> {
            vec![$(Route::of::<$operation, <$operation as Operation>::Answer>(
                schemas, <$operation>::NAME, <$operation>::EFFECT,
            )),*]
        }
    };
}

operations![
    AccountAdd,
    AccountList,
    AccountRemove,
    AccountRename,
    AcctCreate,
    AcctIndex,
    AcctLimit,
    AcctQuota,
    AcctReindex,
    AcctRemove,
    AcctSetQuota,
    AcctStat,
    AppPasswordCreate,
    AppPasswordList,
    AppPasswordRevoke,
    BackupHold,
    BackupRelease,
    CertificateAdd,
    CertificateList,
    CertificateRemove,
    CredsCreate,
    CredsList,
    CredsPassword,
    CredsRemove,
    CredsSalt,
    CredsVerify,
    ExportPage,
    ImportFolder,
    ImportForget,
    ImportKnown,
    ImportMessages,
    MboxesCreate,
    MboxesGrant,
    MboxesList,
    MboxesRemove,
    MboxesRename,
    MboxesRights,
    MessagesAdd,
    MessagesCopy,
    MessagesFlag,
    MessagesList,
    MessagesPick,
    MessagesPiece,
    MessagesRemove,
    QueueCount,
    QueueEdit,
    QueueHold,
    QueueList,
    QueueRelease,
    QueueRemove,
    QueueRetry,
    QueueShow,
    ReportsList,
    ReportsShow,
    ReportsSummary,
    SendingList,
    SendingReset,
    SendingSet,
    SendingShow,
    StoreVerify,
    SuppressedAdd,
    SuppressedList,
    SuppressedRemove,
    TraceFind,
    VerifyRepair,
];

async fn carry_out<O: Operation>(arguments: Value, context: &Context) -> Answer {
    let operation: O = serde_json::from_value(arguments)
        .map_err(|error| Failure::new(Kind::BadRequest, format!("{}: {error}", O::NAME)))?;
    let answer = operation.run(context).await?;
    serde_json::to_value(answer).map_err(|error| Failure::new(Kind::Broken, error.to_string()))
}

/// Says an error of the store in the words of the command line.
pub(crate) fn failure(error: Error) -> Failure {
    let kind = match &error {
        Error::NoSuchAccount(_)
        | Error::NoSuchCredential(_)
        | Error::NoSuchLoginKey(_)
        | Error::NoSuchMailbox(_)
        | Error::NoSuchJob(_) => Kind::NotFound,
        Error::Exists(_) => Kind::Exists,
        Error::Trouble(storage::Trouble::Bug(_)) => Kind::Broken,
        Error::Trouble(_) | Error::QueueFull { .. } | Error::LeaseLost => Kind::Unavailable,
        _ => Kind::Refused,
    };
    let advice = match &error {
        Error::NoSuchAccount(_) => "; `maddy account list` shows those that there are",
        Error::NoSuchCredential(_) => "; `maddy creds list` shows those that there are",
        Error::NoSuchMailbox(_) => "; `maddy imap-mboxes list` shows those that there are",
        Error::NoSuchJob(_) => "; it may have been delivered meanwhile: see `maddy queue list`",
        _ => "",
    };
    Failure::new(kind, format!("{error}{advice}"))
}
