//! APPEND, COPY, MOVE and EXPUNGE: messages come to a mailbox and go from it, each call in one transaction.

use crate::block::{BLOCK, Rest};
use crate::desk::Room;
use crate::error::{Error, Result};
use crate::flags::{Flags, Keywords};
use crate::ids::{MailboxId, ModSeq, Uid};
use crate::keyword::{self, Unknown};
use crate::mailbox::{Mailbox, MailboxKind};
use crate::mailboxes;
use crate::message::{Appended, Copied, Expunged, NewMessage, Which};
use crate::package::{Filing, Package, Target};
use crate::quota::{self, Space, Usage};
use crate::rights::Rights;
use crate::sql;
use crate::store::Store;
use crate::uidset::UidSet;
use crate::vanished;
use crate::writer::Tx;
use serde_json::{Value, json};
use std::collections::HashMap;

/// What a message costs the log, about, when only its row is made or goes.
const OCTETS_PER_ROW: u64 = 200;

/// Whether the messages stay where they were.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    Copy,
    Move,
}

impl Store {
    /// Appends all messages or none.
    pub async fn append(&self, to: MailboxId, messages: Vec<NewMessage>) -> Result<Appended> {
        if messages.is_empty() {
            let mailbox = self.mailbox_by_id(to).await?;
            return Ok(Appended {
                uidvalidity: mailbox.uidvalidity,
                uids: Vec::new(),
                modseq: mailbox.modseq,
            });
        }
        let (packages, room) = self.pack_appended(to, messages).await?;
        let accepted = self.store_packages(packages, room).await?;
        let filed: Vec<_> = accepted.into_iter().flat_map(|accepted| accepted.filed).collect();
        let first = filed.first().ok_or_else(|| Error::bug("an append without a message"))?;
        let (uidvalidity, modseq) = (first.uidvalidity, first.modseq);
        Ok(Appended { uidvalidity, modseq, uids: filed.iter().map(|filed| filed.uid).collect() })
    }

    /// Makes messages ready for the writer, with the room that they take.
    pub(crate) async fn pack_appended(
        &self,
        to: MailboxId,
        messages: Vec<NewMessage>,
    ) -> Result<(Vec<Package>, Room)> {
        let mut bodies = Vec::with_capacity(messages.len());
        let mut filings = Vec::with_capacity(messages.len());
        for new in messages {
            bodies.push((new.message.received, new.shape));
            filings.push(Filing {
                target: Target::Mailbox(to),
                prefix: new.message.added,
                flags: new.flags,
                keywords: new.keywords,
                received: new.received,
                space: Space::Needed,
            });
        }
        let (bodies, room) = self.prepare(bodies).await?;
        let package =
            |(body, filing)| Package { body, filings: vec![filing], jobs: Vec::new(), charge: None };
        Ok((bodies.into_iter().zip(filings).map(package).collect(), room))
    }

    /// Copies messages with their flags and dates; UIDs that are not there are skipped.
    pub async fn copy(&self, from: MailboxId, uids: &UidSet, to: MailboxId) -> Result<Copied> {
        self.transfer(from, uids, to, Way::Copy, Rights::ALL).await
    }

    /// Moves messages with their flags and dates (RFC 6851); UIDs that are not there are skipped.
    pub async fn move_messages(&self, from: MailboxId, uids: &UidSet, to: MailboxId) -> Result<Copied> {
        self.transfer(from, uids, to, Way::Move, Rights::ALL).await
    }

    /// Copies or moves messages with their dates and those of their flags that `rights`, which are those on the target,
    /// allow to be set (RFC 4314 §4).
    pub async fn transfer(
        &self,
        from: MailboxId,
        uids: &UidSet,
        to: MailboxId,
        way: Way,
        rights: Rights,
    ) -> Result<Copied> {
        let uids = uids.clone();
        self.write(guess(&uids), move |tx| {
            Box::pin(async move { transfer(tx, from, &uids, to, (way, rights)).await })
        })
        .await
    }

    /// Takes messages away for good.
    pub async fn expunge(&self, mailbox: MailboxId, uids: &UidSet, which: Which) -> Result<Expunged> {
        let uids = uids.clone();
        self.write(guess(&uids), move |tx| {
            Box::pin(async move {
                let source = mailboxes::by_id(&tx.connection, mailbox)?;
                let mut messages = read(tx, mailbox, &uids)?;
                if which == Which::Deleted {
                    messages.retain(|message| message.flags.contains(Flags::DELETED));
                }
                if messages.is_empty() {
                    return Ok(Expunged { uids: UidSet::new(), modseq: source.modseq });
                }
                let modseq = mailboxes::touch(tx, source.account).await?;
                let uids = take_away(tx, mailbox, &messages, modseq).await?;
                Ok(Expunged { uids, modseq })
            })
        })
        .await
    }
}

/// How many octets a change of `uids` may write, for sharing out the commits.
pub(crate) fn guess(uids: &UidSet) -> u64 {
    (uids.len() * OCTETS_PER_ROW).min(1024 * 1024)
}

/// A message as its row has it.
#[derive(Clone, Copy)]
pub(crate) struct Found {
    pub(crate) uid: Uid,
    pub(crate) flags: Flags,
    pub(crate) keywords: Keywords,
    pub(crate) modseq: ModSeq,
    size: i64,
    received: i64,
    content: i64,
}

impl Found {
    pub(crate) fn octets(&self) -> u64 {
        self.size.unsigned_abs()
    }

    /// The same with those of its flags that may be set.
    fn with_allowed(self, rights: Rights) -> Self {
        let (flags, keywords) = rights.keep(self.flags, self.keywords);
        Self { flags, keywords, ..self }
    }
}

/// The messages of a set, ascending.
pub(crate) fn read(tx: &Tx, mailbox: MailboxId, uids: &UidSet) -> Result<Vec<Found>> {
    let sql = "SELECT m.uid, m.flags, m.keywords, m.modseq, m.size, m.received, m.content \
               FROM json_each(?2) r CROSS JOIN message m \
               WHERE m.mailbox = ?1 AND m.uid BETWEEN r.value ->> 0 AND r.value ->> 1 LIMIT ?3 + 0";
    let mut statement = tx.connection.prepare_cached(sql)?;
    let mut messages: Vec<Found> = Vec::new();
    let mut rest = Rest::new(uids);
    while let Some(piece) = rest.piece() {
        let before = messages.len();
        for row in statement.query_map((mailbox.0, piece.to_json(), BLOCK as i64), found)? {
            messages.push(row?);
        }
        let read = messages.len() - before;
        rest.advance(read, messages[before..].last().map(|found| found.uid));
    }
    Ok(messages)
}

fn uid(number: i64) -> Uid {
    Uid::try_from(number).unwrap_or(Uid::MAX)
}

fn found(row: &rusqlite::Row<'_>) -> rusqlite::Result<Found> {
    Ok(Found {
        uid: uid(row.get(0)?),
        flags: Flags::from_bits(u8::try_from(row.get::<_, i64>(1)?).unwrap_or(0)),
        keywords: Keywords::from_bits(row.get::<_, i64>(2)?.cast_unsigned()),
        modseq: row.get::<_, i64>(3)?.unsigned_abs(),
        size: row.get(4)?,
        received: row.get(5)?,
        content: row.get(6)?,
    })
}

/// Copies or moves; bodies and prefixes are shared, so the cost is one small row a message.
pub(crate) async fn transfer(
    tx: &mut Tx,
    from: MailboxId,
    uids: &UidSet,
    to: MailboxId,
    (way, rights): (Way, Rights),
) -> Result<Copied> {
    let source = mailboxes::by_id(&tx.connection, from)?;
    let target = mailboxes::by_id(&tx.connection, to)?;
    if target.kind == MailboxKind::NoSelect {
        return Err(Error::NotSelectable(target.name));
    }
    let messages = read(tx, from, uids)?;
    let allowed: Vec<Found> = messages.iter().map(|message| message.with_allowed(rights)).collect();
    if messages.is_empty() {
        return Ok(Copied { uidvalidity: target.uidvalidity, pairs: Vec::new(), modseq: target.modseq });
    }
    if way == Way::Copy || source.account != target.account {
        quota::check(tx, target.account, usage(&messages)).await?;
    }
    let mut modseq = mailboxes::touch(tx, target.account).await?;
    let pairs = put(tx, &allowed, &source, &target, modseq).await?;
    if way == Way::Move {
        if source.account != target.account {
            modseq = mailboxes::touch(tx, source.account).await?;
        }
        take_away(tx, from, &messages, modseq).await?;
    }
    Ok(Copied { uidvalidity: target.uidvalidity, pairs, modseq })
}

fn usage(messages: &[Found]) -> Usage {
    let octets = messages.iter().map(|message| message.size.unsigned_abs()).sum();
    Usage { octets, messages: messages.len() as u64 }
}

/// Makes rows for the messages in the target.
async fn put(
    tx: &mut Tx,
    messages: &[Found],
    source: &Mailbox,
    target: &Mailbox,
    modseq: ModSeq,
) -> Result<Vec<(Uid, Uid)>> {
    let keywords = translate(tx, messages, source.id, target.id).await?;
    let next = u64::from(target.uidnext) + messages.len() as u64;
    if next > u64::from(Uid::MAX) {
        return Err(Error::TooMany { what: "messages in one mailbox", limit: u64::from(Uid::MAX) });
    }
    let mut pairs = Vec::with_capacity(messages.len());
    let mut rows = Vec::with_capacity(messages.len());
    for (message, uid) in messages.iter().zip(target.uidnext..) {
        let keywords = keywords.get(&message.keywords).copied().unwrap_or_default();
        pairs.push((message.uid, uid));
        rows.push(json!([
            uid,
            message.flags.bits(),
            keywords.bits().cast_signed(),
            message.received,
            message.size,
            message.content
        ]));
    }
    let gain = Sums::of(messages);
    let sql = "INSERT INTO message (mailbox, uid, modseq, flags, keywords, received, saved, size, content) \
               SELECT ?1, value ->> 0, ?2, value ->> 1, value ->> 2, value ->> 3, ?3, value ->> 4, value ->> 5 \
               FROM json_each(?4)";
    sql::query(sql)
        .bind(target.id.0)
        .bind(modseq.cast_signed())
        .bind(tx.now)
        .bind(Value::Array(rows).to_string())
        .execute(&mut tx.connection)
        .await?;
    let sql = "UPDATE mailbox SET uidnext = uidnext + ?2, messages = messages + ?2, unseen = unseen + ?3, \
               deleted = deleted + ?4, size = size + ?5, modseq = ?6 WHERE id = ?1";
    gain.apply(tx, sql, target.id, modseq).await?;
    Ok(pairs)
}

/// The keywords of the messages in terms of another mailbox. Few combinations stand for many messages.
async fn translate(
    tx: &mut Tx,
    messages: &[Found],
    from: MailboxId,
    to: MailboxId,
) -> Result<HashMap<Keywords, Keywords>> {
    let mut masks: Vec<Keywords> = messages.iter().map(|message| message.keywords).collect();
    masks.sort_unstable_by_key(|mask| mask.bits());
    masks.dedup();
    if from == to || masks.iter().all(|mask| mask.is_empty()) {
        return Ok(masks.into_iter().map(|mask| (mask, mask)).collect());
    }
    let names = keyword::list(&tx.connection, from)?;
    let sets: Vec<Vec<String>> =
        masks.iter().map(|mask| mask.iter().filter_map(|bit| names.get(bit).cloned()).collect()).collect();
    let wanted: Vec<_> = sets.iter().map(|names| (to, names.as_slice())).collect();
    let bits = keyword::resolve(tx, &wanted, Unknown::Make).await?;
    masks.into_iter().zip(bits).map(|(mask, bits)| Ok((mask, bits?))).collect()
}

/// Removes rows, and notes what vanished.
pub(crate) async fn take_away(
    tx: &mut Tx,
    mailbox: MailboxId,
    messages: &[Found],
    modseq: ModSeq,
) -> Result<UidSet> {
    const SQL: &str = "
        INSERT OR IGNORE INTO loose_content SELECT content FROM message WHERE mailbox = ?1
            AND uid IN (SELECT value FROM json_each(?2));
        DELETE FROM message WHERE mailbox = ?1 AND uid IN (SELECT value FROM json_each(?2));
        INSERT INTO vanished (mailbox, first, last, modseq)
            SELECT ?1, value ->> 0, value ->> 1, ?4 FROM json_each(?3);";
    let uids: UidSet = messages.iter().map(|message| message.uid).collect();
    let list: Vec<Uid> = messages.iter().map(|message| message.uid).collect();
    sql::query(SQL)
        .bind(mailbox.0)
        .bind(json!(list).to_string())
        .bind(uids.to_json())
        .bind(modseq.cast_signed())
        .execute(&mut tx.connection)
        .await?;
    tx.effects.loose = true;
    let sql = "UPDATE mailbox SET messages = messages - ?2, unseen = unseen - ?3, deleted = deleted - ?4, \
               size = size - ?5, modseq = ?6 WHERE id = ?1";
    Sums::of(messages).apply(tx, sql, mailbox, modseq).await?;
    vanished::note(tx, mailbox, uids.ranges().len()).await?;
    Ok(uids)
}

/// What some messages count for in the row of their mailbox.
struct Sums {
    messages: i64,
    unseen: i64,
    deleted: i64,
    size: i64,
}

impl Sums {
    fn of(messages: &[Found]) -> Self {
        let count = |flag, want| {
            let hits = messages.iter().filter(|message| message.flags.contains(flag) == want);
            i64::try_from(hits.count()).unwrap_or(i64::MAX)
        };
        Self {
            messages: i64::try_from(messages.len()).unwrap_or(i64::MAX),
            unseen: count(Flags::SEEN, false),
            deleted: count(Flags::DELETED, true),
            size: messages.iter().map(|message| message.size).sum(),
        }
    }

    async fn apply(&self, tx: &mut Tx, sql: &'static str, mailbox: MailboxId, modseq: ModSeq) -> Result<()> {
        sql::query(sql)
            .bind(mailbox.0)
            .bind(self.messages)
            .bind(self.unseen)
            .bind(self.deleted)
            .bind(self.size)
            .bind(modseq.cast_signed())
            .execute(&mut tx.connection)
            .await?;
        Ok(())
    }
}
