//! Who is here: IMAP accounts to keep mail in, and together with them credentials to log in with. Two things, as an account
//! may be reached by other means, and a login may be for sending only. Names are `Address::key()`.

use crate::acl;
use crate::credential::{PasswordHash, create_credential, remove_credential, rename_credential};
use crate::error::{Error, Result};
use crate::ids::{AccountId, ModSeq, Unix};
use crate::mailbox::FIRST_MAILBOXES;
use crate::mailboxes;
use crate::quota::Limits;
use crate::sql::{self, Row};
use crate::store::Store;
use crate::writer::Tx;
use std::collections::HashSet;

/// Longest name of an account or a credential in octets.
const NAME_MAX: usize = 400;

/// An IMAP account.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Account {
    pub id: AccountId,
    pub name: String,
    pub created: Unix,
    /// Largest message that APPEND takes, in octets; `None`: no limit of its own.
    pub append_limit: Option<u64>,
    pub modseq: ModSeq,
    pub mailboxes: u64,
    pub messages: u64,
    pub octets: u64,
}

/// A statement over accounts `a`, with the columns in the order in which [`read_account`] takes them.
macro_rules! account_sql {
    ($tail:literal) => {
        concat!(
            "SELECT a.id, a.name, a.created, a.append_limit, a.modseq, count(m.id), \
             coalesce(sum(m.messages), 0), coalesce(sum(m.size), 0) \
             FROM account a LEFT JOIN mailbox m ON m.account = a.id ",
            $tail
        )
    };
}

fn read_account(row: &Row) -> Result<Account> {
    let number = |at: usize| row.try_get::<i64>(at).map(i64::unsigned_abs);
    Ok(Account {
        id: AccountId(row.try_get(0)?),
        name: row.try_get(1)?,
        created: row.try_get(2)?,
        append_limit: row.try_get::<Option<i64>>(3)?.map(i64::unsigned_abs),
        modseq: number(4)?,
        mailboxes: number(5)?,
        messages: number(6)?,
        octets: number(7)?,
    })
}

pub(crate) fn check_name(name: &str) -> Result<()> {
    let bad = |why| Err(Error::BadName(name.to_owned(), why));
    match name {
        "" => bad("it is empty"),
        _ if name.len() > NAME_MAX => bad("it is longer than 400 octets"),
        _ if name.chars().any(char::is_control) => bad("it has a control character"),
        _ => Ok(()),
    }
}

/// One row changed, or this refusal.
pub(crate) fn one(changed: u64, refusal: Error) -> Result<()> {
    if changed == 0 { Err(refusal) } else { Ok(()) }
}

impl Store {
    pub async fn account(&self, name: &str) -> Result<Option<Account>> {
        let sql = account_sql!("WHERE a.name = ?1 GROUP BY a.id");
        let name = name.to_owned();
        let row = sql::query(sql).bind(name).fetch_optional(self.readers()).await?;
        row.as_ref().map(read_account).transpose()
    }

    /// All accounts by name.
    pub async fn accounts(&self) -> Result<Vec<Account>> {
        let sql = account_sql!("GROUP BY a.id ORDER BY a.name");
        sql::query(sql).fetch_all(self.readers()).await?.iter().map(read_account).collect()
    }

    /// Those of `names` that are accounts, by one statement.
    pub async fn existing_accounts(&self, names: &[String]) -> Result<HashSet<String>> {
        if let Some(all) = self.known().all_of(names) {
            return Ok(all);
        }
        let generation = self.known().generation();
        let list = serde_json::json!(names).to_string();
        let sql = "SELECT name, quota_octets, quota_messages FROM account \
                   WHERE name IN (SELECT value FROM json_each(?1))";
        let rows = sql::query(sql).bind(list).fetch_all(self.readers()).await?;
        let read = |row: &Row| Ok((row.try_get::<String>(0)?, Limits::read(row, 1)?));
        let found: Vec<(String, Limits)> = rows.iter().map(read).collect::<Result<_>>()?;
        let names = found.iter().map(|(name, _)| name.clone()).collect();
        self.known().keep(generation, found);
        Ok(names)
    }

    /// The oldest account.
    pub async fn first_account(&self) -> Result<Option<String>> {
        if let Some(first) = self.known().first() {
            return Ok(Some(first));
        }
        let generation = self.known().generation();
        let sql = "SELECT name FROM account ORDER BY id LIMIT 1";
        let first: Option<String> = sql::query_scalar(sql).fetch_optional(self.readers()).await?;
        if let Some(first) = &first {
            self.known().keep_first(generation, first);
        }
        Ok(first)
    }

    /// Makes an account with INBOX, Drafts, Sent, Archive, Junk and Trash, all subscribed.
    pub async fn create_account(&self, name: &str) -> Result<AccountId> {
        let name = name.to_owned();
        self.write(0, |tx| Box::pin(async move { create_account(tx, &name).await })).await
    }

    /// Takes away the account with all its mail.
    pub async fn remove_account(&self, name: &str) -> Result<()> {
        let name = name.to_owned();
        self.write(0, |tx| {
            Box::pin(
                async move { one(u64::from(remove_account(tx, &name).await?), Error::NoSuchAccount(name)) },
            )
        })
        .await
    }

    pub async fn rename_account(&self, name: &str, to: &str) -> Result<()> {
        let (name, to) = (name.to_owned(), to.to_owned());
        self.write(0, |tx| {
            Box::pin(async move { one(rename_account(tx, &name, &to).await?, Error::NoSuchAccount(name)) })
        })
        .await
    }

    /// Sets the largest message in octets that APPEND takes; `None`: no limit of its own.
    pub async fn set_append_limit(&self, name: &str, limit: Option<u64>) -> Result<()> {
        let name = name.to_owned();
        let limit = limit.map(|limit| i64::try_from(limit).unwrap_or(i64::MAX));
        self.write(0, move |tx| {
            Box::pin(async move {
                let sql = "UPDATE account SET append_limit = ?2 WHERE name = ?1";
                let query = sql::query(sql).bind(name.clone()).bind(limit);
                one(query.execute(&mut tx.connection).await?.rows_affected(), Error::NoSuchAccount(name))
            })
        })
        .await
    }

    /// Login and account in one go.
    pub async fn create_user(&self, name: &str, password: &PasswordHash) -> Result<AccountId> {
        let (name, password) = (name.to_owned(), password.clone());
        self.write(0, |tx| {
            Box::pin(async move {
                create_credential(tx, &name, password).await?;
                create_account(tx, &name).await
            })
        })
        .await
    }

    /// Takes away what there is of login and account. [`Error::NoSuchAccount`] if there is neither.
    pub async fn remove_user(&self, name: &str) -> Result<()> {
        let name = name.to_owned();
        self.write(0, |tx| {
            Box::pin(async move {
                let removed =
                    u64::from(remove_account(tx, &name).await?) + remove_credential(tx, &name).await?;
                one(removed, Error::NoSuchAccount(name))
            })
        })
        .await
    }

    /// Renames what there is of login and account. [`Error::NoSuchAccount`] if there is neither.
    pub async fn rename_user(&self, name: &str, to: &str) -> Result<()> {
        let (name, to) = (name.to_owned(), to.to_owned());
        self.write(0, |tx| {
            Box::pin(async move {
                let renamed =
                    rename_account(tx, &name, &to).await? + rename_credential(tx, &name, &to).await?;
                one(renamed, Error::NoSuchAccount(name))
            })
        })
        .await
    }

    /// A named secret of the server, such as a signing key: `octets` random octets, made at first use.
    pub async fn secret(&self, name: &str, octets: usize) -> Result<Vec<u8>> {
        let sql = "SELECT octets FROM secret WHERE name = ?1";
        let found = sql::query_scalar(sql).bind(name.to_owned()).fetch_optional(self.readers()).await?;
        if let Some(found) = found {
            return Ok(found);
        }
        let mut fresh = vec![0; octets];
        self.world().random.fill(&mut fresh);
        let name = name.to_owned();
        self.write(0, move |tx| {
            Box::pin(async move {
                let sql = "INSERT INTO secret (name, octets) VALUES (?1, ?2) ON CONFLICT DO NOTHING";
                sql::query(sql).bind(name.clone()).bind(fresh).execute(&mut tx.connection).await?;
                // Two may have asked at once: the first has made it.
                let sql = "SELECT octets FROM secret WHERE name = ?1";
                sql::query_scalar(sql).bind(name).fetch_one(&mut tx.connection).await
            })
        })
        .await
    }
}

async fn create_account(tx: &mut Tx, name: &str) -> Result<AccountId> {
    check_name(name)?;
    let sql =
        "INSERT INTO account (name, created, modseq) VALUES (?1, ?2, 1) ON CONFLICT DO NOTHING RETURNING id";
    let query = sql::query_scalar(sql).bind(name.to_owned()).bind(tx.now);
    let Some(id) = query.fetch_optional(&mut tx.connection).await? else {
        return Err(Error::Exists(name.to_owned()));
    };
    let account = AccountId(id);
    tx.effects.accounts = true;
    let first: Vec<_> = FIRST_MAILBOXES.iter().map(|(name, special)| (*name, *special)).collect();
    mailboxes::insert(tx, account, &first).await?;
    let sql = "INSERT INTO subscription (account, name) SELECT account, name FROM mailbox WHERE account = ?1";
    sql::query(sql).bind(id).execute(&mut tx.connection).await?;
    Ok(account)
}

/// Whether there was one. Its mailboxes become nobody's, and their mail is taken away bit by bit.
async fn remove_account(tx: &mut Tx, name: &str) -> Result<bool> {
    let sql = "SELECT id, modseq FROM account WHERE name = ?1";
    let query = sql::query_as(sql).bind(name.to_owned());
    let Some((id, modseq)) = query.fetch_optional(&mut tx.connection).await? else { return Ok(false) };
    let (id, modseq): (i64, i64) = (id, modseq);
    acl::forget_account(tx, AccountId(id)).await?;
    let sql = "DELETE FROM annotation WHERE mailbox IN (SELECT id FROM mailbox WHERE account = ?1); \
               UPDATE mailbox SET account = NULL WHERE account = ?1; DELETE FROM account WHERE id = ?1";
    sql::query(sql).bind(id).execute(&mut tx.connection).await?;
    tx.effects.loose = true;
    tx.effects.accounts = true;
    // Sessions of the account look, and find that it is gone.
    tx.effects.ring(AccountId(id), modseq.unsigned_abs() + 1);
    Ok(true)
}

async fn rename_account(tx: &mut Tx, name: &str, to: &str) -> Result<u64> {
    check_name(to)?;
    let sql = "SELECT EXISTS (SELECT 1 FROM account WHERE name = ?1)";
    if name != to && sql::query_scalar(sql).bind(to.to_owned()).fetch_one(&mut tx.connection).await? {
        return Err(Error::Exists(to.to_owned()));
    }
    tx.effects.accounts = true;
    // Of another domain, it has and gives other rights where anyone has some.
    tx.effects.rings.rights = true;
    let sql = "UPDATE account SET name = ?2 WHERE name = ?1";
    let query = sql::query(sql).bind(name.to_owned()).bind(to.to_owned());
    Ok(query.execute(&mut tx.connection).await?.rows_affected())
}
