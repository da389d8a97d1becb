//! What is done with mailboxes: list, make, delete, rename, subscribe (RFC 9051 §6.3).

use crate::acl;
use crate::annotation;
use crate::error::{Error, Result};
use crate::ids::{AccountId, MailboxId, ModSeq};
use crate::mailbox::{
    self, Listing, MAILBOXES_MAX, Mailbox, MailboxKind, SUBSCRIPTIONS_MAX, SpecialUse, mailbox_sql,
};
use crate::moving;
use crate::rights::Rights;
use crate::sql;
use crate::store::Store;
use crate::uidset::UidSet;
use crate::writer::Tx;
use rusqlite::Connection;
use serde_json::{Value, json};

pub(crate) const KIND_SELECTABLE: i64 = 0;
const KIND_NO_SELECT: i64 = 1;

impl Store {
    /// All mailboxes of an account with their counters, and names that are only subscribed to: one read.
    pub async fn list(&self, account: AccountId) -> Result<Listing> {
        self.readers()
            .read(move |connection| {
                // One moment for both statements.
                let view = connection.unchecked_transaction()?;
                let sql = mailbox_sql!(
                    "WHERE m.account = ?1 ORDER BY m.name <> 'INBOX', replace(m.name, '/', char(1))"
                );
                let rows = sql::query(sql).bind(account.0).rows(&view)?;
                let mailboxes = rows.iter().map(mailbox::read).collect::<Result<Vec<_>>>()?;
                let sql = "SELECT s.name FROM subscription s WHERE s.account = ?1 AND NOT EXISTS (SELECT 1 \
                           FROM mailbox m WHERE m.account = s.account AND m.name = s.name) ORDER BY s.name";
                let subscribed_only = sql::query_scalar(sql).bind(account.0).values(&view)?;
                Ok(Listing { mailboxes, subscribed_only })
            })
            .await
    }

    pub async fn mailbox(&self, account: AccountId, name: &str) -> Result<Mailbox> {
        let name = mailbox::fold(name);
        self.readers().read(move |connection| by_name(connection, account, &name)).await
    }

    /// Octets of the messages of a mailbox that have \\Deleted (RFC 9208 §4.1.4). Looks at each of them.
    pub async fn deleted_octets(&self, id: MailboxId) -> Result<u64> {
        let sql = "SELECT coalesce(sum(size), 0) FROM message WHERE mailbox = ?1 AND flags & 8 <> 0";
        let octets: i64 = sql::query_scalar(sql).bind(id.0).fetch_one(self.readers()).await?;
        Ok(octets.unsigned_abs())
    }

    pub async fn mailbox_by_id(&self, id: MailboxId) -> Result<Mailbox> {
        self.readers().read(move |connection| by_id(connection, id)).await
    }

    /// Makes a mailbox, and the mailboxes above it that are not there. A `/` at the end is dropped (RFC 9051 §6.3.4).
    pub async fn create_mailbox(
        &self,
        account: AccountId,
        name: &str,
        special: Option<SpecialUse>,
    ) -> Result<MailboxId> {
        let name = mailbox::check(name.strip_suffix(mailbox::DELIMITER).unwrap_or(name))?;
        self.write(0, move |tx| Box::pin(async move { create(tx, account, &name, special).await })).await
    }

    /// Deletes a mailbox with its messages. If it holds others its name stays, as \Noselect (RFC 9051 §6.3.5).
    pub async fn delete_mailbox(&self, account: AccountId, name: &str) -> Result<()> {
        let name = mailbox::fold(name);
        self.write(0, move |tx| Box::pin(async move { delete(tx, account, &name).await })).await
    }

    /// Renames a mailbox and all beneath it. INBOX stays: its messages move to a new mailbox (RFC 9051 §6.3.6).
    pub async fn rename_mailbox(&self, account: AccountId, from: &str, to: &str) -> Result<()> {
        let from = mailbox::fold(from);
        let to = mailbox::check(to.strip_suffix(mailbox::DELIMITER).unwrap_or(to))?;
        self.write(0, move |tx| Box::pin(async move { rename(tx, account, &from, &to).await })).await
    }

    /// Subscribes to a name, which need not exist (RFC 9051 §6.3.7).
    pub async fn subscribe(&self, account: AccountId, name: &str) -> Result<()> {
        let name = mailbox::check(name.strip_suffix(mailbox::DELIMITER).unwrap_or(name))?;
        self.write(0, move |tx| {
            Box::pin(async move {
                let sql = "SELECT count(*) FROM subscription WHERE account = ?1";
                let count: i64 = sql::query_scalar(sql).bind(account.0).fetch_one(&mut tx.connection).await?;
                if count.unsigned_abs() >= SUBSCRIPTIONS_MAX {
                    return Err(Error::TooMany { what: "subscriptions", limit: SUBSCRIPTIONS_MAX });
                }
                touch_names(tx, account).await?;
                let sql = "INSERT OR IGNORE INTO subscription (account, name) VALUES (?1, ?2)";
                sql::query(sql).bind(account.0).bind(name).execute(&mut tx.connection).await?;
                Ok(())
            })
        })
        .await
    }

    /// Ends a subscription; none there is no error.
    pub async fn unsubscribe(&self, account: AccountId, name: &str) -> Result<()> {
        let name = mailbox::fold(name.strip_suffix(mailbox::DELIMITER).unwrap_or(name));
        self.write(0, move |tx| {
            Box::pin(async move {
                touch_names(tx, account).await?;
                let sql = "DELETE FROM subscription WHERE account = ?1 AND name = ?2";
                sql::query(sql).bind(account.0).bind(name).execute(&mut tx.connection).await?;
                Ok(())
            })
        })
        .await
    }

    /// Says what a mailbox is for; another one that was for the same loses it.
    pub async fn set_special_use(
        &self,
        account: AccountId,
        name: &str,
        special: Option<SpecialUse>,
    ) -> Result<()> {
        let name = mailbox::fold(name);
        self.write(0, move |tx| {
            Box::pin(async move {
                let target = by_name(&tx.connection, account, &name)?;
                touch_names(tx, account).await?;
                give_use(tx, account, target.id, special).await
            })
        })
        .await
    }
}

pub(crate) fn by_name(connection: &Connection, account: AccountId, name: &str) -> Result<Mailbox> {
    let sql = mailbox_sql!("WHERE m.account = ?1 AND m.name = ?2");
    let rows = sql::query(sql).bind(account.0).bind(name).rows(connection)?;
    mailbox::read(rows.first().ok_or_else(|| Error::NoSuchMailbox(name.to_owned()))?)
}

pub(crate) fn by_id(connection: &Connection, id: MailboxId) -> Result<Mailbox> {
    let sql = mailbox_sql!("WHERE m.id = ?1 AND m.account IS NOT NULL");
    let rows = sql::query(sql).bind(id.0).rows(connection)?;
    mailbox::read(rows.first().ok_or_else(|| Error::NoSuchMailbox(id.to_string()))?)
}

/// The account's next mod-sequence, written down and rung for.
pub(crate) async fn touch(tx: &mut Tx, account: AccountId) -> Result<ModSeq> {
    let sql = "UPDATE account SET modseq = modseq + 1 WHERE id = ?1 RETURNING modseq";
    let modseq: Option<i64> =
        sql::query_scalar(sql).bind(account.0).fetch_optional(&mut tx.connection).await?;
    let modseq = modseq.ok_or_else(|| Error::NoSuchAccount(account.to_string()))?.unsigned_abs();
    tx.effects.ring(account, modseq);
    Ok(modseq)
}

/// The same where mailboxes come, go or change as such, and with subscriptions.
pub(crate) async fn touch_names(tx: &mut Tx, account: AccountId) -> Result<ModSeq> {
    tx.effects.rings.names.push(account);
    touch(tx, account).await
}

/// `count` UIDVALIDITY values in a row that no mailbox ever had; returns the first. They follow the clock, as clients
/// may have seen values of an older store under the same names.
async fn fresh_uidvalidity(tx: &mut Tx, count: usize) -> Result<i64> {
    let sql = "UPDATE sequence SET last = max(last, ?1) + ?2 WHERE name = 'uidvalidity' RETURNING last";
    let count = i64::try_from(count).unwrap_or(i64::MAX);
    let last: i64 =
        sql::query_scalar(sql).bind(tx.now.max(0)).bind(count).fetch_one(&mut tx.connection).await?;
    if last > i64::from(u32::MAX) {
        return Err(Error::bug("no UIDVALIDITY is left"));
    }
    Ok(last - count + 1)
}

/// Makes rows of new, empty mailboxes.
pub(crate) async fn insert(
    tx: &mut Tx,
    account: AccountId,
    names: &[(&str, Option<SpecialUse>)],
) -> Result<()> {
    let first = fresh_uidvalidity(tx, names.len()).await?;
    let rows: Vec<Value> = (first..)
        .zip(names)
        .map(|(uidvalidity, (name, special))| json!([name, special.map(SpecialUse::as_str), uidvalidity]))
        .collect();
    let sql = "INSERT INTO mailbox (account, name, kind, special_use, uidvalidity, uidnext, modseq, messages, \
                   unseen, deleted, size) \
               SELECT ?1, value ->> 0, 0, value ->> 1, value ->> 2, 1, (SELECT modseq FROM account WHERE id = ?1), \
                   0, 0, 0, 0 FROM json_each(?2)";
    sql::query(sql).bind(account.0).bind(json!(rows).to_string()).execute(&mut tx.connection).await?;
    Ok(())
}

pub(crate) async fn give_use(
    tx: &mut Tx,
    account: AccountId,
    id: MailboxId,
    special: Option<SpecialUse>,
) -> Result<()> {
    tx.effects.rings.names.push(account);
    let sql = "UPDATE mailbox SET special_use = CASE WHEN id = ?2 THEN ?3 END \
               WHERE account = ?1 AND (id = ?2 OR special_use = ?3)";
    let special = special.map(SpecialUse::as_str);
    sql::query(sql).bind(account.0).bind(id.0).bind(special).execute(&mut tx.connection).await?;
    Ok(())
}

pub(crate) async fn exists(tx: &mut Tx, account: AccountId, name: &str) -> Result<Option<(MailboxId, i64)>> {
    let sql = "SELECT id, kind FROM mailbox WHERE account = ?1 AND name = ?2";
    let query = sql::query_as(sql).bind(account.0).bind(name.to_owned());
    let row: Option<(i64, i64)> = query.fetch_optional(&mut tx.connection).await?;
    Ok(row.map(|(id, kind)| (MailboxId(id), kind)))
}

pub(crate) async fn create(
    tx: &mut Tx,
    account: AccountId,
    name: &str,
    special: Option<SpecialUse>,
) -> Result<MailboxId> {
    let there = exists(tx, account, name).await?;
    if there.is_some_and(|(_, kind)| kind == KIND_SELECTABLE) {
        return Err(Error::Exists(name.to_owned()));
    }
    let modseq = touch_names(tx, account).await?;
    let id = if let Some((id, _)) = there {
        // A name that only held others becomes a mailbox.
        let uidvalidity = fresh_uidvalidity(tx, 1).await?;
        let sql = "UPDATE mailbox SET kind = 0, uidvalidity = ?2, uidnext = 1, modseq = ?3 WHERE id = ?1";
        let query = sql::query(sql).bind(id.0).bind(uidvalidity).bind(modseq.cast_signed());
        query.execute(&mut tx.connection).await?;
        acl::inherit(tx, account, &[name.to_owned()]).await?;
        id
    } else {
        with_parents(tx, account, name).await?;
        exists(tx, account, name).await?.ok_or_else(|| Error::bug("a new mailbox is not there"))?.0
    };
    if special.is_some() {
        give_use(tx, account, id, special).await?;
    }
    Ok(id)
}

/// Makes `name` and what is missing above it.
async fn with_parents(tx: &mut Tx, account: AccountId, name: &str) -> Result<()> {
    let above: Vec<&str> = mailbox::parents(name).collect();
    let sql = "SELECT value FROM json_each(?2) t WHERE NOT EXISTS \
                   (SELECT 1 FROM mailbox WHERE account = ?1 AND name = t.value)";
    let list = json!(above).to_string();
    let mut missing: Vec<String> =
        sql::query_scalar(sql).bind(account.0).bind(list).fetch_all(&mut tx.connection).await?;
    missing.push(name.to_owned());
    let sql = "SELECT count(*) FROM mailbox WHERE account = ?1";
    let count: i64 = sql::query_scalar(sql).bind(account.0).fetch_one(&mut tx.connection).await?;
    if count.unsigned_abs() + missing.len() as u64 > MAILBOXES_MAX {
        return Err(Error::TooMany { what: "mailboxes", limit: MAILBOXES_MAX });
    }
    let rows: Vec<_> = missing.iter().map(|name| (name.as_str(), None)).collect();
    insert(tx, account, &rows).await?;
    acl::inherit(tx, account, &missing).await
}

/// Notes which UIDVALIDITY a name had, for a later mailbox of that name must have a greater one (RFC 9051 §2.3.1.1).
const REMEMBER: &str = "INSERT INTO former_name (account, name, uidvalidity) \
    SELECT m.account, m.name, m.uidvalidity FROM json_each(?1) t JOIN mailbox m ON m.id = t.value WHERE true \
    ON CONFLICT (account, name) DO UPDATE SET uidvalidity = max(uidvalidity, excluded.uidvalidity)";

async fn remember(tx: &mut Tx, ids: &[i64]) -> Result<()> {
    sql::query(REMEMBER).bind(json!(ids).to_string()).execute(&mut tx.connection).await?;
    Ok(())
}

async fn delete(tx: &mut Tx, account: AccountId, name: &str) -> Result<()> {
    if name == "INBOX" {
        return Err(Error::NotAllowed("INBOX cannot be deleted"));
    }
    let mailbox = by_name(&tx.connection, account, name)?;
    if mailbox.kind == MailboxKind::NoSelect && mailbox.has_children {
        return Err(Error::HasChildren(name.to_owned()));
    }
    touch_names(tx, account).await?;
    remember(tx, &[mailbox.id.0]).await?;
    annotation::forget(tx, mailbox.id).await?;
    acl::forget(tx, mailbox.id).await?;
    let sql = "UPDATE mailbox SET account = NULL, special_use = NULL WHERE id = ?1";
    sql::query(sql).bind(mailbox.id.0).execute(&mut tx.connection).await?;
    tx.effects.loose = true;
    if mailbox.has_children {
        insert(tx, account, &[(name, None)]).await?;
        let sql = "UPDATE mailbox SET kind = ?3 WHERE account = ?1 AND name = ?2";
        let query = sql::query(sql).bind(account.0).bind(name.to_owned()).bind(KIND_NO_SELECT);
        query.execute(&mut tx.connection).await?;
    }
    Ok(())
}

async fn rename(tx: &mut Tx, account: AccountId, from: &str, to: &str) -> Result<()> {
    let mailbox = by_name(&tx.connection, account, from)?;
    if exists(tx, account, to).await?.is_some() {
        return Err(Error::Exists(to.to_owned()));
    }
    if from == "INBOX" {
        let target = create(tx, account, to, None).await?;
        let way = (moving::Way::Move, Rights::ALL);
        moving::transfer(tx, mailbox.id, &UidSet::all(), target, way).await?;
        annotation::copy(tx, mailbox.id, target).await?;
        return Ok(());
    }
    if to.strip_prefix(from).is_some_and(|rest| rest.starts_with(mailbox::DELIMITER)) {
        return Err(Error::NotAllowed("a mailbox cannot be moved beneath itself"));
    }
    let renamed = renamed(tx, account, from, to).await?;
    touch_names(tx, account).await?;
    let parents: Vec<&str> = mailbox::parents(to).collect();
    if let Some(parent) = parents.last()
        && exists(tx, account, parent).await?.is_none()
    {
        with_parents(tx, account, parent).await?;
    }
    let ids: Vec<i64> = renamed.iter().map(|(id, _)| *id).collect();
    remember(tx, &ids).await?;
    move_names(tx, account, &renamed).await
}

/// The mailbox and all beneath it, with their names to be.
async fn renamed(tx: &mut Tx, account: AccountId, from: &str, to: &str) -> Result<Vec<(i64, String)>> {
    let sql = "SELECT id, name FROM mailbox WHERE account = ?1 \
               AND (name = ?2 OR (name > ?2 || '/' AND name < ?2 || '0'))";
    let rows = sql::query(sql).bind(account.0).bind(from.to_owned()).fetch_all(&mut tx.connection).await?;
    let mut renamed = Vec::with_capacity(rows.len());
    for row in rows {
        let name = row.text(1)?;
        let name = mailbox::check(&format!("{to}{}", &name[from.len()..]))?;
        if exists(tx, account, &name).await?.is_some() {
            return Err(Error::Exists(name));
        }
        renamed.push((row.try_get(0)?, name));
    }
    Ok(renamed)
}

/// Gives the new names. A name that had an equal or greater UIDVALIDITY before needs a fresh one. Subscriptions stay with the
/// names (RFC 9051 §6.3.6 says nothing of them), except that a subscribed mailbox stays subscribed.
async fn move_names(tx: &mut Tx, account: AccountId, renamed: &[(i64, String)]) -> Result<()> {
    let rows: Vec<Value> = renamed.iter().map(|(id, name)| json!([id, name])).collect();
    let list = json!(rows).to_string();
    let sql = "SELECT m.id FROM json_each(?2) t JOIN mailbox m ON m.id = t.value ->> 0 \
               JOIN former_name f ON f.account = ?1 AND f.name = t.value ->> 1 \
               WHERE f.uidvalidity >= m.uidvalidity";
    let stale: Vec<i64> =
        sql::query_scalar(sql).bind(account.0).bind(list.clone()).fetch_all(&mut tx.connection).await?;
    if !stale.is_empty() {
        let first = fresh_uidvalidity(tx, stale.len()).await?;
        let fresh: Vec<Value> = (first..).zip(&stale).map(|(value, id)| json!([id, value])).collect();
        let sql = "UPDATE mailbox SET uidvalidity = t.value ->> 1 FROM json_each(?1) t WHERE mailbox.id = t.value ->> 0";
        sql::query(sql).bind(json!(fresh).to_string()).execute(&mut tx.connection).await?;
    }
    const SQL: &str = "
        INSERT OR IGNORE INTO subscription (account, name)
            SELECT m.account, t.value ->> 1 FROM json_each(?1) t JOIN mailbox m ON m.id = t.value ->> 0
            JOIN subscription s ON s.account = m.account AND s.name = m.name;
        DELETE FROM subscription WHERE (account, name) IN
            (SELECT m.account, m.name FROM json_each(?1) t JOIN mailbox m ON m.id = t.value ->> 0);
        UPDATE mailbox SET name = t.value ->> 1 FROM json_each(?1) t WHERE mailbox.id = t.value ->> 0;";
    sql::query(SQL).bind(list).execute(&mut tx.connection).await?;
    Ok(())
}
