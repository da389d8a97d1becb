//! ESEARCH: a search of several mailboxes (RFC 7377).

use super::search::{
    Order, among, at_part, check_charset, check_slice, failed, give, highest_in, result, save, scored,
};
use super::{limit, updates};
use crate::client::{Client, Gone, Outcome};
use crate::notify::changes::{Whose, is_meant};
use crate::progress::Progress;
use crate::reach::{Denied, Named, Needed, Sight, Visible};
use crate::refusal;
use crate::search::{Place, candidates};
use crate::view::{Target, View};
use imap_proto::command::{MultiSearch, Search, SearchReturn, Source};
use imap_proto::response::Esearch;
use imap_proto::{Code, Response, Untagged};
use std::sync::Arc;
use storage::{AccountId, Error, Mailbox, MailboxKind, Rights, UidSet};

pub(super) async fn run(client: &mut Client, account: AccountId, asked: MultiSearch) -> Outcome {
    let search = &asked.search;
    if let Err(response) = check_charset(search).and_then(|()| check_slice(client, search)) {
        return Ok(failed(client, search, response));
    }
    let mailboxes = match meant(client, account, &asked.sources).await {
        Ok(mailboxes) => mailboxes,
        Err(error) => return Ok(failed(client, search, refusal::response(&error))),
    };
    if let Err(response) = check_limit(client, &mailboxes) {
        return Ok(failed(client, search, response));
    }
    let selected = client.selected.as_ref().map(|selected| selected.mailbox);
    let progress = Progress::default();
    let mut limited = None;
    for mailbox in &mailboxes {
        let is_selected = selected == Some(mailbox.id);
        let searched = match selected {
            Some(_) if is_selected => in_selected(client, search, &progress).await?,
            _ => in_other(client, mailbox, search, &progress).await?,
        };
        match searched {
            Ok(searched) => {
                limited = limited.or(searched.limited);
                if let Some(line) = searched.line {
                    told(client, mailbox, line).await?;
                }
            }
            Err(response) => return Ok(failed(client, search, response)),
        }
    }
    Ok(limit::tagged(client, Response::ok("Searched."), limited))
}

/// One mailbox is searched as SEARCH does it, the newest messages only if they are too many; several are searched whole or not
/// at all, since the code that says where to go on cannot say in which of them (RFC 9738 §3.1).
fn check_limit(client: &Client, mailboxes: &[Mailbox]) -> Result<(), Response> {
    if mailboxes.len() < 2 {
        return Ok(());
    }
    limit::count(client, mailboxes.iter().map(|mailbox| u64::from(mailbox.messages)).sum())
}

/// What the search of one mailbox came to.
struct Searched {
    /// `None`: there is nothing to tell.
    line: Option<Esearch>,
    /// Whether there were too many messages.
    limited: Option<Code>,
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

/// By the numbers that the session knows.
async fn in_selected(
    client: &mut Client,
    search: &Search,
    progress: &Progress,
) -> Result<Result<Searched, Response>, Gone> {
    let begun = updates::begin(client, search).and_then(|seen| Ok((seen, among(client, search)?)));
    let (seen, (mut among, limited)) = match begun {
        Ok(begun) => begun,
        Err(response) => return Ok(Err(response)),
    };
    let give = give(search);
    let searched = at_part(client, progress, async |place| {
        let found = place.find_among(&search.key, among.drain(..)).await?;
        let relevancy = scores(place, search, &found).await?;
        Ok((highest_in(place.shared, search, &give, &found), found, relevancy))
    });
    let (modseq, found, relevancy) = match searched.await? {
        Ok(searched) => searched,
        Err(response) => return Ok(Err(response)),
    };
    let line = (!found.is_empty() && give != [SearchReturn::Save]).then(|| {
        let line = result(client.session.tag(), search.by, &give, &found, Order::Mailbox);
        Esearch { modseq, relevancy, ..line }
    });
    save(client, &give, &found);
    match (&limited, seen) {
        (None, seen) => updates::remember(client, search, &[], &found, seen).await,
        (Some(_), Some(_)) => updates::refuse(client, "Not all messages were searched."),
        _ => {}
    }
    Ok(Ok(Searched { line, limited }))
}

/// As somebody would see it who selected it now. A mailbox that is gone has nothing to tell.
async fn in_other(
    client: &mut Client,
    mailbox: &Mailbox,
    search: &Search,
    progress: &Progress,
) -> Result<Result<Searched, Response>, Gone> {
    let house = Arc::clone(&client.house);
    let (most, tag) = (client.message_limit, client.session.tag().to_owned());
    let work = async {
        let shared = match house.pictures.open(&house.store, mailbox, 0).await {
            Ok(shared) => shared,
            Err(Error::NoSuchMailbox(_)) => return Ok(Searched { line: None, limited: None }),
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
            progress: Some(progress),
        };
        let mut among = candidates(&search.key, &view, place.saved);
        let limited = limit::newest_within(most, &mut among);
        let found = place.find_among(&search.key, among.drain(..)).await?;
        let relevancy = scores(&place, search, &found).await?;
        let give = give(search);
        let line = (!found.is_empty()).then(|| Esearch {
            modseq: highest_in(&shared, search, &give, &found),
            relevancy,
            ..result(&tag, search.by, &give, &found, Order::Mailbox)
        });
        Ok(Searched { line, limited })
    };
    client.wait_for(progress, work).await
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
