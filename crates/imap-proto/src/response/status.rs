//! STATUS (RFC 9051 §7.3.4).

use super::{StatusValue, mailbox};
use crate::command::StatusItem;
use crate::parse::Names;

pub(super) fn status(name: &str, items: &[(StatusItem, StatusValue)], names: Names, out: &mut Vec<u8>) {
    out.extend_from_slice(b"* STATUS ");
    mailbox(name, names, out);
    let text = |(item, value): &(StatusItem, StatusValue)| match value {
        StatusValue::Number(n) => format!("{} {n}", status_word(*item)),
        StatusValue::ObjectId(id) => format!("{} ({id})", status_word(*item)),
    };
    let items: Vec<String> = items.iter().map(text).collect();
    out.extend_from_slice(format!(" ({})\r\n", items.join(" ")).as_bytes());
}

fn status_word(item: StatusItem) -> &'static str {
    match item {
        StatusItem::Messages => "MESSAGES",
        StatusItem::Recent => "RECENT",
        StatusItem::UidNext => "UIDNEXT",
        StatusItem::UidValidity => "UIDVALIDITY",
        StatusItem::Unseen => "UNSEEN",
        StatusItem::Deleted => "DELETED",
        StatusItem::DeletedStorage => "DELETED-STORAGE",
        StatusItem::Size => "SIZE",
        StatusItem::AppendLimit => "APPENDLIMIT",
        StatusItem::HighestModSeq => "HIGHESTMODSEQ",
        StatusItem::MailboxId => "MAILBOXID",
    }
}
