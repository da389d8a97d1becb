//! `imap-mboxes rights`.

use crate::admin::{MboxesGrant, MboxesRights, RightsInfo};
use crate::cli::args::{Global, RightsArgs};
use crate::cli::{Connection, Trouble, output};
use serde_json::json;

pub(super) async fn run(
    arguments: RightsArgs,
    connection: &Connection,
    global: &Global,
) -> Result<(), Trouble> {
    let RightsArgs { account, mailbox: name, who, rights } = arguments;
    match (who, rights) {
        (Some(who), Some(rights)) => {
            let sentence = format!("{who} has other rights on {name} now");
            let value = json!({ "mailbox": name, "who": who });
            connection.call(MboxesGrant { account, name, who, rights }).await?;
            output::done(global, &value, &sentence)
        }
        _ => {
            let list = connection.call(MboxesRights { account, name }).await?;
            let row = |one: &RightsInfo| vec![one.who.clone(), one.rights.clone()];
            output::list(global, &list, &["who", "rights"], row, "nobody but the owner has rights")
        }
    }
}
