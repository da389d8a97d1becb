//! Mailboxes for special uses that are wanted and not there: what was judged to be junk must not go to INBOX because
//! somebody deleted the mailbox for it.

use crate::error::{Error, Result};
use crate::ids::AccountId;
use crate::mailbox::{FIRST_MAILBOXES, SpecialUse};
use crate::mailboxes::{self, KIND_SELECTABLE};
use crate::package::{Package, Target};
use crate::sql;
use crate::writer::Tx;
use serde_json::json;
use std::collections::BTreeSet;

/// Makes what is missing of the special mailboxes that the filings name, under the names that new accounts have. A use
/// without such a name is passed over, and so is an account that has no room for a mailbox.
pub(crate) async fn provide(tx: &mut Tx, groups: &[&[Package]]) -> Result<()> {
    const SQL: &str = "
        SELECT a.id, t.value ->> 1 FROM json_each(?1) t
        JOIN account a ON a.name = t.value ->> 0
        WHERE NOT EXISTS
            (SELECT 1 FROM mailbox WHERE account = a.id AND special_use = t.value ->> 1 AND kind = 0)";
    let filings = groups.iter().flat_map(|group| group.iter()).flat_map(|package| &package.filings);
    let wanted: BTreeSet<(&str, &str)> = filings
        .filter_map(|filing| match &filing.target {
            Target::Account(account, None, Some(special)) => Some((account.as_str(), *special)),
            _ => None,
        })
        .collect();
    if wanted.is_empty() {
        return Ok(());
    }
    let missing: Vec<(i64, String)> =
        sql::query_as(SQL).bind(json!(wanted).to_string()).fetch_all(&mut tx.connection).await?;
    for (account, special) in missing {
        let usual =
            FIRST_MAILBOXES.iter().find(|(_, usual)| usual.is_some_and(|one| one.as_str() == special));
        if let Some((name, Some(special))) = usual {
            match make(tx, AccountId(account), name, *special).await {
                Ok(()) | Err(Error::TooMany { .. }) => {}
                Err(error) => return Err(error),
            }
        }
    }
    Ok(())
}

async fn make(tx: &mut Tx, account: AccountId, name: &str, special: SpecialUse) -> Result<()> {
    match mailboxes::exists(tx, account, name).await? {
        Some((id, KIND_SELECTABLE)) => {
            mailboxes::touch_names(tx, account).await?;
            mailboxes::give_use(tx, account, id, Some(special)).await
        }
        _ => mailboxes::create(tx, account, name, Some(special)).await.map(|_| ()),
    }
}
