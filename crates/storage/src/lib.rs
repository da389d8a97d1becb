//! Accounts, mailboxes and the queue in one database: what a 250 promised is one transaction.
//!
//! Floor 2. The only crate with SQL. One writer takes all work that waits into one commit; readers have connections of
//! their own and never wait for it. See [`Store`].

mod accept;
mod acl;
mod annotation;
mod attempt;
pub mod backup;
mod block;
mod blocking;
mod body;
mod checkpoint;
mod collect;
mod config;
mod credential;
mod desk;
mod directory;
mod dmarc_seen;
mod error;
mod failing;
mod fetch;
mod flags;
mod greylist;
mod hold;
mod ids;
mod import;
mod inspect;
mod keyword;
mod known;
mod lanes;
mod login_key;
mod mailbox;
mod mailboxes;
mod marks;
mod measure;
mod message;
mod moving;
mod package;
mod places;
mod queue;
mod queue_admin;
mod queue_claim;
mod queue_list;
mod queue_row;
mod quota;
mod repair;
mod replace;
mod reports;
mod rights;
mod rows;
mod schema;
mod search;
mod sending;
mod settle;
mod special;
mod sql;
mod sqlite;
mod store;
mod sts_policy;
#[cfg(test)]
mod tests;
mod tls_seen;
mod trace;
mod uidset;
mod upgrade;
mod vanished;
mod verify;
mod wake;
mod writer;

pub use accept::{Acceptance, Filing, Folder, NewJob, RECIPIENTS_MAX};
pub use acl::{GRANTS_MAX, Grant, GrantChange, Grantee, Reached, SHARED_MAX, domain_of};
pub use annotation::{
    ANNOTATION_MAX, ANNOTATIONS_MAX, ANNOTATIONS_OCTETS_MAX, Annotated, Annotation, Annotations, Changed,
};
pub use attempt::{ATTEMPTS_MAX, ATTEMPTS_PER_JOB_MAX, Attempt, AttemptResult, KeptAttempt};
pub use config::Config;
pub use credential::{Credential, PasswordHash, ScramSalt, ScramVerifier};
pub use directory::Account;
pub use dmarc_seen::{DMARC_DOMAINS_MAX, DMARC_KINDS_MAX, DmarcDue, DmarcSeen};
pub use error::{Error, Result, Trouble};
pub use failing::{FAILING_MAX, FailingRule, SUPPRESSED_MAX, Suppressed, Verdict};
pub use fetch::{PAGE_MAX, PAGE_OCTETS};
pub use flags::{Flags, KEYWORD_LEN_MAX, KEYWORDS_MAX, Keywords};
pub use greylist::{GREYLIST_CLIENTS_MAX, GREYLIST_TRIPLETS_MAX, Grey, GreyRule};
pub use hold::HOLD_MAX;
pub use ids::{AccountId, EmailId, JobId, MailboxId, ModSeq, RecipientId, Uid, Unix};
pub use import::{IMPORTS_MAX, Import, ImportKey, Imported};
pub use inspect::{BodiesRead, Inspection};
pub use lanes::LaneOf;
pub use login_key::{
    APP_PASSWORDS_MAX, AppPassword, CERTIFICATES_MAX, LoginCertificate, LoginKey, NewAppPassword,
};
pub use mailbox::{
    DELIMITER, LEVELS_MAX, Listing, MAILBOXES_MAX, Mailbox, MailboxKind, NAME_MAX, SUBSCRIPTIONS_MAX,
    SpecialUse, fold as canonical_name,
};
pub use message::{
    Appended, Changes, Columns, Copied, Expunged, FlagChange, FlagMode, Mark, NewMessage, Row, Shape,
    Snapshot, Stored, Which,
};
pub use moving::Way;
pub use package::{Accepted, Filed};
pub use queue::{CLAIMS_MAX, Claim, JobEnd, Next, Outcome, Settled, Settlement};
pub use queue_admin::{Edit, Hold, QueueFilter};
pub use queue_list::{Job, JobRecipient, LastTry, QUEUE_PAGE_MAX, RecipientState};
pub use quota::{Allowance, Limit, Limits, Quota, Space, Usage};
pub use repair::{Indexes, Repaired};
pub use reports::{
    FiledReport, NewReport, REPORT_ROWS_MAX, REPORTS_MAX, REPORTS_PAGE_MAX, ReportInfo, ReportKind,
    ReportRow, ReportSummary, SUMMARY_MAX, UNPROVEN, UNPROVEN_MAX,
};
pub use rights::{Rights, Sign};
pub use search::{Candidates, IndexStatus, Search, TERM_MIN};
pub use sending::{
    Charge, Counted, DailyLimits, Exceeded, KNOWN_MAX, OwnLimits, SENDERS_SHOWN_MAX, Standing,
};
pub use store::Store;
pub use sts_policy::{STS_POLICIES_MAX, STS_REFRESH_MAX, StsPolicyRow};
pub use tls_seen::{TLS_DOMAINS_MAX, TLS_KINDS_MAX, TlsDue, TlsSeen};
pub use trace::{TRACE_BATCH_MAX, TRACE_MAILS_MAX, TRACE_NAME_MAX, TRACE_READ_MAX, TraceBounds, TraceEvent};
pub use uidset::{UidSet, UidWalk};
