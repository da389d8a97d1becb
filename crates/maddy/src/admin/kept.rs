//! What is kept of a password, on its way through the control socket. The password itself never travels.

use crate::admin::{Context, Effect, Operation, account_name, failure};
use auth::Secret;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::fmt;
use storage::{PasswordHash, ScramSalt, ScramVerifier};
use web::Failure;

/// What is kept of a password.
#[derive(Serialize, Deserialize, JsonSchema)]
pub(crate) struct Kept {
    /// A PHC string.
    pub(crate) hash: String,
    pub(crate) scram: Option<ScramKept>,
}

impl fmt::Debug for Kept {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Kept(***)")
    }
}

/// What SCRAM needs of it.
#[derive(Serialize, Deserialize, JsonSchema)]
pub(crate) struct ScramKept {
    salt: Vec<u8>,
    iterations: u32,
    sha_1: Vec<u8>,
    sha_256: Vec<u8>,
}

impl Kept {
    /// Makes all that is kept. Costs some 20 ms.
    pub(crate) fn of(password: &Secret, salt: SaltOf) -> Result<Self, auth::PasswordError> {
        let salt = ScramSalt { salt: salt.salt, iterations: salt.iterations, asked_with: None };
        let scram = crate::login::verifier(password, salt);
        Ok(Self { hash: auth::hash(password)?, scram: Some(scram.into()) })
    }
}

impl From<Kept> for PasswordHash {
    fn from(kept: Kept) -> Self {
        let hash = Self::new(kept.hash);
        match kept.scram {
            Some(scram) => hash.with_scram(scram.into()),
            None => hash,
        }
    }
}

impl From<ScramKept> for ScramVerifier {
    fn from(kept: ScramKept) -> Self {
        let ScramKept { salt, iterations, sha_1, sha_256 } = kept;
        Self { salt, iterations, sha_1, sha_256 }
    }
}

impl From<ScramVerifier> for ScramKept {
    fn from(made: ScramVerifier) -> Self {
        let ScramVerifier { salt, iterations, sha_1, sha_256 } = made;
        Self { salt, iterations, sha_1, sha_256 }
    }
}

/// With what the secrets of a name are salted.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub(crate) struct SaltOf {
    pub(crate) salt: Vec<u8>,
    pub(crate) iterations: Option<u32>,
}

/// Asks for the salt of a name, whether anybody has it or not.
#[derive(Serialize, Deserialize, JsonSchema)]
pub(crate) struct CredsSalt {
    pub(crate) name: String,
}

impl Operation for CredsSalt {
    const NAME: &'static str = "creds-salt";
    const EFFECT: Effect = Effect::Reads;
    type Answer = SaltOf;

    async fn run(self, context: &Context) -> Result<SaltOf, Failure> {
        let found = context.store.scram_salt(&account_name(&self.name)).await.map_err(failure)?;
        Ok(SaltOf { salt: found.salt, iterations: found.iterations })
    }
}
