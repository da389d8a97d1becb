//! SEARCH and UID SEARCH, with what RETURN asks for (RFC 9051 §6.4.4).

use super::{limit, not_selected, tell, updates};
use crate::client::{Client, Gone, Outcome};
use crate::picture::Shared;
use crate::progress::Progress;
use crate::search::{Place, candidates};
use crate::view::Target;
use imap_proto::command::{By, Charset, Search, SearchReturn};
use imap_proto::response::{Esearch, Results};
use imap_proto::{CHARSETS, Code, Ranges, Response, Untagged};
use std::borrow::Cow;
use std::sync::Arc;
use storage::{ModSeq, UidSet};

pub(super) async fn run(client: &mut Client, search: Search) -> Outcome {
    let seen = match updates::begin(client, &search) {
        Ok(seen) => seen,
        Err(response) => return Ok(response),
    };
    if let Err(response) = check_charset(&search).and_then(|()| check_slice(client, &search)) {
        return Ok(failed(client, &search, response));
    }
    let (mut among, limited) = match among(client, &search) {
        Ok(among) => among,
        Err(response) => return Ok(failed(client, &search, response)),
    };
    let found = match at(client, async |place| place.find_among(&search.key, among.drain(..)).await).await? {
        Ok(found) => found,
        Err(response) => return Ok(failed(client, &search, response)),
    };
    if search.give.is_none() && !client.session.is_rev2() {
        let modseq = highest(client, &search, &[SearchReturn::All], &found);
        let found = found.iter().map(|target| target.name(search.by)).collect();
        let response = tell(client, Untagged::Search { found, modseq }, "Searched.");
        return Ok(limit::tagged(client, response, limited));
    }
    let relevancy = match scores(client, &search, &found).await? {
        Ok(relevancy) => relevancy,
        Err(response) => return Ok(failed(client, &search, response)),
    };
    let response = answer(client, &search, (&found, relevancy), Order::Mailbox);
    // What the limit kept from being searched cannot come into a result later.
    if limited.is_none() {
        updates::remember(client, &search, &[], &found, seen).await;
    } else if seen.is_some() {
        updates::refuse(client, "Not all messages were searched.");
    }
    Ok(limit::tagged(client, response, limited))
}

/// The messages that are to be searched, the newest only if they are too many (RFC 9738 §3.1).
pub(super) fn among(client: &Client, search: &Search) -> Result<(Vec<Target>, Option<Code>), Response> {
    let selected = client.selected.as_ref().ok_or_else(not_selected)?;
    let mut among = candidates(&search.key, &selected.view, &selected.saved);
    let limited = limit::newest(client, &mut among);
    Ok((among, limited))
}

/// A slice of the results may not be longer than what one command works on (RFC 9738 §3.1).
pub(super) fn check_slice(client: &Client, search: &Search) -> Result<(), Response> {
    let slice = search.give.iter().flatten().find_map(|give| match give {
        SearchReturn::Partial(range) => Some(range.room()),
        _ => None,
    });
    slice.map_or(Ok(()), |room| limit::count(client, room))
}

/// RFC 9051 §6.4.4.1: what was to be saved is nothing if the search fails.
pub(super) fn failed(client: &mut Client, search: &Search, response: Response) -> Response {
    if search.give.as_ref().is_some_and(|give| give.contains(&SearchReturn::Save))
        && let Some(selected) = &mut client.selected
    {
        selected.saved = UidSet::new();
    }
    response
}

/// The order in which messages were found.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Order {
    Mailbox,
    Sorted,
}

/// The scores that RETURN (RELEVANCY) asks for.
pub(super) async fn scores(
    client: &mut Client,
    search: &Search,
    found: &[Target],
) -> Result<Result<Vec<u8>, Response>, Gone> {
    match scored(search, found) {
        Some(told) => at(client, async |place| place.relevancy(&search.key, told).await).await,
        None => Ok(Ok(Vec::new())),
    }
}

/// The messages whose scores RETURN (RELEVANCY) asks for: those that are told, and all if none are (RFC 6203 §4).
pub(super) fn scored<'a>(search: &Search, found: &'a [Target]) -> Option<&'a [Target]> {
    let give = search.give.as_deref()?;
    let slice = give.iter().find_map(|what| match what {
        SearchReturn::Partial(range) => found.get(range.of(found.len())),
        _ => None,
    });
    give.contains(&SearchReturn::Relevancy).then(|| slice.unwrap_or(found))
}

/// Saves and tells what RETURN asks for; all that was found, if there is no RETURN. With the scores that are told.
pub(super) fn answer(
    client: &mut Client,
    search: &Search,
    (found, relevancy): (&[Target], Vec<u8>),
    order: Order,
) -> Response {
    let give = give(search);
    save(client, &give, found);
    if give == [SearchReturn::Save] {
        return Response::ok("Searched and saved.");
    }
    let modseq = highest(client, search, &give, found);
    let line = Esearch { modseq, relevancy, ..result(client.session.tag(), search.by, &give, found, order) };
    tell(client, Untagged::Esearch(line), "Searched.")
}

/// What is to be told or saved.
pub(super) fn give(search: &Search) -> Vec<SearchReturn> {
    search.give.clone().unwrap_or_else(|| vec![SearchReturn::All])
}

/// [`highest_in`] the selected mailbox.
pub(super) fn highest(
    client: &Client,
    search: &Search,
    give: &[SearchReturn],
    found: &[Target],
) -> Option<ModSeq> {
    highest_in(&client.selected.as_ref()?.shared, search, give, found)
}

/// The highest mod-sequence of what is told, if the criteria have one (RFC 7162 §3.1.6, RFC 4731 §3.2).
pub(super) fn highest_in(
    shared: &Shared,
    search: &Search,
    give: &[SearchReturn],
    found: &[Target],
) -> Option<ModSeq> {
    if !search.key.has_modseq() {
        return None;
    }
    let picture = shared.look();
    chosen(give, found).iter().filter_map(|target| picture.mark(target.uid)).map(|mark| mark.modseq).max()
}

/// The messages that the options of RETURN stand for, when they are saved or their mod-sequence is told: all that was found,
/// unless only the ends or a slice were asked for (RFC 9051 §6.4.4.2, RFC 4731 §3.2, RFC 9394 §3.2).
fn chosen<'a>(give: &[SearchReturn], found: &'a [Target]) -> Cow<'a, [Target]> {
    let is_part = |what: &SearchReturn| {
        matches!(what, SearchReturn::Min | SearchReturn::Max | SearchReturn::Partial(_))
    };
    let is_whole = |what: &SearchReturn| matches!(what, SearchReturn::All | SearchReturn::Count);
    if give.iter().any(is_whole) || !give.iter().any(is_part) {
        return Cow::Borrowed(found);
    }
    let parts = give.iter().flat_map(|what| match what {
        SearchReturn::Min => found.get(..1),
        SearchReturn::Max => found.len().checked_sub(1).and_then(|last| found.get(last..)),
        SearchReturn::Partial(range) => found.get(range.of(found.len())),
        _ => None,
    });
    Cow::Owned(parts.flatten().copied().collect())
}

pub(super) fn result(tag: &str, by: By, give: &[SearchReturn], found: &[Target], order: Order) -> Esearch {
    let wants = |what: SearchReturn| give.contains(&what);
    let first = found.first().map(|target| target.name(by));
    let last = found.last().map(|target| target.name(by));
    let results = |targets: &[Target]| {
        let names = targets.iter().map(|target| target.name(by));
        match order {
            Order::Mailbox => Results::Set(Ranges::from_numbers(names)),
            Order::Sorted => Results::Sorted(names.collect()),
        }
    };
    let partial = give.iter().find_map(|what| match what {
        SearchReturn::Partial(range) => found.get(range.of(found.len())).map(|part| (*range, results(part))),
        _ => None,
    });
    Esearch {
        tag: tag.to_owned(),
        by_uid: by == By::Uid,
        min: first.filter(|_| wants(SearchReturn::Min)),
        max: last.filter(|_| wants(SearchReturn::Max)),
        all: wants(SearchReturn::All).then(|| results(found)),
        partial,
        count: wants(SearchReturn::Count).then(|| u32::try_from(found.len()).unwrap_or(u32::MAX)),
        ..Esearch::default()
    }
}

/// SAVE.
pub(super) fn save(client: &mut Client, give: &[SearchReturn], found: &[Target]) {
    if give.contains(&SearchReturn::Save)
        && let Some(selected) = &mut client.selected
    {
        selected.saved = chosen(give, found).iter().map(|target| target.uid).collect();
    }
}

/// Does work with the selected mailbox that may take its time, while the client hears that it goes on.
pub(super) async fn at<T>(
    client: &mut Client,
    work: impl AsyncFnOnce(&Place<'_>) -> Result<T, Response>,
) -> Result<Result<T, Response>, Gone> {
    at_part(client, &Progress::default(), work).await
}

/// The same as a part of more work.
pub(super) async fn at_part<T>(
    client: &mut Client,
    progress: &Progress,
    work: impl AsyncFnOnce(&Place<'_>) -> Result<T, Response>,
) -> Result<Result<T, Response>, Gone> {
    let Some(selected) = client.selected.take() else { return Ok(Err(not_selected())) };
    let house = Arc::clone(&client.house);
    let place = Place {
        store: &house.store,
        mailbox: selected.mailbox,
        view: &selected.view,
        shared: &selected.shared,
        saved: &selected.saved,
        now: house.world.clock.unix(),
        progress: Some(progress),
    };
    let done = client.wait_for(progress, work(&place)).await;
    client.selected = Some(selected);
    done
}

/// For SORT and THREAD, which do all or nothing (RFC 9738 §3.3): the messages that are to be searched.
pub(super) fn all_among(client: &Client, search: &Search) -> Result<Vec<Target>, Response> {
    check_charset(search)?;
    let selected = client.selected.as_ref().ok_or_else(not_selected)?;
    let among = candidates(&search.key, &selected.view, &selected.saved);
    limit::count(client, among.len() as u64)?;
    Ok(among)
}

pub(super) fn check_charset(search: &Search) -> Result<(), Response> {
    if search.charset != Charset::Unknown {
        return Ok(());
    }
    Err(Response::no("This charset is not known here.").with(Code::BadCharset(CHARSETS)))
}

/// The selected mailbox, to be searched.
pub(super) fn place(client: &Client) -> Result<Place<'_>, Response> {
    let selected = client.selected.as_ref().ok_or_else(not_selected)?;
    Ok(Place {
        store: &client.house.store,
        mailbox: selected.mailbox,
        view: &selected.view,
        shared: &selected.shared,
        saved: &selected.saved,
        now: client.house.world.clock.unix(),
        progress: None,
    })
}
