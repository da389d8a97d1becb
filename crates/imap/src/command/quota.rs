//! GETQUOTA, GETQUOTAROOT and SETQUOTA (RFC 9208). Each account is one quota root, with its own name.

use crate::client::Client;
use crate::reach::{Named, Needed};
use crate::refusal;
use imap_proto::response::Resource;
use imap_proto::{Response, Untagged};
use storage::{AccountId, Allowance, Rights};

/// STORAGE is told in units of so many octets (RFC 9208 §5.1).
const UNIT: u64 = 1024;

pub(super) async fn get(client: &mut Client, account: AccountId, root: &str) -> Response {
    if client.account.as_ref().is_none_or(|own| own.name != root) {
        return Response::no("There is no such quota root, or it is not yours.").word("NONEXISTENT");
    }
    match tell(client, account, root).await {
        Ok(()) => Response::ok("That is all."),
        Err(response) => response,
    }
}

/// An own mailbox need not exist (RFC 9208 §4.1.2). One of another account must be one that may be read (RFC 9208 §6): what
/// is in it counts for its owner.
pub(super) async fn root(client: &mut Client, account: AccountId, mailbox: &str) -> Response {
    let Some(own) = client.account.as_ref().map(|own| own.name.clone()) else {
        return Response::bad("Log in first.");
    };
    let (root, account) = match Named::of(mailbox) {
        Named::Own(_) => (own, account),
        Named::Other { .. } | Named::Nowhere => {
            match client.reach(mailbox, Needed::All(Rights::READ)).await {
                Ok(reached) => (reached.owner, reached.mailbox.account),
                Err(denied) => return denied.response(),
            }
        }
    };
    let line = Untagged::QuotaRoot { mailbox: mailbox.to_owned(), roots: vec![root.clone()] };
    // Only EXPUNGE can be too early.
    let _ = client.session.tell(&line);
    match tell(client, account, &root).await {
        Ok(()) => Response::ok("That is all."),
        Err(response) => response,
    }
}

async fn tell(client: &mut Client, account: AccountId, root: &str) -> Result<(), Response> {
    let allowance = client.house.store.allowance(account).await;
    let allowance = allowance.map_err(|error| refusal::response(&error))?;
    let line = Untagged::Quota { root: root.to_owned(), resources: resources(&allowance) };
    let _ = client.session.tell(&line);
    Ok(())
}

/// What is limited; what is used is rounded up, so that nobody thinks of room where there is none.
fn resources(allowance: &Allowance) -> Vec<Resource> {
    let storage = allowance.quota.octets.map(|limit| Resource {
        name: "STORAGE",
        used: allowance.used.octets.div_ceil(UNIT),
        limit: limit / UNIT,
    });
    let message = allowance.quota.messages.map(|limit| Resource {
        name: "MESSAGE",
        used: allowance.used.messages,
        limit,
    });
    storage.into_iter().chain(message).collect()
}

/// QUOTASET is not announced: limits are set by the administrator, with the command line.
pub(super) fn set() -> Response {
    Response::no("Quotas are set by the administrator of this server.").word("NOPERM")
}
