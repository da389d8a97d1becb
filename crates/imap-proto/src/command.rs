//! Commands as values: names decoded, sets and criteria as trees, secrets masked.

use crate::sequence::Set;
use std::fmt;

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
    /// The mailbox is selected read-only: plain `NO`.
    ReadOnly,
    /// `NO [PRIVACYREQUIRED]` (RFC 5530 §3).
    PrivacyRequired,
}

impl Refusal {
    pub(crate) fn bad(text: &'static str) -> Self {
        Self { kind: RefusalKind::Bad, text }
    }

    pub(crate) fn cannot(text: &'static str) -> Self {
        Self { kind: RefusalKind::Cannot, text }
    }
}

/// A password or a SASL message. Its `Debug` is a mask.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(pub Vec<u8>);

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
    Select {
        mailbox: String,
        access: Access,
    },
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
    Idle,
    Close,
    Unselect,
    /// With UIDs: `UID EXPUNGE` (RFC 9051 §6.4.9).
    Expunge(Option<Set>),
    Search(Search),
    Fetch {
        set: Set,
        by: By,
        items: Vec<FetchItem>,
    },
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
}

/// RFC 9051 §6.3.11, RFC 7889 §3.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StatusItem {
    Messages,
    Recent,
    UidNext,
    UidValidity,
    Unseen,
    Deleted,
    Size,
    AppendLimit,
}

/// What stands before the literal of APPEND.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Append {
    pub mailbox: String,
    pub flags: Vec<String>,
    /// Date and time as written between the quotes, already checked for its form.
    pub date: Option<String>,
    /// Octets of the message.
    pub size: u64,
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
}

/// Whether FETCH of a body sets `\Seen`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Peek {
    Peek,
    MarkSeen,
}

/// `<origin.length>`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Partial {
    pub origin: u64,
    /// Never 0.
    pub length: u64,
}

/// RFC 9051 §6.4.5.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FetchItem {
    Uid,
    Flags,
    InternalDate,
    Size,
    Envelope,
    /// `BODY` without section: the structure without extension data.
    Body,
    BodyStructure,
    Section {
        section: Section,
        partial: Option<Partial>,
        peek: Peek,
    },
    /// `RFC822`, `RFC822.HEADER` and `RFC822.TEXT`: sections under their old names.
    Rfc822(Rfc822),
    Binary {
        part: Vec<u32>,
        partial: Option<Partial>,
        peek: Peek,
    },
    BinarySize {
        part: Vec<u32>,
    },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rfc822 {
    Whole,
    Header,
    Text,
}

/// What stands in the brackets of `BODY[…]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Section {
    /// Part numbers; empty for the message itself.
    pub part: Vec<u32>,
    pub what: SectionText,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SectionText {
    Whole,
    Header,
    /// Names as asked, in order.
    HeaderFields(Vec<String>),
    HeaderFieldsNot(Vec<String>),
    Text,
    Mime,
}

/// SEARCH and UID SEARCH (RFC 9051 §6.4.4).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Search {
    pub by: By,
    pub charset: Charset,
    /// `None`: no RETURN was written. An empty `RETURN ()` is `[All]`.
    pub give: Option<Vec<SearchReturn>>,
    pub key: Key,
}

/// The charset of the texts in a search.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Charset {
    /// UTF-8 or US-ASCII.
    Known,
    /// Another: the criteria were not read, and the answer is `NO [BADCHARSET (…)]` (RFC 9051 §7.1).
    Unknown,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SearchReturn {
    Min,
    Max,
    All,
    Count,
    Save,
}

/// A day without a zone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Day {
    pub year: i32,
    pub month: u8,
    pub day: u8,
}

/// A search criterion.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Key {
    All,
    /// All of them; two at least.
    And(Vec<Key>),
    /// One of them; two at least.
    Or(Vec<Key>),
    Not(Box<Key>),
    Sequence(Set),
    Uid(Set),
    /// `\Seen`, … or a keyword.
    Flag(String),
    Before(Day),
    On(Day),
    Since(Day),
    SentBefore(Day),
    SentOn(Day),
    SentSince(Day),
    Larger(u64),
    Smaller(u64),
    /// A header field and a text; an empty text finds every message that has the field.
    Header(String, String),
    Body(String),
    /// Header or body.
    Text(String),
}
