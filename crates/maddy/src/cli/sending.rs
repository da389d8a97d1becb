//! `account sending`.

use super::account::quota_limit;
use crate::admin::{QuotaLimit, SendingInfo, SendingList, SendingReset, SendingSet, SendingShow};
use crate::cli::args::Global;
use crate::cli::{Connection, Trouble, output};
use clap::Args;

/// Shows or sets what may be sent in a day.
#[derive(Clone, Debug, Args)]
pub(crate) struct SendingArgs {
    /// The account, or `sendmail:` and a user of this machine; all that have sent something, if none is named
    account: Option<String>,
    /// How many messages it may send in a day: a number, none or default
    #[arg(long, value_name = "NUMBER", requires = "account")]
    messages: Option<String>,
    /// To how many addresses it may write for the first time in a day: a number, none or default
    #[arg(long, value_name = "NUMBER", requires = "account")]
    new_recipients: Option<String>,
    /// Forget what it has sent today
    #[arg(long, requires = "account")]
    reset: bool,
}

pub(crate) async fn run(args: &SendingArgs, global: &Global) -> Result<(), Trouble> {
    let limit = |text: &Option<String>| text.as_deref().map(|text| quota_limit(text, number)).transpose();
    let (messages, new_recipients) = (limit(&args.messages)?, limit(&args.new_recipients)?);
    Connection::with(global, async |server| match &args.account {
        None => list(server, global).await,
        Some(sender) => one(server, sender, (messages, new_recipients), args.reset, global).await,
    })
    .await
}

fn number(text: &str) -> Result<u64, Trouble> {
    text.parse().map_err(|_| Trouble::usage(format!("{text:?} is not a number, none or default")))
}

async fn one(
    server: &Connection,
    sender: &str,
    (messages, new_recipients): (Option<QuotaLimit>, Option<QuotaLimit>),
    reset: bool,
    global: &Global,
) -> Result<(), Trouble> {
    let sender = sender.to_owned();
    if messages.is_some() || new_recipients.is_some() {
        server.call(SendingSet { sender: sender.clone(), messages, new_recipients }).await?;
    }
    if reset {
        server.call(SendingReset { sender: sender.clone() }).await?;
    }
    let info = server.call(SendingShow { sender }).await?;
    output::done(global, &info, &describe(&info))
}

fn limit_text(limit: Option<u64>) -> String {
    limit.map_or("no limit".to_owned(), |limit| format!("of {limit}"))
}

fn describe(info: &SendingInfo) -> String {
    let origin = if info.as_configured { "as configured" } else { "limits of its own" };
    let told = if info.told { "\na limit was reached today, and its owner was told" } else { "" };
    format!(
        "sent today      {}, {}\nnew recipients  {}, {}\nremembered      {} addresses\nuntil           {}\n{origin}{told}",
        info.messages,
        limit_text(info.messages_limit),
        info.new_recipients,
        limit_text(info.new_recipients_limit),
        info.known,
        output::time(info.until),
    )
}

async fn list(server: &Connection, global: &Global) -> Result<(), Trouble> {
    let all = server.call(SendingList {}).await?;
    let head = ["account", "messages", "limit", "new recipients", "limit", "remembered", "limits", "told"];
    let limit = |limit: Option<u64>| limit.map_or("none".to_owned(), |limit| limit.to_string());
    let row = |info: &SendingInfo| {
        vec![
            info.sender.clone(),
            info.messages.to_string(),
            limit(info.messages_limit),
            info.new_recipients.to_string(),
            limit(info.new_recipients_limit),
            info.known.to_string(),
            if info.as_configured { "as configured" } else { "own" }.to_owned(),
            if info.told { "yes" } else { "no" }.to_owned(),
        ]
    };
    output::list(global, &all, &head, row, "nobody has sent anything yet")
}
