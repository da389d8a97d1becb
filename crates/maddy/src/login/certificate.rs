//! Client certificates for the judge: whom a key lets in.

use super::{Denied, Judge, Verdict};
use auth::{Identity, Proof, Scope};
use std::net::IpAddr;
use storage::LoginKey;
use tracing::{info, warn};

impl Judge {
    /// EXTERNAL (RFC 4422 appendix A). A key that is registered for several accounts lets in whom the client names.
    /// Nothing is counted as a guess, for nobody guesses keys; and a program that shows a key that is not registered
    /// shall not keep its owner's passwords out.
    pub(super) async fn judge_certificate(
        &self,
        authorize: Option<String>,
        key: Option<[u8; 32]>,
        from: IpAddr,
    ) -> Verdict {
        let Some(key) = key else { return Err(Denied::WrongCredentials) };
        let mut found = self.store.certificates_of_key(&key).await.map_err(|error| {
            warn!(%error, "a login cannot be checked");
            Denied::Unavailable(error.to_string())
        })?;
        if let Some(wanted) = &authorize {
            found.retain(|one| one.credential == *wanted);
        }
        if let [one] = found.as_slice() {
            self.note_use(LoginKey::Certificate(one.id), one.used);
            return Ok(Identity::new(one.credential.clone(), Scope::ALL, Proof::Certificate(one.id)));
        }
        let user = match authorize {
            Some(user) => self.shown(&user).await,
            None => String::new(),
        };
        info!(user, peer = %from, accounts = found.len(), "certificate refused");
        Err(Denied::WrongCredentials)
    }
}
