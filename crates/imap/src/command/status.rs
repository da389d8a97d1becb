//! STATUS (RFC 9051 §6.3.11): read from counters, never by looking at messages.

use crate::client::Client;
use crate::object;
use crate::reach::{Needed, Reached};
use crate::refusal;
use imap_proto::command::StatusItem;
use imap_proto::{Response, StatusValue, Untagged};
use storage::{Error, Mailbox, MailboxKind, Rights};

pub(super) async fn run(client: &mut Client, name: &str, items: &[StatusItem]) -> Response {
    let mailbox = match client.reach(name, Needed::All(Rights::READ)).await {
        Ok(Reached { mailbox, .. }) if mailbox.kind == MailboxKind::NoSelect => {
            return refusal::response(&Error::NotSelectable(mailbox.name));
        }
        Ok(reached) => reached.mailbox,
        Err(denied) => return denied.response(),
    };
    let line = match line(client, &mailbox, items).await {
        Ok(line) => line,
        Err(error) => return refusal::response(&error),
    };
    super::tell(client, line, "That is all.")
}

/// The answer for one mailbox.
pub(super) async fn line(
    client: &Client,
    mailbox: &Mailbox,
    items: &[StatusItem],
) -> Result<Untagged, Error> {
    // Only a mailbox with messages to be expunged is looked into.
    let deleted_octets = if mailbox.deleted > 0 && items.contains(&StatusItem::DeletedStorage) {
        client.house.store.deleted_octets(mailbox.id).await?
    } else {
        0
    };
    let limit = client.account.as_ref().map_or(client.config.append_limit, |account| account.append_limit);
    let number = |item: &StatusItem| match item {
        StatusItem::Messages => u64::from(mailbox.messages),
        StatusItem::Recent => 0,
        StatusItem::UidNext => u64::from(mailbox.uidnext),
        StatusItem::UidValidity => u64::from(mailbox.uidvalidity),
        StatusItem::Unseen => u64::from(mailbox.unseen),
        StatusItem::Deleted => u64::from(mailbox.deleted),
        StatusItem::DeletedStorage => deleted_octets,
        StatusItem::Size => mailbox.size,
        StatusItem::AppendLimit => limit,
        StatusItem::HighestModSeq => mailbox.modseq,
        StatusItem::MailboxId => 0,
    };
    let value = |item: &StatusItem| match item {
        StatusItem::MailboxId => StatusValue::ObjectId(object::mailbox(mailbox.id)),
        other => StatusValue::Number(number(other)),
    };
    Ok(Untagged::MailboxStatus {
        name: mailbox.name.clone(),
        items: items.iter().map(|item| (*item, value(item))).collect(),
    })
}
