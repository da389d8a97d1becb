//! `queue`.

use crate::admin::{JobInfo, QueueList, QueueRemove, QueueRetry, QueueShow};
use crate::cli::args::Global;
use crate::cli::{Connection, Trouble, ask, output};
use clap::Subcommand;
use serde_json::json;

#[derive(Clone, Debug, Subcommand)]
pub(crate) enum QueueCommand {
    /// List what waits
    List,
    /// Show one message with its recipients and what happened so far
    Show {
        /// The number from `maddy queue list`
        id: i64,
    },
    /// Try again at once
    Retry {
        /// The number from `maddy queue list`; all, if not given
        id: Option<i64>,
    },
    /// Take a message out of the queue; its sender is not told
    Remove {
        /// The number from `maddy queue list`
        id: i64,
        /// Do not ask
        #[arg(short, long)]
        yes: bool,
    },
}

/// Widest column of addresses in listings.
const COLUMN_MAX: usize = 60;

pub(crate) async fn run(command: &QueueCommand, global: &Global) -> Result<(), Trouble> {
    if let QueueCommand::Remove { id, yes } = *command {
        ask::confirm(&format!("Message {id} will not be delivered, and its sender not told."), yes)?;
    }
    Connection::with(global, async |server| carry_out(command, server, global).await).await
}

async fn carry_out(command: &QueueCommand, connection: &Connection, global: &Global) -> Result<(), Trouble> {
    match *command {
        QueueCommand::List => list(connection, global).await,
        QueueCommand::Show { id } => {
            let job = connection.call(QueueShow { id }).await?;
            output::done(global, &job, describe(&job).trim_end())
        }
        QueueCommand::Retry { id } => {
            let due = connection.call(QueueRetry { id }).await?;
            let plural = if due == 1 { "" } else { "s" };
            output::done(
                global,
                &json!({ "recipients": due }),
                &format!("{due} recipient{plural} will be tried now"),
            )
        }
        QueueCommand::Remove { id, .. } => {
            connection.call(QueueRemove { id }).await?;
            output::done(global, &json!({ "removed": id }), &format!("message {id} is gone"))
        }
    }
}

async fn list(connection: &Connection, global: &Global) -> Result<(), Trouble> {
    let mut all: Vec<JobInfo> = Vec::new();
    loop {
        let page = connection.call(QueueList { after: all.last().map(|job| job.id) }).await?;
        if page.is_empty() {
            break;
        }
        all.extend(page);
    }
    let head = ["id", "mail", "arrived", "size", "next try", "from", "to"];
    output::list(global, &all, &head, row, "the queue is empty")
}

fn row(job: &JobInfo) -> Vec<String> {
    let waiting = || job.recipients.iter().filter(|recipient| recipient.state == "waiting");
    let mut to: Vec<&str> = job.recipients.iter().map(|recipient| recipient.address.as_str()).collect();
    if job.damage.is_some() {
        to.insert(0, "(damaged)");
    }
    vec![
        job.id.to_string(),
        job.mail_id.clone(),
        output::time(job.arrived),
        output::size(job.size),
        waiting().map(|recipient| recipient.due).min().map_or("now".to_owned(), output::time),
        sender(job).to_owned(),
        output::shorten(&to.join(" "), COLUMN_MAX),
    ]
}

fn sender(job: &JobInfo) -> &str {
    if job.from.is_empty() { "<>" } else { &job.from }
}

fn describe(job: &JobInfo) -> String {
    let mut text = format!(
        "message   {} (mail {})\nfrom      {}\narrived   {}\nsize      {}\n",
        job.id,
        job.mail_id,
        output::printable(sender(job)),
        output::time(job.arrived),
        output::size(job.size)
    );
    if let Some(damage) = &job.damage {
        text.push_str(&format!("damaged   {}\n", output::printable(damage)));
    }
    for recipient in &job.recipients {
        let next = if recipient.state == "waiting" {
            format!(", next try {}", output::time(recipient.due))
        } else {
            String::new()
        };
        let address = output::printable(&recipient.address);
        let tries = if recipient.attempts == 1 {
            "1 try".to_owned()
        } else {
            format!("{} tries", recipient.attempts)
        };
        text.push_str(&format!("\n{address}\n  {}, {tries}{next}\n", recipient.state));
        if let Some(last) = &recipient.last {
            let reply = output::printable(&last.reply);
            text.push_str(&format!(
                "  {} {}: {reply}\n",
                output::time(last.at),
                output::printable(&last.host)
            ));
        }
    }
    text
}
