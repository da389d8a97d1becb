//! Commands as values: names decoded, sets and criteria as trees, secrets masked.

mod acl;
mod fetch;
mod metadata;
mod multisearch;
mod notify;
mod search;
mod sort;

pub use acl::Acl;
pub use fetch::{Fetch, FetchItem, Partial, Peek, PreviewWhen, Rfc822, Section, SectionText};
pub use metadata::{Depth, GetMetadata, SetMetadata};
pub use multisearch::{MultiSearch, Source};
pub use notify::{Event, EventGroup, Filter, Notify, NotifyStatus};
pub use search::{Charset, Day, Key, PartialRange, Search, SearchReturn};
pub use sort::{Algorithm, Direction, Sort, SortBy, SortKey, Thread};

use crate::sequence::{Bound, Ranges, Set};
use std::fmt;
use zeroize::Zeroize;

/// Why a command was not understood or may not be used now: BAD or NO, and what to say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Refusal {
    pub kind: RefusalKind,
    pub text: &'static str,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RefusalKind {
    /// The command is not well formed, or not for this state.
    Bad,
    /// It is well formed, but can never succeed: `NO [CANNOT]` (RFC 5530 §3).
    Cannot,
    /// It is more than is taken here: `NO [LIMIT]` (RFC 5530 §3).
    Limit,
    /// The mailbox is selected read-only: plain `NO`.
    ReadOnly,
    /// `NO [PRIVACYREQUIRED]` (RFC 5530 §3).
    PrivacyRequired,
    /// Message numbers after `ENABLE UIDONLY`: `BAD [UIDREQUIRED]` (RFC 9586 §3).
    UidRequired,
    /// What no client should send: `BAD [CLIENTBUG]` (RFC 5530 §3).
    ClientBug,
    /// `NO [TOOFEW]` and `NO [TOOMANY]` (RFC 10022 §3.1.5).
    TooFew,
    TooMany,
}

impl Refusal {
    pub(crate) const fn bad(text: &'static str) -> Self {
        Self { kind: RefusalKind::Bad, text }
    }

    pub(crate) fn limit(text: &'static str) -> Self {
        Self { kind: RefusalKind::Limit, text }
    }

    pub(crate) fn cannot(text: &'static str) -> Self {
        Self { kind: RefusalKind::Cannot, text }
    }
}

/// A password or a SASL message. Its `Debug` is a mask, and its memory is cleared.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(pub Vec<u8>);

impl Drop for Secret {
    fn drop(&mut self) {
        self.0.zeroize();
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(***)")
    }
}

/// Whether numbers are message sequence numbers or UIDs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum By {
    Sequence,
    Uid,
}

/// SELECT or EXAMINE.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    ReadWrite,
    ReadOnly,
}

/// A command that the owner carries out. `CAPABILITY`, `LOGOUT`, `STARTTLS`, `ENABLE` and the exchange of
/// `AUTHENTICATE` are the session's own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Command {
    Noop,
    Check,
    /// RFC 2971. At most 30 pairs; values of at most 1,024 octets.
    Id(Vec<(String, Option<String>)>),
    Login {
        user: String,
        password: Secret,
    },
    Select(Select),
    /// ENABLE, already done by the session: what was enabled is told, and what it asks for is not.
    Enable,
    /// RFC 8437: whoever was logged in is forgotten, with all that belongs to the login.
    Unauthenticate,
    Create {
        mailbox: String,
        /// Attributes such as `\Sent` (RFC 6154 §3); empty without USE.
        uses: Vec<String>,
    },
    Delete {
        mailbox: String,
    },
    Rename {
        from: String,
        to: String,
    },
    Subscribe {
        mailbox: String,
    },
    Unsubscribe {
        mailbox: String,
    },
    List(List),
    Lsub {
        reference: String,
        pattern: String,
    },
    Namespace,
    Status {
        mailbox: String,
        items: Vec<StatusItem>,
    },
    /// RFC 10022.
    UidBatches(UidBatches),
    GetMetadata(GetMetadata),
    SetMetadata(SetMetadata),
    Acl(Acl),
    Notify(Notify),
    /// RFC 9208 §4.1.1.
    GetQuota {
        root: String,
    },
    /// RFC 9208 §4.1.2.
    GetQuotaRoot {
        mailbox: String,
    },
    /// RFC 9208 §4.1.3, with the names of resources in capitals.
    SetQuota {
        root: String,
        limits: Vec<(String, u64)>,
    },
    Idle,
    Close,
    Unselect,
    /// With UIDs: `UID EXPUNGE` (RFC 9051 §6.4.9).
    Expunge(Option<Set>),
    Search(Search),
    MultiSearch(MultiSearch),
    /// Tags of searches whose changes are no longer to be told (RFC 5267 §4.3.5). Never empty.
    CancelUpdate(Vec<String>),
    Sort(Sort),
    Thread(Thread),
    Fetch(Fetch),
    Store(Store),
    Copy {
        set: Set,
        by: By,
        mailbox: String,
    },
    Move {
        set: Set,
        by: By,
        mailbox: String,
    },
}

impl Command {
    /// The search that it begins with, if it does.
    pub(crate) fn search(&self) -> Option<&Search> {
        match self {
            Self::Search(search)
            | Self::MultiSearch(MultiSearch { search, .. })
            | Self::Sort(Sort { search, .. })
            | Self::Thread(Thread { search, .. }) => Some(search),
            _ => None,
        }
    }
}

/// SELECT and EXAMINE.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Select {
    pub mailbox: String,
    pub access: Access,
    /// QRESYNC (RFC 7162 §3.2.5).
    pub resync: Option<Resync>,
}

/// What a client still knows of a mailbox (RFC 7162 §3.2.5).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Resync {
    pub uidvalidity: u32,
    pub modseq: u64,
    /// The UIDs that it has; `None`: all that there ever were.
    pub known: Option<Ranges>,
    /// Some message numbers and their UIDs, as many of the one as of the other.
    pub matches: Option<(Ranges, Ranges)>,
}

/// LIST, plain or extended (RFC 9051 §6.3.9).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct List {
    pub reference: String,
    /// Never empty. A single empty pattern asks for the hierarchy delimiter.
    pub patterns: Vec<String>,
    pub select: Vec<ListSelect>,
    pub give: Vec<ListReturn>,
    pub form: ListForm,
}

/// How LIST was written: the extended form has a slightly different answer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ListForm {
    #[default]
    Plain,
    Extended,
}

/// Selection options of LIST.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ListSelect {
    Subscribed,
    Remote,
    RecursiveMatch,
    SpecialUse,
}

/// Return options of LIST.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ListReturn {
    Subscribed,
    Children,
    SpecialUse,
    Status(Vec<StatusItem>),
    /// RFC 8440.
    MyRights,
    /// Entries whose values are told (RFC 9590 §3).
    Metadata(Vec<String>),
}

/// RFC 9051 §6.3.11, RFC 7889 §3, RFC 7162 §3.1.7, RFC 8474 §4.3.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StatusItem {
    Messages,
    Recent,
    UidNext,
    UidValidity,
    Unseen,
    Deleted,
    /// RFC 9208 §4.1.4, in octets.
    DeletedStorage,
    Size,
    AppendLimit,
    HighestModSeq,
    MailboxId,
}

/// What stands before the first literal of APPEND, or the one of REPLACE.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Append {
    pub mailbox: String,
    /// REPLACE: the message that goes (RFC 8508 §3).
    pub replaces: Option<(By, Bound)>,
    pub message: Appended,
}

/// What stands before a literal that is a message, or before the first that is a piece of it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Appended {
    pub flags: Vec<String>,
    /// Date and time as written between the quotes, already checked for its form.
    pub date: Option<String>,
    /// What it begins with. One literal, unless it is put together by CATENATE.
    pub pieces: Vec<Piece>,
}

/// What a message is made of (RFC 4469 §3).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Piece {
    /// A literal, which comes next: so nothing is behind it in a list.
    Text {
        /// Its octets.
        size: u64,
        /// A literal8, which may hold NUL (RFC 3516 §4.4).
        binary: bool,
    },
    /// What a URL names, as it was written (see [`crate::Url`]).
    Url(String),
}

/// UIDBATCHES: where the UIDs of a mailbox can be cut into batches of messages (RFC 10022 §3.1).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UidBatches {
    /// Messages of a batch.
    pub size: u32,
    /// Which batches, counted from 1 at the newest messages; `None`: all of them.
    pub range: Option<(u32, u32)>,
}

/// What STORE does with the flags.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StoreMode {
    Replace,
    Add,
    Remove,
}

/// Whether STORE answers with the new flags.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answering {
    Told,
    Silent,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Store {
    pub set: Set,
    pub by: By,
    pub mode: StoreMode,
    pub answering: Answering,
    pub flags: Vec<String>,
    /// UNCHANGEDSINCE (RFC 7162 §3.1.3).
    pub unchanged_since: Option<u64>,
}
