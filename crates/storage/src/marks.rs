//! Flags, and what changed: STORE, the picture of a mailbox, and its difference to an older one.

use crate::error::Result;
use crate::flags::{Flags, Keywords};
use crate::ids::{MailboxId, ModSeq, Uid};
use crate::keyword::{self, Unknown};
use crate::mailboxes;
use crate::message::{Changes, FlagChange, FlagMode, Mark, Snapshot, Stored};
use crate::moving::{self, Found};
use crate::store::Store;
use crate::uidset::UidSet;
use crate::writer::Tx;
use serde_json::{Value, json};
use sqlx::Connection;

impl Store {
    /// Changes flags; UIDs that are not there are skipped. With `unchanged_since` only messages that nobody has changed
    /// after it; the others are named in the answer (RFC 7162 §3.1.3).
    pub async fn store_flags(
        &self,
        mailbox: MailboxId,
        uids: &UidSet,
        change: FlagChange,
        unchanged_since: Option<ModSeq>,
    ) -> Result<Stored> {
        let uids = uids.clone();
        self.write(moving::guess(&uids), move |tx| {
            Box::pin(async move { store(tx, mailbox, &uids, &change, unchanged_since).await })
        })
        .await
    }

    /// The whole mailbox at one moment, without octets of messages.
    pub async fn snapshot(&self, mailbox: MailboxId) -> Result<Snapshot> {
        let mut reader = self.readers().acquire().await?;
        let mut view = reader.begin().await?;
        let found = mailboxes::by_id(&mut view, mailbox).await?;
        let keywords = keyword::list(&mut view, mailbox).await?;
        let sql = "SELECT uid, flags, keywords, modseq FROM message WHERE mailbox = ?1 ORDER BY uid";
        let rows = sqlx::query_as(sql).bind(mailbox.0).fetch_all(&mut *view).await?;
        view.commit().await?;
        Ok(Snapshot { mailbox: found, keywords, marks: rows.into_iter().map(mark).collect() })
    }

    /// What became of a mailbox after `since`: its cost is that of the changes, not of the mailbox.
    pub async fn changes_since(&self, mailbox: MailboxId, since: ModSeq) -> Result<Changes> {
        let mut reader = self.readers().acquire().await?;
        let mut view = reader.begin().await?;
        let found = mailboxes::by_id(&mut view, mailbox).await?;
        let keywords = keyword::list(&mut view, mailbox).await?;
        let since = i64::try_from(since).unwrap_or(i64::MAX);
        let sql = "SELECT uid, flags, keywords, modseq FROM message WHERE mailbox = ?1 AND modseq > ?2";
        let rows = sqlx::query_as(sql).bind(mailbox.0).bind(since).fetch_all(&mut *view).await?;
        let sql = "SELECT first, last FROM vanished WHERE mailbox = ?1 AND modseq > ?2";
        let gone: Vec<(i64, i64)> =
            sqlx::query_as(sql).bind(mailbox.0).bind(since).fetch_all(&mut *view).await?;
        view.commit().await?;
        let mut changed: Vec<Mark> = rows.into_iter().map(mark).collect();
        changed.sort_unstable_by_key(|mark| mark.uid);
        let uid = |number: i64| Uid::try_from(number).unwrap_or(Uid::MAX);
        let vanished = gone.into_iter().map(|(first, last)| (uid(first), uid(last))).collect();
        Ok(Changes { mailbox: found, keywords, changed, vanished })
    }
}

fn mark((uid, flags, keywords, modseq): (i64, i64, i64, i64)) -> Mark {
    Mark {
        uid: Uid::try_from(uid).unwrap_or(Uid::MAX),
        flags: Flags::from_bits(u8::try_from(flags).unwrap_or(0)),
        keywords: Keywords::from_bits(keywords.cast_unsigned()),
        modseq: modseq.unsigned_abs(),
    }
}

/// The flags and keywords that a message has after the change.
fn changed(message: &Found, mode: FlagMode, flags: Flags, keywords: Keywords) -> (Flags, Keywords) {
    match mode {
        FlagMode::Set => (flags, keywords),
        FlagMode::SetAllowed(rights) => {
            let (allowed, tags) = rights.keep(message.flags, message.keywords);
            ((message.flags - allowed) | flags, (message.keywords - tags) | keywords)
        }
        FlagMode::Add => (message.flags | flags, message.keywords | keywords),
        FlagMode::Remove => (message.flags - flags, message.keywords - keywords),
    }
}

async fn store(
    tx: &mut Tx,
    mailbox: MailboxId,
    uids: &UidSet,
    change: &FlagChange,
    unchanged_since: Option<ModSeq>,
) -> Result<Stored> {
    let found = mailboxes::by_id(&mut tx.connection, mailbox).await?;
    // What is taken off need not be known.
    let unknown = if change.mode == FlagMode::Remove { Unknown::Skip } else { Unknown::Make };
    let wanted = [(mailbox, change.keywords.as_slice())];
    let keywords = keyword::resolve(tx, &wanted, unknown).await?.pop().unwrap_or(Ok(Keywords::NONE))?;
    let messages = moving::read(tx, mailbox, uids).await?;
    let mut modified = UidSet::new();
    let mut marks = Vec::new();
    let (mut unseen, mut deleted) = (0i64, 0i64);
    for message in &messages {
        if unchanged_since.is_some_and(|since| message.modseq > since) {
            modified.insert(message.uid);
            continue;
        }
        let (flags, keywords) = changed(message, change.mode, change.flags, keywords);
        if (flags, keywords) == (message.flags, message.keywords) {
            continue;
        }
        unseen += count(message.flags, Flags::SEEN) - count(flags, Flags::SEEN);
        deleted += count(flags, Flags::DELETED) - count(message.flags, Flags::DELETED);
        marks.push(Mark { uid: message.uid, flags, keywords, modseq: 0 });
    }
    let mut modseq = found.modseq;
    if !marks.is_empty() {
        modseq = mailboxes::touch(tx, found.account).await?;
        marks.iter_mut().for_each(|mark| mark.modseq = modseq);
        write(tx, mailbox, &marks, modseq, (unseen, deleted)).await?;
    }
    let keywords = keyword::list(&mut tx.connection, mailbox).await?;
    Ok(Stored { before: found.modseq, modseq, changed: marks, modified, keywords })
}

fn count(flags: Flags, flag: Flags) -> i64 {
    i64::from(flags.contains(flag))
}

async fn write(
    tx: &mut Tx,
    mailbox: MailboxId,
    marks: &[Mark],
    modseq: ModSeq,
    (unseen, deleted): (i64, i64),
) -> Result<()> {
    // The mailbox stands in every row, so that the rows lead and the messages are looked up.
    const SQL: &str = "
        UPDATE message SET flags = t.value ->> 2, keywords = t.value ->> 3, modseq = ?2 FROM json_each(?1) t
            WHERE message.mailbox = t.value ->> 0 AND message.uid = t.value ->> 1;
        UPDATE mailbox SET modseq = ?2, unseen = unseen + ?4, deleted = deleted + ?5
            WHERE id = ?3 AND ?1 IS NOT NULL;";
    let rows: Vec<Value> = marks
        .iter()
        .map(|mark| json!([mailbox.0, mark.uid, mark.flags.bits(), mark.keywords.bits().cast_signed()]))
        .collect();
    sqlx::query(SQL)
        .bind(Value::Array(rows).to_string())
        .bind(modseq.cast_signed())
        .bind(mailbox.0)
        .bind(unseen)
        .bind(deleted)
        .execute(&mut tx.connection)
        .await?;
    Ok(())
}
