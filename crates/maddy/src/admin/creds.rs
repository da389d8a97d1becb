//! Credentials: who may log in, and with which password.

use crate::admin::{Context, Effect, Kept, Operation, account_name, address_name, failure};
use auth::Secret;
use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::fmt;
use web::{Failure, Kind};
use zeroize::Zeroizing;

/// A password on its way through the control socket; a mask in `Debug`.
pub(crate) struct Password(Zeroizing<String>);

impl Password {
    pub(crate) fn new(secret: &Secret) -> Self {
        Self(Zeroizing::new(secret.reveal().to_owned()))
    }
}

impl JsonSchema for Password {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Password".into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(schemas: &mut schemars::SchemaGenerator) -> schemars::Schema {
        String::json_schema(schemas)
    }
}

impl Serialize for Password {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for Password {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer).map(|text| Self(Zeroizing::new(text)))
    }
}

impl fmt::Debug for Password {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub(crate) struct CredsInfo {
    pub(crate) name: String,
    /// Seconds since 1970.
    pub(crate) created: i64,
    /// When the password was last set.
    pub(crate) changed: i64,
    /// Whether SCRAM can be used: not before an imported password was seen once.
    #[serde(default)]
    pub(crate) scram: bool,
}

#[derive(Serialize, Deserialize, JsonSchema)]
pub(crate) struct CredsCreate {
    pub(crate) name: String,
    #[serde(flatten)]
    pub(crate) kept: Kept,
}

impl Operation for CredsCreate {
    const NAME: &'static str = "creds-create";
    type Answer = String;

    async fn run(self, context: &Context) -> Result<String, Failure> {
        let name = address_name(&self.name)?;
        context.store.create_credential(&name, &self.kept.into()).await.map_err(failure)?;
        Ok(name)
    }
}

#[derive(Serialize, Deserialize, JsonSchema)]
pub(crate) struct CredsList {}

impl Operation for CredsList {
    const NAME: &'static str = "creds-list";
    const EFFECT: Effect = Effect::Reads;
    type Answer = Vec<CredsInfo>;

    async fn run(self, context: &Context) -> Result<Vec<CredsInfo>, Failure> {
        let list = context.store.credentials().await.map_err(failure)?;
        Ok(list
            .into_iter()
            .map(|c| CredsInfo {
                scram: c.password.scram().is_some(),
                name: c.name,
                created: c.created,
                changed: c.changed,
            })
            .collect())
    }
}

#[derive(Serialize, Deserialize, JsonSchema)]
pub(crate) struct CredsRemove {
    pub(crate) name: String,
}

impl Operation for CredsRemove {
    const NAME: &'static str = "creds-remove";
    type Answer = ();

    async fn run(self, context: &Context) -> Result<(), Failure> {
        context.store.remove_credential(&account_name(&self.name)).await.map_err(failure)
    }
}

#[derive(Serialize, Deserialize, JsonSchema)]
pub(crate) struct CredsPassword {
    pub(crate) name: String,
    #[serde(flatten)]
    pub(crate) kept: Kept,
}

impl Operation for CredsPassword {
    const NAME: &'static str = "creds-password";
    type Answer = ();

    async fn run(self, context: &Context) -> Result<(), Failure> {
        context.store.set_password(&account_name(&self.name), &self.kept.into()).await.map_err(failure)
    }
}

/// Whether a password is right. Changes nothing.
#[derive(Serialize, Deserialize, JsonSchema)]
pub(crate) struct CredsVerify {
    pub(crate) name: String,
    pub(crate) password: Password,
}

impl Operation for CredsVerify {
    const NAME: &'static str = "creds-verify";
    const EFFECT: Effect = Effect::Reads;
    type Answer = bool;

    async fn run(self, context: &Context) -> Result<bool, Failure> {
        let name = account_name(&self.name);
        let stored = context.store.credential(&name).await.map_err(failure)?;
        let stored = stored.ok_or_else(|| failure(storage::Error::NoSuchCredential(name)))?;
        let password = Secret::new(self.password.0.as_str().to_owned());
        tokio::task::spawn_blocking(move || auth::verify(&password, Some(stored.password.as_str())))
            .await
            .map_err(|error| Failure::new(Kind::Broken, error.to_string()))
    }
}
