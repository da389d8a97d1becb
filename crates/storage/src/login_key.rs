//! What somebody can log in with besides the password of a credential: app passwords and client certificates.

use crate::credential::ScramVerifier;
use crate::directory::{check_name, one};
use crate::error::{Error, Result};
use crate::ids::Unix;
use crate::sql::{self, Row};
use crate::store::Store;
use crate::writer::Tx;
use std::fmt;

/// Most app passwords of one credential. `auth` compares a proof with as many, and one more.
pub const APP_PASSWORDS_MAX: u64 = 32;
/// Most client certificates of one credential.
pub const CERTIFICATES_MAX: u64 = 32;

/// A new app password: what is kept of it, and what it is good for.
#[derive(Clone, PartialEq, Eq)]
pub struct NewAppPassword {
    /// What a person calls it.
    pub name: String,
    /// SHA-256.
    pub digest: Vec<u8>,
    /// Made with the salt of the credential.
    pub scram: ScramVerifier,
    /// Words that the caller understands.
    pub scope: String,
    pub expires: Option<Unix>,
}

impl fmt::Debug for NewAppPassword {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "NewAppPassword({}, ***)", self.name)
    }
}

/// An app password. `Debug` is a mask.
#[derive(Clone, PartialEq, Eq)]
pub struct AppPassword {
    pub id: i64,
    pub name: String,
    pub digest: Vec<u8>,
    /// StoredKey and ServerKey, one after the other; the salt is that of the credential.
    pub scram_sha_1: Vec<u8>,
    pub scram_sha_256: Vec<u8>,
    pub scope: String,
    pub created: Unix,
    pub expires: Option<Unix>,
    /// When it was last used, or up to an hour before that.
    pub used: Option<Unix>,
}

impl fmt::Debug for AppPassword {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "AppPassword({}, {}, ***)", self.id, self.name)
    }
}

impl AppPassword {
    pub fn is_expired(&self, now: Unix) -> bool {
        self.expires.is_some_and(|expires| expires <= now)
    }
}

/// A key with whose certificates somebody may log in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LoginCertificate {
    pub id: i64,
    pub credential: String,
    pub name: String,
    /// SHA-256 of the SubjectPublicKeyInfo.
    pub key: Vec<u8>,
    pub created: Unix,
    /// When it was last used, or up to an hour before that.
    pub used: Option<Unix>,
}

/// What was used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LoginKey {
    AppPassword(i64),
    Certificate(i64),
}

fn read_app_password(row: &Row) -> Result<AppPassword> {
    Ok(AppPassword {
        id: row.try_get(0)?,
        name: row.try_get(1)?,
        digest: row.try_get(2)?,
        scram_sha_1: row.try_get(3)?,
        scram_sha_256: row.try_get(4)?,
        scope: row.try_get(5)?,
        created: row.try_get(6)?,
        expires: row.try_get(7)?,
        used: row.try_get(8)?,
    })
}

fn read_certificate(row: &Row) -> Result<LoginCertificate> {
    Ok(LoginCertificate {
        id: row.try_get(0)?,
        credential: row.try_get(1)?,
        name: row.try_get(2)?,
        key: row.try_get(3)?,
        created: row.try_get(4)?,
        used: row.try_get(5)?,
    })
}

impl Store {
    /// The app passwords of a credential by name, those that have expired too.
    pub async fn app_passwords(&self, credential: &str) -> Result<Vec<AppPassword>> {
        let sql = "SELECT id, name, digest, scram_sha_1, scram_sha_256, scope, created, expires, used \
                   FROM app_password WHERE credential = ?1 ORDER BY name";
        let rows = sql::query(sql).bind(credential.to_owned()).fetch_all(self.readers()).await?;
        rows.iter().map(read_app_password).collect()
    }

    pub async fn create_app_password(&self, credential: &str, new: &NewAppPassword) -> Result<()> {
        let (credential, new) = (credential.to_owned(), new.clone());
        self.write(0, |tx| Box::pin(async move { create_app_password(tx, &credential, new).await })).await
    }

    /// Takes an app password back. Sessions that used it are to end: the bell of the credential rings.
    pub async fn remove_app_password(&self, credential: &str, name: &str) -> Result<()> {
        let (credential, name) = (credential.to_owned(), name.to_owned());
        self.write(0, |tx| {
            Box::pin(async move {
                tx.effects.ring_credential(&credential);
                let sql = "DELETE FROM app_password WHERE credential = ?1 AND name = ?2";
                let query = sql::query(sql).bind(credential).bind(name.clone());
                one(query.execute(&mut tx.connection).await?.rows_affected(), Error::NoSuchLoginKey(name))
            })
        })
        .await
    }

    /// The client certificates of a credential by name.
    pub async fn certificates(&self, credential: &str) -> Result<Vec<LoginCertificate>> {
        let sql = "SELECT id, credential, name, key, created, used FROM login_certificate \
                   WHERE credential = ?1 ORDER BY name";
        let rows = sql::query(sql).bind(credential.to_owned()).fetch_all(self.readers()).await?;
        rows.iter().map(read_certificate).collect()
    }

    /// The logins for which a key is registered.
    pub async fn certificates_of_key(&self, key: &[u8]) -> Result<Vec<LoginCertificate>> {
        let sql = "SELECT id, credential, name, key, created, used FROM login_certificate \
                   WHERE key = ?1 ORDER BY credential";
        let rows = sql::query(sql).bind(key.to_owned()).fetch_all(self.readers()).await?;
        rows.iter().map(read_certificate).collect()
    }

    /// Lets the owner of a key log in. `key` is the SHA-256 of its SubjectPublicKeyInfo.
    pub async fn add_certificate(&self, credential: &str, name: &str, key: &[u8]) -> Result<()> {
        let (credential, name, key) = (credential.to_owned(), name.to_owned(), key.to_owned());
        self.write(0, |tx| Box::pin(async move { add_certificate(tx, &credential, name, key).await })).await
    }

    /// Takes a certificate back. Sessions that used it are to end: the bell of the credential rings.
    pub async fn remove_certificate(&self, credential: &str, name: &str) -> Result<()> {
        let (credential, name) = (credential.to_owned(), name.to_owned());
        self.write(0, |tx| {
            Box::pin(async move {
                tx.effects.ring_credential(&credential);
                let sql = "DELETE FROM login_certificate WHERE credential = ?1 AND name = ?2";
                let query = sql::query(sql).bind(credential).bind(name.clone());
                one(query.execute(&mut tx.connection).await?.rows_affected(), Error::NoSuchLoginKey(name))
            })
        })
        .await
    }

    /// Notes that something was used now.
    pub async fn note_use(&self, key: LoginKey) -> Result<()> {
        let (sql, id) = match key {
            LoginKey::AppPassword(id) => ("UPDATE app_password SET used = ?2 WHERE id = ?1", id),
            LoginKey::Certificate(id) => ("UPDATE login_certificate SET used = ?2 WHERE id = ?1", id),
        };
        self.write(0, move |tx| {
            Box::pin(async move {
                sql::query(sql).bind(id).bind(tx.now).execute(&mut tx.connection).await?;
                Ok(())
            })
        })
        .await
    }
}

async fn create_app_password(tx: &mut Tx, credential: &str, new: NewAppPassword) -> Result<()> {
    check_name(&new.name)?;
    room(tx, credential, Kind::AppPassword).await?;
    // One salt for all secrets of a credential: the first of them settles it.
    let sql = "UPDATE credential SET scram_salt = ?2, scram_iterations = ?3 \
               WHERE name = ?1 AND coalesce(scram_salt, ?2) = ?2 AND coalesce(scram_iterations, ?3) = ?3";
    let query = sql::query(sql).bind(credential.to_owned()).bind(new.scram.salt).bind(new.scram.iterations);
    let settled = query.execute(&mut tx.connection).await?.rows_affected();
    one(settled, Error::NotAllowed("the credential was made anew meanwhile; try again"))?;
    let sql = "INSERT INTO app_password \
                   (credential, name, digest, scram_sha_1, scram_sha_256, scope, created, expires) \
               VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8) ON CONFLICT DO NOTHING";
    let query = sql::query(sql).bind(credential.to_owned()).bind(new.name.clone()).bind(new.digest);
    let query = query.bind(new.scram.sha_1).bind(new.scram.sha_256).bind(new.scope);
    let query = query.bind(tx.now).bind(new.expires);
    one(query.execute(&mut tx.connection).await?.rows_affected(), Error::Exists(new.name))
}

async fn add_certificate(tx: &mut Tx, credential: &str, name: String, key: Vec<u8>) -> Result<()> {
    check_name(&name)?;
    room(tx, credential, Kind::Certificate).await?;
    let sql = "INSERT INTO login_certificate (credential, name, key, created) VALUES (?1, ?2, ?3, ?4) \
               ON CONFLICT DO NOTHING";
    let query = sql::query(sql).bind(credential.to_owned()).bind(name.clone()).bind(key).bind(tx.now);
    one(query.execute(&mut tx.connection).await?.rows_affected(), Error::Exists(name))
}

#[derive(Clone, Copy)]
enum Kind {
    AppPassword,
    Certificate,
}

/// Whether the credential is there and has room for one more of a kind.
async fn room(tx: &mut Tx, credential: &str, kind: Kind) -> Result<()> {
    let sql = "SELECT count(*) FROM credential WHERE name = ?1";
    let found: i64 = sql::query_scalar(sql).bind(credential.to_owned()).fetch_one(&mut tx.connection).await?;
    one(found.unsigned_abs(), Error::NoSuchCredential(credential.to_owned()))?;
    let (sql, what, limit) = match kind {
        Kind::AppPassword => {
            ("SELECT count(*) FROM app_password WHERE credential = ?1", "app passwords", APP_PASSWORDS_MAX)
        }
        Kind::Certificate => {
            ("SELECT count(*) FROM login_certificate WHERE credential = ?1", "certificates", CERTIFICATES_MAX)
        }
    };
    let there: i64 = sql::query_scalar(sql).bind(credential.to_owned()).fetch_one(&mut tx.connection).await?;
    if there.unsigned_abs() >= limit { Err(Error::TooMany { what, limit }) } else { Ok(()) }
}
