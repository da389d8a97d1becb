//! The two accounts of the demo, with passwords that are made up once and kept.

use crate::admin::{Kept, SaltOf};
use crate::cli::Trouble;
use auth::Secret;
use serde::{Deserialize, Serialize};
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use storage::{PasswordHash, Store};
use world::World;

const FILE: &str = "accounts.json";
const USERS: [&str; 2] = ["alice", "bob"];
/// Letters of a made-up password, in groups.
const GROUP: usize = 5;
const GROUPS: usize = 3;

/// An account whose password the panel shows: it protects nothing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Account {
    pub(crate) address: String,
    pub(crate) password: String,
}

/// Makes the accounts where they are not there yet, with the passwords of the last run or new ones.
pub(crate) async fn ready(
    store: &Store,
    world: &World,
    dir: &Path,
    domain: &str,
) -> Result<Vec<Account>, Trouble> {
    let path = dir.join(FILE);
    let accounts = match std::fs::read(&path) {
        Ok(octets) => serde_json::from_slice(&octets).map_err(|error| {
            Trouble::new(format!(
                "{} cannot be understood ({error}): remove it, and start again",
                path.display()
            ))
        })?,
        Err(_) => {
            let made = make_up(world, domain);
            write(&path, &made).map_err(|error| Trouble::new(format!("{}: {error}", path.display())))?;
            made
        }
    };
    for account in &accounts {
        make(store, account).await?;
    }
    Ok(accounts)
}

fn make_up(world: &World, domain: &str) -> Vec<Account> {
    let password = || [(); GROUPS].map(|()| world.random.word(GROUP)).join("-");
    USERS.map(|user| Account { address: format!("{user}@{domain}"), password: password() }).to_vec()
}

fn write(path: &Path, accounts: &[Account]) -> std::io::Result<()> {
    let text = serde_json::to_string_pretty(accounts)?;
    let mut file =
        std::fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(path)?;
    file.write_all(text.as_bytes())
}

/// Makes the store agree with what the panel shows.
async fn make(store: &Store, account: &Account) -> Result<(), Trouble> {
    let failed = |error: storage::Error| Trouble::new(error.to_string());
    let name = &account.address;
    let stored = store.credential(name).await.map_err(failed)?;
    let password = Secret::new(account.password.clone());
    let known = stored.clone();
    let salt = store.scram_salt(name).await.map_err(failed)?;
    let salt = SaltOf { salt: salt.salt, iterations: salt.iterations };
    let hash = tokio::task::spawn_blocking(move || match known {
        Some(stored) if auth::verify(&password, Some(stored.password.as_str())) => Ok(None),
        _ => Kept::of(&password, salt).map(Some),
    });
    let hash = hash.await.map_err(|error| Trouble::new(error.to_string()))?;
    let hash = hash.map_err(|error| Trouble::new(error.to_string()))?.map(PasswordHash::from);
    let exists = store.account(name).await.map_err(failed)?.is_some();
    match (hash, stored.is_some(), exists) {
        (Some(hash), false, false) => store.create_user(name, &hash).await.map(|_| ()).map_err(failed),
        (Some(hash), false, true) => store.create_credential(name, &hash).await.map_err(failed),
        (Some(hash), true, _) => store.set_password(name, &hash).await.map_err(failed),
        (None, _, false) => store.create_account(name).await.map(|_| ()).map_err(failed),
        (None, _, true) => Ok(()),
    }
}
