//! STORE (RFC 9051 §6.4.6).

use super::{not_selected, some_are_gone, targets};
use crate::client::{Client, Outcome};
use crate::flags;
use crate::refusal;
use crate::view::{Target, told_flags, uids};
use imap_proto::command::{Answering, Store, StoreMode};
use imap_proto::{Response, Untagged};
use std::collections::HashMap;
use storage::{FlagChange, FlagMode, Flags, Mark, Stored, Uid};

pub(super) async fn run(client: &mut Client, store: &Store) -> Outcome {
    // What others did before is told first, so that what is silent below is our own doing alone.
    client.sync().await;
    let Some(selected) = &client.selected else { return Ok(not_selected()) };
    let targets = match targets(selected, &store.set, store.by) {
        Ok(targets) => targets,
        Err(response) => return Ok(response),
    };
    let uids = uids(&targets);
    if uids.is_empty() {
        return Ok(Response::ok("There was nothing to do."));
    }
    let (flags, keywords) = flags::split(&store.flags);
    let mode = match store.mode {
        StoreMode::Replace => FlagMode::Set,
        StoreMode::Add => FlagMode::Add,
        StoreMode::Remove => FlagMode::Remove,
    };
    let change = FlagChange { mode, flags, keywords };
    let before = marks(client, &targets);
    let mailbox = selected.mailbox;
    let stored = match client.house.store.store_flags(mailbox, &uids, change, None).await {
        Ok(stored) => stored,
        Err(error) => return Ok(refusal::response(&error)),
    };
    if let Err(error) = client.refresh(stored.modseq).await {
        return Ok(refusal::response(&error));
    }
    let complete = match store.answering {
        Answering::Told => tell(client, &targets).await?,
        Answering::Silent => keep_silent(client, &targets, &before, &stored, (mode, flags)),
    };
    Ok(if complete { Response::ok("Stored.") } else { some_are_gone() })
}

fn marks(client: &Client, targets: &[Target]) -> HashMap<Uid, Mark> {
    let Some(selected) = &client.selected else { return HashMap::new() };
    let picture = selected.shared.look();
    targets.iter().filter_map(|target| picture.mark(target.uid).map(|mark| (mark.uid, *mark))).collect()
}

/// The new flags of all that were named, whether they changed or not. False if some are gone.
async fn tell(client: &mut Client, targets: &[Target]) -> Result<bool, crate::client::Gone> {
    let mut complete = true;
    for target in targets {
        let Some(selected) = &mut client.selected else { return Ok(false) };
        let line: Option<(Untagged, u64)> = {
            let picture = selected.shared.look();
            picture
                .mark(target.uid)
                .map(|mark| (told_flags(target.number, mark, &picture.keywords), mark.modseq))
        };
        match line {
            Some((line, modseq)) => {
                selected.view.knows(target.uid, modseq);
                let _ = client.session.tell(&line);
                client.relieve().await?;
            }
            None => complete = false,
        }
    }
    Ok(complete)
}

/// `.SILENT`: the client works out the flags by itself. Where somebody else changed them in the same moment it
/// cannot, and is told all the same (RFC 9051 §6.4.6). False if some are gone.
fn keep_silent(
    client: &mut Client,
    targets: &[Target],
    before: &HashMap<Uid, Mark>,
    stored: &Stored,
    (mode, flags): (FlagMode, Flags),
) -> bool {
    let Some(selected) = &mut client.selected else { return false };
    let expected = |mark: &Mark| match mode {
        FlagMode::Set => flags,
        FlagMode::Add => mark.flags | flags,
        FlagMode::Remove => mark.flags - flags,
    };
    for mark in &stored.changed {
        if before.get(&mark.uid).is_some_and(|old| expected(old) == mark.flags) {
            selected.view.knows(mark.uid, mark.modseq);
        }
    }
    let picture = selected.shared.look();
    targets.iter().all(|target| picture.mark(target.uid).is_some())
}
