//! Annotations that others change, for clients that said ENABLE METADATA (RFC 5464 §4.4.2): the bell says that there may
//! be something, the table says what.

use crate::client::Client;
use crate::reach::Needed;
use imap_proto::Untagged;
use std::collections::{HashMap, HashSet};
use storage::{AccountId, Error, MailboxId, ModSeq, Rights};
use tracing::warn;

/// Most changes of its own that a session remembers until it has seen them in the table.
const OWN_MAX: usize = 1000;

/// What a session has heard of annotations.
#[derive(Default)]
pub(crate) struct Hearing {
    /// Up to here it knows those of each account that it hears of.
    since: HashMap<AccountId, ModSeq>,
    /// What it did itself, and need not hear.
    own: HashSet<(AccountId, ModSeq)>,
}

impl Hearing {
    /// The session itself has changed annotations.
    pub(crate) fn did(&mut self, touched: Vec<(AccountId, ModSeq)>) {
        if self.own.len() < OWN_MAX {
            self.own.extend(touched);
        }
    }
}

/// Tells what there is to tell.
pub(crate) async fn tell(client: &mut Client) {
    match news(client).await {
        Ok(lines) => {
            for line in lines {
                // Only EXPUNGE can be too early.
                let _ = client.session.tell(&line);
            }
        }
        Err(error) => warn!(%error, "changed annotations could not be read"),
    }
}

async fn news(client: &mut Client) -> Result<Vec<Untagged>, Error> {
    let Some(reader) = client.account_id() else { return Ok(Vec::new()) };
    // NOTIFY says it more closely than ENABLE (RFC 5465 §5.6).
    let owners: Vec<AccountId> = match &client.watch {
        Some(watch) if watch.hears_metadata() => watch.owners().collect(),
        Some(_) => Vec::new(),
        None if client.session.hears_metadata() => vec![reader],
        None => Vec::new(),
    };
    let mut lines = Vec::new();
    client.hearing.since.retain(|owner, _| owners.contains(owner));
    let own = std::mem::take(&mut client.hearing.own);
    for owner in owners {
        lines.extend(of_owner(client, (reader, owner), &own).await?);
    }
    Ok(lines)
}

/// What is new of the annotations that belong to one account.
async fn of_owner(
    client: &mut Client,
    (reader, owner): (AccountId, AccountId),
    own: &HashSet<(AccountId, ModSeq)>,
) -> Result<Vec<Untagged>, Error> {
    let store = &client.house.store;
    let rung = match (&client.account, &client.watch) {
        (Some(account), _) if owner == reader => *account.bell.borrow(),
        (_, watch) => watch.as_ref().map_or(0, |watch| watch.rung_up_to(owner)),
    };
    let Some(since) = client.hearing.since.get(&owner).copied() else {
        match store.modseq(owner).await {
            Ok(newest) => drop(client.hearing.since.insert(owner, newest)),
            // The account is being removed.
            Err(Error::NoSuchAccount(_)) => {}
            Err(error) => return Err(error),
        }
        return Ok(Vec::new());
    };
    if rung <= since {
        return Ok(Vec::new());
    }
    let changes = store.annotation_changes(reader, owner, since).await?;
    let last = changes.iter().map(|change| change.modseq).max().unwrap_or(since);
    client.hearing.since.insert(owner, last.max(rung));
    let mut told: Vec<(Option<MailboxId>, Vec<String>)> = Vec::new();
    let is_wanted = |change: &storage::Changed| {
        client.watch.as_ref().is_none_or(|watch| watch.wants_metadata(change.mailbox))
    };
    let others = changes.into_iter().filter(|change| !own.contains(&(owner, change.modseq)));
    for change in others.filter(is_wanted) {
        match told.iter_mut().find(|(mailbox, _)| *mailbox == change.mailbox) {
            Some((_, names)) => names.push(change.name),
            None => told.push((change.mailbox, vec![change.name])),
        }
    }
    let mut lines = Vec::with_capacity(told.len());
    for (mailbox, entries) in told {
        let mailbox = match mailbox {
            None => None,
            // One of another account may have gone out of sight meanwhile.
            Some(id) => match client.reach_id(id, Needed::All(Rights::LOOKUP)).await? {
                Some(reached) => Some(reached.mailbox.name),
                None => continue,
            },
        };
        lines.push(Untagged::MetadataChanged { mailbox, entries });
    }
    Ok(lines)
}
