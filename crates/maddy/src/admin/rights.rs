//! Who may do what with a mailbox (RFC 4314).

use crate::admin::mboxes::account_id;
use crate::admin::{Context, Effect, Operation, account_name, failure};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use storage::{Grant, GrantChange, Grantee, Rights, Sign};
use web::{Failure, Kind};

/// Stands for every account.
const ANYONE: &str = "anyone";

/// One entry of a mailbox's list.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub(crate) struct RightsInfo {
    /// An account, or `anyone`; with `-` before it, whose rights are taken away.
    pub(crate) who: String,
    /// Letters.
    pub(crate) rights: String,
}

impl From<Grant> for RightsInfo {
    fn from(grant: Grant) -> Self {
        let sign = if grant.sign == Sign::Negative { "-" } else { "" };
        let name = match &grant.to {
            Grantee::Anyone => ANYONE,
            Grantee::Account(name) => name,
        };
        Self { who: format!("{sign}{name}"), rights: grant.rights.to_string() }
    }
}

/// The list of a mailbox, as it was set.
#[derive(Serialize, Deserialize, JsonSchema)]
pub(crate) struct MboxesRights {
    pub(crate) account: String,
    pub(crate) name: String,
}

impl Operation for MboxesRights {
    const NAME: &'static str = "imap-mboxes-rights";
    const EFFECT: Effect = Effect::Reads;
    type Answer = Vec<RightsInfo>;

    async fn run(self, context: &Context) -> Result<Vec<RightsInfo>, Failure> {
        let account = account_id(context, &self.account).await?;
        let mailbox = context.store.mailbox(account, &self.name).await.map_err(failure)?;
        let grants = context.store.grants(mailbox.id).await.map_err(failure)?;
        Ok(grants.into_iter().map(RightsInfo::from).collect())
    }
}

/// Changes one entry of it.
#[derive(Serialize, Deserialize, JsonSchema)]
pub(crate) struct MboxesGrant {
    pub(crate) account: String,
    pub(crate) name: String,
    pub(crate) who: String,
    /// Letters, all of them or behind `+` or `-`; or `none`.
    pub(crate) rights: String,
}

impl Operation for MboxesGrant {
    const NAME: &'static str = "imap-mboxes-grant";
    type Answer = ();

    async fn run(self, context: &Context) -> Result<(), Failure> {
        let account = account_id(context, &self.account).await?;
        let mailbox = context.store.mailbox(account, &self.name).await.map_err(failure)?;
        let (name, sign) = match self.who.strip_prefix('-') {
            Some(name) => (name, Sign::Negative),
            None => (self.who.as_str(), Sign::Positive),
        };
        let to = match name {
            ANYONE => Grantee::Anyone,
            name => Grantee::Account(account_name(name)),
        };
        context.store.grant(mailbox.id, to, sign, change(&self.rights)?).await.map_err(failure)
    }
}

fn change(typed: &str) -> Result<GrantChange, Failure> {
    let (make, letters): (fn(Rights) -> GrantChange, &str) = match typed.split_at_checked(1) {
        _ if typed == "none" => return Ok(GrantChange::Drop),
        Some(("+", letters)) => (GrantChange::Add, letters),
        Some(("-", letters)) => (GrantChange::Remove, letters),
        _ => (GrantChange::Set, typed),
    };
    letters.parse().map(make).map_err(|letter: char| {
        let known = "l r s w i p k x t e a, after + or - to change some, or none";
        Failure::new(Kind::BadRequest, format!("{letter:?} is not a right; there are {known}"))
    })
}
