//! Who may do what with whose mailboxes (RFC 4314). Entries name accounts or anyone; the rights that hold are reckoned here.

use crate::error::{Error, Result};
use crate::ids::{AccountId, MailboxId};
use crate::mailbox::{self, Mailbox, mailbox_columns};
use crate::mailboxes;
use crate::rights::{Rights, Sign, effective};
use crate::sql::{self, Row};
use crate::store::Store;
use crate::writer::Tx;
use tokio::sync::watch;

/// Most entries of one mailbox.
pub const GRANTS_MAX: u64 = 1_000;
/// Most mailboxes of others that one account is shown.
pub const SHARED_MAX: u64 = 10_000;
/// Stands for anyone in the table.
const ANYONE: i64 = 0;

/// Whom an entry concerns.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Grantee {
    /// Every account of the owner's domain. What is taken away is taken from accounts of other domains as well.
    Anyone,
    /// An account by its name.
    Account(String),
}

/// One entry of a mailbox's list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Grant {
    pub to: Grantee,
    pub sign: Sign,
    pub rights: Rights,
}

/// What becomes of an entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GrantChange {
    Set(Rights),
    Add(Rights),
    Remove(Rights),
    /// The entry goes; that is not the same as one without rights where the owner is concerned.
    Drop,
}

/// A mailbox as somebody reaches it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reached {
    /// Named as its owner names it.
    pub mailbox: Mailbox,
    /// Name of the account whose it is.
    pub owner: String,
    /// What the reader may do.
    pub rights: Rights,
}

/// The domain of an account's name; empty for a name without one. Like [`domain_of`].
macro_rules! domain {
    ($name:literal) => {
        concat!(
            "coalesce(substr(",
            $name,
            ", nullif(length(rtrim(",
            $name,
            ", replace(",
            $name,
            ", '@', ''))), 0) + 1), '')"
        )
    };
}

/// What the entry of reader `?1` grants in a mailbox `m`.
macro_rules! granted {
    () => {
        "(SELECT g.rights FROM acl g WHERE g.mailbox = m.id AND g.grantee = ?1 AND g.negative = 0)"
    };
}

/// What that of anyone grants, which means the accounts of the owner's domain.
macro_rules! granted_to_anyone {
    () => {
        concat!(
            "(SELECT g.rights FROM acl g, account r, account w WHERE g.mailbox = m.id AND g.grantee = 0 AND g.negative = 0 \
             AND r.id = ?1 AND w.id = m.account AND ",
            domain!("r.name"),
            " = ",
            domain!("w.name"),
            ")"
        )
    };
}

/// What both take away.
macro_rules! taken {
    () => {
        "(coalesce((SELECT g.rights FROM acl g WHERE g.mailbox = m.id AND g.grantee = ?1 AND g.negative = 1), 0) \
         | coalesce((SELECT g.rights FROM acl g WHERE g.mailbox = m.id AND g.grantee = 0 AND g.negative = 1), 0))"
    };
}

/// The four columns that decide for reader `?1` about a mailbox `m`: whether it is the reader's, what the reader's own entry
/// grants, what that of anyone, and what both take away.
macro_rules! rights_columns {
    () => {
        concat!("m.account = ?1, ", granted!(), ", ", granted_to_anyone!(), ", ", taken!())
    };
}

/// The domain of an account's name, within which mailboxes are shared with anyone; empty for a name without one.
pub fn domain_of(account: &str) -> &str {
    account.rsplit_once('@').map_or("", |(_, domain)| domain)
}

/// A statement over mailboxes `m` and their owners `o`, as [`read`] takes it; `?1` is the reader.
macro_rules! reached_sql {
    ($tail:literal) => {
        concat!(
            "SELECT ",
            mailbox_columns!(),
            ", o.name, ",
            rights_columns!(),
            " FROM mailbox m JOIN account o ON o.id = m.account ",
            $tail
        )
    };
}

fn read(row: &Row) -> Result<Reached> {
    Ok(Reached { mailbox: mailbox::read(row)?, owner: row.try_get(14)?, rights: read_rights(row, 15)? })
}

fn read_rights(row: &Row, at: usize) -> Result<Rights> {
    let rights = |bits: Option<i64>| bits.map(Rights::from_bits);
    let (own, anyone) = (rights(row.try_get(at + 1)?), rights(row.try_get(at + 2)?));
    let negative = Rights::from_bits(row.try_get(at + 3)?);
    Ok(effective(row.try_get(at)?, own, anyone, negative))
}

impl Store {
    /// Another number than before: somebody's rights may have changed since.
    pub fn rights_version(&self) -> u64 {
        self.wake().rights_version()
    }

    /// The bell of rights: rings after each commit that may have changed some, anywhere.
    pub fn watch_rights(&self) -> watch::Receiver<u64> {
        self.wake().watch_rights()
    }

    /// A mailbox of the reader's own (`owner` is `None`), or of another account, with what the reader may do. The rights
    /// may be none at all: then the caller treats it as if it were not there (RFC 4314 §6).
    pub async fn reach(&self, reader: AccountId, owner: Option<&str>, name: &str) -> Result<Reached> {
        const OWN: &str = reached_sql!("WHERE m.account = ?1 AND m.name = ?2");
        const OTHER: &str = reached_sql!("WHERE o.name = ?3 AND m.name = ?2 AND m.account <> ?1");
        let (name, owner) = (mailbox::fold(name), owner.map(str::to_owned));
        let query = sql::query(if owner.is_some() { OTHER } else { OWN });
        let query = query.bind(reader.0).bind(name.as_str()).bind(owner);
        let row = query.fetch_optional(self.readers()).await?;
        read(&row.ok_or(Error::NoSuchMailbox(name))?)
    }

    /// The same by its number.
    pub async fn reach_id(&self, reader: AccountId, mailbox: MailboxId) -> Result<Reached> {
        let sql = reached_sql!("WHERE m.id = ?2");
        let row = sql::query(sql).bind(reader.0).bind(mailbox.0).fetch_optional(self.readers()).await?;
        read(&row.ok_or_else(|| Error::NoSuchMailbox(mailbox.to_string()))?)
    }

    /// The nearest mailbox above `name`, of the reader's own or of another account: what decides whether `name` may be made
    /// (RFC 4314 §4). `None`: there is none above it.
    pub async fn reach_above(
        &self,
        reader: AccountId,
        owner: Option<&str>,
        name: &str,
    ) -> Result<Option<Reached>> {
        let name = mailbox::fold(name);
        let above: Vec<&str> = mailbox::parents(&name).collect();
        let above = serde_json::json!(above).to_string();
        let row = match owner {
            None => {
                let sql = reached_sql!(
                    "WHERE m.account = ?1 AND m.name IN (SELECT value FROM json_each(?2)) \
                     ORDER BY length(m.name) DESC LIMIT 1"
                );
                sql::query(sql).bind(reader.0).bind(above).fetch_optional(self.readers()).await?
            }
            Some(owner) => {
                let sql = reached_sql!(
                    "WHERE o.name = ?3 AND m.account <> ?1 AND m.name IN (SELECT value FROM json_each(?2)) \
                     ORDER BY length(m.name) DESC LIMIT 1"
                );
                let query = sql::query(sql).bind(reader.0).bind(above).bind(owner.to_owned());
                query.fetch_optional(self.readers()).await?
            }
        };
        row.as_ref().map(read).transpose()
    }

    /// Mailboxes of others that the reader may see, by their owner's name and their own: at most [`SHARED_MAX`]. What
    /// they are for is their owner's affair and is not told.
    pub async fn shared_with(&self, reader: AccountId) -> Result<Vec<Reached>> {
        // The rights are asked before the list is cut: what may not be seen takes no place in it.
        let sql = concat!(
            reached_sql!(
                "WHERE m.id IN (SELECT mailbox FROM acl WHERE grantee IN (0, ?1) AND negative = 0) AND m.account <> ?1 AND "
            ),
            "((coalesce(",
            granted!(),
            ", 0) | coalesce(",
            granted_to_anyone!(),
            ", 0)) & ~",
            taken!(),
            " & ?3) = ?3 ORDER BY o.name, m.name LIMIT ?2 + 0"
        );
        let query = sql::query(sql).bind(reader.0).bind(SHARED_MAX.cast_signed());
        let rows = query.bind(Rights::LOOKUP.bits()).fetch_all(self.readers()).await?;
        let mut shared = rows.iter().map(read).collect::<Result<Vec<_>>>()?;
        shared.iter_mut().for_each(|one| one.mailbox.special_use = None);
        Ok(shared)
    }

    /// What an owner may do with those of the own mailboxes that have a list; with all others everything.
    pub async fn own_rights(&self, owner: AccountId) -> Result<Vec<(MailboxId, Rights)>> {
        const SQL: &str = concat!(
            "SELECT m.id, ",
            rights_columns!(),
            " FROM mailbox m WHERE m.account = ?1 AND EXISTS (SELECT 1 FROM acl WHERE mailbox = m.id)"
        );
        let rows = sql::query(SQL).bind(owner.0).fetch_all(self.readers()).await?;
        rows.iter().map(|row| Ok((MailboxId(row.try_get(0)?), read_rights(row, 1)?))).collect()
    }

    /// The list of a mailbox as it was set; an owner who is not in it has all rights.
    pub async fn grants(&self, mailbox: MailboxId) -> Result<Vec<Grant>> {
        let sql = "SELECT a.name, g.negative, g.rights FROM acl g LEFT JOIN account a ON a.id = g.grantee \
                   WHERE g.mailbox = ?1 AND (a.id IS NOT NULL OR g.grantee = 0) ORDER BY g.negative, a.name";
        let rows: Vec<(Option<String>, bool, i64)> =
            sql::query_as(sql).bind(mailbox.0).fetch_all(self.readers()).await?;
        let grant = |(name, negative, rights): (Option<String>, bool, i64)| Grant {
            to: name.map_or(Grantee::Anyone, Grantee::Account),
            sign: if negative { Sign::Negative } else { Sign::Positive },
            rights: Rights::from_bits(rights),
        };
        Ok(rows.into_iter().map(grant).collect())
    }

    /// Changes one entry. It holds for every command that begins after this returns. The owner of the mailbox keeps
    /// [`Rights::OWNER`], whatever is set.
    pub async fn grant(
        &self,
        mailbox: MailboxId,
        to: Grantee,
        sign: Sign,
        change: GrantChange,
    ) -> Result<()> {
        self.write(0, move |tx| Box::pin(async move { grant(tx, mailbox, &to, sign, change).await })).await
    }
}

async fn find(tx: &mut Tx, to: &Grantee) -> Result<i64> {
    let Grantee::Account(name) = to else { return Ok(ANYONE) };
    let sql = "SELECT id FROM account WHERE name = ?1";
    let found: Option<i64> =
        sql::query_scalar(sql).bind(name.clone()).fetch_optional(&mut tx.connection).await?;
    found.ok_or_else(|| Error::NoSuchAccount(name.clone()))
}

async fn grant(tx: &mut Tx, mailbox: MailboxId, to: &Grantee, sign: Sign, change: GrantChange) -> Result<()> {
    let owner = mailboxes::by_id(&tx.connection, mailbox)?.account;
    let grantee = find(tx, to).await?;
    let sql = "SELECT (SELECT rights FROM acl WHERE mailbox = ?1 AND grantee = ?2 AND negative = ?3), \
                   (SELECT count(*) FROM acl WHERE mailbox = ?1)";
    let query = sql::query_as(sql).bind(mailbox.0).bind(grantee).bind(sign == Sign::Negative);
    let (had, count): (Option<i64>, i64) = query.fetch_one(&mut tx.connection).await?;
    // An owner without an entry has all rights, of which some are taken.
    let is_whole = grantee == owner.0 && sign == Sign::Positive;
    let before = had.map_or(if is_whole { Rights::ALL } else { Rights::NONE }, Rights::from_bits);
    let after = match change {
        GrantChange::Set(rights) => Some(rights),
        GrantChange::Add(rights) => Some(before | rights),
        GrantChange::Remove(rights) => Some(before - rights),
        GrantChange::Drop => None,
    };
    // Where nothing is granted there need be no entry, but for the owner.
    let after = after.filter(|rights| is_whole || !rights.is_empty());
    if had.is_none() && after.is_some() && count.unsigned_abs() >= GRANTS_MAX {
        return Err(Error::TooMany { what: "entries in a list of rights", limit: GRANTS_MAX });
    }
    let sql = match after {
        Some(_) => {
            "INSERT INTO acl (mailbox, grantee, negative, rights) VALUES (?1, ?2, ?3, ?4) \
             ON CONFLICT DO UPDATE SET rights = excluded.rights"
        }
        None => "DELETE FROM acl WHERE mailbox = ?1 AND grantee = ?2 AND negative = ?3",
    };
    sql::query(sql)
        .bind(mailbox.0)
        .bind(grantee)
        .bind(sign == Sign::Negative)
        .bind(after.unwrap_or_default().bits())
        .execute(&mut tx.connection)
        .await?;
    mailboxes::touch(tx, owner).await?;
    if grantee != ANYONE && grantee != owner.0 {
        mailboxes::touch(tx, AccountId(grantee)).await?;
    }
    tx.effects.rings.rights = true;
    Ok(())
}

/// New mailboxes have the list of the one above them (RFC 4314 §4). `names` begins with the topmost.
pub(crate) async fn inherit(tx: &mut Tx, account: AccountId, names: &[String]) -> Result<()> {
    let Some(first) = names.first() else { return Ok(()) };
    let Some((parent, _)) = first.rsplit_once(mailbox::DELIMITER) else { return Ok(()) };
    let sql = "INSERT OR IGNORE INTO acl (mailbox, grantee, negative, rights) \
               SELECT n.id, g.grantee, g.negative, g.rights FROM json_each(?3) t \
               JOIN mailbox n ON n.account = ?1 AND n.name = t.value \
               JOIN mailbox p ON p.account = ?1 AND p.name = ?2 JOIN acl g ON g.mailbox = p.id";
    let query = sql::query(sql).bind(account.0).bind(parent.to_owned());
    let done = query.bind(serde_json::json!(names).to_string()).execute(&mut tx.connection).await?;
    tx.effects.rings.rights |= done.rows_affected() > 0;
    Ok(())
}

/// A mailbox that is deleted takes its list with it (RFC 4314 §4).
pub(crate) async fn forget(tx: &mut Tx, mailbox: MailboxId) -> Result<()> {
    let done = sql::query("DELETE FROM acl WHERE mailbox = ?1").bind(mailbox.0);
    tx.effects.rings.rights |= done.execute(&mut tx.connection).await?.rows_affected() > 0;
    Ok(())
}

/// An account that is removed takes its lists with it, and its entries in those of others.
pub(crate) async fn forget_account(tx: &mut Tx, account: AccountId) -> Result<()> {
    let sql = "DELETE FROM acl WHERE grantee = ?1 OR mailbox IN (SELECT id FROM mailbox WHERE account = ?1)";
    sql::query(sql).bind(account.0).execute(&mut tx.connection).await?;
    tx.effects.rings.rights = true;
    Ok(())
}
