//! COPY and MOVE (RFC 9051 §6.4.7, §6.4.8): one transaction each, bodies shared.

use super::{limit, not_selected, targets};
use crate::client::{Client, Outcome};
use crate::progress::Progress;
use crate::refusal;
use crate::view::uids;
use imap_proto::command::By;
use imap_proto::{Code, Ranges, Response, Set, Untagged};
use storage::{AccountId, Copied, Error, MailboxKind};

/// Which of the two.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Transfer {
    Copy,
    Move,
}

pub(super) async fn run(
    client: &mut Client,
    account: AccountId,
    set: &Set,
    by: By,
    name: &str,
    transfer: Transfer,
) -> Outcome {
    let Some(selected) = &client.selected else { return Ok(not_selected()) };
    let mut targets = match targets(selected, set, by) {
        Ok(targets) => targets,
        Err(response) => return Ok(response),
    };
    let from = selected.mailbox;
    let store = client.house.store.clone();
    let to = match store.mailbox(account, name).await {
        Ok(mailbox) if mailbox.kind == MailboxKind::NoSelect => {
            return Ok(refusal::response(&Error::NotSelectable(mailbox.name)));
        }
        Ok(mailbox) => mailbox.id,
        Err(error) => return Ok(refusal::of_target(&error)),
    };
    let limited = match transfer {
        Transfer::Copy => match limit::all(client, &targets) {
            Ok(()) => None,
            Err(response) => return Ok(response),
        },
        Transfer::Move => limit::newest(client, &mut targets),
    };
    let uids = uids(&targets);
    if uids.is_empty() {
        return Ok(Response::ok("There was nothing to do."));
    }
    let work = async {
        match transfer {
            Transfer::Copy => store.copy(from, &uids, to).await,
            Transfer::Move => store.move_messages(from, &uids, to).await,
        }
    };
    let copied = client.wait_for(&Progress::default(), work).await?;
    let copied = match copied {
        Ok(copied) => copied,
        Err(error) => return Ok(refusal::of_target(&error)),
    };
    if let Err(error) = client.refresh(copied.modseq).await {
        return Ok(refusal::response(&error));
    }
    // UIDs that are gone are passed over with OK: clients take NO for a failure that they repeat.
    let Some(code) = copy_uid(&copied) else { return Ok(Response::ok("The messages are gone.")) };
    Ok(match transfer {
        Transfer::Copy => Response::ok("Copied.").with(code),
        Transfer::Move => {
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
