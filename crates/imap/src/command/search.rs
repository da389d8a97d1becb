//! SEARCH and UID SEARCH, with what RETURN asks for (RFC 9051 §6.4.4).

use super::{not_selected, tell};
use crate::client::{Client, Gone, Outcome};
use crate::refusal;
use crate::search::{Depth, Haystack, Known, Test};
use crate::view::Target;
use imap_proto::command::{By, Charset, Search, SearchReturn};
use imap_proto::response::Esearch;
use imap_proto::{Code, Ranges, Response, Untagged};
use std::collections::HashMap;
use std::sync::Arc;
use storage::{MailboxId, ModSeq, Row, Uid, UidSet};

/// Most messages of one read from the store.
const PAGE: usize = 200;

pub(super) async fn run(client: &mut Client, search: Search) -> Outcome {
    let found = match find(client, &search).await? {
        Ok(found) => found,
        Err(response) => {
            // RFC 9051 §6.4.4.1: what was to be saved is nothing then.
            if search.give.as_ref().is_some_and(|give| give.contains(&SearchReturn::Save))
                && let Some(selected) = &mut client.selected
            {
                selected.saved = UidSet::new();
            }
            return Ok(response);
        }
    };
    let give = match &search.give {
        Some(give) => give.clone(),
        None if client.session.is_rev2() => vec![SearchReturn::All],
        None => {
            let modseq = highest(client, &search, &[SearchReturn::All], &found);
            let found = found.iter().map(|target| number(target, search.by)).collect();
            return Ok(tell(client, Untagged::Search { found, modseq }, "Searched."));
        }
    };
    save(client, &give, &found);
    if give == [SearchReturn::Save] {
        return Ok(Response::ok("Searched and saved."));
    }
    let modseq = highest(client, &search, &give, &found);
    let line = Esearch { modseq, ..result(client.session.tag(), search.by, &give, &found) };
    Ok(tell(client, Untagged::Esearch(line), "Searched."))
}

/// The highest mod-sequence of what is told, if the criteria have one (RFC 7162 §3.1.6, RFC 4731 §3.2).
fn highest(client: &Client, search: &Search, give: &[SearchReturn], found: &[Target]) -> Option<ModSeq> {
    let selected = client.selected.as_ref().filter(|_| search.key.has_modseq())?;
    let picture = selected.shared.look();
    let modseq = |target: &Target| picture.mark(target.uid).map(|mark| mark.modseq);
    if give.iter().all(|what| matches!(what, SearchReturn::Min | SearchReturn::Max)) {
        let first = found.first().filter(|_| give.contains(&SearchReturn::Min));
        let last = found.last().filter(|_| give.contains(&SearchReturn::Max));
        return first.into_iter().chain(last).filter_map(modseq).max();
    }
    found.iter().filter_map(modseq).max()
}

fn number(target: &Target, by: By) -> u32 {
    match by {
        By::Sequence => target.number,
        By::Uid => target.uid,
    }
}

fn result(tag: &str, by: By, give: &[SearchReturn], found: &[Target]) -> Esearch {
    let wants = |what: SearchReturn| give.contains(&what);
    let first = found.first().map(|target| number(target, by));
    let last = found.last().map(|target| number(target, by));
    Esearch {
        tag: tag.to_owned(),
        by_uid: by == By::Uid,
        min: first.filter(|_| wants(SearchReturn::Min)),
        max: last.filter(|_| wants(SearchReturn::Max)),
        all: wants(SearchReturn::All)
            .then(|| Ranges::from_numbers(found.iter().map(|target| number(target, by)))),
        count: wants(SearchReturn::Count).then(|| u32::try_from(found.len()).unwrap_or(u32::MAX)),
        modseq: None,
    }
}

/// SAVE: all that was found, unless only the ends were asked for (RFC 9051 §6.4.4.2).
fn save(client: &mut Client, give: &[SearchReturn], found: &[Target]) {
    let Some(selected) = &mut client.selected else { return };
    if !give.contains(&SearchReturn::Save) {
        return;
    }
    let whole = give.contains(&SearchReturn::All) || give.contains(&SearchReturn::Count);
    let ends = give.contains(&SearchReturn::Min) || give.contains(&SearchReturn::Max);
    selected.saved = if whole || !ends {
        found.iter().map(|target| target.uid).collect()
    } else {
        let min = found.first().filter(|_| give.contains(&SearchReturn::Min));
        let max = found.last().filter(|_| give.contains(&SearchReturn::Max));
        min.into_iter().chain(max).map(|target| target.uid).collect()
    };
}

/// The messages that fit, ascending.
async fn find(client: &mut Client, search: &Search) -> Result<Result<Vec<Target>, Response>, Gone> {
    let Some(selected) = &client.selected else { return Ok(Err(not_selected())) };
    if search.charset == Charset::Unknown {
        let response = Response::no("SEARCH knows UTF-8 and US-ASCII.");
        return Ok(Err(response.with(Code::BadCharset("US-ASCII UTF-8"))));
    }
    let now = client.house.world.clock.unix();
    let (test, mut found, open) = {
        let picture = selected.shared.look();
        let test = Test::new(&search.key, &selected.view, &picture, &selected.saved, now);
        let (mut found, mut open) = (Vec::new(), Vec::new());
        for target in selected.view.all() {
            let Some(mark) = picture.mark(target.uid) else { continue };
            match test.judge(&Known::from_mark(target, mark)) {
                Some(true) => found.push(target),
                Some(false) => {}
                None => open.push((target, *mark)),
            }
        }
        (Arc::new(test), found, open)
    };
    let Some(depth) = test.depth().filter(|_| !open.is_empty()) else { return Ok(Ok(found)) };
    let mailbox = selected.mailbox;
    let known: HashMap<Uid, Target> = open.iter().map(|(target, _)| (target.uid, *target)).collect();
    let rest: UidSet = known.keys().copied().collect();
    match read(client, mailbox, rest, (&test, depth), &known).await {
        Ok(more) => found.extend(more),
        Err(response) => return Ok(Err(response)),
    }
    found.sort_unstable_by_key(|target| target.number);
    Ok(Ok(found))
}

/// Reads the messages that are still open, page by page; nothing is held in the store meanwhile.
async fn read(
    client: &Client,
    mailbox: MailboxId,
    mut rest: UidSet,
    (test, depth): (&Arc<Test>, Depth),
    known: &HashMap<Uid, Target>,
) -> Result<Vec<Target>, Response> {
    let mut found = Vec::new();
    loop {
        let rows = client
            .house
            .store
            .fetch(mailbox, &rest, depth.columns(), PAGE)
            .await
            .map_err(|error| refusal::response(&error))?;
        let Some(last) = rows.last().map(|row| row.uid) else { return Ok(found) };
        rest = rest.after(last);
        let page: Vec<(Target, Row)> =
            rows.into_iter().filter_map(|row| known.get(&row.uid).map(|target| (*target, row))).collect();
        let test = Arc::clone(test);
        // Decoding is work for the processor, and files may have to be read.
        let judged = tokio::task::spawn_blocking(move || judge(&test, depth, page)).await;
        found.extend(judged.map_err(|_| Response::no("The search failed.").word("SERVERBUG"))?);
        if rest.is_empty() {
            return Ok(found);
        }
    }
}

fn judge(test: &Test, depth: Depth, page: Vec<(Target, Row)>) -> Vec<Target> {
    let fits = |(target, mut row): (Target, Row)| {
        let text = if depth == Depth::Row { None } else { Haystack::read(&mut row, depth) };
        let Row { flags, keywords, modseq, .. } = row;
        let known = Known { target, flags, keywords, modseq, row: Some(&row), text: text.as_ref() };
        (test.judge(&known) == Some(true)).then_some(target)
    };
    page.into_iter().filter_map(fits).collect()
}
