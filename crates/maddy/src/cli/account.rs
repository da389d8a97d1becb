//! `account`, `creds`, `imap-acct` and `hash`.

use crate::admin::{
    AccountAdd, AccountInfo, AccountList, AccountRemove, AccountRename, AcctCreate, AcctLimit, AcctRemove,
    AcctStat, CredsCreate, CredsList, CredsPassword, CredsRemove, CredsVerify, Password, account_name,
    address_name,
};
use crate::cli::args::{AccountCommand, AcctCommand, CredsCommand, Global, Removal};
use crate::cli::ask::{self, Asking};
use crate::cli::{Connection, Trouble, output};
use serde_json::json;

/// Asks for a new password and hashes it; the password itself never travels.
fn new_hash(account: &str) -> Result<String, Trouble> {
    let password = ask::password(account, Asking::Twice)?;
    auth::hash(&password).map_err(|error| Trouble::new(error.to_string()))
}

pub(crate) fn hash(global: &Global) -> Result<(), Trouble> {
    let hash = new_hash("the hash")?;
    output::done(global, &json!({ "hash": hash }), &hash)
}

pub(crate) async fn account(command: &AccountCommand, global: &Global) -> Result<(), Trouble> {
    let connection = Connection::open(global).await?;
    let result = match command {
        AccountCommand::Add(name) => add(&connection, &name.account, global).await,
        AccountCommand::List => list(&connection, global).await,
        AccountCommand::Remove(removal) => remove(&connection, removal, global).await,
        AccountCommand::Rename { account, to } => {
            let to = connection.call(AccountRename { name: account.clone(), to: to.clone() }).await?;
            let name = account_name(account);
            output::done(global, &json!({ "account": to }), &format!("{name} is now {to}"))
        }
        AccountCommand::Password(name) => set_password(&connection, &name.account, global).await,
    };
    connection.close().await;
    result
}

async fn add(connection: &Connection, typed: &str, global: &Global) -> Result<(), Trouble> {
    let name = address_name(typed)?;
    let hash = new_hash(&name)?;
    let name = connection.call(AccountAdd { name, hash }).await?;
    connection.note_domain(&name);
    output::done(global, &json!({ "account": name }), &format!("{name} can log in and receive mail"))
}

async fn list(connection: &Connection, global: &Global) -> Result<(), Trouble> {
    let accounts = connection.call(AccountList {}).await?;
    print_accounts(&accounts, global)
}

fn print_accounts(accounts: &[AccountInfo], global: &Global) -> Result<(), Trouble> {
    let head = ["account", "login", "mailboxes", "messages", "size", "created"];
    let row = |account: &AccountInfo| {
        vec![
            account.name.clone(),
            if account.login { "yes" } else { "no" }.to_owned(),
            account.created.map_or("none".to_owned(), |_| account.mailboxes.to_string()),
            account.messages.to_string(),
            output::size(account.size),
            account.created.map_or(String::new(), output::time),
        ]
    };
    output::list(
        global,
        accounts,
        &head,
        row,
        "there are no accounts; make one with `maddy account add <address>`",
    )
}

async fn remove(connection: &Connection, removal: &Removal, global: &Global) -> Result<(), Trouble> {
    let name = account_name(&removal.account);
    ask::confirm(&format!("{name} and all its mail will be gone for good."), removal.yes)?;
    connection.call(AccountRemove { name: name.clone() }).await?;
    output::done(global, &json!({ "removed": name }), &format!("{name} is gone"))
}

async fn set_password(connection: &Connection, typed: &str, global: &Global) -> Result<(), Trouble> {
    let name = account_name(typed);
    let hash = new_hash(&name)?;
    connection.call(CredsPassword { name: name.clone(), hash }).await?;
    output::done(global, &json!({ "account": name }), &format!("{name} has a new password"))
}

pub(crate) async fn creds(command: &CredsCommand, global: &Global) -> Result<(), Trouble> {
    let connection = Connection::open(global).await?;
    let result = match command {
        CredsCommand::Create(name) => create_creds(&connection, &name.account, global).await,
        CredsCommand::List => {
            let list = connection.call(CredsList {}).await?;
            let head = ["account", "created", "password set"];
            output::list(
                global,
                &list,
                &head,
                |creds| vec![creds.name.clone(), output::time(creds.created), output::time(creds.changed)],
                "there are no credentials; make an account with `maddy account add <address>`",
            )
        }
        CredsCommand::Remove(removal) => {
            let name = account_name(&removal.account);
            ask::confirm(&format!("{name} will not be able to log in; its mail stays."), removal.yes)?;
            connection.call(CredsRemove { name: name.clone() }).await?;
            output::done(global, &json!({ "removed": name }), &format!("{name} cannot log in any more"))
        }
        CredsCommand::Password(name) => set_password(&connection, &name.account, global).await,
        CredsCommand::Verify(name) => verify(&connection, &name.account, global).await,
    };
    connection.close().await;
    result
}

async fn create_creds(connection: &Connection, typed: &str, global: &Global) -> Result<(), Trouble> {
    let name = address_name(typed)?;
    let hash = new_hash(&name)?;
    let name = connection.call(CredsCreate { name, hash }).await?;
    let sentence = format!("{name} can log in; `maddy imap-acct create {name}` makes its mailboxes");
    output::done(global, &json!({ "account": name }), &sentence)
}

async fn verify(connection: &Connection, typed: &str, global: &Global) -> Result<(), Trouble> {
    let name = account_name(typed);
    let password = ask::password(&name, Asking::Once)?;
    let right =
        connection.call(CredsVerify { name: name.clone(), password: Password::new(&password) }).await?;
    if global.json {
        output::json(&json!({ "account": name, "right": right }))?;
        return if right { Ok(()) } else { Err(Trouble::new("")) };
    }
    if right { output::line("the password is right") } else { Err(Trouble::new("the password is wrong")) }
}

pub(crate) async fn acct(command: &AcctCommand, global: &Global) -> Result<(), Trouble> {
    let connection = Connection::open(global).await?;
    let result = match command {
        AcctCommand::Create(name) => {
            let name = connection.call(AcctCreate { name: name.account.clone() }).await?;
            connection.note_domain(&name);
            let sentence = format!("{name} has mailboxes; `maddy creds create {name}` lets it log in");
            output::done(global, &json!({ "account": name }), &sentence)
        }
        AcctCommand::List => {
            let mut accounts = connection.call(AccountList {}).await?;
            accounts.retain(|account| account.created.is_some());
            print_accounts(&accounts, global)
        }
        AcctCommand::Remove(removal) => {
            let name = account_name(&removal.account);
            ask::confirm(
                &format!("All mail of {name} will be gone for good; its login stays."),
                removal.yes,
            )?;
            connection.call(AcctRemove { name: name.clone() }).await?;
            output::done(global, &json!({ "removed": name }), &format!("the mailboxes of {name} are gone"))
        }
        AcctCommand::Stat(name) => {
            let info = connection.call(AcctStat { name: name.account.clone() }).await?;
            output::done(global, &info, &describe(&info))
        }
        AcctCommand::Appendlimit { account, limit } => {
            append_limit(&connection, account, limit.as_deref(), global).await
        }
    };
    connection.close().await;
    result
}

fn describe(info: &AccountInfo) -> String {
    let rows = [
        ("account", info.name.clone()),
        ("login", if info.login { "yes" } else { "no" }.to_owned()),
        ("created", info.created.map_or(String::new(), output::time)),
        ("mailboxes", info.mailboxes.to_string()),
        ("messages", info.messages.to_string()),
        ("size", output::size(info.size)),
        ("append limit", info.append_limit.map_or("as configured".to_owned(), output::size)),
    ];
    rows.map(|(name, value)| format!("{name:<14}{value}")).join("\n")
}

async fn append_limit(
    connection: &Connection,
    typed: &str,
    limit: Option<&str>,
    global: &Global,
) -> Result<(), Trouble> {
    let name = account_name(typed);
    let shown = |limit: Option<u64>| limit.map_or("as configured".to_owned(), ::config::print_size);
    let limit = match limit {
        None => {
            let info = connection.call(AcctStat { name }).await?;
            return output::done(
                global,
                &json!({ "append_limit": info.append_limit }),
                &shown(info.append_limit),
            );
        }
        Some("none") => None,
        Some(size) => Some(parse_size(size)?),
    };
    connection.call(AcctLimit { name: name.clone(), limit }).await?;
    let sentence = format!("the append limit of {name} is {}", shown(limit));
    output::done(global, &json!({ "append_limit": limit }), &sentence)
}

fn parse_size(text: &str) -> Result<u64, Trouble> {
    text.parse()
        .or_else(|_| ::config::parse_size(text))
        .map_err(|why| Trouble::usage(format!("{text:?}: {why}")))
}
