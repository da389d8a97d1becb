//! What became of a mailbox since a client last saw it (RFC 7162 §3.2.5, §3.2.6). Costs what changed, and not what
//! there is.

use super::not_selected;
use crate::client::{Client, Gone};
use crate::refusal;
use crate::view::{ModSeqs, View, told_flags};
use imap_proto::command::Resync;
use imap_proto::{Ranges, Response, Untagged, Vanished};
use storage::{Changes, ModSeq, Uid};

/// SELECT with QRESYNC: VANISHED (EARLIER), and FETCH for every message with other flags.
pub(super) async fn catch_up(client: &mut Client, resync: &Resync) -> Result<Result<(), Response>, Gone> {
    let changes = match changes(client, resync.modseq).await {
        Ok(changes) => changes,
        Err(response) => return Ok(Err(response)),
    };
    let known = resync.known.clone().unwrap_or_else(|| Ranges::new([(1, Uid::MAX)]));
    let Some(selected) = &client.selected else { return Ok(Err(not_selected())) };
    let from = resync.matches.as_ref().map_or(0, |matches| matching(&selected.view, matches));
    tell_vanished(client, &changes, &known, from);
    for changed in &changes.changed {
        let Some(selected) = &client.selected else { return Ok(Err(not_selected())) };
        let line: Option<Untagged> = {
            let picture = selected.shared.look();
            let mark = picture.mark(changed.uid).filter(|mark| mark.modseq > resync.modseq);
            // Messages that are newer than the view are told when the command ends.
            let number = selected.view.number(changed.uid).filter(|_| known.contains(changed.uid));
            mark.zip(number).map(|(mark, number)| told_flags(number, mark, &picture.keywords, ModSeqs::Told))
        };
        if let Some(line) = line {
            let _ = client.session.tell(&line);
            client.relieve().await?;
        }
    }
    Ok(Ok(()))
}

/// What changed in the selected mailbox after `since`.
pub(super) async fn changes(client: &Client, since: ModSeq) -> Result<Changes, Response> {
    let Some(selected) = &client.selected else { return Err(not_selected()) };
    let changes = client.house.store.changes_since(selected.mailbox, since).await;
    changes.map_err(|error| refusal::response(&error))
}

/// VANISHED (EARLIER) for what is gone of `known`, above the UID `from`. What the session still shows is told as
/// VANISHED later, since its number counts until then.
pub(super) fn tell_vanished(client: &mut Client, changes: &Changes, known: &Ranges, from: Uid) {
    let Some(selected) = &client.selected else { return };
    let gone = changes.vanished.after(from);
    let gone = gone.iter().filter(|uid| known.contains(*uid) && selected.view.number(*uid).is_none());
    let gone = Ranges::from_numbers(gone);
    if !gone.is_empty() {
        let _ = client.session.tell(&Untagged::Vanished(Vanished::Earlier, gone));
    }
}

/// The UID up to which numbers and UIDs of the client are those of the view: it knows all that is gone before
/// (RFC 7162 §3.2.5.2).
fn matching(view: &View, (numbers, uids): &(Ranges, Ranges)) -> Uid {
    let pairs = numbers.iter().zip(uids.iter());
    pairs.take_while(|(number, uid)| view.number(*uid) == Some(*number)).last().map_or(0, |(_, uid)| uid)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::journal::Journal;
    use crate::picture::Picture;
    use storage::{Flags, Keywords, Mark};

    #[test]
    fn the_first_pair_that_differs_ends_what_is_known() {
        let marks = [2, 4, 6, 9, 11]
            .map(|uid| Mark { uid, modseq: 1, flags: Flags::NONE, keywords: Keywords::NONE })
            .to_vec();
        let journal = Journal::default();
        let view = View::new(&Picture { keywords: Vec::new(), marks, modseq: 1, uidnext: 12, journal });
        for (numbers, uids, want) in [
            (vec![(1, 1)], vec![(2, 2)], 2),
            (vec![(1, 5)], vec![(2, 2), (4, 4), (6, 6), (9, 9), (11, 11)], 11),
            (vec![(2, 3)], vec![(4, 4), (7, 7)], 4),
            (vec![(1, 1), (5, 5)], vec![(1, 1), (11, 11)], 0),
            (vec![(5, u32::MAX - 1)], vec![(11, u32::MAX)], 11),
            (vec![], vec![], 0),
        ] {
            assert_eq!(
                matching(&view, &(Ranges::new(numbers.clone()), Ranges::new(uids))),
                want,
                "{numbers:?}"
            );
        }
    }
}
