//! CREATE, DELETE, RENAME, SUBSCRIBE and UNSUBSCRIBE.

use crate::client::Client;
use crate::object;
use crate::reach::{Named, Needed, Reached, no_right};
use crate::refusal;
use imap_proto::{Code, Response};
use storage::{AccountId, Error, Rights, SpecialUse};

fn done<T>(result: storage::Result<T>, text: &'static str) -> Response {
    match result {
        Ok(_) => Response::ok(text),
        Err(error) => refusal::response(&error),
    }
}

/// The session need not be told of what it does itself (RFC 5465 §5).
fn named(client: &mut Client, name: &str) {
    if let Some(watch) = &mut client.watch {
        watch.named(name);
    }
}

/// CREATE, with a special use if one is asked for (RFC 6154 §3); tells its MAILBOXID (RFC 8474 §4.1).
pub(super) async fn create(client: &mut Client, account: AccountId, name: &str, uses: &[String]) -> Response {
    let special = match uses {
        [] => None,
        [one] => match one.parse::<SpecialUse>() {
            Ok(special) => Some(special),
            Err(()) => return Response::no("This special use is not known here.").word("USEATTR"),
        },
        _ => return Response::no("A mailbox has one special use.").word("USEATTR"),
    };
    let (owner, path) = match room(client, account, name).await {
        // What a mailbox is for is its owner's affair.
        Ok((owner, _)) if owner != account && special.is_some() => return no_right(),
        Ok(room) => room,
        Err(response) => return response,
    };
    match client.house.store.create_mailbox(owner, path, special).await {
        Ok(id) => {
            named(client, name);
            Response::ok("Created.").with(Code::MailboxId(object::mailbox(id)))
        }
        Err(error) => refused_new(client, name, owner == account, &error).await,
    }
}

/// Where a new name leads: the account, and the name within it. The nearest mailbox above it must allow it (RFC 4314 §4);
/// where none is above it, its account must be the own one. A refusal is the same whatever is there or not.
async fn room<'n>(
    client: &Client,
    account: AccountId,
    name: &'n str,
) -> Result<(AccountId, &'n str), Response> {
    let place = Named::of(name);
    let path = match &place {
        Named::Nowhere => {
            return Err(Response::no("Names like this are for mailboxes of others.").word("CANNOT"));
        }
        Named::Own(path) | Named::Other { name: path, .. } => *path,
    };
    let above = client.house.store.reach_above(account, place.owner(), path).await;
    match above.map_err(|error| refusal::response(&error))? {
        Some(above) if client.masked(above.rights).contains(Rights::CREATE) => {
            Ok((above.mailbox.account, path))
        }
        None if place.owner().is_none() => Ok((account, path)),
        _ => Err(no_right()),
    }
}

/// Why a name could not be made. That it is there already is not told to those who may not see it.
async fn refused_new(client: &Client, name: &str, is_own: bool, error: &Error) -> Response {
    let is_hidden = matches!(error, Error::Exists(_))
        && !is_own
        && client.reach(name.trim_end_matches('/'), Needed::All(Rights::LOOKUP)).await.is_err();
    match error {
        _ if is_hidden => no_right(),
        Error::Exists(_) => refusal::response(&Error::Exists(name.to_owned())),
        error => refusal::response(error),
    }
}

pub(super) async fn delete(client: &mut Client, name: &str) -> Response {
    let Reached { mailbox, path, .. } = match client.reach(name, Needed::All(Rights::DELETE)).await {
        Ok(reached) => reached,
        Err(denied) => return denied.response(),
    };
    let is_selected = client.selected.as_ref().is_some_and(|selected| selected.mailbox == mailbox.id);
    let result = client.house.store.delete_mailbox(mailbox.account, &path).await;
    if is_selected && result.is_ok() {
        client.selected = None;
        client.session.deselect();
    }
    named(client, name);
    done(result, "Deleted.")
}

/// RENAME needs `x` on the mailbox and `k` where it goes (RFC 4314 §4). It stays in its account.
pub(super) async fn rename(client: &mut Client, account: AccountId, from: &str, to: &str) -> Response {
    let Reached { mailbox, path, .. } = match client.reach(from, Needed::All(Rights::DELETE)).await {
        Ok(reached) => reached,
        Err(denied) => return denied.response(),
    };
    let is_own = mailbox.account == account;
    if path == "INBOX" && !is_own {
        return no_right();
    }
    let (owner, target) = match room(client, account, to).await {
        Ok(room) => room,
        Err(response) => return response,
    };
    if owner != mailbox.account {
        return Response::no("A mailbox cannot go to another account; copy its messages.").word("CANNOT");
    }
    match client.house.store.rename_mailbox(owner, &path, target).await {
        Ok(()) => {
            named(client, to);
            Response::ok("Renamed.")
        }
        Err(error) => refused_new(client, to, is_own, &error).await,
    }
}

pub(super) async fn subscribe(client: &mut Client, account: AccountId, name: &str) -> Response {
    named(client, name);
    done(client.house.store.subscribe(account, name).await, "Subscribed.")
}

pub(super) async fn unsubscribe(client: &mut Client, account: AccountId, name: &str) -> Response {
    named(client, name);
    done(client.house.store.unsubscribe(account, name).await, "Unsubscribed.")
}
