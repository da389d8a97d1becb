//! Accounts as people want them: the right to log in and the mailboxes, at once.

use crate::admin::{AccountInfo, Context, Effect, Kept, Operation, account_name, address_name, failure};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use web::Failure;

/// A new account with its login.
#[derive(Serialize, Deserialize, JsonSchema)]
pub(crate) struct AccountAdd {
    pub(crate) name: String,
    #[serde(flatten)]
    pub(crate) kept: Kept,
}

impl Operation for AccountAdd {
    const NAME: &'static str = "account-add";
    type Answer = String;

    async fn run(self, context: &Context) -> Result<String, Failure> {
        let name = address_name(&self.name)?;
        context.store.create_user(&name, &self.kept.into()).await.map_err(failure)?;
        Ok(name)
    }
}

/// All accounts, and all logins that have none.
#[derive(Serialize, Deserialize, JsonSchema)]
pub(crate) struct AccountList {}

impl Operation for AccountList {
    const NAME: &'static str = "account-list";
    const EFFECT: Effect = Effect::Reads;
    type Answer = Vec<AccountInfo>;

    async fn run(self, context: &Context) -> Result<Vec<AccountInfo>, Failure> {
        let mut logins: Vec<String> =
            context.store.credentials().await.map_err(failure)?.into_iter().map(|login| login.name).collect();
        let mut list: Vec<AccountInfo> = Vec::new();
        for account in context.store.accounts().await.map_err(failure)? {
            let before = logins.len();
            logins.retain(|name| *name != account.name);
            list.push(AccountInfo { login: logins.len() < before, ..AccountInfo::of(account) });
        }
        list.extend(logins.into_iter().map(AccountInfo::only_login));
        list.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(list)
    }
}

/// An account with its login and all its mail, for good.
#[derive(Serialize, Deserialize, JsonSchema)]
pub(crate) struct AccountRemove {
    pub(crate) name: String,
}

impl Operation for AccountRemove {
    const NAME: &'static str = "account-remove";
    type Answer = ();

    async fn run(self, context: &Context) -> Result<(), Failure> {
        context.store.remove_user(&account_name(&self.name)).await.map_err(failure)
    }
}

/// Another address for an account; mail and password stay.
#[derive(Serialize, Deserialize, JsonSchema)]
pub(crate) struct AccountRename {
    pub(crate) name: String,
    pub(crate) to: String,
}

impl Operation for AccountRename {
    const NAME: &'static str = "account-rename";
    type Answer = String;

    async fn run(self, context: &Context) -> Result<String, Failure> {
        let to = address_name(&self.to)?;
        context.store.rename_user(&account_name(&self.name), &to).await.map_err(failure)?;
        Ok(to)
    }
}
