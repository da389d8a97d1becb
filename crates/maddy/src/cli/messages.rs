//! `imap-msgs`.

use crate::admin::{
    By, LIST_MAX, MESSAGE_MAX, MessagesAdd, MessagesCopy, MessagesFlag, MessagesList, MessagesPick,
    MessagesPiece, MessagesRemove, Mode, Pick, Selection, Way,
};
use crate::cli::args::{Copying, Flagging, Global, Messages, MsgsCommand};
use crate::cli::{Connection, Trouble, ask, output};
use mail::mime::decode;
use serde_json::json;
use std::io::{self, Read};

/// Widest column of a name or subject in listings.
const COLUMN_MAX: usize = 48;

pub(crate) async fn run(command: &MsgsCommand, global: &Global) -> Result<(), Trouble> {
    match command {
        MsgsCommand::List { account, mailbox, set, uid } => {
            let (account, mailbox, set) = (account.clone(), mailbox.clone(), set.clone());
            let messages = Messages { account, mailbox, set, uid: *uid };
            Connection::with(global, async |server| list(server, &messages, global).await).await
        }
        MsgsCommand::Add { account, mailbox, flags, date } => {
            let (account, mailbox, flags) = (account.clone(), mailbox.clone(), flags.clone());
            let received = date.as_deref().map(read_time).transpose()?;
            let message = MessagesAdd { account, mailbox, flags, received, message: read_message()? };
            Connection::with(global, async |server| add(server, message, global).await).await
        }
        MsgsCommand::Dump(messages) => {
            Connection::with(global, async |server| dump(server, messages).await).await
        }
        MsgsCommand::Copy(copying) => {
            Connection::with(global, async |server| copy(server, copying, Way::Copy, global).await).await
        }
        MsgsCommand::Move(copying) => {
            Connection::with(global, async |server| copy(server, copying, Way::Move, global).await).await
        }
        MsgsCommand::Remove { messages, yes } => {
            let question =
                format!("Messages {} of {} will be gone for good.", messages.set, messages.mailbox);
            ask::confirm(&question, *yes)?;
            Connection::with(global, async |server| remove(server, messages, global).await).await
        }
        MsgsCommand::AddFlags(flagging) => {
            Connection::with(global, async |server| flag(server, flagging, Mode::Add, global).await).await
        }
        MsgsCommand::RemFlags(flagging) => {
            Connection::with(global, async |server| flag(server, flagging, Mode::Remove, global).await).await
        }
        MsgsCommand::SetFlags(flagging) => {
            Connection::with(global, async |server| flag(server, flagging, Mode::Set, global).await).await
        }
    }
}

async fn add(server: &Connection, message: MessagesAdd, global: &Global) -> Result<(), Trouble> {
    let uid = server.call(message).await?;
    output::done(global, &json!({ "uid": uid }), &uid.to_string())
}

async fn remove(server: &Connection, messages: &Messages, global: &Global) -> Result<(), Trouble> {
    let (account, mailbox) = (messages.account.clone(), messages.mailbox.clone());
    let gone = server.call(MessagesRemove { account, mailbox, selection: selection(messages) }).await?;
    counted(global, "removed", gone)
}

fn selection(messages: &Messages) -> Selection {
    let by = if messages.uid { By::Uid } else { By::Number };
    Selection { set: messages.set.clone(), by }
}

fn counted(global: &Global, what: &str, count: u64) -> Result<(), Trouble> {
    let plural = if count == 1 { "" } else { "s" };
    output::done(global, &json!({ what: count }), &format!("{count} message{plural} {what}"))
}

async fn list(connection: &Connection, messages: &Messages, global: &Global) -> Result<(), Trouble> {
    let mut all = Vec::new();
    for picks in pick(connection, messages).await?.chunks(LIST_MAX) {
        let (account, mailbox) = (messages.account.clone(), messages.mailbox.clone());
        all.extend(connection.call(MessagesList { account, mailbox, picks: picks.to_vec() }).await?);
    }
    let head = ["no", "uid", "received", "size", "flags", "from", "subject"];
    output::list(
        global,
        &all,
        &head,
        |message| {
            vec![
                message.number.to_string(),
                message.uid.to_string(),
                output::time(message.received),
                output::size(message.size),
                message.flags.join(" "),
                output::shorten(bare(&message.from), COLUMN_MAX),
                output::shorten(&message.subject, COLUMN_MAX),
            ]
        },
        "there are no such messages",
    )
}

/// An address that stands alone, without its brackets.
fn bare(from: &str) -> &str {
    from.strip_prefix('<')
        .and_then(|rest| rest.strip_suffix('>'))
        .filter(|one| !one.contains('<'))
        .unwrap_or(from)
}

fn read_time(text: &str) -> Result<i64, Trouble> {
    mail::date::parse_iso(text)
        .map(|stamp| stamp.seconds)
        .ok_or_else(|| Trouble::usage(format!("{text:?} is no time; write it like 2026-01-31T12:00:00Z")))
}

fn read_message() -> Result<String, Trouble> {
    let mut octets = Vec::new();
    io::stdin().lock().take(MESSAGE_MAX + 1).read_to_end(&mut octets)?;
    if octets.len() as u64 > MESSAGE_MAX {
        let most = ::config::print_size(MESSAGE_MAX);
        return Err(Trouble::new(format!("the message is larger than {most}; add it with a mail client")));
    }
    if octets.is_empty() {
        return Err(Trouble::new("no message came on standard input"));
    }
    Ok(decode::to_base64(&octets))
}

/// The messages that are meant.
async fn pick(connection: &Connection, messages: &Messages) -> Result<Vec<Pick>, Trouble> {
    let (account, mailbox) = (messages.account.clone(), messages.mailbox.clone());
    connection.call(MessagesPick { account, mailbox, selection: selection(messages) }).await
}

async fn dump(connection: &Connection, messages: &Messages) -> Result<(), Trouble> {
    let picks = pick(connection, messages).await?;
    if picks.is_empty() {
        return Err(Trouble::new(format!("{} has no message {}", messages.mailbox, messages.set)));
    }
    for pick in picks {
        dump_one(connection, &messages.account, &messages.mailbox, pick.uid).await?;
    }
    Ok(())
}

async fn dump_one(connection: &Connection, account: &str, mailbox: &str, uid: u32) -> Result<(), Trouble> {
    let mut offset = 0;
    loop {
        let (account, mailbox) = (account.to_owned(), mailbox.to_owned());
        let piece = connection.call(MessagesPiece { account, mailbox, uid, offset }).await?;
        let octets = decode::base64(piece.as_bytes());
        if octets.is_empty() {
            return Ok(());
        }
        offset += octets.len() as u64;
        output::octets(&octets)?;
    }
}

async fn copy(connection: &Connection, copying: &Copying, way: Way, global: &Global) -> Result<(), Trouble> {
    let messages = &copying.messages;
    let call = MessagesCopy {
        account: messages.account.clone(),
        mailbox: messages.mailbox.clone(),
        selection: selection(messages),
        to: copying.to.clone(),
        way,
    };
    let count = connection.call(call).await?;
    counted(global, if way == Way::Copy { "copied" } else { "moved" }, count as u64)
}

async fn flag(
    connection: &Connection,
    flagging: &Flagging,
    mode: Mode,
    global: &Global,
) -> Result<(), Trouble> {
    let messages = &flagging.messages;
    let call = MessagesFlag {
        account: messages.account.clone(),
        mailbox: messages.mailbox.clone(),
        selection: selection(messages),
        mode,
        flags: flagging.flags.clone(),
    };
    let count = connection.call(call).await?;
    counted(global, "changed", count as u64)
}
