//! App passwords and client certificates of a credential.

use crate::admin::kept::ScramKept;
use crate::admin::{Context, Effect, Operation, account_name, failure};
use crate::login::Use;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::fmt;
use storage::{Error, NewAppPassword};
use web::{Failure, Kind};

/// Octets of a SHA-256 digest.
const DIGEST_LEN: usize = 32;

/// A new app password. It was made by whoever calls, and does not travel.
#[derive(Serialize, Deserialize, JsonSchema)]
pub(crate) struct AppPasswordCreate {
    pub(crate) account: String,
    /// What its owner calls it.
    pub(crate) name: String,
    pub(crate) digest: Vec<u8>,
    pub(crate) scram: ScramKept,
    /// What it is good for.
    pub(crate) uses: Vec<String>,
    /// Seconds since 1970.
    pub(crate) expires: Option<i64>,
}

impl fmt::Debug for AppPasswordCreate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("AppPasswordCreate(***)")
    }
}

impl Operation for AppPasswordCreate {
    const NAME: &'static str = "creds-app-password-create";
    type Answer = ();

    async fn run(self, context: &Context) -> Result<(), Failure> {
        let bad = |why: String| Failure::new(Kind::BadRequest, why);
        if let Some(word) = self.uses.iter().find(|word| Use::parse(word).is_none()) {
            return Err(bad(format!("{word:?} is nothing that an app password can be good for")));
        }
        if self.uses.is_empty() || self.digest.len() != DIGEST_LEN {
            return Err(bad("an app password needs a digest, and something that it is good for".to_owned()));
        }
        if self.expires.is_some_and(|expires| expires <= context.now()) {
            return Err(bad("this app password would have expired already".to_owned()));
        }
        let new = NewAppPassword {
            name: self.name,
            digest: self.digest,
            scram: self.scram.into(),
            scope: self.uses.join(" "),
            expires: self.expires,
        };
        context.store.create_app_password(&account_name(&self.account), &new).await.map_err(failure)
    }
}

#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub(crate) struct AppPasswordInfo {
    pub(crate) name: String,
    pub(crate) uses: Vec<String>,
    /// Seconds since 1970, here and below.
    pub(crate) created: i64,
    pub(crate) expires: Option<i64>,
    pub(crate) has_expired: bool,
    /// When it was last used, or up to an hour before.
    pub(crate) used: Option<i64>,
}

#[derive(Serialize, Deserialize, JsonSchema)]
pub(crate) struct AppPasswordList {
    pub(crate) account: String,
}

impl Operation for AppPasswordList {
    const NAME: &'static str = "creds-app-password-list";
    const EFFECT: Effect = Effect::Reads;
    type Answer = Vec<AppPasswordInfo>;

    async fn run(self, context: &Context) -> Result<Vec<AppPasswordInfo>, Failure> {
        let name = known(context, &self.account).await?;
        let all = context.store.app_passwords(&name).await.map_err(failure)?;
        let now = context.now();
        Ok(all
            .into_iter()
            .map(|one| AppPasswordInfo {
                has_expired: one.is_expired(now),
                uses: one.scope.split(' ').map(str::to_owned).collect(),
                name: one.name,
                created: one.created,
                expires: one.expires,
                used: one.used,
            })
            .collect())
    }
}

#[derive(Serialize, Deserialize, JsonSchema)]
pub(crate) struct AppPasswordRevoke {
    pub(crate) account: String,
    pub(crate) name: String,
}

impl Operation for AppPasswordRevoke {
    const NAME: &'static str = "creds-app-password-revoke";
    type Answer = ();

    async fn run(self, context: &Context) -> Result<(), Failure> {
        let account = known(context, &self.account).await?;
        context.store.remove_app_password(&account, &self.name).await.map_err(failure)
    }
}

/// A key whose certificates let somebody in.
#[derive(Serialize, Deserialize, JsonSchema)]
pub(crate) struct CertificateAdd {
    pub(crate) account: String,
    pub(crate) name: String,
    /// SHA-256 of its SubjectPublicKeyInfo.
    pub(crate) key: Vec<u8>,
}

impl Operation for CertificateAdd {
    const NAME: &'static str = "creds-certificate-add";
    type Answer = ();

    async fn run(self, context: &Context) -> Result<(), Failure> {
        if self.key.len() != DIGEST_LEN {
            return Err(Failure::new(Kind::BadRequest, "the key's fingerprint must be a SHA-256 digest"));
        }
        let account = account_name(&self.account);
        context.store.add_certificate(&account, &self.name, &self.key).await.map_err(failure)
    }
}

#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub(crate) struct CertificateInfo {
    pub(crate) name: String,
    /// SHA-256 of the SubjectPublicKeyInfo, in hexadecimal.
    pub(crate) key: String,
    /// Seconds since 1970, here and below.
    pub(crate) created: i64,
    pub(crate) used: Option<i64>,
}

#[derive(Serialize, Deserialize, JsonSchema)]
pub(crate) struct CertificateList {
    pub(crate) account: String,
}

impl Operation for CertificateList {
    const NAME: &'static str = "creds-certificate-list";
    const EFFECT: Effect = Effect::Reads;
    type Answer = Vec<CertificateInfo>;

    async fn run(self, context: &Context) -> Result<Vec<CertificateInfo>, Failure> {
        let name = known(context, &self.account).await?;
        let all = context.store.certificates(&name).await.map_err(failure)?;
        Ok(all
            .into_iter()
            .map(|one| CertificateInfo {
                key: one.key.iter().map(|octet| format!("{octet:02x}")).collect(),
                name: one.name,
                created: one.created,
                used: one.used,
            })
            .collect())
    }
}

#[derive(Serialize, Deserialize, JsonSchema)]
pub(crate) struct CertificateRemove {
    pub(crate) account: String,
    pub(crate) name: String,
}

impl Operation for CertificateRemove {
    const NAME: &'static str = "creds-certificate-remove";
    type Answer = ();

    async fn run(self, context: &Context) -> Result<(), Failure> {
        let account = known(context, &self.account).await?;
        context.store.remove_certificate(&account, &self.name).await.map_err(failure)
    }
}

/// The name of a credential that there is.
async fn known(context: &Context, typed: &str) -> Result<String, Failure> {
    let name = account_name(typed);
    match context.store.credential(&name).await.map_err(failure)? {
        Some(_) => Ok(name),
        None => Err(failure(Error::NoSuchCredential(name))),
    }
}
