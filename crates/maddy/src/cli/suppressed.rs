//! `queue suppressed`.

use crate::admin::{SuppressedAdd, SuppressedInfo, SuppressedList, SuppressedRemove};
use crate::cli::args::Global;
use crate::cli::{Connection, Trouble, output};
use clap::Subcommand;
use serde_json::json;

/// Widest column of reasons in listings.
const COLUMN_MAX: usize = 80;

#[derive(Clone, Debug, Subcommand)]
pub(crate) enum SuppressedCommand {
    /// List them, with the reason of each
    List,
    /// Send nothing to an address until it is removed
    Add {
        address: String,
        /// Why; its senders are told
        #[arg(long, default_value = "the administrator wants it so")]
        reason: String,
    },
    /// Send to an address again
    Remove { address: String },
}

pub(crate) async fn carry_out(
    command: &SuppressedCommand,
    connection: &Connection,
    global: &Global,
) -> Result<(), Trouble> {
    match command {
        SuppressedCommand::List => list(connection, global).await,
        SuppressedCommand::Add { address, reason } => {
            let add = SuppressedAdd { address: address.clone(), reason: reason.clone() };
            connection.call(add).await?;
            output::done(
                global,
                &json!({ "suppressed": address }),
                &format!("nothing is sent to {address} any more"),
            )
        }
        SuppressedCommand::Remove { address } => {
            connection.call(SuppressedRemove { address: address.clone() }).await?;
            output::done(global, &json!({ "removed": address }), &format!("{address} is sent to again"))
        }
    }
}

async fn list(connection: &Connection, global: &Global) -> Result<(), Trouble> {
    let mut all: Vec<SuppressedInfo> = Vec::new();
    loop {
        let after = all.last().map(|one| one.address.clone()).unwrap_or_default();
        let page = connection.call(SuppressedList { after }).await?;
        if page.is_empty() {
            break;
        }
        all.extend(page);
    }
    let head = ["address", "failures", "since", "until", "reason"];
    output::list(global, &all, &head, row, "no address is suppressed")
}

fn row(one: &SuppressedInfo) -> Vec<String> {
    vec![
        one.address.clone(),
        one.failures.to_string(),
        output::time(one.since),
        one.until.map_or("removed".to_owned(), output::time),
        output::shorten(&one.reason, COLUMN_MAX),
    ]
}
