//! `imap-mboxes`.

use crate::admin::{MailboxInfo, MboxesCreate, MboxesList, MboxesRemove, MboxesRename};
use crate::cli::args::{Global, MboxesCommand};
use crate::cli::{Connection, Trouble, ask, output, rights};
use serde_json::json;

pub(crate) async fn run(command: &MboxesCommand, global: &Global) -> Result<(), Trouble> {
    if let MboxesCommand::Remove { account, mailbox, yes } = command {
        ask::confirm(&format!("{mailbox} of {account} and its messages will be gone for good."), *yes)?;
    }
    Connection::with(global, async |server| carry_out(command, server, global).await).await
}

async fn carry_out(command: &MboxesCommand, connection: &Connection, global: &Global) -> Result<(), Trouble> {
    match command.clone() {
        MboxesCommand::List { account, subscribed } => {
            let mut list = connection.call(MboxesList { account }).await?;
            list.retain(|mailbox| mailbox.subscribed || !subscribed);
            print(&list, global)
        }
        MboxesCommand::Create { account, mailbox, special } => {
            connection.call(MboxesCreate { account, name: mailbox.clone(), special_use: special }).await?;
            output::done(global, &json!({ "mailbox": mailbox }), &format!("{mailbox} is there"))
        }
        MboxesCommand::Remove { account, mailbox, .. } => {
            connection.call(MboxesRemove { account, name: mailbox.clone() }).await?;
            output::done(global, &json!({ "removed": mailbox }), &format!("{mailbox} is gone"))
        }
        MboxesCommand::Rename { account, mailbox, to } => {
            connection.call(MboxesRename { account, from: mailbox.clone(), to: to.clone() }).await?;
            output::done(global, &json!({ "mailbox": to }), &format!("{mailbox} is now {to}"))
        }
        MboxesCommand::Rights(arguments) => rights::run(arguments, connection, global).await,
    }
}

fn print(list: &[MailboxInfo], global: &Global) -> Result<(), Trouble> {
    let head = ["mailbox", "use", "subscribed", "messages", "unseen", "size"];
    let row = |mailbox: &MailboxInfo| {
        vec![
            mailbox.name.clone(),
            mailbox.special_use.clone().unwrap_or_default(),
            if mailbox.subscribed { "yes" } else { "no" }.to_owned(),
            if mailbox.selectable { mailbox.messages.to_string() } else { String::new() },
            if mailbox.selectable { mailbox.unseen.to_string() } else { String::new() },
            output::size(mailbox.size),
        ]
    };
    output::list(global, list, &head, row, "there are no such mailboxes")
}
