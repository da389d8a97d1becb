//! SETACL, DELETEACL, GETACL, LISTRIGHTS and MYRIGHTS (RFC 4314 §3).

use super::tell;
use crate::client::Client;
use crate::reach::{Denied, Needed, Reached};
use crate::refusal;
use imap_proto::command::Acl;
use imap_proto::response::AclTold;
use imap_proto::{Response, Untagged};
use storage::{Error, Grant, GrantChange, Grantee, Mailbox, Rights, Sign, domain_of};

/// Stands for every account of the owner's domain (RFC 4314 §2).
const ANYONE: &str = "anyone";
/// Any of these lets somebody ask for the rights (RFC 4314 §4, MYRIGHTS).
const ASKING: Rights = Rights::LOOKUP
    .or(Rights::READ)
    .or(Rights::INSERT)
    .or(Rights::CREATE)
    .or(Rights::DELETE)
    .or(Rights::ADMINISTER);

pub(super) async fn run(client: &mut Client, asked: Acl) -> Response {
    let answer = match asked {
        Acl::Set { mailbox, identifier, rights } => set(client, &mailbox, &identifier, &rights).await,
        Acl::Delete { mailbox, identifier } => {
            change(client, &mailbox, &identifier, GrantChange::Drop, "Deleted.").await
        }
        Acl::Get { mailbox } => get(client, &mailbox).await,
        Acl::ListRights { mailbox, identifier } => list_rights(client, &mailbox, identifier).await,
        Acl::MyRights { mailbox } => my_rights(client, &mailbox).await,
    };
    answer.unwrap_or_else(|refusal| refusal)
}

async fn administered(client: &Client, name: &str) -> Result<Reached, Response> {
    let needed = Needed::All(Rights::ADMINISTER);
    client.reach(name, needed).await.map_err(|denied: Denied| denied.response())
}

/// Whom an identifier means; with `-` before it, whose rights are taken away.
fn read(identifier: &str) -> Result<(Grantee, Sign), Response> {
    let (name, sign) = match identifier.strip_prefix('-') {
        Some(name) => (name, Sign::Negative),
        None => (identifier, Sign::Positive),
    };
    if name == ANYONE {
        return Ok((Grantee::Anyone, sign));
    }
    let bad = || Response::bad("The identifier is not well formed.");
    Ok((Grantee::Account(auth::named_account(name).ok_or_else(bad)?), sign))
}

async fn set(client: &mut Client, name: &str, identifier: &str, rights: &str) -> Result<Response, Response> {
    let (make, letters): (fn(Rights) -> GrantChange, &str) = match rights.split_at_checked(1) {
        Some(("+", letters)) => (GrantChange::Add, letters),
        Some(("-", letters)) => (GrantChange::Remove, letters),
        _ => (GrantChange::Set, rights),
    };
    // RFC 4314 §3.1: what is not known may not be passed over.
    let rights = letters
        .parse::<Rights>()
        .map_err(|_| Response::bad("The rights are l r s w i p k x t e a, and c and d of older clients."))?;
    change(client, name, identifier, make(rights), "Set.").await
}

async fn change(
    client: &mut Client,
    name: &str,
    identifier: &str,
    change: GrantChange,
    done: &'static str,
) -> Result<Response, Response> {
    let (to, sign) = read(identifier)?;
    let reached = administered(client, name).await?;
    may_be_named(client, &reached, &to).await?;
    match client.house.store.grant(reached.mailbox.id, to, sign, change).await {
        Ok(()) => Ok(Response::ok(done)),
        Err(Error::NoSuchAccount(_)) => Err(nobody()),
        Err(error) => Err(refusal::response(&error)),
    }
}

/// Accounts of other domains are named by administrators alone: who shares is not told whether there are any. Those that are
/// in the list can be seen there, and changed.
async fn may_be_named(client: &Client, reached: &Reached, to: &Grantee) -> Result<(), Response> {
    let Grantee::Account(name) = to else { return Ok(()) };
    if domain_of(name) == domain_of(&reached.owner) {
        return Ok(());
    }
    let grants = client.house.store.grants(reached.mailbox.id).await;
    let grants = grants.map_err(|error| refusal::response(&error))?;
    if grants.iter().any(|grant| grant.to == *to) { Ok(()) } else { Err(nobody()) }
}

fn nobody() -> Response {
    Response::no("There is no such account in the domain of the mailbox's owner.").word("NONEXISTENT")
}

async fn get(client: &mut Client, name: &str) -> Result<Response, Response> {
    let Reached { mailbox, owner, .. } = administered(client, name).await?;
    let grants = client.house.store.grants(mailbox.id).await;
    let grants = grants.map_err(|error| refusal::response(&error))?;
    let told = AclTold::Acl { mailbox: mailbox.name, entries: entries(&owner, grants) };
    Ok(tell(client, Untagged::Acl(told), "That is all."))
}

/// The owner first, with what nobody can take away.
fn entries(owner: &str, grants: Vec<Grant>) -> Vec<(String, String)> {
    let is_owner = |grant: &Grant| {
        grant.sign == Sign::Positive && matches!(&grant.to, Grantee::Account(name) if name == owner)
    };
    let own = grants.iter().find(|grant| is_owner(grant)).map_or(Rights::ALL, |grant| grant.rights);
    let mut entries = vec![(owner.to_owned(), (own | Rights::OWNER).with_obsolete())];
    for grant in grants.iter().filter(|grant| !is_owner(grant)) {
        let name = match &grant.to {
            Grantee::Anyone => ANYONE,
            Grantee::Account(name) => name,
        };
        let sign = if grant.sign == Sign::Negative { "-" } else { "" };
        entries.push((format!("{sign}{name}"), grant.rights.with_obsolete()));
    }
    entries
}

/// Each right can be granted by itself; the owner has some in any case. `c` and `d` stand alone, since what they stand for is
/// not tied together (RFC 4314 §2.1.1).
async fn list_rights(client: &mut Client, name: &str, identifier: String) -> Result<Response, Response> {
    let (to, sign) = read(&identifier)?;
    let Reached { mailbox, owner, .. } = administered(client, name).await?;
    let is_owner = sign == Sign::Positive && matches!(&to, Grantee::Account(name) if *name == owner);
    let required = if is_owner { Rights::OWNER } else { Rights::NONE };
    let optional = (Rights::ALL - required).with_obsolete().chars().map(String::from).collect();
    let required = required.to_string();
    let Mailbox { name: mailbox, .. } = mailbox;
    let told = AclTold::ListRights { mailbox, identifier, required, optional };
    Ok(tell(client, Untagged::Acl(told), "That is all."))
}

async fn my_rights(client: &mut Client, name: &str) -> Result<Response, Response> {
    let reached = client.reach(name, Needed::Any(ASKING)).await.map_err(|denied| denied.response())?;
    Ok(tell(client, told(&reached.mailbox, reached.rights), "That is all."))
}

/// MYRIGHTS of a mailbox.
pub(super) fn told(mailbox: &Mailbox, rights: Rights) -> Untagged {
    Untagged::Acl(AclTold::MyRights { mailbox: mailbox.name.clone(), rights: rights.with_obsolete() })
}
