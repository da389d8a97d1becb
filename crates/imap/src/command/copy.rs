//! COPY and MOVE (RFC 9051 §6.4.7, §6.4.8): one transaction each, bodies shared.

use super::{limit, not_selected, targets};
use crate::client::{Client, Outcome};
use crate::progress::Progress;
use crate::reach::{Needed, Reached, no_right};
use crate::refusal;
use crate::view::uids;
use imap_proto::command::By;
use imap_proto::{Code, Ranges, Response, Set, Untagged};
use storage::{Copied, Error, MailboxKind, Rights, Way};

/// What MOVE does to the messages that go (RFC 6851 §4.2).
const TAKING: Rights = Rights::DELETE_MESSAGES.or(Rights::EXPUNGE);

pub(super) async fn run(client: &mut Client, set: &Set, by: By, name: &str, way: Way) -> Outcome {
    let Some(selected) = &client.selected else { return Ok(not_selected()) };
    if way == Way::Move && !selected.may(TAKING) {
        return Ok(no_right());
    }
    let mut targets = match targets(selected, set, by) {
        Ok(targets) => targets,
        Err(response) => return Ok(response),
    };
    let (from, owner) = (selected.mailbox, selected.owner);
    let store = client.house.store.clone();
    let (to, rights) = match client.reach(name, Needed::All(Rights::INSERT)).await {
        Ok(Reached { mailbox, .. }) if mailbox.kind == MailboxKind::NoSelect => {
            return Ok(refusal::response(&Error::NotSelectable(mailbox.name)));
        }
        Ok(Reached { mailbox, rights, .. }) => (mailbox, rights),
        Err(denied) => return Ok(denied.of_target()),
    };
    let limited = match way {
        Way::Copy => match limit::all(client, &targets) {
            Ok(()) => None,
            Err(response) => return Ok(response),
        },
        Way::Move => limit::newest(client, &mut targets),
    };
    let uids = uids(&targets);
    if uids.is_empty() {
        return Ok(Response::ok("There was nothing to do."));
    }
    let work = store.transfer(from, &uids, to.id, way, rights);
    let copied = client.wait_for(&Progress::default(), work).await?;
    let copied = match copied {
        Ok(copied) => copied,
        Err(error) => return Ok(refusal::of_target(&error)),
    };
    client.filed(to.id, copied.pairs.iter().map(|pair| pair.1), copied.modseq);
    // A copy is a change of the account that it went to, which may be another one.
    let is_here = way == Way::Move || to.account == owner;
    if let Err(error) = client.refresh(if is_here { copied.modseq } else { 0 }).await {
        return Ok(refusal::response(&error));
    }
    // UIDs that are gone are passed over with OK: clients take NO for a failure that they repeat.
    let Some(code) = copy_uid(&copied) else { return Ok(Response::ok("The messages are gone.")) };
    Ok(match way {
        Way::Copy => Response::ok("Copied.").with(code),
        Way::Move => {
            // RFC 9051 §6.4.8: before the EXPUNGEs, which are told when the command ends.
            let response = super::tell(client, Untagged::Status(Response::ok("Moved.").with(code)), "Moved.");
            let response = super::with_modseq(client, response, copied.modseq);
            limit::tagged(client, response, limited)
        }
    })
}

/// COPYUID; `None` if nothing was copied.
fn copy_uid(copied: &Copied) -> Option<Code> {
    if copied.pairs.is_empty() {
        return None;
    }
    Some(Code::CopyUid {
        validity: copied.uidvalidity,
        from: Ranges::from_numbers(copied.pairs.iter().map(|pair| pair.0)),
        to: Ranges::from_numbers(copied.pairs.iter().map(|pair| pair.1)),
    })
}
