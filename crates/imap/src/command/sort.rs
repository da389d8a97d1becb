//! SORT, THREAD and their UID forms (RFC 5256, RFC 5267 §3).

use super::search::{Order, answer, failed, find, highest, place};
use super::{tell, updates};
use crate::client::Client;
use crate::search;
use crate::view::Target;
use imap_proto::command::{SearchReturn, Sort, Thread};
use imap_proto::{Response, Untagged};

pub(super) async fn sort(client: &mut Client, sort: Sort) -> Response {
    let seen = match updates::begin(client, &sort.search) {
        Ok(seen) => seen,
        Err(response) => return response,
    };
    let sorted = match sorted(client, &sort).await {
        Ok(sorted) => sorted,
        Err(response) => return failed(client, &sort.search, response),
    };
    if sort.search.give.is_some() {
        let response = answer(client, &sort.search, &sorted, Order::Sorted);
        updates::remember(client, &sort.search, &sort.order, &sorted, seen).await;
        return response;
    }
    let modseq = highest(client, &sort.search, &[SearchReturn::All], &sorted);
    let found = sorted.iter().map(|target| target.name(sort.search.by)).collect();
    tell(client, Untagged::Sort { found, modseq }, "Sorted.")
}

async fn sorted(client: &Client, sort: &Sort) -> Result<Vec<Target>, Response> {
    let found = find(client, &sort.search).await?;
    search::sorted(&place(client)?, &sort.order, found).await
}

pub(super) async fn thread(client: &mut Client, thread: Thread) -> Response {
    let marks = match find(client, &thread.search).await {
        Ok(found) => match place(client) {
            Ok(place) => search::threaded(&place, thread.algorithm, thread.search.by, found).await,
            Err(response) => Err(response),
        },
        Err(response) => Err(response),
    };
    match marks {
        Ok(marks) => tell(client, Untagged::Thread(marks), "Threaded."),
        Err(response) => response,
    }
}
