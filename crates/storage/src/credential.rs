//! Credentials: who may log in, and what is kept of the password.

use crate::directory::{check_name, one};
use crate::error::{Error, Result};
use crate::ids::Unix;
use crate::sending;
use crate::sql::{self, Row};
use crate::store::Store;
use crate::writer::Tx;
use std::fmt;
use tokio::sync::watch;

/// Octets of the salt that an account without one is given.
const SALT_LEN: usize = 16;
/// The secret from which such salts are made, and its length.
const SALT_SECRET: (&str, usize) = ("scram-salt", 32);

/// What SCRAM needs of a password (RFC 5802 §3). `Debug` is a mask.
#[derive(Clone, PartialEq, Eq)]
pub struct ScramVerifier {
    /// The account's own: [`Store::scram_salt`].
    pub salt: Vec<u8>,
    pub iterations: u32,
    /// StoredKey and ServerKey, one after the other.
    pub sha_1: Vec<u8>,
    pub sha_256: Vec<u8>,
}

impl fmt::Debug for ScramVerifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ScramVerifier(***)")
    }
}

/// What a password is kept as: an argon2id hash in PHC form, and perhaps what SCRAM needs. `Debug` is a mask.
#[derive(Clone, PartialEq, Eq)]
pub struct PasswordHash {
    phc: String,
    scram: Option<ScramVerifier>,
}

impl PasswordHash {
    pub fn new(phc: impl Into<String>) -> Self {
        Self { phc: phc.into(), scram: None }
    }

    /// With what was made of the same password for SCRAM.
    #[must_use]
    pub fn with_scram(self, scram: ScramVerifier) -> Self {
        Self { scram: Some(scram), ..self }
    }

    pub fn as_str(&self) -> &str {
        &self.phc
    }

    pub fn scram(&self) -> Option<&ScramVerifier> {
        self.scram.as_ref()
    }
}

impl fmt::Debug for PasswordHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PasswordHash(***)")
    }
}

/// A login.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Credential {
    pub name: String,
    pub password: PasswordHash,
    pub created: Unix,
    /// When the password was set.
    pub changed: Unix,
}

/// With what an account's secrets are salted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ScramSalt {
    pub salt: Vec<u8>,
    /// `None`: nothing was made with this salt yet.
    pub iterations: Option<u32>,
    /// With how many a client is asked: those of the account, or those of one of the others, so that a name without an
    /// account is not told by a number that no account has. `None`: no account has any.
    pub asked_with: Option<u32>,
}

/// A statement over credentials, with the columns in the order in which [`read_credential`] takes them.
macro_rules! credential_sql {
    ($tail:literal) => {
        concat!(
            "SELECT name, password, created, changed, scram_salt, scram_iterations, scram_sha_1, scram_sha_256 \
             FROM credential ",
            $tail
        )
    };
}

fn read_credential(row: &Row) -> Result<Credential> {
    let mut password = PasswordHash::new(row.try_get::<String>(1)?);
    let keys: (Option<Vec<u8>>, Option<Vec<u8>>) = (row.try_get(6)?, row.try_get(7)?);
    if let (Some(salt), Some(iterations), (Some(sha_1), Some(sha_256))) =
        (row.try_get(4)?, row.try_get::<Option<u32>>(5)?, keys)
    {
        password = password.with_scram(ScramVerifier { salt, iterations, sha_1, sha_256 });
    }
    Ok(Credential { name: row.try_get(0)?, password, created: row.try_get(2)?, changed: row.try_get(3)? })
}

impl Store {
    pub async fn credential(&self, name: &str) -> Result<Option<Credential>> {
        let sql = credential_sql!("WHERE name = ?1");
        let name = name.to_owned();
        let row = sql::query(sql).bind(name).fetch_optional(self.readers()).await?;
        row.as_ref().map(read_credential).transpose()
    }

    /// All credentials by name.
    pub async fn credentials(&self) -> Result<Vec<Credential>> {
        let sql = credential_sql!("ORDER BY name");
        sql::query(sql).fetch_all(self.readers()).await?.iter().map(read_credential).collect()
    }

    /// Whether there is a credential of which SCRAM has nothing to compare with.
    pub async fn lacks_scram(&self) -> Result<bool> {
        let sql = "SELECT EXISTS (SELECT 1 FROM credential WHERE scram_sha_256 IS NULL)";
        sql::query_scalar(sql).fetch_one(self.readers()).await
    }

    /// With what secrets of this name are salted: always the same, also for a name that nobody has.
    pub async fn scram_salt(&self, name: &str) -> Result<ScramSalt> {
        let sql = "SELECT scram_salt, scram_iterations FROM credential WHERE name = ?1";
        let row = sql::query(sql).bind(name.to_owned()).fetch_optional(self.readers()).await?;
        let digest = self.digest_of(name).await?;
        let (derived, place) = digest.as_bytes().split_at(SALT_LEN);
        let derived = derived.to_vec();
        // Asked for every name, so that none takes longer.
        let others = self.others_iterations(place).await?;
        let Some(row) = row else {
            return Ok(ScramSalt { salt: derived, iterations: None, asked_with: others });
        };
        let salt: Option<Vec<u8>> = row.try_get(0)?;
        let iterations: Option<u32> = row.try_get(1)?;
        Ok(ScramSalt { salt: salt.unwrap_or(derived), iterations, asked_with: iterations.or(others) })
    }

    /// The iterations of some account: always of the same for one secret, and each as often as accounts have it.
    async fn others_iterations(&self, secret: &[u8]) -> Result<Option<u32>> {
        let sql = "SELECT scram_iterations, count(*) FROM credential WHERE scram_iterations IS NOT NULL \
                   GROUP BY scram_iterations ORDER BY scram_iterations";
        let rows = sql::query(sql).fetch_all(self.readers()).await?;
        let counts: Vec<(u32, u64)> = rows
            .iter()
            .map(|row| Ok((row.try_get(0)?, row.try_get::<i64>(1)?.unsigned_abs())))
            .collect::<Result<_>>()?;
        let all: u64 = counts.iter().map(|(_, count)| count).sum();
        let mut octets = [0; 4];
        octets.iter_mut().zip(secret).for_each(|(to, from)| *to = *from);
        // A place in the row of all accounts that does not move when accounts come and go, but for its share.
        let mut place = (u64::from(u32::from_be_bytes(octets)) * all) >> 32;
        Ok(counts.into_iter().find_map(|(iterations, count)| {
            let is_here = place < count;
            place = place.saturating_sub(count);
            is_here.then_some(iterations)
        }))
    }

    /// A digest of a name that nobody else can make: the salt, and octets that no client sees.
    async fn digest_of(&self, name: &str) -> Result<blake3::Hash> {
        let (secret, octets) = SALT_SECRET;
        let mut key = [0; blake3::KEY_LEN];
        for (to, from) in key.iter_mut().zip(self.secret(secret, octets).await?) {
            *to = from;
        }
        Ok(blake3::keyed_hash(&key, name.as_bytes()))
    }

    pub async fn create_credential(&self, name: &str, password: &PasswordHash) -> Result<()> {
        let (name, password) = (name.to_owned(), password.clone());
        self.write(0, |tx| Box::pin(async move { create_credential(tx, &name, password).await })).await
    }

    /// Another password. Sessions that used the old one are to end: the bell of the name rings.
    pub async fn set_password(&self, name: &str, password: &PasswordHash) -> Result<()> {
        let (name, password) = (name.to_owned(), password.clone());
        self.write(0, |tx| {
            Box::pin(async move {
                let sql = "UPDATE credential SET password = ?2, changed = ?3, scram_sha_1 = NULL, scram_sha_256 = NULL \
                           WHERE name = ?1";
                let query = sql::query(sql).bind(name.clone()).bind(password.phc.clone()).bind(tx.now);
                let changed = query.execute(&mut tx.connection).await?.rows_affected();
                one(changed, Error::NoSuchCredential(name.clone()))?;
                keep_scram(tx, &name, &password).await
            })
        })
        .await
    }

    /// Keeps what was made of a password for SCRAM, if it is still the password and there is nothing yet.
    pub async fn add_scram(&self, name: &str, password: &PasswordHash) -> Result<()> {
        let (name, password) = (name.to_owned(), password.clone());
        self.write(0, |tx| Box::pin(async move { keep_scram(tx, &name, &password).await })).await
    }

    pub async fn remove_credential(&self, name: &str) -> Result<()> {
        let name = name.to_owned();
        self.write(0, |tx| {
            Box::pin(async move { one(remove_credential(tx, &name).await?, Error::NoSuchCredential(name)) })
        })
        .await
    }

    pub async fn rename_credential(&self, name: &str, to: &str) -> Result<()> {
        let (name, to) = (name.to_owned(), to.to_owned());
        self.write(0, |tx| {
            Box::pin(
                async move { one(rename_credential(tx, &name, &to).await?, Error::NoSuchCredential(name)) },
            )
        })
        .await
    }

    /// Rings after each commit that changed what somebody can log in with.
    pub fn watch_credentials(&self) -> watch::Receiver<u64> {
        self.wake().watch_credentials()
    }

    /// Rings after each commit that changed what this name can log in with. Take it before the first read.
    pub fn watch_credential(&self, name: &str) -> watch::Receiver<u64> {
        self.wake().watch_credential(name)
    }
}

pub(crate) async fn create_credential(tx: &mut Tx, name: &str, password: PasswordHash) -> Result<()> {
    check_name(name)?;
    let sql = "INSERT INTO credential (name, password, created, changed) VALUES (?1, ?2, ?3, ?3) \
               ON CONFLICT DO NOTHING";
    let query = sql::query(sql).bind(name.to_owned()).bind(password.phc.clone()).bind(tx.now);
    one(query.execute(&mut tx.connection).await?.rows_affected(), Error::Exists(name.to_owned()))?;
    keep_scram(tx, name, &password).await
}

/// What was made with another salt than the account's is of no use: one salt serves all its secrets.
async fn keep_scram(tx: &mut Tx, name: &str, password: &PasswordHash) -> Result<()> {
    tx.effects.ring_credential(name);
    let Some(scram) = password.scram.clone() else { return Ok(()) };
    let sql = "UPDATE credential SET scram_salt = ?3, scram_iterations = ?4, scram_sha_1 = ?5, scram_sha_256 = ?6 \
               WHERE name = ?1 AND password = ?2 AND scram_sha_256 IS NULL \
               AND coalesce(scram_salt, ?3) = ?3 AND coalesce(scram_iterations, ?4) = ?4";
    let query = sql::query(sql).bind(name.to_owned()).bind(password.phc.clone());
    let query = query.bind(scram.salt).bind(scram.iterations).bind(scram.sha_1).bind(scram.sha_256);
    query.execute(&mut tx.connection).await?;
    Ok(())
}

pub(crate) async fn remove_credential(tx: &mut Tx, name: &str) -> Result<u64> {
    tx.effects.ring_credential(name);
    sending::forget(tx, name).await?;
    let query = sql::query("DELETE FROM credential WHERE name = ?1").bind(name.to_owned());
    Ok(query.execute(&mut tx.connection).await?.rows_affected())
}

pub(crate) async fn rename_credential(tx: &mut Tx, name: &str, to: &str) -> Result<u64> {
    check_name(to)?;
    let sql = "SELECT EXISTS (SELECT 1 FROM credential WHERE name = ?1)";
    if name != to && sql::query_scalar(sql).bind(to.to_owned()).fetch_one(&mut tx.connection).await? {
        return Err(Error::Exists(to.to_owned()));
    }
    tx.effects.ring_credential(name);
    if name != to {
        sending::rename(tx, name, to).await?;
    }
    let sql = "UPDATE credential SET name = ?2 WHERE name = ?1";
    let query = sql::query(sql).bind(name.to_owned()).bind(to.to_owned());
    Ok(query.execute(&mut tx.connection).await?.rows_affected())
}
