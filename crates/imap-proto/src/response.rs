//! What a server says, from values to octets (RFC 9051 §7).

mod acl;
mod extra;
mod progress;
mod results;
mod status;

pub use acl::AclTold;
pub use extra::Resource;
pub use progress::Progress;
pub use results::{Esearch, Results, ThreadMark};

use crate::command::StatusItem;
use crate::fetch::FetchLine;
use crate::parse::Names;
use crate::sequence::Ranges;
use crate::utf7;
use std::borrow::Cow;
use std::fmt::{self, Write as _};

/// OK, NO or BAD.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Ok,
    No,
    Bad,
}

/// A response code (RFC 9051 §7.1, RFC 5530).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Code {
    /// A code without arguments, such as `TRYCREATE` or `OVERQUOTA`.
    Word(&'static str),
    AppendUid {
        validity: u32,
        uids: Ranges,
    },
    CopyUid {
        validity: u32,
        from: Ranges,
        to: Ranges,
    },
    PermanentFlags(Vec<String>),
    UidNext(u32),
    /// The first message that is not seen (RFC 3501 §7.1).
    Unseen(u32),
    UidValidity(u32),
    /// RFC 7162 §3.1.2.1.
    HighestModSeq(u64),
    /// What a conditional STORE did not change (RFC 7162 §3.1.3).
    Modified(Ranges),
    /// RFC 8474 §4.
    MailboxId(String),
    Capability(String),
    BadCharset(&'static str),
    /// The tag of a search whose changes will not be told (RFC 5267 §4.3.1).
    NoUpdate(String),
    /// A URL that CATENATE could not follow (RFC 4469 §4.1).
    BadUrl(String),
    /// Most messages of one command, and the lowest UID that this one came to (RFC 9738 §3.1).
    MessageLimit(u32, Option<u32>),
    InProgress(Progress),
    /// The size of the largest value that was left out (RFC 5464 §4.2.1).
    LongEntries(u64),
    /// The largest value that SETMETADATA takes, in octets (RFC 5464 §4.3).
    MetadataMaxSize(u64),
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Word(word) => f.write_str(word),
            Self::AppendUid { validity, uids } => write!(f, "APPENDUID {validity} {uids}"),
            Self::CopyUid { validity, from, to } => write!(f, "COPYUID {validity} {from} {to}"),
            Self::PermanentFlags(flags) => write!(f, "PERMANENTFLAGS ({})", flags.join(" ")),
            Self::UidNext(uid) => write!(f, "UIDNEXT {uid}"),
            Self::Unseen(number) => write!(f, "UNSEEN {number}"),
            Self::UidValidity(validity) => write!(f, "UIDVALIDITY {validity}"),
            Self::HighestModSeq(modseq) => write!(f, "HIGHESTMODSEQ {modseq}"),
            Self::Modified(ranges) => write!(f, "MODIFIED {ranges}"),
            Self::MailboxId(id) => write!(f, "MAILBOXID ({id})"),
            Self::Capability(list) => write!(f, "CAPABILITY {list}"),
            Self::NoUpdate(tag) => {
                let mut quoted = Vec::new();
                string(tag.as_bytes(), &mut quoted);
                write!(f, "NOUPDATE {}", String::from_utf8_lossy(&quoted))
            }
            Self::LongEntries(size) => write!(f, "METADATA LONGENTRIES {size}"),
            Self::MetadataMaxSize(size) => write!(f, "METADATA MAXSIZE {size}"),
            Self::BadCharset(list) => write!(f, "BADCHARSET ({list})"),
            Self::BadUrl(url) => write!(f, "BADURL {}", progress::url_text(url)),
            Self::MessageLimit(limit, None) => write!(f, "MESSAGELIMIT {limit}"),
            Self::MessageLimit(limit, Some(uid)) => write!(f, "MESSAGELIMIT {limit} {uid}"),
            Self::InProgress(progress) => write!(f, "INPROGRESS {progress}"),
        }
    }
}

/// The end of a command, without its tag.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Response {
    pub kind: Kind,
    pub code: Option<Code>,
    pub text: Cow<'static, str>,
}

impl Response {
    pub fn ok(text: impl Into<Cow<'static, str>>) -> Self {
        Self { kind: Kind::Ok, code: None, text: text.into() }
    }

    pub fn no(text: impl Into<Cow<'static, str>>) -> Self {
        Self { kind: Kind::No, code: None, text: text.into() }
    }

    pub fn bad(text: impl Into<Cow<'static, str>>) -> Self {
        Self { kind: Kind::Bad, code: None, text: text.into() }
    }

    #[must_use]
    pub fn with(mut self, code: Code) -> Self {
        self.code = Some(code);
        self
    }

    /// With a code that has no arguments.
    #[must_use]
    pub fn word(self, code: &'static str) -> Self {
        self.with(Code::Word(code))
    }

    /// The line: `tag` is `*` for an untagged one.
    pub fn encode(&self, tag: &str, out: &mut Vec<u8>) {
        let kind = match self.kind {
            Kind::Ok => "OK",
            Kind::No => "NO",
            Kind::Bad => "BAD",
        };
        status_line(tag, kind, self.code.as_ref(), &self.text, out);
    }
}

/// The text is never empty on the wire: some clients fail without one behind a code.
fn status_line(tag: &str, kind: &str, code: Option<&Code>, text: &str, out: &mut Vec<u8>) {
    let mut line = format!("{tag} {kind} ");
    if let Some(code) = code {
        let _ = write!(line, "[{code}] ");
    }
    let clean = |c: char| if c.is_control() { ' ' } else { c };
    line.extend(if text.is_empty() { "Done." } else { text }.chars().map(clean));
    line.push_str("\r\n");
    out.extend_from_slice(line.as_bytes());
}

/// One mailbox of LIST.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Listed {
    /// `\HasChildren`, `\Sent`, …
    pub attributes: Vec<Cow<'static, str>>,
    pub delimiter: Option<char>,
    pub name: String,
    /// `("CHILDINFO" ("SUBSCRIBED"))` (RFC 9051 §6.3.9.6).
    pub child_info: bool,
    /// What it was called until now (RFC 5465 §5.4).
    pub old_name: Option<String>,
}

/// What FETCH tells of a message that the client did not ask about, or of one that it just changed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Told {
    pub number: u32,
    pub uid: Option<u32>,
    pub modseq: Option<u64>,
    pub flags: Option<Vec<String>>,
}

/// Where messages went that are told by UID (RFC 7162 §3.2.10).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Vanished {
    /// They were in the view until now, and numbers behind them become less.
    Now,
    /// They were gone before the mailbox was selected.
    Earlier,
}

/// What STATUS tells of an item.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StatusValue {
    Number(u64),
    ObjectId(String),
}

/// A response that belongs to no tag.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Untagged {
    Status(Response),
    Bye(Option<Code>, Cow<'static, str>),
    Capability(String),
    Enabled(Vec<String>),
    Exists(u32),
    /// Always 0 here: no message is `\Recent`.
    Recent(u32),
    Expunge(u32),
    Flags(Vec<String>),
    /// Never empty.
    Vanished(Vanished, Ranges),
    Fetch(Told),
    List(Listed),
    Lsub(Listed),
    MailboxStatus {
        name: String,
        items: Vec<(StatusItem, StatusValue)>,
    },
    Search {
        found: Vec<u32>,
        /// The highest mod-sequence of what was found (RFC 7162 §3.1.6).
        modseq: Option<u64>,
    },
    Sort {
        found: Vec<u32>,
        modseq: Option<u64>,
    },
    Thread(Vec<ThreadMark>),
    Esearch(Esearch),
    /// Ranges of UIDs, the newest first (RFC 10022 §3.1.3).
    UidBatches {
        tag: String,
        ranges: Vec<(u32, u32)>,
    },
    /// One personal namespace without prefix, its delimiter, and what stands before the mailboxes of other users.
    Namespace(char, &'static str),
    Acl(AclTold),
    Id(Vec<(String, String)>),
    /// Entries and their values; without a mailbox those of the server.
    Metadata {
        mailbox: Option<String>,
        values: Vec<(String, Option<Vec<u8>>)>,
    },
    /// Entries that somebody changed (RFC 5464 §4.4.2). Never empty.
    MetadataChanged {
        mailbox: Option<String>,
        entries: Vec<String>,
    },
    Quota {
        root: String,
        resources: Vec<Resource>,
    },
    QuotaRoot {
        mailbox: String,
        roots: Vec<String>,
    },
}

impl Untagged {
    /// Writes the line or lines; `names` says how mailbox names are written.
    pub fn encode(&self, names: Names, out: &mut Vec<u8>) {
        match self {
            Self::Status(response) => response.encode("*", out),
            Self::Bye(code, text) => status_line("*", "BYE", code.as_ref(), text, out),
            Self::Capability(list) => line(out, &format!("CAPABILITY {list}")),
            Self::Enabled(list) => line(out, format!("ENABLED {}", list.join(" ")).trim_end()),
            Self::Exists(n) => line(out, &format!("{n} EXISTS")),
            Self::Recent(n) => line(out, &format!("{n} RECENT")),
            Self::Expunge(n) => line(out, &format!("{n} EXPUNGE")),
            Self::Flags(flags) => line(out, &format!("FLAGS ({})", flags.join(" "))),
            Self::Vanished(Vanished::Now, uids) => line(out, &format!("VANISHED {uids}")),
            Self::Vanished(Vanished::Earlier, uids) => line(out, &format!("VANISHED (EARLIER) {uids}")),
            Self::Fetch(told) => fetch(told, out),
            Self::List(listed) => list_line("LIST", listed, names, out),
            Self::Lsub(listed) => list_line("LSUB", listed, names, out),
            Self::MailboxStatus { name, items } => status::status(name, items, names, out),
            Self::Search { found, modseq } => results::search("SEARCH", found, *modseq, out),
            Self::Sort { found, modseq } => results::search("SORT", found, *modseq, out),
            Self::Thread(marks) => results::thread(marks, out),
            Self::Esearch(result) => results::esearch(result, names, out),
            Self::UidBatches { tag, ranges } => results::uid_batches(tag, ranges, out),
            Self::Namespace(delimiter, others) => extra::namespace(*delimiter, others, out),
            Self::Acl(told) => told.encode(names, out),
            Self::Id(pairs) => id(pairs, out),
            Self::Metadata { mailbox, values } => extra::metadata(mailbox.as_deref(), values, names, out),
            Self::MetadataChanged { mailbox, entries } => {
                extra::metadata_changed(mailbox.as_deref(), entries, names, out);
            }
            Self::Quota { root, resources } => extra::quota(root, resources, out),
            Self::QuotaRoot { mailbox, roots } => extra::quota_root(mailbox, roots, names, out),
        }
    }
}

fn line_begin(verb: &str, out: &mut Vec<u8>) {
    out.extend_from_slice(b"* ");
    out.extend_from_slice(verb.as_bytes());
}

fn line(out: &mut Vec<u8>, text: &str) {
    out.extend_from_slice(b"* ");
    out.extend_from_slice(text.as_bytes());
    out.extend_from_slice(b"\r\n");
}

impl Told {
    /// UIDFETCH (RFC 9586 §3.3). Without a UID there is nothing to say.
    pub(crate) fn encode_by_uid(&self, out: &mut Vec<u8>) {
        if let Some(uid) = self.uid {
            self.items(FetchLine::begin_by_uid(uid, out), out);
        }
    }

    fn items(&self, mut line: FetchLine, out: &mut Vec<u8>) {
        if let Some(flags) = &self.flags {
            line.flags(out, flags);
        }
        if let Some(modseq) = self.modseq {
            line.modseq(out, modseq);
        }
        line.end(out);
    }
}

fn fetch(told: &Told, out: &mut Vec<u8>) {
    let mut line = FetchLine::begin(told.number, out);
    if let Some(uid) = told.uid {
        line.number(out, "UID", u64::from(uid));
    }
    told.items(line, out);
}

fn list_line(verb: &str, listed: &Listed, names: Names, out: &mut Vec<u8>) {
    out.extend_from_slice(format!("* {verb} ({}) ", listed.attributes.join(" ")).as_bytes());
    match listed.delimiter {
        Some(delimiter) => out.extend_from_slice(format!("\"{delimiter}\" ").as_bytes()),
        None => out.extend_from_slice(b"NIL "),
    }
    mailbox(&listed.name, names, out);
    if listed.child_info {
        out.extend_from_slice(b" (\"CHILDINFO\" (\"SUBSCRIBED\"))");
    }
    if let Some(old) = &listed.old_name {
        out.extend_from_slice(b" (\"OLDNAME\" (");
        mailbox(old, names, out);
        out.extend_from_slice(b"))");
    }
    out.extend_from_slice(b"\r\n");
}

fn id(pairs: &[(String, String)], out: &mut Vec<u8>) {
    if pairs.is_empty() {
        return line(out, "ID NIL");
    }
    out.extend_from_slice(b"* ID (");
    for (at, (key, value)) in pairs.iter().enumerate() {
        if at > 0 {
            out.push(b' ');
        }
        string(key.as_bytes(), out);
        out.push(b' ');
        string(value.as_bytes(), out);
    }
    out.extend_from_slice(b")\r\n");
}

/// A mailbox name: always quoted or a literal, so that `NIL` and the like cannot be misread.
pub fn mailbox(name: &str, names: Names, out: &mut Vec<u8>) {
    match names {
        Names::Utf7 => string(utf7::encode(name).as_bytes(), out),
        // RFC 9051 §5.1: after ENABLE a quoted string may hold UTF-8.
        Names::Utf8 => quoted(name.as_bytes(), out),
    }
}

/// Longest text that is sent as a quoted string.
const QUOTED_MAX: usize = 1024;

/// A quoted string where that is possible, else a literal. NUL cannot be said and is left out.
pub fn string(octets: &[u8], out: &mut Vec<u8>) {
    let plain = |b: &u8| matches!(b, 0x01..=0x7f) && !matches!(b, b'\r' | b'\n');
    if octets.len() <= QUOTED_MAX && octets.iter().all(plain) {
        return quoted(octets, out);
    }
    let octets: Vec<u8> = octets.iter().copied().filter(|b| *b != 0).collect();
    out.extend_from_slice(format!("{{{}}}\r\n", octets.len()).as_bytes());
    out.extend_from_slice(&octets);
}

fn quoted(octets: &[u8], out: &mut Vec<u8>) {
    out.push(b'"');
    for octet in octets {
        if matches!(octet, b'"' | b'\\') {
            out.push(b'\\');
        }
        out.push(*octet);
    }
    out.push(b'"');
}
