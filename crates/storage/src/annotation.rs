//! Annotations of mailboxes and of the server (RFC 5464). Names are whole: `/private/comment` is what one account has to
//! say, `/shared/comment` what all see who may see the mailbox.

use crate::error::{Error, Result};
use crate::ids::{AccountId, MailboxId, ModSeq};
use crate::mailbox::SpecialUse;
use crate::mailboxes;
use crate::sql::{self, Row};
use crate::store::Store;
use crate::writer::Tx;
use serde_json::{Value, json};

/// Largest value of an annotation in octets.
pub const ANNOTATION_MAX: u64 = 16 * 1024;
/// Most annotations of one mailbox, or of the server, that are private to one account; as many may be shared.
pub const ANNOTATIONS_MAX: u64 = 100;
/// Octets that all annotations of one account may take together.
pub const ANNOTATIONS_OCTETS_MAX: u64 = 8 * 1024 * 1024;
/// How many that were taken away are remembered for each mailbox, so that sessions hear of it.
const REMEMBERED: i64 = 100;
/// What each annotation counts besides its value, in octets.
const OVERHEAD: i64 = 100;

/// What an annotation is set to; `None` takes it away.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Annotation {
    pub name: String,
    pub value: Option<Vec<u8>>,
}

/// Annotations that are set together, or not at all.
#[derive(Clone, Debug, Default)]
pub struct Annotations {
    /// `None`: of the server as a whole, where only private ones are kept.
    pub mailbox: Option<MailboxId>,
    pub values: Vec<Annotation>,
    /// What the mailbox is for from now on (RFC 6154 §5.4).
    pub special: Option<Option<SpecialUse>>,
}

/// An annotation as it is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Annotated {
    pub mailbox: Option<MailboxId>,
    /// As it was written when it was first set.
    pub name: String,
    /// Octets of its value.
    pub size: u64,
    /// `None` if only names were asked for.
    pub value: Option<Vec<u8>>,
}

/// An annotation that was set or taken away.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Changed {
    pub mailbox: Option<MailboxId>,
    pub name: String,
    pub modseq: ModSeq,
}

/// Whether the annotation is its reader's alone.
fn is_private(name: &str) -> bool {
    name.get(..9).is_some_and(|start| start.eq_ignore_ascii_case("/private/"))
}

impl Store {
    /// The newest mod-sequence of an account.
    pub async fn modseq(&self, account: AccountId) -> Result<ModSeq> {
        let sql = "SELECT modseq FROM account WHERE id = ?1";
        let modseq: Option<i64> =
            sql::query_scalar(sql).bind(account.0).fetch_optional(self.readers()).await?;
        Ok(modseq.ok_or_else(|| Error::NoSuchAccount(account.to_string()))?.unsigned_abs())
    }

    /// Names and sizes of all annotations of a mailbox that `reader` sees, or of the server.
    pub async fn annotation_names(
        &self,
        reader: AccountId,
        mailbox: Option<MailboxId>,
    ) -> Result<Vec<Annotated>> {
        // In two halves, so that of the server's only the reader's own are looked at.
        let sql = "SELECT mailbox, name, length(value), NULL FROM annotation \
                   WHERE owner = ?1 AND mailbox IS ?2 AND value IS NOT NULL AND name LIKE '/private/%' UNION ALL \
                   SELECT mailbox, name, length(value), NULL FROM annotation \
                   WHERE mailbox = ?2 AND value IS NOT NULL AND name LIKE '/shared/%' ORDER BY 2";
        let query = sql::query(sql).bind(reader.0).bind(mailbox.map(|mailbox| mailbox.0));
        query.fetch_all(self.readers()).await?.iter().map(read).collect()
    }

    /// Annotations by name, in any case; those that are not set are missing.
    pub async fn annotations(
        &self,
        reader: AccountId,
        mailboxes: &[Option<MailboxId>],
        names: &[String],
    ) -> Result<Vec<Annotated>> {
        let sql = "SELECT a.mailbox, a.name, length(a.value), a.value, m.key \
                   FROM json_each(?2) m CROSS JOIN annotation a ON a.mailbox IS m.value AND a.owner = ?1 \
                   WHERE a.value IS NOT NULL AND a.name IN (SELECT value COLLATE NOCASE FROM json_each(?3)) UNION ALL \
                   SELECT a.mailbox, a.name, length(a.value), a.value, m.key \
                   FROM json_each(?2) m CROSS JOIN annotation a ON a.mailbox = m.value \
                   WHERE a.value IS NOT NULL AND a.name IN (SELECT value COLLATE NOCASE FROM json_each(?3)) \
                       AND a.owner <> ?1 AND a.name LIKE '/shared/%' ORDER BY 5, 2";
        let ids: Vec<Option<i64>> = mailboxes.iter().map(|mailbox| mailbox.map(|id| id.0)).collect();
        let lower: Vec<String> = names.iter().map(|name| name.to_ascii_lowercase()).collect();
        let query =
            sql::query(sql).bind(reader.0).bind(json!(ids).to_string()).bind(json!(lower).to_string());
        query.fetch_all(self.readers()).await?.iter().map(read).collect()
    }

    /// Sets and takes away annotations: all or none. Gives the mod-sequences that it has in the accounts it touched.
    pub async fn annotate(&self, reader: AccountId, set: Annotations) -> Result<Vec<(AccountId, ModSeq)>> {
        let size: usize = set.values.iter().filter_map(|one| one.value.as_ref()).map(Vec::len).sum();
        self.write(size as u64, move |tx| Box::pin(async move { annotate(tx, reader, set).await })).await
    }

    /// What was set and taken away after a mod-sequence of its owner: for the account itself all, for others (`owner` is
    /// not `reader`) what is shared.
    pub async fn annotation_changes(
        &self,
        reader: AccountId,
        owner: AccountId,
        since: ModSeq,
    ) -> Result<Vec<Changed>> {
        let sql = "SELECT mailbox, name, modseq FROM annotation \
                   WHERE owner = ?1 AND modseq > ?2 AND (?3 OR name LIKE '/shared/%') ORDER BY modseq, name";
        let query = sql::query(sql).bind(owner.0).bind(since.cast_signed()).bind(reader == owner);
        let rows = query.fetch_all(self.readers()).await?;
        rows.iter()
            .map(|row| {
                Ok(Changed {
                    mailbox: row.try_get::<Option<i64>>(0)?.map(MailboxId),
                    name: row.try_get(1)?,
                    modseq: row.try_get::<i64>(2)?.unsigned_abs(),
                })
            })
            .collect()
    }
}

fn read(row: &Row) -> Result<Annotated> {
    Ok(Annotated {
        mailbox: row.try_get::<Option<i64>>(0)?.map(MailboxId),
        name: row.try_get(1)?,
        size: row.try_get::<i64>(2)?.unsigned_abs(),
        value: row.try_get(3)?,
    })
}

async fn annotate(tx: &mut Tx, reader: AccountId, set: Annotations) -> Result<Vec<(AccountId, ModSeq)>> {
    let too_large = |one: &Annotation| one.value.as_ref().is_some_and(|v| v.len() as u64 > ANNOTATION_MAX);
    if set.values.iter().any(too_large) {
        return Err(Error::AnnotationTooLarge { limit: ANNOTATION_MAX });
    }
    let holder = match set.mailbox {
        None => reader,
        Some(mailbox) => mailboxes::by_id(&tx.connection, mailbox)?.account,
    };
    let mut touched = Vec::new();
    if let (Some(special), Some(mailbox)) = (set.special, set.mailbox) {
        touched.push((holder, mailboxes::touch(tx, holder).await?));
        mailboxes::give_use(tx, holder, mailbox, special).await?;
    }
    let (private, shared): (Vec<_>, Vec<_>) = set.values.into_iter().partition(|one| is_private(&one.name));
    for (owner, values) in [(reader, private), (holder, shared)] {
        if values.is_empty() {
            continue;
        }
        let modseq = mailboxes::touch(tx, owner).await?;
        put(tx, owner, set.mailbox, values, modseq).await?;
        touched.push((owner, modseq));
    }
    Ok(touched)
}

/// Writes what belongs to one owner, and looks whether it is too much then.
async fn put(
    tx: &mut Tx,
    owner: AccountId,
    mailbox: Option<MailboxId>,
    values: Vec<Annotation>,
    modseq: ModSeq,
) -> Result<()> {
    let mut arena = vec![0];
    let mut rows = Vec::with_capacity(values.len());
    for Annotation { name, value } in values {
        let place = value.map(|value| {
            let at = arena.len() + 1;
            arena.extend_from_slice(&value);
            (at, value.len())
        });
        rows.push(json!([name, place.map(|place| place.0), place.map(|place| place.1)]));
    }
    let sql = "INSERT INTO annotation (owner, mailbox, name, value, modseq) \
               SELECT ?1, ?2, value ->> 0, substr(?4, value ->> 1, value ->> 2), ?5 FROM json_each(?3) WHERE true \
               ON CONFLICT (owner, coalesce(mailbox, 0), name) \
               DO UPDATE SET value = excluded.value, modseq = excluded.modseq";
    sql::query(sql)
        .bind(owner.0)
        .bind(mailbox.map(|mailbox| mailbox.0))
        .bind(Value::Array(rows).to_string())
        .bind(arena)
        .bind(modseq.cast_signed())
        .execute(&mut tx.connection)
        .await?;
    forget_old(tx, owner, mailbox).await?;
    check(tx, owner, mailbox).await
}

/// Of what was taken away the newest are remembered.
async fn forget_old(tx: &mut Tx, owner: AccountId, mailbox: Option<MailboxId>) -> Result<()> {
    let sql = "DELETE FROM annotation WHERE rowid IN (SELECT rowid FROM annotation \
               WHERE owner = ?1 AND mailbox IS ?2 AND value IS NULL ORDER BY modseq DESC LIMIT -1 OFFSET ?3)";
    let query = sql::query(sql).bind(owner.0).bind(mailbox.map(|mailbox| mailbox.0)).bind(REMEMBERED);
    query.execute(&mut tx.connection).await?;
    Ok(())
}

async fn check(tx: &mut Tx, owner: AccountId, mailbox: Option<MailboxId>) -> Result<()> {
    let sql = "SELECT coalesce(sum(mailbox IS ?2 AND name LIKE '/private/%'), 0), \
                   coalesce(sum(mailbox IS ?2 AND name LIKE '/shared/%'), 0), coalesce(sum(length(value) + ?3), 0) \
               FROM annotation WHERE owner = ?1 AND value IS NOT NULL";
    let query = sql::query_as(sql).bind(owner.0).bind(mailbox.map(|mailbox| mailbox.0)).bind(OVERHEAD);
    let (private, shared, octets): (i64, i64, i64) = query.fetch_one(&mut tx.connection).await?;
    if private.max(shared).unsigned_abs() > ANNOTATIONS_MAX {
        return Err(Error::TooMany { what: "annotations", limit: ANNOTATIONS_MAX });
    }
    if octets.unsigned_abs() > ANNOTATIONS_OCTETS_MAX {
        return Err(Error::TooMany { what: "octets of annotations", limit: ANNOTATIONS_OCTETS_MAX });
    }
    Ok(())
}

/// A mailbox that is deleted takes its annotations with it (RFC 5464 §4.1).
pub(crate) async fn forget(tx: &mut Tx, mailbox: MailboxId) -> Result<()> {
    let sql = "DELETE FROM annotation WHERE mailbox = ?1";
    sql::query(sql).bind(mailbox.0).execute(&mut tx.connection).await?;
    Ok(())
}

/// What was INBOX until it was renamed has the annotations of INBOX, which keeps them (RFC 5464 §4.1).
pub(crate) async fn copy(tx: &mut Tx, from: MailboxId, to: MailboxId) -> Result<()> {
    let sql = "INSERT OR IGNORE INTO annotation (owner, mailbox, name, value, modseq) \
               SELECT owner, ?2, name, value, modseq FROM annotation WHERE mailbox = ?1 AND value IS NOT NULL";
    sql::query(sql).bind(from.0).bind(to.0).execute(&mut tx.connection).await?;
    Ok(())
}
