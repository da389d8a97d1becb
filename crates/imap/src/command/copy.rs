//! COPY and MOVE (RFC 9051 §6.4.7, §6.4.8): one transaction each, bodies shared.

use super::{not_selected, targets};
use crate::client::Client;
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
) -> Response {
    let Some(selected) = &client.selected else { return not_selected() };
    let targets = match targets(selected, set, by) {
        Ok(targets) => targets,
        Err(response) => return response,
    };
    let store = &client.house.store;
    let to = match store.mailbox(account, name).await {
        Ok(mailbox) if mailbox.kind == MailboxKind::NoSelect => {
            return refusal::response(&Error::NotSelectable(mailbox.name));
        }
        Ok(mailbox) => mailbox.id,
        Err(error) => return refusal::of_target(&error),
    };
    let uids = uids(&targets);
    let copied = match transfer {
        _ if uids.is_empty() => return Response::ok("There was nothing to do."),
        Transfer::Copy => store.copy(selected.mailbox, &uids, to).await,
        Transfer::Move => store.move_messages(selected.mailbox, &uids, to).await,
    };
    let copied = match copied {
        Ok(copied) => copied,
        Err(error) => return refusal::of_target(&error),
    };
    if let Err(error) = client.refresh(copied.modseq).await {
        return refusal::response(&error);
    }
    // UIDs that are gone are passed over with OK: clients take NO for a failure that they repeat.
    let Some(code) = copy_uid(&copied) else { return Response::ok("The messages are gone.") };
    match transfer {
        Transfer::Copy => Response::ok("Copied.").with(code),
        Transfer::Move => {
            // RFC 9051 §6.4.8: before the EXPUNGEs, which are told when the command ends.
            let response = super::tell(client, Untagged::Status(Response::ok("Moved.").with(code)), "Moved.");
            super::with_modseq(client, response, copied.modseq)
        }
    }
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
