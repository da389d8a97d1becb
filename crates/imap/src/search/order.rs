//! SORT and THREAD of messages that were found: from what is known of them to their order.

use super::column::{About, Column};
use super::facts::gather;
use super::sort::{self, Value};
use super::{Place, thread};
use crate::view::Target;
use imap_proto::Response;
use imap_proto::command::{Algorithm, By, Direction, Key, SortBy, SortKey};
use imap_proto::response::ThreadMark;
use std::sync::Arc;

/// What a criterion says of each message.
enum Criterion {
    Column(Arc<Column>),
    /// In the order of the messages: how well they fit.
    Scores(Vec<u8>),
}

/// The messages of `found`, which ascend, in the order that is asked for.
pub(crate) async fn sorted(
    place: &Place<'_>,
    key: &Key,
    order: &[SortBy],
    found: Vec<Target>,
) -> Result<Vec<Target>, Response> {
    let mut criteria = Vec::with_capacity(order.len());
    for by in order {
        let criterion = match About::of(by.key) {
            Some(about) => Criterion::Column(place.column(about, &found).await?),
            None => Criterion::Scores(place.relevancy(key, &found).await?),
        };
        criteria.push((criterion, by.direction));
    }
    work(move || arrange(&criteria, &found)).await
}

/// By the first criterion that tells two messages apart; those that none tells apart are in the order of the mailbox, also
/// under REVERSE. Messages that are gone are left out.
fn arrange(criteria: &[(Criterion, Direction)], found: &[Target]) -> Vec<Target> {
    let values: Vec<Vec<Option<i64>>> = criteria.iter().map(|criterion| criterion.0.values(found)).collect();
    let is_there = |at: &usize| values.iter().all(|column| column[*at].is_some());
    let places = (0..found.len()).filter(is_there);
    let value = |criterion: usize, at: usize| {
        let value = values[criterion][at].unwrap_or_default();
        match criteria[criterion].1 {
            Direction::Ascending => value,
            // The order is turned round, and nothing overflows.
            Direction::Descending => !value,
        }
    };
    if criteria.len() == 1 {
        let mut keyed: Vec<(i64, usize)> = places.map(|at| (value(0, at), at)).collect();
        keyed.sort_unstable();
        return keyed.into_iter().map(|(_, at)| found[at]).collect();
    }
    let mut places: Vec<usize> = places.collect();
    let compare = |a: usize, b: usize| {
        let mut each = (0..criteria.len()).map(|by| value(by, a).cmp(&value(by, b)));
        each.find(|ordering| ordering.is_ne()).unwrap_or_else(|| a.cmp(&b))
    };
    places.sort_unstable_by(|a, b| compare(*a, *b));
    places.into_iter().map(|at| found[at]).collect()
}

impl Criterion {
    fn values(&self, found: &[Target]) -> Vec<Option<i64>> {
        match self {
            Self::Column(column) => column.values(found),
            // The best comes first.
            Self::Scores(scores) => scores.iter().map(|score| Some(-i64::from(*score))).collect(),
        }
    }
}

/// The messages with what they count for by each criterion, in the order of the mailbox. `key` is what was searched for.
pub(super) async fn valued(
    place: &Place<'_>,
    key: &Key,
    order: &[SortBy],
    found: &[Target],
) -> Result<Vec<(Target, Vec<Value>)>, Response> {
    let criteria = order.to_vec();
    let make = move |facts: &_| sort::values(&criteria, facts);
    let gathered = gather(place.store, place.mailbox, found, sort::depth(order), make).await?;
    let mut messages = gathered.known;
    if order.iter().any(|by| by.key == SortKey::Relevancy) {
        let targets: Vec<Target> = messages.iter().map(|(target, _)| *target).collect();
        let scores = place.relevancy(key, &targets).await?;
        sort::rank(order, &mut messages, &scores);
    }
    Ok(messages)
}

/// The messages of `found`, which ascend, as threads.
pub(crate) async fn threaded(
    place: &Place<'_>,
    algorithm: Algorithm,
    by: By,
    found: Vec<Target>,
) -> Result<Vec<ThreadMark>, Response> {
    let column = place.column(About::Threads, &found).await?;
    work(move || {
        let messages = column.threaded(&found, by);
        match algorithm {
            Algorithm::OrderedSubject => thread::by_subject(&messages),
            Algorithm::References => thread::by_references(&messages),
            Algorithm::Refs => thread::by_arrival(&messages),
        }
    })
    .await
}

/// Large mailboxes take their time: not on a thread of the runtime.
async fn work<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T, Response> {
    let done = tokio::task::spawn_blocking(work).await;
    done.map_err(|_| Response::no("The sorting failed.").word("SERVERBUG"))
}
