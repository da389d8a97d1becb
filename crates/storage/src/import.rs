//! Messages that are brought in from elsewhere: many in one transaction, each once. What was brought in is written down
//! in that same transaction, so that whoever is broken off begins anew and nothing is lost or there twice.

use crate::error::{Error, Result};
use crate::ids::{AccountId, MailboxId, Uid};
use crate::mailboxes;
use crate::message::NewMessage;
use crate::package::{self, Accepted, Package};
use crate::quota::Space;
use crate::sql;
use crate::store::Store;
use crate::writer::Tx;
use serde_json::json;
use std::collections::HashSet;
use std::fmt;
use std::str::FromStr;

/// Most messages of one call of [`Store::import`], and keys of one call of [`Store::imported`].
pub const IMPORTS_MAX: usize = 1000;

/// What tells a message of a source from all others.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct ImportKey([u8; 32]);

impl ImportKey {
    /// Of what makes it different, in order.
    pub fn of(parts: &[&[u8]]) -> Self {
        let mut hasher = blake3::Hasher::new();
        for part in parts {
            hasher.update(&(part.len() as u64).to_be_bytes());
            hasher.update(part);
        }
        Self(*hasher.finalize().as_bytes())
    }
}

/// 64 digits of base 16.
impl fmt::Display for ImportKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        blake3::Hash::from_bytes(self.0).to_hex().fmt(f)
    }
}

impl fmt::Debug for ImportKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for ImportKey {
    type Err = ();

    fn from_str(text: &str) -> std::result::Result<Self, ()> {
        blake3::Hash::from_hex(text).map(|hash| Self(*hash.as_bytes())).map_err(|_| ())
    }
}

/// A message to bring in.
#[derive(Clone, Debug)]
pub struct Import {
    pub key: ImportKey,
    pub message: NewMessage,
}

/// What became of a message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Imported {
    New(Uid),
    /// It is there, but without its keywords: the mailbox has as many as it can, or one cannot be a keyword.
    WithoutKeywords(Uid),
    /// It was brought in before.
    Before,
    Refused(Error),
}

impl Store {
    /// Brings messages into a mailbox. Each is refused or stored by itself, all in one commit with the note that they
    /// were brought in. At most [`IMPORTS_MAX`].
    pub async fn import(&self, to: MailboxId, imports: Vec<Import>, space: Space) -> Result<Vec<Imported>> {
        if imports.len() > IMPORTS_MAX {
            return Err(Error::TooMany { what: "messages in one import", limit: IMPORTS_MAX as u64 });
        }
        let (keys, messages): (Vec<_>, Vec<_>) =
            imports.into_iter().map(|import| (import.key, import.message)).unzip();
        let (mut packages, room) = self.pack_appended(to, messages).await?;
        for filing in packages.iter_mut().flat_map(|package| &mut package.filings) {
            filing.space = space;
        }
        let octets = packages.iter().map(Package::octets).sum();
        self.write_in(room, octets, move |tx| {
            Box::pin(async move {
                let account = mailboxes::by_id(&tx.connection, to)?.account;
                import(tx, account, &keys, packages).await
            })
        })
        .await
    }

    /// Which of these were brought in before. At most [`IMPORTS_MAX`].
    pub async fn imported(&self, account: AccountId, keys: &[ImportKey]) -> Result<Vec<bool>> {
        let known: Vec<String> =
            sql::query_scalar(KNOWN).bind(account.0).bind(list(keys)).fetch_all(self.readers()).await?;
        let known: HashSet<ImportKey> = known.iter().filter_map(|text| text.parse().ok()).collect();
        Ok(keys.iter().map(|key| known.contains(key)).collect())
    }

    /// Forgets what was brought in, so that it can be brought in again. Returns how many messages that were.
    pub async fn forget_imported(&self, account: AccountId) -> Result<u64> {
        self.write(0, move |tx| {
            Box::pin(async move {
                let sql = "DELETE FROM imported WHERE account = ?1";
                Ok(sql::query(sql).bind(account.0).execute(&mut tx.connection).await?.rows_affected())
            })
        })
        .await
    }
}

const KNOWN: &str = "SELECT lower(hex(key)) FROM imported \
    WHERE account = ?1 AND key IN (SELECT unhex(value) FROM json_each(?2))";

fn list(keys: &[ImportKey]) -> String {
    json!(keys.iter().map(ToString::to_string).collect::<Vec<_>>()).to_string()
}

async fn import(
    tx: &mut Tx,
    account: AccountId,
    keys: &[ImportKey],
    mut packages: Vec<Package>,
) -> Result<Vec<Imported>> {
    let query = sql::query_scalar(KNOWN).bind(account.0).bind(list(keys));
    let known: Vec<String> = query.fetch_all(&mut tx.connection).await?;
    let mut known: HashSet<ImportKey> = known.iter().filter_map(|text| text.parse().ok()).collect();
    let new: Vec<usize> =
        keys.iter().enumerate().filter(|(_, key)| known.insert(**key)).map(|(at, _)| at).collect();
    let mut outcomes = vec![Imported::Before; keys.len()];
    let first = store(tx, &packages, &new).await?;
    let mut again = Vec::new();
    for (at, outcome) in new.iter().copied().zip(first) {
        match outcome {
            Ok(uid) => outcomes[at] = Imported::New(uid),
            Err(Error::BadName(..) | Error::TooMany { .. }) if take_keywords(&mut packages[at]) => {
                again.push(at)
            }
            Err(refusal) => outcomes[at] = Imported::Refused(refusal),
        }
    }
    let second = store(tx, &packages, &again).await?;
    for (at, outcome) in again.into_iter().zip(second) {
        outcomes[at] = outcome.map_or_else(Imported::Refused, Imported::WithoutKeywords);
    }
    let stored = |at: &usize| matches!(outcomes[*at], Imported::New(_) | Imported::WithoutKeywords(_));
    let done: Vec<ImportKey> = new.iter().filter(|at| stored(at)).map(|at| keys[*at]).collect();
    let sql = "INSERT INTO imported (account, key) SELECT ?1, unhex(value) FROM json_each(?2)";
    sql::query(sql).bind(account.0).bind(list(&done)).execute(&mut tx.connection).await?;
    Ok(outcomes)
}

/// Takes the keywords off; `false`: it had none.
fn take_keywords(package: &mut Package) -> bool {
    package.filings.iter_mut().any(|filing| !std::mem::take(&mut filing.keywords).is_empty())
}

/// Stores each of the packages by itself, with one set of statements.
async fn store(tx: &mut Tx, packages: &[Package], which: &[usize]) -> Result<Vec<Result<Uid>>> {
    if which.is_empty() {
        return Ok(Vec::new());
    }
    let groups: Vec<&[Package]> = which.iter().map(|at| &packages[*at..=*at]).collect();
    let outcomes = package::store(tx, &groups).await?;
    let uid = |accepted: Vec<Accepted>| {
        let filed = accepted.into_iter().flat_map(|accepted| accepted.filed).next();
        filed.map(|filed| filed.uid).ok_or_else(|| Error::bug("an import without a message"))
    };
    Ok(outcomes.into_iter().map(|outcome| outcome.and_then(uid)).collect())
}
