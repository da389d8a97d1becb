//! UIDBATCHES: the UIDs of a mailbox cut into batches of messages (RFC 10022).

use super::{not_selected, tell};
use crate::client::Client;
use imap_proto::command::UidBatches;
use imap_proto::{BATCHES_MAX, Response, Untagged};
use storage::Uid;

pub(super) fn run(client: &mut Client, asked: &UidBatches) -> Response {
    let Some(selected) = &client.selected else { return not_selected() };
    // No batch may be more than one command can do (RFC 10022 §3.1.4, RFC 9738).
    let size = asked.size.min(client.message_limit.unwrap_or(u32::MAX));
    let uids: Vec<Uid> = selected.view.all().map(|target| target.uid).collect();
    let all = batches(&uids, usize::try_from(size).unwrap_or(usize::MAX));
    let ranges = match asked.range {
        None if all.len() as u64 > u64::from(BATCHES_MAX) => {
            return Response::no("There are too many batches; ask for some of them.").word("TOOMANY");
        }
        None => all,
        Some((first, last)) => {
            let place = |n: u32| usize::try_from(n).unwrap_or(usize::MAX);
            all.into_iter().skip(place(first) - 1).take(place(last - first) + 1).collect()
        }
    };
    let tag = client.session.tag().to_owned();
    tell(client, Untagged::UidBatches { tag, ranges }, "That is all.")
}

/// Ranges from the newest message down, without gaps: the last reaches to UID 1. `uids` are ascending.
fn batches(uids: &[Uid], size: usize) -> Vec<(Uid, Uid)> {
    let mut ranges = Vec::new();
    let mut high = uids.last().copied().unwrap_or(0);
    let mut rest = uids;
    while !rest.is_empty() {
        let start = rest.len().saturating_sub(size.max(1));
        let low = if start == 0 { 1 } else { rest[start] };
        ranges.push((high, low));
        high = low - 1;
        rest = &rest[..start];
    }
    ranges
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn batches_cover_everything_from_the_newest_down() {
        for (uids, size, want) in [
            (vec![], 2, vec![]),
            (vec![7], 2, vec![(7, 1)]),
            (vec![3, 5, 9], 2, vec![(9, 5), (4, 1)]),
            (vec![1, 2, 3, 4], 2, vec![(4, 3), (2, 1)]),
            (vec![1, 2, 3, 4], 1, vec![(4, 4), (3, 3), (2, 2), (1, 1)]),
            (vec![10, 20, 4_294_967_295], 2, vec![(4_294_967_295, 20), (19, 1)]),
            (vec![10, 20, 30], usize::MAX, vec![(30, 1)]),
        ] {
            assert_eq!(batches(&uids, size), want, "{uids:?} by {size}");
        }
    }
}
