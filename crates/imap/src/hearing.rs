//! Annotations that others change, for clients that said ENABLE METADATA (RFC 5464 §4.4.2): the bell says that there may
//! be something, the table says what.

use crate::client::Client;
use crate::reach::Needed;
use imap_proto::Untagged;
use std::collections::HashSet;
use storage::{AccountId, Error, MailboxId, ModSeq, Rights};
use tracing::warn;

/// Most changes of its own that a session remembers until it has seen them in the table.
const OWN_MAX: usize = 1000;

/// What a session has heard of annotations.
#[derive(Default)]
pub(crate) struct Hearing {
    /// Up to here it knows; `None`: it has not asked to hear anything.
    since: Option<ModSeq>,
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
    let Some(account) = &client.account else { return Ok(Vec::new()) };
    if !client.session.hears_metadata() {
        return Ok(Vec::new());
    }
    let store = &client.house.store;
    let rung = *account.bell.borrow();
    let Some(since) = client.hearing.since else {
        client.hearing.since = Some(store.modseq(account.id).await?);
        return Ok(Vec::new());
    };
    if rung <= since {
        return Ok(Vec::new());
    }
    let changes = store.annotation_changes(account.id, account.id, since).await?;
    let last = changes.iter().map(|change| change.modseq).max().unwrap_or(since);
    client.hearing.since = Some(last.max(rung));
    let own = std::mem::take(&mut client.hearing.own);
    let mut told: Vec<(Option<MailboxId>, Vec<String>)> = Vec::new();
    for change in changes.into_iter().filter(|change| !own.contains(&(account.id, change.modseq))) {
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
