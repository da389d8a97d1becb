//! What can go wrong: refusals that the caller caused, and trouble that is ours.

use crate::ids::JobId;
use crate::sending::{Counted, Exceeded};
use std::fmt;

pub type Result<T> = std::result::Result<T, Error>;

/// Why a call did not do what was asked. `Display` is a sentence for people.
///
/// Nothing of the work was done, except after [`Trouble::Io`] from a commit: then it may be there after a restart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Error {
    /// Ours, not the caller's: SMTP answers 4xx, IMAP `NO`.
    Trouble(Trouble),
    NoSuchAccount(String),
    NoSuchCredential(String),
    /// No app password or client certificate of that name.
    NoSuchLoginKey(String),
    NoSuchMailbox(String),
    NoSuchJob(JobId),
    /// What was to be changed of a job cannot be; with the reason.
    NotEditable(&'static str),
    /// An account, credential or mailbox of that name is there already.
    Exists(String),
    /// The name cannot be the name of a mailbox, account or credential; with the reason.
    BadName(String, &'static str),
    /// Only a name that holds other mailboxes, which must go first (RFC 9051 §7.1 HASCHILDREN).
    HasChildren(String),
    /// The rules of mailboxes forbid it; with the rule.
    NotAllowed(&'static str),
    /// The name only holds others and has no messages (\Noselect).
    NotSelectable(String),
    /// A message is larger than the account's append limit, in octets.
    TooLarge {
        limit: u64,
    },
    /// More of something than the store takes.
    TooMany {
        what: &'static str,
        limit: u64,
    },
    /// The queue holds as many jobs as it may.
    QueueFull {
        limit: u64,
    },
    /// The mailboxes of this account hold as much as they may (RFC 9208 §4.3.1).
    OverQuota(String),
    /// The sender has sent as much today as it may.
    SendingLimit(Exceeded),
    /// The one notice of today has been given.
    ToldBefore,
    /// The value of an annotation is larger than this, in octets.
    AnnotationTooLarge {
        limit: u64,
    },
    /// Somebody else has taken over the work since; what came of it must be dropped.
    LeaseLost,
}

/// What is wrong with the store itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Trouble {
    /// The disk, or the room that the database may take, is full.
    Full,
    /// Too much to do at the moment, or somebody else holds the database.
    Busy,
    /// The database or a body is damaged.
    Corrupt(String),
    /// The file system takes no writes.
    ReadOnly,
    /// The disk failed, or a file could not be opened.
    Io(String),
    /// Another process has the state directory.
    InUse,
    /// The database was made by a newer version of this program.
    Newer { found: i64, known: i64 },
    /// The file is not a database of this program.
    Foreign,
    /// The SQLite library is too old to be trusted with mail.
    LibraryTooOld(String),
    /// The store was closed.
    Closed,
    /// A mistake in the program; the text is for the log.
    Bug(String),
}

impl Error {
    /// Whether it is ours and passing, so that the same call may work later.
    pub fn is_trouble(&self) -> bool {
        matches!(self, Self::Trouble(_))
    }

    pub(crate) fn bug(text: impl Into<String>) -> Self {
        Self::Trouble(Trouble::Bug(text.into()))
    }

    pub(crate) fn corrupt(text: impl Into<String>) -> Self {
        Self::Trouble(Trouble::Corrupt(text.into()))
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Trouble(trouble) => trouble.fmt(f),
            Self::NoSuchAccount(name) => write!(f, "there is no account {name}"),
            Self::NoSuchCredential(name) => write!(f, "there are no credentials for {name}"),
            Self::NoSuchLoginKey(name) => write!(f, "there is nothing called {name} to log in with"),
            Self::NoSuchMailbox(name) => write!(f, "there is no mailbox {name}"),
            Self::NotEditable(why) => write!(f, "this cannot be changed: {why}"),
            Self::NoSuchJob(id) => write!(f, "there is no message {id} in the queue"),
            Self::Exists(name) => write!(f, "{name} exists already"),
            Self::BadName(name, why) => write!(f, "{name:?} cannot be a name: {why}"),
            Self::HasChildren(name) => write!(f, "{name} holds other mailboxes: delete those first"),
            Self::NotAllowed(rule) => f.write_str(rule),
            Self::NotSelectable(name) => write!(f, "{name} only holds other mailboxes"),
            Self::TooLarge { limit } => write!(f, "the message is larger than {limit} octets"),
            Self::TooMany { what, limit } => write!(f, "more than {limit} {what}"),
            Self::QueueFull { limit } => write!(f, "the queue is full ({limit} messages)"),
            Self::OverQuota(name) => write!(f, "the mailboxes of {name} are full"),
            Self::SendingLimit(Exceeded { sender, counted, limit, .. }) => match counted {
                Counted::Messages => {
                    write!(f, "{sender} has sent the {limit} messages that it may send in a day")
                }
                Counted::NewRecipients => {
                    write!(
                        f,
                        "{sender} may write to {limit} new recipients in a day, and has no more of them left"
                    )
                }
            },
            Self::ToldBefore => f.write_str("the notice of today has been given"),
            Self::AnnotationTooLarge { limit } => write!(f, "the value is larger than {limit} octets"),
            Self::LeaseLost => f.write_str("the work was taken over by somebody else"),
        }
    }
}

impl std::error::Error for Error {}

impl fmt::Display for Trouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Full => f.write_str("the disk is full"),
            Self::Busy => f.write_str("the database is busy"),
            Self::Corrupt(what) => write!(f, "the database is damaged: {what}"),
            Self::ReadOnly => f.write_str("the disk takes no writes"),
            Self::Io(what) => write!(f, "the disk failed: {what}"),
            Self::InUse => f.write_str("another process uses the state directory"),
            Self::Newer { found, known } => write!(
                f,
                "the database was made by a newer version (schema {found}, this one knows {known}): \
                 run that version, or restore a backup"
            ),
            Self::Foreign => f.write_str("maddy.db is a database of some other program"),
            Self::LibraryTooOld(found) => {
                write!(f, "SQLite {found} is too old: {} or later is needed", crate::sqlite::OLDEST_TEXT)
            }
            Self::Closed => f.write_str("the store is closed"),
            Self::Bug(what) => write!(f, "internal error: {what}"),
        }
    }
}

impl std::error::Error for Trouble {}

impl From<Trouble> for Error {
    fn from(trouble: Trouble) -> Self {
        Self::Trouble(trouble)
    }
}

impl From<sqlx::Error> for Trouble {
    fn from(error: sqlx::Error) -> Self {
        match &error {
            sqlx::Error::Database(inner) => {
                let code = inner.code().and_then(|code| code.parse().ok()).unwrap_or(0);
                from_sqlite(code, error.to_string())
            }
            sqlx::Error::WorkerCrashed => Self::Closed,
            sqlx::Error::Io(io) => from_io(io),
            _ => Self::Bug(error.to_string()),
        }
    }
}

/// Result codes of SQLite; the low octet is the primary code (sqlite.org/rescode.html).
fn from_sqlite(code: i32, text: String) -> Trouble {
    match code & 0xff {
        5 | 6 => Trouble::Busy,
        // SQLITE_NOMEM, SQLITE_IOERR, SQLITE_CANTOPEN
        7 | 10 | 14 => Trouble::Io(text),
        8 => Trouble::ReadOnly,
        // SQLITE_CORRUPT, SQLITE_NOTADB
        11 | 26 => Trouble::Corrupt(text),
        13 => Trouble::Full,
        _ => Trouble::Bug(text),
    }
}

fn from_io(error: &std::io::Error) -> Trouble {
    use std::io::ErrorKind;
    match error.kind() {
        ErrorKind::StorageFull | ErrorKind::QuotaExceeded => Trouble::Full,
        ErrorKind::ReadOnlyFilesystem => Trouble::ReadOnly,
        _ => Trouble::Io(error.to_string()),
    }
}

impl From<sqlx::Error> for Error {
    fn from(error: sqlx::Error) -> Self {
        Self::Trouble(error.into())
    }
}

impl From<rusqlite::Error> for Error {
    fn from(error: rusqlite::Error) -> Self {
        let code = error.sqlite_error().map_or(0, |error| error.extended_code);
        Self::Trouble(from_sqlite(code, error.to_string()))
    }
}

impl From<rusqlite::types::FromSqlError> for Error {
    fn from(error: rusqlite::types::FromSqlError) -> Self {
        Self::corrupt(format!("a value of another type: {error}"))
    }
}

impl From<std::io::Error> for Error {
    fn from(error: std::io::Error) -> Self {
        Self::Trouble(from_io(&error))
    }
}
