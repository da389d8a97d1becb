//! STORE (RFC 9051 §6.4.6), with and without a condition (RFC 7162 §3.1.3).

use super::{limit, not_selected, some_are_gone, targets};
use crate::client::{Client, Gone, Outcome};
use crate::flags;
use crate::reach::no_right;
use crate::refusal;
use crate::selected::{CHANGING, Selected};
use crate::view::{Target, told_flags, uids};
use imap_proto::command::{Answering, By, Store, StoreMode};
use imap_proto::{Code, Ranges, Response, Told, Untagged};
use std::collections::HashMap;
use storage::{FlagChange, FlagMode, Keywords, Mark, ModSeq, Stored, Uid};

pub(super) async fn run(client: &mut Client, store: &Store) -> Outcome {
    // What others did before is told first, so that what is silent below is our own doing alone.
    client.sync().await?;
    let Some(selected) = &client.selected else { return Ok(not_selected()) };
    let mut targets = match targets(selected, &store.set, store.by) {
        Ok(targets) => targets,
        Err(response) => return Ok(response),
    };
    let limited = limit::newest(client, &mut targets);
    let uids = uids(&targets);
    if uids.is_empty() {
        return Ok(Response::ok("There was nothing to do."));
    }
    let Some((change, effect)) = change(selected, store) else { return Ok(no_right()) };
    let before = marks(client, &targets);
    let mailbox = selected.mailbox;
    let stored = client.house.store.store_flags(mailbox, &uids, change.clone(), store.unchanged_since).await;
    let stored = match stored {
        Ok(stored) => stored,
        Err(error) => return Ok(refusal::response(&error)),
    };
    if let Err(error) = client.take_over(&stored).await {
        return Ok(refusal::response(&error));
    }
    let (refused, done): (Vec<Target>, Vec<Target>) =
        targets.into_iter().partition(|target| stored.modified.contains(target.uid));
    if store.answering == Answering::Silent && effect == Effect::AsAsked {
        keep_silent(client, &before, &stored, &change);
        tell_modseqs(client, &done, store.unchanged_since).await?;
    } else {
        tell(client, &done).await?;
    }
    // Why they were refused (RFC 7162 §3.1.3).
    tell(client, &refused).await?;
    let complete = are_there(client, &done);
    let response = if let Some(code) = modified(&refused, store.by) {
        Response::ok("Some were changed by others meanwhile, and were left alone.").with(code)
    } else if complete {
        Response::ok("Stored.")
    } else {
        some_are_gone()
    };
    Ok(limit::tagged(client, response, limited))
}

/// Whether a change does what the client thinks it does.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Effect {
    AsAsked,
    /// Only what there are rights for (RFC 4314 §4).
    Less,
}

/// What is to be done, as far as there are rights for it; `None`: there are none.
fn change(selected: &Selected, store: &Store) -> Option<(FlagChange, Effect)> {
    let (asked, tags) = flags::split(&store.flags);
    let (flags, keywords) = selected.allowed(asked, tags.clone());
    let is_whole = selected.rights.contains(CHANGING);
    let mode = match store.mode {
        StoreMode::Replace if is_whole => FlagMode::Set,
        StoreMode::Replace => FlagMode::SetAllowed(selected.rights),
        StoreMode::Add => FlagMode::Add,
        StoreMode::Remove => FlagMode::Remove,
    };
    let is_nothing = flags.is_empty() && keywords.is_empty();
    let asks_nothing = asked.is_empty() && tags.is_empty();
    let refused = match store.mode {
        StoreMode::Replace => !selected.rights.has_any(CHANGING),
        _ => is_nothing && !asks_nothing,
    };
    let effect = if is_whole || (flags, &keywords) == (asked, &tags) && store.mode != StoreMode::Replace {
        Effect::AsAsked
    } else {
        Effect::Less
    };
    (!refused).then_some((FlagChange { mode, flags, keywords }, effect))
}

/// MODIFIED: the messages that a condition kept from being changed (RFC 7162 §3.1.3).
fn modified(refused: &[Target], by: By) -> Option<Code> {
    let numbers = refused.iter().map(|target| match by {
        By::Sequence => target.number,
        By::Uid => target.uid,
    });
    (!refused.is_empty()).then(|| Code::Modified(Ranges::from_numbers(numbers)))
}

fn are_there(client: &Client, targets: &[Target]) -> bool {
    let Some(selected) = &client.selected else { return false };
    let picture = selected.shared.look();
    targets.iter().all(|target| picture.mark(target.uid).is_some())
}

fn marks(client: &Client, targets: &[Target]) -> HashMap<Uid, Mark> {
    let Some(selected) = &client.selected else { return HashMap::new() };
    let picture = selected.shared.look();
    targets.iter().filter_map(|target| picture.mark(target.uid).map(|mark| (mark.uid, *mark))).collect()
}

/// The new flags of all that were named, whether they changed or not.
async fn tell(client: &mut Client, targets: &[Target]) -> Result<(), Gone> {
    let modseqs = client.manner().modseqs;
    for target in targets {
        let Some(selected) = &mut client.selected else { return Ok(()) };
        let line: Option<(Untagged, u64)> = {
            let picture = selected.shared.look();
            picture
                .mark(target.uid)
                .map(|mark| (told_flags(target.number, mark, &picture.keywords, modseqs), mark.modseq))
        };
        if let Some((line, modseq)) = line {
            selected.view.knows(target.uid, modseq);
            let _ = client.session.tell(&line);
            client.relieve().await?;
        }
    }
    Ok(())
}

/// `.SILENT`: the client works out the flags by itself. Where somebody else changed them in the same moment it
/// cannot, and is told all the same (RFC 9051 §6.4.6).
fn keep_silent(client: &mut Client, before: &HashMap<Uid, Mark>, stored: &Stored, change: &FlagChange) {
    let Some(selected) = &mut client.selected else { return };
    // The keywords as bits of this mailbox; what is not known here cannot have been taken off.
    let bit = |name: &String| stored.keywords.iter().position(|known| known.eq_ignore_ascii_case(name));
    let keywords = change.keywords.iter().filter_map(bit).fold(Keywords::NONE, Keywords::with);
    let expected = |mark: &Mark| match change.mode {
        FlagMode::Set | FlagMode::SetAllowed(_) => (change.flags, keywords),
        FlagMode::Add => (mark.flags | change.flags, mark.keywords | keywords),
        FlagMode::Remove => (mark.flags - change.flags, mark.keywords - keywords),
    };
    for mark in &stored.changed {
        if before.get(&mark.uid).is_some_and(|old| expected(old) == (mark.flags, mark.keywords)) {
            selected.view.knows(mark.uid, mark.modseq);
        }
    }
}

/// Who knows mod-sequences hears the new ones even of a silent STORE (RFC 7162 §3.1.3); where the flags are not what
/// the client thinks, both are told when the command ends.
async fn tell_modseqs(
    client: &mut Client,
    targets: &[Target],
    condition: Option<ModSeq>,
) -> Result<(), Gone> {
    if !client.session.is_condstore() {
        return Ok(());
    }
    for target in targets {
        let Some(selected) = &client.selected else { return Ok(()) };
        let modseq = {
            let picture = selected.shared.look();
            let mark = picture.mark(target.uid).filter(|mark| selected.view.has_seen(mark));
            mark.map(|mark| mark.modseq).filter(|modseq| condition.is_some() || selected.view.is_new(*modseq))
        };
        if modseq.is_some() {
            let told = Told { number: target.number, uid: Some(target.uid), flags: None, modseq };
            let _ = client.session.tell(&Untagged::Fetch(told));
            client.relieve().await?;
        }
    }
    Ok(())
}
