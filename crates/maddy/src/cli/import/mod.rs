//! `import`: mail of another program, or another server, into an account. What was brought in before is passed over, so
//! that a command that was broken off is simply given again.

mod bring;
mod feed;
mod ledger;
mod progress;
mod remote;
mod talk;

use crate::admin::{ImportForget, ImportQuota};
use crate::cli::args::Global;
use crate::cli::{Connection, Trouble, output};
use bring::Bringing;
use clap::{Args, Subcommand};
use moving::Source;
use moving::maildir::Maildir;
use moving::mbox::{Mbox, Quoting};
use remote::Remote;
use serde_json::json;
use std::path::PathBuf;
use std::sync::Arc;

pub(super) use progress::Progress;

#[derive(Clone, Debug, Subcommand)]
pub(crate) enum ImportCommand {
    /// From a maildir with its folders (Maildir++, or directories in directories)
    Maildir {
        /// The maildir
        path: PathBuf,
        #[command(flatten)]
        into: Into,
    },
    /// From an mbox, or a directory of them
    Mbox {
        /// The file, or the directory
        path: PathBuf,
        #[command(flatten)]
        into: Into,
        /// How lines that begin with `From ` are written: auto, mboxrd, mboxo, mboxcl or mboxcl2
        #[arg(long, value_name = "KIND", default_value = "auto")]
        quoting: Quoting,
        /// The mailbox for the messages of one file
        #[arg(long, value_name = "MAILBOX", default_value = "INBOX")]
        mailbox: String,
    },
    /// From another server, over IMAP
    Imap(Remote),
    /// Forget what was brought in before, so that it can be brought in again
    Forget {
        /// The account, an address like alice@example.org
        account: String,
    },
}

/// Where mail goes, and how.
#[derive(Clone, Debug, Args)]
pub(crate) struct Into {
    /// The account that gets it, an address like alice@example.org
    pub(super) account: String,
    /// A folder goes into another mailbox: 'Sent Items=Sent'. May be given several times
    #[arg(long = "map", value_name = "FOLDER=MAILBOX", value_parser = read_map)]
    pub(super) maps: Vec<(String, String)>,
    /// All folders go below this mailbox
    #[arg(long, value_name = "MAILBOX")]
    pub(super) below: Option<String>,
    /// Only this folder, and those below it. May be given several times
    #[arg(long = "only", value_name = "FOLDER")]
    pub(super) only: Vec<String>,
    /// Also what is more than the account may keep
    #[arg(long)]
    pub(super) ignore_quota: bool,
}

fn read_map(text: &str) -> Result<(String, String), String> {
    let (from, to) = text.split_once('=').ok_or("write it like 'Sent Items=Sent'")?;
    if from.is_empty() || to.is_empty() {
        return Err("write it like 'Sent Items=Sent'".to_owned());
    }
    Ok((from.to_owned(), to.to_owned()))
}

impl Into {
    fn quota(&self) -> ImportQuota {
        if self.ignore_quota { ImportQuota::Ignored } else { ImportQuota::Obeyed }
    }

    fn wants(&self, folder: &str) -> bool {
        let is_below = |top: &str| folder.strip_prefix(top).is_some_and(|rest| rest.starts_with('/'));
        self.only.is_empty() || self.only.iter().any(|only| only == folder || is_below(only))
    }

    /// The mailbox for a folder.
    fn target(&self, folder: &str) -> String {
        let mapped = self.maps.iter().find_map(|(from, to)| match folder.strip_prefix(from.as_str()) {
            Some("") => Some(to.clone()),
            Some(rest) if rest.starts_with('/') => Some(format!("{to}{rest}")),
            _ => None,
        });
        let name = mapped.unwrap_or_else(|| folder.to_owned());
        self.below.as_ref().map_or(name.clone(), |below| format!("{below}/{name}"))
    }
}

pub(crate) async fn run(command: &ImportCommand, global: &Global) -> Result<(), Trouble> {
    match command {
        ImportCommand::Maildir { path, into } => {
            let source = Maildir::open(path).map_err(|error| unreadable(&error))?;
            bring(Arc::new(source), into, global).await
        }
        ImportCommand::Mbox { path, into, quoting, mailbox } => {
            let source = Mbox::open(path, *quoting, mailbox).map_err(|error| unreadable(&error))?;
            bring(Arc::new(source), into, global).await
        }
        ImportCommand::Imap(remote) => fetch(remote, global).await,
        ImportCommand::Forget { account } => {
            Connection::with(global, async |server| {
                let count = server.call(ImportForget { account: account.clone() }).await?;
                let sentence = format!("{count} messages can be brought in again");
                output::done(global, &json!({ "forgotten": count }), &sentence)
            })
            .await
        }
    }
}

fn unreadable(error: &std::io::Error) -> Trouble {
    Trouble::new(error.to_string())
}

async fn bring(source: Arc<dyn Source + Sync>, into: &Into, global: &Global) -> Result<(), Trouble> {
    Connection::with(global, async |server| {
        let mut bringing = Bringing::new(server, into, Progress::start(global));
        let ended = bringing.bring(source).await;
        conclude(bringing, ended, global)
    })
    .await
}

async fn fetch(remote: &Remote, global: &Global) -> Result<(), Trouble> {
    let mut session = remote.connect(global).await?;
    Connection::with(global, async |server| {
        let mut bringing = Bringing::new(server, &remote.into, Progress::start(global));
        let ended = session.bring(&mut bringing, &remote.into).await;
        conclude(bringing, ended, global)
    })
    .await
}

/// Shows what became of every message, also where it ended before its time.
fn conclude(bringing: Bringing<'_>, ended: Result<(), Trouble>, global: &Global) -> Result<(), Trouble> {
    let ledger = bringing.end();
    if let Err(trouble) = ended {
        if ledger.is_empty() {
            return Err(trouble);
        }
        ledger.print(global)?;
        let advice = "give the same command again, and it goes on where it ended";
        return Err(Trouble::new(format!("{trouble}; {advice}")));
    }
    ledger.print(global)?;
    if ledger.refused > 0 { Err(Trouble::new("")) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folders_and_mailboxes() {
        let into = Into {
            account: "a@b.example".to_owned(),
            maps: vec![read_map("Sent Items=Sent").unwrap(), read_map("Old=Archive/Old").unwrap()],
            below: None,
            only: vec!["Old".to_owned(), "INBOX".to_owned()],
            ignore_quota: false,
        };
        for (folder, target, wanted) in [
            ("Sent Items", "Sent", false),
            ("Sent Items/x", "Sent/x", false),
            ("Sent Itemsx", "Sent Itemsx", false),
            ("Old/a", "Archive/Old/a", true),
            ("INBOX", "INBOX", true),
        ] {
            assert_eq!((into.target(folder).as_str(), into.wants(folder)), (target, wanted));
        }
        let below = Into { below: Some("From home".to_owned()), ..into };
        assert_eq!(below.target("INBOX"), "From home/INBOX");
        assert!(read_map("x").is_err() && read_map("=y").is_err());
    }
}
