//! Accounts in memory, for tests of the doors.

use crate::authenticate::{Authenticate, Denied, Identity, Verdict};
use crate::login::Login;
use std::collections::HashMap;
use std::net::IpAddr;
use std::pin::Pin;
use std::sync::Arc;

/// Users with their passwords, which are compared in clear.
pub fn accounts(accounts: &[(&str, &str)]) -> Arc<dyn Authenticate> {
    let known =
        accounts.iter().map(|(user, password)| ((*user).to_owned(), (*password).to_owned())).collect();
    Arc::new(Accounts(known))
}

struct Accounts(HashMap<String, String>);

impl Authenticate for Accounts {
    fn authenticate<'a>(
        &'a self,
        login: Login,
        _: IpAddr,
    ) -> Pin<Box<dyn Future<Output = Verdict> + Send + 'a>> {
        let right = self.0.get(&login.user).is_some_and(|password| password == login.password.reveal());
        Box::pin(async move {
            if right { Ok(Identity::proven(login.user)) } else { Err(Denied::WrongCredentials) }
        })
    }
}
