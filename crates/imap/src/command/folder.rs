//! CREATE, DELETE, RENAME, SUBSCRIBE and UNSUBSCRIBE.

use crate::client::Client;
use crate::object;
use crate::refusal;
use imap_proto::{Code, Response};
use storage::{AccountId, SpecialUse};

fn done<T>(result: storage::Result<T>, text: &'static str) -> Response {
    match result {
        Ok(_) => Response::ok(text),
        Err(error) => refusal::response(&error),
    }
}

/// CREATE, with a special use if one is asked for (RFC 6154 §3); tells its MAILBOXID (RFC 8474 §4.1).
pub(super) async fn create(client: &Client, account: AccountId, name: &str, uses: &[String]) -> Response {
    let special = match uses {
        [] => None,
        [one] => match one.parse::<SpecialUse>() {
            Ok(special) => Some(special),
            Err(()) => return Response::no("This special use is not known here.").word("USEATTR"),
        },
        _ => return Response::no("A mailbox has one special use.").word("USEATTR"),
    };
    match client.house.store.create_mailbox(account, name, special).await {
        Ok(id) => Response::ok("Created.").with(Code::MailboxId(object::mailbox(id))),
        Err(error) => refusal::response(&error),
    }
}

pub(super) async fn delete(client: &mut Client, account: AccountId, name: &str) -> Response {
    let store = &client.house.store;
    let selected = match (store.mailbox(account, name).await, &client.selected) {
        (Err(error), _) => return refusal::response(&error),
        (Ok(mailbox), Some(selected)) => mailbox.id == selected.mailbox,
        _ => false,
    };
    let result = store.delete_mailbox(account, name).await;
    if selected && result.is_ok() {
        client.selected = None;
        client.session.deselect();
    }
    done(result, "Deleted.")
}

pub(super) async fn rename(client: &Client, account: AccountId, from: &str, to: &str) -> Response {
    done(client.house.store.rename_mailbox(account, from, to).await, "Renamed.")
}

pub(super) async fn subscribe(client: &Client, account: AccountId, name: &str) -> Response {
    done(client.house.store.subscribe(account, name).await, "Subscribed.")
}

pub(super) async fn unsubscribe(client: &Client, account: AccountId, name: &str) -> Response {
    done(client.house.store.unsubscribe(account, name).await, "Unsubscribed.")
}
