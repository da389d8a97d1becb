//! Accounts in memory, for tests of the doors.

use crate::authenticate::{Answer, Authenticate, Claim, Denied, Ending, Verdict};
use crate::exchange::Mechanism;
use crate::identity::{Identity, Proof, Visitor};
use crate::login::Secret;
use crate::oauth::{Discovery, TokenClaim};
use crate::scram::{self, ScramFacts, ScramHash, ScramKeys};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use std::collections::HashMap;
use std::sync::Arc;

/// The salt that SCRAM asks with here.
const SALT: &[u8] = b"a fixed salt 16.";
/// Few rounds: nothing is protected here.
const ITERATIONS: u32 = 4096;
/// The server's part of every nonce.
const NONCE: &str = "serverpart";

/// Users with their passwords, which are compared in clear.
pub fn accounts(accounts: &[(&str, &str)]) -> Arc<dyn Authenticate> {
    Arc::new(Accounts { known: known(accounts), tokens: Tokens::Refused })
}

/// The same, and their passwords are good as tokens.
pub fn accounts_with_tokens(accounts: &[(&str, &str)]) -> Arc<dyn Authenticate> {
    Arc::new(Accounts { known: known(accounts), tokens: Tokens::Taken })
}

fn known(accounts: &[(&str, &str)]) -> HashMap<String, String> {
    accounts.iter().map(|(user, password)| ((*user).to_owned(), (*password).to_owned())).collect()
}

/// Somebody who lets nobody in, for always the same reason.
pub fn refusing(denied: Denied) -> Arc<dyn Authenticate> {
    Arc::new(Refusing(denied))
}

struct Refusing(Denied);

impl Authenticate for Refusing {
    fn mechanisms(&self) -> Vec<Mechanism> {
        let mut all = Mechanism::ALL.to_vec();
        all.retain(|mechanism| !mechanism.takes_tokens());
        all
    }

    fn authenticate<'a>(&'a self, _: Claim, _: Visitor) -> Answer<'a, Verdict> {
        Box::pin(async { Err(self.0.clone()) })
    }

    fn scram<'a>(&'a self, _: &'a str, _: ScramHash, _: Visitor) -> Answer<'a, Result<ScramFacts, Denied>> {
        Box::pin(async { Err(self.0.clone()) })
    }

    fn ending(self: Arc<Self>, _: Identity) -> Ending {
        Ending::never()
    }
}

struct Accounts {
    known: HashMap<String, String>,
    tokens: Tokens,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Tokens {
    Refused,
    Taken,
}

impl Accounts {
    /// Whose token it is, if the client says the same or nothing.
    fn owner(&self, claim: &TokenClaim) -> Option<String> {
        let is_right = |(user, password): &(&String, &String)| {
            claim.token.reveal() == password.as_str() && claim.user.as_ref().is_none_or(|said| said == *user)
        };
        let found = self.known.iter().find(is_right).filter(|_| self.tokens == Tokens::Taken);
        found.map(|(user, _)| user.clone())
    }
}

impl Authenticate for Accounts {
    fn mechanisms(&self) -> Vec<Mechanism> {
        let mut all = Mechanism::ALL.to_vec();
        all.retain(|mechanism| self.tokens == Tokens::Taken || !mechanism.takes_tokens());
        all
    }

    fn discovery(&self) -> Discovery {
        Discovery { scope: Some("mail".to_owned()), openid_configuration: None }
    }

    fn authenticate<'a>(&'a self, claim: Claim, _: Visitor) -> Answer<'a, Verdict> {
        if let Claim::Token(token) = &claim {
            let owner = self.owner(token);
            return Box::pin(async move { owner.map(Identity::proven).ok_or(Denied::WrongCredentials) });
        }
        let right = match &claim {
            Claim::Password(login) => {
                self.known.get(&login.user).is_some_and(|password| password == login.password.reveal())
            }
            Claim::Scram { proof, .. } => proof.is_some(),
            Claim::Certificate { authorize, key } => {
                key.is_some() && authorize.as_ref().is_some_and(|user| self.known.contains_key(user))
            }
            Claim::Token(_) => false,
        };
        Box::pin(async move {
            if right { Ok(Identity::proven(claim.user())) } else { Err(Denied::WrongCredentials) }
        })
    }

    fn scram<'a>(
        &'a self,
        user: &'a str,
        hash: ScramHash,
        _: Visitor,
    ) -> Answer<'a, Result<ScramFacts, Denied>> {
        let keys = self.known.get(user).map(|password| {
            (Proof::Given, ScramKeys::derive(&Secret::new(password.clone()), SALT, ITERATIONS, hash))
        });
        Box::pin(async move {
            Ok(ScramFacts {
                salt: SALT.to_vec(),
                iterations: ITERATIONS,
                keys: keys.into_iter().collect(),
                nonce: NONCE.to_owned(),
            })
        })
    }

    fn ending(self: Arc<Self>, _: Identity) -> Ending {
        Ending::never()
    }
}

/// The client's side of SCRAM, for tests: what is to be said, without base64.
pub struct ScramClient {
    hash: ScramHash,
    password: String,
    header: String,
    binding: Vec<u8>,
    bare: String,
}

impl ScramClient {
    /// `header` is the GS2 header, such as `n,,` or `p=tls-exporter,,`; `binding` the data that belong to it.
    pub fn new(hash: ScramHash, user: &str, password: &str, header: &str, binding: &[u8]) -> Self {
        let bare = format!("n={user},r=clientpart");
        Self {
            hash,
            password: password.to_owned(),
            header: header.to_owned(),
            binding: binding.to_vec(),
            bare,
        }
    }

    /// The first message.
    pub fn first(&self) -> String {
        format!("{}{}", self.header, self.bare)
    }

    /// The answer to the server's first message, and what the server must say to it.
    pub fn last(&self, said: &str) -> (String, String) {
        let value = |key: &str| {
            said.split(',').find_map(|attribute| attribute.strip_prefix(key)).unwrap_or_default().to_owned()
        };
        let salt = STANDARD.decode(value("s=")).unwrap_or_default();
        let iterations = value("i=").parse().unwrap_or_default();
        let binding = STANDARD.encode([self.header.as_bytes(), &self.binding].concat());
        let unproven = format!("c={binding},r={}", value("r="));
        let words = format!("{},{said},{unproven}", self.bare);
        let secret = Secret::new(self.password.clone());
        let (proof, verifier) = scram::client(&secret, &salt, iterations, self.hash, words.as_bytes());
        let (proof, verifier) = (STANDARD.encode(proof), STANDARD.encode(verifier));
        (format!("{unproven},p={proof}"), format!("v={verifier}"))
    }
}
