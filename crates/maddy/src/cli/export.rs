//! `export`: the mail of an account, or of all, as files that other programs read.

use crate::admin::{
    AcctStat, ExportPage, ExportedMessage, MailboxInfo, MboxesList, MessagesPiece, account_name,
};
use crate::cli::args::Global;
use crate::cli::import::Progress;
use crate::cli::{Connection, Trouble, output};
use clap::{Args, Subcommand};
use mail::mime::decode;
use moving::maildir::{FolderWriter, MaildirWriter, Outgoing, Put};
use moving::mbox::{MboxFile, MboxWriter};
use serde::Serialize;
use std::io;
use std::path::{Path, PathBuf};

/// Stands for all accounts.
const ALL: &str = "all";

#[derive(Clone, Debug, Subcommand)]
pub(crate) enum ExportCommand {
    /// As a maildir with folders (Maildir++); what is there already is not written again
    Maildir(Export),
    /// As one mbox for each mailbox (mboxrd)
    Mbox(Export),
}

#[derive(Clone, Debug, Args)]
pub(crate) struct Export {
    /// The account, an address like alice@example.org; or `all`
    account: String,
    /// The directory, made if it is not there; with `all`, each account gets one in it
    dir: PathBuf,
}

/// What became of one account.
#[derive(Debug, Default, Serialize)]
struct Done {
    account: String,
    dir: PathBuf,
    mailboxes: u64,
    messages: u64,
    /// Of the messages: written by an earlier export.
    before: u64,
    octets: u64,
    /// Keywords of messages that the form has no room for.
    lost_keywords: usize,
}

pub(crate) async fn run(command: &ExportCommand, global: &Global) -> Result<(), Trouble> {
    let (ExportCommand::Maildir(export) | ExportCommand::Mbox(export)) = command;
    Connection::with(global, async |server| {
        let mut progress = Progress::start(global);
        let mut list = Vec::new();
        for (account, dir) in accounts(server, export).await? {
            let mut form = match command {
                ExportCommand::Maildir(_) => Form::Maildir(MaildirWriter::create(&dir)?),
                ExportCommand::Mbox(_) => Form::Mbox(MboxWriter::create(&dir)?),
            };
            let mut done = Done { account, dir, ..Done::default() };
            one(server, &mut form, &mut done, &mut progress).await?;
            form.finish()?;
            list.push(done);
        }
        progress.end();
        print(&list, global)
    })
    .await
}

async fn accounts(server: &Connection, export: &Export) -> Result<Vec<(String, PathBuf)>, Trouble> {
    if export.account != ALL {
        let name = account_name(&export.account);
        // That it is not there is said before a directory is made.
        server.call(AcctStat { name: name.clone() }).await?;
        return Ok(vec![(name, export.dir.clone())]);
    }
    let list = server.call(crate::admin::AccountList {}).await?;
    let named = |name: String| {
        let dir = export.dir.join(file_name(&name));
        (name, dir)
    };
    Ok(list.into_iter().filter(|info| info.mailboxes > 0).map(|info| named(info.name)).collect())
}

/// An account's name as that of a directory.
fn file_name(name: &str) -> String {
    let made = name.replace('%', "%25").replace('/', "%2F");
    match made.strip_prefix('.') {
        Some(rest) => format!("%2E{rest}"),
        None => made,
    }
}

/// In which form the mail goes out.
enum Form {
    Maildir(MaildirWriter),
    Mbox(MboxWriter),
}

/// One mailbox of it.
enum Folder {
    Maildir(FolderWriter),
    Mbox(MboxFile),
}

impl Form {
    fn folder(&mut self, mailbox: &MailboxInfo, keywords: &[String]) -> io::Result<Folder> {
        let (name, special, subscribed) = (&mailbox.name, mailbox.special_use.clone(), mailbox.subscribed);
        Ok(match self {
            Self::Maildir(writer) => Folder::Maildir(writer.folder(name, special, subscribed, keywords)?),
            Self::Mbox(writer) => Folder::Mbox(writer.folder(name, special, subscribed)?),
        })
    }

    fn finish(self) -> io::Result<()> {
        match self {
            Self::Maildir(writer) => writer.finish(),
            Self::Mbox(writer) => writer.finish(),
        }
    }
}

impl Folder {
    fn put(&mut self, message: Outgoing) -> io::Result<Put> {
        match self {
            Self::Maildir(folder) => folder.put(message),
            Self::Mbox(folder) => folder.put(message).map(|()| Put::Written),
        }
    }

    /// Ends the folder; how many keywords were lost.
    fn finish(self) -> io::Result<usize> {
        match self {
            Self::Maildir(folder) => Ok(folder.lost_keywords()),
            Self::Mbox(folder) => folder.finish().map(|()| 0),
        }
    }
}

async fn one(
    server: &Connection,
    form: &mut Form,
    done: &mut Done,
    progress: &mut Progress,
) -> Result<(), Trouble> {
    let list = server.call(MboxesList { account: done.account.clone() }).await?;
    for mailbox in list.into_iter().filter(|mailbox| mailbox.selectable) {
        let mut after = 0;
        let mut folder: Option<Folder> = None;
        loop {
            let (account, name) = (done.account.clone(), mailbox.name.clone());
            let page = server.call(ExportPage { account, mailbox: name, after }).await?;
            let folder = match &mut folder {
                Some(folder) => folder,
                None => folder.insert(form.folder(&mailbox, &page.keywords)?),
            };
            let Some(last) = page.messages.last() else { break };
            after = last.uid;
            for message in page.messages {
                let (uid, received) = (message.uid, message.received);
                let flags = message.flags.clone();
                let Some(octets) = octets(server, done, &mailbox.name, message).await? else { continue };
                done.messages += 1;
                done.octets += octets.len() as u64;
                let outgoing = Outgoing { uid, uidvalidity: page.uidvalidity, received, flags, octets };
                done.before += u64::from(folder.put(outgoing)? == Put::There);
            }
            progress.show(&format!("{}: {}: {} messages", done.account, mailbox.name, done.messages));
        }
        done.mailboxes += 1;
        done.lost_keywords += folder.map_or(Ok(0), Folder::finish)?;
    }
    Ok(())
}

/// The octets of a message; a large one comes piece by piece. `None`: it was expunged a moment ago.
async fn octets(
    server: &Connection,
    done: &Done,
    mailbox_name: &str,
    message: ExportedMessage,
) -> Result<Option<Vec<u8>>, Trouble> {
    if let Some(text) = message.message {
        return Ok(Some(decode::base64(text.as_bytes())));
    }
    let mut octets = Vec::new();
    loop {
        let (account, mailbox) = (done.account.clone(), mailbox_name.to_owned());
        let offset = octets.len() as u64;
        let piece = match server.call(MessagesPiece { account, mailbox, uid: message.uid, offset }).await {
            Ok(piece) => decode::base64(piece.as_bytes()),
            Err(_) if is_gone(server, done, mailbox_name, message.uid).await? => return Ok(None),
            Err(trouble) => return Err(trouble),
        };
        if piece.is_empty() {
            break;
        }
        octets.extend_from_slice(&piece);
    }
    if octets.len() as u64 != message.size {
        let (uid, want, got) = (message.uid, message.size, octets.len());
        return Err(Trouble::new(format!("{mailbox_name}: message {uid} has {got} octets of {want}")));
    }
    Ok(Some(octets))
}

async fn is_gone(server: &Connection, done: &Done, mailbox: &str, uid: u32) -> Result<bool, Trouble> {
    let (account, mailbox) = (done.account.clone(), mailbox.to_owned());
    let page = server.call(ExportPage { account, mailbox, after: uid.saturating_sub(1) }).await?;
    Ok(page.messages.first().is_none_or(|message| message.uid != uid))
}

fn print(list: &[Done], global: &Global) -> Result<(), Trouble> {
    let head = ["account", "mailboxes", "messages", "there before", "size", "directory"];
    let row = |done: &Done| {
        vec![
            done.account.clone(),
            done.mailboxes.to_string(),
            done.messages.to_string(),
            done.before.to_string(),
            output::size(done.octets),
            shown(&done.dir),
        ]
    };
    output::list(global, list, &head, row, "there are no accounts")?;
    let lost: usize = list.iter().map(|done| done.lost_keywords).sum();
    if lost > 0 && !global.json {
        eprintln!("{lost} keywords of messages found no room: a folder of a maildir has 26");
    }
    Ok(())
}

fn shown(path: &Path) -> String {
    path.display().to_string()
}
