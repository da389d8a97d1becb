//! Messages of a mailbox.

use crate::admin::mboxes::account_id;
use crate::admin::{Context, Effect, Operation, Selection, failure};
use mail::mime::{self, Overview, decode};
use mail::{Blob, Message};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use storage::{
    Columns, FlagChange, FlagMode, Flags, Keywords, Mailbox, NewMessage, Row, Shape, Uid, UidSet, Which,
};
use web::{Failure, Kind};

/// Largest message that can be added through the command line, in octets.
pub(crate) const MESSAGE_MAX: u64 = 64 * 1024 * 1024;
/// Most messages that one call lists.
pub(crate) const LIST_MAX: usize = 200;
/// Octets of a message that one call reads.
const PIECE_MAX: usize = 4 * 1024 * 1024;

/// A place: a mailbox of an account.
async fn place(context: &Context, account: &str, mailbox: &str) -> Result<Mailbox, Failure> {
    let account = account_id(context, account).await?;
    context.store.mailbox(account, mailbox).await.map_err(failure)
}

/// The mailbox and the messages of a selection that are there. That there are none is a failure: it is a slip as a rule.
async fn select(
    context: &Context,
    account: &str,
    mailbox: &str,
    selection: &Selection,
) -> Result<(Mailbox, UidSet), Failure> {
    let mailbox = place(context, account, mailbox).await?;
    let snapshot = context.store.snapshot(mailbox.id).await.map_err(failure)?;
    let uids = selection.resolve(&snapshot.marks)?;
    if uids.is_empty() {
        let message = format!("{} has no message {}", mailbox.name, selection.set);
        return Err(Failure::new(Kind::NotFound, message));
    }
    Ok((mailbox, uids))
}

/// A message in listings.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub(crate) struct MessageInfo {
    /// Its place in the mailbox, from 1.
    pub(crate) number: usize,
    pub(crate) uid: Uid,
    pub(crate) flags: Vec<String>,
    /// When it came in, in seconds since 1970.
    pub(crate) received: i64,
    pub(crate) size: u64,
    pub(crate) from: String,
    pub(crate) to: String,
    pub(crate) subject: String,
    pub(crate) message_id: Option<String>,
}

/// A message by its place and its UID.
#[derive(Clone, Copy, Debug, Serialize, Deserialize, JsonSchema)]
pub(crate) struct Pick {
    pub(crate) number: usize,
    pub(crate) uid: Uid,
}

/// Which messages a selection means, in the order of the mailbox.
#[derive(Serialize, Deserialize, JsonSchema)]
pub(crate) struct MessagesPick {
    pub(crate) account: String,
    pub(crate) mailbox: String,
    pub(crate) selection: Selection,
}

impl Operation for MessagesPick {
    const NAME: &'static str = "imap-msgs-pick";
    const EFFECT: Effect = Effect::Reads;
    type Answer = Vec<Pick>;

    async fn run(self, context: &Context) -> Result<Vec<Pick>, Failure> {
        let mailbox = place(context, &self.account, &self.mailbox).await?;
        let marks = context.store.snapshot(mailbox.id).await.map_err(failure)?.marks;
        let uids = self.selection.resolve(&marks)?;
        let numbered = marks.iter().enumerate().map(|(at, mark)| Pick { number: at + 1, uid: mark.uid });
        Ok(numbered.filter(|pick| uids.contains(pick.uid)).collect())
    }
}

/// What some messages are about: of at most [`LIST_MAX`], in the order of the mailbox.
#[derive(Serialize, Deserialize, JsonSchema)]
pub(crate) struct MessagesList {
    pub(crate) account: String,
    pub(crate) mailbox: String,
    pub(crate) picks: Vec<Pick>,
}

impl Operation for MessagesList {
    const NAME: &'static str = "imap-msgs-list";
    const EFFECT: Effect = Effect::Reads;
    /// Without those that have gone meanwhile.
    type Answer = Vec<MessageInfo>;

    async fn run(self, context: &Context) -> Result<Vec<MessageInfo>, Failure> {
        if self.picks.len() > LIST_MAX {
            return Err(Failure::new(Kind::BadRequest, format!("more than {LIST_MAX} messages in one call")));
        }
        let mailbox = place(context, &self.account, &self.mailbox).await?;
        // Asked for nothing but the names of keywords.
        let changes = context.store.changes_since(mailbox.id, mailbox.modseq).await.map_err(failure)?;
        let mut list = Vec::new();
        let mut left: UidSet = self.picks.iter().map(|pick| pick.uid).collect();
        loop {
            let rows =
                context.store.fetch(mailbox.id, &left, Columns::MESSAGE, LIST_MAX).await.map_err(failure)?;
            let Some(last) = rows.last().map(|row| row.uid) else { return Ok(list) };
            left = left.after(last);
            let (picks, keywords) = (self.picks.clone(), changes.keywords.clone());
            let read = move || -> Result<Vec<MessageInfo>, Failure> {
                rows.into_iter().map(|row| describe(row, &picks, &keywords)).collect()
            };
            list.extend(blocking(read).await?);
        }
    }
}

fn describe(row: Row, picks: &[Pick], keywords: &[String]) -> Result<MessageInfo, Failure> {
    let header = row.message.map(|message| mail::header::read(&mut message.reader()));
    let header = header.transpose().map_err(|error| unreadable(&error))?.unwrap_or_default();
    let overview = Overview::read(&header);
    Ok(MessageInfo {
        number: picks.iter().find(|pick| pick.uid == row.uid).map_or(0, |pick| pick.number),
        uid: row.uid,
        flags: flag_names(row.flags, row.keywords, keywords),
        received: row.received,
        size: row.size,
        from: overview.from,
        to: overview.to,
        subject: overview.subject,
        message_id: overview.message_id,
    })
}

/// A new message, which came as base64.
#[derive(Serialize, Deserialize, JsonSchema)]
pub(crate) struct MessagesAdd {
    pub(crate) account: String,
    pub(crate) mailbox: String,
    pub(crate) flags: Vec<String>,
    /// When it came in, in seconds since 1970; now, if not given.
    pub(crate) received: Option<i64>,
    pub(crate) message: String,
}

impl Operation for MessagesAdd {
    const NAME: &'static str = "imap-msgs-add";
    type Answer = Uid;

    async fn run(self, context: &Context) -> Result<Uid, Failure> {
        let mailbox = place(context, &self.account, &self.mailbox).await?;
        let (flags, keywords) = read_flags(&self.flags)?;
        let text = self.message;
        let (message, shape) = blocking(move || {
            let octets = with_crlf(decode::base64(text.as_bytes()));
            let analysis = mime::analyse(&mut octets.as_slice()).map_err(|error| unreadable(&error))?;
            Ok((Message::new(Blob::from_bytes(octets)), Shape::of(&analysis)))
        })
        .await?;
        if message.len() > MESSAGE_MAX {
            return Err(failure(storage::Error::TooLarge { limit: MESSAGE_MAX }));
        }
        let received = self.received.unwrap_or_else(|| context.now());
        let new = NewMessage { message, shape, flags, keywords, received };
        let appended = context.store.append(mailbox.id, vec![new]).await.map_err(failure)?;
        let uid = appended.uids.first().copied();
        uid.ok_or_else(|| Failure::new(Kind::Broken, "the message was stored without a number"))
    }
}

/// What happens to flags.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Mode {
    Add,
    Remove,
    Set,
}

#[derive(Serialize, Deserialize, JsonSchema)]
pub(crate) struct MessagesFlag {
    pub(crate) account: String,
    pub(crate) mailbox: String,
    pub(crate) selection: Selection,
    pub(crate) mode: Mode,
    pub(crate) flags: Vec<String>,
}

impl Operation for MessagesFlag {
    const NAME: &'static str = "imap-msgs-flag";
    /// How many messages changed.
    type Answer = usize;

    async fn run(self, context: &Context) -> Result<usize, Failure> {
        let (flags, keywords) = read_flags(&self.flags)?;
        let (mailbox, uids) = select(context, &self.account, &self.mailbox, &self.selection).await?;
        let mode = match self.mode {
            Mode::Add => FlagMode::Add,
            Mode::Remove => FlagMode::Remove,
            Mode::Set => FlagMode::Set,
        };
        let change = FlagChange { mode, flags, keywords };
        let stored = context.store.store_flags(mailbox.id, &uids, change, None).await.map_err(failure)?;
        Ok(stored.changed.len())
    }
}

#[derive(Serialize, Deserialize, JsonSchema)]
pub(crate) struct MessagesRemove {
    pub(crate) account: String,
    pub(crate) mailbox: String,
    pub(crate) selection: Selection,
}

impl Operation for MessagesRemove {
    const NAME: &'static str = "imap-msgs-remove";
    /// How many messages are gone.
    type Answer = u64;

    async fn run(self, context: &Context) -> Result<u64, Failure> {
        let (mailbox, uids) = select(context, &self.account, &self.mailbox, &self.selection).await?;
        let gone = context.store.expunge(mailbox.id, &uids, Which::Any).await.map_err(failure)?;
        Ok(gone.uids.len())
    }
}

/// Whether the messages stay where they were.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Way {
    Copy,
    Move,
}

#[derive(Serialize, Deserialize, JsonSchema)]
pub(crate) struct MessagesCopy {
    pub(crate) account: String,
    pub(crate) mailbox: String,
    pub(crate) selection: Selection,
    pub(crate) to: String,
    pub(crate) way: Way,
}

impl Operation for MessagesCopy {
    const NAME: &'static str = "imap-msgs-copy";
    /// How many messages.
    type Answer = usize;

    async fn run(self, context: &Context) -> Result<usize, Failure> {
        let (mailbox, uids) = select(context, &self.account, &self.mailbox, &self.selection).await?;
        let to = place(context, &self.account, &self.to).await?;
        let copied = match self.way {
            Way::Copy => context.store.copy(mailbox.id, &uids, to.id).await,
            Way::Move => context.store.move_messages(mailbox.id, &uids, to.id).await,
        };
        Ok(copied.map_err(failure)?.pairs.len())
    }
}

/// Some octets of one message, in base64, with its whole length.
#[derive(Serialize, Deserialize, JsonSchema)]
pub(crate) struct MessagesPiece {
    pub(crate) account: String,
    pub(crate) mailbox: String,
    pub(crate) uid: Uid,
    pub(crate) offset: u64,
}

impl Operation for MessagesPiece {
    const NAME: &'static str = "imap-msgs-dump";
    const EFFECT: Effect = Effect::Reads;
    type Answer = String;

    async fn run(self, context: &Context) -> Result<String, Failure> {
        let mailbox = place(context, &self.account, &self.mailbox).await?;
        let message = context.store.message(mailbox.id, self.uid).await.map_err(failure)?;
        let gone = || Failure::new(Kind::NotFound, format!("{} has no message {}", mailbox.name, self.uid));
        let message = message.ok_or_else(gone)?;
        blocking(move || {
            let octets = piece(&message, self.offset).map_err(|error| unreadable(&error))?;
            Ok(decode::to_base64(&octets))
        })
        .await
    }
}

/// Up to [`PIECE_MAX`] octets of a message; none at its end.
fn piece(message: &Message, offset: u64) -> std::io::Result<Vec<u8>> {
    let added = message.added.len() as u64;
    if offset < added {
        let start = usize::try_from(offset).unwrap_or(usize::MAX);
        return Ok(message.added.iter().skip(start).take(PIECE_MAX).copied().collect());
    }
    let left = message.received.len().saturating_sub(offset - added);
    if left == 0 {
        return Ok(Vec::new());
    }
    message.received.read_at(offset - added, PIECE_MAX)
}

pub(super) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, Failure> + Send + 'static,
) -> Result<T, Failure> {
    tokio::task::spawn_blocking(work).await.map_err(|error| Failure::new(Kind::Broken, error.to_string()))?
}

pub(super) fn unreadable(error: &dyn std::fmt::Display) -> Failure {
    Failure::new(Kind::Unavailable, format!("the message cannot be read: {error}"))
}

/// Lines that end in LF alone, as files on this system have them, become lines that end in CRLF.
fn with_crlf(octets: Vec<u8>) -> Vec<u8> {
    let is_bare = |at: usize| octets[at] == b'\n' && (at == 0 || octets[at - 1] != b'\r');
    if !(0..octets.len()).any(is_bare) {
        return octets;
    }
    let mut made = Vec::with_capacity(octets.len() + octets.len() / 32);
    for (at, octet) in octets.iter().enumerate() {
        if is_bare(at) {
            made.push(b'\r');
        }
        made.push(*octet);
    }
    made
}

const SYSTEM_FLAGS: [(&str, Flags); 5] = [
    ("\\Seen", Flags::SEEN),
    ("\\Answered", Flags::ANSWERED),
    ("\\Flagged", Flags::FLAGGED),
    ("\\Deleted", Flags::DELETED),
    ("\\Draft", Flags::DRAFT),
];

/// Flags as people type them: `\Seen` or `seen`; all else is a keyword.
fn read_flags(typed: &[String]) -> Result<(Flags, Vec<String>), Failure> {
    let mut flags = Flags::NONE;
    let mut keywords = Vec::new();
    for name in typed {
        let bare = name.trim_start_matches('\\');
        match SYSTEM_FLAGS.iter().find(|(known, _)| known[1..].eq_ignore_ascii_case(bare)) {
            Some((_, flag)) => flags = flags | *flag,
            None if name.starts_with('\\') => {
                let known = "\\Seen, \\Answered, \\Flagged, \\Deleted, \\Draft";
                return Err(Failure::new(Kind::BadRequest, format!("{name} is no flag; there are {known}")));
            }
            None => keywords.push(name.clone()),
        }
    }
    Ok((flags, keywords))
}

pub(super) fn flag_names(flags: Flags, keywords: Keywords, names: &[String]) -> Vec<String> {
    let system =
        SYSTEM_FLAGS.iter().filter(|(_, flag)| flags.contains(*flag)).map(|(name, _)| (*name).to_owned());
    system.chain(keywords.iter().filter_map(|bit| names.get(bit).cloned())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn line_ends() {
        for (given, want) in
            [("a\nb\n", "a\r\nb\r\n"), ("a\r\nb\r\n", "a\r\nb\r\n"), ("\n\r\n\n", "\r\n\r\n\r\n"), ("", "")]
        {
            assert_eq!(with_crlf(given.as_bytes().to_vec()), want.as_bytes());
        }
    }

    #[test]
    fn flags() {
        let typed = ["seen", "\\DELETED", "$Work"].map(str::to_owned);
        let (flags, keywords) = read_flags(&typed).unwrap();
        assert_eq!((flags, keywords), (Flags::SEEN | Flags::DELETED, vec!["$Work".to_owned()]));
        assert!(read_flags(&["\\Recent".to_owned()]).unwrap_err().message.contains("is no flag"));
        let names = flag_names(flags, Keywords::NONE.with(1), &["a".to_owned(), "b".to_owned()]);
        assert_eq!(names, ["\\Seen", "\\Deleted", "b"]);
    }

    #[test]
    fn pieces() {
        let mut message = Message::new(Blob::from_bytes(b"body".to_vec()));
        message.prepend("A: b");
        let whole = message.to_vec().unwrap();
        let mut read = Vec::new();
        loop {
            let more = piece(&message, read.len() as u64).unwrap();
            if more.is_empty() {
                break;
            }
            read.extend(more);
        }
        assert_eq!(read, whole);
        assert!(piece(&message, 1 << 40).unwrap().is_empty());
    }
}
