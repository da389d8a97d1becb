//! ESEARCH: a search of several mailboxes (RFC 7377).

use super::search::{Order, check_charset, failed, give, highest_in, place, result, save, scored};
use super::updates;
use crate::client::{Client, Gone, Outcome};
use crate::refusal;
use crate::search::Place;
use crate::view::{Target, View};
use imap_proto::command::{MultiSearch, Search, SearchReturn, Source};
use imap_proto::response::Esearch;
use imap_proto::{Response, Untagged};
use storage::{AccountId, DELIMITER, Error, Mailbox, MailboxKind, SpecialUse, UidSet};

pub(super) async fn run(client: &mut Client, account: AccountId, asked: MultiSearch) -> Outcome {
    if let Err(response) = check_charset(&asked.search) {
        return Ok(failed(client, &asked.search, response));
    }
    let listing = match client.house.store.list(account).await {
        Ok(listing) => listing,
        Err(error) => return Ok(failed(client, &asked.search, refusal::response(&error))),
    };
    let selected = client.selected.as_ref().map(|selected| selected.mailbox);
    for mailbox in &listing.mailboxes {
        let is_selected = selected == Some(mailbox.id);
        let wanted = asked.sources.iter().any(|source| match source {
            Source::Selected => is_selected,
            _ => is_meant(source, mailbox),
        });
        if !wanted || mailbox.kind == MailboxKind::NoSelect {
            continue;
        }
        let line = match selected {
            Some(_) if is_selected => in_selected(client, &asked.search).await,
            _ => in_other(client, mailbox, &asked.search).await,
        };
        match line {
            Ok(Some(line)) => told(client, mailbox, line).await?,
            Ok(None) => {}
            Err(response) => return Ok(failed(client, &asked.search, response)),
        }
    }
    Ok(Response::ok("Searched."))
}

fn is_meant(source: &Source, mailbox: &Mailbox) -> bool {
    let below = |name: &String| {
        mailbox.name.strip_prefix(name.as_str()).and_then(|rest| rest.strip_prefix(DELIMITER))
    };
    match source {
        Source::Selected => false,
        // What mail is delivered to: what is thought to be junk goes elsewhere.
        Source::Inboxes => mailbox.name == "INBOX" || mailbox.special_use == Some(SpecialUse::Junk),
        Source::Personal => true,
        Source::Subscribed => mailbox.subscribed,
        Source::Mailboxes(names) => names.contains(&mailbox.name),
        Source::Subtree(names) => names.iter().any(|name| *name == mailbox.name || below(name).is_some()),
        Source::SubtreeOne(names) => names
            .iter()
            .any(|name| *name == mailbox.name || below(name).is_some_and(|rest| !rest.contains(DELIMITER))),
    }
}

/// By the numbers that the session knows. `None`: there is nothing to tell.
async fn in_selected(client: &mut Client, search: &Search) -> Result<Option<Esearch>, Response> {
    let seen = updates::begin(client, search)?;
    let place = place(client)?;
    let found = place.find(&search.key).await?;
    let relevancy = scores(&place, search, &found).await?;
    let give = give(search);
    let line = (!found.is_empty() && give != [SearchReturn::Save]).then(|| Esearch {
        modseq: highest_in(place.shared, search, &give, &found),
        relevancy,
        ..result(client.session.tag(), search.by, &give, &found, Order::Mailbox)
    });
    save(client, &give, &found);
    updates::remember(client, search, &[], &found, seen).await;
    Ok(line)
}

/// As somebody would see it who selected it now. `None`: nothing fits, or the mailbox is gone.
async fn in_other(client: &Client, mailbox: &Mailbox, search: &Search) -> Result<Option<Esearch>, Response> {
    let house = &client.house;
    let shared = match house.pictures.open(&house.store, mailbox, 0).await {
        Ok(shared) => shared,
        Err(Error::NoSuchMailbox(_)) => return Ok(None),
        Err(error) => return Err(refusal::response(&error)),
    };
    let view = View::new(&shared.look());
    let place = Place {
        store: &house.store,
        mailbox: mailbox.id,
        view: &view,
        shared: &shared,
        saved: &UidSet::new(),
        now: house.world.clock.unix(),
        progress: None,
    };
    let found = place.find(&search.key).await?;
    let relevancy = scores(&place, search, &found).await?;
    let give = give(search);
    Ok((!found.is_empty()).then(|| Esearch {
        modseq: highest_in(&shared, search, &give, &found),
        relevancy,
        ..result(client.session.tag(), search.by, &give, &found, Order::Mailbox)
    }))
}

/// The scores that RETURN (RELEVANCY) asks for.
async fn scores(place: &Place<'_>, search: &Search, found: &[Target]) -> Result<Vec<u8>, Response> {
    match scored(search, found) {
        Some(told) => place.relevancy(&search.key, told).await,
        None => Ok(Vec::new()),
    }
}

async fn told(client: &mut Client, mailbox: &Mailbox, line: Esearch) -> Result<(), Gone> {
    let line = Esearch { mailbox: Some((mailbox.name.clone(), mailbox.uidvalidity)), ..line };
    // Only EXPUNGE can be too early.
    let _ = client.session.tell(&Untagged::Esearch(line));
    client.relieve().await
}
