//! `account`, `creds`, `imap-acct` and `hash`.

use crate::admin::{
    AccountAdd, AccountInfo, AccountList, AccountRemove, AccountRename, AcctCreate, AcctIndex, AcctLimit,
    AcctQuota, AcctRemove, AcctSetQuota, AcctStat, CredsCreate, CredsList, CredsPassword, CredsRemove,
    CredsSalt, CredsVerify, IndexInfo, Kept, Password, QuotaInfo, QuotaLimit, account_name, address_name,
};
use crate::cli::args::{AccountCommand, AcctCommand, CredsCommand, Global};
use crate::cli::ask::{self, Asking};
use crate::cli::reindex::reindex;
use crate::cli::{Connection, Trouble, output};
use auth::Secret;
use serde_json::json;

/// What is to be kept of a new password; the password itself never travels.
async fn keep(server: &Connection, name: &str, password: &Secret) -> Result<Kept, Trouble> {
    let salt = server.call(CredsSalt { name: name.to_owned() }).await?;
    Kept::of(password, salt).map_err(|error| Trouble::new(error.to_string()))
}

pub(crate) fn hash(global: &Global) -> Result<(), Trouble> {
    let password = ask::password("the hash", Asking::Twice)?;
    let hash = auth::hash(&password).map_err(|error| Trouble::new(error.to_string()))?;
    output::done(global, &json!({ "hash": hash }), &hash)
}

pub(crate) async fn account(command: &AccountCommand, global: &Global) -> Result<(), Trouble> {
    match command {
        AccountCommand::Add(name) => add(&name.account, global).await,
        AccountCommand::List => Connection::with(global, async |server| list(server, global).await).await,
        AccountCommand::Remove(removal) => {
            let name = account_name(&removal.account);
            ask::confirm(&format!("{name} and all its mail will be gone for good."), removal.yes)?;
            Connection::with(global, async |server| {
                server.call(AccountRemove { name: name.clone() }).await?;
                output::done(global, &json!({ "removed": name }), &format!("{name} is gone"))
            })
            .await
        }
        AccountCommand::Rename { account, to } => {
            Connection::with(global, async |server| {
                let to = server.call(AccountRename { name: account.clone(), to: to.clone() }).await?;
                server.note_domain(&to);
                let name = account_name(account);
                output::done(global, &json!({ "account": to }), &format!("{name} is now {to}"))
            })
            .await
        }
        AccountCommand::Password(name) => set_password(&name.account, global).await,
        AccountCommand::Sending(args) => super::sending::run(args, global).await,
        AccountCommand::Profile { account, qr } => super::profile::print(account, *qr, global),
    }
}

async fn add(typed: &str, global: &Global) -> Result<(), Trouble> {
    let name = address_name(typed)?;
    let password = ask::password(&name, Asking::Twice)?;
    Connection::with(global, async |server| {
        let kept = keep(server, &name, &password).await?;
        let name = server.call(AccountAdd { name, kept }).await?;
        server.note_domain(&name);
        output::done(global, &json!({ "account": name }), &format!("{name} can log in and receive mail"))
    })
    .await
}

async fn list(server: &Connection, global: &Global) -> Result<(), Trouble> {
    let accounts = server.call(AccountList {}).await?;
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

async fn set_password(typed: &str, global: &Global) -> Result<(), Trouble> {
    let name = account_name(typed);
    let password = ask::password(&name, Asking::Twice)?;
    Connection::with(global, async |server| {
        let kept = keep(server, &name, &password).await?;
        server.call(CredsPassword { name: name.clone(), kept }).await?;
        output::done(global, &json!({ "account": name }), &format!("{name} has a new password"))
    })
    .await
}

pub(crate) async fn creds(command: &CredsCommand, global: &Global) -> Result<(), Trouble> {
    match command {
        CredsCommand::Create(name) => create_creds(&name.account, global).await,
        CredsCommand::List => Connection::with(global, async |server| list_creds(server, global).await).await,
        CredsCommand::Remove(removal) => {
            let name = account_name(&removal.account);
            ask::confirm(&format!("{name} will not be able to log in; its mail stays."), removal.yes)?;
            Connection::with(global, async |server| {
                server.call(CredsRemove { name: name.clone() }).await?;
                output::done(global, &json!({ "removed": name }), &format!("{name} cannot log in any more"))
            })
            .await
        }
        CredsCommand::Password(name) => set_password(&name.account, global).await,
        CredsCommand::Verify(name) => verify(&name.account, global).await,
        CredsCommand::Certificate(command) => super::logins::certificate(command, global).await,
        CredsCommand::Guesses(command) => super::guesses::run(command, global).await,
        CredsCommand::AppPassword(command) => super::logins::app_password(command, global).await,
    }
}

async fn create_creds(typed: &str, global: &Global) -> Result<(), Trouble> {
    let name = address_name(typed)?;
    let password = ask::password(&name, Asking::Twice)?;
    Connection::with(global, async |server| {
        let kept = keep(server, &name, &password).await?;
        let name = server.call(CredsCreate { name, kept }).await?;
        server.note_domain(&name);
        let sentence = format!("{name} can log in; `maddy imap-acct create {name}` makes its mailboxes");
        output::done(global, &json!({ "account": name }), &sentence)
    })
    .await
}

async fn list_creds(server: &Connection, global: &Global) -> Result<(), Trouble> {
    let list = server.call(CredsList {}).await?;
    output::list(
        global,
        &list,
        &["account", "created", "password set", "scram"],
        |creds| {
            let scram = if creds.scram { "yes" } else { "not yet" }.to_owned();
            vec![creds.name.clone(), output::time(creds.created), output::time(creds.changed), scram]
        },
        "there are no credentials; make an account with `maddy account add <address>`",
    )
}

async fn verify(typed: &str, global: &Global) -> Result<(), Trouble> {
    let name = account_name(typed);
    let password = ask::password(&name, Asking::Once)?;
    Connection::with(global, async |server| {
        let call = CredsVerify { name: name.clone(), password: Password::new(&password) };
        let right = server.call(call).await?;
        if global.json {
            output::json(&json!({ "account": name, "right": right }))?;
            return if right { Ok(()) } else { Err(Trouble::new("")) };
        }
        if right { output::line("the password is right") } else { Err(Trouble::new("the password is wrong")) }
    })
    .await
}

pub(crate) async fn acct(command: &AcctCommand, global: &Global) -> Result<(), Trouble> {
    if let AcctCommand::Remove(removal) = command {
        let name = account_name(&removal.account);
        ask::confirm(&format!("All mail of {name} will be gone for good; its login stays."), removal.yes)?;
    }
    Connection::with(global, async |server| carry_out(command, server, global).await).await
}

async fn carry_out(command: &AcctCommand, server: &Connection, global: &Global) -> Result<(), Trouble> {
    match command {
        AcctCommand::Create(name) => {
            let name = server.call(AcctCreate { name: name.account.clone() }).await?;
            server.note_domain(&name);
            let sentence = format!("{name} has mailboxes; `maddy creds create {name}` lets it log in");
            output::done(global, &json!({ "account": name }), &sentence)
        }
        AcctCommand::List => {
            let mut accounts = server.call(AccountList {}).await?;
            accounts.retain(|account| account.created.is_some());
            print_accounts(&accounts, global)
        }
        AcctCommand::Remove(removal) => {
            let name = account_name(&removal.account);
            server.call(AcctRemove { name: name.clone() }).await?;
            output::done(global, &json!({ "removed": name }), &format!("the mailboxes of {name} are gone"))
        }
        AcctCommand::Stat(name) => {
            let info = server.call(AcctStat { name: name.account.clone() }).await?;
            let index = server.call(AcctIndex { name: name.account.clone() }).await?;
            let whole = json!({
                "name": info.name, "login": info.login, "created": info.created, "mailboxes": info.mailboxes,
                "messages": info.messages, "size": info.size, "append_limit": info.append_limit,
                "index": index,
            });
            output::done(global, &whole, &format!("{}\n{}", describe(&info), describe_index(&index)))
        }
        AcctCommand::Reindex(name) => reindex(server, &name.account, global).await,
        AcctCommand::Appendlimit { account, limit } => {
            append_limit(server, account, limit.as_deref(), global).await
        }
        AcctCommand::Quota { account, size, messages } => {
            let size = size.as_deref().map(|text| quota_limit(text, parse_size)).transpose()?;
            let messages = messages.as_deref().map(|text| quota_limit(text, parse_count)).transpose()?;
            quota(server, account_name(account), size, messages, global).await
        }
    }
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

fn describe_index(index: &IndexInfo) -> String {
    let text = match index.indexed {
        0 => "none".to_owned(),
        indexed => format!("{indexed} messages, {}", output::size(index.size)),
    };
    format!("{:<14}{text}", "search index")
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

pub(super) fn quota_limit(
    text: &str,
    number: impl Fn(&str) -> Result<u64, Trouble>,
) -> Result<QuotaLimit, Trouble> {
    match text {
        "default" => Ok(QuotaLimit::AsConfigured),
        "none" => Ok(QuotaLimit::None),
        text => number(text).map(QuotaLimit::At),
    }
}

fn parse_count(text: &str) -> Result<u64, Trouble> {
    text.parse().map_err(|_| Trouble::usage(format!("{text:?} is not a number, none or default")))
}

async fn quota(
    server: &Connection,
    name: String,
    size: Option<QuotaLimit>,
    messages: Option<QuotaLimit>,
    global: &Global,
) -> Result<(), Trouble> {
    if size.is_some() || messages.is_some() {
        server.call(AcctSetQuota { name: name.clone(), size, messages }).await?;
    }
    let info = server.call(AcctQuota { name }).await?;
    output::done(global, &info, &describe_quota(&info))
}

fn describe_quota(info: &QuotaInfo) -> String {
    let of = |limit: Option<String>| limit.map_or("no limit".to_owned(), |limit| format!("of {limit}"));
    let origin = if info.as_configured { "\nas configured" } else { "" };
    format!(
        "size      {}, {}\nmessages  {}, {}{origin}",
        output::size(info.size),
        of(info.size_limit.map(output::size)),
        info.messages,
        of(info.messages_limit.map(|limit| limit.to_string())),
    )
}

fn parse_size(text: &str) -> Result<u64, Trouble> {
    text.parse()
        .or_else(|_| ::config::parse_size(text))
        .map_err(|why| Trouble::usage(format!("{text:?}: {why}")))
}
