//! SORT: what each message counts for, and their order (RFC 5256 §3, RFC 5957).

use super::Depth;
use super::casemap::fold;
use super::facts::Facts;
use super::subject::Subject;
use crate::view::Target;
use imap_proto::command::{Direction, SortBy, SortKey};
use std::cmp::Ordering;

/// What a message counts for by one criterion.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Value {
    Number(i64),
    /// Folded; the empty one comes first.
    Text(String),
}

/// What has to be looked at.
pub(crate) fn depth(order: &[SortBy]) -> Depth {
    let rows = |by: &SortBy| matches!(by.key, SortKey::Arrival | SortKey::Size | SortKey::Relevancy);
    if order.iter().all(rows) { Depth::Row } else { Depth::Keys }
}

/// One value for each criterion.
pub(crate) fn values(order: &[SortBy], facts: &Facts) -> Vec<Value> {
    let value = |by: &SortBy| match by.key {
        SortKey::Arrival => Value::Number(facts.received),
        SortKey::Date => Value::Number(facts.sent()),
        // What is read of the messages alone does not tell: see `rank`.
        SortKey::Relevancy => Value::Number(0),
        SortKey::Size => Value::Number(i64::try_from(facts.size).unwrap_or(i64::MAX)),
        SortKey::Subject => Value::Text(fold(&Subject::new(&facts.subject()).base)),
        SortKey::From => Value::Text(fold(&facts.mailbox("from"))),
        SortKey::To => Value::Text(fold(&facts.mailbox("to"))),
        SortKey::Cc => Value::Text(fold(&facts.mailbox("cc"))),
        SortKey::DisplayFrom => Value::Text(fold(&facts.display("from"))),
        SortKey::DisplayTo => Value::Text(fold(&facts.display("to"))),
    };
    order.iter().map(value).collect()
}

/// Puts in how well messages fit, the best first (RFC 6203 §6); `scores` are in the order of the messages.
pub(crate) fn rank(order: &[SortBy], messages: &mut [(Target, Vec<Value>)], scores: &[u8]) {
    let Some(at) = order.iter().position(|by| by.key == SortKey::Relevancy) else { return };
    for ((_, values), score) in messages.iter_mut().zip(scores) {
        if let Some(value) = values.get_mut(at) {
            *value = Value::Number(-i64::from(*score));
        }
    }
}

/// By the first criterion that tells two messages apart.
pub(crate) fn compare(order: &[SortBy], a: &[Value], b: &[Value]) -> Ordering {
    let mut each = order.iter().zip(a.iter().zip(b)).map(|(by, (a, b))| match by.direction {
        Direction::Ascending => a.cmp(b),
        Direction::Descending => b.cmp(a),
    });
    each.find(|ordering| *ordering != Ordering::Equal).unwrap_or(Ordering::Equal)
}
