//! Flags, and what changed: STORE, the picture of a mailbox, and its difference to an older one.

use crate::error::Result;
use crate::flags::{Flags, Keywords};
use crate::ids::{AccountId, MailboxId, ModSeq, Uid};
use crate::keyword::{self, Unknown};
use crate::mailbox::{self, Mailbox, mailbox_sql};
use crate::mailboxes;
use crate::message::{Changes, FlagChange, FlagMode, Mark, Snapshot, Stored};
use crate::moving::{self, Found};
use crate::sql;
use crate::store::Store;
use crate::uidset::UidSet;
use crate::vanished;
use crate::writer::Tx;

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
        self.readers()
            .read(move |connection| {
                // One moment for all statements.
                let view = connection.unchecked_transaction()?;
                let found = mailboxes::by_id(&view, mailbox)?;
                let keywords = keyword::list(&view, mailbox)?;
                let sql = "SELECT uid, flags, keywords, modseq FROM message WHERE mailbox = ?1 ORDER BY uid";
                let mut statement = view.prepare_cached(sql)?;
                let mut rows = statement.query([mailbox.0])?;
                let mut marks = Vec::with_capacity(usize::try_from(found.messages).unwrap_or(0));
                while let Some(row) = rows.next()? {
                    marks.push(mark(row)?);
                }
                Ok(Snapshot { mailbox: found, keywords, marks })
            })
            .await
    }

    /// The mailboxes of an account in which something changed after `since`; the cost is theirs.
    pub async fn changed_mailboxes(&self, account: AccountId, since: ModSeq) -> Result<Vec<Mailbox>> {
        let since = i64::try_from(since).unwrap_or(i64::MAX);
        let sql = mailbox_sql!("WHERE m.account = ?1 AND m.modseq > ?2");
        let rows = sql::query(sql).bind(account.0).bind(since).fetch_all(self.readers()).await?;
        rows.iter().map(mailbox::read).collect()
    }

    /// What became of a mailbox after `since`: its cost is that of the changes, not of the mailbox, unless what vanished then is
    /// forgotten.
    pub async fn changes_since(&self, mailbox: MailboxId, since: ModSeq) -> Result<Changes> {
        self.readers()
            .read(move |connection| {
                // One moment for all statements.
                let view = connection.unchecked_transaction()?;
                let found = mailboxes::by_id(&view, mailbox)?;
                let keywords = keyword::list(&view, mailbox)?;
                let sql =
                    "SELECT uid, flags, keywords, modseq FROM message WHERE mailbox = ?1 AND modseq > ?2";
                let mut statement = view.prepare_cached(sql)?;
                let after = i64::try_from(since).unwrap_or(i64::MAX);
                let rows = statement.query_and_then((mailbox.0, after), mark)?;
                let mut changed = rows.collect::<Result<Vec<Mark>>>()?;
                changed.sort_unstable_by_key(|mark| mark.uid);
                let vanished = vanished::since(&view, mailbox, since)?;
                Ok(Changes { mailbox: found, keywords, changed, vanished })
            })
            .await
    }
}

fn uid(number: i64) -> Uid {
    Uid::try_from(number).unwrap_or(Uid::MAX)
}

fn mark(row: &rusqlite::Row<'_>) -> Result<Mark> {
    Ok(Mark {
        uid: uid(row.get(0)?),
        flags: Flags::from_bits(u8::try_from(row.get::<_, i64>(1)?).unwrap_or(0)),
        keywords: Keywords::from_bits(row.get::<_, i64>(2)?.cast_unsigned()),
        modseq: row.get::<_, i64>(3)?.unsigned_abs(),
    })
}

/// A change of flags as bits: what is taken away, and then what is added.
struct Bits {
    taken: (Flags, Keywords),
    added: (Flags, Keywords),
}

impl Bits {
    fn new(mode: FlagMode, flags: Flags, keywords: Keywords) -> Self {
        let (all, none) = ((Flags::ALL, Keywords::from_bits(u64::MAX)), (Flags::NONE, Keywords::NONE));
        let named = (flags, keywords);
        let (taken, added) = match mode {
            FlagMode::Set => (all, named),
            FlagMode::SetAllowed(rights) => (rights.keep(all.0, all.1), named),
            FlagMode::Add => (none, named),
            FlagMode::Remove => (named, none),
        };
        Self { taken, added }
    }

    /// The flags and keywords that a message has after the change.
    fn changed(&self, message: &Found) -> (Flags, Keywords) {
        ((message.flags - self.taken.0) | self.added.0, (message.keywords - self.taken.1) | self.added.1)
    }
}

async fn store(
    tx: &mut Tx,
    mailbox: MailboxId,
    uids: &UidSet,
    change: &FlagChange,
    unchanged_since: Option<ModSeq>,
) -> Result<Stored> {
    let found = mailboxes::by_id(&tx.connection, mailbox)?;
    // What is taken off need not be known.
    let unknown = if change.mode == FlagMode::Remove { Unknown::Skip } else { Unknown::Make };
    let wanted = [(mailbox, change.keywords.as_slice())];
    let keywords = keyword::resolve(tx, &wanted, unknown).await?.pop().unwrap_or(Ok(Keywords::NONE))?;
    let bits = Bits::new(change.mode, change.flags, keywords);
    let messages = moving::read(tx, mailbox, uids)?;
    let mut modified = UidSet::new();
    let mut marks = Vec::new();
    let (mut unseen, mut deleted) = (0i64, 0i64);
    for message in &messages {
        if unchanged_since.is_some_and(|since| message.modseq > since) {
            modified.insert(message.uid);
            continue;
        }
        let (flags, keywords) = bits.changed(message);
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
        write(tx, mailbox, &marks, modseq, &bits, (unseen, deleted)).await?;
    }
    let keywords = keyword::list(&tx.connection, mailbox)?;
    Ok(Stored { before: found.modseq, modseq, changed: marks, modified, keywords })
}

fn count(flags: Flags, flag: Flags) -> i64 {
    i64::from(flags.contains(flag))
}

/// All messages are changed in the same way, so that naming them takes no more than their ranges.
async fn write(
    tx: &mut Tx,
    mailbox: MailboxId,
    marks: &[Mark],
    modseq: ModSeq,
    bits: &Bits,
    (unseen, deleted): (i64, i64),
) -> Result<()> {
    // The ranges lead, and the messages are looked up: CROSS JOIN keeps the order.
    const SQL: &str = "
        UPDATE message SET flags = flags & ~?4 | ?5, keywords = keywords & ~?6 | ?7, modseq = ?2
            WHERE mailbox = ?3 AND uid IN (SELECT m.uid FROM json_each(?1) r CROSS JOIN message m
                WHERE m.mailbox = ?3 AND m.uid BETWEEN r.value ->> 0 AND r.value ->> 1);
        UPDATE mailbox SET modseq = ?2, unseen = unseen + ?8, deleted = deleted + ?9
            WHERE id = ?3;";
    let uids: UidSet = marks.iter().map(|mark| mark.uid).collect();
    sql::query(SQL)
        .bind(uids.to_json())
        .bind(modseq.cast_signed())
        .bind(mailbox.0)
        .bind(i64::from(bits.taken.0.bits()))
        .bind(i64::from(bits.added.0.bits()))
        .bind(bits.taken.1.bits().cast_signed())
        .bind(bits.added.1.bits().cast_signed())
        .bind(unseen)
        .bind(deleted)
        .execute(&mut tx.connection)
        .await?;
    Ok(())
}
