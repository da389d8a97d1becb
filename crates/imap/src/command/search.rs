//! SEARCH and UID SEARCH, with what RETURN asks for (RFC 9051 §6.4.4).

use super::{not_selected, tell, updates};
use crate::client::Client;
use crate::picture::Shared;
use crate::search::Place;
use crate::view::Target;
use imap_proto::command::{By, Charset, Search, SearchReturn};
use imap_proto::response::{Esearch, Results};
use imap_proto::{Code, Ranges, Response, Untagged};
use std::borrow::Cow;
use storage::{ModSeq, UidSet};

pub(super) async fn run(client: &mut Client, search: Search) -> Response {
    let seen = match updates::begin(client, &search) {
        Ok(seen) => seen,
        Err(response) => return response,
    };
    let found = match find(client, &search).await {
        Ok(found) => found,
        Err(response) => return failed(client, &search, response),
    };
    if search.give.is_none() && !client.session.is_rev2() {
        let modseq = highest(client, &search, &[SearchReturn::All], &found);
        let found = found.iter().map(|target| target.name(search.by)).collect();
        return tell(client, Untagged::Search { found, modseq }, "Searched.");
    }
    let response = answer(client, &search, &found, Order::Mailbox);
    updates::remember(client, &search, &[], &found, seen).await;
    response
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

/// Saves and tells what RETURN asks for; all that was found, if there is no RETURN.
pub(super) fn answer(client: &mut Client, search: &Search, found: &[Target], order: Order) -> Response {
    let give = give(search);
    save(client, &give, found);
    if give == [SearchReturn::Save] {
        return Response::ok("Searched and saved.");
    }
    let modseq = highest(client, search, &give, found);
    let line = Esearch { modseq, ..result(client.session.tag(), search.by, &give, found, order) };
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

/// The messages that fit, in the order of the mailbox.
pub(super) async fn find(client: &Client, search: &Search) -> Result<Vec<Target>, Response> {
    check_charset(search)?;
    place(client)?.find(&search.key).await
}

pub(super) fn check_charset(search: &Search) -> Result<(), Response> {
    if search.charset == Charset::Known {
        return Ok(());
    }
    let response = Response::no("Searches are in UTF-8 or US-ASCII.");
    Err(response.with(Code::BadCharset("US-ASCII UTF-8")))
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
    })
}
