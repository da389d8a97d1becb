//! ESEARCH: a search of several mailboxes (RFC 7377).

use super::search::{Order, check_charset, failed, give, highest_in, place, result, save, scored};
use super::updates;
use crate::client::{Client, Gone, Outcome};
use crate::notify::changes::{Whose, is_meant};
use crate::reach::{Denied, Named, Needed, Sight, Visible};
use crate::refusal;
use crate::search::Place;
use crate::view::{Target, View};
use imap_proto::command::{MultiSearch, Search, SearchReturn, Source};
use imap_proto::response::Esearch;
use imap_proto::{Response, Untagged};
use storage::{AccountId, Error, Mailbox, MailboxKind, Rights, UidSet};

pub(super) async fn run(client: &mut Client, account: AccountId, asked: MultiSearch) -> Outcome {
    if let Err(response) = check_charset(&asked.search) {
        return Ok(failed(client, &asked.search, response));
    }
    let mailboxes = match meant(client, account, &asked.sources).await {
        Ok(mailboxes) => mailboxes,
        Err(error) => return Ok(failed(client, &asked.search, refusal::response(&error))),
    };
    let selected = client.selected.as_ref().map(|selected| selected.mailbox);
    for mailbox in &mailboxes {
        let is_selected = selected == Some(mailbox.id);
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

/// The mailboxes to be searched, as far as they may be read (RFC 7377 §2.2).
async fn meant(client: &Client, account: AccountId, sources: &[Source]) -> Result<Vec<Mailbox>, Error> {
    let Sight { mailboxes, own, .. } = client.sight(account).await?;
    let selected = client.selected.as_ref().map(|selected| selected.mailbox);
    let mut meant = Vec::new();
    for (at, Visible { mailbox, rights }) in mailboxes.into_iter().enumerate() {
        let whose = if at < own { Whose::Own } else { Whose::Others };
        let wanted = sources.iter().any(|source| match source {
            Source::Selected => selected == Some(mailbox.id),
            _ => is_meant(source, whose, &mailbox),
        });
        if wanted && rights.contains(Rights::READ) {
            meant.push(mailbox);
        }
    }
    // What cannot be seen can be named all the same, or be selected.
    let named = sources.iter().flat_map(|source| match source {
        Source::Mailboxes(names) => names.as_slice(),
        _ => &[],
    });
    let is_asked = sources.contains(&Source::Selected);
    let chosen = client.selected.iter().filter(|_| is_asked).map(|selected| &selected.name);
    for name in named.chain(chosen) {
        if matches!(Named::of(name), Named::Own(_)) || meant.iter().any(|known| known.name == *name) {
            continue;
        }
        match client.reach(name, Needed::All(Rights::READ)).await {
            Ok(reached) => meant.push(reached.mailbox),
            Err(Denied::NoRight | Denied::Store(Error::NoSuchMailbox(_))) => {}
            Err(Denied::Store(error)) => return Err(error),
        }
    }
    meant.retain(|mailbox| mailbox.kind == MailboxKind::Selectable);
    Ok(meant)
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
