//! `queue`.

use crate::admin::{
    JobInfo, QueueCount, QueueEdit, QueueHold, QueueList, QueueRelease, QueueRemove, QueueRetry, QueueShow,
    Which,
};
use crate::cli::args::Global;
use crate::cli::queue_show::{describe, row};
use crate::cli::suppressed::{self, SuppressedCommand};
use crate::cli::{Connection, Trouble, ask, output};
use clap::{Args, Subcommand};
use serde_json::json;
use std::cell::Cell;
use std::time::Duration;

#[derive(Clone, Debug, Subcommand)]
pub(crate) enum QueueCommand {
    /// List what waits
    List {
        #[command(flatten)]
        filter: Filter,
    },
    /// Show one message with its recipients and all attempts so far
    Show {
        /// The number from `maddy queue list`
        id: i64,
    },
    /// Try again at once
    Retry {
        #[command(flatten)]
        these: These,
    },
    /// Try all that waits at once, whatever is known of its hosts
    Flush {
        /// Only what goes to this domain
        #[arg(long)]
        domain: Option<String>,
    },
    /// Begin no more attempts until it is released, however long that takes
    Hold {
        #[command(flatten)]
        these: These,
    },
    /// Let go what was held
    Release {
        #[command(flatten)]
        these: These,
    },
    /// Change who a waiting message is from or goes to, or how urgent it is
    Edit(EditArgs),
    /// Take messages out of the queue; their senders are not told
    Remove {
        #[command(flatten)]
        these: These,
        /// Do not ask
        #[arg(short, long)]
        yes: bool,
    },
    /// Addresses to which nothing is sent any more
    #[command(subcommand)]
    Suppressed(SuppressedCommand),
}

#[derive(Clone, Debug, Args)]
pub(crate) struct EditArgs {
    /// The number from `maddy queue list`
    id: i64,
    /// The new sender
    #[arg(long, value_name = "ADDRESS")]
    from: Option<String>,
    /// A recipient and the one in its place; may be given several times
    #[arg(long, value_name = "OLD=NEW", value_parser = pair)]
    to: Vec<(String, String)>,
    /// From -9 to 9
    #[arg(long, value_name = "N", allow_hyphen_values = true)]
    priority: Option<i64>,
}

/// Which messages: those to which all that is given applies.
#[derive(Clone, Debug, Default, Args)]
pub(crate) struct Filter {
    /// From this sender; `*` stands for any text, `<>` for notices
    #[arg(long, value_name = "ADDRESS")]
    from: Option<String>,
    /// To this recipient; `*` stands for any text
    #[arg(long, value_name = "ADDRESS")]
    to: Option<String>,
    /// To this domain
    #[arg(long)]
    domain: Option<String>,
    /// With this id in the log
    #[arg(long, value_name = "ID")]
    mail: Option<String>,
    /// Arrived longer ago than this: 30m, 2h, 5d
    #[arg(long, value_name = "TIME", value_parser = age)]
    older_than: Option<Duration>,
    /// Only what is held
    #[arg(long)]
    held: bool,
}

#[derive(Clone, Debug, Default, Args)]
pub(crate) struct These {
    /// Numbers from `maddy queue list`
    ids: Vec<i64>,
    #[command(flatten)]
    filter: Filter,
    /// Everything in the queue
    #[arg(long)]
    all: bool,
}

/// The old address of a recipient, and the new one.
fn pair(text: &str) -> Result<(String, String), String> {
    // A local part may have "=" in it, a domain may not.
    let at = text.find('@').ok_or("write it as old@domain=new@domain")?;
    let equals = text[at..].find('=').ok_or("write it as old@domain=new@domain")?;
    let (old, new) = text.split_at(at + equals);
    Ok((old.to_owned(), new[1..].to_owned()))
}

fn age(text: &str) -> Result<Duration, String> {
    config::parse_duration(text)
}

impl Filter {
    fn which(&self, id: Option<i64>) -> Which {
        Which {
            id,
            mail_id: self.mail.clone(),
            from: self.from.clone(),
            to: self.to.clone(),
            domain: self.domain.clone(),
            older_than: self.older_than.map(|age| age.as_secs()),
            held: self.held.then_some(true),
        }
    }

    fn is_empty(&self) -> bool {
        let Self { from, to, domain, mail, older_than, held } = self;
        let given = [from, to, domain, mail].iter().any(|one| one.is_some());
        !given && older_than.is_none() && !held
    }
}

impl These {
    /// One for each number, or one for the filter. To touch everything takes a word more, where `must_say` so.
    fn which(&self, must_say: MustSay) -> Result<Vec<Which>, Trouble> {
        if !self.ids.is_empty() {
            return Ok(self.ids.iter().map(|id| self.filter.which(Some(*id))).collect());
        }
        if must_say == MustSay::All && self.filter.is_empty() && !self.all {
            let text = "name messages by their numbers, by --from, --to, --domain, --mail or --older-than, or say --all";
            return Err(Trouble::new(text));
        }
        Ok(vec![self.filter.which(None)])
    }
}

/// What must be said to touch everything.
#[derive(Clone, Copy, PartialEq, Eq)]
enum MustSay {
    Nothing,
    All,
}

pub(crate) async fn run(command: &QueueCommand, global: &Global) -> Result<(), Trouble> {
    if let QueueCommand::Remove { these, yes } = command {
        let which = these.which(MustSay::All)?;
        let what = match these.ids.as_slice() {
            [id] => format!("Message {id} will not be delivered, and its sender not told."),
            _ => {
                let found = Cell::new(0);
                Connection::with(global, async |server| {
                    found.set(count(&which, server).await?);
                    Ok(())
                })
                .await?;
                let count = found.get();
                format!("{count} messages will not be delivered, and their senders not told.")
            }
        };
        ask::confirm(&what, *yes)?;
    }
    Connection::with(global, async |server| carry_out(command, server, global).await).await
}

async fn count(which: &[Which], connection: &Connection) -> Result<u64, Trouble> {
    let mut count = 0;
    for one in which {
        count += connection.call(QueueCount { which: one.clone() }).await?;
    }
    Ok(count)
}

async fn carry_out(command: &QueueCommand, connection: &Connection, global: &Global) -> Result<(), Trouble> {
    match command {
        QueueCommand::List { filter } => list(filter, connection, global).await,
        QueueCommand::Show { id } => {
            let job = connection.call(QueueShow { id: *id }).await?;
            output::done(global, &job, describe(&job).trim_end())
        }
        QueueCommand::Retry { these } => retry(&these.which(MustSay::Nothing)?, connection, global).await,
        QueueCommand::Flush { domain } => {
            let which = Which { domain: domain.clone(), ..Which::default() };
            retry(&[which], connection, global).await
        }
        QueueCommand::Hold { these } => {
            let mut held = 0;
            for which in these.which(MustSay::All)? {
                held += connection.call(QueueHold { which }).await?;
            }
            output::done(global, &json!({ "held": held }), &format!("{} held", messages(held)))
        }
        QueueCommand::Release { these } => {
            let mut released = 0;
            for which in these.which(MustSay::All)? {
                released += connection.call(QueueRelease { which }).await?;
            }
            output::done(
                global,
                &json!({ "released": released }),
                &format!("{} released", messages(released)),
            )
        }
        QueueCommand::Edit(edit) => change(edit, connection, global).await,
        QueueCommand::Remove { these, .. } => {
            let mut removed = 0;
            for which in these.which(MustSay::All)? {
                removed += connection.call(QueueRemove { which }).await?;
            }
            let text = match these.ids.as_slice() {
                [id] => format!("message {id} is gone"),
                _ => format!("{} gone", messages(removed)),
            };
            output::done(global, &json!({ "removed": removed }), &text)
        }
        QueueCommand::Suppressed(command) => suppressed::carry_out(command, connection, global).await,
    }
}

fn messages(count: u64) -> String {
    if count == 1 { "1 message is".to_owned() } else { format!("{count} messages are") }
}

async fn retry(which: &[Which], connection: &Connection, global: &Global) -> Result<(), Trouble> {
    let mut due = 0;
    for one in which {
        due += connection.call(QueueRetry { which: one.clone() }).await?;
    }
    let plural = if due == 1 { "" } else { "s" };
    output::done(global, &json!({ "recipients": due }), &format!("{due} recipient{plural} will be tried now"))
}

async fn change(edit: &EditArgs, connection: &Connection, global: &Global) -> Result<(), Trouble> {
    if edit.from.is_none() && edit.to.is_empty() && edit.priority.is_none() {
        return Err(Trouble::new("say what is to be changed: --from, --to or --priority"));
    }
    let EditArgs { id, from, to, priority } = edit.clone();
    connection.call(QueueEdit { id, from, to, priority }).await?;
    output::done(global, &json!({ "edited": id }), &format!("message {id} is changed"))
}

async fn list(filter: &Filter, connection: &Connection, global: &Global) -> Result<(), Trouble> {
    let mut all: Vec<JobInfo> = Vec::new();
    loop {
        let after = all.last().map(|job| job.id);
        let page = connection.call(QueueList { after, which: filter.which(None) }).await?;
        if page.is_empty() {
            break;
        }
        all.extend(page);
    }
    let head = ["id", "mail", "arrived", "size", "next try", "from", "to"];
    let empty = if filter.is_empty() { "the queue is empty" } else { "nothing of that kind is in the queue" };
    output::list(global, &all, &head, row, empty)
}
