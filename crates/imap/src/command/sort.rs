//! SORT, THREAD and their UID forms (RFC 5256, RFC 5267 §3).

use super::search::{Order, all_among, answer, at, failed, highest, scores};
use super::{tell, updates};
use crate::client::{Client, Outcome};
use crate::search;
use imap_proto::Untagged;
use imap_proto::command::{SearchReturn, Sort, Thread};

pub(super) async fn sort(client: &mut Client, sort: Sort) -> Outcome {
    let seen = match updates::begin(client, &sort.search) {
        Ok(seen) => seen,
        Err(response) => return Ok(response),
    };
    let mut among = match all_among(client, &sort.search) {
        Ok(among) => among,
        Err(response) => return Ok(failed(client, &sort.search, response)),
    };
    let sorted = at(client, async |place| {
        let found = place.find_among(&sort.search.key, among.drain(..)).await?;
        search::sorted(place, &sort.search.key, &sort.order, found).await
    });
    let sorted = match sorted.await? {
        Ok(sorted) => sorted,
        Err(response) => return Ok(failed(client, &sort.search, response)),
    };
    if sort.search.give.is_some() {
        let relevancy = match scores(client, &sort.search, &sorted).await? {
            Ok(relevancy) => relevancy,
            Err(response) => return Ok(failed(client, &sort.search, response)),
        };
        let response = answer(client, &sort.search, (&sorted, relevancy), Order::Sorted);
        updates::remember(client, &sort.search, &sort.order, &sorted, seen).await;
        return Ok(response);
    }
    let modseq = highest(client, &sort.search, &[SearchReturn::All], &sorted);
    let found = sorted.iter().map(|target| target.name(sort.search.by)).collect();
    Ok(tell(client, Untagged::Sort { found, modseq }, "Sorted."))
}

pub(super) async fn thread(client: &mut Client, thread: Thread) -> Outcome {
    let mut among = match all_among(client, &thread.search) {
        Ok(among) => among,
        Err(response) => return Ok(response),
    };
    let marks = at(client, async |place| {
        let found = place.find_among(&thread.search.key, among.drain(..)).await?;
        search::threaded(place, thread.algorithm, thread.search.by, found).await
    });
    Ok(match marks.await? {
        Ok(marks) => tell(client, Untagged::Thread(marks), "Threaded."),
        Err(response) => response,
    })
}
