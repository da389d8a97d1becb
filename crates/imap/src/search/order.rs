//! SORT and THREAD of messages that were found: from what is known of them to their order.

use super::casemap::fold;
use super::facts::gather;
use super::sort::{self, Value};
use super::subject::Subject;
use super::{Depth, Place, thread};
use crate::view::Target;
use imap_proto::Response;
use imap_proto::command::{Algorithm, By, Key, SortBy, SortKey};
use imap_proto::response::ThreadMark;

/// The messages in the order that is asked for.
pub(crate) async fn sorted(
    place: &Place<'_>,
    key: &Key,
    order: &[SortBy],
    found: &[Target],
) -> Result<Vec<Target>, Response> {
    let messages = valued(place, key, order, found).await?;
    let order = order.to_vec();
    work(move || sort::sort(&order, messages)).await
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
    let mut messages = gather(place.store, place.mailbox, found, sort::depth(order), make).await?;
    if order.iter().any(|by| by.key == SortKey::Relevancy) {
        let targets: Vec<Target> = messages.iter().map(|(target, _)| *target).collect();
        let scores = place.relevancy(key, &targets).await?;
        sort::rank(order, &mut messages, &scores);
    }
    Ok(messages)
}

/// The messages as threads.
pub(crate) async fn threaded(
    place: &Place<'_>,
    algorithm: Algorithm,
    by: By,
    found: Vec<Target>,
) -> Result<Vec<ThreadMark>, Response> {
    let make = move |facts: &super::facts::Facts| {
        let subject = Subject::new(&facts.subject());
        let answers = algorithm != Algorithm::OrderedSubject;
        thread::Threaded {
            name: 0,
            sent: facts.sent(),
            received: facts.received,
            subject: fold(&subject.base),
            kind: subject.kind,
            id: facts.message_id().filter(|_| answers),
            references: if answers { facts.references() } else { Vec::new() },
        }
    };
    let messages = gather(place.store, place.mailbox, &found, Depth::Keys, make).await?;
    let messages: Vec<_> = messages
        .into_iter()
        .map(|(target, known)| thread::Threaded { name: target.name(by), ..known })
        .collect();
    work(move || match algorithm {
        Algorithm::OrderedSubject => thread::by_subject(&messages),
        Algorithm::References => thread::by_references(&messages),
        Algorithm::Refs => thread::by_arrival(&messages),
    })
    .await
}

/// Large mailboxes take their time: not on a thread of the runtime.
async fn work<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T, Response> {
    let done = tokio::task::spawn_blocking(work).await;
    done.map_err(|_| Response::no("The sorting failed.").word("SERVERBUG"))
}
